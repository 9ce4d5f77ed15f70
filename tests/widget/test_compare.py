"""Two prompts through the widget: every number is the library's, effects come in parts and outlive a cancel."""

import re
import threading

import numpy as np
import pytest

from attnwidget import AttentionWidget, AttnWidgetError, compare, compare_many
from attnwidget.analysis import COMPARED
from attnwidget.analysis import sweep as analysis_sweep
from attnwidget.analysis.valuenorms import value_norms
from attnwidget.errors import PromptTooLongError
from attnwidget.widget import comparing, jobs, sweep
from tests.models import subject

from .front import CLEAN, PROMPT, Front, array

OTHER = "the dog sat on the zebra"
LONGER = "the a cat sat on the fish mat"
CAUSAL = [name for name, number in COMPARED.items() if number.causal]
TEXT, OTHER_TEXT, LONGER_TEXT = "Alice and Bob went home.", "Alice home Bob went and.", "Alice and Bob went home and home."


class Two(Front):
    def asking(self, **args):
        about = {"metric": "logit_diff", "position": -1, "target": "", "against": "", "patience": 60, "causal": True}
        return {"run_key": self.widget.run_key, "other": OTHER, "discount_special": False, "renormalise": False, **about, **args}

    def compare(self, **args):
        result, buffers = self.result("compare", **self.asking(**args))
        return read(result, buffers)

    @property
    def partials(self):
        return [read(c["partial"], b) for c, b in self.sent if "partial" in c]


def read(result, buffers):
    arrays = ("values", "measured", "query", "key", "mean", "low", "high", "n")
    scores = [{k: array(v, buffers) if k in arrays and v else v for k, v in one.items()} for one in result["scores"]]
    return {**result, "scores": {one["name"]: one for one in scores}}


def same(found, expected):
    np.testing.assert_allclose(found, np.asarray(expected), rtol=1e-5, atol=1e-6)


def same_in_steps(found, expected):
    """Effects of heads that went in smaller batches than the library's: float32 rounds logits of size 10 at 1e-6 each."""
    np.testing.assert_allclose(found, np.asarray(expected), rtol=1e-5, atol=1e-5)


@pytest.fixture
def widget(model):
    widget = AttentionWidget(model, PROMPT)
    yield widget
    widget.close()


@pytest.fixture
def front(widget):
    return Two(widget)


@pytest.fixture
def every_part(monkeypatch):
    monkeypatch.setattr(sweep, "AIM", 1e-6)
    monkeypatch.setattr(sweep, "TOKENS", 1)
    monkeypatch.setattr(jobs, "PROGRESS_INTERVAL", 0.0)


# -- the numbers ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"metric": "kl"}, {"target": "cat", "against": "dog", "position": 3}])
def test_every_number_is_the_librarys(model, front, options):
    found = front.compare(**options)
    expected = compare(model.run(PROMPT), model.run(OTHER), **{"metric": "logit_diff", **options})
    assert list(found["scores"]) == list(COMPARED)
    for name, score in found["scores"].items():
        known = expected.scores(name)
        same(score["values"], known.values)
        told = {key: score[key] for key in ("label", "formula", "unit", "signed", "causal")}
        assert told == {**{key: getattr(known, key) for key in ("label", "formula", "unit", "signed")}, "causal": COMPARED[name].causal}
        assert score["refused"] is None and (score["measured"] is not None) == (name in CAUSAL)
    same(found["scores"]["max_difference"]["query"], expected.places["max_query"])
    same(found["scores"]["max_difference"]["key"], expected.places["max_key"])
    same(found["scores"]["js_worst"]["query"], expected.places["js_query"])
    assert found["scores"]["js"]["query"] is None
    answers = expected.answers
    assert found["answers"]["kl"] == {"ab": answers.kl, "ba": answers.kl_back} and found["answers"]["js"] == answers.js
    assert found["answers"]["logit_diff"] == {"a": answers.logit_diff, "b": answers.other_logit_diff}
    assert (found["answers"]["target"], found["answers"]["against"]) == (answers.target, answers.against)
    for row, known in zip(found["answers"]["rows"], answers.rows, strict=True):
        assert (row["id"], row["token"]) == (known.id, known.token)
        assert row["a"] == vars(known.run) and row["b"] == vars(known.other)
    assert found["effects"] == {"done": 32, "total": 32, "remaining": None} and found["embedding"] is None
    assert (found["a"]["position"], found["b"]["position"]) == (answers.position, answers.other_position)
    assert found["note"] == expected.describe()


def test_unequal_lengths_are_aligned_by_tokens_and_have_no_effects(model, front):
    found = front.compare(other=LONGER)
    expected = compare(model.run(PROMPT), model.run(LONGER), alignment="tokens", effects=False)
    for name in set(COMPARED) - set(CAUSAL):
        same(found["scores"][name]["values"], expected.values[name])
    for name in CAUSAL:
        assert np.isnan(found["scores"][name]["values"]).all()
        assert "aligned" in found["scores"][name]["refused"] and found["scores"][name]["measured"] is None
    assert found["effects"] is None and not found["same_length"] and found["compared"] == 6
    columns = [(one["a"], one["b"], one["same"]) for one in found["aligned"]]
    assert columns == [
        (0, 0, True), (None, 1, False), (1, 2, True), (2, 3, True), (3, 4, True), (4, 5, True), (None, 6, False), (5, 7, True)
    ]  # fmt: skip
    assert found["b"]["tokens"] == model.run(LONGER).tokens


def test_replaced_tokens_are_said_where_prompts_are_of_one_length(front):
    assert [one["same"] for one in front.compare(causal=False)["aligned"]] == [True, False, True, True, True, False]


def test_identical_prompts_differ_in_nothing_and_nothing_is_carried(front, monkeypatch):
    real, exchanges = analysis_sweep.wavefront, []

    def counted(engine, recording, variants, *args, **rest):
        return real(engine, recording, (exchanges.append(1) or one for one in variants), *args, **rest)

    monkeypatch.setattr(analysis_sweep, "wavefront", counted)
    found = front.compare(other=PROMPT)
    assert exchanges == []
    for name in ("max_difference", "mean_difference", "js", "tv", *CAUSAL):
        values = found["scores"][name]["values"]
        assert (values == 0).all() if name in CAUSAL else np.abs(values).max() < 1e-12, name
    assert found["answers"]["kl"] == {"ab": 0, "ba": 0}
    front.compare()
    assert len(exchanges) == 32


def test_maps_are_the_patterns_over_aligned_tokens(model, front):
    for other, options in ((OTHER, {}), (LONGER, {"renormalise": True})):
        asked = front.asking(other=other, **options)
        result, buffers = front.result("compared_patterns", **asked, heads=[[2, 3], [0, 1]])
        run, there = model.run(PROMPT), model.run(other)
        alignment = None if other == OTHER else "tokens"
        expected = compare(run, there, alignment=alignment, effects=False, **options)
        assert [(p["a"], p["b"]) for p in result["positions"]] == list(expected.pairs)
        for i, (layer, head) in enumerate([(2, 3), (0, 1)]):
            known = expected.pattern_difference((layer, head))
            same(array(result["a"], buffers)[i], known.first)
            same(array(result["b"], buffers)[i], known.other)
            same(array(result["difference"], buffers)[i], known.other - known.first)
            at, others = zip(*expected.pairs, strict=True)
            norms = [one[head].numpy() for one in value_norms((run, there), layer)]
            same(array(result["a_weighted"], buffers)[i], known.first * norms[0][list(at)])
            same(array(result["b_weighted"], buffers)[i], known.other * norms[1][list(others)])
        assert result["weighted_refused"] is None


def test_an_encoder_with_its_special_tokens_discounted():
    model = subject("bert").model
    front = Two(AttentionWidget(model, TEXT))
    found = front.compare(other=OTHER_TEXT, discount_special=True, renormalise=True, metric="kl")
    expected = compare(model.run(TEXT), model.run(OTHER_TEXT), special="discount", renormalise=True, metric="kl")
    assert found["renormalised"] and found["compared"] == len(expected.pairs)
    for name, score in found["scores"].items():
        same(score["values"], expected.values[name])
    aligned = front.compare(other=LONGER_TEXT, metric="kl")
    assert not aligned["same_length"] and len(aligned["aligned"]) > aligned["compared"]


@pytest.mark.parametrize("name", ["bert-base", "bert-classifier"])
def test_models_that_answer_otherwise(name):
    model = subject(name).model
    front = Two(AttentionWidget(model, TEXT))
    metric = {"bert-base": "embedding_l2", "bert-classifier": "kl"}[name]
    found = front.compare(other=OTHER_TEXT, metric=metric, position=2)
    expected = compare(model.run(TEXT), model.run(OTHER_TEXT), metric=metric)
    for way in CAUSAL:
        same(found["scores"][way]["values"], expected.values[way])
        assert np.abs(expected.values[way]).max() > 0
    if name == "bert-base":
        assert found["answers"] is None
        assert found["embedding"] == {"cosine": expected.answers.embedding_cosine, "l2": expected.answers.embedding_l2}
    else:
        assert found["answers"]["js"] == expected.answers.js and found["a"]["position"] is None


def test_a_metric_that_these_prompts_do_not_have_refuses_the_effects_alone():
    model = subject("gpt2").model
    front = Two(AttentionWidget(model, [7]))
    found = front.compare(other=model.vocabulary.written([9]), metric="perplexity")
    assert found["effects"] is None and "perplexity of one token" in found["scores"]["noising"]["refused"]
    assert found["answers"]["js"] > 0


# -- parts, patience, cancel ------------------------------------------------------------------------------------------------


def test_what_differs_comes_first_and_effects_follow_head_by_head(front, every_part, model):
    last, parts = front.compare(), front.partials
    expected = compare(model.run(PROMPT), model.run(OTHER), metric="logit_diff")
    assert parts[0]["effects"]["done"] == 0 and np.isnan(parts[0]["scores"]["noising"]["values"]).all()
    same(parts[0]["scores"]["js"]["values"], expected.values["js"])
    counts = [part["effects"]["done"] for part in parts]
    assert counts == sorted(counts) and len(set(counts)) > 5
    for part in parts:
        for way in CAUSAL:
            measured = part["scores"][way]["measured"] == 1
            same_in_steps(part["scores"][way]["values"], np.where(measured, expected.values[way], np.nan))
    assert (parts[counts.index(20)]["scores"]["noising"]["measured"] == 1).all(), "one way after the other"
    assert last["effects"]["done"] == last["effects"]["total"] == 32


def test_a_cancel_keeps_what_is_measured_and_a_click_overtakes(widget, front, every_part, monkeypatch):
    steps = []
    step = sweep.Sweep.step
    monkeypatch.setattr(sweep.Sweep, "step", lambda self: (steps.append(self), step(self))[1])
    cancelled, clicked, answered = threading.Event(), threading.Event(), []

    def heard(content):
        done = (content.get("partial") or {}).get("effects", {}).get("done", 0)
        if done >= 3 and not clicked.is_set():
            clicked.set()
            answered.append(front.send("patterns", run_key=widget.run_key, ablation=CLEAN, heads=[[0, 0]]))
        if content["id"] in answered:
            answered.append(done)
        if done >= 8 and not cancelled.is_set():
            cancelled.set()
            widget._receive(widget, {"id": content["id"], "op": "cancel"}, [])

    front.heard = heard
    assert front.error("compare", **front.asking())["kind"] == "cancelled"
    order = [c["id"] for c, _ in front.sent]
    assert order.index(answered[0]) < len(order) - 3, "the click was answered in between"
    half = widget.comparison
    assert half is None  # w.other is another prompt than the one that was asked about
    widget.other = OTHER
    kept = widget.comparison
    measured = np.isfinite(kept.values["noising"]).sum()
    assert measured >= 8 and "so far" in kept.undefined["noising"]
    before = len(steps)
    found = front.compare()
    assert len(steps) - before <= 32 - measured and found["effects"]["done"] == 32
    assert np.isfinite(widget.comparison.values["denoising"]).all() and not widget.comparison.undefined


def test_what_the_grid_asks_meanwhile_overtakes_the_effects(widget, front, every_part):
    about = {"metric": "kl", "target": "", "against": "", "position": -1, "ablation": CLEAN, "conditional": False, "patience": 60}
    asked = []

    def heard(content):
        if (content.get("partial") or {}).get("effects", {}).get("done", 0) >= 3 and not asked:
            asked.append(front.send("scores", run_key=widget.run_key, method="output_norm", **about))

    front.heard = heard
    compared = front.send("compare", **front.asking())
    assert widget.wait(60)
    ended = [content["id"] for content, _ in front.sent if "ok" in content]
    assert ended == [asked[0], compared]


def test_a_long_measurement_waits_for_a_person(front, every_part):
    found = front.compare(patience=0)
    assert 0 < found["effects"]["done"] < 32 and found["effects"]["remaining"] > 0
    assert front.compare(patience=None)["effects"] == {"done": 32, "total": 32, "remaining": None}


def test_another_metric_needs_no_other_sweep(widget, front):
    front.compare(metric="kl")
    sweeps = list(widget._session._sweeps.values())
    front.compare(metric="logit_diff")
    assert list(widget._session._sweeps.values()) == sweeps and len(sweeps) == 2


# -- what is refused --------------------------------------------------------------------------------------------------------


def test_the_other_prompt_is_checked_as_a_prompt_and_need_not_be_as_long(widget):
    widget.other = LONGER
    for wrong in (" ".join(["cat"] * 65), "   "):
        with pytest.raises(AttnWidgetError):
            widget.other = wrong
        assert widget.other == LONGER
    with pytest.raises(PromptTooLongError, match="65"):
        widget.other = " ".join(["cat"] * 65)
    widget.other = ""
    widget.set_state({"other": " ".join(["cat"] * 70)})
    assert widget.other == "" and "70" in widget.error


def test_the_page_may_ask_what_a_prompt_would_be(widget, front):
    assert front.result("other", run_key=widget.run_key, text=LONGER)[0]["tokens"] == LONGER.split()
    error = front.error("other", run_key=widget.run_key, text=" ".join(["cat"] * 65))
    assert error["kind"] == "refused" and "65" in error["message"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"other": ""}, r"w\.other = .*Two prompts"),
        ({"other": None}, "text"),
        ({"other": "a " * 80}, "80"),
        ({"causal": "yes"}, "true or false"),
        ({"target": "cat", "against": "cat"}, "cat"),
        ({"position": 17}, "17"),
    ],
)
def test_wrong_arguments_are_refused(front, given, says):
    error = front.error("compare", **front.asking(**given))
    assert error["kind"] == "refused" and re.search(says, error["message"]), error


def test_prompts_with_nothing_in_common_say_so(front):
    error = front.error("compare", **front.asking(other="zebra fish"))
    assert error["kind"] == "refused" and "no token in common" in error["message"]
    assert "with as many tokens each" in error["message"] and "positions" not in error["message"]


def test_comparisons_are_forgotten_with_their_prompt(widget, front):
    assert widget.comparison is None
    widget.other = OTHER
    front.compare(causal=False)
    assert widget.comparison is not None and widget.comparison.run is widget.run.clean
    widget.prompt = "a cat sat"
    assert widget.comparison is None


# -- the grid ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMPARED)
def test_the_grid_is_coloured_by_any_of_them(widget, front, model, name):
    widget.score, widget.metric = name, "logit_diff"
    two = {"other": OTHER, "discount_special": False, "renormalise": False}
    about = {"metric": "logit_diff", "target": "", "against": "", "position": -1, "ablation": CLEAN, "conditional": False, "patience": 60}
    asked = {"run_key": widget.run_key, "method": name, **about}
    assert re.search(r"w\.other = .*type one", front.error("scores", **asked)["message"])
    with pytest.raises(AttnWidgetError, match=r"w\.other"):
        _ = widget.scores
    widget.other = OTHER
    result, buffers = front.result("scores", **asked, compared=two)
    known = compare(model.run(PROMPT), model.run(OTHER), metric="logit_diff").scores(name)
    same(array(result["values"], buffers), known.values)
    same(widget.scores.values, known.values)
    assert (result["label"], result["formula"], result["signed"]) == (known.label, known.formula, known.signed)
    assert result["kind"] == ("effect" if name in CAUSAL else "statistic") and result["exact"]
    assert widget.scored["question"]["compared"] == two
    fact = next(fact for fact in widget.facts["scores"] if fact["name"] == name)
    assert fact["compared"] and fact["kind"] == result["kind"] and fact["refused"] is None
    assert ("logit_diff" in fact["metrics"]) == (name in CAUSAL)


def test_effects_in_the_grid_come_in_parts_and_are_refused_where_there_are_none(widget, front, model, every_part):
    about = {"metric": "kl", "target": "", "against": "", "position": -1, "ablation": CLEAN, "conditional": False, "patience": 60}
    two = {"other": OTHER, "discount_special": False, "renormalise": False}
    asked = {"run_key": widget.run_key, "method": "denoising", **about}
    front.result("scores", **asked, compared=two)
    exact = compare(model.run(PROMPT), model.run(OTHER), metric="kl").values["denoising"]
    counts = []
    for content, buffers in front.sent:
        if "partial" in content:
            part = content["partial"]
            known = array(part["known"], buffers) == 2
            same_in_steps(array(part["values"], buffers), np.where(known, exact, np.nan))
            counts.append(known.sum())
            assert not part["exact"] and "unfinished" in part["describe"]
    assert counts == sorted(counts) and len(set(counts)) > 3
    error = front.error("scores", **asked, compared=two | {"other": LONGER})
    assert error["kind"] == "refused" and "aligned" in error["message"]


def test_names_of_scores_are_each_said_once(widget):
    names = [fact["name"] for fact in widget.facts["scores"]]
    assert len(names) == len(set(names)) and set(COMPARED) < set(names)


# -- many pairs -------------------------------------------------------------------------------------------------------------


def test_many_pairs_are_the_librarys_and_failures_are_listed(widget, model):
    front = Front(widget)
    given = [[PROMPT, OTHER], ["a cat sat on the mat", "a dog sat on the mat"], ["the cat", "the a cat"], ["cat", "zebra fish"]]
    args = {"run_key": widget.run_key, "pairs": given, "discount_special": False, "renormalise": False}
    result, buffers = front.result("compare_many", **args, causal=True, metric="kl")
    found = read(result, buffers)
    pairs = [{"prompt": a, "other": b, "alignment": "tokens" if i > 1 else None} for i, (a, b) in enumerate(given)]
    expected = compare_many(model, pairs, metric="kl")
    assert (found["pairs"], found["given"], found["level"]) == (3, 4, 0.95)
    assert [one["index"] for one in found["failures"]] == [3] and found["failures"][0]["reason"] == comparing.NOTHING_SHARED
    for name in COMPARED:
        same(found["scores"][name]["mean"], expected.mean(name))
        for side, values in zip(("low", "high"), expected.interval(name), strict=True):
            same(found["scores"][name][side], values)
        same(found["scores"][name]["n"], expected.n(name))
    assert (found["scores"]["noising"]["n"] == 2).all() and (found["scores"]["js"]["n"] == 3).all()
    plain, buffers = front.result("compare_many", **args, causal=False, metric="")
    assert "not asked for" in read(plain, buffers)["scores"]["noising"]["refused"]


@pytest.mark.parametrize("pairs", [[], [["a"]], [["cat", 3]], "cat | dog", [["cat", "dog"]] * 501, [["cat", "zebra"]]])
def test_wrong_pairs_are_refused(widget, pairs):
    args = {"run_key": widget.run_key, "discount_special": False, "renormalise": False, "causal": False, "metric": ""}
    if pairs == [["cat", "zebra"]]:
        pairs = [["", "zebra"]]
    assert Front(widget).error("compare_many", **args, pairs=pairs)["kind"] == "refused"
