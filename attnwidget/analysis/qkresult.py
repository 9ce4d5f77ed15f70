"""`QKCircuit`: what was read of one head's QK circuit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..drawable import Drawable
from ..heads import Head

Tokens = tuple[tuple[str, int, float], ...]
"""(token, id, number), the first the farthest."""


@dataclass(frozen=True)
class Direction:
    """One pair of singular directions: a query token with a large number on one side gives a large score to a key token with a large number
    of the same sign on the other, and takes from one of the other sign."""

    value: float
    query_positive: Tokens
    query_negative: Tokens
    key_positive: Tokens
    key_negative: Tokens


@dataclass(frozen=True)
class QKCircuit(Drawable):
    """What `qk_circuit` found. Scores are before a soft-cap, mask and biases by position. `pairs` are (query token, id, key token, id,
    score), the largest first; `block` [query token, key token] is the table among `tokens` (None without); `kernel` [distance] is the mean
    score of all pairs of tokens at each distance, None where positions do not turn queries and keys."""

    head: Head
    offset: int
    ids: tuple[int, ...]
    tokens: tuple[str, ...]
    block: np.ndarray | None
    pairs: tuple[tuple[str, int, str, int, float], ...]
    singular_values: np.ndarray
    """[d_head] of the whole [vocabulary, vocabulary], the largest first."""
    directions: tuple[Direction, ...]
    kernel: np.ndarray | None
    scale: float
    """What the model multiplies queries times keys by."""
    cap: float | None
    norm_scale: str
    embedding: str
    rotary: bool
    shares_keys_with: tuple[Head, ...]
    note: str
    processing: str
    dtype: str
    exact: bool = True

    def __post_init__(self) -> None:
        for array in (self.block, self.singular_values, self.kernel):
            if array is not None:
                array.setflags(write=False)

    def to_frame(self) -> pd.DataFrame:
        """The largest pairs: query, query_id, key, key_id, score. `attrs` says how it was made."""
        frame = pd.DataFrame(self.pairs, columns=["query", "query_id", "key", "key_id", "score"])
        told = ("offset", "scale", "cap", "norm_scale", "embedding", "rotary", "note", "processing", "dtype", "exact")
        frame.attrs = {"head": str(self.head), **{name: getattr(self, name) for name in told}}
        return frame

    def __repr__(self) -> str:
        largest = "no pairs asked" if not self.pairs else "largest score {0!r} → {2!r} {4:.4g}".format(*self.pairs[0])
        at = f", offset {self.offset}" if self.rotary else ""
        return (
            f"QKCircuit({self.head}{at}: {largest}; embedding {self.embedding!r}, norm's scale "
            f"{self.norm_scale!r}; {len(self.tokens)} tokens in the table; {self.processing}, {self.dtype})"
        )
