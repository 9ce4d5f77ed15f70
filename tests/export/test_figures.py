"""Every number in a picture is that of its result: fills, lengths and texts are read back from the SVG."""

from __future__ import annotations

import base64
import io
import math
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from attnwidget import (
    AttnWidgetError,
    Head,
    attention_rollout,
    compare,
    detect_heads,
    discover_circuit,
    generate,
    head_statistics,
    logit_lens,
    ov,
    overview,
    qk,
    qk_circuit,
    score,
    study,
    value_weighted,
)
from attnwidget.analysis import outcome
from attnwidget.export.figures import figure_of, ink
from attnwidget.export.figures.grid import scores_grid
from attnwidget.export.figures.maps import largest_of_blocks, prepared
from attnwidget.export.figures.runs import patterns, thumbnails
from attnwidget.export.figures.tokens import token_strip
from attnwidget.export.figures.wording import bare, cell_number, compact, labels, percent, signed, visible
from tests.small import small_model

from .svg import Picture

TEXT = "the cat sat on the mat the dog sat"


@pytest.fixture(scope="module")
def model():
    return small_model()


@pytest.fixture(scope="module")
def run(model):
    return model.run(TEXT)


@pytest.fixture(scope="module")
def ablated(run):
    return run.ablate(["L1H2", "L2H0"])


def read(sheet) -> Picture:
    assert sheet.svg() == sheet.svg()
    picture = Picture(sheet.svg())
    assert sheet.caption and sheet.caption.split()[0] in picture.said, "no picture without a caption"
    return picture


def caption(sheet, *words: str) -> None:
    for word in words:
        assert word in sheet.caption, (word, sheet.caption)


# -- attention --------------------------------------------------------------------------------------------------------


def test_a_large_map_has_every_cell_in_its_colour(run):
    sheet = run.figure(heads="L2H1")
    picture, pattern, n = read(sheet), run.pattern("L2H1").numpy(), len(run.ids)
    cells = picture.named(r"L2H1-q\d+-k\d+")
    assert len(cells) == n * (n + 1) // 2
    for query in range(n):
        for key in range(query + 1):
            assert cells[f"L2H1-q{query}-k{key}"].fill == ink.colour("attention", math.sqrt(min(1, pattern[query, key])))
    written = [cell_number(float(v)) for v in pattern[np.tril_indices(n)] if v > 0.1]
    assert sorted(word for word in picture.words if re.fullmatch(r"1|\.\d\d", word)) == sorted(written)
    for name in labels(run.tokens):
        assert name in picture.words
    # The token stands beside its diagonal cell.
    last = cells[f"L2H1-q{n - 1}-k{n - 1}"].box
    label = next(text for text in picture.texts if text.text == labels(run.tokens)[-1])
    assert label.x > last[0] + last[2] and abs(label.y - (last[1] + last[3] / 2)) < last[3]
    caption(sheet, "L2H1", "clean run", "weights as shipped", "float32", "exact", "queries")


def test_one_cell_is_as_wide_as_high_and_the_map_fits(run):
    for width in (2.5, 3.4, 6.9):
        picture = read(run.figure(heads="L2H1", width=width))
        boxes = [mark.box for mark in picture.named(r"L2H1-q\d+-k\d+").values()]
        assert all(box[2] == pytest.approx(box[3]) for box in boxes)
        assert all(text.x < 72 * width for text in picture.texts) and max(box[0] + box[2] for box in boxes) < 72 * width


def test_small_maps_of_an_ablated_run(ablated):
    sheet = ablated.figure(heads=["L1H2", "L3H0"])
    picture = read(sheet)
    now, clean = ablated.pattern("L3H0").numpy(), ablated.clean.pattern("L1H2").numpy()
    cells = picture.marks
    assert cells["L3H0-q5-k2"].fill == ink.colour("attention", math.sqrt(now[5, 2]))
    assert cells["L1H2-q5-k2"].fill == ink.colour("attention", math.sqrt(clean[5, 2])), "an ablated head's map is its clean pattern"
    caption(sheet, "L1H2, L2H0 ablated", "z set to zero", "its clean pattern")


def test_change_is_ablated_less_clean_on_its_own_scale(ablated):
    sheet = ablated.figure(heads=["L3H0", "L3H3"], change=True)
    picture = read(sheet)
    change = {h: (ablated.pattern(h) - ablated.clean.pattern(h)).double().numpy() for h in ("L3H0", "L3H3")}
    most = max(np.abs(one).max() for one in change.values())
    seen = set()
    for head, values in change.items():
        for query, key in ((3, 1), (8, 0), (8, 8), (6, 2)):
            ramp = "hurt" if values[query, key] < 0 else "effect"
            seen.add(ramp)
            assert picture.marks[f"{head}-q{query}-k{key}"].fill == ink.colour(ramp, math.sqrt(abs(values[query, key]) / most))
    assert len(seen) == 2
    assert f"+{signed(most, 3 if most < 0.2 else 2)}" in picture.words
    with pytest.raises(AttnWidgetError, match="Nothing is ablated"):
        ablated.clean.figure(heads="L3H0", change=True)


def test_a_hidden_first_token_is_blank_and_renormalising_says_so(run):
    pattern = run.pattern("L2H1").double().numpy()
    hidden = read(run.figure(heads="L2H1", hide_first=True))
    assert not hidden.named(r"L2H1-q\d+-k0") and len(hidden.named(r"L2H1-q\d+-k[1-9]\d*")) == 36
    assert hidden.marks["L2H1-q4-k2"].fill == ink.colour("attention", math.sqrt(pattern[4, 2]))
    again = run.figure(heads="L2H1", hide_first=True, renormalise=True)
    share = pattern[4, 2] / pattern[4, 1:5].sum()
    assert read(again).marks["L2H1-q4-k2"].fill == ink.colour("attention", math.sqrt(share))
    caption(again, "first key hidden", "sum to 1 again")


def test_lines_are_as_thick_as_what_they_stand_for(run):
    sheet = run.figure(heads="L2H1", view="lines")
    picture, pattern = read(sheet), run.pattern("L2H1").numpy()
    drawn = picture.named(r"L2H1-q\d+-k\d+")
    assert set(drawn) == {f"L2H1-q{q}-k{k}" for q, k in zip(*np.nonzero(np.tril(pattern) >= 0.02), strict=True)}
    for name, mark in drawn.items():
        query, key = map(int, re.findall(r"\d+", name.split("-", 1)[1]))
        share = math.sqrt(min(1, pattern[query, key]))
        assert mark.stroke == ink.colour("attention", share)
        assert float(re.search(r"stroke-width: ([\d.]+)", mark.style)[1]) == pytest.approx(0.4 + 2.6 * share, abs=1e-3)
    caption(sheet, "0.02")


def test_views_are_refused_in_a_sentence(run):
    with pytest.raises(AttnWidgetError, match="'large', 'small', 'lines', not 'huge'"):
        run.figure(heads="L0H0", view="huge")
    with pytest.raises(AttnWidgetError, match="draws one head, not 2"):
        run.figure(heads=["L0H0", "L1H1"], view="lines")
    with pytest.raises(AttnWidgetError, match="No heads"):
        run.figure(heads=[])
    with pytest.raises(AttnWidgetError, match="no picture of a int"):
        figure_of(3)


def test_a_long_map_is_one_picture_pooled_by_maximum(model):
    run = model.run(list(range(2, 10)) * 8)
    assert len(run.ids) == 64
    assert len(read(run.figure(heads="L1H1")).named(r"L1H1-q.*")) == 64 * 65 // 2
    values = np.zeros((100, 100))
    values[70, 3] = -0.9
    pooled = largest_of_blocks(prepared(values, causal=True), 8)
    assert pooled.shape == (13, 13) and pooled[8, 0] == -0.9 and np.isnan(pooled[0, 5]) and pooled[5, 5] == 0


def test_weighted_maps_and_their_sum(run):
    found = value_weighted(run, ["L0H1", "L2H1"], "vo_norm")
    sheet, most = found.figure(), np.nanmax(found.values)
    picture = read(sheet)
    assert picture.marks["L2H1-q6-k3"].fill == ink.colour("attention", math.sqrt(found.of("L2H1")[6, 3] / most))
    assert compact(most) in picture.words
    caption(sheet, "‖v_k W_O‖", "clean run", "float32")
    row = value_weighted(run, "L2H1", "signed", target="cat", against="dog")
    picture, size = read(row.figure()), np.nanmax(np.abs(row.values))
    cells = picture.named(r"L2H1-q\d+-k\d+")
    assert set(cells) == {f"L2H1-q8-k{k}" for k in range(9)}
    value = row.of("L2H1")[8, 4]
    assert cells["L2H1-q8-k4"].fill == ink.colour("hurt" if value < 0 else "effect", math.sqrt(abs(value) / size))
    caption(row.figure(), "'cat'", "'dog'")
    cosine = read(value_weighted(run, "L2H1", "z_cosine").figure())
    assert len(cosine.named(r"L2H1-q\d+-k\d+")) == 81, "cosines have an upper triangle"


def test_a_rollout_carries_its_caution(run):
    found = attention_rollout(run)
    sheet = found.figure()
    cells = read(sheet).named(r".*-q\d+-k\d+")
    assert len(cells) == 45
    assert cells[f"{found.label}-q5-k2"].fill == ink.colour("attention", math.sqrt(found.values[5, 2]))
    caption(sheet, "not what a token contributes")


# -- all heads --------------------------------------------------------------------------------------------------------


def test_the_grid_of_scores(run):
    found = score(run, "ablation", metric="logit_diff", target="cat", against="dog")
    sheet = found.figure()
    picture, most = read(sheet), np.abs(found.values).max()
    cells = picture.named(r"L\d+H\d+")
    assert len(cells) == 16
    for (layer, head), value in np.ndenumerate(found.values):
        ramp = "hurt" if value < 0 else "effect"
        assert cells[f"L{layer}H{head}"].fill == ink.colour(ramp, math.sqrt(abs(value) / most))
    # Layers run right, heads down.
    assert cells["L3H0"].box[0] > cells["L0H0"].box[0] and cells["L3H0"].box[1] == cells["L0H0"].box[1]
    assert cells["L0H3"].box[1] > cells["L0H0"].box[1]
    # Σ above: as high as the layer's sum.
    sums = np.abs(found.values).sum(1)
    high = {layer: picture.marks[f"sum-L{layer}"].box[3] for layer in range(4)}
    for layer in range(4):
        assert high[layer] / max(high.values()) == pytest.approx(sums[layer] / sums.max(), rel=1e-3)
    assert f"+{compact(most)}" in picture.words
    caption(sheet, "each head ablated alone, measured", "z set to zero", "position 8", "weights as shipped", "float32", "exact")


def test_undefined_approximate_and_ablated_are_shapes(run):
    found = score(run, "attribution", metric="logit_diff", target="cat", against="dog")
    values = found.values.copy()
    values[1, 1] = np.nan
    found = replace(found, values=values, conditional=(Head(1, 1),))
    known = np.full((4, 4), 2)
    known[2, 2], known[1, 1] = 1, 0
    picture = read(scores_grid(found, known=known, ablated=[Head(0, 0)], selected=[Head(3, 3)], shown=[Head(3, 3)]))
    full, estimate, undefined = (picture.marks[name].box for name in ("L0H1", "L2H2", "L1H1"))
    assert estimate[2] == pytest.approx(full[2] / 2, rel=1e-3)
    assert undefined[2] == pytest.approx(1.5) and picture.marks["L1H1"].fill == ink.FG3
    assert {"ablated-L0H0", "ablated-L1H1"} <= set(picture.marks)
    assert {"selected", "ablated", "estimate", "layers →, heads ↓"} <= set(picture.words)
    assert any("approximate" in word for word in picture.words)
    rings = [mark for mark in picture.marks.values() if mark.stroke == ink.ACCENT]
    assert len(rings) == 3, "two of them on the grid, one in the legend"


def test_statistics_are_grey_and_linear(run):
    found = head_statistics(run).scores("entropy")
    picture, most = read(found.figure()), np.nanmax(found.values)
    assert picture.marks["L2H3"].fill == ink.colour("probability", found.values[2, 3] / most)
    assert compact(most / 2) in picture.words


def test_the_grid_of_patterns(ablated):
    sheet = patterns(ablated, selected=[Head(3, 1)])
    picture = read(sheet)
    whole = next(image for image in picture.images() if len(image) > 2000)
    rgb = np.asarray(Image.open(io.BytesIO(base64.b64decode(whole.split(",", 1)[1]))).convert("RGB")).astype(int)
    n, pattern = len(ablated.ids), ablated.clean.pattern("L3H1").numpy()
    scale = rgb.shape[1] / (4 * 20)  # a cell is 18 dots and a gap of 2
    for query, key in ((8, 0), (5, 3), (8, 8)):
        x, y = int((3 * 20 + 2 * key + 1) * scale), int((1 * 20 + 2 * query + 1) * scale)
        expected = ink.colour("attention", math.sqrt(pattern[query, key]))
        assert "#" + "".join(f"{c:02x}" for c in rgb[y, x]) == expected
    assert thumbnails(ablated).shape == (4, 4, n, n)
    assert {"ablated-L1H2", "ablated-L2H0"} <= set(picture.marks)
    caption(sheet, "every head", "clean run")


def test_the_grid_of_patterns_with_bars(run):
    found = score(run, "ablation", metric="logit_diff", target="cat", against="dog")
    sheet = patterns(run, scores=found)
    picture, most = read(sheet), np.abs(found.values).max()
    tracks = picture.marks["bar-L0H0"].box[2] / math.sqrt(abs(found.values[0, 0]) / most)
    for (layer, head), value in np.ndenumerate(found.values):
        bar = picture.marks[f"bar-L{layer}H{head}"]
        assert bar.box[2] == pytest.approx(tracks * math.sqrt(abs(value) / most), rel=1e-2)
        assert bar.fill == (ink.HURT_BAR if value < 0 else ink.EFFECT_BAR)
    caption(sheet, "bars: drop in logit(cat) − logit(dog)")


def test_thumbnails_pool_by_maximum(model):
    run = model.run(list(range(2, 10)) * 7)
    found = thumbnails(run)
    assert found.shape == (4, 4, 19, 19)
    pattern = run.pattern("L1H1").numpy()
    assert found[1, 1, 4, 2] == pytest.approx(pattern[12:15, 6:9].max())


def test_the_ranking(run):
    found = score(run, "ablation", metric="logit_diff", target="cat", against="dog")
    estimate = score(run, "attribution", metric="logit_diff", target="cat", against="dog")
    sheet = found.figure(as_="ranking", estimate=estimate, k=6)
    picture, top = read(sheet), found.top(6, by="size")
    bars = picture.named(r"bar-L\d+H\d+")
    assert list(bars) == [f"bar-{head}" for head in top]
    unit = bars[f"bar-{top[0]}"].box[2] / abs(found.values[top[0]])
    for head in top:
        assert bars[f"bar-{head}"].box[2] == pytest.approx(unit * abs(found.values[head]), rel=1e-3, abs=1e-3)
        assert bars[f"bar-{head}"].fill == (ink.HURT_BAR if found.values[head] < 0 else ink.EFFECT_BAR)
        assert str(head) in picture.words and compact(float(found.values[head])) in picture.words
        assert f"≈ {compact(float(estimate.values[head]))}" in picture.words
    caption(sheet, "first order", "exact", "approximate", "of 16")
    scatter = read(found.figure(as_="scatter", estimate=estimate))
    assert len(scatter.named(r"dot-L\d+H\d+")) == 16
    pearson = np.corrcoef(found.values.ravel(), estimate.values.ravel())[0, 1]
    assert f"Pearson {pearson:.2f} over 16 heads" in found.figure(as_="scatter", estimate=estimate).caption
    with pytest.raises(AttnWidgetError, match="as_ must be"):
        found.figure(as_="pie")


# -- the answer -------------------------------------------------------------------------------------------------------


def test_the_outcome(ablated):
    found = outcome(ablated, target="cat", against="dog", k=5)
    sheet = found.figure()
    picture = read(sheet)
    most = max(p.probability for row in found.rows for p in (row.clean, row.ablated))
    unit = max(mark.box[2] for mark in picture.named(r"(clean|ablated)-\d+").values()) / most
    for row in found.rows:
        for side, odds in (("clean", row.clean), ("ablated", row.ablated)):
            assert picture.marks[f"{side}-{row.id}"].box[2] == pytest.approx(unit * odds.probability, rel=1e-3, abs=2e-3)
            assert percent(odds.probability) in picture.words
        assert visible(row.token) in picture.words
    assert bare(found.clean_top.token) in picture.words and f"{compact(found.kl)} nats" in picture.words
    assert signed(found.logit_diff.ablated) in picture.words and signed(found.logit_diff.clean) in picture.words
    assert f"{percent(found.target.ablated.probability)}, #{found.target.ablated.rank}" in picture.words
    caption(sheet, "weights as shipped", "exact, float32", "KL(clean ‖ ablated)")
    clean = read(outcome(ablated.clean.ablate([])).figure())
    assert "ablated" not in clean.words and not clean.named(r"ablated-\d+")


def test_the_token_strip(run):
    weights = run.pattern("L2H1")[8].double().numpy()
    sheet = token_strip(run.tokens, weights, 8, "L2H1; clean run")
    picture = read(sheet)
    bars = picture.named(r"bar-k\d+")
    unit = 20 / max(0.3, weights.max())
    for key, weight in enumerate(weights):
        assert bars[f"bar-k{key}"].box[3] == pytest.approx(unit * weight, rel=1e-3, abs=1e-3)
    assert picture.marks["token-8"].fill == ink.FG and picture.marks["token-0"].fill == ink.RAISE
    caption(sheet, "token 8", "L2H1")
    many = token_strip(["a"] * 60, np.full(60, 0.25), 59, "x")
    assert Picture(many.svg()).marks["token-3"].fill == ink.colour("attention", 0.5), "longer prompts are shaded"


def test_the_lens(ablated):
    found = logit_lens(ablated)
    sheet = found.figure()
    picture = read(sheet)
    rows = [i for i, point in enumerate(found.points) if point.site != "attn"]
    cells = picture.named(r"(embed|L\d+)-p\d+")
    assert len(cells) == len(rows) * len(found.positions)
    for i in rows:
        for j, position in enumerate(found.positions):
            mark = cells[f"{found.points[i].label}-p{position}"]
            assert mark.fill == ink.colour("probability", float(found.top_probabilities[i, j, 0]))
    last = [bare(found.top_tokens[int(i)]) for i in found.top_ids[-1, :, 0]]
    assert all(token in picture.words for token in last)
    caption(sheet, "final norm and unembedding", "z set to zero", "float32")
    ranks = read(found.figure(ink_of="rank", middle=True))
    assert len(ranks.named(r".*-p\d+")) == found.top_ids.shape[0] * found.top_ids.shape[1]
    share = max(0, 1 - math.log(found.target_rank[0, 3]) / math.log(10_000))
    assert ranks.marks["embed-p3"].fill == ink.colour("probability", share)
    assert read(found.figure(ink_of="kl")).marks["embed-p3"].fill == ink.colour("probability", found.kl[0, 3] / found.kl.max())
    with pytest.raises(AttnWidgetError, match="ink_of must be one of"):
        found.figure(ink_of="colour")


def test_the_overview(run):
    found = overview(run)
    picture = read(found.figure())
    for sentence in found.sentences:
        assert sentence.text in picture.said and sentence.method in picture.said


def test_kinds(model):
    # Weights that are random have none by the usual rule.
    found = replace(detect_heads(model), fixed=0.1)
    sheet = found.figure()
    picture = read(sheet)
    drawn = picture.named(r"dot-.*")
    expected = {f"dot-{kind}-{head}" for kind in found for head in found.heads(kind)[:8]}
    assert set(drawn) == expected and expected
    kind, head = next((kind, head) for kind in found for head in found.heads(kind))
    assert signed(float(found[kind].values[head])) in picture.words
    empty = [kind for kind in found if not found.heads(kind)]
    assert picture.said.count("None found") == len([kind for kind in empty if not found[kind].reason])
    caption(sheet, found.setting, "chance", "threshold")


def test_generation(ablated):
    found = generate(ablated, 6)
    sheet = found.figure()
    picture = read(sheet)
    assert len(picture.named(r"clean-\d+")) == len(found.control.steps) and len(picture.named(r"ablated-\d+")) == len(found.ablated.steps)
    at = found.diverges or 0
    for side, steps in (("clean", found.control.steps), ("ablated", found.ablated.steps)):
        for other in steps[at].alternatives:
            assert f"{side}-considered-{other.id}" in picture.marks and percent(other.probability) in picture.words
    caption(sheet, "never scored position by position", f"mean KL {compact(found.forced.kl)} nats")


def test_a_study(run):
    found = study(run, target="dog", max_heads=3, beam=2)
    sheet = found.figure()
    picture = read(sheet)
    heights = {int(name.split("-")[1]): mark.box[1] + mark.box[3] / 2 for name, mark in picture.named(r"size-\d+").items()}
    values = {len(one.heads): one.margin for one in (found.before, *found.sizes)}
    assert set(heights) == set(values)
    sizes = sorted(values)
    # On one linear scale, up being more.
    unit = (heights[sizes[0]] - heights[sizes[1]]) / (values[sizes[1]] - values[sizes[0]])
    assert unit > 0
    for size in sizes:
        assert heights[size] == pytest.approx(heights[0] - unit * (values[size] - values[0]), abs=0.05)
    for one in found.certificate:
        assert one.text in picture.said
    caption(sheet, found.verdict, f"{found.sets:,} sets run", "float32")
    free = study(run, max_heads=2, beam=2)
    assert "KL, nats" in read(free.figure()).words


def test_a_circuit(model, run):
    other = model.run("the dog sat on the mat the cat sat")
    found = discover_circuit(run, other, edges=60, random=4)
    sheet = found.figure()
    picture = read(sheet)
    edges = picture.named(r"edge-\d+")
    assert set(edges) == {f"edge-{e}" for e in range(len(found.edges))}
    most = max(abs(edge.effect) for edge in found.edges)
    for e, edge in enumerate(found.edges):
        mark = edges[f"edge-{e}"]
        width = max(0.5, 5 * math.sqrt(abs(edge.effect) / most))
        assert float(re.search(r"stroke-width: ([\d.]+)", mark.style)[1]) == pytest.approx(width, abs=1e-3)
        assert mark.stroke == (ink.HURT_BAR if edge.effect < 0 else ink.EFFECT_BAR)
        assert ("stroke-dasharray" in mark.style) == (edge.effect < 0), "sign is not by hue alone"
    used = {i for edge in found.edges for i in (edge.source, edge.target)}
    assert {f"node-{i}" for i in used} <= set(picture.marks)
    assert len(picture.named(r"edges-\d+")) == len(found.curve)
    caption(sheet, found.label, f"faithfulness {compact(found.faithfulness)}", "measured", found.metric)
    few = found.figure(edges=2)
    assert len(Picture(few.svg()).named(r"edge-\d+")) == 2
    caption(few, f"2 of {len(found.edges)} edges")
    with pytest.raises(AttnWidgetError, match="edges must be"):
        found.figure(edges=0)


def test_two_prompts(model, run):
    found = compare(run, model.run("the cat sat on a mat the dog zebra fish"), alignment="tokens")
    sheet = found.figure(head="L2H1", k=5)
    picture = read(sheet)
    difference = found.pattern_difference("L2H1")
    most = np.abs(difference.values).max()
    value = difference.values[6, 2]
    assert picture.marks["L2H1 A − B-q6-k2"].fill == ink.colour("hurt" if value < 0 else "effect", math.sqrt(abs(value) / most))
    assert picture.marks["L2H1 A-q6-k2"].fill == ink.colour("attention", math.sqrt(difference.first[6, 2]))
    assert picture.marks["L2H1 B-q6-k2"].fill == ink.colour("attention", math.sqrt(difference.other[6, 2]))
    for head in found.scores("js").top(5, by="size"):
        assert any(compact(float(found.values["js"][head])) == word for word in picture.words)
    assert f"KL(A ‖ B) {compact(found.answers.kl)}" in picture.said
    assert "a" in picture.words and "zebra" in picture.words
    caption(sheet, found.alignment.describe(), "effect of nothing")
    with pytest.raises(AttnWidgetError, match="No number 'x'"):
        found.figure(by="x")
    with pytest.raises(AttnWidgetError, match="undefined"):
        found.figure(by="noising")


def test_a_head_from_the_inside(model, run):
    found = qk(run, "L2H1")
    sheet = found.figure()
    scores = np.where(found.visible, found.scores, np.nan)
    scores = scores - np.nanmean(scores, axis=1, keepdims=True)
    most, value = np.nanmax(np.abs(scores)), scores[6, 2]
    picture = read(sheet)
    assert len(picture.named(r"L2H1-q\d+-k\d+")) == 45
    assert picture.marks["L2H1-q6-k2"].fill == ink.colour("hurt" if value < 0 else "effect", math.sqrt(abs(value) / most))
    caption(sheet, "softmax of them is the model's pattern", "no intervention", "float32")
    raw = read(found.figure(part="content", less_row_mean=False))
    assert raw.marks["L2H1-q6-k2"].fill == ink.colour(
        "hurt" if found.parts["content"][6, 2] < 0 else "effect",
        math.sqrt(abs(found.parts["content"][6, 2]) / np.nanmax(np.abs(np.where(found.visible, found.parts["content"], np.nan)))),
    )
    with pytest.raises(AttnWidgetError, match="part must be one of"):
        found.figure(part="x")
    circuit = ov(model, "L2H1", ["cat", "dog", "mat"])
    picture, most = read(circuit.figure()), np.abs(circuit.block).max()
    value = circuit.block[0, 2]
    assert picture.marks["L2H1-q0-k2"].fill == ink.colour("hurt" if value < 0 else "effect", math.sqrt(abs(value) / most))
    assert visible(circuit.promoted[0][0][0]) in picture.said
    caption(circuit.figure(), compact(circuit.copying), "from the weights")
    with pytest.raises(AttnWidgetError, match="read for no tokens"):
        ov(model, "L2H1").figure()
    pairs = qk_circuit(model, "L2H1")
    assert compact(pairs.pairs[0][4]) in read(pairs.figure()).words


def test_results_write_files(run, tmp_path):
    found = score(run, "ablation")
    path = found.to_svg(tmp_path / "grid.svg", width="84mm")
    assert path.read_text() == found.figure(width="84mm").svg()
    assert found.to_png(tmp_path / "grid.png", dpi=100).stat().st_size > 1000
    assert found.to_pdf(tmp_path / "grid").name == "grid.pdf"
    assert run.to_svg(tmp_path / "map.svg", heads="L0H0").exists()
