"""Sentences: what stands out in a run."""

from __future__ import annotations

from ...analysis.overview import Overview
from ...analysis.sentences import Sentence
from . import ink, parts
from .sheet import BODY, PAGE, SMALL, Sheet, points, wrapped
from .wording import compact, percent, sentence

_SHARES = ("probability", "attention", "share")


def overview_list(found: Overview, *, width: float | str | None = None) -> Sheet:
    """Each sentence with its number, and under it how that was got."""
    sheet = Sheet(points(width, PAGE))
    y = parts.title(sheet, 0, "What stands out") + 6
    numbers = [_number(one) for one in found.sentences]
    left = (
        max([48.0, parts.column([number for number, _ in numbers], 11, bold=True), parts.column([unit for _, unit in numbers], SMALL)]) + 14
    )
    for one, (number, unit) in zip(found.sentences, numbers, strict=True):
        top = y
        effect = one.kind == "effect" and one.unit == "logits" and one.value
        colour = ink.FG if not effect else ink.HURT if one.value < 0 else ink.EFFECT
        sheet.text(left - 12, top + 11, number, 11, colour, anchor="end", bold=True)
        sheet.text(left - 12, top + 20, unit, SMALL, ink.FG3, anchor="end")
        y += BODY + 2
        for line in wrapped(one.text, sheet.width - left, BODY):
            sheet.text(left, y, line, BODY)
            y += BODY * parts.LEADING
        y = sheet.paragraph(left, y - 1, sheet.width - left, one.method, SMALL, ink.FG3)
        y = max(y, top + 26)
    if not found.sentences:
        sheet.text(0, y + BODY, "Nothing found to say about this prompt.", BODY, ink.FG2)
        y += BODY + 6
    return sheet.end(y - 4, sentence([found.note]) if found.note else "Each number with its method below its sentence.")


def _number(one: Sentence) -> tuple[str, str]:
    if one.value is None:
        return "", ""
    if one.unit in _SHARES:
        return percent(one.value), "of heads" if one.unit == "share" else one.unit
    if one.unit.startswith("of "):
        return f"{one.value:,.0f}", one.unit
    if one.unit == "layer":
        return ("start" if one.value < 0 else f"L{one.value:.0f}"), ""
    return compact(one.value), one.unit
