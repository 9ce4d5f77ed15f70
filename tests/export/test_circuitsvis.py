"""`run.to_circuitsvis`: what reaches CircuitsVis, read back from its HTML, is the run."""

import html
import json
import warnings

import numpy as np
import pytest
import torch
from circuitsvis.utils.render import RenderedHTML

from attnwidget import AttnWidgetError, load_model
from tests.models import IDS, subject
from tests.small import small_model

PROMPT = "the cat sat on the mat"


@pytest.fixture(scope="module")
def run():
    return small_model().run(PROMPT)


def given(rendered):
    """The element of CircuitsVis and its arguments, from both of its sources, which must agree."""
    found = []
    for source, call in ((rendered.local_src, "\n    CircuitsVis.render(\n"), (rendered.cdn_src, "\n    render(\n")):
        arguments = source.rpartition(call)[2]
        _, element, props = arguments.split(",\n", 2)
        found.append((element.strip().removeprefix("CircuitsVis."), json.loads(props.rpartition("\n    )")[0])))
    assert found[0] == found[1]
    return found[0]


def test_all_heads_are_all_heads(run):
    rendered = run.to_circuitsvis()
    assert isinstance(rendered, RenderedHTML)
    element, props = given(rendered)
    assert element == "AttentionHeads" and props["tokens"] == run.tokens and props["maskUpperTri"] is True
    assert props["attentionHeadNames"] == [f"L{layer}H{head}" for layer in range(4) for head in range(4)]
    for name, map_ in zip(props["attentionHeadNames"], props["attention"], strict=True):
        assert torch.equal(torch.tensor(map_), run.pattern(name))


def test_one_layer_and_chosen_heads_in_their_order(run):
    _, props = given(run.to_circuitsvis(layer=2))
    assert props["attentionHeadNames"] == ["L2H0", "L2H1", "L2H2", "L2H3"]
    assert torch.equal(torch.tensor(props["attention"]), run.patterns(2))
    _, props = given(run.to_circuitsvis(heads=["L3H1", (0, 2)]))
    assert props["attentionHeadNames"] == ["L3H1", "L0H2"]
    assert torch.equal(torch.tensor(props["attention"]), torch.stack([run.pattern("L3H1"), run.pattern("L0H2")]))


def test_an_ablated_run_shows_its_own_patterns(run):
    ablated = run.ablate(["L0H1", "L1H2"])
    _, props = given(ablated.to_circuitsvis(heads="L3H0"))
    shown = torch.tensor(props["attention"])[0]
    assert torch.equal(shown, ablated.pattern("L3H0")) and not torch.equal(shown, run.pattern("L3H0"))


def test_an_encoder_is_shown_whole():
    model = subject("bert").model
    run = model.run(IDS)
    assert given(run.to_circuitsvis(layer=0))[1]["maskUpperTri"] is False
    element, props = given(run.to_circuitsvis("attention_pattern", heads="L1H0"))
    assert element == "AttentionPattern" and torch.equal(torch.tensor(props["attention"]), run.pattern("L1H0"))
    assert (props["minValue"], props["maxValue"]) == (0.0, 1.0)


def test_attention_patterns(run):
    element, props = given(run.to_circuitsvis("attention_patterns", layer=1))
    assert element == "AttentionPatterns" and torch.equal(torch.tensor(props["attention"]), run.patterns(1))


def test_tokens_are_coloured_by_where_heads_look_or_by_what_is_given(run):
    heads = ["L1H0", "L2H3"]
    rows = torch.stack([run.pattern(head)[-2] for head in heads])
    element, props = given(run.to_circuitsvis("colored_tokens", heads=heads, query=-2))
    assert element == "ColoredTokens" and props["values"] == pytest.approx(rows.mean(0).tolist())
    element, props = given(run.to_circuitsvis("colored_tokens_multi", heads=heads, query=-2))
    assert element == "ColoredTokensMulti" and props["labels"] == heads and props["values"] == rows.T.tolist()
    values = np.arange(6.0) - 2
    assert given(run.to_circuitsvis("colored_tokens", values=values))[1]["values"] == values.tolist()
    both = np.stack([values, 2 * values], 1)
    _, props = given(run.to_circuitsvis("colored_tokens_multi", values=torch.tensor(both), labels=["one", "two"]))
    assert props["values"] == both.tolist() and props["labels"] == ["one", "two"]


def test_what_is_predicted(run):
    log_probs = run.logits.double().log_softmax(-1)
    followed = [log_probs[i, run.ids[i + 1]].item() for i in range(len(run.ids) - 1)]
    element, props = given(run.to_circuitsvis("token_log_probs", top_k=3))
    assert element == "TokenLogProbs" and props["correctTokenLogProb"] == pytest.approx(followed, abs=1e-5)
    assert props["topKTokens"][0] == [html.escape(token) for token in run.top(3, position=0).token]
    ranks = [(log_probs[i] > log_probs[i, run.ids[i + 1]]).sum().item() for i in range(len(run.ids) - 1)]
    assert props["correctTokenRank"] == ranks
    element, props = given(run.to_circuitsvis("model_performance"))
    assert element == "ColoredTokensMulti" and props["labels"] == ["logits", "log_probs", "probs"]
    assert [row[1] for row in props["values"]] == pytest.approx(followed, abs=1e-5)


HOSTILE = ["</script><img src=x onerror=alert(1)>", "<!--<script>", "a & b", "CircuitsVis.render("]


@pytest.mark.parametrize("kind", ["attention_heads", "attention_patterns", "colored_tokens"])
def test_tokens_end_no_script_and_are_no_markup(run, monkeypatch, kind):
    tokens = [*HOSTILE, "x", "y"]
    monkeypatch.setitem(vars(run), "tokens", tokens)
    rendered = run.to_circuitsvis(kind, heads="L0H0")
    for source in (rendered.local_src, rendered.cdn_src):
        assert source.count("</script>") == 1 and "onerror=alert" in source and "<img src=x" not in source and "<!--<" not in source
    # Where CircuitsVis writes tokens as HTML they come as HTML that shows them.
    raw = kind == "attention_heads"
    assert given(rendered)[1]["tokens"] == (tokens if raw else [html.escape(token, quote=False) for token in tokens])


def test_a_view_too_large_to_be_of_use_is_made_with_a_warning_that_names_its_size(run, monkeypatch):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run.to_circuitsvis()
    monkeypatch.setattr("attnwidget.export.circuitsvis.MANY", 500)
    with pytest.warns(UserWarning, match=r"given 576 values \(16 heads × 6² tokens\)"):
        assert len(given(run.to_circuitsvis())[1]["attention"]) == 16


REFUSED = {
    "kind": (lambda run: run.to_circuitsvis("heads"), "'heads' is no view of CircuitsVis that a run can fill: use one of attention_heads"),
    "head": (lambda run: run.to_circuitsvis(heads="L9H9"), "No head L9H9"),
    "layer": (lambda run: run.to_circuitsvis(layer=4), "layers run from 0 to 3"),
    "both": (lambda run: run.to_circuitsvis(layer=1, heads="L1H0"), "give one of them"),
    "none": (lambda run: run.to_circuitsvis(heads=[]), "No heads were given"),
    "one": (lambda run: run.to_circuitsvis("attention_pattern", layer=1), "shows one head, not 4"),
    "not taken": (lambda run: run.to_circuitsvis(values=[1]), "attention_heads takes no values"),
    "not taken either": (lambda run: run.to_circuitsvis("token_log_probs", heads="L0H0"), "token_log_probs takes no heads"),
    "no numbers": (lambda run: run.to_circuitsvis("colored_tokens"), "give values=, or heads="),
    "two sources": (lambda run: run.to_circuitsvis("colored_tokens", values=[0] * 6, heads="L0H0"), "heads= says where to take them"),
    "length": (lambda run: run.to_circuitsvis("colored_tokens", values=[1, 2]), r"shape \(2,\), and the prompt has 6 tokens"),
    "columns": (lambda run: run.to_circuitsvis("colored_tokens_multi", values=[1] * 6), r"\[token, kind of value\] with 6 tokens"),
    "labels": (lambda run: run.to_circuitsvis("colored_tokens_multi", values=[[1, 2]] * 6, labels=["a"]), "labels has 1 texts"),
    "labels of heads": (lambda run: run.to_circuitsvis("colored_tokens_multi", layer=1, labels=["a"]), "labels has 1 texts.*4 columns"),
    "no labels": (lambda run: run.to_circuitsvis("colored_tokens", values=[1] * 6, labels=["a"]), "colored_tokens takes no labels"),
    "words": (lambda run: run.to_circuitsvis("colored_tokens", values=["a"] * 6), "cannot be read as numbers"),
    "top_k": (lambda run: run.to_circuitsvis("token_log_probs", top_k=0), "top_k must be a whole number from 1 to 11"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_shown_is_refused_in_a_sentence(run, what):
    make, sentence = REFUSED[what]
    with pytest.raises(AttnWidgetError, match=sentence):
        make(run)


def test_a_model_that_does_not_predict_the_next_token_has_no_such_view():
    with pytest.raises(AttnWidgetError, match="does not predict the next one"):
        subject("bert").model.run(IDS).to_circuitsvis("token_log_probs")


@pytest.mark.demo
def test_smollm2_23_3_is_what_the_widget_shows(prompt):
    run = load_model("smollm2-135m").run(prompt)
    _, props = given(run.to_circuitsvis(heads="L23H3"))
    assert props["tokens"] == run.tokens and torch.equal(torch.tensor(props["attention"])[0], run.pattern("L23H3"))
