"""Each panel of a widget on SmolLM2 and on MiniLM: drawn, captioned, the same bytes, and the numbers that are known of this prompt."""

from __future__ import annotations

import pytest

from attnwidget import AttentionWidget, AttnWidgetError, compare, discover_circuit, load_model
from attnwidget.widget.figures import PANELS

from .svg import Picture

pytestmark = pytest.mark.demo


@pytest.fixture(scope="module")
def w(prompt):
    model = load_model("smollm2-135m")
    return AttentionWidget(model, prompt, selected=["L20H0", "L29H1"], shown=["L20H0"], ablated=["L23H3", "L1H5", "L1H7"])


@pytest.mark.parametrize(
    "panel", [panel for panel in PANELS if panel not in ("study", "circuit", "compare", "ranking", "kinds", "overview")]
)
def test_each_panel(w, panel):
    options = {"max_new_tokens": 4} if panel == "generation" else {}
    sheet = w.figure(panel, **options)
    assert sheet.svg() == w.figure(panel, **options).svg()
    assert "weights as shipped" in sheet.caption and "float32" in sheet.caption
    picture = Picture(sheet.svg())
    wide, high = (float(picture.root.get(side).removesuffix("pt")) for side in ("width", "height"))
    assert 200 < wide < 500 and 20 < high < 900
    assert all(0 <= text.x <= wide and 0 <= text.y <= high for text in picture.texts)


def test_known_numbers_are_there(w):
    words = Picture(w.figure("outcome").svg()).words
    assert {"Mary", "John", "92%", "38%", "92%, #1", "11%, #2"} <= set(words)
    assert ".79" in Picture(w.figure("attention").svg()).words
    clean = Picture(w.run.clean.figure(heads="L20H0").svg()).words
    assert ".78" in clean and "John₂" in clean


def test_what_is_chosen_is_drawn(w, tmp_path):
    assert "L29H1" in w.figure("attention", view="small").caption
    assert "ablated − clean" in Picture(w.figure("attention", kind="change").svg()).said
    assert "‖v_k W_O‖" in w.figure("attention", kind="vo_norm", heads="L20H0").caption
    assert (
        "mean over" in w.figure("attention", aggregate="mean").caption and "rollout" in w.figure("attention", aggregate="rollout").caption
    )
    assert Picture(w.figure("attention", view="lines").svg()).named("L20H0-q13-k9")
    assert "L20H0 OV" in Picture(w.figure("inside", part="ov").svg()).words
    w.hide_first = True
    assert "first key hidden" in w.figure("attention").caption and "first key hidden" in w.figure("tokens").caption
    w.hide_first = False
    path = w.to_svg(tmp_path / "a.svg", "attention", width="84mm")
    assert path.read_text() == w.figure(width="84mm").svg()
    assert w.to_png(tmp_path / "a.png", "outcome", dpi=100).exists() and w.to_pdf(tmp_path / "a.pdf", "lens").exists()


def test_scores_are_measured_for_the_picture(w):
    w.metric, w.target, w.against = "logit_diff", " Mary", " John"
    grid = w.figure("grid", cells="scores")
    assert "each head ablated alone, measured" in grid.caption and "exact" in grid.caption
    picture = Picture(grid.svg())
    assert len(picture.named(r"L\d+H\d+")) == 270 and {"ablated-L23H3", "ablated-L1H5", "ablated-L1H7"} <= set(picture.marks)
    ranking = Picture(w.figure("ranking", k=3).svg())
    assert list(ranking.named(r"bar-.*")) == ["bar-L23H3", "bar-L1H5", "bar-L29H1"]
    assert {"3.04", "2.18", "1.68"} <= set(ranking.words)


def test_overview_and_kinds(w):
    assert "“Mary”" in Picture(w.figure("overview").svg()).said
    assert "dot-induction-L18H6" in Picture(w.figure("kinds").svg()).marks


def test_what_was_not_asked_for_says_how(w):
    for panel, call in (("study", r"study\(w\.run\)"), ("circuit", "discover_circuit"), ("compare", r"compare\(w\.run\.clean")):
        with pytest.raises(AttnWidgetError, match=call):
            w.figure(panel)
    with pytest.raises(AttnWidgetError, match="No picture of a panel 'x': there are grid"):
        w.figure("x")
    with pytest.raises(AttnWidgetError, match="cells must be"):
        w.figure("grid", cells="x")
    with pytest.raises(AttnWidgetError, match="part must be"):
        w.figure("inside", part="x")


def test_circuits_and_comparisons(w):
    clean = w.run.clean
    other = w.model.run("When Mary and John went to the store, Mary gave a drink to")
    circuit = discover_circuit(clean, other, method="eap", edges=60, random=0, checks=False, sizes=[60])
    picture = Picture(circuit.figure().svg())
    assert len(picture.named(r"edge-\d+")) == len(circuit.edges) > 0 and "logits" in picture.words
    both = compare(clean, other)
    assert "L24H4" in Picture(both.figure().svg()).words


def test_an_encoder(tmp_path):
    model = load_model("minilm")
    w = AttentionWidget(model, "the cat sat on the mat", selected=["L2H3"], shown=["L2H3"])
    attention = Picture(w.figure("attention").svg())
    n = len(w.tokens)
    assert len(attention.named(r"L2H3-q\d+-k\d+")) == n * n, "an encoder has no empty triangle"
    assert "[CLS]" in attention.words
    assert w.figure("tokens").svg() and w.figure("grid").svg()
    with pytest.raises(AttnWidgetError, match="moves its embedding"):
        w.figure("outcome")
    w.ablated = ["L2H3"]
    outcome = w.figure("outcome")
    assert "embedding over" in outcome.caption and "1 − cos" in Picture(outcome.svg()).words
    assert "embedding" in w.figure("grid", cells="scores").caption
