"""A widget as a page: `w.page()`, `w.to_html()`, and the requests behind the page's own button."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from ..errors import AttnWidgetError
from ..export.page import Page
from ..heads import HeadsLike, parse_heads
from .jobs import BACKGROUND, SOON, Job
from .ops import Stale
from .pageparts import PageParts, page_parts
from .recording import Progress, record, title_of, unqueued
from .wire import Array


class Pages:
    """The part of `AttentionWidget` that makes pages of it."""

    def to_html(
        self,
        path: str | Path,
        include: Iterable[str] | None = None,
        heads: HeadsLike | None = None,
        progress: Progress | None = None,
    ) -> Path:
        """Writes the widget as it is now as one HTML file that opens from disk with no kernel and no network, and returns its path.

        Args:
            path: of the file; one that is there is replaced.
            include: which parts are in, as `w.page_parts()` names them; by default those it marks as chosen.
            heads: those whose patterns are in, instead of the parts about patterns.
            progress: `progress(done, total, text)`; what it raises ends it, and no file is written.

        Single heads can be ablated in the page: the answers were measured here, one sweep for all. Patterns are in to 8 bits, ± 0.002.
        """
        path = Path(path)
        if not path.absolute().parent.is_dir():
            raise AttnWidgetError(f"There is no folder {path.absolute().parent}: make it, or save the page elsewhere.")
        return self.page(include, heads, progress).save(path)

    def page(self, include: Iterable[str] | None = None, heads: HeadsLike | None = None, progress: Progress | None = None) -> Page:
        """As `to_html`, but for the file: `.save(path)` writes it, `.nbytes` is its size, and a notebook shows it in a frame."""
        job = unqueued(progress)
        with self.lock:
            chosen = None if heads is None else parse_heads(heads, self.n_layers, self.n_heads)
            parts = [part.name for part in page_parts(self, job).parts if part.chosen] if include is None else include
            return Page(title_of(self), *record(self, parts, chosen, job))

    def page_parts(self) -> PageParts:
        """What a page of the widget as it is now can hold, how many bytes and how many seconds each part takes: a few heads are ablated,
        and a few positions read, to tell."""
        with self.lock:
            return page_parts(self, unqueued())


# -- as requests --------------------------------------------------------------------------------------------------------


def _asked_parts(widget: Pages, args: dict, job: Job) -> PageParts:
    _present(widget, args)
    return page_parts(widget, job)


def _asked_page(widget: Pages, args: dict, job: Job) -> dict:
    _present(widget, args)
    parts = args.get("parts")
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise AttnWidgetError("parts must be a list of names.")
    html = Page(title_of(widget), *record(widget, parts, None, job)).html().encode()
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", widget.model_name).strip("-.") or "page"
    return {"name": f"attnwidget-{name}.html", "html": Array(np.frombuffer(html, np.uint8))}


def _present(widget: Pages, args: dict) -> None:
    if args.get("run_key") != widget._session.key:
        raise Stale


PAGE_OPS = {"page_parts": (_asked_parts, SOON), "page": (_asked_page, BACKGROUND)}
"""By request, `compute(widget, args, job)` and its priority: what a page holds follows from traits, which a session does not have."""
