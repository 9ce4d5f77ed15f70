"""A notebook as one page that needs no kernel and no network: run from top to bottom, each widget in it as a page of its own.

What a cell shows is as it was when that cell had run. A widget is in a frame, and heads can be clicked off in it (`widget/pages.py`).
Other HTML that brings scripts, as CircuitsVis's views do, gets a frame too. The page allows scripts by their hashes, and no request of
any kind. Formulas are left as they are written: typesetting them would take a script from the network.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import html
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import AttnWidgetError
from ..markup import escaped

if TYPE_CHECKING:
    from nbformat import NotebookNode

Progress = Callable[[int, int, str], None]

WIDGET = "application/vnd.jupyter.widget-view+json"
_SHOWN = "__import__('attnwidget.widget.shown', fromlist=['shown'])"  # no name of the notebook is taken
_STILL = 'class="attnwidget-still'
_HERE = Path(__file__).parent
_HEIGHT = 760  # pixels of a frame around what is not ours
_SCRIPT = re.compile(r"<script\b([^>]*)>(.*?)</script\s*>", re.DOTALL | re.IGNORECASE)
_DATA = re.compile(r"\btype\s*=\s*[\"']?(?!module|text/javascript|application/javascript)[\w./+-]+", re.IGNORECASE)
_FRAMED = re.compile(r'\bsrcdoc="([^"]*)"')


def export_lesson(notebook: str | Path, file: str | Path | None = None, *, timeout: int = 600, progress: Progress | None = None) -> Path:
    """Runs the notebook and writes it as one page; returns its path, by default the notebook's with `.html`.

    Args:
        timeout: seconds that a cell may take.
        progress: `progress(done, total, text)` before each cell; what it raises ends it, and no file is written.

    A cell that raises ends it too, with `AttnWidgetError`. The notebook's own file is not changed.
    """
    source = Path(notebook)
    target = Path(file) if file is not None else source.with_suffix(".html")
    if not target.absolute().parent.is_dir():
        raise AttnWidgetError(f"There is no folder {target.absolute().parent}: make it, or name a file in one that exists.")
    page = lesson_page(run_notebook(read_notebook(source), source.absolute().parent, timeout=timeout, progress=progress), source.stem)
    target.write_bytes(page.encode())
    return target


def read_notebook(path: str | Path) -> NotebookNode:
    """The notebook in a file; refused where there is none."""
    nbformat = _needed("nbformat")
    try:
        return nbformat.read(path, as_version=4)
    except OSError as error:
        raise AttnWidgetError(f"{path} cannot be read: {error.strerror}.") from error
    except Exception as error:
        raise AttnWidgetError(f"{path} is no notebook: {str(error).partition(chr(10))[0]}") from error


def run_notebook(notebook: NotebookNode, folder: Path, *, timeout: int = 600, progress: Progress | None = None) -> NotebookNode:
    """Runs its cells in a fresh kernel, in `folder`; each widget that a cell shows stands in its outputs as a page. Changes `notebook`."""
    nbclient, nbformat = _needed("nbclient"), _needed("nbformat")
    client = nbclient.NotebookClient(notebook, timeout=timeout, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
    with client.setup_kernel():
        _aside(client, f"{_SHOWN}.prepare()")
        for index, cell in enumerate(list(notebook.cells)):
            if progress is not None:
                progress(index, len(notebook.cells), "running the cells")
            try:
                client.execute_cell(cell, index)
            except nbclient.exceptions.CellExecutionError as error:
                raise AttnWidgetError(f"Cell {index + 1} of the notebook raised {error.ename}: {error.evalue}") from error
            for output in cell.get("outputs", []):
                if WIDGET in output.get("data", {}):
                    shown = _aside(client, f"{_SHOWN}.show_page({output.data[WIDGET]['model_id']!r})")
                    if shown:
                        output.data = nbformat.from_dict({"text/html": shown[0].data["text/html"], "text/plain": output.data["text/plain"]})
    # The picture of a widget's last state, which its page makes needless. At the end: drawn anew, it is found by its place.
    for cell in notebook.cells:
        if "outputs" in cell:
            cell.outputs = [output for output in cell.outputs if _STILL not in output.get("data", {}).get("text/html", "")]
    return notebook


def _aside(client: object, code: str) -> list:
    """What `code` displays, run in the notebook's kernel without being part of it."""
    nbformat = _needed("nbformat")
    cells = client.nb.cells
    cells.append(nbformat.v4.new_code_cell(code))
    try:
        return client.execute_cell(cells[-1], len(cells) - 1, store_history=False).outputs
    finally:
        cells.pop()


def lesson_page(notebook: NotebookNode, name: str = "notebook", *, before: str = "", after: str = "") -> str:
    """A notebook that was run, as one HTML file. `before` and `after` are HTML around it, for instance ways to other lessons."""
    exporter = _needed("nbconvert").HTMLExporter(template_name="basic", exclude_input_prompt=True, exclude_output_prompt=True)
    copy = _needed("nbformat").from_dict(notebook)
    copy.metadata.pop("widgets", None)
    for cell in copy.cells:
        if cell.cell_type == "markdown":
            cell.source = linked(cell.source)
        for output in cell.get("outputs", []):
            if "text/html" in output.get("data", {}):
                output.data = {"text/html": framed(output.data["text/html"])}
    body, _ = exporter.from_notebook_node(copy)
    return shell(_title(notebook, name), f"{before}{body}{after}")


def linked(markdown: str) -> str:
    """Comments left out, and links to other notebooks as links to their pages."""
    return re.sub(r"\]\(([\w./-]+)\.ipynb\)", r"](\1.html)", re.sub(r"<!--.*?-->", "", markdown, flags=re.DOTALL))


def framed(fragment: str) -> str:
    """HTML that brings scripts of its own in a frame that cannot reach the page; anything else as it is."""
    if "srcdoc=" in fragment or not _SCRIPT.search(fragment):
        return fragment
    page = f'<!doctype html><meta charset="utf-8"><body style="margin: 0; font: 14px system-ui, sans-serif">{fragment}'
    return (
        f'<iframe title="A view with scripts of its own" sandbox="allow-scripts" referrerpolicy="no-referrer" loading="lazy" '
        f'style="width: 100%; height: {_HEIGHT}px; border: 0; background: #fff" srcdoc="{html.escape(page)}"></iframe>'
    )


def shell(title: str, body: str) -> str:
    """`body` as one file under a policy that allows the scripts in its frames, each by its hash, and no request."""
    hashes = dict.fromkeys(_hash(script) for frame in _FRAMED.findall(body) for script in _scripts(html.unescape(frame)))
    scripts = f"script-src {' '.join(hashes)} blob:; " if hashes else ""
    policy = (
        f"default-src 'none'; {scripts}style-src 'unsafe-inline'; img-src data: blob:; font-src data:; base-uri 'none'; form-action 'none'"
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n<meta name="color-scheme" content="light dark">\n'
        f"<title>{escaped(title)}</title>\n<style>\n{_look()}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _scripts(page: str) -> list[str]:
    """The scripts of an HTML text that a browser would run."""
    return [code for attributes, code in _SCRIPT.findall(page) if not _DATA.search(attributes)]


def _hash(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


def _title(notebook: NotebookNode, name: str) -> str:
    headings = (
        line[2:].strip() for cell in notebook.cells if cell.cell_type == "markdown" for line in cell.source.splitlines() if line[:2] == "# "
    )
    return next(headings, name)


@functools.cache
def _look() -> str:
    from pygments.formatters import HtmlFormatter

    light, dark = (HtmlFormatter(style=style).get_style_defs(".highlight") for style in ("default", "github-dark"))
    return f"{(_HERE / 'lesson.css').read_text(encoding='utf-8')}\n{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n"


def _needed(package: str) -> object:
    import importlib

    try:
        return importlib.import_module(package)
    except ImportError as error:
        raise AttnWidgetError(f"A notebook as a page needs {package}: run `pip install nbclient nbconvert nbformat ipykernel`.") from error
