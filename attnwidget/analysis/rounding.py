"""What rounding alone makes of a metric: measured, by runs of one prompt that differ in nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..engine.memory import halving, rows_together
from ..run import Run
from .measure import Measure

ROWS = 8
"""Runs that are compared with the clean one."""
_MARGIN = 2.0


def rounding_of(run: Run, measure: Measure) -> float:
    """The largest drop of a metric that rounding may make, in the metric's own unit: an effect no larger than this is none.

    Twice the largest |drop| of `ROWS` runs of the prompt in which every number of the residual stream is off by its share eps (of the
    model's dtype; one to two units in its last place) up or down, drawn anew where it enters each block and where it leaves the last. That
    is about as far apart as two orders of the same sums bring two runs. What the metric does with it (a probability that is nearly 1, KL
    that is flat at the clean answer, logits that cancel) is in the measurement. The draws are always the same.
    """
    engine, recording = run.model.engine, run._recording

    def largest(seeds: Sequence[int]) -> float:
        some = [torch.Generator().manual_seed(seed) for seed in seeds]
        stream = recording.resid[0].expand(len(some), -1, -1)
        for layer in range(engine.anatomy.n_layers):
            moved = _moved(stream, some)
            stream = engine.resume(recording, start=layer, stop=layer + 1, resid=moved, rows=len(some), keep="last").resid[-1]
        drops = measure.effect(engine.logits(recording, _moved(stream, some), measure.positions or None))
        return drops.abs().max().item()

    return _MARGIN * max(halving(largest, range(ROWS), rows_together(engine, recording)))


def _moved(stream: Tensor, generators: list[torch.Generator]) -> Tensor:
    """`stream` [row, position, d_model] times 1 + eps or 1 - eps."""
    up = torch.stack([torch.randint(0, 2, stream.shape[1:], generator=generator) for generator in generators])
    wide = torch.promote_types(stream.dtype, torch.float32)
    shares = 1 + torch.finfo(stream.dtype).eps * (2 * up - 1).to(wide)
    return (stream.to(wide) * shares.to(stream.device)).to(stream.dtype)
