"""One edge patched: the residual stream that leaves the block of its destination, made from what single components do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

import torch
from torch import Tensor

from ..engine.components import Components, Trace
from ..engine.memory import halving, rows_together
from ..engine.wavefront import Entering
from .edgegraph import Destination, EdgeGraph


def differences(graph: EdgeGraph, one: Trace, other: Trace, nodes: Sequence[int]) -> Tensor:
    """What each of `nodes` wrote in `other` less what it wrote in `one`, [node, position, d_model], in float32 at least."""
    parts, wanted = one.parts, [graph.nodes[i] for i in nodes]
    heads: dict[int, Tensor] = {}
    with parts.passing():
        for layer in {node.layer for node in wanted if node.kind == "head"}:
            heads[layer] = parts.heads(layer, other.z[layer] - one.z[layer])[0]
    found = []
    for node in wanted:
        if node.kind == "embed":
            change = other.resid[0][0] - one.resid[0][0]
        elif node.kind == "mlp":
            change = (other.mlp[node.layer] - one.mlp[node.layer])[0]
        else:
            change = heads[node.layer][:, node.head]
        found.append(change.to(one.resid[0].device, torch.promote_types(change.dtype, torch.float32)))
    return torch.stack(found)


def columns(parts: Components, destination: Destination, states: Tensor) -> slice:
    """Where the queries, keys or values of a destination stand among those of all heads, [row, position, head, d_head]."""
    head = destination.readers[0].head
    if destination.input == "q":
        return slice(head, head + 1)
    return parts.group_columns(head // len(destination.readers), states)


def patched(graph: EdgeGraph, clean: Trace, other: Trace, edges: Sequence[int], order: list[int]) -> Iterator[Entering]:
    """The clean run with one edge patched, for each of `edges` in the order of the model: the stream that leaves the block of its
    destination, and so enters the next. To `order` goes which of `edges` each is; those whose source wrote the same are left out.
    """
    recording = clean.parts.recording
    at_once = rows_together(clean.parts.engine, recording)

    def where(i: int) -> tuple[int, bool]:
        destination = graph.destinations[graph.destination[edges[i]]]
        return destination.layer, bool(destination.readers)

    def of_attention_first(i: int) -> tuple[int, bool]:
        layer, attention = where(i)
        return layer, not attention

    for (layer, attention), group in groupby(sorted(range(len(edges)), key=of_attention_first), key=where):
        some = list(group)

        def leaving(chunk: list[int], layer: int = layer, attention: bool = attention) -> tuple[list[int], Sequence[Tensor]]:
            sources = sorted({int(graph.source[edges[i]]) for i in chunk})
            changes = differences(graph, clean, other, sources)
            differs = [bool(change.any()) for change in changes]
            chunk = [i for i in chunk if differs[sources.index(graph.source[edges[i]])]]
            if not chunk:
                return chunk, ()
            rows = [sources.index(graph.source[edges[i]]) for i in chunk]
            if attention:
                return chunk, _through_attention(graph, clean, layer, [edges[i] for i in chunk], changes, rows)
            if layer < len(clean.z):
                return chunk, _through_mlp(clean, layer, changes)[rows]
            return chunk, _plus(clean.resid[-1], changes)[rows]

        enters = min(layer + 1, len(clean.z))
        for chunk, streams in halving(leaving, some, at_once):
            order += chunk
            yield from (Entering(enters, streams[row : row + 1]) for row in range(len(chunk)))


def _through_attention(graph: EdgeGraph, clean: Trace, layer: int, edges: Sequence[int], changes: Tensor, rows: Sequence[int]) -> Tensor:
    """What the block returns when one input of its attention reads the stream with a change, [edge, position, d_model]."""
    parts, before, n = clean.parts, clean.resid[layer], len(edges)
    destinations = [graph.destinations[graph.destination[edge]] for edge in edges]
    with parts.passing():
        states = dict(zip("qkv", parts.inputs(layer, _plus(before, changes)), strict=True))
        new = {site: kept[layer].repeat(n, 1, 1, 1) for site, kept in (("q", clean.q), ("k", clean.k), ("v", clean.v))}
        for i, (destination, row) in enumerate(zip(destinations, rows, strict=True)):
            own = columns(parts, destination, states[destination.input])
            new[destination.input][i, :, own] = states[destination.input][row, :, own]
        changed, z = parts.attention(layer, new["q"], new["k"], new["v"]), clean.z[layer].repeat(n, 1, 1, 1)
        for i, destination in enumerate(destinations):
            readers = [head.head for head in destination.readers]
            z[i, :, readers] = changed[i, :, readers]
        return parts.after(layer, before.expand(n, -1, -1), z)


def _through_mlp(clean: Trace, layer: int, changes: Tensor) -> Tensor:
    with clean.parts.passing():
        written = clean.parts.mlp(layer, _plus(clean.mid[layer], changes))
    return _plus(clean.resid[layer + 1], written - clean.mlp[layer])


def _plus(stream: Tensor, change: Tensor) -> Tensor:
    return (stream + change.to(stream.device)).to(stream)
