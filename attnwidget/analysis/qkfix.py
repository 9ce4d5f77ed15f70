"""Attribution through the pattern with its softmax computed anew: the "QK fix" of AtP* (Kramár et al., 2024)."""

from __future__ import annotations

from torch import Tensor

from ..engine import Edit, scores_refused
from ..errors import AttnWidgetError, ModelError
from ..heads import Head
from .attribution import each_layer
from .gradients import Gradient, float32
from .method import Asked, Found

_NODES = {"q": "queries", "k": "keys"}
_FORMULA = "Σ (A* − A) · ∂effect/∂A, A* the pattern with its {} replaced"


def attribution_qkfix(asked: Asked) -> Found:
    """`Σ_qk (A*[q, k] − A[q, k]) · ∂effect/∂A[q, k]`, with A* the head's pattern when its queries (or keys) are replaced.

    A saturated softmax has no slope, so that plain attribution of a query or key that a head relies on is near 0. Here the softmax is
    computed anew, and only what follows the pattern is taken to first order. `zero` sets the node to zero, which for either node sets
    every score to zero; `resample` takes that of the reference prompt; at the ablation's positions, of the queries or of the keys. With
    grouped keys, those of the group are replaced, and each of its heads is scored for what its own pattern does. One forward and one
    backward, and one more forward, block by block.
    """
    node = asked.options["node"]
    if node not in tuple(_NODES):
        raise AttnWidgetError(f"node must be 'q' (the queries are replaced) or 'k' (the keys are), not {node!r}.")
    run = asked.run
    if (reason := scores_refused(run.model.engine, run._recording)) is not None:
        raise ModelError(f"{reason} Ask for 'attribution' instead.")

    def estimate(at: Gradient, heads: list[Head]) -> Tensor:
        change = _pattern(asked, at.layer, node, heads) - at.pattern
        return (float32(change) * at.pattern_slope()).sum((1, 2))

    values = each_layer(asked, asked.measure.effect, estimate, patterns=True)
    return Found(values, formula=_FORMULA.format(_NODES[node]), baseline=_baseline(asked, node))


def _pattern(asked: Asked, layer: int, node: str, heads: list[Head]) -> Tensor:
    """[head, query, key] of a layer with the queries (or keys) of all its heads replaced: a pattern depends on its own head's alone."""
    run, ablation = asked.run, asked.ablate(heads)
    where = slice(None) if ablation.positions is None else list(ablation.positions)
    other = None if ablation.reference is None else ablation.reference._capture(node, layer)[None]

    def replace(states: Tensor) -> Tensor:
        new = states.clone()
        new[:, where] = 0 if other is None else other[:, where].to(states)
        return new

    edits = [*(edit for edit in run._edits if edit.layer == layer), Edit(layer, node, replace)]
    passed = run.model.engine.resume(
        run._recording, edits, start=layer, stop=layer + 1, resid=run._resid[layer], capture=[("pattern", layer)]
    )
    return passed.captured["pattern", layer][0]


def _baseline(asked: Asked, node: str) -> str:
    if not asked.heads:
        return ""
    shared = asked.run.model.n_heads // asked.run.model.n_kv_heads
    whose = f"{_NODES[node]}, which {shared} heads share," if node == "k" and shared > 1 else _NODES[node]
    # "z set to zero at all positions", "z taken from the run on '…' at position 3"
    return asked.ablate(asked.heads[:1]).describe().replace("z", whose, 1)
