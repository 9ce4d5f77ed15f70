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
assert [round(float(run.pattern('L24H4')[-1][k]), 2) for k in (1, 9)] == [0.81, 0.07] and sorted(map(str, two)) == ['L1H5', 'L23H3']
assert [round(float(run.ablate(two).pattern('L24H4')[-1][k]), 2) for k in (1, 9)] == [0.13, 0.72]
assert 0 < run.ablate(two).logit_diff(' Mary', ' John') < 0.5 and run.ablate(three).logit_diff(' Mary', ' John') < -1.5
assert round(float(run.pattern('L23H3')[-1][9]), 2) == 0.74 and run.tokens[9] == ' John'
half = curve[curve.edges == 35325].iloc[0]
assert 0.3 < half.high < 0.33 and circuit.curve[-2].random.circuits == 10
edges = circuit.to_frame().set_index('edge').effect
assert edges['L23H3 → logits'] > 6 > 0 > edges['L24H4 → logits'] > edges['L29H0 → logits'] > -3 and 'L23H3 → L24H4.q' in edges
w.wait()
""",
    "inside_a_head": """
last, written = looks.values[:, -1], moved.values[:, -1]
assert last.shape == (270, 14) and (last.argmax(1) == 0).sum() == 119 and (written.argmax(1) == 0).sum() == 72
sink, names_head = row('L18H6'), row('L23H3')
assert round(sink.attention[0], 2) == 1 and round(sink.written[0], 1) == 3.4
lengths = (sink.written / sink.attention)[1:]
assert round(lengths.min()) == 44 and round(lengths.max()) == 57
assert round(names_head.attention[9] / names_head.attention[0]) == 5
assert round(names_head.written[0], 1) == 1.5 and round(names_head.written[9], 1) == 105.7
assert round(by_token.sum(), 3) == round(direct, 3) == 2.855 and run.tokens[9] == run.tokens[3] == ' John'
assert [round(by_token[i], 2) for i in (9, 3, 1)] == [2.87, 0.15, -0.17]
assert round(scores.scores[13, 9], 2) == 3.53 and round(scores.scores[13, 0], 2) == 1.92
assert round(scores.scores[13, 9] - scores.scores[13, 0], 1) == 1.6 and scores.off < 1e-6
assert all((scores.parts[name] == 0).all() for name in ('query_bias', 'key_bias', 'both_biases'))
assert abs(scores.parts['content'] - scores.scores).max() < 1e-9
assert [twice.tokens[i] for i in (2, 3, 8)] == [' stone', ' apple', ' stone']
assert round(found.score, 2) == 8.42 and round(found.attention, 3) == 0.935 and round(found.key_side[l16h0], 2) == 8.06
assert round(found.score - found.key_side[l16h0], 2) == 0.36 and abs(found.table.sum() - found.score) < 1e-3
assert found.to_frame().component[:2].tolist() == ['L16H0', 'L17H8'] and round(found.to_frame().key_side[1], 2) == 4.59
assert round(found.key_tokens[l16h0][2], 2) == 7.96
assert twice.pattern('L16H0')[3].argmax() == 2
at = {twice.tokens[s.key]: round(s.key_side[l16h0], 2) for s in keys}
assert (at[' apple'], at[' window'], at[' river']) == (8.06, 4.59, -0.25) and max(at, key=at.get) == ' apple'
assert round(float(twice.ablate(['L16H0']).pattern('L18H6')[8, 3]), 3) == 0.392
assert round(float(twice.ablate(['L17H8']).pattern('L18H6')[8, 3]), 3) == 0.885
assert [round(one.copying, 3) for one in (copies, against, names)] == [0.952, -0.998, -0.146]
assert round(copies.share_first, 3) == 0.475 and copies.ranks.size == 512
assert round(pairs.k[16, 0, 18, 6], 3) == 0.161 and round(pairs.k[17, 8, 18, 6], 3) == 0.175 and round(pairs.baseline, 3) == 0.042
assert len(by_keys) == 35235 and by_keys.index[(by_keys.writer == 'L16H0') & (by_keys.reader == 'L18H6')].tolist() == [6]
assert round((by_keys.percentile == 100).mean(), 2) == 0.55
in_run = qk(run, 'L0H3').scores[3, 1]
assert round(circuit.block[0, 1], 3) == round(in_run, 3) == -0.383 and abs(circuit.block[0, 1] - in_run) < 1e-4
w.wait()
""",
    "two_prompts": """
odds = {row.token: row for row in found.answers.rows}
assert round(odds[' Mary'].run.probability, 3) == 0.923 and round(odds[' John'].other.probability, 3) == 0.750
assert (found.answers.target, found.answers.against) == (' Mary', ' John') and round(found.answers.difference, 1) == 11.6
assert [str(h) for h in found.scores('js').top(3)] == ['L24H4', 'L8H0', 'L8H1'] and round(heads.js['L24H4'], 3) == 0.067
assert str(found.scores('noising').top(1)) == '[L23H3]' and round(heads.noising['L23H3'], 1) == 7.1
assert heads.js.rank(ascending=False)['L23H3'] == 142 and len(heads) == 270
assert run.pattern('L23H3')[-1].argmax() == other.pattern('L23H3')[-1].argmax() == 9
assert (run.tokens[9], other.tokens[9]) == (' John', ' Mary')
assert round(heads[['js', 'noising']].corr('spearman').iloc[0, 1], 2) == 0.25
assert round(heads.noising['L24H4'], 1) == -2.1 and heads.z_cosine.idxmin() == 'L23H3' and round(heads.noising.sum(), 1) == 14.1
assert round(heads.correlation.median(), 3) == 0.998
assert round(heads.correlation['L17H4'], 2) == 0.95 and round(heads.correlation_without_first['L17H4'], 2) == 0.07
assert round(one.answers.embedding_cosine, 3) == 0.207 and (len(good.ids), len(negated.ids)) == (7, 8)
assert one.alignment.to_frame().query("kind == 'put in'").other_token.tolist() == ['not']
assert (one.scores('noising').values != one.scores('noising').values).all() and {'noising', 'denoising'} <= set(one.undefined)
assert round(on_special, 2) == 0.66 and discounted.scores('js').top(4) != one.scores('js').top(4)
assert not negation.failed().size and not emphasis.failed().size and not fair.failed().size and len(fair.prompts) == 8
first = top(negation, 'js').iloc[0]
assert (first['head'], round(first['mean'], 3), round(first['low'], 3), round(first['high'], 3)) == ('L0H2', 0.075, 0.047, 0.103)
assert abs(negation.mean('js')[0] - emphasis.mean('js')[0]).max() < 1e-6 < abs(negation.mean('js')[1] - emphasis.mean('js')[1]).max()
looking, moving = top(fair, 'js'), top(fair, 'noising')
assert looking['head'][:2].tolist() == ['L5H9', 'L4H9'] and round(looking['mean'][0], 3) == 0.078
assert moving['head'][0] == 'L5H9' and [round(moving[part][0], 3) for part in ('mean', 'low', 'high')] == [0.023, 0.009, 0.037]
assert ranks.loc['L4H9'].tolist() == [2, 37] and ranks.loc['L5H0'].tolist() == [43, 3]
assert round(ranks.corr().iloc[0, 1], 2) == 0.18 and len(ranks) == 72
assert fair.samples['noising'].min() >= 0
assert round(embedding_change(off).cosine_distance, 3) == 0.038
assert round(embedding_change(off, special='discount').cosine_distance, 3) == 0.025
assert str(score(good, metric='embedding_cosine').top(1)) == '[L5H0]'
w.wait(), e.wait()
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
