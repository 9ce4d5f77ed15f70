"""The logit lens over all layers and positions beside one forward: `python -m benchmarks lens`."""

from __future__ import annotations

from collections.abc import Callable

import torch

from attnwidget import load_model, logit_lens

from .clock import seconds
from .figures import Figure, figure

PROMPT = "When Mary and John went to the store, John gave a drink to"
ROUNDS = 7


@torch.no_grad()
def _forward(source: torch.nn.Module, ids: torch.Tensor) -> object:
    return source(ids, use_cache=False)


def lens(device: str = "cpu") -> list[Figure]:
    """In turns, in one process, so that what else the machine does hits all alike."""
    model = load_model("smollm2-135m", device=device)
    run = model.run(PROMPT)
    ways: dict[str, Callable[[], object]] = {
        "one plain forward": lambda: _forward(model.source, torch.tensor([run.ids], device=model.device)),
        "lens of 31 points, 14 positions": lambda: logit_lens(run, middle=False),
        "lens of 61 points, 14 positions": lambda: logit_lens(run),
        "lens of 61 points, one position": lambda: logit_lens(run, -1),
    }
    for way in ways.values():
        way()
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            times[name].append(seconds(way, model.device))
    forward = next(iter(times.values()))
    figures = [figure(f"SmolLM2-135M: {name}", "s", taken) for name, taken in times.items()]
    for name, taken in list(times.items())[1:]:
        figures.append(figure(f"SmolLM2-135M: {name}, in forwards", "", [a / b for a, b in zip(taken, forward, strict=True)]))
    return figures
