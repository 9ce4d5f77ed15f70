"""Activation patching on edges between components: what single edges do, and what a circuit does alone.

An edge carries what its source wrote into the stream that its destination reads. To patch it is to let the destination, and it alone,
read what the source wrote in a counterfactual run (path patching of one edge; Wang et al. 2022, Goldowsky-Dill et al. 2023). All numbers
are measured, none is estimated; effects are drops of the metric, so positive means that the edge helps.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from ..engine.components import Trace, components, trace
from ..engine.memory import halving
from ..engine.wavefront import wavefront
from ..errors import AttnWidgetError, ModelError
from ..metrics import best
from ..run import Run
from .circuitruns import CircuitRuns
from .edgegraph import EdgeGraph, edge_graph
from .edgeruns import patched
from .measure import METRICS, Measure, make_measure, named
from .method import Progress
from .rounding import rounding_of


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

    @cached_property
    def traces(self) -> tuple[Trace, Trace]:
        """What every component read and wrote in the clean and in the counterfactual run."""
        engine = self.clean.model.engine
        return trace(components(engine, self.clean._recording)), trace(components(engine, self.counterfactual._recording))

    @cached_property
    def rounding(self) -> float:
        """The largest drop of the metric that rounding alone may make at the clean answer, measured (`rounding_of`)."""
        return rounding_of(self.clean, self.measure)

    def __repr__(self) -> str:
        return f"Pair({self.clean!r}, {self.counterfactual!r}, {self.measure.label}: {self.effect_of_all:.6g})"


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
    _comparable(clean, counterfactual)
    if isinstance(metric, str) and metric in METRICS and "against" in METRICS[metric].needs and not named(against):
        against = _other_choice(clean, counterfactual, target, position)
    measure = make_measure(clean, metric, target=target, against=against, position=position)
    graph = edge_graph(clean)
    # As every answer is read here, so that a run equal to the clean one gives 0.
    engine, recording = clean.model.engine, counterfactual._recording
    logits = engine.logits(recording, recording.resid[-1], measure.positions or None)
    effect = measure.effect(logits).item()
    if not np.isfinite(effect) or effect == 0 or _alike_but_for_rounding(measure.before, logits[0]):
        raise AttnWidgetError(
            f"Both prompts give the same answer ({measure.label} between them is {effect:g}), so there is nothing to explain: "
            "change a word that the answer depends on, or ask for another metric, target or position."
        )
    return Pair(clean, counterfactual, measure, graph, effect)


def _comparable(clean: Run, counterfactual: Run) -> None:
    for one in (clean, counterfactual):
        if not isinstance(one, Run):
            raise AttnWidgetError(f"A pair is of two runs, model.run(prompt), not {type(one).__name__}: run both prompts.")
    if clean.model is not counterfactual.model:
        raise AttnWidgetError(
            f"The two runs are of two models ({clean.model.name}, {counterfactual.model.name}): run both prompts through one."
        )
    for name, run in (("prompt", clean), ("counterfactual", counterfactual)):
        if run.ablation.heads:
            raise AttnWidgetError(f"The {name} has heads ablated, and edges are patched between runs of the whole model: give its .clean.")
        if run.outdated:
            raise ModelError(f"The model's weights have changed since the {name} was run: run it again with model.run(...).")
    if len(clean) != len(counterfactual):
        raise AttnWidgetError(
            f"The prompt has {len(clean)} tokens and the counterfactual {len(counterfactual)}, and what stands at a position of one must "
            "stand at the same of the other: change words for others of as many tokens."
        )
    if clean.ids == counterfactual.ids:
        raise AttnWidgetError("The counterfactual is the prompt itself, token by token: change a word that the answer depends on.")
    if not _called_alike(clean, counterfactual):
        raise ModelError(
            f"The blocks of {clean.model.name} are told something about these two prompts beside the residual stream, and not the same, "
            "so what passes between components is not all there is: ask for head scores instead."
        )


def _alike_but_for_rounding(one: Tensor, other: Tensor) -> bool:
    return (one - other).abs().max().item() <= 16 * torch.finfo(one.dtype).eps * one.abs().max().item()


def _called_alike(one: Run, other: Run) -> bool:
    def alike(a: object, b: object) -> bool:
        if isinstance(a, Tensor) and isinstance(b, Tensor):
            return a.shape == b.shape and torch.equal(a, b)
        if isinstance(a, (tuple, list)) and isinstance(b, (tuple, list)):
            return len(a) == len(b) and all(map(alike, a, b))
        return isinstance(a, Tensor) == isinstance(b, Tensor)

    return all(
        alike(a.args, b.args) and a.kwargs.keys() == b.kwargs.keys() and all(alike(a.kwargs[key], b.kwargs[key]) for key in a.kwargs)
        for a, b in zip(one._recording.calls, other._recording.calls, strict=True)
    )


def _other_choice(clean: Run, counterfactual: Run, target: str | int | None, position: int | None) -> str | int | None:
    at = None if clean.model.answer == "class" else clean.position(position)
    answers_with = clean.model.token_id(target) if named(target) else best(clean.logits_at(at), 1)[0]
    other = best(counterfactual.logits_at(at), 1)[0]
    return None if other == answers_with else other


def edge_effects(pair: Pair, edges: Sequence[int], *, progress: Progress | None = None) -> np.ndarray:
    """[edge of `edges`] in float64: the drop of the metric with this one edge patched, measured.

    The destination reads the clean stream + (source's output in the counterfactual - its output in the clean run), and everything behind
    it follows; everything else that reads the source reads it clean. An edge whose source writes the same in both runs has no effect.
    """
    progress = progress or (lambda done, total, text: None)
    edges = [int(edge) for edge in edges]
    if wrong := [edge for edge in edges if not 0 <= edge < len(pair.graph)]:
        raise AttnWidgetError(f"No edge {wrong[0]}: this graph has {len(pair.graph)}, counted from 0.")
    effects = np.zeros(len(edges))
    engine, recording = pair.clean.model.engine, pair.clean._recording
    order: list[int] = []  # of the variants, as they are made
    variants = patched(pair.graph, *pair.traces, edges, order)
    done = 0
    progress(0, len(edges), "Patching edges")
    for rows, logits in wavefront(engine, recording, variants, pair.measure.positions or None):
        effects[[order[row] for row in rows]] = pair.measure.effect(logits).cpu().double().numpy()
        done += len(rows)
        progress(done, len(edges), "Patching edges")
    progress(len(edges), len(edges), "")
    return effects


def circuit_effects(pair: Pair, masks: Iterable[np.ndarray], *, progress: Progress | None = None, total: int | None = None) -> np.ndarray:
    """[mask] in float64: the drop of the metric when only the edges of a mask [edge] carry what they carry in this very run.

    All others carry what they carry in the counterfactual run. 0 for all edges (up to rounding), `pair.effect_of_all` for none (exactly).
    `total` is how many masks there are, for `progress`, where they are made one by one.
    """
    progress = progress or (lambda done, total, text: None)
    if total is None and isinstance(masks, Sequence):
        total = len(masks)
    runs, effects = CircuitRuns(pair.graph, *pair.traces), []
    engine, recording = pair.clean.model.engine, pair.counterfactual._recording

    def read(some: Sequence[Tensor]) -> list[float]:
        return pair.measure.effect(engine.logits(recording, torch.cat(some), pair.measure.positions or None)).tolist()

    for finals in runs.finals(pair.graph.prune(mask) for mask in masks):
        reached = [final for final in finals if final is not None]
        found = chain.from_iterable(halving(read, reached, max(1, len(reached))))
        # Where nothing reaches the end, the answer is the counterfactual's to the bit.
        effects += [pair.effect_of_all if final is None else next(found) for final in finals]
        progress(len(effects), max(total or 0, len(effects)), "Running circuits")
    return np.array(effects, dtype=np.float64)


def faithfulness(pair: Pair, effects: np.ndarray) -> np.ndarray:
    """`(m(C) - m(∅)) / (m(M) - m(∅)) = 1 - effects / pair.effect_of_all` (Marks et al. 2024, Mueller et al. 2025).

    1 is the whole model, 0 the counterfactual; more than 1 is possible: a circuit that leaves out what works against the answer.
    """
    return 1 - np.asarray(effects, dtype=np.float64) / pair.effect_of_all
