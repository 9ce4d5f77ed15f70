"""Maps of [query, key]: the cells, the labels of the tokens, and the scale that turns a value into a colour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from . import fonts, ink, parts
from .sheet import BODY, SMALL, Sheet
from .wording import cell_number, clip, compact, is_numbered, labels, signed

DRAWN_UP_TO = 64
"""Tokens up to which each cell is a rectangle of its own; beyond, the map is one picture."""
_PIXELS = 2400
_LABELS = 41  # more are positions


@dataclass(frozen=True)
class Map:
    """One map: `values` [query, key], NaN where there is nothing. `most` is the end of its scale."""

    values: np.ndarray
    name: str = ""
    signed: bool = False
    most: float = 1.0
    note: str = ""
    off: bool = False
    """Whether its head is ablated."""


def prepared(values: np.ndarray, *, causal: bool, hide_first: bool = False) -> np.ndarray:
    """float64 [query, key] with NaN where nothing is drawn: above the diagonal, and the first token's column where it is hidden."""
    shown = np.array(values, np.float64)
    if causal:
        shown[np.triu_indices(len(shown), 1)] = np.nan
    if hide_first:
        shown[:, 0] = np.nan
    return shown


def coloured(values: np.ndarray, most: float, both: bool) -> np.ndarray:
    """uint8 [..., 3] of any array; what is NaN is paper."""
    share = np.nan_to_num(ink.root_share(values, most))
    rgb = ink.colours("effect" if both else "attention", share)
    if both:
        rgb = np.where((values < 0)[..., None], ink.colours("hurt", share), rgb)
    return np.where(np.isnan(values)[..., None], np.uint8(255), rgb)


def cells(sheet: Sheet, x: float, y: float, side: float, of: Map, *, numbers: bool = True) -> None:
    """The cells of a square map at x, y. With many tokens several are one pixel, which has the largest of them: a mean would erase sparse
    heads."""
    n = len(of.values)
    size = side / n
    if n > DRAWN_UP_TO:
        sheet.picture(x, y, side, side, coloured(largest_of_blocks(of.values, -(-n // _PIXELS)), of.most, of.signed), id=of.name)
        return
    gap = min(0.6, size * 0.06)
    for query, key in np.argwhere(~np.isnan(of.values)):
        value = float(of.values[query, key])
        ramp, share = ink.tone(value, of.most, of.signed)
        fill = ink.colour(ramp, share)
        left, top = x + key * size, y + query * size
        sheet.rect(left, top, size - gap, size - gap, fill, id=f"{of.name}-q{query}-k{key}")
        if numbers and is_numbered(value, of.most):
            text = cell_number(value)
            at = min(SMALL, size * 0.46, (size - gap - 1) / fonts.width(text, 1))
            if at >= 4:
                sheet.text(left + (size - gap) / 2, top + (size - gap) / 2 + at * 0.36, text, at, ink.ink_on(fill), anchor="middle")


def largest_of_blocks(values: np.ndarray, block: int) -> np.ndarray:
    """[query, key] with each `block` × `block` square replaced by its value of largest size; NaN only where all of it is."""
    if block == 1:
        return values
    n = -(-len(values) // block)
    padded = np.full((n * block, n * block), np.nan)
    padded[: len(values), : len(values)] = values
    tiles = padded.reshape(n, block, n, block).swapaxes(1, 2).reshape(n, n, -1)
    at = np.nan_to_num(np.abs(tiles), nan=-1.0).argmax(-1)
    return np.take_along_axis(tiles, at[..., None], -1)[..., 0]


def labelled(sheet: Sheet, y: float, width: float, of: Map, tokens: Sequence[str], *, causal: bool, query: int | None = None) -> float:
    """A large map with its tokens: beside the diagonal where the map is causal, where each token names its row and the column below;
    else left and on top. The y under it."""
    n = len(tokens)
    names = [clip(name) for name in labels(tokens)] if n <= _LABELS else [str(i) for i in range(n)]
    mono, colour = n <= _LABELS, ink.FG2
    if causal:
        room = max(parts.column(names, BODY, mono=mono) * 1.05 + 6, 24)
        side = width - room
        size = side / n
        at = min(BODY, max(4.0, size * 0.8))
        cells(sheet, 0, y, side, of)
        for i in _every(n, size, at):
            base = y + (i + 0.5) * size + at * 0.36
            chosen = i == query
            if chosen:
                wide = fonts.width(names[i], at, mono=mono)
                sheet.rect((i + 1) * size + 2, base - at * 0.95, wide + 4, at * 1.25, ink.FG)
            sheet.text((i + 1) * size + 4, base, names[i], at, ink.PAPER if chosen else colour, mono=mono)
        if query is not None and n <= DRAWN_UP_TO:
            sheet.rect(0, y + query * size, (query + 1) * size - 0.4, size - 0.4, stroke=ink.FG, line=0.8)
        return y + side
    left = parts.column(names, BODY, mono=mono) + 6
    tilt = min(60.0, 0.72 * parts.column(names, BODY, mono=mono) + 6)
    side = width - left - tilt * 0.6
    size = side / n
    at = min(BODY, max(4.0, size * 0.8))
    top = y + tilt
    cells(sheet, left, top, side, of)
    for i in _every(n, size, at):
        sheet.text(left - 4, top + (i + 0.5) * size + at * 0.36, names[i], at, colour, anchor="end", mono=mono, bold=i == query)
        sheet.text(left + (i + 0.5) * size + at * 0.25, top - 3, names[i], at, colour, mono=mono, angle=45)
    return top + side


def _every(n: int, size: float, at: float) -> range:
    if n > _LABELS:
        return range(0, n, next((step for step in (16, 32, 64, 128, 256, 512) if step * size >= 28), 1024))
    return range(0, n, max(1, -(-int(100 * at * 1.15) // int(100 * size))))


def legend(sheet: Sheet, x: float, y: float, of: Map, words: str) -> float:
    """The scale of a map; the x behind it."""
    if of.signed:
        end = "1" if of.most == 1 else signed(of.most, 3 if of.most < 0.2 else 2)
        return parts.scale(sheet, x, y, ("hurt", "effect"), (f"−{end}", "0", f"+{end}"), f"{words}, √ scale")
    ticks = ("0", "0.25", "1.0") if of.most == 1 else ("0", compact(of.most / 4), compact(of.most))
    return parts.scale(sheet, x, y, "attention", ticks, f"{words}, √ scale")


def on_one_scale(maps: Sequence[Map]) -> list[Map]:
    """All to the largest value of any; an attention's own end is 1."""
    most = ink.largest(*(one.values for one in maps)) or 1.0
    return [replace(one, most=most) for one in maps]
