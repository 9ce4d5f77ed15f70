"""A sheet of paper that pictures are drawn on, and how it becomes a file.

Lengths are points (1/72 inch), y runs down, texts stand on their baseline. matplotlib draws; it is imported when a sheet is, never with
attnwidget. Nothing of its global settings is changed, and its pyplot is not used.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ...errors import AttnWidgetError
from . import fonts, ink

TITLE, BODY, SMALL, TINY = 9.0, 7.5, 6.5, 5.5
COLUMN, PAGE = 3.4 * 72, 6.9 * 72
"""Usual widths: one column of a paper, and both."""
MARGIN = 3.0
"""Round all that is drawn, inside the width."""
_SLACK = 1.02  # hinting makes letters wider at some sizes
_UNITS = {"in": 72.0, "cm": 72 / 2.54, "mm": 72 / 25.4, "pt": 1.0}
_LEAST, _MOST = 72.0, 40 * 72.0


def points(width: float | str | None, usual: float) -> float:
    """The width inside the margins of one that is asked for: inches as a number, or a text such as "84mm", "3.3in", "8.4 cm", "240pt";
    None is `usual`."""
    if width is None:
        return usual - 2 * MARGIN
    found = width
    if isinstance(width, str) and (match := re.fullmatch(r"\s*([0-9.]+)\s*(in|cm|mm|pt)\s*", width)) and match[1].count(".") < 2:
        found = float(match[1]) * _UNITS[match[2]]
    elif isinstance(width, (int, float)) and not isinstance(width, bool):
        found = float(width) * 72
    if not isinstance(found, float) or not _LEAST <= found <= _MOST:
        raise AttnWidgetError(f'width must be 1 to 40 inches, as a number or as "84mm", "8.4cm", "3.3in" or "240pt", not {width!r}.')
    return found - 2 * MARGIN


class Sheet:
    """What is drawn, in the order in which it was; `caption` says what it shows and stands under it. `to_svg`, `to_png` and `to_pdf`
    write it; in a notebook it shows itself."""

    def __init__(self, width: float, height: float = 0.0):
        self.width, self.height, self.caption = width, height, ""
        self._marks: list[tuple] = []

    # -- marks ----------------------------------------------------------------------------------------------------

    def rect(
        self, x: float, y: float, w: float, h: float, fill: str | None = None, *, stroke: str | None = None, line: float = 0.6, id: str = ""
    ) -> None:
        """`id` names it in an SVG: cells of maps are "L9H6-q3-k1"."""
        self._marks.append(("rect", x, y, w, h, fill, stroke, line, id))

    def line(
        self,
        xy: Sequence[tuple[float, float]],
        colour: str = ink.FG2,
        *,
        line: float = 0.6,
        dash: Sequence[float] | None = None,
        id: str = "",
    ) -> None:
        self._marks.append(("line", tuple(xy), colour, line, tuple(dash) if dash else None, id))

    def area(self, xy: Sequence[tuple[float, float]], fill: str) -> None:
        self._marks.append(("area", tuple(xy), fill))

    def curve(
        self,
        start: tuple,
        out: tuple,
        into: tuple,
        end: tuple,
        colour: str,
        *,
        line: float,
        dash: Sequence[float] | None = None,
        id: str = "",
    ) -> None:
        """A cubic Bézier curve."""
        self._marks.append(("curve", (start, out, into, end), colour, line, tuple(dash) if dash else None, id))

    def disc(self, x: float, y: float, r: float, fill: str | None, *, stroke: str | None = None, line: float = 0.6, id: str = "") -> None:
        self._marks.append(("disc", x, y, r, fill, stroke, line, id))

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: float = BODY,
        colour: str = ink.FG,
        *,
        anchor: str = "start",
        bold: bool = False,
        mono: bool = False,
        angle: float = 0.0,
        id: str = "",
    ) -> None:
        """One line, drawn as it is: no mathematics, no markup. `anchor`: start, middle or end; `angle` in degrees, anticlockwise."""
        if text:
            self._marks.append(("text", x, y, text, size, colour, anchor, bold, mono, angle, id))

    def picture(self, x: float, y: float, w: float, h: float, rgb: np.ndarray, id: str = "") -> None:
        """Cells too many to be drawn one by one: uint8 [row, column, 3]."""
        self._marks.append(("picture", x, y, w, h, rgb, id))

    def paragraph(self, x: float, y: float, width: float, text: str, size: float = SMALL, colour: str = ink.FG2, **look: bool) -> float:
        """Lines no wider than `width`, from baseline `y` down; the y under the last."""
        for part in wrapped(text, width, size, **look):
            self.text(x, y, part, size, colour, **look)
            y += size * 1.42
        return y

    def put(self, other: Sheet, x: float, y: float) -> None:
        """All marks of another sheet, with its corner at x, y."""
        self._marks.append(("sheet", other, x, y))

    def end(self, y: float, caption: str = "") -> Sheet:
        """Closes the sheet under `y`, with its caption below."""
        self.caption = caption
        if caption:
            y = self.paragraph(0, y + SMALL + 4, self.width, caption) - SMALL
        self.height = y + 1
        return self

    # -- files ----------------------------------------------------------------------------------------------------

    def svg(self) -> str:
        """Text as text; the same bytes for the same picture."""
        return self._written("svg").decode()

    def png(self, dpi: float = 300) -> bytes:
        """The same pixels for the same picture and version of matplotlib."""
        return self._written("png", _dots(dpi))

    def pdf(self) -> bytes:
        """Fonts are embedded."""
        return self._written("pdf")

    def to_svg(self, path: str | Path) -> Path:
        return _saved(path, ".svg", self.svg().encode())

    def to_png(self, path: str | Path, *, dpi: float = 300) -> Path:
        return _saved(path, ".png", self.png(dpi))

    def to_pdf(self, path: str | Path) -> Path:
        return _saved(path, ".pdf", self.pdf())

    def _written(self, kind: str, dpi: float = 72) -> bytes:
        out = io.BytesIO()
        with _own_settings():
            figure = self._figure(kind, dpi)
            if kind == "svg":
                from matplotlib.backends.backend_svg import FigureCanvasSVG

                about = {"Date": None, "Creator": "attnwidget", "Description": self.caption or None}
                FigureCanvasSVG(figure).print_svg(out, metadata=about)
            elif kind == "pdf":
                from matplotlib.backends.backend_pdf import FigureCanvasPdf

                about = {"CreationDate": None, "ModDate": None, "Creator": "attnwidget", "Producer": None}
                FigureCanvasPdf(figure).print_pdf(out, metadata=about)
            else:
                from matplotlib.backends.backend_agg import FigureCanvasAgg

                FigureCanvasAgg(figure).print_png(out, metadata={"Software": "attnwidget"})
        return out.getvalue()

    def pixels(self, dpi: float) -> np.ndarray:
        """uint8 [row, column, 3], drawn with matplotlib's settings as they are: for a thread that must not touch them."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        canvas = FigureCanvasAgg(self._figure("png", dpi))
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[..., :3].copy()

    def _figure(self, kind: str, dpi: float):
        from matplotlib.figure import Figure

        from .drawn import Drawing

        size = (self.width + 2 * MARGIN) / 72, (self.height + 2 * MARGIN) / 72
        figure = Figure(figsize=size, dpi=dpi, facecolor=ink.PAPER, edgecolor="none", linewidth=0)
        Drawing(figure, self.height + 2 * MARGIN, literal=kind == "svg", vector=kind != "png").draw(self._marks, MARGIN, MARGIN)
        return figure

    def _repr_mimebundle_(self, **_: object) -> dict:
        return {"image/svg+xml": self.svg(), "text/plain": repr(self)}

    def __repr__(self) -> str:
        wide, high = ((length + 2 * MARGIN) / 72 for length in (self.width, self.height))
        return f"Sheet({wide:.2f} × {high:.2f} in; {self.caption})"


def wrapped(text: str, room: float, size: float, **look: bool) -> list[str]:
    """Lines no wider than `room`; a word that is wider is broken."""
    lines, now = [], ""
    room /= _SLACK
    for word in text.split(" "):
        longer = f"{now} {word}" if now else word
        if fonts.width(longer, size, **look) <= room:
            now = longer
            continue
        if now:
            lines.append(now)
        while fonts.width(word, size, **look) > room and len(word) > 1:
            n = max(_fitting(word, room, size, **look), 1)
            lines.append(word[:n])
            word = word[n:]
        now = word
    return [*lines, now] if now else lines


def fitted(text: str, room: float, size: float, **look: bool) -> str:
    """`text`, cut with … where it is wider than `room`."""
    room /= _SLACK
    if fonts.width(text, size, **look) <= room:
        return text
    n = _fitting(text, room, size, "…", **look)
    return text[:n] + "…" if n else ""


def _fitting(text: str, room: float, size: float, end: str = "", **look: bool) -> int:
    """How many of the first characters, with `end` after them, are no wider than `room`. A token may have ten thousand."""
    room -= fonts.width(end, size, **look)
    for n, c in enumerate(text):
        room -= fonts.width(c, size, **look)
        if room < 0:
            return n
    return len(text)


def _dots(dpi: float) -> float:
    if isinstance(dpi, bool) or not isinstance(dpi, (int, float)) or not 36 <= dpi <= 2400:
        raise AttnWidgetError(f"dpi must be a number from 36 to 2400, not {dpi!r}.")
    return float(dpi)


def _saved(path: str | Path, suffix: str, data: bytes) -> Path:
    """Where it was written: `path`, with the suffix where it has none."""
    path = Path(path)
    path = path if path.suffix else path.with_suffix(suffix)
    if path.suffix.lower() != suffix:
        kind = suffix[1:]
        raise AttnWidgetError(f"to_{kind} writes {kind.upper()}, and {path.name!r} ends in {path.suffix!r}: name it {path.stem}{suffix}.")
    path.write_bytes(data)
    return path


@contextmanager
def _own_settings():
    """matplotlib's own defaults and ours, whatever the user's style, and back again; what it warns of (glyphs that no font has, drawn as
    boxes) is no news to anyone."""
    from matplotlib import rc_context, rcParamsDefault

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        own = {name: value for name, value in rcParamsDefault.items() if name.split(".")[0] in _MATTERS}
        own |= {"text.hinting": "no_hinting", "svg.fonttype": "none", "svg.hashsalt": "attnwidget", "svg.image_inline": True}
        own |= {"pdf.fonttype": 42, "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "Helvetica"]}
        own |= {"font.monospace": ["DejaVu Sans Mono", "Menlo", "Consolas", "Courier New"]}
        with rc_context(own):
            yield


_MATTERS = ("agg", "font", "image", "lines", "mathtext", "patch", "path", "pdf", "svg", "text")
