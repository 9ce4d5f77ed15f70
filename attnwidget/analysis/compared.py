"""The numbers that two runs are compared by, head by head: what each is, and whether it is the effect of anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .rowdistance import PATTERN_NUMBERS


@dataclass(frozen=True)
class Compared:
    """One number a head. `causal` is one that was measured by changing the head; the others say what differs, not what matters."""

    label: str
    formula: str
    unit: str = ""
    signed: bool = False
    causal: bool = False


def _pattern(name: str, label: str, unit: str = "", signed: bool = False) -> Compared:
    return Compared(label, PATTERN_NUMBERS[name], unit, signed)


COMPARED: Mapping[str, Compared] = {
    "max_difference": _pattern("max_difference", "largest change of attention"),
    "mean_difference": _pattern("mean_difference", "mean change of attention"),
    "js": _pattern("js", "Jensen-Shannon divergence of attention", "nats"),
    "js_worst": _pattern("js_worst", "Jensen-Shannon divergence, worst row", "nats"),
    "tv": _pattern("tv", "total variation of attention"),
    "tv_worst": _pattern("tv_worst", "total variation, worst row"),
    "correlation": _pattern("correlation", "correlation of attention", signed=True),
    "correlation_without_first": _pattern("correlation_without_first", "correlation of attention without the first token", signed=True),
    "map_cosine": Compared("cosine of value-weighted attention", "cosine over cells of A · ‖v W_O‖ and A' · ‖v' W_O‖"),
    "z_cosine": Compared("cosine of outputs", "mean over aligned positions of cos(z, z')", "", True),
    "output_correlation": Compared("correlation of outputs", "Pearson's over all entries of z and z' at aligned positions", "", True),
    "aligned_share": Compared("attention on aligned tokens", "mean over rows of Σ A over aligned keys"),
    "other_aligned_share": Compared("attention on aligned tokens, other prompt", "mean over rows of Σ A' over aligned keys"),
    "noising": Compared("noising", "the run with this head's z of the other prompt", "", True, True),
    "denoising": Compared("denoising", "the other run with this head's z of this prompt, what that gives back", "", True, True),
}
