"""The widget without a browser: traits in every form people write, requests with a recording comm, errors that are not lost."""

import numpy as np
import pytest
import torch

from attnwidget import AttentionView, AttentionWidget, AttnWidgetError, Head, HeadGrid, Prediction, PromptError
from tests.small import small_model

from .front import CLEAN, PROMPT, Front, array


@pytest.fixture
def widget(model):
    return AttentionWidget(model, PROMPT)


@pytest.fixture
def front(widget):
    return Front(widget)


# -- traits ------------------------------------------------------------------------------------------------------------


def test_heads_are_taken_in_every_form_and_kept_as_heads(widget):
    widget.ablated = ["L1H2", (0, 1), "2.3", Head(1, 2)]
    assert widget.ablated == [Head(1, 2), Head(0, 1), Head(2, 3)]
    assert repr(widget.ablated) == "[L1H2, L0H1, L2H3]"
    widget.selected = "L0H0"
    assert widget.selected == [(0, 0)]


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("ablated", ["L9H0"], r"L9H0.*0 to 3.*0 to 3"),
        ("selected", ["head 3"], r"'head 3'.*L9H6"),
        ("mode", "zeor", r"'zeor'.*zero, scale"),
        ("prompt", "", r"empty"),
        ("query", 6, r"6.*0 to 5"),
        ("position", -7, r"-7.*6 tokens"),
        ("positions", [0, 9], r"9.*0 to 5"),
        ("target", "dog zebra", r"'dog zebra'.*tokens"),
        ("score", "importance", r"'importance'.*ablation.*entropy.*induction"),
        ("metric", "accuracy", r"'accuracy'.*kl, logit_diff"),
        ("tab", "scatter", r"'scatter'.*overview, ranking, kinds"),
        ("scale", "much", r"scale"),
        ("scale", float("inf"), r"scale.*finite.*inf"),
        ("threshold", -0.5, r"threshold.*0 or more.*-0.5"),
        ("cell_view", "scatter", r"'scatter'.*patterns"),
    ],
)
def test_a_wrong_value_is_a_value_error_that_says_what_is_right_and_changes_nothing(widget, name, value, says):
    widget.ablated, before = ["L1H1"], getattr(widget, name)
    key = widget.run_key
    with pytest.raises(ValueError, match=says):
        setattr(widget, name, value)
    assert getattr(widget, name) == (before if name != "ablated" else [Head(1, 1)])
    assert widget.run_key == key


def test_a_prompt_longer_than_the_context_names_both_numbers(widget):
    with pytest.raises(PromptError, match=r"70 tokens.*64"):
        widget.prompt = " ".join(["cat"] * 70)
    assert widget.prompt == PROMPT


def test_unknown_traits_are_refused_with_the_valid_ones(model):
    with pytest.raises(TypeError, match="'colour'.*ablated.*prompt"):
        AttentionWidget(model, PROMPT, colour="red")
    with pytest.raises(TypeError, match="'n_layers'"):
        AttentionWidget(model, PROMPT, n_layers=3)


def test_a_new_prompt_keeps_what_it_can(widget):
    widget.ablated, widget.query, widget.position, widget.positions = ["L1H1"], 5, 2, [1, 5]
    key = widget.run_key
    widget.prompt = "the dog sat"
    assert widget.tokens == ["the", "dog", "sat"] and widget.run_key != key
    assert (widget.query, widget.position, widget.positions) == (-1, 2, [1])
    assert widget.ablated == [Head(1, 1)]


def test_positions_a_new_prompt_does_not_have_never_become_all_positions(widget):
    widget.ablated, widget.positions = ["L1H1"], [5]
    widget.prompt = "the dog sat"
    assert widget.positions == [] and widget.ablated == [] and widget.run.kl() == 0
    assert "no position 5" in widget.error


def test_a_model_that_was_trained_meanwhile_is_run_again():
    model = small_model()
    w = AttentionWidget(model, PROMPT, ablated=["L1H1"], mode="scale", scale=1.0)
    before, key = w.run, w.run_key
    with torch.no_grad():
        model.source.model.layers[0].self_attn.v_proj.weight.mul_(1.5)
    assert before.clean.outdated and w.run_key == key
    with pytest.raises(ValueError, match="weights have changed.*run it again"):
        before.clean.ablate("L1H1")
    assert w.run.kl() == 0 and not w.run.clean.outdated
    # A page that shows numbers of the old weights asks again when the key is another.
    assert w.run_key not in (key, "") and w.scored == {}
    renewed = w.run_key
    assert w.run is not None and w.run_key == renewed


def test_run_is_there_also_while_a_mode_waits_for_its_reference(widget):
    widget.mode = "resample"
    assert widget.run.kl() == 0
    widget.ablated = ["L1H1"]
    with pytest.raises(ValueError, match="one other prompt"):
        _ = widget.run


def test_run_follows_the_traits_and_equals_the_script(widget, model):
    widget.ablated, widget.mode, widget.scale, widget.positions = ["L1H1", "L2H0"], "scale", 0.5, [-1]
    script = model.run(PROMPT).ablate(["L1H1", "L2H0"], "scale", scale=0.5, positions=[-1])
    assert torch.equal(widget.run.logits, script.logits)
    assert widget.run.kl() == script.kl() > 0
    assert widget.prediction.kl == script.kl()
    widget.ablated = []
    assert widget.run.kl() == 0


def test_parameters_of_another_mode_wait_without_harm(widget):
    widget.ablated, widget.seed, widget.scale = ["L1H1"], 3, 0.7
    widget.mode = "zero"
    assert widget.run.kl() == widget.model.run(PROMPT).ablate("L1H1").kl()


def test_a_widget_without_a_prompt_says_so(model):
    w = AttentionWidget(model)
    assert "no prompt yet" in repr(w)
    with pytest.raises(PromptError, match="no prompt yet"):
        _ = w.run


def test_single_panels(model):
    assert AttentionWidget(model, PROMPT).panels == ["prompt", "tokens", "grid", "outcome", "attention", "tabs"]
    assert HeadGrid(model, PROMPT).panels == ["grid"]
    assert AttentionView(model, PROMPT, selected=["L0H1"]).selected == [Head(0, 1)]
    assert Prediction(model, PROMPT).panels == ["outcome"]


def test_two_widgets_on_one_model_share_its_worker_and_lock_and_nothing_else(model):
    a, b = AttentionWidget(model, PROMPT), AttentionWidget(model, "the dog sat")
    a.ablated = ["L1H1"]
    assert a._worker is b._worker and a.lock is b.lock
    assert b.ablated == [] and b.run.kl() == 0 and a.run.kl() > 0


def test_links_between_two_widgets(model):
    import traitlets

    a, b = AttentionWidget(model, PROMPT), AttentionWidget(model, PROMPT)
    traitlets.link((a, "ablated"), (b, "ablated"))
    b.ablated = ["L2H2"]
    assert a.ablated == [Head(2, 2)]


# -- from a view -------------------------------------------------------------------------------------------------------


def test_a_view_cannot_set_facts_and_its_mistakes_are_said(widget):
    widget.set_state({"ablated": [[1, 1]], "n_layers": 99, "tokens": []})
    assert widget.ablated == [Head(1, 1)] and widget.n_layers == 4 and len(widget.tokens) == 6
    widget.set_state({"ablated": [[77, 1]]})
    assert widget.ablated == [Head(1, 1)] and "L77H1" in widget.error
    widget.set_state({"ablated": []})
    assert widget.error == ""


@pytest.mark.parametrize("change", [{"query": 77}, {"target": "dog zebra"}, {"prompt": ""}, {"positions": [99]}])
def test_what_a_view_got_wrong_is_undone(widget, change):
    """ipywidgets sets what a view sends in one go, and traitlets undoes that only for its own kind of error."""
    before = {name: getattr(widget, name) for name in change}
    widget.set_state({**change, "hide_first": True})
    assert {name: getattr(widget, name) for name in change} == before and widget.error
    widget.set_state({"query": 2})
    assert widget.query == 2 and widget.error == ""


# -- requests ----------------------------------------------------------------------------------------------------------


def test_outcome_equals_the_run(front, widget):
    ablation = {**CLEAN, "heads": [[1, 1], [2, 0]]}
    result, _ = front.result("outcome", run_key=widget.run_key, ablation=ablation, position=-1, target="", against="", k=5)
    run = widget.model.run(PROMPT).ablate(["L1H1", "L2H0"])
    assert result["kl"] == run.kl() and result["position"] == 5 and len(result["rows"]) == 5
    top = result["clean_top"]
    assert top["token"] == run.clean.top(1)["token"][0] and top["clean"]["rank"] == 1
    for row in result["rows"]:
        assert row["ablated"]["probability"] == run.probability(row["id"])
        assert row["clean"]["rank"] == run.clean.rank(row["id"])
    assert result["logit_diff"]["clean"] == pytest.approx(run.clean.logit_diff(top["id"], result["against"]["id"]), abs=1e-6)
    whole, _ = front.result("whole_prompt", run_key=widget.run_key, ablation=ablation)
    perplexity = {"clean": run.clean.perplexity(), "ablated": run.perplexity()}
    assert whole == {"perplexity": perplexity, "top1_changed": run.top1_changed(), "dtype": "float32"}


def test_outcome_with_nothing_ablated(front, widget):
    result, _ = front.result("outcome", run_key=widget.run_key, ablation=CLEAN, position=-1, target="", against="", k=3)
    assert result["kl"] is None and result["rows"][0]["ablated"] is None


def test_thumbnails_are_the_patterns(front, widget):
    result, buffers = front.result("thumbnails", run_key=widget.run_key)
    maps, run = array(result["maps"], buffers), widget.model.run(PROMPT)
    assert maps.shape == (4, 4, 6, 6) and result["block"] == 1
    for layer in range(4):
        assert np.abs(maps[layer] / 255 - run.patterns(layer).numpy()).max() <= 0.5 / 255 + 1e-6


def test_thumbnails_of_a_long_prompt_are_pooled_by_maximum(model):
    w = AttentionWidget(model, " ".join(["cat", "dog"] * 30))
    result, buffers = Front(w).result("thumbnails", run_key=w.run_key)
    maps, pattern = array(result["maps"], buffers), w.model.run(w.prompt).pattern("L2H1").numpy()
    assert result["block"] == 3 and maps.shape == (4, 4, 20, 20)
    assert maps[2, 1, 19, 0] == round(float(pattern[57:60, 0:3].max()) * 255)


def test_patterns_of_an_ablated_head_are_its_clean_ones_and_the_change_is_downstream(front, widget):
    ablation = {**CLEAN, "heads": [[1, 1]]}
    result, buffers = front.result("patterns", run_key=widget.run_key, ablation=ablation, heads=[[1, 1], [3, 0], [0, 0]])
    maps, change = array(result["maps"], buffers), array(result["change"], buffers)
    run = widget.model.run(PROMPT).ablate("L1H1")
    assert np.array_equal(maps[0], run.clean.pattern("L1H1").numpy())
    assert np.array_equal(maps[1], run.pattern("L3H0").numpy())
    assert np.allclose(maps[1] - change[1], run.clean.pattern("L3H0").numpy(), atol=1e-6) and np.abs(change[1]).max() > 0
    assert np.abs(change[2]).max() == 0


def test_tokens(front, widget):
    assert front.result("token", text="cat")[0] == {"id": widget.model.token_id("cat"), "token": "cat"}
    assert "zebra fish" in front.error("token", text="zebra fish")["message"]


def test_a_prompt_from_the_page(front, widget):
    result, _ = front.result("prompt", text="the dog sat", prepend_bos=False)
    assert result["run_key"] == widget.run_key and widget.prompt == "the dog sat"
    error = front.error("prompt", text="", prepend_bos=False)
    assert error["kind"] == "refused" and "empty" in error["message"] and widget.prompt == "the dog sat"
    key = widget.run_key
    front.result("prompt", text="the dog sat", prepend_bos=True)
    assert widget.tokens[0] == "<s>" and widget.run_key != key


def test_the_end_of_a_prompt_that_is_too_long_can_be_kept(front, widget):
    long = " ".join(["cat"] * 70 + ["dog", "sat"])
    error = front.error("prompt", text=long, prepend_bos=True)
    assert error["kind"] == "refused" and error["detail"] == "too long" and "64" in error["message"]
    front.result("prompt", text=long, prepend_bos=True, keep="end")
    assert len(widget.tokens) == 64 and widget.tokens[0] == "<s>" and widget.tokens[-2:] == ["dog", "sat"]


def test_a_question_about_an_old_prompt_is_cancelled(front, widget):
    key = widget.run_key
    widget.prompt = "the dog sat"
    assert front.error("thumbnails", run_key=key)["kind"] == "cancelled"


def test_latest_wins_within_a_view_and_not_between_views(front, widget):
    hold = widget.model.lock
    other = Front(widget, "other")
    front.sent = other.sent
    hold.acquire()
    try:
        first = front.send("thumbnails", run_key=widget.run_key)
        second = front.send("thumbnails", run_key=widget.run_key)
        third = other.send("thumbnails", run_key=widget.run_key)
    finally:
        hold.release()
    assert widget.wait(30)
    replies = {c["id"]: c["ok"] for c, _ in front.sent if "ok" in c}
    assert replies == {first: False, second: True, third: True}


@pytest.mark.parametrize(
    "message",
    [
        {"id": "a-1", "op": "outcome"},
        {"id": "a-1", "op": "outcome", "args": []},
        {"id": "a-1", "op": "__class__", "args": {}},
        {"id": "a-1", "op": None},
        {"id": "a-1", "op": "outcome", "args": {"run_key": "KEY", "ablation": 3}},
        {"id": "a-1", "op": "outcome", "args": {"run_key": "KEY", "ablation": {"mode": "nope", "heads": []}}},
        {"id": "a-1", "op": "outcome", "args": {"run_key": "KEY", "ablation": {"mode": "zero", "heads": [[1e9, 0]]}}},
        {"id": "a-1", "op": "outcome", "args": {"run_key": "KEY", "ablation": {"mode": "zero", "heads": []}, "position": 2.5}},
        {"id": "a-1", "op": "patterns", "args": {"run_key": "KEY", "ablation": {"mode": "previous", "heads": [[0, 0]]}}},
        {"id": "a-1", "op": "scores", "args": {"run_key": "KEY", "method": {"a": 1}}},
        {"id": "a-1", "op": "scores", "args": {"run_key": "KEY", "method": "guess", "ablation": CLEAN}},
        {"id": "a-1", "op": "scores", "args": {"run_key": "KEY", "method": "ablation", "metric": "luck", "ablation": CLEAN}},
        {"id": "a-1", "op": "scores", "args": {"run_key": "KEY", "method": "ablation", "ablation": None}},
        {"id": "a-1", "op": "scores", "args": {"run_key": "KEY", "method": "ablation", "ablation": CLEAN, "conditional": 3}},
        {"id": "a-1", "op": "scores", "args": {"run_key": "KEY", "method": "ablation", "ablation": CLEAN, "patience": "long"}},
        {"id": "a-1", "op": "scores", "args": {"run_key": "KEY", "method": "ablation", "ablation": CLEAN, "patience": -1}},
        {"id": "a-1", "op": "kinds", "args": {"run_key": "KEY", "own": 1}},
        {"id": "a-1", "op": "overview", "args": {"run_key": "KEY", "ablation": CLEAN, "position": 99}},
        {"id": "a-1", "op": "prompt", "args": {"text": 5}},
    ],
)
def test_rubbish_gets_one_error_reply_each(front, widget, message):
    if isinstance(message.get("args"), dict) and message["args"].get("run_key") == "KEY":
        message = {**message, "args": {**message["args"], "run_key": widget.run_key}}
    widget._receive(widget, message, [])
    assert widget.wait(30)
    replies = [c for c, _ in front.sent]
    assert len(replies) == 1 and replies[0]["id"] == "a-1" and replies[0]["ok"] is False
    assert replies[0]["error"]["message"] and replies[0]["error"]["kind"] in ("refused", "failed", "cancelled")


@pytest.mark.parametrize("message", [None, 5, [], {}, {"id": 3}, {"id": ""}, {"id": "x" * 1000}])
def test_what_nobody_could_be_answered_is_dropped(front, widget, message):
    widget._receive(widget, message, [])
    assert front.sent == []


def test_a_failure_carries_its_traceback(front, widget, monkeypatch):
    monkeypatch.setattr(type(widget.model), "run", lambda *a, **k: 1 / 0)
    widget.prompt = "the dog sat"
    error = front.error("thumbnails", run_key=widget.run_key)
    assert error["kind"] == "failed" and "ZeroDivisionError" in error["message"] and "Traceback" in error["detail"]


def test_a_closed_widget_says_nothing(model):
    w = AttentionWidget(model, PROMPT)
    front = Front(w)
    w.close()
    front.send("thumbnails", run_key=w.run_key)
    assert w.wait(30) and front.sent == []


def test_the_state_that_a_notebook_saves_is_small(widget):
    import json

    state = {k: v for k, v in widget.get_state().items() if k not in ("_esm", "_css")}
    assert len(json.dumps(state, default=str)) < 12_000


def test_outcome_refuses_a_mode_that_is_undefined_here(front, widget):
    ablation = {**CLEAN, "mode": "previous", "heads": [[0, 1]]}
    error = front.error("outcome", run_key=widget.run_key, ablation=ablation)
    assert error["kind"] == "refused" and "L0H1" in error["message"] and "no layer before 0" in error["message"]


def test_errors_are_one_sentence_family(front):
    assert issubclass(AttnWidgetError, ValueError)
