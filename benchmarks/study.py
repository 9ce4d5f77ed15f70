"""An ablation study beside the usual loop for it, one hooked forward per set: `python -m benchmarks study`.

- ours: `study(run, " John")`, as it is called in a notebook, random sets included;
- the loop: every head alone, all pairs of the best fifth, then one head of that fifth after another while the target's probability
  rises, until the target is the first choice. Each set is one forward of the plain model with a hook on the input of the out-projections.
  It is not run as a whole: its path is worked out with batched rows (the numbers are the same), which gives the number of forwards, and of
  these `SAMPLE` are timed, spread over the sizes of sets, and multiplied up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import combinations
from statistics import median

import torch
from torch import Tensor, nn

from attnwidget import load_model
from attnwidget import study as search
from attnwidget.analysis.studying import prepare
from attnwidget.analysis.trials import Heads, Trials, joined
from attnwidget.heads import Head
from attnwidget.model import Model
from attnwidget.run import Run

from .clock import seconds
from .figures import Figure, figure

PROMPT, TARGET = "When Mary and John went to the store, John gave a drink to", " John"
ROUNDS, SAMPLE, SHARE, MOST = 2, 24, 0.2, 8


def study(device: str = "cpu") -> list[Figure]:
    """In turns, in one process, so that what else the machine does hits all alike."""
    model = load_model("smollm2-135m", device=device)
    run = model.run(PROMPT)
    forwards, path = _greedy(prepare(run, TARGET).trials)
    found = search(run, TARGET)
    print(f"ours:     {found!r}", flush=True)
    end = path[-1]
    print(f"the loop: {', '.join(map(str, end))}: margin {_margin(_hooked(run, end), model.token_id(TARGET)):.2f}", flush=True)
    sample = _spread(run, path)
    _hooked(run, sample[0])
    times: dict[str, list[float]] = {"forward": [], "ours": [], "hooked": []}
    for _ in range(ROUNDS):
        times["forward"].append(_median(lambda: _plain(model, run), model.device, 9))
        times["hooked"].append(seconds(lambda: [_hooked(run, heads) for heads in sample], model.device) / len(sample))
        times["ours"].append(seconds(lambda: search(run, TARGET), model.device))
    loop = [forwards * one for one in times["hooked"]]
    name = "SmolLM2-135M: study of John"
    return [
        figure(f"{name}: one plain forward", "s", times["forward"]),
        figure(f"{name}: time", "s", times["ours"]),
        figure(f"{name}: sets run", "", [found.sets]),
        figure(f"{name}: blocks run, in forwards", "", [found.forwards]),
        figure(f"{name}: time, in forwards", "", [a / b for a, b in zip(times["ours"], times["forward"], strict=True)]),
        figure(f"{name}: heads found", "", [len(found.heads)]),
        figure(f"{name}, loop: forwards", "", [forwards]),
        figure(f"{name}, loop: time (one of {len(sample)} × forwards)", "s", loop),
        figure(f"{name}, loop: heads found", "", [len(end)]),
        figure(f"{name}: time, of the loop's", "", [a / b for a, b in zip(times["ours"], loop, strict=True)]),
    ]


def _greedy(trials: Trials) -> tuple[int, list[Heads]]:
    """How many forwards the loop takes, and the sets it goes through."""

    def score(heads: Heads) -> float:
        return trials[heads].target_probability

    def done(heads: Heads) -> bool:
        return trials.does_it(heads)

    trials.extend((), trials.heads)
    singles = sorted(((head,) for head in trials.heads), key=score, reverse=True)
    forwards, path = len(singles), [singles[0]]
    if done(singles[0]):
        return forwards, path
    best: Sequence[Head] = sorted(heads[0] for heads in singles[: round(SHARE * len(singles))])
    pairs = list(combinations(best, 2))
    for head in best:
        trials.extend((head,), [other for other in best if other > head])
    forwards += len(pairs)
    path.append(max(pairs, key=score))
    while not done(path[-1]) and len(path[-1]) < MOST:
        more = [joined(path[-1], head) for head in best if head not in path[-1]]
        trials.extend(path[-1], [head for head in best if head not in path[-1]])
        forwards += len(more)
        if score(max(more, key=score)) <= score(path[-1]):
            break
        path.append(max(more, key=score))
    return forwards, path


def _spread(run: Run, path: list[Heads]) -> list[Heads]:
    """Sets as the loop has them: most of them pairs, from all layers."""
    model = run.model
    every = [Head(layer, head) for layer in range(model.n_layers) for head in range(model.n_heads)]
    drawn = [tuple(sorted({every[i * 37 % len(every)], every[i * 101 % len(every)]})) for i in range(1, SAMPLE + 1 - len(path))]
    return [*drawn, *path]


@torch.no_grad()
def _hooked(run: Run, heads: Heads) -> Tensor:
    """The last position's logits with the slices of these heads set to zero where the out-projection reads them."""
    layers, width = run.model.source.model.layers, run.model.d_head
    with ExitStack() as hooks:
        for layer in {head.layer for head in heads}:
            columns = [head.head * width + i for head in heads if head.layer == layer for i in range(width)]

            def before(_module: nn.Module, args: tuple, columns: list[int] = columns) -> tuple:
                z = args[0].clone()
                z[..., columns] = 0
                return (z, *args[1:])

            hooks.callback(layers[layer].self_attn.o_proj.register_forward_pre_hook(before).remove)
        return _plain(run.model, run)


@torch.no_grad()
def _plain(model: Model, run: Run) -> Tensor:
    return model.source(torch.tensor([run.ids], device=model.device), use_cache=False).logits[0, -1]


def _margin(row: Tensor, target: int) -> float:
    return (row[target] - torch.cat([row[:target], row[target + 1 :]]).max()).item()


def _median(way: Callable[[], object], device: torch.device, times: int = 1) -> float:
    return median(seconds(way, device) for _ in range(times))
