"""One worker per model: requests run in its thread one after another, the urgent ones first, and can be cancelled.

A long job calls `job.chunk(done, total)` between its chunks: there it reports progress, ends if it was cancelled, and lets more urgent
jobs overtake it. Inside a chunk the engine asks `job.check` before each block. Nothing a job raises is lost: it is handed to `failed`.
"""

from __future__ import annotations

import contextvars
import heapq
import itertools
import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ..engine import Engine
from ..engine.interrupt import Cancelled, interruptible

PROGRESS_INTERVAL = 0.05  # seconds: hosts drop messages that come much faster
PAINT = 0.05  # seconds: after an urgent answer the processor is the page's, which is about to paint it
_IDLE = 30.0  # seconds after which an idle worker's thread ends; the next job starts another

# A gesture's answer; what a panel that is looked at waits for; what of it is of the weights alone and takes seconds; what may take many
# seconds; what may take minutes beside something that is shown already. Each overtakes the ones after it.
URGENT, SOON, LATER, BACKGROUND, LAST = range(5)

_log = logging.getLogger(__name__)


class Overtaken(Cancelled):
    """Raised out of a pass that was begun inside `Job.redoable` when a more urgent job came: do the pass again after `Job.chunk`."""


@dataclass(eq=False)
class Job:
    """One piece of work. `work(job)` runs in the worker's thread; exactly one of `done` and `failed` is called after it."""

    id: str
    owner: object
    replaces: str
    """A newer job of the same owner with the same `replaces` cancels this one."""
    work: Callable[[Job], object]
    done: Callable[[object], None]
    failed: Callable[[BaseException], None]
    progress: Callable[[int, int, str, object], None] = lambda done, total, text, partial: None
    priority: int = URGENT
    cancelled: bool = False
    _worker: Worker | None = None
    _last: float = field(default=0.0)
    _unsaid: tuple[int, int, str, object] | None = None
    _redoable: bool = False
    # ipykernel 7.0 knows which request a message answers from the context of the thread that sends it, and sends nothing without one.
    _context: contextvars.Context = field(default_factory=contextvars.copy_context)

    def check(self) -> None:
        """Before each block: raises `Cancelled` once the job has been cancelled, and `Overtaken` where that was agreed to."""
        self._go_on()
        if self._redoable and self._worker is not None and self._worker.waits(self.priority):
            raise Overtaken

    @contextmanager
    def redoable(self) -> Iterator[None]:
        """Inside, a more urgent job ends the pass with `Overtaken` at the next block, for passes that cost little to do again."""
        self._redoable = True
        try:
            yield
        finally:
            self._redoable = False

    def chunk(self, done: int, total: int, text: str = "", partial: object = None) -> None:
        """Between two chunks: progress, cancellation, and more urgent jobs first.

        `partial` is the result as far as it has come. One that comes too soon after the last is said with the next, or before the end.
        """
        self._go_on()
        if partial is None and self._unsaid is not None:
            partial = self._unsaid[3]
        self._unsaid = (done, total, text, partial)
        if time.monotonic() - self._last >= PROGRESS_INTERVAL or done == total:
            self._say()
        if self._worker is not None:
            self._worker.overtake(self.priority)
        self._go_on()

    def _go_on(self) -> None:
        if self.cancelled:
            raise Cancelled

    def say_rest(self) -> None:
        """Before the end: a partial result that came too soon after the last to be said then."""
        if self._unsaid is not None and self._unsaid[3] is not None:
            self._say()

    def _say(self) -> None:
        said, self._unsaid = self._unsaid, None
        self._last = time.monotonic()
        self.progress(*said)


class Worker:
    """Runs jobs for one model, in one thread that starts with the first job and ends when idle."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._queue: list[tuple[int, int, Job]] = []
        self._running: list[Job] = []  # a stack: an urgent job runs inside the chunk of a long one
        self._order = itertools.count()
        self._thread: threading.Thread | None = None
        self._painted = 0.0

    def submit(self, job: Job) -> None:
        """Queues `job`, cancelling what it replaces."""
        job._worker = self
        replaced = []
        with self._changed:
            for other in self._jobs():
                if other.owner == job.owner and other.replaces == job.replaces:
                    replaced.append(other)
            heapq.heappush(self._queue, (job.priority, next(self._order), job))
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._work, name="attnwidget-worker", daemon=True)
                self._thread.start()
            self._changed.notify_all()
        for other in replaced:
            self._cancel(other)

    def cancel(self, owner: object, job_id: str | None = None) -> None:
        """Cancels the owner's jobs, or the one with `job_id`; one that never was is ignored."""
        with self._changed:
            found = [job for job in self._jobs() if job.owner == owner and job_id in (None, job.id)]
        for job in found:
            self._cancel(job)

    def count(self, owner: object) -> int:
        """How many jobs of the owner are queued or running."""
        with self._changed:
            return sum(job.owner == owner for job in self._jobs())

    def busy(self, owner: object) -> bool:
        """Whether the owner has jobs queued or running."""
        return self.count(owner) > 0

    def wait(self, owner: object, timeout: float | None = None) -> bool:
        """Blocks until the owner has no jobs left; False when `timeout` seconds passed first."""
        with self._changed:
            return self._changed.wait_for(lambda: not any(job.owner == owner for job in self._jobs()), timeout)

    def waits(self, priority: int) -> bool:
        """Whether a job more urgent than `priority` is queued."""
        with self._changed:
            return bool(self._queue) and self._queue[0][0] < priority

    def overtake(self, priority: int) -> None:
        """Runs what waits and is more urgent than `priority`, here and now. Called between the chunks of a long job."""
        while True:
            if (job := self._next(lambda waiting: waiting.priority < priority)) is not None:
                self._run(job)
                continue
            with self._changed:
                left = self._painted - time.monotonic()
                if left <= 0 or priority == URGENT:
                    return
                self._changed.wait(left)

    def _jobs(self) -> list[Job]:
        return [*self._running, *(job for _, _, job in self._queue)]

    def _cancel(self, job: Job) -> None:
        with self._changed:
            job.cancelled = True
            waiting = [entry for entry in self._queue if entry[2] is job]
            for entry in waiting:
                self._queue.remove(entry)
            heapq.heapify(self._queue)
            self._changed.notify_all()
        if waiting:  # it will never run, so it is answered here
            _fail(job, Cancelled())

    def _next(self, wanted: Callable[[Job], bool]) -> Job | None:
        with self._changed:
            if not self._queue or not wanted(self._queue[0][2]):
                return None
            job = heapq.heappop(self._queue)[2]
            self._running.append(job)
            return job

    def _run(self, job: Job) -> None:
        job._context.run(self._run_in_context, job)

    def _run_in_context(self, job: Job) -> None:
        try:
            with interruptible(job.check):
                job.check()
                result = job.work(job)
                job.check()
            job.say_rest()
            job.done(result)
        except BaseException as error:
            _fail(job, error)
        finally:
            with self._changed:
                if job.priority == URGENT:
                    self._painted = time.monotonic() + PAINT
                self._running.remove(job)
                self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                if not self._changed.wait_for(lambda: self._queue, _IDLE):
                    self._thread = None
                    return
                left = self._painted - time.monotonic()
                if left > 0 and self._queue[0][0] > URGENT:
                    self._changed.wait(left)
                    continue
            if (job := self._next(lambda job: True)) is not None:
                self._run(job)


def _fail(job: Job, error: BaseException) -> None:
    """Says that a job failed. What saying it raises (a closed connection) must not end the worker, on which all widgets wait."""
    for say in (job.say_rest, lambda: job.failed(error)):
        try:
            say()
        except Exception:
            _log.exception("the failure of job %s could not be reported", job.id)


_workers: weakref.WeakKeyDictionary[Engine, Worker] = weakref.WeakKeyDictionary()
_workers_lock = threading.Lock()


def worker_of(engine: Engine) -> Worker:
    """The one worker of a model's engine."""
    with _workers_lock:
        return _workers.setdefault(engine, Worker())
