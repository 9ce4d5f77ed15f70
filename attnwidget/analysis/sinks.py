"""The first token taken out of attention patterns: heads rest there when they have nothing to say (attention sinks, Xiao et al. 2023)."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from ..errors import AttnWidgetError

Pattern = TypeVar("Pattern", Tensor, np.ndarray)

FIRST = ("keep", "hide", "renormalise")
SAID = {
    "keep": "",
    "hide": "the first token left out as a key, shares still of the whole",
    "renormalise": "the first token left out as a key, the other keys of each row made to sum to 1",
}


def without_first(pattern: Pattern, how: str = "hide") -> Pattern:
    """A copy of `pattern` [..., query, key] without the first token as a key, of the same shape.

    `hide`: `A[q, 0] = 0`, the rest as it is, so rows sum to what is not on the first token. `renormalise`:
    `A[q, k] / Σ_{j ≥ 1} A[q, j]` for k ≥ 1; a row with nothing but the first token (0/0) is NaN, as row 0 of a causal model always is.
    `keep`: as it is. Where a model has learnt sinks of its own (GPT-OSS), renormalising takes out their share as well.
    """
    check_first(how)
    new = pattern.clone() if isinstance(pattern, Tensor) else np.array(pattern)
    if how == "keep":
        return new
    new[..., 0] = 0
    return new if how == "hide" else rows_to_one(new)


def rows_to_one(pattern: Pattern) -> Pattern:
    """Each row [..., key] divided by its sum; NaN where that is 0."""
    if isinstance(pattern, Tensor):
        total = pattern.sum(-1, keepdim=True)
        return torch.where(total == 0, torch.nan, pattern / total)
    total = pattern.sum(-1, keepdims=True)
    return np.divide(pattern, total, out=np.full(pattern.shape, np.nan), where=total != 0)


def check_first(first: str) -> None:
    """Refuses what is none of `keep`, `hide` and `renormalise`."""
    if first not in FIRST:
        raise AttnWidgetError(f"first must be 'keep', 'hide' or 'renormalise', not {first!r}.")
