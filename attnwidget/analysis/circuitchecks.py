"""Whether a circuit has all that matters and nothing that does not: completeness and minimality (Wang et al. 2022)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from .circuit import Completeness, Minimality
from .circuitcurve import Faithfulness
from .method import Progress

SETS = 10  # random sets of nodes for completeness
OTHERS = 4  # of these, how many minimality is tried with
GREEDY = 3  # nodes of the set that is searched for
WIDTH = 8  # nodes that each further step of that search tries


def completeness(
    measure: Faithfulness,
    mask: np.ndarray,
    nodes: Sequence[int],
    classes: Mapping[str, Sequence[int]],
    seed: int,
    progress: Progress,
) -> Iterator[tuple[Completeness, ...]]:
    """f(C \\ K) beside f(M \\ K) for sets K of `nodes` (indices into the graph's nodes), so far: random sets, each of `classes`, and the
    sets of 1, 2 and 3 nodes that a greedy search finds worst.

    C \\ K are the circuit's edges without those that start at a node of K or that only nodes of K read, M \\ K the model's. The search
    tries every node first, then adds to the worst the one of the next worst that widens the gap most.
    """
    found: list[Completeness] = []

    def pairs(sets: Sequence[Sequence[int]], what: str) -> list[tuple[float, float]]:
        gone = [measure.pair.graph.incident(some) for some in sets]

        def said(done: int, total: int, _text: str) -> None:
            progress(done, total, f"Completeness: {what}")

        values = measure([circuit for away in gone for circuit in (mask & ~away, ~away)], said)
        return [(float(a), float(b)) for a, b in values.reshape(-1, 2)]

    for how, some in [*((f"all that are {name}", some) for name, some in classes.items())]:
        if some:
            ((a, b),) = pairs([some], how)
            found.append(Completeness(tuple(some), how, a, b))
    if found:
        yield tuple(found)
    drawn = random_sets(nodes, SETS, seed)
    for some, (a, b) in zip(drawn, pairs(drawn, "random sets of nodes"), strict=True):
        found.append(Completeness(some, "random", a, b))
    yield tuple(found)
    chosen: tuple[int, ...] = ()
    candidates = list(nodes)
    while candidates and len(chosen) < GREEDY:
        tried = [tuple(sorted((*chosen, node))) for node in candidates]
        values = pairs(tried, "searching for the worst set")
        gaps = [abs(a - b) for a, b in values]
        worst = int(np.argmax(gaps))
        added = candidates[worst]
        chosen = tried[worst]
        how = f"worst {len(chosen)} found" if len(chosen) > 1 else "worst of all single nodes"
        found.append(Completeness(chosen, how, *values[worst]))
        yield tuple(found)
        if len(chosen) == 1:
            candidates = [candidates[i] for i in np.argsort(-np.array(gaps), kind="stable")[: WIDTH + 1]]
        candidates = [node for node in candidates if node != added]


def minimality(measure: Faithfulness, mask: np.ndarray, nodes: Sequence[int], seed: int, progress: Progress) -> tuple[Minimality, ...]:
    """Of each node v the change f(C \\ (K ∪ v)) - f(C \\ K) that is largest in size, over K = ∅ and a few random sets without v."""
    graph, sets = measure.pair.graph, [(), *random_sets(nodes, SETS, seed)[:OTHERS]]
    tried = [(node, some) for node in nodes for some in sets if node not in some]
    masks = [mask & ~graph.incident(some) for some in sets] + [mask & ~graph.incident((*some, node)) for node, some in tried]

    def said(done: int, total: int, _text: str) -> None:
        progress(done, total, "Minimality: each node removed")

    values = measure(masks, said)
    before = dict(zip(sets, values.tolist(), strict=False))
    best: dict[int, Minimality] = {}
    for (node, some), after in zip(tried, values[len(sets) :].tolist(), strict=True):
        change = after - before[some]
        if node not in best or abs(change) > abs(best[node].change):
            best[node] = Minimality(node, change, tuple(some))
    return tuple(best[node] for node in nodes)


def random_sets(nodes: Sequence[int], sets: int, seed: int) -> list[tuple[int, ...]]:
    """Up to `sets` different sets of nodes, each of a size drawn evenly from 1 to half of them: with nearly all gone, nothing is left to
    be compared."""
    generator, found = np.random.default_rng(seed % 2**32), {}
    most = max(1, len(nodes) // 2)
    for _ in range(20 * sets):
        if len(found) == sets or not nodes:
            break
        size = int(generator.integers(1, most + 1))
        found[tuple(sorted(generator.choice(list(nodes), size, replace=False).tolist()))] = None
    return list(found)
