"""Seconds of wall time, on a device whose work goes on behind the call too."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import torch


def seconds(work: Callable[[], object], device: torch.device) -> float:
    _wait(device)
    start = perf_counter()
    work()
    _wait(device)
    return perf_counter() - start


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
