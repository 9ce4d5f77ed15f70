"""A circuit by itself: the model in which only some edges carry what they carry in this run, and all others the counterfactual.

Only differences from the counterfactual are kept: `δ_u` is what u writes in this run less what it wrote there, and a destination d reads
the counterfactual stream `+ Σ δ_u` over the edges u → d of the circuit. What no change reaches is as it was, to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from ..engine.components import Trace
from ..engine.engine import Engine, Recording
from ..engine.memory import CPU_TOKENS, free_bytes, halving, if_it_fits, rows_together, unused_bytes
from ..errors import AttnWidgetError
from .edgegraph import EdgeGraph
from .edgeruns import columns

_SOURCES = 64  # whose changes are gathered together


def circuit_bytes(graph: EdgeGraph, engine: Engine, recording: Recording) -> int:
    """What a run of one circuit takes: what each component changes, and in the widest layer the streams that inputs read and what comes of
    them, [node or input, position, d_model] in float32 at least."""
    inputs = sum(bool(destination.readers) for destination in graph.destinations if destination.layer == 0)
    return _numbers(engine, recording) * (len(graph.nodes) + 8 * inputs)


def require_memory(graph: EdgeGraph, engine: Engine, recording: Recording) -> None:
    """`AttnWidgetError` where ranking edges and running one circuit would take more memory than there is: on a CPU the system would end
    the process."""
    # Scores of edges hold what every component changes, and gather it; both prompts are held with all that each layer reads and writes.
    scoring = 2 * _numbers(engine, recording) * len(graph.nodes)
    needed = max(circuit_bytes(graph, engine, recording), scoring) + 14 * engine.anatomy.n_layers * _numbers(engine, recording)
    unused = unused_bytes(engine.anatomy.device)
    if unused is None or needed <= unused:
        return
    tokens = recording.ids.shape[1]
    raise AttnWidgetError(
        f"A circuit of this prompt takes about {needed / 1e9:.2g} GB ({len(graph.nodes):,} components, {tokens:,} tokens, "
        f"{recording.resid[0].shape[-1]:,} numbers each) and {unused / 1e9:.2g} GB are free: shorten both prompts to about "
        f"{tokens * unused // needed:,} tokens, take a smaller model, or ask for head scores ('ablation', 'attribution') instead."
    )


def _numbers(engine: Engine, recording: Recording) -> int:
    """Bytes of what one component writes at all positions."""
    stream, anatomy = recording.resid[0], engine.anatomy
    width = max(stream.shape[-1], anatomy.n_heads * anatomy.d_head)
    return torch.promote_types(stream.dtype, torch.float32).itemsize * stream.shape[1] * width


class CircuitRuns:
    """Runs of circuits of one pair of prompts, several at once."""

    def __init__(self, graph: EdgeGraph, clean: Trace, other: Trace):
        self.graph, self.clean, self.other = graph, clean, other
        self.parts = other.parts
        _, self.tokens, self.width = other.resid[0].shape
        self.wide = torch.promote_types(other.resid[0].dtype, torch.float32)
        heads = self.parts.engine.anatomy.n_heads
        self.per_layer = heads + graph.has_mlp  # nodes
        self.inputs = heads + 2 * self.parts.engine.anatomy.n_kv_heads  # of the attention of a layer

    def finals(self, masks: Iterable[np.ndarray]) -> Iterator[list[Tensor | None]]:
        """For each mask, in chunks: the end of the residual stream [1, position, d_model], or None where it is the counterfactual's."""
        source, rows, waiting = iter(masks), self._rows(), []
        while chunk := [*waiting[:rows], *islice(source, max(0, rows - len(waiting)))]:
            waiting = waiting[rows:]
            found = if_it_fits(partial(self._run, chunk), smallest=len(chunk) == 1)
            if found is None:
                waiting, rows = [*chunk, *waiting], math.ceil(len(chunk) / 2)
            else:
                yield found

    def _rows(self) -> int:
        """Circuits run together: what fits, and on a CPU what can be waited for."""
        engine = self.parts.engine
        device, of_one = engine.anatomy.device, circuit_bytes(self.graph, engine, self.parts.recording)
        rows = [int(free_bytes(engine) / of_one), 64]
        rows += [] if engine.max_rows is None else [engine.max_rows]  # the tail may refuse more
        if device.type == "cpu":
            rows.append(CPU_TOKENS // (4 * self.tokens))  # a circuit takes some forwards
        return max(1, min(rows))

    def _run(self, masks: Sequence[np.ndarray]) -> list[Tensor | None]:
        """One chunk. `changes` is δ [circuit, node, position x d_model]; `reached` says which of them are not zero."""
        n = len(masks)
        resid, masks = self.other.resid, np.stack(masks)
        changes = torch.zeros(n, len(self.graph.nodes) - 1, self.tokens * self.width, dtype=self.wide, device=resid[0].device)
        reached = np.zeros(changes.shape[:2], bool)
        changes[:, 0] = (self.clean.resid[0] - resid[0]).to(self.wide).flatten()
        reached[:, 0] = True
        first = 0  # destination
        with self.parts.passing():
            for layer in range(len(self.other.z)):
                self._attention(layer, self._used(masks, reached, first, self.inputs), changes, reached)
                first += self.inputs
                if self.graph.has_mlp:
                    self._mlp(layer, self._used(masks, reached, first, 1), changes, reached)
                    first += 1
        streams, rows = self._streams(resid[-1], self._used(masks, reached, first, 1), changes)
        return [None if row < 0 else streams[row : row + 1] for row in rows[:, 0]]

    def _used(self, masks: np.ndarray, reached: np.ndarray, first: int, count: int) -> np.ndarray:
        """[circuit, destination, source] of `count` destinations with the same sources: the edges that carry a change."""
        start, stop = self.graph.starts[first], self.graph.starts[first + count]
        used = masks[:, start:stop].reshape(len(masks), count, -1)
        return used & reached[:, None, : used.shape[-1]]

    def _streams(self, stream: Tensor, used: np.ndarray, changes: Tensor) -> tuple[Tensor, np.ndarray]:
        """The streams that destinations read, each once [row, position, d_model], and the row of each [circuit, destination]; -1 where it
        is `stream`, the counterfactual's."""
        rows, found, n = np.full(used.shape[:2], -1), [], 0
        for circuit, of in enumerate(used):
            live = of.any(1)
            if not live.any():
                continue
            unlike, which = np.unique(of[live], axis=0, return_inverse=True)
            sources = unlike.any(0).nonzero()[0]
            added = changes.new_zeros(len(unlike), changes.shape[-1])
            for some in np.array_split(sources, math.ceil(len(sources) / _SOURCES)):  # all of them would be a copy of all changes
                weights = torch.from_numpy(unlike[:, some]).to(changes)
                added += weights @ changes[circuit, torch.from_numpy(some).to(changes.device)]
            found.append(added)
            rows[circuit, live] = n + which.reshape(-1)
            n += len(unlike)
        if not found:
            return stream[:0], rows
        added = torch.cat(found).reshape(n, self.tokens, self.width).to(stream.device)
        return (stream + added).to(stream), rows

    def _attention(self, layer: int, used: np.ndarray, changes: Tensor, reached: np.ndarray) -> None:
        parts, other = self.parts, self.other
        streams, rows = self._streams(other.resid[layer], used, changes)
        circuits = (rows >= 0).any(1).nonzero()[0]
        if not len(circuits):
            return
        at_once = rows_together(parts.engine, parts.recording)
        states = [torch.cat(of) for of in zip(*halving(partial(parts.inputs, layer), streams, at_once), strict=True)]
        new = [of[layer].repeat(len(circuits), 1, 1, 1) for of in (other.q, other.k, other.v)]
        below, first = 1 + layer * self.per_layer, self._first(layer)
        for row, circuit in enumerate(circuits):
            for i in (rows[circuit] >= 0).nonzero()[0]:
                destination = self.graph.destinations[first + i]
                site = "qkv".index(destination.input)
                own = columns(parts, destination, states[site])
                new[site][row, :, own] = states[site][rows[circuit, i], :, own]
                reached[circuit, list(destination.nodes)] = True
        together = lambda rows: parts.attention(layer, *(of[rows[0] : rows[-1] + 1] for of in new))  # noqa: E731
        z = torch.cat(list(halving(together, range(len(circuits)), at_once)))
        written = parts.heads(layer, z - other.z[layer]).transpose(1, 2).flatten(2).to(changes.device)
        heads = slice(below, below + z.shape[2])
        # A head that nothing reached is as it was, but for rounding.
        live = torch.from_numpy(reached[circuits, heads]).to(changes.device)
        changes[torch.from_numpy(circuits).to(changes.device), heads] = written.where(live[:, :, None], 0)

    def _first(self, layer: int) -> int:
        """The first destination of a layer."""
        return layer * (self.inputs + self.graph.has_mlp)

    def _mlp(self, layer: int, used: np.ndarray, changes: Tensor, reached: np.ndarray) -> None:
        streams, rows = self._streams(self.other.mid[layer], used, changes)
        circuits = (rows[:, 0] >= 0).nonzero()[0]
        if not len(circuits):
            return
        at_once = rows_together(self.parts.engine, self.parts.recording)
        written = torch.cat(list(halving(partial(self.parts.mlp, layer), streams, at_once))) - self.other.mlp[layer]
        node = 1 + (layer + 1) * self.per_layer - 1
        changes[torch.from_numpy(circuits).to(changes.device), node] = written[rows[circuits, 0]].flatten(1).to(changes)
        reached[circuits, node] = True
