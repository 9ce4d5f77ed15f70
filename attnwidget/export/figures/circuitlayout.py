"""Where the nodes of a circuit stand: layers run right, nodes of a layer one above another in an order with few crossings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...analysis.circuit import Circuit, CircuitEdge, CircuitNode

_SWEEPS = 12
_LANES = 7
_LOGITS = 54.0  # wide
_TURNS, _OVER_NODE, _PER_LANE = 5, 2.0, 0.02
_TRIED = 160  # links up to which every node is tried in every lane


@dataclass(frozen=True)
class Spot:
    """The middle and the size of a node, and the column it stands in."""

    x: float
    y: float
    w: float
    h: float
    column: int


def readers(circuit: Circuit, edge: CircuitEdge) -> list[int]:
    """Nodes that read an edge: of a key-value group all heads that are in the circuit."""
    group = {tuple(head) for head in edge.readers} if len(edge.readers) > 1 else set()
    rest = [i for i, node in enumerate(circuit.nodes) if i != edge.target and node.kind == "head" and (node.layer, node.head) in group]
    return [edge.target, *rest]


def placed(circuit: Circuit, shown: Sequence[int], width: float, height: float) -> tuple[dict[int, Spot], list[tuple[float, str]]]:
    """By node, its spot; and the names under the columns, (x, "L3"). `shown` are edges, by index."""
    links = [(circuit.edges[e].source, to) for e in shown for to in readers(circuit, circuit.edges[e])]
    columns = _columns(circuit.nodes, sorted({node for link in links for node in link}))
    lanes = max([_LANES, *map(len, columns)])
    lane = settled(_ordered(columns, links), links, lanes)
    last = [circuit.nodes[i].kind for i in columns[-1]] == ["logits"]
    right = _LOGITS + 8 if last else 0.0
    pitch = (width - right) / max(1, len(columns) - last)
    wide, high = min(46.0, max(6.0, pitch - 4)), min(15.0, height / lanes - 3)
    spots: dict[int, Spot] = {}
    for c, nodes in enumerate(columns):
        for i in nodes:
            end = circuit.nodes[i].kind == "logits"
            x = width - _LOGITS / 2 if end else (c + 0.5) * pitch
            spots[i] = Spot(x, height * (lane[i] + 0.5) / lanes, _LOGITS if end else wide, 26.0 if end else high, c)
    named = [(spots[nodes[0]].x, circuit.nodes[nodes[0]]) for nodes in columns]
    return spots, [(x, f"L{node.layer}") for x, node in named if node.kind in ("head", "mlp")]


def _stage(node: CircuitNode) -> int:
    """Heads of a layer, then its MLP, which may read them."""
    return 2 * node.layer + (node.kind == "mlp")


def _columns(nodes: Sequence[CircuitNode], used: Sequence[int]) -> list[list[int]]:
    stages: dict[int, list[int]] = {}
    for i in used:
        stages.setdefault(_stage(nodes[i]), []).append(i)
    return [sorted(stages[key], key=lambda i: (nodes[i].head if nodes[i].head is not None else 10**6, i)) for key in sorted(stages)]


def _ordered(columns: list[list[int]], links: Sequence[tuple[int, int]]) -> list[list[int]]:
    """The columns sorted by the mean place of their neighbours, forth and back; the order with the fewest crossings seen."""
    beside: dict[int, list[int]] = {}
    for a, b in links:
        beside.setdefault(a, []).append(b)
        beside.setdefault(b, []).append(a)
    order = [list(nodes) for nodes in columns]
    best, least = [list(nodes) for nodes in order], _crossings(order, links)
    for sweep in range(_SWEEPS):
        place = {i: (at + 0.5) / len(nodes) for nodes in order for at, i in enumerate(nodes)}
        for c in range(len(order)) if sweep % 2 == 0 else reversed(range(len(order))):
            mean = {i: sum(place[j] for j in beside.get(i, [i])) / len(beside.get(i, [i])) for i in order[c]}
            order[c].sort(key=lambda i, mean=mean: mean[i])
            place |= {i: (at + 0.5) / len(order[c]) for at, i in enumerate(order[c])}
        if (crossings := _crossings(order, links)) < least:
            best, least = [list(nodes) for nodes in order], crossings
    return best


def settled(order: list[list[int]], links: Sequence[tuple[int, int]], lanes: int) -> dict[int, int]:
    """The lane of each node: spread evenly, then one node after the other moved to the lane, free or taken, in which the fewest links
    cross or run over nodes."""
    lane = {i: int((at + 0.5) * lanes / len(nodes)) for nodes in order for at, i in enumerate(nodes)}
    if len(links) > _TRIED:
        return lane
    column = {i: c for c, nodes in enumerate(order) for i in nodes}
    line = lambda link: (column[link[0]], lane[link[0]], column[link[1]], lane[link[1]])  # noqa: E731
    over = lambda at, i: (  # noqa: E731
        at[0] < column[i] < at[2] and abs(lane[i] - (at[1] + (at[3] - at[1]) * (column[i] - at[0]) / (at[2] - at[0]))) < 0.5
    )

    def cost(moved: tuple[int, ...]) -> float:
        mine = [link for link in links if link[0] in moved or link[1] in moved]
        drawn, total = [line(link) for link in links], 0.0
        for link in mine:
            at = line(link)
            total += sum(_cross(at, other) for other in drawn) + _PER_LANE * abs(at[3] - at[1])
            total += _OVER_NODE * sum(over(at, i) for nodes in order[at[0] + 1 : at[2]] for i in nodes)
        return total + _OVER_NODE * sum(over(at, i) for at in drawn for i in moved)

    for _ in range(_TURNS):
        better = False
        for nodes in order:
            for i in nodes:
                for to in range(lanes):
                    before = lane[i]
                    if to == before:
                        continue
                    there = next((j for j in nodes if lane[j] == to), None)
                    moved = (i,) if there is None else (i, there)
                    old = cost(moved)
                    lane[i] = to
                    if there is not None:
                        lane[there] = before
                    if cost(moved) < old - 1e-9:
                        better = True
                        continue
                    lane[i] = before
                    if there is not None:
                        lane[there] = to
        if not better:
            break
    return lane


def _crossings(order: list[list[int]], links: Sequence[tuple[int, int]]) -> int:
    """How many pairs of links cross, drawn straight."""
    at = {i: (c, (k + 0.5) / len(nodes)) for c, nodes in enumerate(order) for k, i in enumerate(nodes)}
    lines = [(*at[a], *at[b]) for a, b in links[:300]]
    return sum(_cross(p, q) for i, p in enumerate(lines) for q in lines[:i])


def _cross(p: tuple, q: tuple) -> bool:
    start, end = max(p[0], q[0]), min(p[2], q[2])
    if end <= start:
        return False
    y = lambda line, x: line[1] + (line[3] - line[1]) * (x - line[0]) / (line[2] - line[0])  # noqa: E731
    a, b = y(p, start) - y(q, start), y(p, end) - y(q, end)
    return (a > 1e-9 and b < -1e-9) or (a < -1e-9 and b > 1e-9)
