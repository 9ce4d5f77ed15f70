"""How the next token is chosen from a prediction: the first choice, or one drawn with a random number that is handed in."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Integral, Real

from torch import Tensor

from .. import metrics
from ..errors import AttnWidgetError


@dataclass(frozen=True)
class Sampling:
    """`temperature` 0 takes the first choice (of equal ones the lowest id). Else a token is drawn from `softmax(logits / temperature)`, of
    which `top_k` keeps the k most probable tokens, and then `top_p` the fewest most probable ones whose probabilities reach p."""

    temperature: float = 0.0
    top_k: int | None = None
    top_p: float | None = None

    def choose(self, logits: Tensor, u: float) -> int:
        """The id chosen from `logits` [vocabulary], in float64: `u` from 0 to 1 (excluded) is how far down the tokens are gone through, the
        most probable first, until the sum of their probabilities exceeds it. So two predictions that are alike give, with the same `u`,
        mostly the same token, and equal ones always do."""
        if self.temperature == 0:
            return metrics.best(logits)[0]
        log_probs = metrics.log_probabilities(logits)
        ids = log_probs.sort(descending=True, stable=True).indices[: self.top_k]
        # Less the largest: divided by a small temperature, the others may then be -inf, which is what they should be.
        kept = ((log_probs[ids] - log_probs[ids[0]]) / self.temperature).softmax(-1)
        if self.top_p is not None:
            kept = kept[: max(1, int((kept.cumsum(-1) - kept < self.top_p).sum()))]
        reached = kept.cumsum(-1)
        at = int((reached <= u * reached[-1]).sum())
        return int(ids[min(at, len(kept) - 1)])

    def describe(self, seed: int) -> str:
        """ "first choice", or "drawn at temperature 0.8 from the top 50, seed 0"."""
        if self.temperature == 0:
            return "first choice"
        parts = [f"drawn at temperature {self.temperature:g}"]
        parts += [] if self.top_k is None else [f"top k {self.top_k}"]
        parts += [] if self.top_p is None else [f"top p {self.top_p:g}"]
        return ", ".join([*parts, f"seed {seed}"])


def make_sampling(temperature: object, top_k: object, top_p: object) -> Sampling:
    """Checks what a person may have got wrong, in one sentence each."""
    if not _is_number(temperature) or temperature < 0:
        raise AttnWidgetError(f"temperature must be a number of 0 (the first choice) or more, not {temperature!r}.")
    if top_k is not None and (isinstance(top_k, bool) or not isinstance(top_k, Integral) or top_k < 1):
        raise AttnWidgetError(f"top_k must be a whole number of 1 or more, or None to leave no token out, not {top_k!r}.")
    if top_p is not None and not (_is_number(top_p) and 0 < top_p <= 1):
        raise AttnWidgetError(f"top_p must be a number above 0 and up to 1, or None to leave no token out, not {top_p!r}.")
    return Sampling(float(temperature), None if top_k is None else int(top_k), None if top_p is None else float(top_p))


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
