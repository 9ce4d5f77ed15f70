"""The heads of the largest scores as bars: the bar is the score, an upright tick its estimate where there is one; and the estimate
against what was measured, head by head."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from ...analysis.headscores import HeadScores
from ...heads import Head
from . import fonts, ink, parts
from .sheet import BODY, COLUMN, SMALL, Sheet, fitted, points
from .wording import compact, sentence

_ROW = 12.0
_BEYOND = 1.6  # estimates may be far larger than what they estimate; up to here they lengthen the scale
_NAMED = 5


def ranking_bars(
    scores: HeadScores,
    *,
    estimate: HeadScores | None = None,
    k: int = 16,
    ablated: Collection[Head] = (),
    width: float | str | None = None,
) -> Sheet:
    """The `k` heads of the largest |score|."""
    sheet = Sheet(points(width, COLUMN))
    heads = [head for head in scores.top(k, by="size") if scores.values[head] != 0]
    off = {*ablated, *scores.conditional}
    y = parts.title(sheet, 0, "Heads by " + scores.label, scores.unit)
    left = parts.column([str(head) for head in heads] or ["L0H0"], BODY) + 14
    numbers = 34.0 + (44.0 if estimate is not None else 0.0)
    long = sheet.width - left - numbers - 6
    ends = [float(scores.values[head]) for head in heads]
    guesses = [] if estimate is None else [float(estimate.values[head]) for head in heads]
    low, high = _ends(ends, guesses)
    at = lambda value: left + long * (min(max(value, low), high) - low) / ((high - low) or 1)  # noqa: E731
    sheet.text(0, y + SMALL, "head", SMALL, ink.FG3)
    sheet.text(sheet.width - numbers + 34, y + SMALL, "exact" if scores.exact else "estimate", SMALL, ink.FG3, anchor="end")
    if estimate is not None:
        sheet.text(sheet.width, y + SMALL, "estimate", SMALL, ink.FG3, anchor="end")
    top = y = y + SMALL + 4
    for i, head in enumerate(heads):
        value, base = ends[i], y + _ROW * 0.72
        fill = ink.HURT_BAR if value < 0 else ink.EFFECT_BAR if scores.kind == "effect" else ink.CLEAN2
        if head in off:
            parts.crossed(sheet, 0, y + 2, 7)
        sheet.text(left - 4, base, str(head), BODY, anchor="end")
        high_bar = _ROW - 5 if scores.exact else 2.0
        sheet.rect(min(at(0), at(value)), y + (_ROW - high_bar) / 2, abs(at(value) - at(0)), high_bar, fill, id=f"bar-{head}")
        sheet.text(sheet.width - numbers + 34, base, compact(value), BODY, anchor="end")
        if estimate is not None and not np.isnan(guesses[i]):
            sheet.rect(at(guesses[i]) - 0.7, y + 1, 1.4, _ROW - 2, ink.FG, id=f"estimate-{head}")
            sheet.text(sheet.width, base, f"≈ {compact(guesses[i])}", BODY, ink.FG2, anchor="end")
        y += _ROW
    sheet.line(((at(0), top - 1), (at(0), y)), ink.RULE, line=0.6)
    if not heads:
        sheet.text(0, y + BODY, "No head has a score other than 0.", BODY, ink.FG2)
        y += _ROW
    said = [scores.describe(), f"the {len(heads)} of the largest absolute score of {int((~np.isnan(scores.values)).sum())}"]
    if estimate is not None:
        said.append(f"ticks: {estimate.describe()}")
    return sheet.end(y + 2, sentence(said))


def _ends(values: list[float], guesses: list[float]) -> tuple[float, float]:
    largest = max(map(abs, values), default=0.0)
    seen = [0.0, *values, *(max(-_BEYOND * largest, min(_BEYOND * largest, guess)) for guess in guesses if not np.isnan(guess))]
    return min(seen), max(seen) or 1.0


def scatter(scores: HeadScores, estimate: HeadScores, *, width: float | str | None = None) -> Sheet:
    """Each head's estimate against what was measured, with the line on which they agree; those farthest from it are named."""
    sheet = Sheet(points(width, COLUMN))
    x, y = scores.values.ravel(), estimate.values.ravel()
    both = np.flatnonzero(~np.isnan(x) & ~np.isnan(y))
    left, top, side = 34.0, 6.0, sheet.width - 44
    low, high = min(0.0, float(np.nanmin([x[both], y[both]], initial=0))), max(0.0, float(np.nanmax([x[both], y[both]], initial=0)))
    room = 0.06 * ((high - low) or 1)
    low, high = low - room, high + room
    across = lambda value: left + side * (value - low) / (high - low)  # noqa: E731
    up = lambda value: top + side - side * (value - low) / (high - low)  # noqa: E731
    for tick in ticks(low, high):
        sheet.text(across(tick), top + side + SMALL + 3, tick_text(tick), SMALL, ink.FG3, anchor="middle")
        sheet.text(left - 4, up(tick) + SMALL * 0.36, tick_text(tick), SMALL, ink.FG3, anchor="end")
    sheet.line(((across(0), top), (across(0), top + side)), ink.RULE)
    sheet.line(((left, up(0)), (left + side, up(0))), ink.RULE)
    sheet.line(((across(low), up(low)), (across(high), up(high))), ink.FG3, dash=(2, 2))
    n = scores.values.shape[1]
    for i in both:
        fill = ink.HURT_BAR if x[i] < 0 else ink.EFFECT_BAR
        sheet.disc(across(x[i]), up(y[i]), 1.8, fill, id=f"dot-{Head(*divmod(int(i), n))}")
    worst = [int(i) for i in both[np.argsort(-np.abs(x[both] - y[both]), kind="stable")][:_NAMED] if x[i] != y[i]]
    taken: list[tuple[float, float]] = []
    for i in worst:
        name, at = str(Head(*divmod(i, n))), (across(x[i]), up(y[i]))
        if any(abs(at[0] - other[0]) < 34 and abs(at[1] - other[1]) < 8 for other in taken):
            continue
        taken.append(at)
        ends = at[0] + fonts.width(name, SMALL) + 5 > left + side
        sheet.text(at[0] + (-4 if ends else 4), at[1] + SMALL * 0.36, name, SMALL, anchor="end" if ends else "start", bold=True)
    sheet.text(
        left + side / 2, top + side + 2 * SMALL + 7, fitted(f"measured: {scores.label}", side, SMALL), SMALL, ink.FG2, anchor="middle"
    )
    sheet.text(8, top + side / 2, fitted(f"estimate: {estimate.label}", side, SMALL), SMALL, ink.FG2, anchor="middle", angle=90)
    agree = (
        f"Pearson {np.corrcoef(x[both], y[both])[0, 1]:.2f} over {len(both)} heads"
        if len(both) > 2 and np.ptp(x[both]) and np.ptp(y[both])
        else ""
    )
    said = [agree, "on the dashed line they agree", scores.describe(), estimate.describe()]
    return sheet.end(top + side + 2 * SMALL + 12, sentence(said))


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers from `low` to `high`, 1, 2 or 5 times a power of ten apart."""
    raw = (high - low) / most
    power = 10.0 ** np.floor(np.log10(raw)) if raw > 0 else 1.0
    step = next(f * power for f in (1, 2, 5, 10) if f * power >= raw)
    return [round(i * step, 12) for i in range(int(np.ceil(low / step - 1e-9)), int(np.floor(high / step + 1e-9)) + 1)]


def tick_text(value: float) -> str:
    return f"{value:g}".replace("-", "−")
