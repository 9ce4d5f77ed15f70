"""Scores of many prompts, `score_dataset`, beside the loop that is usually written for it: `python -m benchmarks many`.

`PROMPTS` prompts of 9 to 14 tokens on SmolLM2-135M, every head's exact ablation of each.

- the loop: one hooked forward for each head and prompt, timed on a few heads of each prompt and multiplied up;
- ours: in this process, and in `WORKERS` processes of their own (`spawn`), with and without the time in which they start and load it.
"""

from __future__ import annotations

import os
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

from attnwidget import Model, load_model, score_dataset

from .clock import seconds
from .figures import Figure, figure

NAMES = ("Mary", "John", "Anna", "Peter", "Alice", "Tom", "Susan", "Paul")
PROMPTS = [f"When {a} and {b} went to the store, {b} gave a drink to" for a, b in zip(NAMES, NAMES[1:] + NAMES[:1], strict=True)]
SAMPLE = 10
WORKERS = min(2, os.cpu_count() or 1)


def many(device: str = "cpu") -> list[Figure]:
    model = load_model("smollm2-135m", device=device)
    score_dataset(model, PROMPTS[:1])
    loop = seconds(lambda: [_hooked(model, prompt) for prompt in PROMPTS], model.device) * model.n_layers * model.n_heads / SAMPLE
    found = []
    ours = seconds(lambda: found.append(score_dataset(model, PROMPTS)), model.device)
    name = f"SmolLM2-135M, {len(PROMPTS)} prompts: "
    figures = [
        figure(name + f"the loop, from {SAMPLE} heads of each", "s", [loop]),
        figure(name + "score_dataset, in this process", "s", [ours]),
        figure(name + "score_dataset / loop", "", [ours / loop]),
    ]
    if device != "cpu":
        return figures
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:

        def there(checkpoint: str | None = None) -> None:
            found.append(score_dataset("smollm2-135m", PROMPTS, executor=pool, checkpoint=checkpoint))

        cold, warm = seconds(there, model.device), seconds(lambda: there(folder), model.device)
        again = seconds(lambda: there(folder), model.device)
        size = sum(part.stat().st_size for part in Path(folder).rglob("*.parquet")) / len(PROMPTS)
    off = max(float(np.abs(one.samples - found[0].samples).max()) for one in found[1:])
    return [
        *figures,
        figure(name + f"in {WORKERS} processes, which start and load the model", "s", [cold]),
        figure(name + f"in {WORKERS} processes that have it, with a checkpoint", "s", [warm]),
        figure(name + "again, all read from the checkpoint", "s", [again]),
        figure(name + "a part of the checkpoint", "kB", [size / 1000]),
        figure(name + "largest difference between them", "nats", [off]),
    ]


@torch.no_grad()
def _hooked(model: Model, prompt: str) -> None:
    """A few heads, spread over the layers, each with its slice set to zero where the out-projection reads it."""
    ids = torch.tensor([model.run(prompt).ids], device=model.device)
    for i in range(SAMPLE):
        at = i * (model.n_layers * model.n_heads - 1) // (SAMPLE - 1)
        layer, head = divmod(at, model.n_heads)

        def off(_module: torch.nn.Module, args: tuple, head: int = head) -> tuple:
            z = args[0].clone()
            z[..., head * model.d_head : (head + 1) * model.d_head] = 0
            return (z, *args[1:])

        hook = model.source.model.layers[layer].self_attn.o_proj.register_forward_pre_hook(off)
        try:
            logits = model.source(ids, use_cache=False).logits[0, -1]
        finally:
            hook.remove()
        logits.log_softmax(-1)
