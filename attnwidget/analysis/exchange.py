"""What each head carries of the difference between two prompts: its output exchanged between their runs, one head at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ..ablation import differs
from ..engine import Edit
from ..heads import Head
from ..run import Run
from .measure import Measure
from .method import Asked
from .sweep import ablation


@dataclass(frozen=True)
class _Taken:
    """Some heads' z taken from another run of the same length, at all positions, as it acts there."""

    source: Run
    heads: Sequence[Head]

    def changes(self, run: Run) -> bool:
        return differs(run, self.source, self.heads)

    def edits(self, _run: Run) -> list[Edit]:
        return [Edit(head.layer, "z", _put(self.source.z(head.layer)[:, head.head], head.head)) for head in self.heads]


def _put(taken: Tensor, head: int) -> Callable[[Tensor], Tensor]:
    def function(z: Tensor) -> Tensor:
        new = z.clone()
        new[:, :, head] = taken.to(z)
        return new

    return function


def exchanged(run: Run, source: Run, measure: Measure, progress: Callable[[int, int, str], None]) -> np.ndarray:
    """`measure.effect(run with this head's z of source)` for each head alone, [layer, head]: exact, in the passes of a sweep, and 0
    for a head whose z is the same in both."""
    model = run.model
    heads = tuple(Head(layer, head) for layer in range(model.n_layers) for head in range(model.n_heads))
    asked = Asked(
        run=run,
        measures=(measure,),
        ablate=lambda some: _Taken(source, some),
        heads=heads,
        options={},
        chunk=None,
        progress=progress,
        partial=lambda values, known: None,
    )
    return ablation(asked).values


def both_ways(run: Run, other: Run, measures: tuple[Measure, Measure], progress: Callable[[int, int, str], None]) -> dict[str, np.ndarray]:
    """`noising`: the effect in `run` of each head's z from `other`. `denoising`: what each head's z of `run` gives back in `other`, which
    is the effect there with its sign turned, where it has one. So both are positive for a head that carries what `run` has more of."""
    noising = exchanged(run, other, measures[0], progress)
    back = exchanged(other, run, measures[1], progress)
    return {"noising": noising, "denoising": np.negative(back) + 0.0 if measures[1].metric.signed else back}


def cost(run: Run) -> int:
    """Blocks of one direction, as `exchanged` counts them in its progress."""
    layers = run.model.n_layers
    return run.model.n_heads * layers * (layers + 1) // 2
