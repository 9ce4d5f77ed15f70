"""The ablation study as a page asks for it."""

import sys
import threading

import pytest

from attnwidget import AttentionWidget, load_model, study
from attnwidget.widget.wire import pack
from tests.models import fresh, subject

from .front import CLEAN, PROMPT, Front

ASK = {"position": -1, "target": "", "beam": 2, "max_heads": 3, "budget": 200}
OUTCOME = {"position": -1, "target": "", "against": "", "k": 3}


@pytest.fixture
def widget(model):
    widget = AttentionWidget(model, PROMPT)
    yield widget
    widget.close()


@pytest.fixture
def front(widget):
    return Front(widget)


def least(run):
    return run.model.token(int(run.logits_at().argmin()))


def test_the_answer_is_what_a_cell_gets(widget, front):
    run = widget.run.clean
    for target in ("", least(run)):
        assert widget.study is None or widget.study.target is None
        result, _ = front.result("study", run_key=widget.run_key, ablation=CLEAN, **ASK | {"target": target})
        expected = study(run, target, beam=2, max_heads=3, budget=200)
        assert result == pack(expected)[0] and widget.study == expected
        assert result["verdict"] == expected.verdict and result["sizes"]
    names = {"model": widget.model}
    exec(result["python"], names)
    assert names["found"] == widget.study


def test_what_is_off_stays_off_in_the_mode_that_is_chosen(widget, front):
    ablation = CLEAN | {"heads": [[1, 1]], "mode": "resample", "reference": ["a dog sat on the fish"]}
    result, _ = front.result("study", run_key=widget.run_key, ablation=ablation, **ASK)
    run = widget.run.clean.ablate(["L1H1"], mode="resample", reference="a dog sat on the fish")
    expected = study(run, mode="resample", reference="a dog sat on the fish", beam=2, max_heads=3, budget=200)
    assert result == pack(expected)[0] and result["conditional"] == [[1, 1]]
    assert result["tried"][0]["of"] == 15


def test_the_study_goes_with_the_prompt_and_with_the_weights():
    of = fresh("llama")
    widget = AttentionWidget(of.model, "When Mary and John")
    front = Front(widget)
    front.result("study", run_key=widget.run_key, ablation=CLEAN, **ASK | {"max_heads": 1})
    assert widget.study.verdict == "best found"
    widget.prompt = "When Mary"
    assert widget.study is None
    front.result("study", run_key=widget.run_key, ablation=CLEAN, **ASK | {"max_heads": 1})
    assert widget.study is not None
    of.source.model.norm.weight.data = of.source.model.norm.weight.data * 2
    of.source.model.norm.weight.requires_grad_(False).add_(0.5)
    assert widget.study is None
    assert front.error("study", run_key="run-0", ablation=CLEAN, **ASK)["kind"] == "cancelled"
    widget.close()


def test_a_cancelled_study_is_kept_as_far_as_it_came(model):
    widget, cancelled = AttentionWidget(model, PROMPT), threading.Event()

    def heard(content):
        if (content.get("partial") or {}).get("sizes") and not cancelled.is_set():
            cancelled.set()
            widget._receive(widget, {"id": content["id"], "op": "cancel"}, [])

    front = Front(widget, heard=heard)
    before = widget.run.clean.logits.clone()
    error = front.error("study", run_key=widget.run_key, ablation=CLEAN, **ASK | {"target": least(widget.run), "budget": 4000})
    assert error["kind"] == "cancelled" and cancelled.is_set()
    partials = [content["partial"] for content, _ in front.sent if content.get("partial")]
    assert all(partial["verdict"] is None for partial in partials)
    kept = widget.study
    assert kept.verdict is None and kept.sizes and "unfinished" in repr(kept)
    for one in kept.sizes:
        after = widget.run.clean.ablate(list(one.heads))
        assert one.kl == pytest.approx(after.kl(), rel=1e-4, abs=1e-7)
    assert (widget.model.run(widget.run.ids).logits == before).all()
    assert front.result("outcome", run_key=widget.run_key, ablation=CLEAN, **OUTCOME)[0]["rows"]
    widget.close()


def test_a_study_stopped_before_a_set_was_run_leaves_the_last_one(model):
    widget, stopped = AttentionWidget(model, PROMPT), []

    def heard(content):
        if content["id"] == "page-2" and "progress" in content and not stopped:
            stopped.append(content)
            widget._receive(widget, {"id": content["id"], "op": "cancel"}, [])

    front = Front(widget, heard=heard)
    front.result("study", run_key=widget.run_key, ablation=CLEAN, **ASK)
    finished = widget.study
    assert finished.verdict == "best found"
    error = front.error("study", run_key=widget.run_key, ablation=CLEAN, **ASK | {"target": least(widget.run)})
    assert error["kind"] == "cancelled" and not (stopped[0].get("partial") or {}).get("sizes")
    assert widget.study is finished
    widget.close()


def test_clicks_overtake_it_and_it_comes_to_the_same(model):
    widget, asked = AttentionWidget(model, PROMPT), []

    def heard(content):
        if content["id"] == "page-1" and "progress" in content and len(asked) < 5:
            asked.append(front.send("outcome", run_key=widget.run_key, ablation=CLEAN | {"heads": [[2, len(asked) % 4]]}, **OUTCOME))

    front = Front(widget, heard=heard)
    request = front.send("study", run_key=widget.run_key, ablation=CLEAN, **ASK)
    result, _ = front.reply(request)
    replies = [content["id"] for content, _ in front.sent if "ok" in content]
    assert len(asked) == 5 and replies[-1] == request and set(replies[:-1]) == set(asked)
    assert result["result"] == pack(study(widget.run.clean, beam=2, max_heads=3, budget=200))[0]
    widget.close()


def test_a_pass_is_given_up_for_a_click_and_done_again(model, monkeypatch):
    """A click that comes inside a pass ends it at the next block; what the pass was to find is found all the same."""
    rows = sys.modules["attnwidget.engine.wavefront"]._Front  # the package has the function under this name
    widget = AttentionWidget(model, PROMPT)
    front, clicks, climb = Front(widget), [], rows._climb

    def climbing(self, some):
        if len(clicks) < 9 and threading.current_thread().name == "attnwidget-worker":
            clicks.append(front.send("outcome", run_key=widget.run_key, ablation=CLEAN | {"heads": [[2, len(clicks) % 4]]}, **OUTCOME))
        return climb(self, some)

    expected = pack(study(widget.run.clean, beam=2, max_heads=3, budget=200))[0]
    monkeypatch.setattr(rows, "_climb", climbing)
    request = front.send("study", run_key=widget.run_key, ablation=CLEAN, **ASK)
    result, _ = front.reply(request)
    replies = [content["id"] for content, _ in front.sent if "ok" in content]
    assert len(clicks) == 9 and replies[-1] == request and len(replies) == 10
    assert {name: result["result"][name] for name in ("sizes", "tried", "random", "verdict")} == {
        name: expected[name] for name in ("sizes", "tried", "random", "verdict")
    }
    widget.close()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"beam": 0}, "beam must be a whole number of 1 or more"),
        ({"budget": 3}, "sets that may be run, must be at least 16"),
        ({"budget": 100_001}, "budget must be 100,000 or fewer here, not 100,001: study(w.run, ..., budget=100001) in a cell takes any."),
        ({"beam": 101}, "beam must be 100 or fewer here"),
        ({"max_heads": 10**15}, "max_heads must be 100 or fewer here"),
        ({"max_heads": 10**30}, "A number of a message must be within"),
        ({"max_heads": "all"}, "'all' is not a whole number"),
        ({"target": "elephant"}, "elephant"),
        ({"position": 40}, "No position 40"),
        ({"ablation": CLEAN | {"heads": [[9, 9]]}}, "L9H9"),
        ({"ablation": CLEAN | {"mode": "resample"}}, "'resample' takes z from one other prompt"),
    ],
)
def test_wrong_arguments_are_refused(widget, front, given, says):
    error = front.error("study", **{"run_key": widget.run_key, "ablation": CLEAN, **ASK} | given)
    assert error["kind"] == "refused" and says in error["message"], error


def test_the_first_choice_is_no_target(widget, front):
    first = widget.prediction.clean_top.token
    error = front.error("study", run_key=widget.run_key, ablation=CLEAN, **ASK | {"target": first})
    assert error["kind"] == "refused" and "first choice already" in error["message"]
    assert widget.study is None


def test_a_classifier_is_studied_wherever_the_page_looks():
    widget = AttentionWidget(subject("bert-classifier").model, "When Mary")
    result, _ = Front(widget).result("study", run_key=widget.run_key, ablation=CLEAN, **ASK | {"position": 1})
    assert result["verdict"] == "best found" and result["note"].startswith("Whole text")
    widget.close()


def test_a_widget_has_no_study_before_one_was_asked_for(model):
    widget = AttentionWidget(load_model(model))
    assert widget.study is None
    widget.close()
