"""The mean of a few measurements and how sure one can be of it: Student's t interval."""

from __future__ import annotations

import math
from functools import cache

import numpy as np


def mean_interval(samples: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean over the first axis and the two ends of its t interval, `mean ± t · s / √n`, s with n − 1.

    The interval of one sample is undefined: NaN.
    """
    n = samples.shape[0]
    mean = samples.mean(0)
    if n < 2:
        blank = np.full_like(mean, np.nan)
        return mean, blank, blank.copy()
    half = t_quantile(n - 1, level) * samples.std(0, ddof=1) / math.sqrt(n)
    return mean, mean - half, mean + half


@cache
def t_quantile(df: int, level: float = 0.95) -> float:
    """The t for which `P(|T| < t) = level`, T with `df` degrees of freedom."""
    low, high = 0.0, 1.0
    while _within(high, df) < level:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, df) < level else (low, middle)
    return (low + high) / 2


def _within(t: float, df: int) -> float:
    """`P(|T| < t)` by the finite sums that hold for whole `df` (Abramowitz and Stegun, 26.7.3 and 26.7.4)."""
    angle = math.atan2(t, math.sqrt(df))
    odd = df % 2
    term, total = (math.cos(angle) if odd else 1.0), 0.0
    for step in range(df // 2):
        total += term
        term *= math.cos(angle) ** 2 * (2 * step + 1 + odd) / (2 * step + 2 + odd)
    return 2 / math.pi * (angle + math.sin(angle) * total) if odd else math.sin(angle) * total
