"""A memory that so many rows fit into. What it raises is real but for its cause: `torch.cuda.OutOfMemoryError`, out of a block or the
unembedding that gets more rows than there is room for, and out of a backward pass for more slopes than that."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


class Room:
    """For so many rows, and no more; `refused` counts those that were too many."""

    def __init__(self, rows: int):
        self.rows, self.refused = rows, 0

    def take(self, rows: int) -> None:
        if rows > self.rows:
            self.refused += 1
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


@contextmanager
def room_for(source: torch.nn.Module, rows: int) -> Iterator[Room]:
    """`source`, a plain GPT-2, with memory for `rows` rows in its blocks, its unembedding and its backward passes."""
    room = Room(rows)
    grad = torch.autograd.grad

    def before(_module, args):
        room.take(len(args[0]))

    def graded(outputs, inputs, grad_outputs=None, *args, **kwargs):
        if kwargs.get("is_grads_batched"):
            room.take(len(grad_outputs))
        return grad(outputs, inputs, grad_outputs, *args, **kwargs)

    handles = [module.register_forward_pre_hook(before) for module in [*source.transformer.h, source.lm_head]]
    torch.autograd.grad = graded
    try:
        yield room
    finally:
        torch.autograd.grad = grad
        for handle in handles:
            handle.remove()
