"""Runs the lessons and writes each as a page without a kernel, beside one of contents: `python scripts/lessons.py FOLDER [LESSON ...]`."""

from __future__ import annotations

import html
import re
import sys
from pathlib import Path

from nbconvert.filters.markdown_mistune import markdown2html_mistune
from nbformat import NotebookNode

from attnwidget.export.lesson import lesson_page, linked, read_notebook, run_notebook, shell

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
_CONTENTS = "README.md"
_SAID = (
    "This is a lesson as a page: its code was run, and what it showed is kept. In the views, heads can be looked at and switched off one "
    "by one, with the answers that the model gave; for anything else, open the notebook."
)


def order() -> list[str]:
    """The names of the lessons, as the contents have them."""
    return re.findall(r"\]\((\w+)\.ipynb\)", (NOTEBOOKS / _CONTENTS).read_text(encoding="utf-8"))


def contents() -> str:
    """The page of contents."""
    text = linked((NOTEBOOKS / _CONTENTS).read_text(encoding="utf-8"))
    return shell("attnwidget: the lessons", f'<div class="text_cell_render">{markdown2html_mistune(text)}</div>')


def page(name: str, notebook: NotebookNode) -> str:
    """The page of a lesson that was run."""
    names = order()
    at = names.index(name)
    ways = [("contents", "index")]
    if at > 0:
        ways.insert(0, ("previous", names[at - 1]))
    if at + 1 < len(names):
        ways.append(("next", names[at + 1]))
    links = "".join(f'<a href="{html.escape(to)}.html">{text}</a>' for text, to in ways)
    before = f'<nav aria-label="Lessons">{links}</nav><p class="said">{_SAID}</p>'
    return lesson_page(notebook, name, before=before, after=f'<nav class="after" aria-label="More lessons">{links}</nav>')


def main(folder: Path, only: list[str]) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    names = order()
    unknown = [name for name in only if name not in names]
    if unknown:
        print(f"There is no lesson {unknown[0]!r}: there are {', '.join(names)}.", file=sys.stderr)
        return 2
    for name in only or names:
        text = page(name, run_notebook(read_notebook(NOTEBOOKS / f"{name}.ipynb"), NOTEBOOKS))
        (folder / f"{name}.html").write_bytes(text.encode())
        print(f"{folder / name}.html: {len(text.encode()) / 1e6:.2f} MB", flush=True)
    (folder / "index.html").write_bytes(contents().encode())
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
