"""Activation patching on edges between components: what single edges do, and what a circuit does alone.

An edge carries what its source wrote into the stream that its destination reads. To patch it is to let the destination, and it alone,
read what the source wrote in a counterfactual run (path patching of one edge; Wang et al. 2022, Goldowsky-Dill et al. 2023). All numbers
are measured, none is estimated; effects are drops of the metric, so positive means that the edge helps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ..run import Run
from .edgegraph import EdgeGraph
from .measure import Measure

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, eq=False)
class Pair:
    """A prompt and a counterfactual of as many tokens, with the question that is asked of both. Make one with `make_pair`."""

    clean: Run
    counterfactual: Run
    measure: Measure
    """Its effect is 0 at the clean answer."""
    graph: EdgeGraph
    effect_of_all: float
    """The drop of the metric from the clean to the counterfactual run: that of every edge patched, or of the empty circuit."""


def make_pair(
    clean: Run,
    counterfactual: Run,
    metric: str = "logit_diff",
    *,
    target: str | int | None = None,
    against: str | int | None = None,
    position: int | None = None,
) -> Pair:
    """Checks two runs against each other, and the model for whether it can be taken apart.

    Args:
        clean, counterfactual: runs of one model, with nothing ablated, on prompts of as many tokens, not the same.
        metric: one of `METRICS` of `analysis/measure.py`.
        target: by default the clean run's first choice.
        against: by default the counterfactual run's first choice if that is not `target`, else the clean run's best other.
        position: where the answer is read; by default where the model answers.

    Raises:
        AttnWidgetError: prompts of different length, the same prompt twice, ablated runs, runs of two models, or two prompts that give
            the same answer in this metric (nothing to explain).
        ModelError: what `edge_graph` says, or a run of earlier weights.
    """
    raise NotImplementedError


def edge_effects(pair: Pair, edges: Sequence[int], *, progress: Progress | None = None) -> np.ndarray:
    """[edge of `edges`] in float64: the drop of the metric with this one edge patched, measured.

    The destination reads the clean stream + (source's output in the counterfactual - its output in the clean run), and everything behind
    it follows; everything else that reads the source reads it clean.
    """
    raise NotImplementedError


def circuit_effects(pair: Pair, masks: Iterable[np.ndarray], *, progress: Progress | None = None, total: int | None = None) -> np.ndarray:
    """[mask] in float64: the drop of the metric when only the edges of a mask [edge] carry what they carry in this very run.

    All others carry what they carry in the counterfactual run. 0 for all edges (up to rounding), `pair.effect_of_all` for none (exactly).
    `total` is how many masks there are, for `progress`, where they are made one by one.
    """
    raise NotImplementedError


def faithfulness(pair: Pair, effects: np.ndarray) -> np.ndarray:
    """`(m(C) - m(∅)) / (m(M) - m(∅)) = 1 - effects / pair.effect_of_all` (Marks et al. 2024, Mueller et al. 2025).

    1 is the whole model, 0 the counterfactual; more than 1 is possible: a circuit that leaves out what works against the answer.
    """
    return 1 - np.asarray(effects, dtype=np.float64) / pair.effect_of_all
