"""What a number was measured on: without it, the number says nothing."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from time import perf_counter

import torch


def describe() -> dict[str, str]:
    packages = ("attnwidget", "torch", "transformers", "transformer-lens", "anywidget", "jupyterlab", "ipykernel")
    return {
        "cpu": _cpu(),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "memory": _memory(),
        "gpu": torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none",
        "load": ", ".join(f"{x:.2f}" for x in os.getloadavg()) if hasattr(os, "getloadavg") else "unknown",
        "gemm": f"{_gemm():.0f} GFLOP/s, float32, {torch.get_num_threads()} threads",
        "system": platform.platform(),
        "python": platform.python_version(),
        "browser": _browser(),
        "packages": ", ".join(f"{name} {_version(name)}" for name in packages),
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _memory() -> str:
    try:
        return f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB"
    except (ValueError, OSError, AttributeError):
        return "unknown"


def _gemm(n: int = 1024) -> float:
    """The best of ten square products: what the budgets that speak of FLOPs are to be read against."""
    a = torch.randn(n, n)
    best = float("inf")
    for _ in range(10):
        start = perf_counter()
        a @ a
        best = min(best, perf_counter() - start)
    return 2 * n**3 / best / 1e9


def _browser() -> str:
    from tests.browser import chromium

    program = chromium.find()
    if program is None:
        return "none"
    return subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout.strip()


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"
