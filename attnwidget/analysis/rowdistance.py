"""How far apart two attention patterns of the same cells are: cell by cell, row by row, and as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from .correlation import pearson
from .sinks import rows_to_one


@dataclass(frozen=True)
class TwoPatterns:
    """Patterns of the heads of one layer in two runs over the same aligned positions, [head, query, key] in float64 on the CPU, and the
    cells that can be non-zero in one of them at least, [query, key].

    A query for which only one such cell is there (the first of a causal model) says nothing about a head and is in no number.
    """

    first: Tensor
    second: Tensor
    seen: Tensor

    @cached_property
    def cells(self) -> Tensor:
        """[query, key]: those that count."""
        return self.seen & (self.seen.sum(-1) > 1)[:, None]

    @cached_property
    def rows(self) -> Tensor:
        """[query]: those that count."""
        return self.cells.any(-1)

    def renormalised(self) -> TwoPatterns:
        """The same with each row made to sum to 1 over these keys."""
        return TwoPatterns(rows_to_one(self.first), rows_to_one(self.second), self.seen)

    # -- cell by cell -------------------------------------------------------------------------------------------------

    @cached_property
    def difference(self) -> Tensor:
        """`|A − B|` [head, query, key], NaN in cells that do not count and in rows that are undefined."""
        return (self.first - self.second).abs().where(self.cells, torch.nan)

    def largest(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """`max |A − B|`, and the query and the key where it is: [head] each."""
        value, at = _worst(self.difference.flatten(1))
        n = max(1, len(self.seen))
        return value, at // n, at % n

    # -- row by row ---------------------------------------------------------------------------------------------------

    def total_variation(self) -> Tensor:
        """`½ Σ_k |A − B|` [head, query]; NaN in rows that do not count."""
        return _counted((self.first - self.second).abs().sum(-1) / 2, self.rows)

    def jensen_shannon(self) -> Tensor:
        """`½ KL(A ‖ M) + ½ KL(B ‖ M)`, `M = ½ (A + B)`, in nats, [head, query]: from 0 to ln 2. Rows must sum to 1. As
        `H(M) − ½ H(A) − ½ H(B)`, which is exactly 0 for equal rows."""
        whole = torch.special.entr((self.first + self.second) / 2).sum(-1)
        parts = (torch.special.entr(self.first).sum(-1) + torch.special.entr(self.second).sum(-1)) / 2
        return _counted((whole - parts).clamp_min(0), self.rows)

    def share(self, which: Tensor) -> np.ndarray:
        """Mean over rows of what of `first` or `second` is on these keys, [head]."""
        return mean_of(_counted(which.sum(-1), self.rows))

    # -- as a whole ---------------------------------------------------------------------------------------------------

    def correlation(self, without: Tensor | None = None) -> np.ndarray:
        """Pearson's over the cells that count, less those in `without` [query, key]: [head], NaN where it is 0/0."""
        cells = (self.cells if without is None else self.cells & ~without).numpy()
        pairs = zip(self.first.numpy(), self.second.numpy(), strict=True)
        return np.array([_or_nan(pearson(a[cells], b[cells])) for a, b in pairs])

    def cosine(self, weights: Tensor, other_weights: Tensor) -> np.ndarray:
        """Of `A · weights` and `B · other weights` ([head, key] each) over the cells that count: [head], NaN where one is 0 throughout.
        Rows that are undefined in one of them are left out of both."""
        a, b = self.first * weights[:, None, :], self.second * other_weights[:, None, :]
        known = self.cells & (self.first + self.second).isfinite()
        return cosine_of(a.where(known, 0).flatten(1), b.where(known, 0).flatten(1)).numpy()


def mean_of(rows: Tensor) -> np.ndarray:
    """[head] of [head, query], over the rows that are defined; NaN where none is."""
    return rows.nanmean(-1).numpy()


def worst_of(rows: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The largest of [head, query] and which query it is, NaN where none is defined."""
    return _worst(rows)


def cosine_of(a: Tensor, b: Tensor) -> Tensor:
    """`a · b / (‖a‖ ‖b‖)` over the last dimension, NaN where one is 0. Exactly 1 for equal vectors."""
    a, b = (side / side.norm(dim=-1, keepdim=True) for side in (a, b))
    # By the chord: the product of a unit vector with itself is 1 only up to rounding.
    return 1 - (a - b).square().sum(-1) / 2


def _counted(rows: Tensor, which: Tensor) -> Tensor:
    return rows.where(which, torch.nan)


def _worst(values: Tensor) -> tuple[np.ndarray, np.ndarray]:
    if not values.shape[-1]:
        return (np.full(len(values), np.nan),) * 2
    filled = values.nan_to_num(nan=-torch.inf)
    value, at = filled.max(-1)
    none = value == -torch.inf
    return value.masked_fill(none, torch.nan).numpy(), at.double().masked_fill(none, torch.nan).numpy()


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else value


PATTERN_NUMBERS: Mapping[str, str] = {
    "max_difference": "max over cells of |A − A'|",
    "mean_difference": "mean over cells of |A − A'|",
    "js": "mean over rows of ½ KL(A ‖ M) + ½ KL(A' ‖ M), M = ½ (A + A')",
    "js_worst": "max over rows of the Jensen-Shannon divergence",
    "tv": "mean over rows of ½ Σ |A − A'|",
    "tv_worst": "max over rows of ½ Σ |A − A'|",
    "correlation": "Pearson's over cells",
    "correlation_without_first": "Pearson's over cells without the first token as query or key",
}
"""What is read off two patterns, and how."""


def pattern_numbers(
    two: TwoPatterns, distributions: TwoPatterns, with_first: Tensor
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """All of `PATTERN_NUMBERS`, [head] each, and the (aligned) query and key where the largest ones are. `distributions` has rows that sum
    to 1, for the divergence; `with_first` [query, key] are the cells that the first token is part of."""
    largest, query, key = two.largest()
    divergence, variation = distributions.jensen_shannon(), two.total_variation()
    (js_worst, js_at), (tv_worst, tv_at) = worst_of(divergence), worst_of(variation)
    values = {
        "max_difference": largest,
        "mean_difference": mean_of(two.difference.flatten(1)),
        "js": mean_of(divergence),
        "js_worst": js_worst,
        "tv": mean_of(variation),
        "tv_worst": tv_worst,
        "correlation": two.correlation(),
        "correlation_without_first": two.correlation(without=with_first),
    }
    return values, {"max_query": query, "max_key": key, "js_query": js_at, "tv_query": tv_at}
