"""Long work in a job: what it says on the way, and how it gives way to a gesture."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Generic, TypeVar

from .jobs import Job, Overtaken

Result = TypeVar("Result")
Step = TypeVar("Step")

_YIELDS = 3  # times in a row that a step is given up for a gesture; holding a key down must not stop a study for ever


class Telling(Generic[Result]):
    """`progress`, `partial` and `attempt` of a search or study that runs in a job.

    Every partial result is given to `keep` at once, so that it is there also where the job is cancelled; with the next progress it is sent
    as `packed` makes it.
    """

    def __init__(self, job: Job, keep: Callable[[Result], None], packed: Callable[[Result], object] = lambda result: result):
        self._job, self._keep, self._packed = job, keep, packed
        self._new: Result | None = None
        self._said = (0, 1, "")
        self._given_up = 0

    def partial(self, result: Result) -> None:
        self._new = result
        self._keep(result)

    def progress(self, done: int, total: int, text: str) -> None:
        new, self._new, self._said = self._new, None, (done, total, text)
        self._job.chunk(done, total, text, None if new is None else self._packed(new))

    def attempt(self, step: Callable[[], Step]) -> Step | None:
        """What `step` returns, or None where a gesture came and was answered first."""
        try:
            with self._job.redoable() if self._given_up < _YIELDS else nullcontext():
                found = step()
        except Overtaken:
            self._given_up += 1
            self._job.chunk(*self._said)
            return None
        self._given_up = 0
        return found
