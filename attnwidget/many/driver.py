"""Many tasks on whatever runs them: this process, or any `concurrent.futures.Executor`."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, CancelledError, Executor, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field

from ..analysis.checked import count
from ..analysis.method import Progress
from ..engine.interrupt import checkpoint
from ..errors import ExecutorError, ModelError
from .parts import Parts
from .spec import Live, ModelSpec
from .task import Answer, Failed, Task, said, until, work

_PATIENCE = 0.1  # seconds between two looks at whether to go on
_AHEAD = 256  # tasks handed over and not back yet, where the number of workers is not known
_MOST_THREADS = 1024

Take = Callable[[int, Answer | Failed], None]


def threads_for(executor: Executor | None, threads: int | None) -> int | None:
    """PyTorch's threads for a task: those asked for; else, in this process, as many as there are; in others the machine's cores over the
    executor's workers, or 1 where it does not say how many it has."""
    if threads is not None:
        return count("threads", threads, 1, _MOST_THREADS)
    if not elsewhere(executor):
        return None
    workers = _workers(executor)
    return 1 if workers is None else max(1, _cores() // workers)


def elsewhere(executor: Executor | None) -> bool:
    """Whether it runs tasks in other processes than this."""
    return not (executor is None or isinstance(executor, ThreadPoolExecutor))


def check_executor(executor: object, spec: ModelSpec | Live) -> None:
    """Refuses what cannot run these tasks before any is handed over."""
    if executor is None:
        return
    if not isinstance(executor, Executor):
        raise ExecutorError(
            f"executor must be a concurrent.futures.Executor (a pool of threads or processes, client.get_executor() of Dask), or None for "
            f"this process, not {type(executor).__name__}."
        )
    context = getattr(executor, "_mp_context", None)
    if context is not None and context.get_start_method() == "fork":
        raise ExecutorError(
            "This pool forks, which PyTorch's threads do not survive: "
            "make it with ProcessPoolExecutor(n, mp_context=multiprocessing.get_context('spawn'))."
        )
    if isinstance(spec, Live) and elsewhere(executor):
        raise ExecutorError(
            f"{spec.model.name} is a model in this process, and {type(executor).__name__} runs others: give the model's name or the folder "
            "it was saved in (save_pretrained), which each process loads, or a ThreadPoolExecutor."
        )
    if isinstance(spec, Live) and _owned(spec.model.lock):
        raise ExecutorError("This thread holds the model's lock, for which the executor's would wait: leave `with model.lock:` first.")


@dataclass(eq=False)
class Drive:
    """`take(index, outcome)` for each of `total` tasks, each made when its turn comes, as they are done. A part that exists is
    taken and not computed again, and what is computed becomes a part; what failed does not. `check()` comes before anything that was
    computed is taken or kept, and may raise.

    What `progress(done, total, text)` raises, an interrupt and a cancelled job end it: tasks that have not started are cancelled, finished
    ones are kept. `ExecutorError` where the executor gives up.
    """

    total: int
    task: Callable[[int], Task]
    executor: Executor | None
    parts: Parts | None
    progress: Progress | None
    take: Take
    check: Callable[[], None]
    pending: dict[Future, tuple[int, str]] = field(default_factory=dict, init=False)
    done: int = field(default=0, init=False)
    failed: int = field(default=0, init=False)
    found: int = field(default=0, init=False)
    stop: threading.Event = field(default_factory=threading.Event, init=False)

    def run(self) -> None:
        workers = None if self.executor is None else _workers(self.executor)
        # A few more than workers, so that none waits for us; not all, since each holds its prompt.
        ahead = _AHEAD if workers is None else 2 * workers + 2
        waiting = iter(range(self.total))
        try:
            while True:
                while len(self.pending) < ahead and (index := next(waiting, None)) is not None:
                    checkpoint()
                    self._start(index)
                if not self.pending:
                    return
                wait(self.pending, timeout=_PATIENCE, return_when=FIRST_COMPLETED)
                checkpoint()
                # Not what `wait` says: a task that others cancelled is done, and no worker may ever tell it so.
                for future in [one for one in self.pending if one.done()]:
                    if self._broken(future):
                        raise self._gave_up() from future.exception() if not future.cancelled() else None
                    self._finish(*self.pending.pop(future), _outcome(future))
        except BaseException:
            self._leave()
            raise

    def _start(self, index: int) -> None:
        task, name = self.task(index), ""
        if self.parts is not None:
            name = self.parts.name(task)
            if (kept := self.parts.read(name)) is not None:
                self.found += 1
                self._told(index, kept)
                return
        if self.executor is None:
            self._finish(index, name, work(task))
            return
        try:
            future = self.executor.submit(work, task) if elsewhere(self.executor) else self.executor.submit(until, self.stop, task)
        except (BrokenExecutor, RuntimeError) as error:  # a RuntimeError: it was shut down
            raise self._gave_up() from error
        self.pending[future] = index, name

    def _finish(self, index: int, name: str, outcome: Answer | Failed) -> None:
        self._keep(name, outcome)
        if isinstance(outcome, Failed) and outcome.for_all:
            raise ModelError(outcome.reason)
        self._told(index, outcome)

    def _keep(self, name: str, outcome: Answer | Failed) -> None:
        self.check()
        if self.parts is not None and isinstance(outcome, Answer):
            self.parts.write(name, outcome)

    def _told(self, index: int, outcome: Answer | Failed) -> None:
        self.take(index, outcome)
        self.done += 1
        self.failed += isinstance(outcome, Failed)
        if self.progress is not None:
            also = [f"{n} {word}" for n, word in ((self.found, "done before"), (self.failed, "failed")) if n]
            self.progress(self.done, self.total, ", ".join([f"{self.done} of {self.total} prompts", *also]))

    @staticmethod
    def _broken(future: Future) -> bool:
        return future.cancelled() or isinstance(future.exception(), (BrokenExecutor, CancelledError))

    def _gave_up(self) -> ExecutorError:
        self._leave()
        at = "" if self.parts is None else f" and kept in {str(self.parts.folder)!r}"
        way = "run the same call again with a new executor"
        way += "; without checkpoint= it starts from the beginning" if self.parts is None else ""
        done = self.done - self.failed
        return ExecutorError(f"The executor gave up (a worker process ended?): {done} of {self.total} done{at}; {way}.")

    def _leave(self) -> None:
        """Cancels what has not started, keeps what is finished; what runs in threads here ends before its next block."""
        self.stop.set()
        running = [future for future in self.pending if not future.cancel()]
        if not elsewhere(self.executor):
            wait(running)
        for future, (_, name) in self.pending.items():
            if future.done() and not self._broken(future):
                with suppress(Exception):  # what ended it is what is to be raised
                    self._keep(name, _outcome(future))
                    self.done += isinstance(_outcome(future), Answer)
        self.pending.clear()


def _outcome(future: Future) -> Answer | Failed:
    """What a task gave; what killed it (a worker that ends each time, arguments that do not pickle) is that prompt's failure."""
    error = future.exception()
    return future.result() if error is None else Failed(said(error))


def _owned(lock: object) -> bool:
    """Whether this thread holds it, where an RLock can tell, as `threading.Condition` asks it."""
    return bool(getattr(lock, "_is_owned", bool)())


def _workers(executor: Executor) -> int | None:
    workers = getattr(executor, "_max_workers", None)
    return workers if isinstance(workers, int) and workers > 0 else None


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
