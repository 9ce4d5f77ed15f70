"""The request `study`: sets of heads, many passes long. Clicks overtake it between passes, and each pass may be given up for one."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

from ..analysis.studied import Study
from ..analysis.studying import prepare
from . import arguments
from .jobs import Job, Overtaken
from .session import Session

_YIELDS = 3  # times in a row that a pass is given up for a gesture; holding a key down must not stop a study for ever


def answer(session: Session, args: dict, job: Job) -> Study:
    """`Study` in js/src/source/ops.ts. The session keeps it as far as it came, also where it is cancelled."""
    how = arguments.ablating(session.model, args.get("ablation"))
    run = session.ablated(list(how.heads), how.mode, **how.parameters) if how.heads else session.clean
    parameters = dict(how.parameters)
    if (given := parameters.get("reference")) is not None:
        # Runs that the session keeps, as it does for scores.
        parameters["reference"] = tuple(map(session.reference, [given] if isinstance(given, str) else given))
    parameters |= {name: arguments.integer(args[name]) for name in ("beam", "max_heads", "budget") if name in args}
    # A classifier answers once, wherever the page looks.
    position = None if session.model.answer == "class" else arguments.position(args)
    asked = prepare(run, arguments.text(args, "target"), mode=how.mode, position=position, **parameters)
    telling = _Telling(job, lambda study: session.keep_study(run, study))
    study = asked.conduct(telling.progress, telling.partial, telling.attempt)
    session.keep_study(run, study)
    return study


class _Telling:
    """A study in a job: what it says on the way, and how it gives way to a gesture."""

    def __init__(self, job: Job, keep: Callable[[Study], None]):
        self._job, self._keep = job, keep
        self._new: Study | None = None
        self._said = (0, 1, "")
        self._given_up = 0

    def partial(self, study: Study) -> None:
        self._new = study
        self._keep(study)

    def progress(self, done: int, total: int, text: str) -> None:
        new, self._new, self._said = self._new, None, (done, total, text)
        self._job.chunk(done, total, text, new)

    def attempt(self, step: Callable[[], object]) -> object:
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
