"""`OVCircuit`: what was read of one head's OV circuit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..drawable import Drawable
from ..heads import Head


@dataclass(frozen=True)
class OVCircuit(Drawable):
    """What `ov` found. Logits are before the final norm's scale. `block` [source token, output token] is the circuit among `tokens`;
    `promoted` and `suppressed` have for each (token, id, logit), the largest and the lowest first; None and empty without tokens."""

    head: Head
    copying: float
    """`Σ Re λ / Σ |λ|`, from −1 to 1; NaN for a circuit that is nothing."""
    eigenvalues: np.ndarray
    """[d_head] complex: those of the circuit that are not 0 by its rank."""
    ids: tuple[int, ...]
    tokens: tuple[str, ...]
    promoted: tuple[tuple[tuple[str, int, float], ...], ...]
    suppressed: tuple[tuple[tuple[str, int, float], ...], ...]
    block: np.ndarray | None
    rank_ids: tuple[int, ...]
    ranks: np.ndarray
    """[drawn token]: 1 where a token is what it promotes most; NaN where it promotes all alike."""
    vocabulary: int
    embedding: str
    less_mean: bool
    seed: int
    shares_values_with: tuple[Head, ...]
    """Heads of the same key-value group: they differ in `W_O` alone."""
    processing: str
    dtype: str
    exact: bool = True

    def __post_init__(self) -> None:
        for array in (self.eigenvalues, self.block, self.ranks):
            if array is not None:
                array.setflags(write=False)

    @property
    def share_first(self) -> float:
        """The share of the drawn tokens that promote none more than themselves; NaN where that is undefined for all."""
        return self._share(1)

    @property
    def share_top10(self) -> float:
        return self._share(10)

    @property
    def median_rank(self) -> float:
        known = self.ranks[~np.isnan(self.ranks)]
        return float(np.median(known)) if len(known) else float("nan")

    def _share(self, most: int) -> float:
        known = self.ranks[~np.isnan(self.ranks)]
        return float((known <= most).mean()) if len(known) else float("nan")

    def to_frame(self) -> pd.DataFrame:
        """One row per source token and token it promotes or suppresses: source, source_id, side, place (1 is the most), token, id, logit.

        `attrs` has the copying score, the statistics of ranks, and how it was made."""
        rows = [
            {"source": token, "source_id": i, "side": side, "place": place, "token": other, "id": other_id, "logit": logit}
            for token, i, *both in zip(self.tokens, self.ids, self.promoted, self.suppressed, strict=True)
            for side, found in zip(("promoted", "suppressed"), both, strict=True)
            for place, (other, other_id, logit) in enumerate(found, 1)
        ]
        frame = pd.DataFrame(rows, columns=["source", "source_id", "side", "place", "token", "id", "logit"])
        told = ("copying", "share_first", "share_top10", "median_rank", "embedding", "less_mean", "seed", "processing", "dtype", "exact")
        frame.attrs = {"head": str(self.head), **{name: getattr(self, name) for name in told}}
        return frame

    def __repr__(self) -> str:
        copying = "undefined" if np.isnan(self.copying) else f"{self.copying:+.3f}"
        known = int((~np.isnan(self.ranks)).sum())
        first = "undefined" if np.isnan(self.share_first) else f"{self.share_first:.1%}"
        return (
            f"OVCircuit({self.head}: copying score {copying}; {first} of {known} tokens (seed {self.seed}) promote themselves most; "
            f"{len(self.tokens)} source tokens, embedding {self.embedding!r}; {self.processing}, {self.dtype})"
        )
