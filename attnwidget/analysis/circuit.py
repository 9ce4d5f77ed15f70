"""`Circuit`: edges between components that carry an answer, with what was measured of each and of the whole."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from ..drawable import Drawable
from ..heads import Head
from ..markup import html_table
from .edgegraph import EdgeGraph, Input
from .secondprompt import Token
from .wording import half

if TYPE_CHECKING:
    import networkx


@dataclass(frozen=True)
class Role:
    """What a head of the circuit was seen to do, by a criterion of `circuitroles`; `shown` has the numbers it was judged by."""

    name: str
    shown: str


@dataclass(frozen=True)
class CircuitNode:
    """A component that edges of the circuit start from or end at. `layer` is -1 for embed, the number of layers for logits."""

    name: str
    kind: Literal["embed", "head", "mlp", "logits"]
    layer: int
    head: int | None
    roles: tuple[Role, ...] = ()


@dataclass(frozen=True)
class CircuitEdge:
    """One edge. `score` is the method's; `effect` the drop of the metric with this edge alone patched, measured; `without` the faithfulness
    of the circuit without it, measured. Positive scores and effects help. None: not measured (yet, or for lack of a counterfactual).

    `source` and `target` are indices into `Circuit.nodes`. Keys and values may be read by the several heads of a group: `readers` names
    them all, and `target` is the first of them that goes on in the circuit.
    """

    source: int
    target: int
    input: Input
    label: str
    readers: tuple[Head, ...]
    score: float
    effect: float | None = None
    without: float | None = None


@dataclass(frozen=True)
class RandomCircuits:
    """Faithfulness of `circuits` circuits of as many edges, drawn evenly from all edges: the lowest, the median, the highest."""

    circuits: int
    low: float
    median: float
    high: float


@dataclass(frozen=True)
class CurvePoint:
    """Faithfulness of the top `edges` edges, of which `kept` lie on a path from embed to logits."""

    edges: int
    kept: int
    faithfulness: float
    random: RandomCircuits | None


@dataclass(frozen=True)
class Completeness:
    """Faithfulness of the circuit and of the whole model, both with the nodes `removed` (indices into `Circuit.nodes`); `how` says why
    these. A circuit that has all that matters loses what the model loses."""

    removed: tuple[int, ...]
    how: str
    circuit: float
    model: float


@dataclass(frozen=True)
class Minimality:
    """How the circuit's faithfulness changes when `node` is removed too, after `removed`: the largest change, in size, of those tried.
    A node that changes nothing with any others gone is not needed."""

    node: int
    change: float
    removed: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Circuit(Drawable):
    """The top edges of a method, less those that lead nowhere; each was patched by itself, and the whole was run with everything else
    taken from the counterfactual.

    `clean` and `counterfactual` are the metric m of the two runs. `faithfulness` is f(C) = (m(C) - m(∅)) / (m(M) - m(∅)): 1 for the whole
    model M, 0 for the counterfactual ∅; more than 1 is possible. `curve` has f at several sizes beside random circuits; `cpr` = ∫ f dk and
    `cmd` = ∫ |1 - f| dk over the share k of edges, 0.001 to 1. `exact` says whether the scores themselves are measured, and not estimated.
    None is "not measured": while it is being computed, or without a counterfactual. `scores` [edge] and `mask` [edge] are over all edges of
    `graph`. `python` computes the same in a cell.
    """

    method: str
    label: str
    formula: str
    exact: bool
    metric: str
    target: Token | None
    against: Token | None
    position: int | None
    """None for a classifier, which answers once."""
    nodes: tuple[CircuitNode, ...]
    edges: tuple[CircuitEdge, ...]
    total: int
    pruned: int
    clean: float
    counterfactual: float | None
    note: str
    python: str
    graph: EdgeGraph
    scores: np.ndarray
    mask: np.ndarray
    faithfulness: float | None = None
    curve: tuple[CurvePoint, ...] = ()
    cpr: float | None = None
    cmd: float | None = None
    completeness: tuple[Completeness, ...] = ()
    minimality: tuple[Minimality, ...] = ()
    shape: tuple[int, int] = field(default=(0, 0))
    """Layers and heads of the model."""
    dtype: str = ""

    def __post_init__(self) -> None:
        self.scores.flags.writeable = self.mask.flags.writeable = False

    @property
    def heads(self) -> list[Head]:
        """The heads in the circuit, in the order of the model: `run.ablate(circuit.heads)`."""
        return [Head(node.layer, node.head) for node in self.nodes if node.kind == "head"]

    @property
    def others(self) -> list[Head]:
        """All other heads: `run.ablate(circuit.others, "mean")`."""
        inside = set(self.heads)
        layers, heads = self.shape
        return [head for layer in range(layers) for h in range(heads) if (head := Head(layer, h)) not in inside]

    def roles(self, name: str) -> list[Head]:
        """The heads of the circuit that have a role."""
        return [Head(node.layer, node.head) for node in self.nodes if any(role.name == name for role in node.roles)]

    # -- tables -------------------------------------------------------------------------------------------------------

    def to_frame(self) -> pd.DataFrame:
        """One row per edge, the largest |effect| first: edge, source, target, input, readers, score, effect, without;
        `attrs` says how it was made."""
        rows = [
            {
                "edge": edge.label,
                "source": self.nodes[edge.source].name,
                "target": self.nodes[edge.target].name,
                "input": edge.input,
                "readers": " ".join(map(str, edge.readers)),
                "score": edge.score,
                "effect": edge.effect,
                "without": edge.without,
            }
            for edge in self.edges
        ]
        columns = ["edge", "source", "target", "input", "readers", "score", "effect", "without"]
        frame = pd.DataFrame(rows, columns=columns).astype({"score": float, "effect": float, "without": float})
        frame.attrs = self._said()
        return frame

    def nodes_frame(self) -> pd.DataFrame:
        """One row per node in the order of the model: node, kind, layer, head, roles, shown, change (of minimality)."""
        change = {one.node: one.change for one in self.minimality}
        rows = [
            {
                "node": node.name,
                "kind": node.kind,
                "layer": node.layer,
                "head": node.head,
                "roles": ", ".join(role.name for role in node.roles),
                "shown": "; ".join(role.shown for role in node.roles),
                "change": change.get(i),
            }
            for i, node in enumerate(self.nodes)
        ]
        columns = ["node", "kind", "layer", "head", "roles", "shown", "change"]
        return pd.DataFrame(rows, columns=columns).astype({"head": "Int64", "change": float})

    def curve_frame(self) -> pd.DataFrame:
        """One row per size: edges, kept, faithfulness, and low, median and high of as many random circuits as `circuits` says."""
        rows = [
            {"edges": point.edges, "kept": point.kept, "faithfulness": point.faithfulness}
            | ({} if point.random is None else {name: getattr(point.random, name) for name in ("circuits", "low", "median", "high")})
            for point in self.curve
        ]
        columns = ["edges", "kept", "faithfulness", "circuits", "low", "median", "high"]
        return pd.DataFrame(rows, columns=columns).astype({"circuits": "Int64"})

    def completeness_frame(self) -> pd.DataFrame:
        """One row per set of nodes removed: removed, how, circuit, model, gap (circuit less model)."""
        rows = [
            {
                "removed": " ".join(self.nodes[i].name for i in one.removed),
                "how": one.how,
                "circuit": one.circuit,
                "model": one.model,
                "gap": one.circuit - one.model,
            }
            for one in self.completeness
        ]
        return pd.DataFrame(rows, columns=["removed", "how", "circuit", "model", "gap"])

    # -- as a graph ---------------------------------------------------------------------------------------------------

    def to_networkx(self) -> networkx.MultiDiGraph:
        """A graph whose nodes are named as in `nodes` (kind, layer, head, roles) and whose edges have the input as key (label, input,
        score, effect, without). An edge into the keys or values of a group is there once for each of its heads in the circuit."""
        import networkx

        graph = networkx.MultiDiGraph(**self._said())
        for node in self.nodes:
            roles = {role.name: role.shown for role in node.roles}
            graph.add_node(node.name, kind=node.kind, layer=node.layer, head=node.head, roles=roles)
        inside = {Head(node.layer, node.head): node.name for node in self.nodes if node.kind == "head"}
        for edge in self.edges:
            values = {name: getattr(edge, name) for name in ("label", "input", "score", "effect", "without")}
            ends = [inside[head] for head in edge.readers if head in inside] or [self.nodes[edge.target].name]
            for end in ends:
                graph.add_edge(self.nodes[edge.source].name, end, key=edge.input, **values)
        return graph

    def to_json(self) -> str:
        """The same graph as JSON in node-link form; `networkx.node_link_graph(json.loads(text), edges="edges")` reads it. What is undefined
        or infinite, for which JSON has no number, is null there."""
        graph = self.to_networkx()
        return json.dumps(
            _finite(
                {
                    "directed": True,
                    "multigraph": True,
                    "graph": dict(graph.graph),
                    "nodes": [{"id": name, **values} for name, values in graph.nodes(data=True)],
                    "edges": [{"source": a, "target": b, "key": key, **values} for a, b, key, values in graph.edges(keys=True, data=True)],
                }
            ),
            ensure_ascii=False,
            allow_nan=False,
        )

    def _said(self) -> dict[str, object]:
        names = (
            "method",
            "label",
            "formula",
            "metric",
            "position",
            "total",
            "clean",
            "counterfactual",
            "faithfulness",
            "cpr",
            "cmd",
            "note",
            "dtype",
        )
        tokens = {name: None if (token := getattr(self, name)) is None else token.token for name in ("target", "against")}
        return {name: getattr(self, name) for name in names} | tokens

    def __repr__(self) -> str:
        parts = [f"{len(self.edges)} of {self.total:,} edges, {len(self.heads)} heads"]
        for name, value in (("faithfulness", self.faithfulness), ("CPR", self.cpr), ("CMD", self.cmd)):
            if value is not None and not math.isnan(value):
                parts.append(f"{name} {value:.3g}")
        return f"Circuit({self.label}: {'; '.join(parts)}{half(self.dtype)})"

    def _repr_html_(self) -> str:
        return html_table(self.to_frame(), index=False)


def _finite(value: object) -> object:
    """`value` with None for numbers that are not finite, also inside dicts and lists."""
    if isinstance(value, dict):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
