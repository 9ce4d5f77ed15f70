"""Information flow routes: how much of what a component reads each of those before it wrote, followed from the answer to the embedding.

After J. Ferrando and E. Voita, Information Flow Routes (2024), with their measure of what one addend is to a sum, on the edges of
`EdgeGraph`: they cut the stream at each block, here a component reads what every single one before it wrote.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..engine.components import Trace, components, trace
from ..engine.interrupt import checkpoint
from ..engine.writes import wide
from ..heads import Head
from ..run import Run
from .edgegraph import EdgeGraph
from .method import Progress

_NUMBERS = 2**23  # in memory at once, in float64


def information_flow(run: Run, graph: EdgeGraph, position: int, progress: Progress | None = None) -> np.ndarray:
    """[edge] in float64: the flow through every edge, of 1 that leaves `("logits", position)`.

    An addend x of a sum y has the share relu(‖y‖₁ - ‖y - x‖₁) / Σ of the same over all addends. A stream y is the sum of what the
    components before it wrote (biases take no share). What reaches a head at a query goes on to the values it read, by the shares of
    `A[query, key] · v[key] W_O` in what it wrote; what reaches an MLP goes on to the stream it read at that position. Queries and keys get
    nothing. So the edges into logits sum to 1, and all of it arrives at the embedding, but for what reaches a component none of whose
    addends has a share: there it ends.

    One forward, no gradient and no counterfactual: it says by which ways the answer's stream was written, whatever is asked of the answer.
    """
    seen = trace(components(run.model.engine, run.clean._recording))
    flow = np.zeros((len(graph.nodes), len(run.ids)))
    flow[-1, position] = 1
    scores, layers = np.zeros(len(graph)), run.model.n_layers
    _pass(graph, scores, flow, [len(graph.destinations) - 1], [flow[-1]], seen.resid[-1], seen)
    for layer in reversed(range(layers)):
        if progress is not None:
            progress(layers - 1 - layer, layers, "Following the flow")
        here = [i for i, d in enumerate(graph.destinations) if d.layer == layer]
        for i in here:
            if graph.destinations[i].input == "mlp":
                _pass(graph, scores, flow, [i], [flow[graph.destinations[i].nodes[0]]], seen.mid[layer], seen)
        groups, patterns = [i for i in here if graph.destinations[i].input == "v"], run.clean.patterns(layer)
        read = [
            sum(_to_values(patterns[head.head], seen, head, flow[node]) for head, node in zip(d.readers, d.nodes, strict=True))
            for d in (graph.destinations[i] for i in groups)
        ]
        _pass(graph, scores, flow, groups, read, seen.resid[layer], seen)
    if progress is not None:
        progress(layers, layers, "")
    return scores


def _pass(
    graph: EdgeGraph,
    scores: np.ndarray,
    flow: np.ndarray,
    destinations: list[int],
    read: list[np.ndarray],
    stream: Tensor,
    seen: Trace,
) -> None:
    """Passes what `destinations`, which read one stream, get at each position (`read`) to the sources of that stream."""
    at = np.flatnonzero(np.sum(read, 0) > 0)
    if not len(at):
        return
    start, stop = graph.starts[destinations[0] : destinations[0] + 2]
    share = _shares(graph, stop - start, stream, at, seen)
    for destination, got in zip(destinations, read, strict=True):
        passed = share * got[at]
        start, stop = graph.starts[destination : destination + 2]
        scores[start:stop] = passed.sum(-1)
        flow[: stop - start, at] += passed


def _shares(graph: EdgeGraph, n: int, stream: Tensor, at: np.ndarray, seen: Trace) -> np.ndarray:
    """[source, place]: the shares of the first `n` nodes in a stream, at the positions `at`."""
    width = stream.shape[-1] * seen.parts.engine.anatomy.n_heads
    return np.concatenate([_shares_at(graph, n, stream, some, seen) for some in _split(at, width)], 1)


def _shares_at(graph: EdgeGraph, n: int, stream: Tensor, at: np.ndarray, seen: Trace) -> np.ndarray:
    y = wide(stream[0, at])
    rows: list[Tensor] = []
    for layer in range(-1, seen.parts.engine.anatomy.n_layers):
        if len(rows) == n:
            break
        checkpoint()
        if layer < 0:
            rows.append(_closeness(y, wide(seen.resid[0][0, at])))
            continue
        rows += _closeness(y, wide(seen.parts.heads(layer, seen.z[layer][:, at])[0]).transpose(0, 1))
        if graph.has_mlp and len(rows) < n:
            rows.append(_closeness(y, wide(seen.mlp[layer][0, at])))
    return _of_all(torch.stack(rows).cpu().numpy(), 0)


def _to_values(pattern: Tensor, seen: Trace, head: Head, flow: np.ndarray) -> np.ndarray:
    """[key position]: what reaches a head at each query goes on to the values of its keys, by its `pattern` [query, key]."""
    passed, queries = np.zeros(len(flow)), np.flatnonzero(flow > 0)
    if not len(queries):
        return passed
    values = seen.v[head.layer][0]
    each = seen.parts.engine.anatomy.n_heads // values.shape[1]  # heads that share a column
    written = wide(values[:, head.head // each]) @ wide(seen.parts.layers[head.layer].weight[head.head])
    pattern = wide(pattern)
    for some in _split(queries, written.numel()):
        checkpoint()
        addends = pattern[some][:, :, None] * written
        share = _of_all(_closeness(addends.sum(1)[:, None], addends).cpu().numpy(), 1)
        passed += flow[some] @ share
    return passed


def _split(places: np.ndarray, each: int) -> list[np.ndarray]:
    """Places, as many together as there is room for, of `each` so many numbers."""
    return np.array_split(places, max(1, -(-len(places) * each // _NUMBERS)))


def _closeness(y: Tensor, x: Tensor) -> Tensor:
    """relu(‖y‖₁ - ‖y - x‖₁) over the last dimension."""
    return (y.abs().sum(-1) - (y - x).abs().sum(-1)).relu()


def _of_all(values: np.ndarray, axis: int) -> np.ndarray:
    """Shares of the sum along an axis; 0 where there is nothing to be shared."""
    total = values.sum(axis, keepdims=True)
    return np.divide(values, total, out=np.zeros_like(values), where=total > 0)
