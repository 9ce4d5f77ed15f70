"""What a score was measured from, to be compared and not to be read: the words that describe a run leave things out."""

from __future__ import annotations

from collections.abc import Hashable

from ..run import Run


def origin(run: Run) -> Hashable:
    """Equal for two runs of one model, its weights unchanged, on the same ids with the same ablation. It holds on to no run or tensor."""
    model, ablation = run.model, run.ablation
    what: list[Hashable] = [model.name, model.processing, str(model.dtype), run._recording.weights, tuple(run.ids)]
    if ablation.heads:
        given = ablation.reference
        references = () if given is None else given if isinstance(given, tuple) else (given,)
        what += [ablation.heads, ablation.mode, ablation.positions, ablation.scale, ablation.threshold, ablation.seed]
        what += [tuple(origin(reference) for reference in references)]
    return tuple(what)
