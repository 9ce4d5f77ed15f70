"""An ablation study: the margin by number of heads off, beside random sets, and what was shown."""

from __future__ import annotations

import math

from ...analysis.studied import Study, StudySet
from . import fonts, ink, parts
from .ranking import tick_text, ticks
from .sheet import BODY, PAGE, SMALL, Sheet, points
from .wording import bare, compact, percent, sentence, signed

_HIGH = 150.0


def study_curve(found: Study, *, width: float | str | None = None) -> Sheet:
    """The curve of the best sets of each size with the range of random sets; ✓ what is proved, – what is not. Without a target, KL."""
    sheet = Sheet(points(width, PAGE))
    beside = sheet.width >= 360
    wide = sheet.width * 0.55 if beside else sheet.width
    y = parts.title(sheet, 0, "Ablation study", _question(found)) + 4
    bottom = _curve(sheet, y, wide, found)
    left, top = (wide + 18, y) if beside else (0.0, bottom + 10)
    end = _found(sheet, left, top, sheet.width - left, found)
    said = [found.note, f"{found.sets:,} sets run", f"verdict: {found.verdict or 'unfinished'}", "every set was run"]
    if found.random:
        most = max(one.sets for one in found.random)
        said.append(f"grey: lowest, median and highest of up to {most} random sets of each size")
    if found.conditional:
        said.append(f"{parts.heads_named(found.conditional)} off already")
    return sheet.end(max(bottom, end), sentence(said))


def _question(found: Study) -> str:
    return "which set moves the answer most" if found.target is None else f"a set that makes {bare(found.target.token)} the answer"


def _value(found: Study, one: StudySet) -> float:
    return one.kl if found.target is None else (math.nan if one.margin is None else one.margin)


def _curve(sheet: Sheet, y: float, wide: float, found: Study) -> float:
    every = [one for one in (found.before, *found.sizes) if not math.isnan(_value(found, one))]
    line = [(len(one.heads), _value(found, one)) for one in every]
    start = line[0][1] if line and line[0][0] == 0 else 0.0
    band = [(0, start, start, start), *((one.size, one.low, one.median, one.high) for one in found.random)] if found.random else []
    values = [0.0, *(value for _, value in line), *(v for _, low, _, high in band for v in (low, high))]
    low, high = min(values), max(values)
    room = 0.07 * ((high - low) or 1)
    low, high = (low - room if low < 0 else 0.0), (high + room if high > 0 else 0.0)
    high = high if high > low else low + 1
    most = max([4, *(size for size, *_ in [*line, *band])])
    left, top = 30.0, y + SMALL + 6
    long = wide - left - 34
    at = lambda size, value: (left + long * size / most, top + _HIGH * (high - value) / (high - low))  # noqa: E731
    title = "KL, nats" if found.target is None else f"margin of {bare(found.target.token)}, logits"
    sheet.text(0, y + SMALL, title, SMALL, ink.FG2)
    for tick in ticks(low, high):
        sheet.text(left - 5, at(0, tick)[1] + SMALL * 0.36, tick_text(tick), SMALL, ink.FG3, anchor="end")
    step = max(1, -(-most * 14 // int(long)))
    for size in range(0, most + 1, step):
        sheet.text(at(size, low)[0], top + _HIGH + SMALL + 3, str(size), SMALL, ink.FG3, anchor="middle")
    sheet.text(left + long / 2, top + _HIGH + 2 * SMALL + 6, "heads ablated", SMALL, ink.FG2, anchor="middle")
    if len(band) > 1:
        sheet.area([*(at(size, up) for size, _, _, up in band), *(at(size, down) for size, down, _, _ in reversed(band))], ink.RULE2)
        sheet.line([at(size, middle) for size, _, middle, _ in band], ink.CLEAN2, line=0.9, id="random")
    sheet.line((at(0, 0), at(most, 0)), ink.RULE, line=0.7)
    if len(line) > 1:
        sheet.line([at(*point) for point in line], ink.EFFECT_BAR, line=1.3, id="curve")
    answer = found.found.heads if found.found is not None else None
    for i, ((size, value), one) in enumerate(zip(line, every, strict=True)):
        x, v = at(size, value)
        ringed = answer is not None and one.heads == answer
        fill, stroke, radius = (ink.PAPER, ink.FG, 3.2) if ringed else (ink.EFFECT_BAR, None, 2.2)
        sheet.disc(x, v, radius, fill, stroke=stroke, line=1.3, id=f"size-{size}")
        added = [head for head in one.heads if i and head not in every[i - 1].heads]
        if i and len(added) == 1 and len(one.heads) == len(every[i - 1].heads) + 1:
            rising = value > line[i - 1][1]
            sheet.text(x + 5, v + (10 if rising else -4), f"+{added[0]}", SMALL, bold=ringed)
    return top + _HIGH + 2 * SMALL + 8


def _found(sheet: Sheet, x: float, y: float, wide: float, found: Study) -> float:
    if found.heads:
        y = sheet.paragraph(x, y + 10, wide, " ".join(map(str, found.heads)), 9.5, ink.FG, bold=True)
    else:
        y = sheet.paragraph(x, y + 10, wide, "No set found." if found.verdict else "No set found yet.", 9.5, ink.FG, bold=True)
    best = found.found or (max(found.sizes, key=lambda one: one.kl) if found.sizes and found.target is None else None)
    if best is not None:
        margin = "" if best.margin is None else f" Margin {signed(found.before.margin)} → {signed(best.margin)}."
        kl = "" if best.margin is not None else f" KL {compact(best.kl)} nats."
        y = sheet.paragraph(x, y, wide, f"{bare(best.first.token)} {percent(best.first.probability)}.{margin}{kl}", BODY, ink.FG2)
    y += 2
    for one in found.certificate:
        sheet.text(x, y, "✓" if one.proved else "–", BODY, ink.FG, bold=True)
        y = sheet.paragraph(x + fonts.width("✓ ", BODY, bold=True) + 2, y, wide - 14, one.text, BODY, ink.FG if one.proved else ink.FG2) + 2
    return y - BODY
