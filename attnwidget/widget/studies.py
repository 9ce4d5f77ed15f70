"""The request `study`: sets of heads, many passes long. Clicks overtake it between passes, and each pass may be given up for one."""

from __future__ import annotations

from ..analysis.studied import Study
from ..analysis.studying import prepare
from . import arguments
from .jobs import Job
from .session import Session
from .telling import Telling


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
    telling = Telling(job, lambda study: session.keep_study(run, study))
    study = asked.conduct(telling.progress, telling.partial, telling.attempt)
    session.keep_study(run, study)
    return study
