"""A circuit: its nodes and edges, and the faithfulness of the top edges beside random ones."""

from __future__ import annotations

import math

from ...analysis.circuit import Circuit, CircuitEdge
from ...errors import AttnWidgetError
from . import fonts, ink, parts
from .circuitlayout import Spot, placed, readers
from .ranking import tick_text, ticks
from .sheet import BODY, PAGE, SMALL, Sheet, fitted, points
from .wording import bare, compact, sentence

_HIGH, _CURVE = 190.0, 120.0
_WIDEST = 5.0
_AUTOMATIC = 80  # edges; with more, those of the largest effects are drawn
_PORT = {"q": -1, "k": 0, "v": 1}


def circuit_graph(circuit: Circuit, *, edges: int | None = None, width: float | str | None = None) -> Sheet:
    """The `edges` of the largest |effect| (by default up to 80), each as wide as √ of its share of the largest. Dashed purple: against the
    answer. Beside it, where it was measured, the curve of faithfulness."""
    if edges is not None and (isinstance(edges, bool) or not isinstance(edges, int) or edges < 1):
        raise AttnWidgetError(f"edges must be a whole number of 1 or more, not {edges!r}.")
    sheet = Sheet(points(width, PAGE))
    y = parts.title(sheet, 0, "Circuit", circuit.label) + 6
    if not circuit.edges:
        sheet.text(0, y + BODY, "No edge.", BODY, ink.FG2)
        return sheet.end(y + BODY + 4, _caption(circuit, 0))
    shown = sorted(range(len(circuit.edges)), key=lambda e: -abs(_weight(circuit.edges[e])))[: edges or _AUTOMATIC]
    beside = bool(circuit.curve) and sheet.width >= 360  # else it stands under the graph
    wide = sheet.width - (_CURVE + 24 if beside else 0)
    graph = Sheet(wide)
    _graph(graph, circuit, shown, wide)
    sheet.put(graph, 0, y)
    bottom = y + _HIGH + 14
    if circuit.curve:
        left, top = (wide + 24, y) if beside else (0.0, bottom + 10)
        curve = Sheet(_CURVE)
        sheet.put(curve, left, top)
        bottom = max(bottom, top + _faithfulness(curve, circuit, _CURVE if beside else sheet.width))
    return sheet.end(bottom, _caption(circuit, len(shown)))


def _weight(edge: CircuitEdge) -> float:
    """What an edge is drawn by: what was measured, or the method's score until it is."""
    return edge.score if edge.effect is None else edge.effect


def _graph(sheet: Sheet, circuit: Circuit, shown: list[int], wide: float) -> None:
    spots, names = placed(circuit, shown, wide, _HIGH)
    most = max(abs(_weight(edge)) for edge in circuit.edges) or 1.0
    for e in reversed(shown):  # the largest last, on top
        edge = circuit.edges[e]
        for to in readers(circuit, edge):
            if edge.source in spots and to in spots:
                _edge(sheet, edge, spots[edge.source], spots[to], most, f"edge-{e}" if to == edge.target else "")
    for i, spot in spots.items():
        node = circuit.nodes[i]
        last = node.kind == "logits"
        sheet.rect(
            spot.x - spot.w / 2, spot.y - spot.h / 2, spot.w, spot.h, ink.FG if last else ink.PAPER, stroke=ink.FG, line=0.7, id=f"node-{i}"
        )
        # The layer stands under the column.
        short = [
            node.name,
            node.name.removeprefix(f"L{node.layer}"),
            str(node.head) if node.kind == "head" else node.name[:3],
            node.name[:1],
        ]
        size = min(BODY, spot.h * 0.6)
        text = next((name for name in short if fonts.width(name, size, bold=True) <= spot.w - 1.5), "")
        lines = [text]
        if last and circuit.target is not None:
            about = bare(circuit.target.token) + ("" if circuit.against is None else f" − {bare(circuit.against.token)}")
            lines.append(fitted(about, spot.w - 3, SMALL))
        for k, line in enumerate(lines):
            base = spot.y + size * 0.36 + (k - (len(lines) - 1) / 2) * 9
            colour, at = (ink.PAPER if last else ink.FG), (SMALL if k else size)
            sheet.text(spot.x, base, line, at, colour, anchor="middle", bold=not k)
    right = -100.0
    for x, name in sorted(names):
        if x - right >= 18:
            sheet.text(x, _HIGH + SMALL + 6, name, SMALL, ink.FG3, anchor="middle")
            right = x


def _edge(sheet: Sheet, edge: CircuitEdge, start: Spot, end: Spot, most: float, id: str) -> None:
    value = _weight(edge)
    line = max(0.5, _WIDEST * math.sqrt(abs(value) / most) * (1 if edge.effect is not None else 0.6))
    y1 = end.y + _PORT.get(edge.input, 0) * min(4, end.h / 3)
    if edge.input == "logits":
        y1 = end.y + (end.h - 6) * max(-0.5, min(0.5, (start.y - end.y) / _HIGH))
    x0, x1 = start.x + start.w / 2, end.x - end.w / 2
    reach = 0.45 * (x1 - x0)
    span = end.column - start.column
    bow = 0.0
    if span > 1 and abs(start.y - y1) < 8:  # it would run through the nodes between
        away = -1 if (start.y + y1) / 2 < _HIGH / 2 else 1
        bow = away * min(30.0, 8 + 3 * span, max(0.0, (min(start.y, y1) if away < 0 else _HIGH - max(start.y, y1)) / 0.75))
    dash = ((2 + 1.6 * line) / line, (2 + 0.8 * line) / line) if value < 0 else None
    points_ = ((x0, start.y), (x0 + reach, start.y + bow), (x1 - reach, y1 + bow), (x1, y1))
    sheet.curve(*points_, ink.HURT_BAR if value < 0 else ink.EFFECT_BAR, line=line, dash=dash, id=id)


def _faithfulness(sheet: Sheet, circuit: Circuit, wide: float) -> float:
    """f by number of edges, on a logarithmic axis; how high it is."""
    sheet.text(0, BODY, "Faithfulness", BODY, bold=True)
    left, top, high = 24.0, 16.0, 96.0
    curve = circuit.curve
    values = [
        0.0,
        1.0,
        *(one.faithfulness for one in curve),
        *(v for one in curve if one.random for v in (one.random.low, one.random.high)),
    ]
    low, up = min(values), max(values)
    first, last = math.log(curve[0].edges), math.log(max(curve[-1].edges, curve[0].edges + 1))
    at = lambda n, value: (  # noqa: E731
        left + (wide - left - 8) * (math.log(n) - first) / (last - first),
        top + high * (up - value) / (up - low),
    )
    for tick in ticks(low, up, 4):
        sheet.text(left - 4, at(curve[0].edges, tick)[1] + SMALL * 0.36, tick_text(tick), SMALL, ink.FG3, anchor="end")
    for value in (0.0, 1.0):
        sheet.line((at(curve[0].edges, value), at(curve[-1].edges, value)), ink.RULE, dash=(2, 2) if value else None)
    drawn = [(one.edges, one.random) for one in curve if one.random is not None]
    if len(drawn) > 1:
        sheet.area([*(at(n, some.high) for n, some in drawn), *(at(n, some.low) for n, some in reversed(drawn))], ink.RULE2)
        sheet.line([at(n, some.median) for n, some in drawn], ink.CLEAN2, line=0.9, id="random")
    if len(curve) > 1:
        sheet.line([at(one.edges, one.faithfulness) for one in curve], ink.EFFECT_BAR, line=1.2, id="curve")
    for one in curve:
        sheet.disc(*at(one.edges, one.faithfulness), 1.7, ink.EFFECT_BAR, id=f"edges-{one.edges}")
    sheet.text(at(curve[0].edges, low)[0], top + high + SMALL + 3, f"{curve[0].edges:,}", SMALL, ink.FG3)
    sheet.text(at(curve[-1].edges, low)[0], top + high + SMALL + 3, f"{curve[-1].edges:,}", SMALL, ink.FG3, anchor="end")
    sheet.text(left + (wide - left) / 2, top + high + 2 * SMALL + 6, "edges kept, log", SMALL, ink.FG2, anchor="middle")
    return top + high + 2 * SMALL + 8


def _caption(circuit: Circuit, shown: int) -> str:
    edges = circuit.edges
    least = min((abs(_weight(edge)) for edge in sorted(edges, key=lambda one: -abs(_weight(one)))[:shown]), default=0.0)
    measured = all(edge.effect is not None for edge in edges)
    said = [
        f"{circuit.label}: {circuit.formula}",
        f"{shown} of {len(edges)} edges of the circuit drawn, |{'effect' if measured else 'score'}| ≥ {compact(least)}",
        f"{circuit.total:,} edges in the model",
        f"metric: {circuit.metric}" + ("" if circuit.position is None else f", position {circuit.position}"),
        "width: effect of the edge alone, measured" if measured else "thin: the method's score, effect not measured",
        "dashed purple: it opposes the answer",
        "" if circuit.faithfulness is None else f"faithfulness {compact(circuit.faithfulness)}",
        "grey: median and range of random circuits" if any(one.random for one in circuit.curve) else "",
        circuit.note,
    ]
    return sentence(said)
