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


# The lessons' sentences carry numbers; a last cell holds the cells that they are about to the same.
CHECKS = {
    "quickstart": """
import itertools
kl = lambda heads, **how: float(run.ablate(heads, **how).kl())
assert round(run.probability(' Mary'), 2) == 0.92
assert round(run.ablate(['L23H3']).probability(' Mary'), 2) == 0.87
alone = [run.ablate([(l, h)]) for l in range(30) for h in range(9)]
assert all(a.top(1).token[0] == ' Mary' for a in alone)
lowest = min(alone, key=lambda a: a.probability(' Mary'))
assert [str(h) for h in lowest.heads] == ['L1H5'] and round(lowest.probability(' Mary'), 2) == 0.65
assert all(run.ablate(p).top(1).token[0] == ' Mary' for p in itertools.combinations(heads, 2))
abl = run.ablate(heads)
assert abl.top(1).token[0] == ' John' and round(abl.probability(' John'), 2) == 0.38
assert round(abl.probability(' Mary'), 2) == 0.11 and round(float(abl.kl()), 2) == 1.85
assert 5.5 < kl(heads) / sum(kl([h]) for h in heads) < 6.9
others = [run.ablate(heads, mode=m) for m in ('mean', 'uniform', 'first_token', 'random')]
assert all(a.top(1).token[0] == ' Mary' and a.kl() < kl(heads) / 15 for a in others)
assert run.pattern('L23H3')[-1].argmax() == 9 and w.run.kl() == abl.kl()
""",
    "which_heads_matter": """
assert round(run.probability(' Mary'), 2) == 0.92 and drop.values.size == 270
assert str(kl.top(1)) == '[L1H5]' and round(kl.values[1, 5], 3) == 0.243
assert str(drop.top(1)) == '[L23H3]' and drop.to_frame()['head'].iloc[-1] == 'L29H0'
assert round(both.corr().iloc[0, 1], 2) == 0.83 and round(both.rank().corr().iloc[0, 1], 2) == 0.91
assert 'L0H8' in map(str, estimate.top(3)) and 4.5 < both.estimated['L0H8'] / both.measured['L0H8'] < 5.5
assert both.measured['L0H2'] > 0.3 and both.estimated['L0H2'] < -1
assert abs(direct.values.sum() + sum(direct.parts.values()) - run.logit_diff(' Mary', ' John')) < 1e-4
assert abs(ways.direct / ways.total - 1)[['L23H3', 'L29H1']].max() < 0.1 and ways.direct[['L1H5', 'L20H0']].max() < 0
assert str(induction.top(1)) == '[L18H6]' and -0.1 < drop.values[18, 6] < 0
assert change.diff(axis=1).iloc[:, 1]['L1H5'] > 0.5 and change.diff(axis=1).iloc[:, 1][['L29H1', 'L1H3']].max() < -0.5
assert change.loc['L0H5'].iloc[0] > 0 > change.loc['L0H5'].iloc[1]
assert 'L1H5' not in map(str, mean.top(5))
w.score, w.wait()
""",
    "what_it_says": """
at = lambda frame, layer, site, column: frame[(frame.layer == layer) & (frame.site == site)][column].iloc[0]
assert at(mary, 22, 'layer', 'target_rank') == 1072 and at(mary, 23, 'attn', 'target_rank') == 194
assert at(mary, 29, 'attn', 'target_probability') < 0.01 and at(mary, 29, 'layer', 'target_probability') > 0.9
assert at(without, 23, 'attn', 'target_rank') > 700
moved = layer_impact(off).total
assert (moved[:2] == 0).all() and (moved[2:] > 0).all()
assert said.diverges == 0 and said.control.text.startswith(' Mary, and Mary') and said.ablated.text.startswith(' John, John')
assert round(said.forced.perplexity.clean, 1) == 2.2 and round(said.forced.perplexity.ablated, 1) == 3.3
assert round(said.forced.top1_changed, 1) == 0.3
assert 'You are a helpful AI assistant named SmolLM' in chat.text
assert one.control.text == '1. Bananas\\n2. Oranges\\n3. Grapes' and one.ablated.text == '1. Bananas\\n2. Oranges\\n3. Oranges'
assert one.diverges is not None and round(one.forced.kl, 2) == 0.04
w.wait()
""",
    "from_ablation_to_circuit": """
import numpy as np
assert list(map(str, flip.heads)) == ['L0H0', 'L0H5'] and flip.verdict == 'minimum' and flip.tried[0].sets == flip.tried[0].of == 270
assert [row.first.token for row in flip.sizes] == [' Mary', ' John', ' John']
assert -7 < flip.random[1].low and flip.random[1].high < -4 and -6.2 < flip.random[1].median < -6
assert round(run.ablate(flip.heads).probability(' John'), 2) == 0.34 and round(run.ablate(flip.heads).kl(), 1) == 2.8
assert run.ablate(flip.heads).top(1).token[0] == run.ablate(three).top(1).token[0] == ' John'
assert 'L23H3' in map(str, three) and 'L24H4' in map(str, three)
assert run.ablate(three).probability(' John') > 2 * run.ablate(flip.heads).probability(' John')
assert run.ablate(three).kl() < run.ablate(flip.heads).kl()
assert circuit.total == 70651 and len(circuit.edges) == 63 and len(circuit.scores) == 70651
assert 0.4 < circuit.faithfulness < 0.55
assert list(curve.faithfulness[:2]) == [0, 0] and list(curve.high[:2]) == [0, 0]
below = curve[(curve.edges > 2) & (curve.edges < circuit.total)]
assert (below.faithfulness > below.high).all()
assert curve[curve.edges == 1413].faithfulness.iloc[0] > 0.9 and curve[curve.edges == 35325]['median'].iloc[0] < 0.05
found = {row.node: row for row in nodes.itertuples()}
assert 'negative-name-mover-like' in found['L24H4'].roles and "L24H4's attention to “John” goes from 0.082 to 0.730" in found['L23H3'].shown
edges = circuit.to_frame().set_index('edge').effect
assert edges['L23H3 → logits'] > 6 > 0 > edges['L24H4 → logits'] > edges['L29H0 → logits'] > -3 and 'L23H3 → L24H4.q' in edges
w.wait()
""",
}


@pytest.mark.notebook
def test_it_runs_and_says_what_its_cells_show(notebook):
    path, body = notebook
    body.cells.append(nbformat.v4.new_code_cell(CHECKS[path.stem]))
    NotebookClient(body, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}).execute()
    for cell in body.cells:
        for output in cell.get("outputs", []):
            assert output.output_type != "stream" or output.name != "stderr", f"noise on stderr: {output.get('text')}"


def test_it_opens_with_a_question_and_keeps_no_outputs(notebook):
    _, body = notebook
    first = body.cells[0]
    assert first.cell_type == "markdown"
    assert first.source.splitlines()[0].rstrip().endswith("?")
    assert [cell.outputs for cell in body.cells if cell.cell_type == "code" and cell.outputs] == []
    assert "widgets" not in body.metadata
