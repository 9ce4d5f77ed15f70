"""The largest entries of a product of two tall matrices, in parts: the product itself is gigabytes."""

from __future__ import annotations

import torch
from torch import Tensor

from ..engine.interrupt import checkpoint
from .method import Progress

CELLS = 2**24
"""Of the product in memory at once: 64 MB in float32."""


def top_pairs(left: Tensor, right: Tensor, k: int, progress: Progress | None = None) -> list[tuple[int, int, float]]:
    """(row, column, value) of the `k` largest entries of `left rightᵀ`, both [item, d], the largest first; float32, or what they are in.

    Rows that hold nothing larger than what is kept already are passed over.
    """
    step, kept = max(1, CELLS // len(right)), []
    for start in range(0, len(left), step):
        checkpoint()
        if progress is not None:
            progress(start, len(left), "Looking for the largest scores")
        part = left[start : start + step] @ right.T
        least = kept[k - 1][2] if len(kept) >= k else -torch.inf
        rows = (part.amax(1) > least).nonzero()[:, 0]
        if not len(rows):
            continue
        some = part[rows]
        values, columns = some.topk(min(k, some.shape[1]), dim=1)
        if len(values.flatten()) > k:
            # Of each row its best, of those the best: nothing that is among the k largest is lost.
            threshold = values.flatten().topk(k).values[-1]
            where = (values >= threshold).nonzero()
        else:
            where = torch.ones_like(values, dtype=torch.bool).nonzero()
        found = [(start + rows[i].item(), columns[i, j].item(), values[i, j].item()) for i, j in where.tolist()]
        kept = sorted([*kept, *found], key=lambda pair: (-pair[2], pair[0], pair[1]))[:k]
    return kept
