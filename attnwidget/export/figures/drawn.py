"""The marks of a sheet as matplotlib's artists."""

from __future__ import annotations

import numpy as np
from matplotlib.font_manager import FontProperties
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.patches import Circle, PathPatch, Polygon, Rectangle
from matplotlib.path import Path
from matplotlib.text import Text
from matplotlib.transforms import Affine2D

from . import fonts

_BEZIER = [Path.MOVETO, Path.CURVE4, Path.CURVE4, Path.CURVE4]
_ANCHORS = {"start": "left", "middle": "center", "end": "right"}


class Drawing:
    """Puts marks on a figure of `height` points. `literal`: texts stay as they are, and the viewer's fonts draw them; else a character that
    none of our fonts has is drawn as a box. `vector`: pictures keep their cells, for viewers to enlarge; else they are drawn in dots, and
    several cells of one dot as their mean."""

    def __init__(self, figure, height: float, *, literal: bool, vector: bool):
        self._figure, self._height, self._literal, self._vector = figure, height, literal, vector
        self._axes = None
        self._z = 0

    def draw(self, marks: list[tuple], x: float, y: float) -> None:
        place = Affine2D().translate(x, y).scale(1 / 72, -1 / 72).translate(0, self._height / 72) + self._figure.dpi_scale_trans
        for kind, *mark in marks:
            if kind == "sheet":
                other, dx, dy = mark
                self.draw(other._marks, x + dx, y + dy)
            else:
                getattr(self, f"_{kind}")(place, *mark)

    def _add(self, artist, place, id: str = "") -> None:
        self._z += 1
        artist.set(transform=place, zorder=self._z, clip_on=False)
        artist.set_snap(False)
        if id:
            artist.set_gid(id)
        self._figure.add_artist(artist)

    def _rect(self, place, x, y, w, h, fill, stroke, line, id) -> None:
        self._add(Rectangle((x, y), w, h, **_filled(fill, stroke, line)), place, id)

    def _disc(self, place, x, y, r, fill, stroke, line, id) -> None:
        self._add(Circle((x, y), r, **_filled(fill, stroke, line)), place, id)

    def _area(self, place, xy, fill) -> None:
        self._add(Polygon(xy, closed=True, **_filled(fill, None, 0)), place)

    def _line(self, place, xy, colour, line, dash, id) -> None:
        xs, ys = zip(*xy, strict=True)
        style = "solid" if dash is None else (0, dash)
        look = {"color": colour, "linewidth": line, "linestyle": style, "solid_capstyle": "butt", "solid_joinstyle": "round", "marker": ""}
        self._add(Line2D(xs, ys, **look), place, id)

    def _curve(self, place, xy, colour, line, dash, id) -> None:
        style = "solid" if dash is None else (0, dash)
        look = {"facecolor": "none", "edgecolor": colour, "linewidth": line, "linestyle": style, "capstyle": "butt"}
        self._add(PathPatch(Path(xy, _BEZIER), **look), place, id)

    def _text(self, place, x, y, text, size, colour, anchor, bold, mono, angle, id) -> None:
        # The alias lets an SVG name what a machine without DejaVu has.
        families = [*fonts.families(mono), *(["monospace" if mono else "sans-serif"] if self._literal else [])]
        written = text if self._literal else fonts.boxed(text, mono=mono, bold=bold)
        artist = Text(
            x,
            y,
            written,
            color=colour,
            fontproperties=FontProperties(family=families, size=size, weight="bold" if bold else "normal"),
            horizontalalignment=_ANCHORS[anchor],
            verticalalignment="baseline",
            rotation=angle,
            rotation_mode="anchor",
            parse_math=False,
            usetex=False,
        )
        self._add(artist, place, id)

    def _picture(self, place, x, y, w, h, rgb, id) -> None:
        if self._axes is None:
            self._axes = self._figure.add_axes((0, 0, 1, 1), frameon=False)
            self._axes.set_axis_off()
        if self._vector:  # viewers that smooth would blur single cells
            factor = max(1, min(8, 2400 // max(rgb.shape[:2])))
            rgb = np.repeat(np.repeat(rgb, factor, 0), factor, 1)
        how = "none" if self._vector else "antialiased"
        image = AxesImage(self._axes, interpolation=how, origin="upper", extent=(x, x + w, y + h, y))
        image.set_data(rgb)
        self._add(image, place, id)


def _filled(fill: str | None, stroke: str | None, line: float) -> dict:
    return {
        "facecolor": fill or "none",
        "edgecolor": stroke or "none",
        "linewidth": line if stroke else 0,
        "joinstyle": "miter",
        "antialiased": True,
    }
