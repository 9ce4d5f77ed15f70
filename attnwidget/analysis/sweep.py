"""Exact ablation of every head alone: the answer with it off, measured, for all heads in the passes of a few forwards."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from ..engine import Edit, wavefront
from .measure import Measure
from .method import Asked, Found

_CPU_NUMBERS, _GPU_NUMBERS = 2**18, 2**24


def ablation(asked: Asked) -> Found:
    """`effect(answer with the head ablated)` for each head of `asked.heads`, in the run it is asked of: with what is ablated there
    already, so that one is conditional. All measures are read off the same logits.

    Heads go from the lowest layer up; one whose z is already what would be put there has effect 0, unswept. Progress is counted in
    blocks run, which is what takes the time: a head of layer l costs the L - l blocks above it. `extra["first_choice"]` is the id of the
    token (or class) that comes first with the head ablated, where one position is asked about; of equal ones that which came first
    before, else the lowest.
    """
    run, model = asked.run, asked.run.model
    heads = sorted(asked.heads)
    values = [asked.empty() for _ in asked.measures]
    known = np.zeros(asked.shape, dtype=bool)
    # Classifiers answer once, whatever the position.
    positions = sorted({at for measure in asked.measures for at in measure.positions})
    columns = [[positions.index(at) for at in measure.positions] for measure in asked.measures]

    # Rows that run together are rounded otherwise than one alone: what changes nothing must not get the difference for an effect.
    idle = [head for head in heads if not asked.ablate([head]).changes(run)]
    heads = [head for head in heads if head not in idle]

    def variants() -> Iterator[list[Edit]]:
        # One by one: an edit may hold a pattern of its own, [query, key] in float64.
        for head in heads:
            yield asked.ablate([head]).edits(run.clean)

    answered = first = None
    for measure, at in zip(asked.measures, columns, strict=True):
        if answered is None and not measure.metric.whole:
            answered, first = at, int(measure.row(measure.before).argmax())
    firsts = asked.empty()

    if idle and asked.rows is not None:
        before = model.engine.logits(run._recording, run._resid[-1], positions or None)
        for head in idle:
            asked.rows([head], before, positions)
    if idle:
        # What is not defined for the run itself is no effect of 0.
        nothing = [measure.of_itself() for measure in asked.measures]
        for head in idle:
            for of, effect in zip(values, nothing, strict=True):
                of[head] = effect
            firsts[head] = np.nan if first is None else first
            known[head] = True
    cost = [model.n_layers - head.layer for head in heads]
    done = sum(model.n_layers - head.layer for head in idle)
    total, all_heads = done + sum(cost), len(idle) + len(heads)
    asked.progress(done, total, f"{len(idle)} of {all_heads} heads ablated")
    for indices, logits in wavefront(
        model.engine, run._recording, variants(), positions or None, base=run._edits, resid=run._resid, max_rows=asked.chunk
    ):
        for of, measure, at in zip(values, asked.measures, columns, strict=True):
            effects = _effects(measure, logits if len(at) == len(positions) else logits[:, at])
            for index, effect in zip(indices, effects, strict=True):
                of[heads[index]] = effect
        if answered is not None:
            rows = logits[:, answered[0]] if answered else logits
            # Of equal logits, `argmax` takes the lowest id; what came first before is not overtaken by its equal.
            chosen = torch.where(rows[:, first] == rows.amax(-1), first, rows.argmax(-1))
            # Where a logit is no number, none of them comes first.
            undefined = rows.isnan().any(-1).tolist()
            for index, of, none in zip(indices, chosen.tolist(), undefined, strict=True):
                firsts[heads[index]] = np.nan if none else of
            del rows
        if asked.rows is not None:
            asked.rows([heads[index] for index in indices], logits, positions)
        del logits  # all positions of a chunk are the largest thing there is
        for index in indices:
            known[heads[index]] = True
            done += cost[index]
        asked.partial(values[0].copy(), known.copy())
        asked.progress(done, total, f"{known.sum()} of {all_heads} heads ablated")
    extra = {} if answered is None else {"first_choice": firsts}
    return Found(values[0], extra=extra, others=tuple(values[1:]))


def _effects(measure: Measure, logits: Tensor) -> list[float]:
    """[row]; what is not finite (an overflow of half precision, say) is undefined."""
    # Worked out in float64: on a CPU as many rows at a time as stay in its caches, on a GPU as many as fit.
    together = max(1, (_GPU_NUMBERS if logits.is_cuda else _CPU_NUMBERS) // logits[0].numel())
    effects = torch.cat([measure.effect(rows) for rows in logits.split(together)])
    return torch.where(effects.isfinite(), effects, torch.nan).tolist()
