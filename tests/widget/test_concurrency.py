"""Many at once: cells beside the worker, several widgets, closing in the middle, interrupts, and threads in any order."""

from __future__ import annotations

import faulthandler
import gc
import random
import signal
import sys
import threading
import weakref
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from attnwidget import AttentionWidget, score
from attnwidget.widget import jobs

from ..models import state, unchanged
from ..small import small_model
from .front import CLEAN, PROMPT, Front
from .hostile import good

SCORES = {"method": "ablation", "metric": "kl", "position": -1, "target": "", "against": "", "ablation": CLEAN, "conditional": False}
STUDY = {"ablation": CLEAN, "target": "", "position": -1, "beam": 3, "max_heads": 4, "budget": 300}
LONG = {
    "scores": SCORES | {"patience": None},
    "study": STUDY,
    "page": {"parts": ["ablations"]},
    "generate": {**{name: value for name, value in good("")["generate"].items() if name != "run_key"}, "max_new_tokens": 40},
}
PATIENCE = 120


@pytest.fixture(autouse=True)
def stuck_threads_are_shown():
    faulthandler.dump_traceback_later(PATIENCE * 2, exit=False, file=sys.__stderr__)
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture
def own():
    """A model that no other test has touched."""
    return small_model()


def together(*works: Callable[[], object]) -> list:
    """Runs all at once, each in a thread of its own; what one raises is raised here."""
    results: list = [None] * len(works)
    barrier = threading.Barrier(len(works))

    def run(i: int, work: Callable[[], object]) -> None:
        barrier.wait(PATIENCE)
        try:
            results[i] = work()
        except BaseException as error:
            results[i] = error

    threads = [threading.Thread(target=run, args=(i, work), daemon=True) for i, work in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive(), "a thread waits for ever"
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


def plain(model) -> torch.Tensor:
    with torch.no_grad():
        return model.source(torch.tensor([[2, 3, 5, 6, 2, 7]])).logits


# -- a cell and the worker ----------------------------------------------------------------------------------------------


def test_a_cell_that_runs_the_model_during_a_sweep_gets_what_it_gets_alone(own):
    widget = AttentionWidget(own, PROMPT)
    front = Front(widget)
    forward, run = plain(own), own.run("a dog sat")
    logits, values = run.ablate(["L1H1"]).logits, score(run).values
    swept = score(own.run(PROMPT)).values
    seen = []
    with unchanged(own.source):
        request = front.send("scores", run_key=widget.run_key, **LONG["scores"])
        while True:
            busy = widget.busy
            with widget.lock:  # the model itself, outside of attnwidget
                seen.append(torch.equal(plain(own), forward))
            seen.append(torch.equal(own.run("a dog sat").ablate(["L1H1"]).logits, logits))
            seen.append(np.array_equal(score(own.run("a dog sat")).values, values))
            if not busy:
                break
        assert all(seen) and front.reply(request)[0]["ok"]
    np.testing.assert_allclose(widget.scores.values, swept, atol=1e-6)
    widget.close()


def test_two_widgets_on_one_model_and_two_on_others_do_not_hear_of_each_other(own):
    other = small_model(n_ctx=32)
    widgets = [AttentionWidget(own, PROMPT), AttentionWidget(own, "a dog sat"), AttentionWidget(other, "a zebra sat on")]
    expected = [score(widget.model.run(widget.prompt)).values for widget in widgets]
    fronts = [Front(widget, view=f"view{i}") for i, widget in enumerate(widgets)]

    def ask(front: Front) -> Callable[[], list]:
        def asked() -> list:
            key = front.widget.run_key
            sent = [front.send("scores", run_key=key, **LONG["scores"])]
            sent += [front.send("outcome", **good(key)["outcome"]), front.send("thumbnails", run_key=key)]
            return [front.reply(request)[0]["ok"] for request in sent]

        return asked

    assert together(*map(ask, fronts)) == [[True] * 3] * 3
    for widget, front, values in zip(widgets, fronts, expected, strict=True):
        np.testing.assert_allclose(widget.scores.values, values, atol=1e-6)
        assert {content["id"].split("-")[0] for content, _ in front.sent} == {front.view}
        widget.close()


def test_ten_clicks_at_once_show_the_last(own):
    widget = AttentionWidget(own, PROMPT)
    front = Front(widget)
    heads = [[i % 4, i % 3] for i in range(10)]
    with widget.lock:  # none is answered before all are there
        for head in heads:
            widget._handle_msg({"content": {"data": {"method": "update", "state": {"ablated": [head]}}}, "buffers": []})
            front.send("outcome", **good(widget.run_key)["outcome"] | {"ablation": {**CLEAN, "heads": [head]}})
    replies = [front.reply(f"page-{i + 1}")[0] for i in range(10)]
    assert [reply["ok"] for reply in replies] == [False] * 9 + [True]
    assert {reply["error"]["kind"] for reply in replies[:9]} == {"cancelled"}
    assert widget.ablated == [tuple(heads[-1])]
    assert replies[-1]["result"]["kl"] == pytest.approx(own.run(PROMPT).ablate(widget.ablated).kl(), abs=1e-6)
    widget.close()


# -- closing -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", LONG)
def test_a_widget_that_is_closed_in_the_middle_lets_go_of_all(own, op, monkeypatch):
    monkeypatch.setattr(jobs, "_IDLE", 0.05)
    widget, began = AttentionWidget(own, PROMPT), threading.Event()

    def heard(content: dict) -> None:
        if "progress" in content and not began.is_set():
            began.set()
            while not any(job.cancelled for job in worker._running):  # in the middle of a chunk, perhaps with the lock, until it is closed
                threading.Event().wait(0.005)

    front = Front(widget, heard=heard)
    worker, kept = widget._worker, weakref.ref(widget._session.clean)
    with unchanged(own.source):
        front.send(op, run_key=widget.run_key, **LONG[op])
        assert began.wait(PATIENCE)
        widget.close()
        said = len(front.sent)
        assert worker.wait(id(widget), PATIENCE)
    assert len(front.sent) == said, "a closed widget says nothing"
    name = weakref.ref(widget)
    del widget, front, heard
    for _ in range(10):
        gc.collect()
        if kept() is None and name() is None and (worker._thread is None or not worker._thread.is_alive()):
            break
        threading.Event().wait(0.1)
    assert kept() is None, "its runs are let go of"
    assert name() is None, "and so is the widget"
    assert worker._thread is None or not worker._thread.is_alive()


def test_fifty_widgets_opened_and_closed_leave_no_thread_and_no_tensor(own):
    def one() -> weakref.ref:
        widget = AttentionWidget(own, PROMPT, ablated=["L1H1"])
        front = Front(widget)
        assert front.ask("outcome", **good(widget.run_key)["outcome"])[0]["ok"]
        assert front.ask("thumbnails", run_key=widget.run_key)[0]["ok"]
        widget.close()
        return weakref.ref(widget)

    def counted() -> tuple[int, int]:
        gc.collect()
        return threading.active_count(), sum(issubclass(type(each), torch.Tensor) for each in gc.get_objects())

    one()
    before = counted()
    opened = [one() for _ in range(50)]
    after = counted()
    assert after[0] <= before[0] and after[1] <= before[1]
    assert sum(widget() is not None for widget in opened) <= 1  # the frame of the last job


# -- interrupts ----------------------------------------------------------------------------------------------------------


def interrupt() -> None:
    """As Jupyter does, to the thread that runs the cells."""
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)


@pytest.fixture(autouse=True)
def heard() -> Iterator[None]:
    """Interrupts are heard, also where a shell runs the tests in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def interrupting(own) -> Iterator[Callable[[], None]]:
    """Interrupts the cell in the middle of the next forward that runs in it."""
    main, handles = threading.get_ident(), []

    def before(_module, _args):
        if threading.get_ident() == main and handles:
            handles.pop().remove()
            interrupt()

    yield lambda: handles.append(own.source.model.layers[2].mlp.register_forward_pre_hook(before))
    assert not handles, "it was interrupted"


@pytest.mark.parametrize("cell", ["scores", "score", "to_html", "page_parts", "run"])
def test_an_interrupt_in_a_cell_is_obeyed_and_leaves_all_as_it_was(own, interrupting, cell, tmp_path):
    widget = AttentionWidget(own, PROMPT, ablated=["L1H1"])
    front = Front(widget)
    cells = {
        "scores": lambda: widget.scores,
        "score": lambda: score(own.run("a dog sat")),
        "to_html": lambda: widget.to_html(tmp_path / "page.html"),
        "page_parts": widget.page_parts,
        "run": lambda: own.run("a dog sat"),
    }
    before = state(own.source)
    interrupting()
    with pytest.raises(KeyboardInterrupt):
        cells[cell]()
    assert state(own.source) == before
    assert list(tmp_path.iterdir()) == [], "no half of a file"
    assert together(lambda: own.lock.acquire(timeout=PATIENCE) and not own.lock.release()) == [True]
    assert front.ask("outcome", **good(widget.run_key)["outcome"])[0]["ok"]
    assert np.isfinite(widget.scores.values).all() and widget.run.kl() > 0
    widget.close()


def test_an_interrupt_of_a_cell_that_waits_leaves_the_work_going(own):
    widget, go_on = AttentionWidget(own, PROMPT), threading.Event()

    def heard(content: dict) -> None:
        if "progress" in content and not go_on.is_set():
            threading.Timer(0.2, interrupt).start()
            assert go_on.wait(PATIENCE)

    front = Front(widget, heard=heard)
    request = front.send("scores", run_key=widget.run_key, **LONG["scores"])
    with pytest.raises(KeyboardInterrupt):
        widget.wait()
    assert widget.busy
    go_on.set()
    assert front.reply(request)[0]["ok"]
    widget.close()


# -- any order -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_threads_in_any_order(own, seed):
    """A cell that sets traits and reads numbers, a page that clicks and asks, one more widget: nothing waits for ever, every request has
    one reply, nothing is logged as failed, and what is shown in the end is what is so."""
    widget = AttentionWidget(own, PROMPT)
    front = Front(widget)
    sent: list[str] = []
    failures: list[dict] = []
    front.heard = lambda content: failures.append(content) if content.get("ok") is False and content["error"]["kind"] == "failed" else None

    def cell() -> None:
        draw = random.Random(f"cell {seed}")
        for _ in range(25):
            what = draw.randrange(8)
            if what == 0:
                widget.ablated = [(draw.randrange(4), draw.randrange(4)) for _ in range(draw.randrange(3))]
            elif what == 1:
                widget.mode = draw.choice(["zero", "mean", "uniform"])
            elif what == 2:
                widget.prompt = draw.choice([PROMPT, "a dog sat", "the zebra sat on a mat"])
            elif what == 3:
                with widget.lock:
                    plain(own)
                    widget.selected = [(1, 1)]
            elif what == 4:
                assert widget.run.logits.shape[0] > 0
            elif what == 5:
                assert widget.scores is not None
            elif what == 6:
                widget.cancel()
            else:
                widget.wait(0.01)

    def page() -> None:
        draw = random.Random(f"page {seed}")
        for _ in range(40):
            if draw.random() < 0.4:
                chosen = draw.choice(
                    [{"ablated": [[draw.randrange(4), 1]]}, {"mode": "zero"}, {"query": -1}, {"position": 99}, {"tab": "lens"}]
                )
                widget._handle_msg({"content": {"data": {"method": "update", "state": chosen}}, "buffers": []})
                continue
            op = draw.choice(["outcome", "patterns", "thumbnails", "scores", "study", "lens", "generate", "prompt", "kinds"])
            args = good(widget.run_key)[op] | ({"patience": 0.1} if op == "scores" else {})
            sent.append(front.send(op, **args))
            if draw.random() < 0.2:
                widget._receive(widget, {"id": draw.choice(sent), "op": "cancel"}, [])

    def another() -> None:
        for _ in range(3):
            other = AttentionWidget(own, "a fish sat", ablated=["L0H0"])
            assert Front(other, view="other").ask("outcome", **good(other.run_key)["outcome"])[0]["ok"]
            other.close()

    with unchanged(own.source):
        together(cell, page, another)
        assert widget.wait(PATIENCE)
    assert failures == []
    for request in sent:
        front.reply(request)
    n = len(widget.tokens)
    assert widget.tokens == own.run(widget.prompt).tokens and -n <= widget.position < n
    content, _ = front.ask("outcome", **good(widget.run_key)["outcome"] | {"ablation": {**CLEAN, "heads": [[2, 2]]}})
    assert content["result"]["kl"] == pytest.approx(own.run(widget.prompt).ablate(["L2H2"]).kl(), abs=1e-6)
    widget.close()
