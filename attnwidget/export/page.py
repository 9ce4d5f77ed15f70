"""One self-contained HTML file: the front end, a recording and a small loader, readable from disk with no request at all.

The recording and the front end lie in the file as base64 of zlib streams, so no text of a prompt or a model is ever parsed as HTML but
the title and the summary for readers without scripts, which are escaped. The content security policy allows the loader by its hash and
modules of the browser's own memory, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import html
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from pathlib import Path

from ..errors import AttnWidgetError
from ..markup import escaped, visible
from .container import container

HEIGHT = 760
"""Pixels of a page's frame in a notebook's cell, until a reader draws its corner."""

_LOADER = (Path(__file__).parent / "page.js").read_text(encoding="utf-8").strip()

_CSP = (
    "default-src 'none'; script-src 'sha256-{loader}' blob:; style-src 'unsafe-inline'; img-src data: blob:; "
    "base-uri 'none'; form-action 'none'"
)

_HTML = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{csp}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="generator" content="attnwidget {version}">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; background: Canvas; color: CanvasText; }}
body {{ margin: 12px 16px; font: 14px/1.45 system-ui, sans-serif; }}
</style>
</head>
<body>
<main id="attnwidget"></main>
<noscript>
{summary}
</noscript>
<script type="application/x-attnwidget" id="attnwidget-style">{style}</script>
<script type="application/x-attnwidget" id="attnwidget-front-end">{front_end}</script>
<script type="application/x-attnwidget" id="attnwidget-recording">{recording}</script>
<script>{loader}</script>
</body>
</html>
"""

_FRAME = (
    '<div style="height: {height}px; min-height: 200px; resize: vertical; overflow: hidden; max-width: 100%">'
    '<iframe title="{title}" sandbox="allow-scripts allow-downloads" referrerpolicy="no-referrer" '
    'style="width: 100%; height: 100%; border: 0; display: block" srcdoc="{page}"></iframe></div>'
)


@dataclass(frozen=True)
class Page:
    """One HTML file from a recording.

    Args:
        title: of the file, as text.
        header, buffers: a recording, as `container` takes it: `BundleHeader` of js/src/source/container.ts, and the buffers of its stubs.
    """

    title: str
    header: dict = field(repr=False)
    buffers: Sequence[bytes] = field(default=(), repr=False)

    def html(self) -> str:
        """The file's text. The same recording, front end and version of attnwidget give the same text."""
        return self._html

    @cached_property
    def _html(self) -> str:
        return _HTML.format(
            csp=_CSP.format(loader=base64.b64encode(hashlib.sha256(_LOADER.encode()).digest()).decode()),
            version=html.escape(str(self.header.get("about", {}).get("attnwidget", ""))),
            title=escaped(self.title) or "attnwidget",
            summary=_summary(self.title, self.header),
            style=_packed("widget.css"),
            front_end=_packed("widget.js"),
            recording=base64.b64encode(container(self.header, self.buffers)).decode(),
            loader=_LOADER,
        )

    @property
    def nbytes(self) -> int:
        """Of the file."""
        return len(self._html.encode())

    def save(self, path: str | Path) -> Path:
        """Writes the file, over one that is there, and returns its path."""
        path = Path(path)
        if not path.absolute().parent.is_dir():
            raise AttnWidgetError(f"There is no folder {path.absolute().parent}: make it, or save the page elsewhere.")
        path.write_bytes(self._html.encode())
        return path

    def _repr_html_(self) -> str:
        # A frame of its own origin: the page can neither read nor change the notebook around it.
        return _FRAME.format(height=HEIGHT, title=html.escape(visible(self.title) or "attnwidget"), page=html.escape(self._html))


def _packed(name: str) -> str:
    """A file of the front end, as the loader reads it."""
    file = Path(str(files("attnwidget"))) / "static" / name
    if not file.is_file():
        raise AttnWidgetError(
            f"attnwidget/static/{name} is missing, so there is no page: run `make attnwidget/static/widget.js` or reinstall."
        )
    return base64.b64encode(zlib.compress(file.read_bytes(), 9)).decode()


# -- for readers without scripts ----------------------------------------------------------------------------------------


def _summary(title: str, header: dict) -> str:
    about = header.get("about", {})
    lines = [f"<h1><bdi>{escaped(title)}</bdi></h1>"]
    if about.get("model"):
        lines.append(f"<p>Model: <bdi>{escaped(about['model'])}</bdi></p>")
    if about.get("prompt"):
        lines.append(f"<p>Prompt: <bdi>{escaped(about['prompt'])}</bdi></p>")
    rows = _first_rows(header)
    if rows:
        items = "".join(f"<li><bdi>{escaped(row['token'])}</bdi> {100 * row['clean']['probability']:.2f}%</li>" for row in rows)
        lines.append(f"<p>What it answers with nothing ablated:</p>\n<ol>{items}</ol>")
    lines.append(
        "<p>This page draws attention heads with a script that is in the file. Switch scripts on to see them; nothing is fetched.</p>"
    )
    return "\n".join(lines)


def _first_rows(header: dict) -> list[dict]:
    for one in header.get("answers", ()):
        if one["op"] == "outcome" and not one["args"]["ablation"]["heads"]:
            defined = [row for row in one["result"]["rows"] if row["clean"]["probability"] is not None]
            return sorted(defined, key=lambda row: row["clean"]["rank"])[:5]
    return []
