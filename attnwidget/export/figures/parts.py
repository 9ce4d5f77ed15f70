"""What several pictures share: titles, colour scales with their ticks, the mark of an ablated head, rows of bars."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from . import fonts, ink
from .sheet import BODY, SMALL, TITLE, Sheet, fitted

LEADING = 1.42  # line height over size


def title(sheet: Sheet, y: float, text: str, note: str = "") -> float:
    """A title with a quieter note behind it; the y under them."""
    base = y + TITLE
    sheet.text(0, base, fitted(text, sheet.width, TITLE, bold=True), TITLE, bold=True)
    left = fonts.width(text, TITLE, bold=True) + 8
    if note and left + fonts.width(note, SMALL) <= sheet.width:
        sheet.text(left, base, note, SMALL, ink.FG2)
        return base + 6
    return sheet.paragraph(0, base + 10, sheet.width, note) - 2 if note else base + 6


def scale(sheet: Sheet, x: float, y: float, ramps: str | tuple[str, str], ticks: Sequence[str], words: str, width: float = 78) -> float:
    """A colour scale 5 points high with ticks under its ends and middle, then what it is of; the x behind it. Two ramps run both ways
    from zero."""
    share = np.linspace(0, 1, 48)
    if isinstance(ramps, tuple):
        row = np.concatenate([ink.colours(ramps[0], share[::-1]), ink.colours(ramps[1], share)])
    else:
        row = ink.colours(ramps, share)
    sheet.picture(x, y, width, 5, row[None], id="scale")
    places = np.linspace(0, 1, len(ticks))
    for tick, place in zip(ticks, places, strict=True):
        anchor = "start" if place == 0 else "end" if place == 1 else "middle"
        sheet.text(x + place * width, y + 12.5, tick, SMALL, ink.FG3, anchor=anchor)
    sheet.text(x + width + 6, y + 5.5, words, SMALL, ink.FG2)
    return x + width + 6 + fonts.width(words, SMALL) + 14


def crossed(sheet: Sheet, x: float, y: float, side: float, id: str = "") -> None:
    """The box with a cross: this head is off."""
    line = max(0.5, side / 14)
    sheet.rect(x, y, side, side, ink.PAPER, stroke=ink.FG, line=line, id=id)
    pad = side * 0.2
    for ends in (((x + pad, y + pad), (x + side - pad, y + side - pad)), ((x + side - pad, y + pad), (x + pad, y + side - pad))):
        sheet.line(ends, ink.FG, line=line)


def ring(sheet: Sheet, x: float, y: float, side: float, line: float) -> None:
    """Round a cell, in the colour of selection."""
    sheet.rect(x - 0.5 - line / 2, y - 0.5 - line / 2, side + 1 + line, side + 1 + line, stroke=ink.ACCENT, line=line)


def heads_named(heads: Sequence, most: int = 6) -> str:
    return ", ".join(map(str, heads[:most])) + (f" and {len(heads) - most} more" if len(heads) > most else "")


def column(texts: Sequence[str], size: float = BODY, **look: bool) -> float:
    """How wide a column of these is."""
    return max((fonts.width(text, size, **look) for text in texts), default=0.0)
