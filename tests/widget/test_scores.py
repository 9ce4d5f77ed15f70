"""Scores through the widget: estimate and exact values, what is kept, patience, conditions; all on real small models."""

import json
import threading

import numpy as np
import pytest
import torch
import transformers as tf

from attnwidget import AttentionWidget, AttnWidgetError, ModelError, load_model
from attnwidget.analysis.embedding import embedding_change
from attnwidget.analysis.headkinds import HeadKinds, KindScores
from attnwidget.analysis.headscores import HeadScores
from attnwidget.analysis.kinds import KINDS, detect_heads
from attnwidget.analysis.measure import EMBEDDING_METRICS, METRICS
from attnwidget.analysis.overview import overview
from attnwidget.analysis.score import METHODS, score
from attnwidget.analysis.statistics import STATISTICS, head_statistic
from attnwidget.widget import jobs, sweep
from attnwidget.widget.kinds import _kind
from attnwidget.widget.painted import painted, saved
from attnwidget.widget.session import Session
from tests.models import SPECS, VOCAB, subject, tokenizer, wide
from tests.small import small_model

from .front import CLEAN, PROMPT, Front, array

TEXT = "Alice and Bob went home."


class Scores(Front):
    """A page that asks for scores, and what came of each: its parts in order, arrays read."""

    def asking(self, **args):
        defaults = {"method": "ablation", "metric": "kl", "target": "", "against": "", "position": -1, "ablation": CLEAN}
        return {"run_key": self.widget.run_key, **defaults, "conditional": False, "patience": 60, **args}

    def scores(self, **args):
        result, buffers = self.result("scores", **self.asking(**args))
        return read(result, buffers)

    def refused(self, **args):
        error = self.error("scores", **self.asking(**args))
        assert error["kind"] == "refused"
        return error["message"]

    @property
    def partials(self):
        return [read(c["partial"], b) for c, b in self.sent if "partial" in c]


def read(result, buffers):
    estimate = result["estimate"] and {**result["estimate"], "values": array(result["estimate"]["values"], buffers)}
    return {**result, "values": array(result["values"], buffers), "known": array(result["known"], buffers), "estimate": estimate}


def same(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-6)


@pytest.fixture
def widget(model):
    return AttentionWidget(model, PROMPT)


@pytest.fixture
def front(widget):
    return Scores(widget)


@pytest.fixture
def run(model):
    return model.run(PROMPT)


@pytest.fixture
def every_part(monkeypatch):
    """Small steps, and each of them said: on a model this fast most would fall between two messages."""
    monkeypatch.setattr(sweep, "AIM", 1e-6)
    monkeypatch.setattr(sweep, "TOKENS", 1)
    monkeypatch.setattr(jobs, "PROGRESS_INTERVAL", 0.0)


def ablating(*heads, mode="zero", **parameters):
    return {**CLEAN, "mode": mode, "heads": [list(head) for head in heads], **parameters}


# -- ablation: the estimate, then exact values ------------------------------------------------------------------------------


def test_the_result_is_the_exact_sweep_with_the_estimate_beside_it(front, run):
    found, exact, estimate = front.scores(), score(run), score(run, "attribution")
    same(found["values"], exact.values)
    same(found["estimate"]["values"], estimate.values)
    assert (found["known"] == 2).all() and found["exact"] and found["remaining"] is None and found["seconds"] > 0
    told = ("method", "label", "formula", "unit", "signed", "kind", "metric", "target", "against", "position", "mode")
    assert {name: found[name] for name in told} == {name: getattr(exact, name) for name in told}
    assert found["describe"] == exact.describe() and found["conditional"] == [] and found["estimate"]["formula"] == estimate.formula
    pearson = np.corrcoef(exact.values.ravel(), estimate.values.ravel())[0, 1]
    places = [values.ravel().argsort().argsort() for values in (exact.values, estimate.values)]
    assert found["estimate"]["pearson"] == pytest.approx(pearson, abs=1e-5)
    assert found["estimate"]["spearman"] == pytest.approx(np.corrcoef(*places)[0, 1], abs=1e-6)


def test_the_estimate_comes_first_and_exact_values_replace_it_from_the_lowest_layer_up(front, run, every_part):
    last, parts = front.scores(), front.partials
    exact, estimate = score(run).values, score(run, "attribution").values
    assert (parts[0]["known"] == 1).all() and not parts[0]["exact"]
    assert parts[0]["method"] == "ablation" and "to first order" in parts[0]["describe"] and "approximate" in parts[0]["describe"]
    counts = [int((part["known"] == 2).sum()) for part in parts]
    assert counts == sorted(counts) and len(set(counts)) > 5 and counts[0] == 0 < counts[1]
    for part, count in zip(parts, counts, strict=True):
        measured = part["known"] == 2
        assert measured.ravel()[:count].all(), "layer by layer"
        same(part["values"], np.where(measured, exact, estimate))
        assert part["estimate"]["pearson"] is None and not part["exact"]
    assert f"unfinished: {counts[1]} heads measured, the others estimated" in parts[1]["describe"]
    assert "; exact" in last["describe"] and not any("; exact" in part["describe"] for part in parts[:-1])
    assert (last["known"] == 2).all() and "estimated" not in last["describe"]


def test_one_sweep_answers_every_metric_at_a_position_and_is_kept(front, widget, run, every_part):
    seconds = front.scores()["seconds"]
    for metric in ("logit_diff", "probability", "log_probability", "entropy", "kl"):
        found = front.scores(metric=metric)
        same(found["values"], score(run, metric=metric).values)
        assert found["seconds"] == seconds and found["metric"] == metric, "not swept again"
        assert found["estimate"]["pearson"] is not None
    front.sent.clear()
    front.scores(metric="entropy")
    assert (front.partials[0]["known"] == 2).all(), "what is kept is painted before anything is computed"
    assert front.scores(metric="perplexity")["seconds"] != seconds
    assert front.scores(position=2)["seconds"] != seconds
    assert front.scores(ablation=ablating(mode="scale", scale=0.5))["seconds"] != seconds
    # Another target makes another logit difference, and the same KL.
    assert front.scores(target="dog", metric="logit_diff")["seconds"] != seconds
    assert front.scores(target="dog")["seconds"] == seconds
    # Position 5 is the last, and the target is what it would be by itself.
    target = widget.prediction.target.token
    assert front.scores(position=5, target=target, metric="logit_diff")["seconds"] == seconds
    widget.ablated = ["L1H1"]
    assert widget.scores is widget.scores
    same(widget.scores.values, score(run).values)


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric(front, run, metric):
    at = None if METRICS[metric].whole else 3
    found, exact = front.scores(metric=metric, position=3), score(run, metric=metric, position=at)
    same(found["values"], exact.values)
    assert (found["unit"], found["signed"], found["label"]) == (exact.unit, exact.signed, exact.label)


@pytest.mark.parametrize(
    ("mode", "parameters"),
    [
        ("scale", {"scale": 0.3}),
        ("mean", {}),
        ("mean", {"reference": ["the dog sat", "a cat on the mat"]}),
        ("resample", {"reference": ["the dog sat on a mat"]}),
        ("permute", {"seed": 3}),
        ("uniform", {}),
        ("first_token", {"positions": [2, -1]}),
    ],
)
def test_every_mode_with_its_parameters(front, run, mode, parameters):
    found = front.scores(ablation=ablating(mode=mode, **parameters), metric="logit_diff")
    exact = score(run, metric="logit_diff", mode=mode, **parameters)
    same(found["values"], exact.values)
    same(found["estimate"]["values"], score(run, "attribution", metric="logit_diff", mode=mode, **parameters).values)
    assert found["mode"] == mode and exact.baseline in found["describe"]


def test_heads_that_a_mode_is_undefined_for_stay_undefined(front, run):
    found = front.scores(ablation=ablating(mode="previous"))
    assert np.isnan(found["values"][0]).all() and (found["known"][0] == 0).all() and (found["known"][1:] == 2).all()
    same(found["values"], score(run, mode="previous").values)


def test_conditional_scores_start_from_the_ablated_run(front, widget, run):
    off = ablating((1, 1), (2, 0))
    found = front.scores(ablation=off, conditional=True)
    expected = score(run.ablate(["L1H1", "L2H0"]))
    same(found["values"], expected.values)
    assert found["known"][1, 1] == found["known"][2, 0] == 0 and (found["known"] == 2).sum() == 14
    assert np.isnan(found["estimate"]["values"][1, 1]) and found["conditional"] == [[1, 1], [2, 0]]
    assert "L1H1, L2H0 ablated already" in found["describe"]
    clean = front.scores(ablation=off)
    same(clean["values"], score(run).values)
    assert clean["conditional"] == []
    widget.ablated, widget.conditional = ["L1H1", "L2H0"], True
    same(widget.scores.values, expected.values)
    assert widget.scores.conditional == ((1, 1), (2, 0))


def test_with_every_head_off_nothing_is_left_to_score(front):
    every = ablating(*np.ndindex(4, 4))
    found = front.scores(ablation=every, conditional=True)
    assert (found["known"] == 0).all() and np.isnan(found["values"]).all() and found["estimate"]["pearson"] is None


def test_where_no_estimate_can_be_had_the_exact_values_come_alone(widget, front, every_part):
    with torch.inference_mode():
        run = widget.run.clean  # as in a cell that runs under inference mode: this prompt cannot be differentiated
    with pytest.raises(ModelError, match="inference_mode"):
        score(run, "attribution")
    found = front.scores()
    assert found["estimate"] is None and (found["known"] == 2).all()
    assert all(set(np.unique(part["known"])) <= {0, 2} for part in front.partials)
    first = front.partials[0]
    assert "others not yet" in first["describe"] and "; exact" not in first["describe"] and not first["exact"] and found["exact"]


# -- patience ---------------------------------------------------------------------------------------------------------------


def test_a_sweep_that_would_take_longer_stops_and_goes_on_when_told_to(front, widget, run, every_part):
    exact, estimate = score(run).values, score(run, "attribution").values
    stopped = front.scores(patience=0)
    measured = stopped["known"] == 2
    assert 0 < measured.sum() < 16 and (stopped["known"] > 0).all() and not stopped["exact"]
    assert stopped["remaining"] > 0 and stopped["estimate"]["spearman"] is None
    same(stopped["values"], np.where(measured, exact, estimate))
    assert widget.scored == {}, "only what is finished is saved"
    again = front.scores(patience=0)
    assert (again["known"] == stopped["known"]).all() and again["seconds"] == stopped["seconds"], "its pace is known by now"
    front.sent.clear()
    whole = front.scores(patience=None)
    same(whole["values"], exact)
    assert whole["exact"] and whole["remaining"] is None and widget.scored["exact"]
    assert all((part["known"] == 2)[measured].all() for part in front.partials), "what was measured is not measured again"


def test_a_cell_goes_on_where_the_picture_stopped(front, widget, run, every_part):
    stopped = front.scores(patience=0)
    same(widget.scores.values, score(run).values)
    assert front.scores(patience=0)["seconds"] > stopped["seconds"]


# -- what else happens meanwhile --------------------------------------------------------------------------------------------


class Paused:
    """A page that holds the sweep at its first measured part until it is let go."""

    def __init__(self, widget):
        self.reached, self.go = threading.Event(), threading.Event()
        self.front = Scores(widget, heard=self._hold)
        self.request = self.front.send("scores", **self.front.asking())
        assert self.reached.wait(60)

    def _hold(self, content):
        partial = content.get("partial")
        if partial and "heads measured" in partial["describe"] and not self.reached.is_set():
            self.reached.set()
            assert self.go.wait(60)

    def end(self):
        self.go.set()
        return self.front.reply(self.request)


def test_a_click_overtakes_a_sweep(widget, run, every_part):
    paused = Paused(widget)
    click = paused.front.send("outcome", run_key=widget.run_key, ablation=ablating((1, 1)), position=-1, target="", against="", k=3)
    thumbnails = paused.front.send("thumbnails", run_key=widget.run_key)
    content, buffers = paused.end()
    order = [c["id"] for c, _ in paused.front.sent if "ok" in c]
    assert order == [click, thumbnails, paused.request]
    same(read(content["result"], buffers)["values"], score(run).values)
    assert paused.front.reply(click)[0]["result"]["kl"] == run.ablate("L1H1").kl()


def test_ablating_a_head_while_sweeping_does_not_touch_the_clean_sweep(widget, run, every_part):
    paused = Paused(widget)
    widget.ablated, widget.selected = ["L1H1"], ["L2H2"]
    content, buffers = paused.end()
    same(read(content["result"], buffers)["values"], score(run).values)


def test_a_cancelled_sweep_says_so_and_is_gone_on_with(widget, run, every_part):
    paused = Paused(widget)
    widget.cancel()
    content, _ = paused.end()
    assert content["error"]["kind"] == "cancelled" and widget.scored == {} and not widget.busy
    measured = int((paused.front.partials[-1]["known"] == 2).sum())
    paused.front.sent.clear()
    same(paused.front.scores()["values"], score(run).values)
    assert int((paused.front.partials[0]["known"] == 2).sum()) >= measured > 0


def test_a_new_prompt_ends_the_sweep_and_forgets_its_scores(widget, model, every_part):
    other = "the dog sat on a mat"  # as long, so that every position is one of this prompt too
    paused = Paused(widget)
    widget.prompt = other
    content, _ = paused.end()
    assert content["error"]["kind"] == "cancelled" and widget.scored == {}
    same(paused.front.scores()["values"], score(model.run(other)).values)
    assert widget.scored["values"]
    widget.prompt = PROMPT
    assert widget.scored == {}
    same(paused.front.scores()["values"], score(model.run(PROMPT)).values)


def test_scores_that_arrive_with_a_new_prompt_are_not_saved_as_its_own(widget):
    def heard(content):
        if "ok" in content:
            widget.prompt = "the dog sat"

    front = Scores(widget, heard=heard)
    assert (front.scores()["known"] == 2).all() and widget.prompt == "the dog sat"
    assert widget.scored == {}


def test_closing_ends_the_sweep_and_keeps_nothing(model, every_part):
    w = AttentionWidget(model, PROMPT)
    paused = Paused(w)
    w.close()
    count = len(paused.front.sent)
    paused.go.set()
    assert w.wait(60) and len(paused.front.sent) == count
    assert not w._session._scores and not w._session._sweeps


def test_a_cell_reads_the_scores_while_they_are_swept(widget, run, every_part):
    paused, read_by_cell = Paused(widget), []
    cell = threading.Thread(target=lambda: read_by_cell.append(widget.scores))
    cell.start()
    content, buffers = paused.end()
    cell.join(60)
    same(read(content["result"], buffers)["values"], score(run).values)
    same(read_by_cell[0].values, score(run).values)


def test_two_widgets_on_one_model_sweep_side_by_side(model, run):
    a, b = AttentionWidget(model, PROMPT), AttentionWidget(model, "the dog sat")
    one, two = Scores(a), Scores(b, "other")
    first, second = one.send("scores", **one.asking()), two.send("scores", **two.asking())
    same(read(*_result(one.reply(first)))["values"], score(run).values)
    same(read(*_result(two.reply(second)))["values"], score(model.run("the dog sat")).values)


def _result(reply):
    assert reply[0]["ok"], reply[0]
    return reply[0]["result"], reply[1]


def test_scores_of_other_weights_are_not_shown(every_part):
    model = small_model()
    w = AttentionWidget(model, PROMPT)
    front = Scores(w)
    before, kinds = front.scores()["values"], front.scores(method="induction")["values"]

    def train():
        with torch.no_grad():
            model.source.model.layers[1].self_attn.q_proj.weight.mul_(1.5)
            model.source.model.layers[1].self_attn.v_proj.weight.mul_(1.5)

    train()
    after = front.scores()["values"]
    same(after, score(model.run(PROMPT)).values)
    assert np.abs(after - before).max() > 1e-3
    assert np.abs(front.scores(method="induction")["values"] - kinds).max() > 1e-3

    w.prompt = "the dog sat"
    paused = Paused(w)
    train()
    content, _ = paused.end()
    assert content["error"]["kind"] == "refused" and "weights have changed" in content["error"]["message"]
    same(paused.front.scores()["values"], score(model.run("the dog sat")).values)


# -- the other scores -------------------------------------------------------------------------------------------------------


def test_no_two_scores_have_one_name():
    assert len({*METHODS, *STATISTICS, *KINDS}) == len(METHODS) + len(STATISTICS) + len(KINDS)


@pytest.mark.parametrize("name", [*METHODS, *STATISTICS, *KINDS])
def test_every_score_by_its_name(front, widget, run, name):
    widget.score = name
    found, fact = front.scores(method=name), next(fact for fact in widget.facts["scores"] if fact["name"] == name)
    if name in METHODS:
        metric = "kl" if "kl" in METHODS[name].metrics else None  # the widget's metric where the method knows it, else its own first
        expected = score(run, name, metric=metric)
    else:
        expected = head_statistic(run, name) if name in STATISTICS else detect_heads(run.model).scores(name)
    same(found["values"], expected.values)
    same(widget.scores.values, expected.values)
    assert (found["method"], found["kind"], found["metric"]) == (name, fact["kind"], expected.metric)
    assert (found["known"] == np.where(np.isnan(expected.values), 0, 2)).all() and found["exact"] == expected.exact == fact["exact"]
    assert widget.scored["method"] == name and fact["refused"] is None and found["signed"] <= fact["signed"]


def test_parts_of_a_direct_attribution_are_sent_and_saved_and_sum_to_the_logit_difference(front, widget, run):
    found, prediction = front.scores(method="direct_logit", metric=None), widget.prediction
    names = [part["name"] for part in found["parts"]]
    assert names[0] == "embedding" and {f"MLP {layer}" for layer in range(4)} <= set(names)
    logits = run.logits_at()
    difference = (logits[prediction.target.id] - logits[prediction.against.id]).item()
    assert found["values"].sum() + sum(part["value"] for part in found["parts"]) == pytest.approx(difference, abs=1e-5)
    saved_parts = widget.scored["parts"]
    assert [part["name"] for part in saved_parts] == names
    assert [part["value"] for part in saved_parts] == pytest.approx([part["value"] for part in found["parts"]], rel=1e-5)
    assert front.scores()["parts"] == []


def test_a_head_over_a_lower_threshold_but_not_surely_above_chance_is_not_sent():
    values = np.array([[0.9, 0.3, 0.25, 0.02]])
    low, high = np.array([[0.8, 0.05, 0.2, 0.0]]), np.array([[1.0, 0.55, 0.3, 0.04]])
    one = KindScores("induction", "induction", "f", values, low, high, chance=0.1)
    sent = _kind(HeadKinds({"induction": one}, "s", "8 prompts", fixed=0.2), "induction")
    assert [row["head"] for row in sent["found"]["fixed"]] == [[0, 0], [0, 2]]
    assert [row["low"] for row in sent["found"]["fixed"]] == [0.8, 0.2]


def test_kinds_are_looked_for_once_per_model(front, model):
    front.scores(method="induction")
    other = Front(AttentionWidget(model, "the dog sat"))
    result, buffers = other.result("kinds", run_key=other.widget.run_key, own=False)
    assert not [c for c, _ in other.sent if "progress" in c], "no pass was needed"
    found = detect_heads(model)
    assert [kind["name"] for kind in result["kinds"]] == list(KINDS) and result["setting"] == found.setting
    for kind in result["kinds"]:
        one = found[kind["name"]]
        same(array(kind["values"], buffers), one.values)
        assert kind["chance"] == one.chance and kind["threshold"] == 0.4
        assert list(kind["found"]) == ["fixed", "mean_sd", "variance"]
        for rule, rows in kind["found"].items():
            assert [tuple(row["head"]) for row in rows] == found.heads(kind["name"], rule)
            for row in rows:
                assert row["low"] <= row["score"] == one.values[tuple(row["head"])] <= row["high"]
        assert kind["dynamic"]["mean_sd"] == pytest.approx(one.values.mean() + 2 * one.values.std())


def test_kinds_on_the_prompts_own_repeats(front, widget, run):
    result, buffers = front.result("kinds", run_key=widget.run_key, own=True)
    found = detect_heads(run)
    assert result["setting"] == found.setting != detect_heads(run.model).setting
    by_name = {kind["name"]: kind for kind in result["kinds"]}
    same(array(by_name["duplicate_token"]["values"], buffers), found["duplicate_token"].values)
    widget.prompt = "the cat sat"
    result, _ = front.result("kinds", run_key=widget.run_key, own=True)
    by_name = {kind["name"]: kind for kind in result["kinds"]}
    assert not any(by_name["induction"]["found"].values()) and by_name["induction"]["chance"] is None
    assert "no repeats" in by_name["induction"]["formula"]


def test_the_overview_goes_on_with_the_grids_sweep(front, widget, run):
    seconds = front.scores()["seconds"]
    args = {"run_key": widget.run_key, "position": -1, "target": "", "against": ""}
    result, _ = front.result("overview", **args, ablation=CLEAN)
    expected = overview(run)
    assert [s["text"] for s in result["sentences"]] == [s.text for s in expected.sentences] and result["note"] == expected.note
    assert [s["heads"] for s in result["sentences"]] == [[list(head) for head in s.heads] for s in expected.sentences]
    assert front.scores()["seconds"] == seconds
    off = ablating((1, 1), mode="mean")
    result, _ = front.result("overview", **args, ablation=off)
    assert [s["text"] for s in result["sentences"]] == [s.text for s in overview(run.ablate("L1H1", "mean")).sentences]
    # Effects in an overview are of zeroing, whatever the mode that the widget ablates with.
    assert front.scores(ablation=off, conditional=True)["describe"] != front.scores(ablation=ablating((1, 1)), conditional=True)["describe"]


# -- models that refuse -----------------------------------------------------------------------------------------------------


def test_a_model_without_an_answer_is_scored_by_what_its_heads_do_to_its_embedding():
    model = subject("bert-base").model
    w = AttentionWidget(model, TEXT)
    front = Scores(w)
    assert (w.score, w.metric) == ("ablation", "embedding_cosine")
    run = model.run(TEXT)
    for metric in EMBEDDING_METRICS:
        w.metric = metric
        found, exact = front.scores(metric=metric), score(run, metric=metric)
        same(found["values"], exact.values)
        assert found["exact"] and found["estimate"] is None and found["label"] == exact.label
        assert np.array_equal(w.scores.values, exact.values)
    assert len(w._session._sweeps) == 1, "one sweep answers all four"
    # What the page had for another model's answer is taken as this one's first.
    same(front.scores(metric="kl")["values"], score(run, metric="embedding_cosine").values)
    same(front.scores(method="output_norm")["values"], score(run, "output_norm").values)
    assert "no head that answers" in front.refused(method="attribution")
    refused = {fact["name"] for fact in w.facts["scores"] if fact["refused"]}
    assert refused == {name for name, method in METHODS.items() if method.metrics} - {"ablation"}
    assert [fact["name"] for fact in w.facts["metrics"]] == list(EMBEDDING_METRICS)
    assert all(fact["refused"] is None for fact in w.facts["metrics"])
    for name, value in (("score", "attribution"), ("metric", "entropy")):
        with pytest.raises(ValueError, match="no head that answers"):
            setattr(w, name, value)
    result, _ = front.result("overview", run_key=w.run_key, ablation=CLEAN, position=-1, target="", against="")
    assert "no head that answers" in result["note"]


def test_the_change_of_the_embedding_stands_where_the_prediction_would():
    model = subject("bert-base").model
    w = AttentionWidget(model, TEXT)
    front = Scores(w)
    result, _ = front.result("embedding", run_key=w.run_key, ablation=ablating((1, 2), (2, 0)))
    for row, pooling in zip(result["rows"], ("mean", "cls"), strict=True):
        expected = embedding_change(model.run(TEXT).ablate(["L1H2", "L2H0"]), pooling=pooling)
        assert (row["pooling"], row["positions"]) == (pooling, len(expected.positions))
        assert (row["cosine"], row["l2"]) == pytest.approx((expected.cosine_distance, expected.l2)) and row["l2"] > 0
        lengths = np.linalg.norm(expected.clean), np.linalg.norm(expected.ablated)
        assert (row["norm"]["clean"], row["norm"]["ablated"]) == pytest.approx(lengths)
    assert "L1H2, L2H0" in result["note"] and "z set to zero" in result["note"]
    answers = AttentionWidget(subject("bert").model, TEXT)
    error = Front(answers).error("embedding", run_key=answers.run_key, ablation=ablating((1, 2)))
    assert error["kind"] == "refused" and "answers with logits" in error["message"]
    with pytest.raises(ValueError, match="answers with logits"):
        answers.metric = "embedding_l2"


def test_a_model_whose_self_test_failed_refuses_ablation_and_shows_the_rest():
    source = wide(SPECS["gpt2"].build())
    with torch.no_grad():
        for block in source.transformer.h:
            block.attn.c_proj.weight.zero_()
    w = AttentionWidget(load_model(source, tokenizer=tokenizer()), TEXT)
    front = Scores(w)
    assert w.score == "output_norm" and "self-test failed" in front.refused()
    assert front.scores(method="entropy")["exact"]
    with pytest.raises(ValueError, match="self-test failed"):
        w.score = "ablation"
    refused = {fact["name"] for fact in w.facts["scores"] if fact["refused"]}
    assert "ablation" in refused and "entropy" not in refused


@pytest.mark.parametrize("name", ["bert", "bert-classifier"])
def test_perplexity_is_for_models_that_predict_the_next_token(name):
    model = subject(name).model
    w = AttentionWidget(model, TEXT)
    front = Scores(w)
    with pytest.raises(AttnWidgetError, match="Perplexity is defined for models that predict the next token.*'kl'"):
        w.metric = "perplexity"
    assert w.metric == "kl" and "Perplexity" in front.refused(metric="perplexity")
    assert [m["name"] for m in w.facts["metrics"] if m["refused"]] == ["perplexity"]
    same(front.scores(metric="logit_diff")["values"], score(model.run(TEXT), metric="logit_diff").values)


def test_a_difference_of_two_logits_needs_two():
    config = tf.BertConfig(num_labels=1, num_hidden_layers=2, num_attention_heads=4, hidden_size=32, intermediate_size=48, vocab_size=VOCAB)
    front = Scores(AttentionWidget(load_model(tf.BertForSequenceClassification(config).eval(), tokenizer=tokenizer(encoder=True)), TEXT))
    assert "has one output" in front.refused(metric="logit_diff")
    assert (front.scores()["values"] == 0).all(), "one class has all the probability whatever is ablated"


def test_what_only_a_run_can_tell_is_refused_in_a_sentence_then(front, widget):
    w = AttentionWidget(subject("bert-classifier").model, TEXT)
    w.score = "direct_logit"
    assert "this model answers with classes" in Scores(w).refused(method="direct_logit")
    for references in ([], ["the dog sat on a mat", "a dog sat on the mat"]):
        said = front.refused(ablation=ablating(mode="resample", reference=references))
        assert "'resample' takes z from one other prompt" in said
    assert "'mean'" in front.refused(method="attribution_qkfix", metric="logit_diff", ablation=ablating(mode="mean"))
    widget.prompt = "cat"
    assert "perplexity of one token" in front.refused(metric="perplexity")


# -- what a notebook saves --------------------------------------------------------------------------------------------------


def test_finished_scores_are_saved_with_the_notebook(front, widget):
    asking = front.asking(ablation=ablating((1, 1), mode="scale", scale=1 / 3), conditional=True, target="dog", metric="logit_diff")
    found = front.scores(**asking, unknown="x")
    kept = json.loads(json.dumps(widget.get_state(["scored"])["scored"], allow_nan=False))
    # All of it, and to the last digit: the page compares it with what it would ask.
    assert kept.pop("question") == {name: asking[name] for name in asking if name != "patience"}
    assert kept["values"][1][1] is None and kept["known"][1][1] == 0
    assert {name: kept[name] for name in kept if name not in ("values", "known", "estimate", "seconds")} == {
        name: found[name] for name in found if name not in ("values", "known", "estimate", "seconds")
    }
    for mine, sent in ((kept["values"], found["values"]), (kept["estimate"]["values"], found["estimate"]["values"])):
        np.testing.assert_allclose(np.array(mine, float), sent.astype(float), rtol=1e-5)
    widget.set_state({"scored": {}})
    assert {**widget.scored, "question": None} == {**kept, "question": None}, "a view cannot change it"


def test_what_is_saved_of_a_large_model_stays_small():
    values = np.random.default_rng(0).normal(size=(80, 64)) * 1e-3
    values[3, 5] = np.nan
    scores = HeadScores(values, "ablation", "KL", "each head ablated alone", "nats", True, False, "effect", metric="kl")
    known = np.where(np.isnan(values), 0, 2)
    estimate = {"values": painted(scores, "effect", known, True, 1.0)["values"], "formula": "f", "pearson": 0.9, "spearman": None}
    kept = saved(painted(scores, "effect", known, True, 1.0, None, estimate), {"method": "ablation"})
    assert len(json.dumps(kept, separators=(",", ":"), allow_nan=False)) <= 60_000
    np.testing.assert_allclose(np.array(kept["values"], float), values, rtol=5e-3)
    assert kept["values"][3][5] is None and set(kept) == {*painted(scores, "effect", known, True, 1.0), "question"}


def test_numbers_that_do_not_fit_are_undefined_and_never_infinite():
    values = np.array([[1e300, 1.0], [-1e300, np.nan]])
    sent = painted(HeadScores(values, "ablation", "", "", "", True, True), "effect", np.full((2, 2), 2), True, 0.0)
    assert np.array_equal(np.isnan(sent["values"].values), [[True, False], [True, True]])
    assert sent["known"].values.tolist() == [[0, 2], [0, 0]]


def test_an_effect_that_is_undefined_stays_so_when_it_is_asked_for_again(model):
    widget = AttentionWidget(model, PROMPT, mode="scale", scale=1e38)
    front = Scores(widget)
    ask = front.asking(ablation={**CLEAN, "mode": "scale", "scale": 1e38})
    first, again = (front.result("scores", **ask) for _ in range(2))
    known = [array(result["known"], buffers) for result, buffers in (first, again)]
    assert (known[0] == 0).any() and (known[0] == known[1]).all()
    assert first[0]["exact"] == again[0]["exact"]


def test_a_statistic_is_of_the_clean_run_in_a_cell_as_on_the_page(model):
    widget = AttentionWidget(model, PROMPT, ablated=["L1H0"], mode="uniform", conditional=True, score="entropy")
    clean = AttentionWidget(model, PROMPT, score="entropy")
    assert (widget.scores.values == clean.scores.values).all()


def test_statistics_leave_out_what_the_maps_leave_out(front, widget, run):
    left = {"hide_first": True, "renormalise": True, "discount_special": False}
    kept, found = front.scores(method="maximum", metric=None), front.scores(method="maximum", metric=None, leaving=left)
    expected = head_statistic(run, "maximum", first="renormalise")
    same(found["values"], expected.values)
    assert np.abs(found["values"] - kept["values"]).max() > 0.01
    assert "the other keys of each row made to sum to 1" in found["formula"] and "made to sum" not in kept["formula"]
    assert widget.scored["question"]["leaving"] == left
    same(front.scores(method="maximum", metric=None)["values"], kept["values"])  # neither stands in for the other
    widget.score, widget.hide_first = "maximum", True
    same(widget.scores.values, head_statistic(run, "maximum", first="hide").values)
    widget.discount_special = True
    same(widget.scores.values, head_statistic(run, "maximum", first="hide", special="discount").values)
    assert "special tokens left out" in widget.scores.describe()
    # What says how much is written is of no pattern.
    same(front.scores(method="output_norm", metric=None, leaving=left)["values"], score(run, "output_norm").values)
    of = {fact["name"] for fact in widget.facts["scores"] if fact.get("of_pattern")}
    assert of == set(STATISTICS)


def test_integrated_gradients_say_how_far_they_are_off(model):
    front = Scores(AttentionWidget(model, PROMPT))
    result, _ = front.result("scores", **front.asking(method="integrated_gradients", metric="logit_diff"))
    assert "completeness error up to" in result["describe"]


def test_a_clean_sweep_that_is_not_finished_outlives_conditional_ones(model):
    session = Session(model)
    session.start(PROMPT, False)
    first = session.sweep(session.clean, "clean", lambda: sweep.Sweep(session.clean, ("kl",), mode="zero"))
    for layer in range(3):
        for head in range(3):
            run = session.ablated([(layer, head)], "zero")
            session.sweep(run, (layer, head), lambda run=run: sweep.Sweep(run, ("kl",), mode="zero"))
    assert session.sweep(session.clean, "clean", lambda: None) is first
