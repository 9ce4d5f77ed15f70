"""Where heads look: one map large, several small, and lines from each query to its keys."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from . import fonts, ink, parts
from .maps import Map, cells, labelled, legend
from .sheet import BODY, COLUMN, PAGE, SMALL, TITLE, Sheet, fitted, points
from .wording import clip, labels

_LINES_UP_TO = 200  # tokens; beyond, lines are a grey area
_LEAST = 0.02  # of the scale: fainter lines are left out, and the caption says so
_THICKEST = 3.0


def large(
    of: Map, tokens: Sequence[str], words: str, caption: str, *, causal: bool, query: int | None = None, width: float | str | None = None
) -> Sheet:
    """One map with its tokens. `words` names the quantity in the legend."""
    sheet = Sheet(points(width, COLUMN))
    y = parts.title(sheet, 0, of.name, of.note)
    if of.off:
        parts.crossed(sheet, fonts.width(of.name, TITLE, bold=True) + 4, 1.5, 7)
    y = labelled(sheet, y + 4, sheet.width, of, tokens, causal=causal, query=query)
    legend(sheet, 0, y + 6, of, words)
    return sheet.end(y + 19, f"{caption} Rows are queries, columns keys.")


def small(maps: Sequence[Map], words: str, caption: str, *, columns: int | None = None, width: float | str | None = None) -> Sheet:
    """Maps side by side, each with its name. The legend is the first one's scale, which all of them should have."""
    sheet = Sheet(points(width, PAGE))
    across = columns or max(1, min(len(maps), 6))
    gap = 10.0
    side = (sheet.width - gap * (across - 1)) / across
    side = min(side, 150.0)
    y = 0.0
    for start in range(0, len(maps), across):
        for i, one in enumerate(maps[start : start + across]):
            x = i * (side + gap)
            sheet.text(x, y + BODY, one.name, BODY, bold=True)
            named = fonts.width(one.name, BODY, bold=True)
            if one.off:
                parts.crossed(sheet, x + named + 4, y + 1, 6.5)
            room = side - named - (16 if one.off else 6)
            sheet.text(x + side, y + BODY, fitted(one.note, room, SMALL), SMALL, ink.FG2, anchor="end")
            cells(sheet, x, y + BODY + 4, side, one, numbers=False)
        y += side + BODY + 14
    legend(sheet, 0, y - 2, maps[0], words)
    return sheet.end(y + 11, f"{caption} Rows are queries, columns keys.")


def lines(
    of: Map,
    tokens: Sequence[str],
    words: str,
    caption: str,
    *,
    least: float = _LEAST,
    width: float | str | None = None,
) -> Sheet:
    """Queries left, keys right; the line between two is as thick and dark as what the map has there. Lines under `least` of the scale
    are left out."""
    sheet = Sheet(points(width, COLUMN))
    n = len(tokens)
    y = parts.title(sheet, 0, of.name, of.note) + 4
    names = [clip(name) for name in labels(tokens)]
    margin = parts.column(names, BODY, mono=True) + 8
    left, right = margin, max(margin + 40, sheet.width - margin)
    pitch = 12.0 if n <= 40 else max(3.0, 480 / n)
    sheet.text(left - 5, y + SMALL, "query", SMALL, ink.FG3, anchor="end")
    sheet.text(right + 5, y + SMALL, "key", SMALL, ink.FG3)
    top = y + SMALL + 5
    middle = lambda i: top + (i + 0.5) * pitch  # noqa: E731
    drawn = np.argwhere(~np.isnan(of.values) & (np.abs(of.values) >= least * of.most) & (of.values != 0))
    for query, key in sorted(map(tuple, drawn), key=lambda at: abs(of.values[at])):
        value = float(of.values[query, key])
        ramp, share = ink.tone(value, of.most, of.signed)
        ends = ((left, middle(query)), (right, middle(key)))
        dash = (3, 2) if value < 0 else None
        sheet.line(ends, ink.colour(ramp, share), line=0.4 + (_THICKEST - 0.4) * share, dash=dash, id=f"{of.name}-q{query}-k{key}")
    for i in range(0, n, 1 if pitch >= 9 else 8):
        sheet.text(left - 5, middle(i) + BODY * 0.36, names[i], BODY, ink.FG2, anchor="end", mono=True)
        sheet.text(right + 5, middle(i) + BODY * 0.36, names[i], BODY, ink.FG2, mono=True)
    y = top + n * pitch
    legend(sheet, 0, y + 6, of, words)
    left_out = f" Lines under {least:g} of the scale are left out." if least > 0 else ""
    return sheet.end(y + 19, caption + left_out)


def refused_lines(n: int) -> str | None:
    """Why there are no lines of so many tokens."""
    return None if n <= _LINES_UP_TO else f"Lines of {n:,} tokens are a grey area: draw maps, or take {_LINES_UP_TO} tokens or fewer."
