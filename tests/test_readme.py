"""The README tells the truth: its examples run, its numbers come out, its tables list what there is."""

import re

import numpy as np
import pytest

from attnwidget import AttentionWidget

from .conftest import ROOT
from .models import IDS, subject

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture(scope="module")
def readme(root):
    return (root / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def small():
    """Names as the README has them, of a small model: the lines are what is tried, their numbers are elsewhere."""
    model, encoder = subject("llama").model, subject("bert-base").model
    run, other = model.run(IDS), model.run([*IDS[:3], IDS[3] + 1, *IDS[4:]])
    return {"model": model, "run": run, "other": other, "encoder": encoder, "pairs": [(run.ids, other.ids)]}


def _section(text, title):
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)[1]


def _python(text):
    return re.search(r"```python\n(.*?)```", text, re.DOTALL)[1]


def test_the_ten_lines_run_and_give_the_numbers_beside_them(readme):
    code = _python(_section(readme, "Ten lines"))
    names: dict = {}
    exec(code, names)
    run = names["w"].run
    assert run.top(3).token.tolist() == [" John", " Mary", " every"]
    assert [f"{p:.0%}" for p in run.top(3).probability] == ["38%", "11%", "9%"]
    assert f"{run.kl():.2f}" == "1.85"
    assert f"{run.clean.probability(' Mary'):.0%}" == "92%", "under the picture"


def test_every_line_of_the_table_runs(readme, small):
    import attnwidget

    rows = [line.strip("|").split("|") for line in _section(readme, "What it answers").splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 8
    names = {name: getattr(attnwidget, name) for name in attnwidget.public.__all__} | small
    for _, _, python, _ in rows:
        for code in re.findall(r"`([^`]+)`", python):
            for theirs, ours in (('" Mary"', "5"), ('" John"', "6"), ("L23H3", "L2H3"), ("L29H1", "L2H1"), ("L5H0", "L1H0")):
                code = code.replace(theirs, ours)
            code = code.replace("query=13, key=9", "query=7, key=3").replace('"The film was good."', "[5, 6, 7, 8]")
            assert eval(code, names) is not None, code


def test_a_data_set_is_scored(readme, small, tmp_path, monkeypatch):
    from attnwidget import score_dataset

    monkeypatch.chdir(tmp_path)
    code = _python(_section(readme, "What it answers"))
    assert '"smollm2-135m"' in code
    names = {"model": small["model"], "prompts": [IDS, IDS[:5]], "score_dataset": score_dataset}
    exec(code.replace('"smollm2-135m"', "model"), names)
    assert list(names["found"].to_frame().columns) == ["head", "layer", "index", "mean", "low", "high", "n"]
    assert len(list((tmp_path / "scores").iterdir())) == 2


def test_tabs_are_called_as_on_the_page(readme, root):
    page = "\n".join(path.read_text(encoding="utf-8") for path in (root / "js" / "src" / "panels").glob("tabs*.tsx"))
    named = re.findall(r"\| \*([^*|]+)\* \|", _section(readme, "What it answers"))
    assert len(named) >= 8
    assert [name for name in named if f'"{name}"' not in page] == []


def test_what_is_taken_along_is_written(readme, small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    exec(_python(_section(readme, "Take it with you")), {"w": AttentionWidget(small["model"], "the cat sat", selected=["L2H1"])})
    assert (tmp_path / "mary.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert "<svg" in (tmp_path / "attention.svg").read_text(encoding="utf-8")


def test_arrays_are_shown_without_a_model(readme):
    tokens = ["a", "b", "c"]
    attention = np.tril(np.ones((6, 2, 3, 3))) / np.arange(1, 4)[:, None]
    exec(_python(_section(readme, "Attention without a model")), {"tokens": tokens, "attention": attention})


def test_all_lessons_are_listed_with_their_questions(readme):
    import nbformat

    listed = dict(re.findall(r"^- \[(.*?)\]\(notebooks/(\w+)\.ipynb\)$", _section(readme, "Lessons"), re.MULTILINE))
    questions = {nbformat.read(path, as_version=4).cells[0].source.splitlines()[0].lstrip("# ").strip(): path.stem for path in NOTEBOOKS}
    assert listed == questions
