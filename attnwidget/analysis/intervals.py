"""The mean of some measurements and how sure one can be of it: Student's t interval."""

from __future__ import annotations

import math
from functools import cache
from statistics import NormalDist

import numpy as np

_MANY = 1000  # degrees of freedom, from which the series is right to 1e-10 and the finite sums are long


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


def summarised(samples: np.ndarray, level: float) -> dict[str, np.ndarray]:
    """Mean, the two ends of its t interval, and n, [layer, head] each, of [sample, layer, head]; samples without the number (NaN) are
    left out of it."""
    known = np.isfinite(samples)
    n = known.sum(0)
    total = np.where(known, samples, 0).sum(0)
    mean = np.divide(total, n, out=np.full(n.shape, np.nan), where=n > 0)
    squares = np.where(known, (samples - mean) ** 2, 0).sum(0)
    deviation = np.sqrt(np.divide(squares, n - 1, out=np.full(n.shape, np.nan), where=n > 1))
    t = np.array([t_quantile(count - 1, level) if count > 1 else np.nan for count in n.ravel().tolist()]).reshape(n.shape)
    half = t * deviation / np.sqrt(np.maximum(n, 1))
    return {"mean": mean, "low": mean - half, "high": mean + half, "n": n.astype(float)}


@cache
def t_quantile(df: int, level: float = 0.95) -> float:
    """The t for which `P(|T| < t) = level`, T with `df` degrees of freedom; for many of them by the series around the normal
    quantile (Abramowitz and Stegun, 26.7.5)."""
    if df >= _MANY:
        z = NormalDist().inv_cdf((1 + level) / 2)
        series = ((z**3 + z) / 4, (5 * z**5 + 16 * z**3 + 3 * z) / 96, (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384)
        return z + sum(term / df ** (i + 1) for i, term in enumerate(series))
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
