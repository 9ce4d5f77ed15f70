"""What results that can be drawn have in common: `figure()`, `to_svg`, `to_png` and `to_pdf`.

This and `run.py` are the two places that look up the floors, to `export`, and only when asked.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .export.figures import Sheet


class Drawable:
    """`width` is common to all pictures: inches as a number, or a text such as "84mm"; the other options are listed in docs/pictures.md."""

    def figure(self, **options: object) -> Sheet:
        """The picture, which shows itself in a notebook and has `svg()`, `png(dpi)` and `pdf()`."""
        from .export.figures import figure_of

        return figure_of(self, **options)

    def to_svg(self, path: str | Path, **options: object) -> Path:
        """Writes the picture as SVG with real text, the same bytes each time, and returns where."""
        return self.figure(**options).to_svg(path)

    def to_png(self, path: str | Path, *, dpi: float = 300, **options: object) -> Path:
        """Writes the picture as PNG and returns where."""
        return self.figure(**options).to_png(path, dpi=dpi)

    def to_pdf(self, path: str | Path, **options: object) -> Path:
        """Writes the picture as PDF with its fonts embedded and returns where."""
        return self.figure(**options).to_pdf(path)
