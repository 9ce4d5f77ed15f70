"""What a saved notebook keeps of a widget: bounded, of the present run, made in a quiet moment, and nothing outside a notebook."""

import threading
import time

import numpy as np
import pytest

from attnwidget import AttentionWidget, HeadGrid
from attnwidget.analysis import outcome
from attnwidget.export.container import opened
from attnwidget.widget import kept as keeping
from attnwidget.widget import saving, still
from attnwidget.widget.jobs import URGENT, Job
from attnwidget.widget.quiet import Quiet

from .front import CLEAN, PROMPT, Front

OFF = {**CLEAN, "heads": [[1, 2]]}


class Shell:
    """An IPython shell of a notebook's kernel, as far as it is used; `attended`: whether somebody can answer its cells."""

    def __init__(self, attended=True):
        self.kernel = self
        self.attended = attended
        self.hooks = []
        self.events = self

    def register(self, name, hook):
        assert name == "post_run_cell"
        self.hooks.append(hook)

    def get_parent(self):
        return {"content": {"allow_stdin": self.attended}}

    def cell_ends(self):
        for hook in self.hooks:
            hook()


@pytest.fixture
def shell(monkeypatch):
    one = Shell()
    monkeypatch.setattr(saving, "_shell", lambda: one)
    return one


@pytest.fixture
def published(monkeypatch):
    import IPython.display

    sent = []
    monkeypatch.setattr(IPython.display, "publish_display_data", lambda data, transient, update: sent.append((data, transient, update)))
    return sent


def shown(widget, **options):
    """A widget somebody looks at, its quiet moments taken by hand."""
    widget._quiet.touch = lambda: None
    Front(widget).result("thumbnails", run_key=widget.run_key)
    return widget


def made(model, **traits):
    return AttentionWidget(model, PROMPT, selected=["L2H1"], shown=["L3H0"], **traits)


def answers_of(data):
    header, buffers = opened(data)
    found = {}
    for one in header["answers"]:
        found.setdefault(one["op"], []).append(one)
    return header, buffers, found


def array(stub, buffers):
    return np.frombuffer(buffers[stub["$buffer"]], stub["dtype"]).reshape(stub["shape"])


def test_what_is_on_screen_is_kept(model, shell):
    w = shown(made(model, ablated=["L1H2"]))
    assert w._quiet_moment()
    header, buffers, found = answers_of(w.kept)
    assert header["run"] == w.run_key and header["kind"] == "run" and header["state"]["tokens"] == list(w.tokens)
    assert header["about"]["prompt"] == PROMPT
    clean, now = found["outcome"]
    assert clean["args"] == {"run_key": "recorded", "ablation": CLEAN, "position": -1, "target": "", "against": "", "k": 10}
    assert now["args"]["ablation"] == OFF
    expected = outcome(w.run)
    assert now["result"]["kl"] == pytest.approx(expected.kl)
    assert now["result"]["clean_top"]["clean"]["probability"] == pytest.approx(expected.clean_top.clean.probability)
    assert [one["result"]["perplexity"]["ablated"] for one in found["whole_prompt"]] == [None, pytest.approx(w.run.perplexity())]
    thumbnails = array(found["thumbnails"][0]["result"]["maps"], buffers)
    assert np.array_equal(thumbnails[2, 1], (w.run.clean.pattern("L2H1").numpy() * 255).round().astype(np.uint8))
    # The shown head first, then the selected; of a causal model the lower triangle.
    patterns = header["patterns"]
    assert patterns["heads"] == [[3, 0], [2, 1]] and patterns["causal"] and patterns["queries"] == len(w.tokens)
    rows, columns = np.tril_indices(len(w.tokens))
    expected = (w.run.clean.pattern("L3H0").numpy() * 255).round()[rows, columns]
    assert np.array_equal(array(patterns["maps"], buffers)[0], expected.astype(np.uint8))
    present = found["patterns"][0]["result"]
    assert present["maps"]["dtype"] == "uint8", "of which the page says that it is rounded"
    maps, change = array(present["maps"], buffers) / np.float32(255), array(present["change"], buffers)
    assert np.abs(maps[0] - w.run.pattern("L3H0").numpy()).max() <= 0.5 / 255 + 1e-6
    assert np.abs(change[0] - (w.run.pattern("L3H0") - w.run.clean.pattern("L3H0")).numpy()).max() <= 0.5 / 255 + 1e-6
    assert w.get_state("kept")["kept"] == w.kept


def test_the_open_tab_s_answer_is_kept_and_another_s_is_not(model, shell):
    w = made(model, tab="lens")
    w._quiet.touch = lambda: None
    front = Front(w)
    front.result("lens", run_key=w.run_key, ablation=CLEAN, positions=[0, 1], target="", middle=False)
    front.result("kinds", run_key=w.run_key, own=False)
    assert w._quiet_moment()
    _, _, found = answers_of(w.kept)
    assert found["lens"][0]["args"]["positions"] == [0, 1] and "kinds" not in found
    w.tab = "kinds"
    assert w._quiet_moment()
    _, _, found = answers_of(w.kept)
    assert "kinds" in found and "lens" not in found


def test_answers_about_another_prompt_are_never_kept(model, shell):
    w = shown(made(model))
    assert w._quiet_moment() and w.kept
    first = w.kept
    w.prompt = "the dog sat on a mat"
    assert w.kept == b"", "what was another prompt's is gone at once"
    # A moment that was taken before the prompt changed.
    w._keep("run-1", first, None, "")
    assert w.kept == b""
    assert w._quiet_moment()
    assert answers_of(w.kept)[0]["run"] == w.run_key


def test_it_is_bounded_and_the_answer_goes_last(model, shell, monkeypatch):
    w = shown(made(model, ablated=["L1H2"]))
    assert w._quiet_moment()
    whole = w.kept
    assert len(whole) < keeping.MOST
    sizes = []
    for most in (len(whole) - 1, len(whole) * 3 // 4, 1):
        monkeypatch.setattr(keeping, "MOST", most)
        w._changed = True
        assert w._quiet_moment()
        assert len(w.kept) <= most
        sizes.append(len(w.kept))
        if w.kept:
            assert "outcome" in answers_of(w.kept)[2]
    assert sizes[-1] == 0 and sizes[0] > sizes[1] > 0


def test_a_mode_that_is_undefined_here_leaves_the_clean_answer(model, shell):
    w = shown(made(model, mode="previous", ablated=["L0H0"]))
    assert w._quiet_moment()
    _, _, found = answers_of(w.kept)
    assert [one["args"]["ablation"]["heads"] for one in found["outcome"]] == [[]]


def test_the_same_state_is_the_same_bytes(model, shell):
    first, second = (shown(made(model, ablated=["L1H2"])) for _ in range(2))
    assert first._quiet_moment() and second._quiet_moment()
    assert first.kept == second.kept


def test_nothing_is_saved_where_there_is_no_notebook(model):
    w = made(model)
    before = threading.active_count()
    bundle = w._repr_mimebundle_()
    data, metadata = bundle
    assert "application/vnd.jupyter.widget-view+json" in data and isinstance(metadata, dict)
    Front(w).result("thumbnails", run_key=w.run_key)
    w.ablated = ["L0H0"]
    assert w._quiet._thread is None and w.kept == b"" and w not in saving._alive
    assert threading.active_count() <= before + 1, "the worker's, and none of saving"


def test_a_display_has_a_picture_that_follows(model, shell, published):
    w = made(model)
    w._quiet.touch = lambda: None
    data, metadata = w._repr_mimebundle_()
    assert data["application/vnd.jupyter.widget-view+json"]["model_id"] == w.model_id and isinstance(metadata, dict)
    (empty, transient, update) = published.pop()
    assert "image/png" not in empty and not update
    assert f"attnwidget-still-{w.model_id}" in empty["text/html"]
    assert w._quiet_moment()
    picture, again, update = published.pop()
    assert update and again == transient
    assert picture["image/png"] in picture["text/html"] and len(picture["image/png"]) < 4 / 3 * still.MOST
    assert picture["text/plain"].startswith("AttentionWidget of LlamaForCausalLM: 6 tokens, no heads ablated; answer")
    w.ablated = ["L1H2"]
    assert w._quiet_moment()
    later, _, _ = published.pop()
    assert later["image/png"] != picture["image/png"] and "1 head ablated" in later["text/plain"]


def test_only_the_panels_that_are_shown_are_drawn(model, shell, published):
    grid = HeadGrid(model, PROMPT)
    grid._quiet.touch = lambda: None
    grid._repr_mimebundle_()
    assert grid._quiet_moment()
    whole = made(model)
    whole._quiet.touch = lambda: None
    whole._repr_mimebundle_()
    assert whole._quiet_moment()
    sizes = [len(data["image/png"]) for data, _, update in published if update]
    assert sizes[0] < sizes[1]
    assert "outcome" not in answers_of(grid.kept)[2]


def test_hostile_tokens_and_no_prompt(model, shell, published):
    w = AttentionWidget(model)
    w._quiet.touch = lambda: None
    w._repr_mimebundle_()
    assert w._quiet_moment()
    assert w.kept == b"" and len(published) == 1
    assert '"><script>' not in still.bundle("x", b"1", 'a "><script>')["text/html"]


def test_it_is_not_the_widget_s_own_work(model, shell):
    w = shown(made(model))
    gate, begun = threading.Event(), threading.Event()

    def collect(job):
        begun.set()
        gate.wait(10)
        return w._session.key, b"", None, ""

    w._collect = collect
    moment = threading.Thread(target=w._quiet_moment)
    moment.start()
    assert begun.wait(10)
    assert not w.busy and w.wait(0.1)
    gate.set()
    moment.join(10)
    assert not moment.is_alive()


def test_a_busy_widget_is_not_disturbed(model, shell):
    w = shown(made(model))
    gate = threading.Event()
    w._worker.submit(Job("x", id(w), "x", lambda job: gate.wait(10), lambda r: None, lambda e: None, priority=URGENT))
    assert w._quiet_moment() is False and w.kept == b""
    gate.set()
    assert w.wait(10)
    assert w._quiet_moment() and w.kept


def test_where_nobody_watches_it_is_done_when_the_cell_ends(model, shell, published):
    shell.attended = False
    w = made(model)
    w._repr_mimebundle_()
    assert len(published) == 1
    shell.cell_ends()
    assert len(published) == 2 and w.kept
    shell.cell_ends()
    assert len(published) == 2, "nothing has changed"
    w.ablated = ["L1H2"]
    shell.cell_ends()
    assert len(published) == 3 and "1 head ablated" in published[-1][0]["text/plain"]
    never_shown = made(model)
    never_shown.ablated = ["L1H2"]
    shell.cell_ends()
    assert never_shown.kept == b"" and len(published) == 3
    w.close()
    shell.cell_ends()
    assert len(published) == 3 and w not in saving._alive


def test_where_somebody_watches_the_cell_is_not_held_up(model, shell, published):
    w = made(model)
    w._quiet.touch = lambda: None
    w._repr_mimebundle_()
    shell.cell_ends()
    assert len(published) == 1 and w.kept == b""


def test_closed_meanwhile_nothing_is_published_and_nothing_held(model, shell, published, monkeypatch):
    w = shown(made(model))
    w._repr_mimebundle_()
    collect = w._collect

    def closing(job):
        found = collect(job)
        w.close()
        return found

    monkeypatch.setattr(w, "_collect", closing)
    assert w._session.answers_of("thumbnails") and w._quiet_moment()
    assert [update for _, _, update in published] == [False] and not w._session._answers.of("thumbnails")


def test_views_cannot_set_what_is_kept(model, shell):
    w = made(model)
    w.set_state({"kept": b"x", "widget_id": "y", "query": 2})
    assert (w.kept, w.query) == (b"", 2) and w.widget_id != "y"


def test_a_failure_is_told_and_ends_nothing(model, shell, caplog):
    w = shown(made(model))
    w._collect = lambda job: 1 / 0
    assert w._quiet_moment()
    assert "could not be saved" in caplog.text


# -- the quiet moment -------------------------------------------------------------------------------------------------


def soon(there, timeout=5.0):
    end = time.monotonic() + timeout
    while not there():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_burst_is_one_moment_after_its_end():
    calls = []
    quiet = Quiet(lambda: calls.append(time.monotonic()) or True, after=0.15, apart=0.0)
    for _ in range(10):
        quiet.touch()
        last = time.monotonic()
        time.sleep(0.02)
    soon(lambda: calls)
    time.sleep(0.3)
    assert len(calls) == 1 and calls[0] - last >= 0.14
    quiet.end()


def test_moments_are_apart_and_what_was_not_one_is_tried_again():
    calls, answers = [], [False, True, True]
    quiet = Quiet(lambda: calls.append(time.monotonic()) or answers[len(calls) - 1], after=0.05, apart=0.4)
    quiet.touch()
    soon(lambda: len(calls) == 2)
    assert calls[1] - calls[0] < 0.35
    quiet.touch()
    soon(lambda: len(calls) == 3)
    assert calls[2] - calls[1] >= 0.39
    quiet.end()
    quiet.touch()
    time.sleep(0.2)
    assert len(calls) == 3
    soon(lambda: quiet._thread is None)


def test_a_moment_that_fails_is_not_the_last(caplog):
    calls = []
    quiet = Quiet(lambda: calls.append(1) or 1 / 0, after=0.02, apart=0.0)
    quiet.touch()
    soon(lambda: len(calls) == 1)
    quiet.touch()
    soon(lambda: len(calls) == 2)
    assert "quiet moment failed" in caplog.text
    quiet.end()
