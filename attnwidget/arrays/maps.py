"""Maps of heads as a page of kind "arrays": how their values are kept, what their colours run to, what is said about both."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version

import numpy as np

from ..errors import ArrayError
from ..export.page import Page
from ..widget.wire import Array, pack

# Cells of a page up to which every value is kept as float32: 2 MB of them.
FLOAT_CELLS = 500_000
LARGEST = 64_000_000
# What rounding to half precision adds to a row that is one token: still 1 to 8 bits.
OVER = 1e-3
HALF = 127  # steps of 8 bit on either side of 0
UNDEFINED = 255


@dataclass(frozen=True)
class Maps:
    """Maps that share their tokens: `values` is [head, query, key], NaN where undefined."""

    name: str
    values: np.ndarray
    rows: list[str]
    columns: list[str]
    heads: list[tuple[int, int]]
    """(layer, head) of each map, as they stand in a grid."""
    names: list[str]
    limit: float | None = None
    """Where the colours end; None: 1 for what lies in [0, 1], else the largest size of a value."""
    signed: bool | None = None
    """None: signed where a value is negative."""
    causal: bool = False
    """The upper triangle is not drawn."""


def maps_page(title: str, parts: list[Maps], chosen: list[int], *, lines: bool = False, theme: str = "", view: dict | None = None) -> Page:
    """One page of `parts`, the heads `chosen` of the first selected; `view` has what only one view needs."""
    cells = sum(part.values.size for part in parts)
    if cells > LARGEST:
        raise ArrayError(
            f"attention has {cells:,} values, and a page takes up to {LARGEST:,}: choose layers, heads or a stretch of the tokens first."
        )
    header, buffers = pack(
        {
            "kind": "arrays",
            "state": {},
            "answers": [],
            "patterns": None,
            "theme": theme,
            "title": title,
            "about": {"model": "", "prompt": "", "attnwidget": version("attnwidget")},
            "arrays": {
                "view": "maps",
                "lines": lines,
                "chosen": chosen,
                "parts": [_part(part, cells <= FLOAT_CELLS) for part in parts],
                **(view or {}),
            },
        }
    )
    return Page(title, header, buffers)


def limits(most: float | None, least: float | None) -> tuple[float | None, bool | None]:
    """Where the colours end and whether they have two signs, from CircuitsVis's two numbers."""
    for name, value in (("max_value", most), ("min_value", least)):
        if value is not None and (isinstance(value, bool) or not np.isreal(value) or not np.isfinite(value)):
            raise ArrayError(f"{name} must be a finite number, not {value!r}.")
    if most is None and least is None:
        return None, None
    if most is not None and least is not None and most <= least:
        raise ArrayError(f"max_value must be larger than min_value, not {most:g} and {least:g}.")
    size = max(abs(value) for value in (most, least) if value is not None)
    if size == 0:
        raise ArrayError("The colours cannot end at 0: give max_value or min_value another value, or leave both out.")
    return float(size), True if least is not None and least < 0 else None


def largest(values: np.ndarray) -> float:
    """The largest size of a defined value; 0 where none is."""
    return float(np.nanmax(np.abs(values))) if np.isfinite(values).any() else 0.0


def end_of_colours(values: np.ndarray) -> float:
    """1 for what lies in [0, 1], else the largest size there is."""
    size = largest(values)
    return 1.0 if size == 0 or (size <= 1 + OVER and not (values < 0).any()) else size


def _part(part: Maps, whole: bool) -> dict:
    # What is not drawn is not kept either, so that no reader of the page meets it.
    values = np.tril(part.values) if part.causal else part.values
    signed = bool((values < 0).any()) if part.signed is None else part.signed
    size = largest(values)
    code, precision, array = _kept(values, whole, size)
    return {
        "name": part.name,
        "rows": part.rows,
        "columns": part.columns,
        "heads": part.heads,
        "names": part.names,
        "causal": part.causal,
        "scale": {"signed": signed, "max": part.limit or end_of_colours(values)},
        "largest": size,
        "code": code,
        "precision": precision,
        "values": array,
    }


def _kept(values: np.ndarray, whole: bool, size: float) -> tuple[str, str, Array]:
    """`unit`: v / 255. `signed`: (v - 127) / 127 of the largest size, 255 undefined. Neither is used where float32 has room."""
    if whole or size == 0:
        return "float32", "float32", Array(values.astype(np.float32))
    if np.isfinite(values).all() and values.min() >= 0 and size <= 1 + OVER:
        steps = np.rint(np.minimum(values, 1) * 255).astype(np.uint8)
        return "unit", "8 bit, steps of 1/255", Array(steps)
    known = np.isfinite(values)
    steps = np.where(known, np.rint(np.where(known, values, 0) / size * HALF) + HALF, UNDEFINED).astype(np.uint8)
    return "signed", f"8 bit, steps of {size / HALF:.2g}", Array(steps, size / HALF)
