"""Reading the patterns of a layer a few heads at a time: a long prompt's layer in float64 is gigabytes."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

CELLS = 4 * 2**20
"""Cells of patterns that are worked on at once: 32 MB in float64."""


def in_parts(pattern: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """(which heads, their patterns in float64) for all of [head, query, key]; on the CPU for Apple's GPUs, which have no float64."""
    step = max(1, CELLS // pattern[0].numel())
    for start in range(0, len(pattern), step):
        some = pattern[start : start + step]
        yield slice(start, start + step), (some.cpu() if some.device.type == "mps" else some).double()
