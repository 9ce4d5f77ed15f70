"""Scores of all edges, by the methods of `discover_circuit`."""

from __future__ import annotations

import numpy as np

from ..errors import AttnWidgetError
from .discoveryquestion import CircuitQuestion
from .edgeattribution import edge_attribution
from .edgegraph import EdgeGraph
from .informationflow import information_flow
from .method import Progress
from .patching import edge_effects


def scores_of(asked: CircuitQuestion, progress: Progress) -> np.ndarray:
    """[edge] in float64: the score of every edge."""
    graph = asked.graph
    if asked.method == "information_flow":
        return information_flow(asked.run, graph, asked.measure.position, progress)
    if asked.method == "exact":
        if len(graph) > asked.limit:
            raise AttnWidgetError(
                f"Patching all {len(graph):,} edges takes about as long as {forwards(graph):,} forwards of the model, and the limit is "
                f"{asked.limit:,} edges: rank them by EAP-IG, whose kept edges are patched all the same, or "
                f"in a cell give limit={len(graph)}."
            )
        return edge_effects(asked.pair, range(len(graph)), progress=lambda done, total, _text: progress(done, total, "Patching every edge"))
    said = lambda done, total, _text: progress(done, total, "Scoring every edge")  # noqa: E731
    return edge_attribution(asked.pair, asked.method, steps=asked.steps, progress=said)


def forwards(graph: EdgeGraph) -> int:
    """What patching every edge costs: each runs the blocks from its destination's on."""
    layers = graph.nodes[-1].layer
    first = np.array([destination.layer for destination in graph.destinations])[graph.destination]
    return int(np.ceil((layers - first).sum() / layers))
