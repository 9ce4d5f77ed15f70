"""The worker: order, replacement, cancellation, progress, and that nothing a job raises is lost."""

import threading
import time

import pytest

from attnwidget.engine.interrupt import Cancelled, checkpoint
from attnwidget.widget.jobs import BACKGROUND, URGENT, Job, Worker


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
