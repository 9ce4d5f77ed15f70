"""The request `study`: sets of heads, many passes long. Clicks overtake it between passes, and each pass may be given up for one."""

from __future__ import annotations

from ..analysis.studied import Study
from ..analysis.studying import prepare
from ..errors import AttnWidgetError
from . import arguments
from .jobs import Job
from .session import Session
from .telling import Telling

MOST = {"beam": 100, "max_heads": 100, "budget": 100_000}  # of one request; a cell has no such limits


def answer(session: Session, args: dict, job: Job) -> Study:
    """`Study` in js/src/source/ops.ts. The session keeps it as far as it came, also where it is cancelled."""
    how = arguments.ablating(session.model, args.get("ablation"))
    run = session.ablated(list(how.heads), how.mode, **how.parameters) if how.heads else session.clean
    parameters = dict(how.parameters)
    if (given := parameters.get("reference")) is not None:
        # Runs that the session keeps, as it does for scores.
        parameters["reference"] = tuple(map(session.reference, [given] if isinstance(given, str) else given))
    plan = {name: arguments.integer(args[name]) for name in MOST if name in args}
    for name, value in plan.items():
        if value > MOST[name]:
            raise AttnWidgetError(
                f"{name} must be {MOST[name]:,} or fewer here, not {value:,}: study(w.run, ..., {name}={value}) in a cell takes any."
            )
    # A classifier answers once, wherever the page looks.
    position = None if session.model.answer == "class" else arguments.position(args)
    asked = prepare(run, arguments.text(args, "target"), mode=how.mode, position=position, **parameters, **plan)

    def keep(study: Study) -> None:
        # Before a set has been run there is nothing that could stand for the last study.
        if study.sizes:
            session.keep_study(run, study)

    telling = Telling(job, keep)
    study = asked.conduct(telling.progress, telling.partial, telling.attempt)
    session.keep_study(run, study)
    return study
