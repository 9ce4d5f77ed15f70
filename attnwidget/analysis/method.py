"""What a way of scoring heads is: its name, what it takes, and the function that computes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from ..ablation import Ablation
from ..heads import Head
from ..run import Run
from .measure import Measure

Progress = Callable[[int, int, str], None]
"""`progress(done, total, text)`, called between chunks; what it raises ends the computation."""
Partial = Callable[[np.ndarray, np.ndarray], None]
"""`partial(values, known)`, [layer, head] both, after each chunk: the first measure's values so far, and where they are."""


Rows = Callable[[Sequence[Head], Tensor, Sequence[int]], None]
"""`rows(heads, answers, positions)` after each chunk of a sweep: the answers with each of these heads ablated, [head, position, vocabulary]
at `positions`, or [head, class]."""


@dataclass(frozen=True)
class Asked:
    """A checked question, as the function that answers it gets it."""

    run: Run
    """What effects are measured from: a clean run, or an `AblatedRun` for scores that are conditional on its ablation."""
    measures: tuple[Measure, ...]
    """What is asked of the answer; empty where the method asks nothing. Only the sweep is asked several at once: they share its passes."""
    ablate: Callable[[Sequence[Head]], Ablation]
    """The ablation of some heads, in the mode and with the parameters that were asked for."""
    heads: tuple[Head, ...]
    """The heads to be scored: all that the mode is defined for and that are not ablated already."""
    options: Mapping[str, object]
    """What only this method takes: `steps`, `node`, `top_tokens`."""
    chunk: int | None
    """Heads a chunk, or as many as the memory budget allows; between chunks there is progress and the computation can end."""
    progress: Progress
    partial: Partial
    position: int | None = None
    """Where a method looks that asks nothing of the answer."""
    rows: Rows | None = None
    """Of the sweep only."""

    @property
    def measure(self) -> Measure:
        """The one thing that is asked of the answer."""
        (measure,) = self.measures
        return measure

    @property
    def shape(self) -> tuple[int, int]:
        return self.run.model.n_layers, self.run.model.n_heads

    def empty(self) -> np.ndarray:
        """[layer, head] of NaN: undefined until computed."""
        return np.full(self.shape, np.nan)


@dataclass(frozen=True)
class Found:
    """What a method found: `values` [layer, head] float64, NaN where undefined, and what else belongs to it."""

    values: np.ndarray
    extra: Mapping[str, np.ndarray] = field(default_factory=dict)
    parts: Mapping[str, float] = field(default_factory=dict)
    others: tuple[np.ndarray, ...] = ()
    """The values of the measures after the first, where several were asked for."""
    formula: str | None = None
    """Where it depends on what was asked."""
    baseline: str | None = None
    """Where it is not the ablation's own description."""
    exact: bool | None = None


@dataclass(frozen=True)
class Method:
    """One way of scoring every head. `metrics` are those it can answer, the default first; none where it asks nothing of the answer."""

    name: str
    label: str
    formula: str
    exact: bool
    signed: bool | None
    """None: as the metric is."""
    kind: str
    compute: Callable[[Asked], Found]
    metrics: tuple[str, ...] = ()
    modes: tuple[str, ...] | None = ()
    """The ablation modes it can speak of; None for all of them, () where it has nothing to do with ablation."""
    options: Mapping[str, object] = field(default_factory=dict)
    """Defaults of the options it takes."""
    unit: str = ""
