"""Kinds of heads: of each kind the heads found, their scores with intervals, chance and the threshold."""

from __future__ import annotations

import numpy as np

from ...analysis.headkinds import NONE_FOUND, HeadKinds
from ...heads import Head
from . import fonts, ink, parts
from .sheet import BODY, PAGE, SMALL, Sheet, points
from .wording import sentence, signed

_ROW, _GAP, _MOST = 11.0, 22.0, 8


def kinds_dots(found: HeadKinds, *, rule: str = "fixed", width: float | str | None = None) -> Sheet:
    """Dot: score; line: its interval; dashed: chance; solid: the threshold of `rule`."""
    sheet = Sheet(points(width, PAGE))
    across = 3 if sheet.width > 400 else 2 if sheet.width > 250 else 1
    wide = (sheet.width - _GAP * (across - 1)) / across
    y = parts.title(sheet, 0, "Kinds of heads", found.setting) + 4
    bottoms = [y] * across
    for i, kind in enumerate(found):
        column = i % across
        if column == 0:
            bottoms = [max(bottoms)] * across
        bottoms[column] = _one(sheet, column * (wide + _GAP), bottoms[column], wide, found, kind, rule) + 8
    said = [found.describe(), "dot: score; line: its interval; dashed: chance; solid: the threshold", found.processing, found.dtype]
    return sheet.end(max(bottoms) - 4, sentence([*said, "patterns are exact"]))


def _one(sheet: Sheet, x: float, y: float, wide: float, found: HeadKinds, name: str, rule: str) -> float:
    kind, heads = found[name], found.heads(name, rule)
    line = found.threshold(name, rule)
    sheet.text(x, y + BODY, kind.label, BODY, bold=True)
    y = sheet.paragraph(x, y + BODY + 9, wide, kind.formula, SMALL, ink.FG3) - 3
    left = x + fonts.width("L00H00", BODY) + 6
    long = wide - (left - x) - 26
    at = lambda share: left + long * min(1.0, max(0.0, share))  # noqa: E731
    if not heads:
        y = sheet.paragraph(x, y + BODY, wide, kind.reason or f"{NONE_FOUND.capitalize()}. {_best(kind.values, line)}", SMALL, ink.FG2)
        return y
    top = y
    for head in heads[:_MOST]:
        score, low, high = (float(getattr(kind, field)[head]) for field in ("values", "low", "high"))
        middle = y + _ROW / 2
        sheet.text(x, middle + BODY * 0.36, str(head), BODY)
        sheet.line(((left, middle), (left + long, middle)), ink.RULE2)
        if not np.isnan(low):
            sheet.line(((at(low), middle), (at(high), middle)), ink.CLEAN2, line=1.4, id=f"interval-{name}-{head}")
        sheet.disc(at(score), middle, 2.2, ink.FG2, id=f"dot-{name}-{head}")
        sheet.text(x + wide, middle + BODY * 0.36, signed(score), BODY, anchor="end")
        y += _ROW
    if not np.isnan(kind.chance):
        sheet.line(((at(kind.chance), top), (at(kind.chance), y)), ink.FG3, dash=(2, 2))
    if not np.isnan(line):
        sheet.line(((at(line), top), (at(line), y)), ink.FG)
    for share in (0, 0.5, 1):
        sheet.text(
            at(share), y + SMALL + 1, f"{share:g}", SMALL, ink.FG3, anchor="start" if share == 0 else "end" if share == 1 else "middle"
        )
    more = f"{len(heads)} of {int((~np.isnan(kind.values)).sum())} heads: {signed(line)} or more, chance {signed(kind.chance)}"
    return sheet.paragraph(x, y + 2 * SMALL + 4, wide, more, SMALL, ink.FG2)


def _best(values: np.ndarray, line: float) -> str:
    if np.isnan(values).all():
        return ""
    at = np.unravel_index(int(np.nanargmax(values)), values.shape)
    best = float(values[at])
    # One that falls short by less than is shown must not look as if it did not.
    said = signed(best, 4 if best < line and signed(best) == signed(line) else 2)
    return f"The largest score is {said}, of {Head(int(at[0]), int(at[1]))}."
