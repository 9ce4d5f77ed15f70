"""The worker: order, replacement, cancellation, progress, and that nothing a job raises is lost."""

import contextvars
import math
import threading
import time

import pytest

from attnwidget.engine.interrupt import Cancelled, checkpoint
from attnwidget.widget import jobs
from attnwidget.widget.jobs import BACKGROUND, SOON, URGENT, Job, Overtaken, Worker


class Log:
    """Collects what a worker says about its jobs."""

    def __init__(self):
        self.worker, self.said = Worker(), []

    def submit(self, name, work, *, replaces=None, priority=URGENT, owner="me"):
        job = Job(
            id=name,
            owner=owner,
            replaces=replaces or name,
            work=work,
            done=lambda result: self.said.append((name, "done", result)),
            failed=lambda error: self.said.append((name, "failed", error)),
            progress=lambda *progress: self.said.append((name, "progress", progress)),
            priority=priority,
        )
        self.worker.submit(job)
        return job

    def ended(self):
        return [(name, how) for name, how, _ in self.said if how != "progress"]


@pytest.fixture
def log():
    return Log()


def blocked(gate: threading.Event):
    """Work that runs until `gate` is set, at a checkpoint all the while, as the engine is between blocks."""

    def work(job):
        while not gate.wait(0.001):
            checkpoint()
        return "through"

    return work


def test_results_and_errors_are_both_delivered(log):
    log.submit("a", lambda job: 7)
    log.submit("b", lambda job: 1 / 0)
    log.submit("c", lambda job: 8)
    assert log.worker.wait("me", 5)
    assert log.said[0] == ("a", "done", 7)
    assert log.said[1][:2] == ("b", "failed") and isinstance(log.said[1][2], ZeroDivisionError)
    assert log.said[2] == ("c", "done", 8)


def test_a_newer_job_replaces_a_running_one_at_its_next_checkpoint(log):
    gate, started = threading.Event(), threading.Event()

    def first(job):
        started.set()
        return blocked(gate)(job)

    log.submit("old", first, replaces="outcome")
    assert started.wait(5)
    log.submit("new", lambda job: 2, replaces="outcome")
    assert log.worker.wait("me", 5)
    assert log.ended() == [("old", "failed"), ("new", "done")]
    assert isinstance(log.said[0][2], Cancelled)


def test_another_owners_job_with_the_same_name_is_not_replaced(log):
    gate = threading.Event()
    log.submit("hold", blocked(gate))
    log.submit("a", lambda job: 1, replaces="outcome", owner="one")
    log.submit("b", lambda job: 2, replaces="outcome", owner="two")
    gate.set()
    assert log.worker.wait("two", 5) and log.worker.wait("one", 5)
    assert ("a", "done") in log.ended() and ("b", "done") in log.ended()


def test_a_queued_job_that_is_cancelled_is_answered_and_never_runs(log):
    gate, ran = threading.Event(), []
    log.submit("hold", blocked(gate))
    log.submit("queued", lambda job: ran.append(1))
    log.worker.cancel("me", "queued")
    assert ("queued", "failed") in log.ended()
    gate.set()
    assert log.worker.wait("me", 5)
    assert ran == []


def test_cancelling_what_never_was_does_nothing(log):
    log.worker.cancel("me", "ghost")
    log.submit("a", lambda job: 1)
    assert log.worker.wait("me", 5)
    assert log.ended() == [("a", "done")]


def test_an_urgent_job_overtakes_a_sweep_between_its_chunks(log):
    first_chunk = threading.Event()

    def sweep(job):
        for i in range(50):
            job.chunk(i, 50)
            first_chunk.set()
            time.sleep(0.002)
        return "swept"

    log.submit("sweep", sweep, priority=BACKGROUND)
    assert first_chunk.wait(5)
    log.submit("click", lambda job: "now")
    assert log.worker.wait("me", 5)
    assert log.ended() == [("click", "done"), ("sweep", "done")]


def test_progress_comes_at_most_every_fifty_milliseconds(log):
    def sweep(job):
        for i in range(1000):
            job.chunk(i, 1000, "sweeping")

    start = time.monotonic()
    log.submit("sweep", sweep, priority=BACKGROUND)
    assert log.worker.wait("me", 5)
    allowed = (time.monotonic() - start) / 0.05 + 2
    assert 1 <= sum(how == "progress" for _, how, _ in log.said) <= allowed


def partials(log):
    return [said[3] for _, how, said in log.said if how == "progress"]


@pytest.mark.parametrize("end", ["done", "failed", "cancelled"])
def test_the_last_partial_is_said_before_the_end_however_it_ends(log, end, monkeypatch):
    monkeypatch.setattr(jobs, "PROGRESS_INTERVAL", math.inf)

    def sweep(job):
        for i in range(200):
            job.chunk(i, 1000, "sweeping", partial=i)
        job.chunk(200, 1000, "nothing new")
        if end == "failed":
            raise ZeroDivisionError
        job.cancelled = end == "cancelled"
        job.check()
        return "swept"

    log.submit("sweep", sweep, priority=BACKGROUND)
    assert log.worker.wait("me", 5)
    assert log.said[-2][:2] == ("sweep", "progress") and log.said[-2][2][3] == 199
    assert log.ended() == [("sweep", "done" if end == "done" else "failed")]
    assert partials(log) == [199]


def test_a_partial_waits_for_the_interval_and_goes_with_the_progress_after_it(log, monkeypatch):
    def sweep(job):
        monkeypatch.setattr(jobs, "PROGRESS_INTERVAL", math.inf)
        job.chunk(1, 4, partial="first")
        job.chunk(2, 4, partial="second")
        monkeypatch.setattr(jobs, "PROGRESS_INTERVAL", 0.0)
        job.chunk(3, 4)
        return "swept"

    log.submit("sweep", sweep, priority=BACKGROUND)
    assert log.worker.wait("me", 5)
    assert [said for _, how, said in log.said if how == "progress"] == [(3, 4, "", "second")]


def test_a_page_that_is_gone_before_the_last_partial_does_not_silence_the_failure(log):
    def progress(done, total, text, partial):
        if partial:
            raise ConnectionError("the page is gone")

    def work(job):
        job.chunk(0, 9)
        job.chunk(1, 9, partial="lost")
        return 1 / 0

    log.worker.submit(Job("a", "me", "a", work=work, done=log.said.append, failed=log.said.append, progress=progress))
    assert log.worker.wait("me", 5)
    assert len(log.said) == 1 and isinstance(log.said[0], ZeroDivisionError)


def test_each_priority_overtakes_the_ones_after_it(log):
    reached, go = threading.Event(), threading.Event()

    def sweep(job):
        reached.set()
        assert go.wait(5)
        job.chunk(1, 2)
        return "swept"

    def panel(job):
        log.submit("click", lambda job: "now")
        job.chunk(1, 2)
        return "drawn"

    log.submit("sweep", sweep, priority=BACKGROUND)
    assert reached.wait(5)
    log.submit("later", lambda job: 2, priority=BACKGROUND)
    log.submit("panel", panel, priority=SOON)
    go.set()
    assert log.worker.wait("me", 5)
    assert log.ended() == [("click", "done"), ("panel", "done"), ("sweep", "done"), ("later", "done")]


def test_a_pass_that_may_be_done_again_is_given_up_for_a_click(log):
    started, gate, tries = threading.Event(), threading.Event(), []

    def sweep(job):
        while len(tries) < 2:
            tries.append(1)
            started.set()
            try:
                with job.redoable():
                    return blocked(gate)(job)
            except Overtaken:
                job.chunk(0, 1)
        raise AssertionError("overtaken with nothing waiting")

    log.submit("sweep", sweep, priority=BACKGROUND)
    assert started.wait(5)
    log.submit("later", lambda job: 2, priority=BACKGROUND)  # which is no reason
    log.submit("click", lambda job: gate.set())
    assert log.worker.wait("me", 5)
    assert log.ended() == [("click", "done"), ("sweep", "done"), ("later", "done")] and len(tries) == 2


def test_outside_such_a_pass_a_click_waits_for_the_chunk(log):
    started, gate = threading.Event(), threading.Event()

    def sweep(job):
        started.set()
        return blocked(gate)(job)

    log.submit("sweep", sweep, priority=BACKGROUND)
    assert started.wait(5)
    log.submit("click", lambda job: "now")
    gate.set()
    assert log.worker.wait("me", 5)
    assert log.ended() == [("sweep", "done"), ("click", "done")]


def test_wait_gives_up_after_its_timeout(log):
    gate = threading.Event()
    log.submit("hold", blocked(gate))
    assert log.worker.busy("me")
    assert not log.worker.wait("me", 0.02)
    gate.set()
    assert log.worker.wait("me", 5)
    assert not log.worker.busy("me")


def test_a_failure_that_cannot_be_reported_does_not_end_the_worker(log):
    def unreportable(error):
        raise ConnectionError("the page is gone")

    job = Job("a", "me", "a", work=lambda job: 1 / 0, done=log.said.append, failed=unreportable)
    log.worker.submit(job)
    assert log.worker.wait("me", 5)
    log.submit("b", lambda job: 2)
    assert log.worker.wait("me", 5) and ("b", "done") in log.ended()


def test_a_job_runs_and_reports_in_the_context_of_who_asked(log):
    asked = contextvars.ContextVar("asked")  # without a default, as ipykernel 7.0 keeps what a message answers
    found = []

    def work(job):
        job.chunk(1, 1)
        found.append(asked.get())

    def ask(who):
        asked.set(who)
        said = lambda *_: found.append(asked.get())  # noqa: E731
        log.worker.submit(Job(who, "me", who, work=work, done=said, failed=said, progress=said))

    for who in ("first", "second"):
        contextvars.copy_context().run(ask, who)
        assert log.worker.wait("me", 5)
    assert found == ["first"] * 3 + ["second"] * 3
