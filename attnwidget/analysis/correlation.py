"""How well two ways of scoring the same heads agree: Pearson's correlation of the numbers, Spearman's of their order."""

from __future__ import annotations

import numpy as np


def pearson(a: np.ndarray, b: np.ndarray) -> float | None:
    """`Σ (a − ā)(b − b̄) / √(Σ (a − ā)² Σ (b − b̄)²)` over the entries where both are finite, from -1 to 1.

    None where it is 0/0: fewer than two such entries, or one side constant.
    """
    return _pearson(*_both(a, b))


def spearman(a: np.ndarray, b: np.ndarray) -> float | None:
    """Pearson's correlation of the ranks, over the entries where both are finite. Ties share the mean of their ranks."""
    a, b = _both(a, b)
    return _pearson(ranks(a), ranks(b))


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, [n] of [n]; equal values share the mean of the ranks they take up."""
    _, which, count = np.unique(values, return_inverse=True, return_counts=True)
    return (count.cumsum() - (count - 1) / 2)[which]


def _both(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.asarray(a, float).ravel(), np.asarray(b, float).ravel()
    known = np.isfinite(a) & np.isfinite(b)
    return a[known], b[known]


def _pearson(a: np.ndarray, b: np.ndarray) -> float | None:
    if len(a) < 2 or np.all(a == a[0]) or np.all(b == b[0]):  # a mean of equal numbers may be off by a rounding
        return None
    # Scaled first: squares of scores as small as 1e-200 would underflow to 0/0.
    a, b = (side - side.mean() for side in (a, b))
    a, b = a / np.abs(a).max(), b / np.abs(b).max()
    return float(np.clip(a @ b / np.sqrt((a @ a) * (b @ b)), -1, 1))
