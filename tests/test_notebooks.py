"""Every notebook in `notebooks/` runs from top to bottom in a fresh kernel, and is kept without its outputs."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "notebooks").glob("*.ipynb"))


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    return request.param, nbformat.read(request.param, as_version=4)


def test_there_is_one():
    assert NOTEBOOKS


@pytest.mark.notebook
def test_it_runs(notebook):
    path, body = notebook
    NotebookClient(body, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}).execute()
    for cell in body.cells:
        for output in cell.get("outputs", []):
            assert output.output_type != "stream" or output.name != "stderr", f"noise on stderr: {output.get('text')}"


@pytest.mark.notebook
def test_quickstart_says_what_its_cells_show():
    """The lesson's sentences carry numbers; here the cells that they are about must show the same."""
    (path,) = (path for path in NOTEBOOKS if path.stem == "quickstart")
    body = nbformat.read(path, as_version=4)
    body.cells.append(
        nbformat.v4.new_code_cell(
            "import itertools\n"
            "kl = lambda heads, **how: float(run.ablate(heads, **how).kl())\n"
            "assert round(run.probability(' Mary'), 2) == 0.92\n"
            "assert round(run.ablate(['L23H3']).probability(' Mary'), 2) == 0.87\n"
            "alone = [run.ablate([(l, h)]) for l in range(30) for h in range(9)]\n"
            "assert all(a.top(1).token[0] == ' Mary' for a in alone)\n"
            "lowest = min(alone, key=lambda a: a.probability(' Mary'))\n"
            "assert [str(h) for h in lowest.heads] == ['L1H5'] and round(lowest.probability(' Mary'), 2) == 0.65\n"
            "assert all(run.ablate(p).top(1).token[0] == ' Mary' for p in itertools.combinations(heads, 2))\n"
            "abl = run.ablate(heads)\n"
            "assert abl.top(1).token[0] == ' John' and round(abl.probability(' John'), 2) == 0.38\n"
            "assert round(abl.probability(' Mary'), 2) == 0.11 and round(float(abl.kl()), 2) == 1.85\n"
            "assert 5.5 < kl(heads) / sum(kl([h]) for h in heads) < 6.9\n"
            "others = [run.ablate(heads, mode=m) for m in ('mean', 'uniform', 'first_token', 'random')]\n"
            "assert all(a.top(1).token[0] == ' Mary' and a.kl() < kl(heads) / 15 for a in others)\n"
            "assert run.pattern('L23H3')[-1].argmax() == 9 and w.run.kl() == abl.kl()\n"
        )
    )
    NotebookClient(body, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}).execute()


def test_it_opens_with_a_question_and_keeps_no_outputs(notebook):
    _, body = notebook
    first = body.cells[0]
    assert first.cell_type == "markdown"
    assert first.source.splitlines()[0].rstrip().endswith("?")
    assert [cell.outputs for cell in body.cells if cell.cell_type == "code" and cell.outputs] == []
    assert "widgets" not in body.metadata
