"""What `make bench` measures, in its order. What takes a device is measured on the CPU and, where there is one, on CUDA."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import replace

import torch

from .circuits import circuits
from .figures import Figure
from .generation import generation
from .lens import lens
from .long import long
from .many import many
from .measure import bundle, click, first_paint, hover, saved_state
from .study import study
from .sweep import sweep
from .views import views

BENCHMARKS: dict[str, Callable[..., list[Figure]]] = {
    "bundle": bundle,
    "click": click,
    "first_paint": first_paint,
    "hover": hover,
    "saved_state": saved_state,
    "views": views,
    "sweep": sweep,
    "lens": lens,
    "generation": generation,
    "study": study,
    "circuits": circuits,
    "many": many,
    "long": long,
}


def measure(name: str) -> list[Figure]:
    benchmark = BENCHMARKS[name]
    if "device" not in inspect.signature(benchmark).parameters:
        return benchmark()
    found = benchmark(device="cpu")
    if torch.cuda.is_available():
        found += [replace(figure, what=f"CUDA: {figure.what}") for figure in benchmark(device="cuda")]
    return found
