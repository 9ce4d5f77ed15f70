"""The grid of all heads: layers run right, heads down; coloured by a score, or with each head's pattern in its cell."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from ...analysis.headscores import HeadScores
from ...heads import Head
from . import fonts, ink, parts
from .maps import coloured, prepared
from .sheet import PAGE, SMALL, Sheet, fitted, points
from .wording import compact, sentence

_MARGIN, _TOTALS = 16.0, 14.0
_LARGEST = 24.0
_SIDE = 0.9  # of the pitch; the rest is the gap
_TINY_MINUS = 0.02  # of the maximum: under it, no sign is drawn


class Cells:
    """Where the cells lie."""

    def __init__(self, sheet: Sheet, top: float, layers: int, heads: int, bars: bool):
        self.sheet, self.top, self.layers, self.heads = sheet, top, layers, heads
        self.pitch = min(_LARGEST, (sheet.width - _MARGIN) / layers)
        self.side = self.pitch * _SIDE
        self.row = self.pitch + (self.pitch * 0.18 if bars else 0)

    def corner(self, layer: int, head: int) -> tuple[float, float]:
        return _MARGIN + layer * self.pitch, self.top + head * self.row

    @staticmethod
    def dots(side: int) -> int:
        """The pitch of cells that are `side` dots wide."""
        return max(side + 1, round(side / _SIDE))

    @property
    def bottom(self) -> float:
        return self.top + self.heads * self.row

    def named(self) -> None:
        size = min(SMALL, self.pitch * 0.75)
        widest = fonts.width(str(self.layers - 1), size) + 2
        step = next(step for step in (1, 2, 5, 10, 20, 50, 100) if step * self.pitch >= widest)
        for layer in range(0, self.layers, step):
            x = _MARGIN + layer * self.pitch + self.side / 2
            self.sheet.text(x, self.top - 3, str(layer), size, ink.FG3, anchor="middle")
        step = next(step for step in (1, 2, 5, 10, 20, 50) if step * self.row >= size)
        for head in range(0, self.heads, step):
            self.sheet.text(_MARGIN - 4, self.corner(0, head)[1] + self.side / 2 + size * 0.36, str(head), size, ink.FG3, anchor="end")

    def marked(self, ablated: Collection[Head], selected: Collection[Head], shown: Collection[Head]) -> None:
        for layer, head in ablated:
            x, y = self.corner(layer, head)
            parts.crossed(self.sheet, x, y, self.side, id=f"ablated-L{layer}H{head}")
        for heads, line in ((selected, 0.9), (shown, 1.6)):
            for layer, head in heads:
                parts.ring(self.sheet, *self.corner(layer, head), self.side, line)


def scores_grid(
    scores: HeadScores,
    *,
    known: np.ndarray | None = None,
    ablated: Collection[Head] = (),
    selected: Collection[Head] = (),
    shown: Collection[Head] = (),
    width: float | str | None = None,
) -> Sheet:
    """Each cell coloured by its head's score. `known` [layer, head] is 0 where a value is an estimate; by default the scores say it of
    all."""
    sheet = Sheet(points(width, PAGE))
    layers, heads = scores.values.shape
    y = parts.title(sheet, 0, "Heads", fitted(_quantity(scores), sheet.width - 40, SMALL))
    cells = Cells(sheet, y + _TOTALS + SMALL + 6, layers, heads, bars=False)
    look = _Look(scores, known)
    look.totals(cells, y + _TOTALS)
    cells.named()
    for layer in range(layers):
        for head in range(heads):
            look.square(cells, layer, head)
    off = tuple(dict.fromkeys((*ablated, *scores.conditional)))
    cells.marked(off, selected, shown)
    x = look.legend(sheet, 0, cells.bottom + 4)
    _marks(sheet, x, cells.bottom + 4, off, selected, look.guesses)
    return sheet.end(cells.bottom + 19, sentence([scores.describe(), "Σ above: the sum of |score| over a layer's heads"]))


def patterns_grid(
    maps: np.ndarray,
    caption: str,
    *,
    causal: bool,
    hide_first: bool = False,
    scores: HeadScores | None = None,
    known: np.ndarray | None = None,
    ablated: Collection[Head] = (),
    selected: Collection[Head] = (),
    shown: Collection[Head] = (),
    width: float | str | None = None,
) -> Sheet:
    """Each head's pattern, pooled: `maps` [layer, head, n, n] from 0 to 1. With scores, a bar under each: √ of its share of the largest."""
    sheet = Sheet(points(width, PAGE))
    layers, heads = maps.shape[:2]
    look = None if scores is None else _Look(scores, known)
    y = parts.title(sheet, 0, "Heads", "" if scores is None else fitted(f"bars: {_quantity(scores)}", sheet.width - 40, SMALL))
    cells = Cells(sheet, y + (0 if look is None else _TOTALS) + SMALL + 6, layers, heads, bars=look is not None)
    if look is not None:
        look.totals(cells, y + _TOTALS)
    cells.named()
    _thumbnails(cells, maps, causal, hide_first)
    if look is not None:
        for layer in range(layers):
            for head in range(heads):
                look.bar(cells, layer, head)
    cells.marked(ablated, selected, shown)
    x = parts.scale(sheet, 0, cells.bottom + 4, "attention", ("0", "0.25", "1.0"), "attention, √ scale")
    if look is not None:
        x = look.bar_legend(sheet, x, cells.bottom + 4)
    _marks(sheet, x, cells.bottom + 4, ablated, selected, look is not None and look.guesses, bars=True)
    said = [caption, "first key hidden" if hide_first else "", f"bars: {scores.describe()}" if scores is not None else ""]
    return sheet.end(cells.bottom + 19, sentence(said))


def _thumbnails(cells: Cells, maps: np.ndarray, causal: bool, hide_first: bool) -> None:
    """All of them as one picture, whose dots are the cells of the maps, twice enlarged, and the gaps between."""
    layers, heads, n, _ = maps.shape
    side = 2 * n
    pitch = cells.dots(side)
    row = round(pitch * cells.row / cells.pitch)
    whole = np.full((heads * row, layers * pitch, 3), 255, np.uint8)
    for layer in range(layers):
        for head in range(heads):
            values = prepared(maps[layer, head], causal=causal, hide_first=hide_first)
            rgb = coloured(values, 1.0, False).repeat(2, 0).repeat(2, 1)
            whole[head * row : head * row + side, layer * pitch : layer * pitch + side] = rgb
    cells.sheet.picture(_MARGIN, cells.top, layers * cells.pitch, heads * cells.row, whole, id="patterns")


class _Look:
    """How one set of scores is drawn: effects are orange and purple on a square-root scale, all else grey and linear."""

    def __init__(self, scores: HeadScores, known: np.ndarray | None):
        self.scores, self.values = scores, scores.values
        self.effect = scores.kind == "effect"
        self.most = ink.largest(scores.values)
        self.exact = np.full(self.values.shape, scores.exact) if known is None else known == 2
        self.guesses = bool((~self.exact & ~np.isnan(self.values)).any())

    def share(self, value: float) -> float:
        if self.most <= 0:
            return 0.0
        return float(ink.root_share(value, self.most)) if self.effect else min(1.0, abs(value) / self.most)

    def square(self, cells: Cells, layer: int, head: int) -> None:
        value = float(self.values[layer, head])
        (x, y), side, name = cells.corner(layer, head), cells.side, f"L{layer}H{head}"
        if np.isnan(value):
            cells.sheet.rect(x + side / 2 - 0.75, y + side / 2 - 0.75, 1.5, 1.5, ink.FG3, id=name)
            return
        ramp = "probability" if not self.effect else "hurt" if value < 0 else "effect"
        fill = ink.colour(ramp, self.share(value))
        if self.exact[layer, head]:
            cells.sheet.rect(x, y, side, side, fill, id=name)
        else:
            cells.sheet.rect(x, y, side, side, stroke=ink.RULE, line=0.5)
            cells.sheet.rect(x + side / 4, y + side / 4, side / 2, side / 2, fill, id=name)
        if value < 0 and abs(value) > _TINY_MINUS * self.most:  # the sign must not rest on hue alone
            long = side * 0.22
            cells.sheet.rect(x + side / 2 - long, y + side / 2 - side * 0.03, 2 * long, side * 0.07, ink.ink_on(fill))

    def bar(self, cells: Cells, layer: int, head: int) -> None:
        value = float(self.values[layer, head])
        (x, y), side, high = cells.corner(layer, head), cells.side, cells.pitch * 0.14
        top = y + side + cells.pitch * 0.03
        if np.isnan(value):
            cells.sheet.rect(x, top + high / 3, 1.2, 1.2, ink.FG3)
            return
        cells.sheet.rect(x, top, side, high, ink.RULE2)
        long = self.share(value) * side
        if long < 0.3:
            return
        left = x + side - long if value < 0 else x
        exact = self.exact[layer, head]
        fill = ink.HURT_BAR if value < 0 else ink.EFFECT_BAR if self.effect else ink.CLEAN2
        cells.sheet.rect(left, top if exact else top + high * 0.4, long, high if exact else high * 0.25, fill, id=f"bar-L{layer}H{head}")

    def totals(self, cells: Cells, bottom: float) -> None:
        sums = np.nansum(np.abs(self.values), axis=1)
        cells.sheet.text(_MARGIN - 4, bottom - 1, "Σ", SMALL, ink.FG3, anchor="end")
        for layer, total in enumerate(sums):
            high = _TOTALS * 0.9 * total / sums.max() if sums.max() > 0 else 0.0
            if high > 0:
                fill = ink.EFFECT_BAR if self.effect else ink.CLEAN2
                cells.sheet.rect(_MARGIN + layer * cells.pitch, bottom - high, cells.side, high, fill, id=f"sum-L{layer}")

    def legend(self, sheet: Sheet, x: float, y: float) -> float:
        scores, end = self.scores, compact(self.most)
        words = _quantity(scores) + (", √ scale" if self.effect else "")
        if self.effect and scores.signed:
            return parts.scale(sheet, x, y, ("hurt", "effect"), (f"−{end}", "0", f"+{end}"), words)
        middle = compact(self.most / (4 if self.effect else 2))
        return parts.scale(sheet, x, y, "effect" if self.effect else "probability", ("0", middle, end), words)

    def bar_legend(self, sheet: Sheet, x: float, y: float) -> float:
        signs = "±" if self.effect and self.scores.signed else ""
        words = f"bar: {'√ to' if self.effect else '0 to'} {signs}{compact(self.most)} {self.scores.unit}".rstrip()
        sheet.rect(x, y + 1.5, 12, 2.5, ink.EFFECT_BAR if self.effect else ink.CLEAN2)
        sheet.text(x + 16, y + 5.5, words, SMALL, ink.FG2)
        return x + 16 + fonts.width(words, SMALL) + 14


def _quantity(scores: HeadScores) -> str:
    return f"{scores.label}, {scores.unit}" if scores.unit else scores.label


def _marks(sheet: Sheet, x: float, y: float, ablated: Collection, selected: Collection, guesses: bool, bars: bool = False) -> None:
    """What the marks on the cells mean, those that are there, as far as they fit."""
    known = [("selected", "ring")] * bool(selected) + [("ablated", "cross")] * bool(ablated)
    known += [("estimate", "thin" if bars else "inset")] * guesses + [("layers →, heads ↓", "")]
    for text, mark in known:
        if x + fonts.width(text, SMALL) + 22 > sheet.width:
            return
        if mark == "ring":
            sheet.rect(x + 1, y, 6, 6, stroke=ink.ACCENT, line=0.9)
        elif mark == "cross":
            parts.crossed(sheet, x + 0.5, y - 0.5, 7)
        elif mark == "thin":
            sheet.rect(x, y + 2.6, 8, 0.8, ink.EFFECT_BAR)
        elif mark == "inset":
            sheet.rect(x + 1, y, 6, 6, stroke=ink.RULE, line=0.5)
            sheet.rect(x + 2.5, y + 1.5, 3, 3, ink.EFFECT_BAR)
        sheet.text(x + (11 if mark else 0), y + 5.5, text, SMALL, ink.FG3 if not mark else ink.FG2)
        x += fonts.width(text, SMALL) + 11 + 12
