"""The lessons, each run once in a session: as a test of what it says, and for its page."""

from __future__ import annotations

import functools
from pathlib import Path

import nbformat

from attnwidget.export.lesson import read_notebook, run_notebook

from .lesson_checks import CHECKS

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
LESSONS = sorted(FOLDER.glob("*.ipynb"))


@functools.cache
def executed(path: Path) -> nbformat.NotebookNode:
    """A lesson with its outputs, after the cell that holds its sentences to them has passed."""
    notebook = read_notebook(path)
    notebook.cells.append(nbformat.v4.new_code_cell(CHECKS[path.stem]))
    run_notebook(notebook, path.parent)
    notebook.cells.pop()
    return notebook
