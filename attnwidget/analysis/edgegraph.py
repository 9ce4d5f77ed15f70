"""The graph of a model's components: which component's output is read by which input of which other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from ..engine.components import components
from ..errors import AttnWidgetError, ModelError
from ..heads import Head
from ..run import Run

Input = Literal["q", "k", "v", "mlp", "logits"]
_ARROW = " → "


@dataclass(frozen=True)
class Node:
    """A component: what enters the first block ("embed"), a head ("L3H2"), an MLP ("MLP 3"), or the answer ("logits")."""

    name: str
    kind: Literal["embed", "head", "mlp", "logits"]
    layer: int
    """-1 for embed, the number of layers for logits."""
    head: int | None


@dataclass(frozen=True)
class Destination:
    """An input that can be given a stream of its own: the queries of one head, the keys or the values of one key-value group (of one
    head, where heads share none), an MLP, or what makes the logits."""

    layer: int
    input: Input
    readers: tuple[Head, ...]
    """The heads that read it; none for an MLP and for the logits."""
    nodes: tuple[int, ...]
    """The same as indices into `EdgeGraph.nodes`; for an MLP and for the logits their own."""

    @property
    def name(self) -> str:
        """As in "L23H3.q", "L23 group 1.k" (several heads read it), "MLP 4", "logits"."""
        if self.input == "mlp":
            return f"MLP {self.layer}"
        if self.input == "logits":
            return "logits"
        if len(self.readers) == 1:
            return f"{self.readers[0]}.{self.input}"
        return f"L{self.layer} group {self.readers[0].head // len(self.readers)}.{self.input}"


@dataclass(frozen=True, eq=False)
class EdgeGraph:
    """Every edge between components, ordered by destination in the order of the model, then by source.

    The sources of a destination are the first so many nodes: attention of layer l reads the embedding and all heads and MLPs of the
    layers below; MLP l reads these and, in a sequential block, the heads of its own layer. Biases belong to no node. With L layers of
    H heads that share no keys, in sequential blocks, there are Σ_l 3H(1 + l(H+1)) + Σ_l (1 + l(H+1) + H) + 1 + L(H+1) edges.
    """

    nodes: tuple[Node, ...]
    """In the order of the model: embed first, logits last."""
    destinations: tuple[Destination, ...]
    """In the order of the model: by layer; there q by head, k and v by group, the MLP; the logits last."""
    source: np.ndarray
    """[edge], an index into `nodes`."""
    destination: np.ndarray
    """[edge], an index into `destinations`."""
    parallel: bool
    """Whether attention and MLP of a block read the same stream (GPT-NeoX, GPT-J)."""
    has_mlp: bool

    def __post_init__(self) -> None:
        self.source.flags.writeable = self.destination.flags.writeable = False

    def __len__(self) -> int:
        return len(self.source)

    def __repr__(self) -> str:
        return f"EdgeGraph({len(self.nodes)} nodes, {len(self.destinations)} inputs, {len(self)} edges)"

    @cached_property
    def starts(self) -> np.ndarray:
        """[destination + 1]: the edges of destination d are those from `starts[d]` up to `starts[d + 1]`."""
        starts = np.searchsorted(self.destination, np.arange(len(self.destinations) + 1))
        starts.flags.writeable = False
        return starts

    def edge(self, source: int, destination: int) -> int:
        """The edge from a node to a destination, both by index; `AttnWidgetError` where there is none."""
        if not 0 <= destination < len(self.destinations) or not 0 <= source < len(self.nodes):
            raise AttnWidgetError(
                f"No edge from node {source} to input {destination}: this graph has nodes 0 to {len(self.nodes) - 1} and inputs 0 to "
                f"{len(self.destinations) - 1}; find(label) takes names."
            )
        start, stop = self.starts[destination : destination + 2]
        if source >= stop - start:
            raise AttnWidgetError(
                f"No edge {self.nodes[source].name}{_ARROW}{self.destinations[destination].name}: "
                "a component reads those that stand before it in the model."
            )
        return int(start) + source

    def label(self, edge: int) -> str:
        """As in "L19H2 → L23H3.q", "L19H2 → L23 group 1.k", "L3H1 → MLP 4", "embed → logits"."""
        if not 0 <= edge < len(self):
            raise AttnWidgetError(f"No edge {edge}: this graph has edges 0 to {len(self) - 1}; find(label) gives the number of one.")
        return f"{self.nodes[self.source[edge]].name}{_ARROW}{self.destinations[self.destination[edge]].name}"

    def find(self, label: str) -> int:
        """The edge of a label, as `label` writes it (or with "->"); `AttnWidgetError` where there is none."""
        if not isinstance(label, str):
            raise AttnWidgetError(f"An edge is found by its label, a text such as {self.label(0)!r}, not by {label!r}: label(e) writes it.")
        parts = [part.strip() for part in label.replace("->", _ARROW.strip()).split(_ARROW.strip())]
        if len(parts) != 2 or parts[0] not in self._sources or parts[1] not in self._inputs:
            raise AttnWidgetError(
                f"No edge {label!r} in this model: write one as {self.label(0)!r} or {self.label(len(self) - 1)!r}; "
                f"its inputs are named as in {', '.join(repr(d.name) for d in self.destinations[-6:])}."
            )
        return self.edge(self._sources[parts[0]], self._inputs[parts[1]])

    def prune(self, mask: np.ndarray) -> np.ndarray:
        """[edge]: the edges of `mask` that lie on a path from embed to logits within it.

        A head is passed through from any of its inputs to its output; an edge into the keys or values of a group reaches all its heads.
        """
        mask = self.checked(mask)
        reached, used = np.zeros(len(self.nodes), bool), np.zeros(len(self.nodes), bool)
        reached[0] = used[-1] = True
        spans = [slice(start, stop) for start, stop in zip(self.starts, self.starts[1:], strict=False)]
        for destination, span in zip(self.destinations, spans, strict=True):
            if (mask[span] & reached[self.source[span]]).any():
                reached[list(destination.nodes)] = True
        for destination, span in zip(reversed(self.destinations), reversed(spans), strict=True):
            if used[list(destination.nodes)].any():
                used[self.source[span][mask[span]]] = True
        read = np.array([used[list(destination.nodes)].any() for destination in self.destinations])
        return mask & reached[self.source] & read[self.destination]

    def incident(self, nodes: Iterable[int]) -> np.ndarray:
        """[edge]: the edges that start at one of `nodes` or that only they read (of a key-value group: all its heads are among them)."""
        chosen = set(nodes)
        ends = np.array([chosen.issuperset(destination.nodes) for destination in self.destinations])
        return np.isin(self.source, sorted(chosen)) | ends[self.destination]

    @cached_property
    def _sources(self) -> dict[str, int]:
        return {node.name: i for i, node in enumerate(self.nodes)}

    @cached_property
    def _inputs(self) -> dict[str, int]:
        return {destination.name: i for i, destination in enumerate(self.destinations)}

    def checked(self, mask: np.ndarray) -> np.ndarray:
        """`mask` as an array; `AttnWidgetError` where it is not one boolean for each edge."""
        mask = np.asarray(mask)
        if mask.shape != (len(self),) or mask.dtype != bool:
            raise AttnWidgetError(f"A circuit is a mask of {len(self)} booleans, one for each edge, not {mask.dtype} {mask.shape}.")
        return mask


def edge_graph(run: Run) -> EdgeGraph:
    """The graph of the model of `run`, which is proved on that run (for each state of the weights once).

    `ModelError`, with the reason, where a model cannot be taken apart: heads that do not write into the stream by addition (BERT, Gemma 2,
    OLMo 2), queries, keys or values that cannot be given for one head alone, blocks that cannot be called by themselves.
    """
    parts = components(run.model.engine, run.clean._recording)
    if len({part.mlp is None for part in parts.layers}) > 1:
        raise ModelError(f"Some blocks of {run.model.name} have an MLP and some have none, which this graph does not describe.")
    model = run.model
    return make_graph(model.n_layers, model.n_heads, model.n_kv_heads, parallel=parts.parallel, has_mlp=parts.layers[0].mlp is not None)


def make_graph(n_layers: int, n_heads: int, n_kv_heads: int, *, parallel: bool = False, has_mlp: bool = True) -> EdgeGraph:
    """The graph of any model of that shape."""
    nodes, destinations, n_sources = [Node("embed", "embed", -1, None)], [], []
    size = n_heads // n_kv_heads
    for layer in range(n_layers):
        below, heads = len(nodes), [Head(layer, head) for head in range(n_heads)]
        nodes += [Node(str(head), "head", layer, head.head) for head in heads]
        groups = [tuple(range(group * size, (group + 1) * size)) for group in range(n_kv_heads)]
        for name, of in (("q", [(head,) for head in range(n_heads)]), ("k", groups), ("v", groups)):
            for group in of:
                destinations.append(Destination(layer, name, tuple(heads[h] for h in group), tuple(below + h for h in group)))
                n_sources.append(below)
        if has_mlp:
            destinations.append(Destination(layer, "mlp", (), (len(nodes),)))
            n_sources.append(below if parallel else len(nodes))
            nodes.append(Node(f"MLP {layer}", "mlp", layer, None))
    destinations.append(Destination(n_layers, "logits", (), (len(nodes),)))
    n_sources.append(len(nodes))
    nodes.append(Node("logits", "logits", n_layers, None))
    source = np.concatenate([np.arange(n, dtype=np.int32) for n in n_sources])
    destination = np.repeat(np.arange(len(destinations), dtype=np.int32), n_sources)
    return EdgeGraph(tuple(nodes), tuple(destinations), source, destination, parallel, has_mlp)
