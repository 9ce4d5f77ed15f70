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
    `A[q, k] / Σ_{j ≥ 1} A[q, j]` for k ≥ 1; a row with nothing but the first token (0/0) is NaN, as row 0 of a causal model always is, and
    so is one with so little else that it is lost in the rounding of the first token's share.
    `keep`: as it is. Where a model has learnt sinks of its own (GPT-OSS), renormalising takes out their share as well.
    """
    check_first(how)
    if not isinstance(pattern, Tensor):
        pattern = np.asarray(pattern)
    if pattern.ndim == 0 or not (isinstance(pattern, Tensor) or np.issubdtype(pattern.dtype, np.number)):
        raise AttnWidgetError("without_first takes a pattern, an array or a tensor of numbers [..., query, key]: give run.pattern(head).")
    new = pattern.clone() if isinstance(pattern, Tensor) else np.array(pattern)
    if how == "keep":
        return new
    new[..., 0] = 0
    return new if how == "hide" else rows_to_one(new, nothing_left(pattern.dtype))


def rows_to_one(pattern: Pattern, rounding: float = 0.0) -> Pattern:
    """Each row [..., key] divided by its sum; NaN where that is `rounding` or less."""
    if isinstance(pattern, Tensor):
        total = pattern.sum(-1, keepdim=True)
        return torch.where(total <= rounding, torch.nan, pattern / total)
    total = pattern.sum(-1, keepdims=True)
    return np.divide(pattern, total, out=np.full(pattern.shape, np.nan), where=total > rounding)


def nothing_left(dtype: torch.dtype | np.dtype) -> float:
    """What is left of a row of 1 where the rest of it reads as 1 in `dtype`."""
    if isinstance(dtype, torch.dtype):
        return torch.finfo(dtype).eps / 4 if dtype.is_floating_point else 0.0
    return float(np.finfo(dtype).eps) / 4 if np.issubdtype(dtype, np.floating) else 0.0


def check_first(first: str) -> None:
    """Refuses what is none of `keep`, `hide` and `renormalise`."""
    if first not in FIRST:
        raise AttnWidgetError(f"first must be 'keep', 'hide' or 'renormalise', not {first!r}.")
