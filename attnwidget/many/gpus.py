"""One process per GPU."""

from __future__ import annotations

import os


def take_gpu(numbers: object) -> None:
    """For a pool's `initializer`, with `initargs=(numbers,)`, a queue of the pool's context that holds a GPU's number for each worker: the
    worker takes one, and sees that GPU alone, as `cuda:0`. To be called before the process uses CUDA, as an initializer is."""
    os.environ["CUDA_VISIBLE_DEVICES"] = str(numbers.get())
