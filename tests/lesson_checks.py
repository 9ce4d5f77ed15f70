"""What each lesson says, asserted: run as a last cell of it. A sentence that carries a number is held to the cells it is about."""

from __future__ import annotations

CHECKS = {
    "quickstart": """
import itertools
kl = lambda heads, **how: float(run.ablate(heads, **how).kl())
assert round(run.probability(' Mary'), 2) == 0.92
assert round(run.ablate(['L23H3']).probability(' Mary'), 2) == 0.87
from attnwidget import score
alone = score(run, metric='probability', target=' Mary')
assert alone.values.size == 270 and (alone.extra['first_choice'] == model.token_id(' Mary')).all()
assert str(alone.top(1)) == '[L1H5]' and round(run.ablate(['L1H5']).probability(' Mary'), 2) == 0.65
assert all(run.ablate(p).top(1).token[0] == ' Mary' for p in itertools.combinations(heads, 2))
abl = run.ablate(heads)
assert abl.top(1).token[0] == ' John' and round(abl.probability(' John'), 2) == 0.38
assert round(abl.probability(' Mary'), 2) == 0.11 and round(float(abl.kl()), 2) == 1.85
assert 5.5 < kl(heads) / sum(kl([h]) for h in heads) < 6.9
others = [run.ablate(heads, mode=m) for m in ('mean', 'uniform', 'first_token', 'random')]
assert all(a.top(1).token[0] == ' Mary' and a.kl() < kl(heads) / 15 for a in others)
assert run.pattern('L23H3')[-1].argmax() == 9 and w.run.kl() == abl.kl()
assert round(run.ablate(['L1H5']).kl(), 3) == 0.243 and round(run.ablate(['L1H5'], 'mean').kl(), 3) == 0.008
swapped = model.run("When John and Mary went to the store, Mary gave a drink to")
assert round(swapped.probability(' John'), 2) == 0.91 and swapped.ablate(heads).top(1).token[0] == ' John'
assert round(swapped.ablate(heads).probability(' John'), 2) == 0.72 and round(swapped.ablate(heads).kl(), 2) == 0.17
back = sorted(((float(run.patterns(l)[h, 9, 3]), f'L{l}H{h}') for l in range(30) for h in range(9)), reverse=True)
assert [(h, round(v, 2)) for v, h in back[:3]] == [('L8H1', 0.87), ('L8H0', 0.86), ('L2H4', 0.74)]
assert 4e5 < parts.chosen < 6e5 and {'patterns', 'ablations'} <= {part.name for part in parts.parts if part.chosen}
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
other = model.run("When John and Mary went to the store, Mary gave a drink to")
there = score(other, metric='logit_diff', target=' John', against=' Mary')
assert str(there.top(1)) == '[L23H3]' and len({*drop.top(10)} & {*there.top(10)}) == 5 and 'L1H5' not in map(str, there.top(6))
assert str(drop.top(2)[1]) == 'L1H5' and round(pd.Series(drop.values.ravel()).corr(pd.Series(there.values.ravel())), 2) == 0.69
walked = score(run, 'integrated_gradients', steps=10, heads=['L0H8', 'L0H6'], **names)
assert walked.values[0, [8, 6]].round(3).tolist() == [0.466, 0.383] and drop.values[0, [8, 6]].round(3).tolist() == [0.466, 0.384]
assert walked.extra['completeness_error'][0, [8, 6]].round(4).tolist() == [0.0007, -0.0012]
assert estimate.values[0, [8, 6]].round(2).tolist() == [2.49, 2.22]
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
assert nothing.diverges is None and nothing.forced.kl == 0 and nothing.control.text == nothing.ablated.text
assert mean.diverges is None and mean.control.text == mean.ablated.text and round(mean.forced.kl, 2) == 0.05
ppl = lambda mode: round(run.ablate(heads, mode).perplexity())
assert (round(run.perplexity()), ppl('zero'), ppl('mean'), ppl('uniform')) == (68, 160, 85, 60)
assert generate(chat.ablate(['L18H6']), 30).diverges is None
assert generate(chat.ablate(['L1H5']), 30).ablated.text == 'The most popular and widely-used fruit is the apple.'
drawn = generate(run.ablate([]), 24, temperature=0.8, seed=1)
assert drawn.diverges is None and drawn.control.text == drawn.ablated.text
john = logit_lens(run, -1, target=' John').to_frame()
assert at(john, 22, 'layer', 'target_rank') == 239 and at(john, 23, 'attn', 'target_rank') == 316
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
heads_of = lambda one: {node for node in one.nodes_frame().node if node.startswith('L')}
flow = discover_circuit(run, method='information_flow')
assert len(heads_of(flow)) == 20 and heads_of(flow) & heads_of(circuit) == {'L23H0', 'L23H1', 'L23H7', 'L29H1'}
rest = run.ablate(circuit.others, 'mean')
assert len(circuit.others) == 257 and len(heads_of(circuit)) == 13 and round(rest.probability(' Mary'), 2) == 0.56
assert round(rest.logit_diff(' Mary', ' John'), 1) == 4.0 and round(run.logit_diff(' Mary', ' John'), 1) == 6.1
told = 'When Mary and John went to the store, {} gave a drink to'.format
for name in ('Peter', 'Alexander'):
    counterfactual(run, text=told(name))
try:
    counterfactual(run, text=told('the man'))
except ValueError as error:
    assert '14' in str(error) and '15' in str(error)
else:
    raise AssertionError('another length was taken')
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
rests = row('L18H8')
assert round(rests.attention[0], 2) == 1 and round(rests.written[0], 1) == 5.4
assert round(float(pd.Series(moved.values[:, -1].sum(-1)).median()), 1) == 13.2
why = attention_sources(run, 'L23H3', query=13, key=9).to_frame().head(4)
assert why.component.tolist() == ['MLP 18', 'MLP 9', 'MLP 5', 'L17H2'] and why.key_side.round(2).tolist() == [0.62, -0.6, 0.52, -0.51]
takes = value_weighted(run, ['L29H0'], 'signed', target=' Mary', against=' John').of('L29H0')[-1]
assert takes.argmin() == 13 and round(takes[13], 2) == -1.0 and round(takes.sum(), 2) == -1.01
less = ov(model, 'L29H1', less_mean=True)
assert round(less.share_first, 3) == 0.705 and round(less.copying, 3) == 0.952
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
assert heads.z_cosine.idxmin() == 'L23H3'
there = compare(run, model.run("When Mary and John went to the station, John gave a drink to"))
place = there.to_frame().set_index("head").noising
assert [round(place[h], 2) for h in ('L23H3', 'L12H4')] == [-0.11, 0.18] and place.abs().idxmax() == 'L12H4'
assert round(there.answers.difference, 2) == 0.59
without = compare(run, run.ablate("L1H5")).to_frame().set_index("head").js
assert [(h, round(v, 3)) for h, v in without.nlargest(3).items()] == [('L2H4', 0.089), ('L13H6', 0.079), ('L10H1', 0.057)]
assert without['L1H5'] == 0
gap = heads.denoising - heads.noising
assert gap.idxmax() == 'L17H4' and [round(heads.loc['L17H4', n], 2) for n in ('denoising', 'noising')] == [2.07, 1.02]
w.wait()
""",
    "negation_in_an_encoder": """
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
assert [round(distance(a, b), 3) for a, b in rows] == [0.207, 0.254, 0.09, 0.022]
assert off_by < 5e-6 and other.selftest.passed
assert largest['js'] < 1e-6 and largest['noising'] < 1e-6
assert two['BERT'].scores('noising').top(3) == two['DistilBERT'].scores('noising').top(3)
asked = ['Is the film {}good?', 'Is the door {}open?', 'Is he {}happy today?', 'Was the water {}cold?', 'Is this book {}long?',
         'Were they {}ready?', 'Is the food {}cheap?', 'Was her answer {}right?']
questions = compare_many(minilm, [(text.format('very '), text.format('not ')) for text in asked], special='discount')
first = top(questions, 'noising').iloc[0]
assert (first['head'], round(first['mean'], 3), round(first['low'], 3), round(first['high'], 3)) == ('L5H9', 0.005, 0.001, 0.009)
assert (top(questions, 'js')['head'][0], round(top(questions, 'js')['mean'][0], 3)) == ('L2H1', 0.031)
bites = compare(minilm.run('The dog bit the man.'), minilm.run('The man bit the dog.')).to_frame().set_index('head')
assert bites.js.idxmax() == 'L5H11' and round(bites.js.max(), 3) == 0.434 and bites.js.max() > one.scores('js').values.max()
assert bites.noising.idxmax() == 'L3H10' and round(bites.noising.max(), 3) == 0.004
better = lambda text: round(distance('Nothing can be better.', text), 3)
assert [better(t) for t in ('Nothing can be worse.', 'It is the best.', 'It is the worst.')] == [0.191, 0.696, 0.635]
e.wait(), d.wait()
""",
    "reading_attention": """
look = run.patterns(18)[:, -1]
assert [(run.tokens[look[h].argmax()], round(float(look[h].max()), 2)) for h in (1, 6, 7, 8)] == [(' gave', 0.37)] + [('When', 1.0)] * 3
assert (first > 0.5).sum() == 166 and (first > 0.9).sum() == 27 and round(first.mean(), 2) == 0.55
by_layer = first.groupby(statistics['layer']).mean()
assert by_layer[[0, 1, 24]].round(2).tolist() == [0.14, 0.1, 0.87] and by_layer.idxmax() == 24
assert round(share_of(after, 0), 2) == 0.54 and round(share_of(with_bos, 1), 2) == 0.05
assert round(statistics.effective_tokens['L18H6'], 2) == 1.07 and round(without.effective_tokens['L18H6'], 2) == 2.01
assert round(1 - first['L18H6'], 2) == 0.01
assert round(rollout.values[-1][0], 3) == 1 and run.top(1).token[0] == ' Mary'
assert 8 < kl[~resting].median() / kl[resting].median() < 10 and resting.sum() == 27
assert statistics.previous_token_share[['L16H0', 'L11H1']].round(2).tolist() == [0.8, 0.73]
assert kl[['L16H0', 'L11H1', 'L1H5']].round(3).tolist() == [0.018, 0.001, 0.243]
assert table.place[['L1H5', 'L1H4']].tolist() == [1, 5] and statistics.effective_tokens['L1H5'] > 4
assert evenness.idxmax() == 'L1H4'
itself = statistics.current_token_share.nlargest(2)
assert itself.round(2).to_dict() == {'L11H6': 0.84, 'L29H1': 0.62}
assert kl[['L11H6', 'L29H1']].round(3).tolist() == [0.003, 0.128] and table.place[['L11H6', 'L29H1']].tolist() == [71, 3]
assert round(kl['L18H6'], 5) == 0.00005
ranked = lambda frame, name: frame[name].rank().corr(kl.rank())  # ranks of effects next to 0 hang on rounding
names = ['entropy', 'maximum', 'distance', 'previous_token_share']
assert max(abs(ranked(without, n) - said) for n, said in zip(names, (0.16, -0.16, 0.02, -0.04))) < 0.015
assert max(abs(ranked(statistics, n) - said) for n, said in zip(names, (0.5, -0.47, -0.4, 0.27))) < 0.015
assert abs(first.rank().corr(kl.rank()) + 0.5) < 0.015
w.wait()
""",
    "induction_heads": """
assert run.top(1).token[0] == 'ol' and round(run.probability('ol'), 2) == 0.99
one = kinds['induction']
assert [round(float(v), 3) for v in (one.values[18, 6], one.low[18, 6], one.high[18, 6], one.chance)] == [0.849, 0.816, 0.881, 0.027]
assert [len(kinds.heads('induction', rule)) for rule in rules] == [8, 12, 12]
assert kinds.heads('induction', 'mean_sd') == kinds.heads('induction', 'variance')
assert [round(kinds.threshold('induction', rule), 3) for rule in rules[1:]] == [0.265, 0.238]
assert run.pattern('L18H6')[-1].argmax() == 3 and run.tokens[3] == 'ol' and run.tokens[-1] == 'w'
assert [round(own['induction'].values[h], 2) for h in ((18, 6), (17, 3), (17, 4), (23, 7))] == [0.97, 0.94, 0.93, 0.18]
shares = {str(h): gain.values[h] / gain.gain[0] for h in gain.tested}
assert round(gain.gain[0], 1) == 7.4 and [round(shares[h], 2) for h in ('L16H0', 'L18H6', 'L1H4')] == [0.41, 0.18, 0.12]
doubtful = gain.to_frame().set_index('head').loc['L1H4']
assert doubtful.low < 0 and doubtful.high > 2 * doubtful['drop'] and not doubtful.matters
assert (fixed.precision, round(fixed.recall, 3)) == (0.5, 0.667) and len(gain.heads()) == 6
assert all(round(against[rule].precision, 3) == 0.333 and against[rule].missed == fixed.missed for rule in rules[1:])
assert list(map(str, fixed.missed)) == ['L16H0', 'L29H1'] and len(fixed.hits) == len(fixed.extra) == 4
assert [round(rows[name].probability('ol'), 3) for name in sets] == [0.798, 0.994, 0.549] and round(run.probability('ol'), 3) == 0.994
zeroed = causal_gain(model, ['L1H4', 'L18H6'], length=12, sequences=4)
assert [round(zeroed.values[h] / zeroed.gain[0], 2) for h in ((1, 4), (18, 6))] == [0.77, 0.18]
assert zeroed.to_frame().set_index('head').loc['L1H4'].low > 0
previous = kinds.against(gain, 'previous_token')
assert round(previous.precision, 3) == 0.143 and list(map(str, previous.hits)) == ['L16H0'] and len(previous.extra) == 6
assert one.above_chance.sum() == 49
assert [round(float(v), 2) for v in run.ablate(['L16H0']).pattern('L18H6')[-1][[3, 2, 4]]] == [0.54, 0.17, 0.21]
w.wait()
""",
    "your_own_model": """
# Trained here: on another machine rounding may make other heads of it, so what is held is what training with any seed gave.
assert right > 0.98 and model.selftest.passed
assert found and all(head.layer == 1 for head in found) and all(head.layer == 0 for head in kinds.heads('previous_token'))
assert kinds.against(gain).precision == 1
assert run.probability('t') > 0.9 and run.ablate(found).probability('t') < 0.2
assert all(changed[mode].probability('t') > 0.7 for mode in ('scale', 'sparsify'))
assert all(changed[mode].probability('t') < 0.2 for mode in ('zero', 'mean', 'first_token'))
assert all('Error: ' in reason(attempt) for attempt in attempts.values())
assert (same.logits_at() - run.ablate(found).logits_at()).abs().max() < 1e-3 and bridge.run('a').tokens[0] == '?'
said = [judge.run(text).top(1).token[0] for text in ('The film was good.', 'The film was not good.', 'It was not bad.')]
assert said == ['positive', 'negative', 'negative']
assert judge.labels == ['negative', 'positive']
words_only = (lambda: logit_lens(negative), lambda: generate(negative, 3), lambda: score(negative, 'direct_logit'))
assert all('Error: ' in reason(attempt) for attempt in words_only)
assert array.shape == (4, 11, 11) and abs(array - run.patterns(1).numpy()).max() < 1e-5


def right_with(model, period):
    torch.manual_seed(5)
    ids = torch.rand(300, 26).argsort(1).gather(1, (torch.arange(2 * period) % period).expand(300, -1))
    with torch.no_grad():
        return (model(ids).logits[:, period:-1].argmax(-1) == ids[:, period + 1 :]).float().mean().item()


longer = {period: right_with(own, period) for period in (12, 16, 24)}
assert longer[12] > 0.99 and 0.9 < longer[16] < 0.99 and 0.4 < longer[24] < 0.75
assert run.ablate(found, 'mean').top(1).token[0] == 'q' and run.ablate(found, 'mean').top(1).probability[0] > 0.9

torch.manual_seed(0)
one_layer = {**size, 'num_hidden_layers': 1, 'max_position_embeddings': 64, 'bos_token_id': None, 'eos_token_id': None}
shallow = LlamaForCausalLM(LlamaConfig(**one_layer))
optimizer = torch.optim.AdamW(shallow.parameters(), lr=3e-3)
for _ in range(500):
    ids, known = texts(64)
    loss = torch.nn.functional.cross_entropy(shallow(ids).logits[:, :-1][known], ids[:, 1:][known])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
with torch.no_grad():
    ids, known = texts(500)
    assert 0.25 < (shallow(ids).logits[:, :-1].argmax(-1) == ids[:, 1:])[known].float().mean() < 0.35
w.wait()
""",
}
