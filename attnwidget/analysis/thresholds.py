"""Where to draw the line between heads that are of a kind and heads that are not: one fixed rule, two that follow the model."""

from __future__ import annotations

import numpy as np

from ..errors import AttnWidgetError

RULES = {
    "fixed": "a share of attention given beforehand, 0.4 by custom",
    "mean_sd": "mean + k standard deviations of all heads' scores",
    "variance": "the split of all heads' scores in two groups with the largest variance between them (Otsu)",
}

# Scores are means of float32 attention: what differs by less is the same.
ROUNDING = 1e-6


def threshold_of(scores: np.ndarray, rule: str = "fixed", *, fixed: float = 0.4, k: float = 2.0) -> float:
    """The threshold that `rule` sets for `scores`, one number a head; undefined ones (NaN) are left out.

    - `fixed`: `fixed`, whatever the scores are.
    - `mean_sd`: `mean + k · s`, s the standard deviation over the heads (divided by their number).
    - `variance`: with the scores in order and split after the i-th, `i (n − i) / n² · (mean of the upper − mean of the lower)²` is the
      variance between the groups; the threshold lies half-way across the gap where it is largest (N. Otsu, 1979). It splits any scores,
      also where no head stands out, so it finds candidates only. Undefined (NaN) where all scores are equal, as where there are none.
    """
    if rule not in RULES:
        raise AttnWidgetError(f"No threshold rule {rule!r}: there are {', '.join(RULES)}.")
    known = np.sort(scores[~np.isnan(scores)].astype(float))
    if rule == "fixed":
        return float(fixed)
    if known.size == 0:
        return float("nan")
    if rule == "mean_sd":
        return float(known.mean() + k * known.std())
    return _otsu(known)


def _otsu(known: np.ndarray) -> float:
    n = known.size
    if known[-1] - known[0] <= ROUNDING:
        return float("nan")
    lower = np.arange(1, n)
    below = known.cumsum()[:-1]
    between = lower * (n - lower) / n**2 * ((known.sum() - below) / (n - lower) - below / lower) ** 2
    # Never between two equal scores: along them the variance is convex, so it is largest at an end.
    at = int(between.argmax())
    return float((known[at] + known[at + 1]) / 2)
