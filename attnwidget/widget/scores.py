"""The request `scores`: one number for every head, an estimate at once where what is asked takes long to measure."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np

from ..analysis.headscores import HeadScores
from ..errors import AttnWidgetError
from . import arguments
from .comparing import WAYS
from .jobs import Job
from .pacing import steps
from .painted import painted, together
from .question import Question, compared, exactly, found, keep, question, sweep_of
from .session import Session

_log = logging.getLogger(__name__)


def answer(asked: Question, job: Job, patience: float | None) -> dict:
    """The reply to the request. What is ablation is estimated first, then measured for as long as `patience` allows."""
    if asked.name == "ablation":
        return _ablation(asked, job, patience)
    if asked.name in WAYS:
        return _exchange(asked, job, patience)
    scores, seconds = found(asked, job.chunk)
    return painted(scores, asked.kind, np.where(np.isnan(scores.values), 0, 2), scores.exact, seconds)


def _ablation(asked: Question, job: Job, patience: float | None) -> dict:
    kept = asked.session.recall(asked.run, asked.key)
    sweep = sweep_of(asked) if kept is None else None

    def now(estimate: HeadScores | None) -> dict | None:
        if kept is not None:
            # All of it was measured: what is undefined stays so, and is not what was estimated.
            where = np.ones(kept.scores.values.shape, bool)
            return together(kept.scores, where, estimate, finished=True, seconds=kept.seconds)
        measured, where, finished = sweep.now(asked.metric)
        if measured is None and estimate is None:
            return None
        return together(measured, where, estimate, finished=finished, seconds=sweep.seconds, remaining=sweep.remaining)

    job.chunk(0, 1, "Estimating", now(None))
    estimate = estimated(asked, job)
    if sweep is not None:
        job.chunk(*sweep.progress, now(estimate))
        for _ in steps(sweep, job, patience):
            job.chunk(*sweep.progress, now(estimate))
        if sweep.finished:
            keep(asked, sweep)
    return now(estimate)


def _exchange(asked: Question, job: Job, patience: float | None) -> dict:
    """What each head carries of the difference between two prompts, one way, as far as it is measured."""
    two, way = compared(asked, job.chunk), asked.name
    sweep = two.sweeps[way]

    def now() -> dict:
        scores = two.now.scores(way)
        _, measured, finished = two.effects(way)
        answer = painted(scores, asked.kind, np.where(measured, 2, 0), finished, sweep.seconds, None if finished else sweep.remaining)
        return answer if finished else answer | {"describe": f"unfinished, {scores.describe().removesuffix('; exact')}"}

    for _ in steps(sweep, job, patience):
        job.chunk(*sweep.progress, now())
    return now()


def zeroing(session: Session, args: dict, job: Job) -> dict[str, HeadScores]:
    """`kl` and `logit_diff` of zeroing each head in the run that `args` of an overview are about: the sweep it would make itself, but
    gone on with from where the grid's has come, and in steps that clicks overtake."""
    about = question(session, {**args, "method": "ablation", "conditional": True})
    exact = {}
    for metric in ("kl", "logit_diff"):
        asked = replace(about, metric=metric, how=arguments.ZEROED)
        try:
            if session.recall(asked.run, asked.key) is None:
                sweep = sweep_of(asked)
                for _ in steps(sweep, job, None):
                    job.chunk(*sweep.progress)
                keep(asked, sweep)
            exact[metric] = exactly(asked)
        except AttnWidgetError:
            continue  # the overview says why
    return exact


def estimated(asked: Question, job: Job) -> HeadScores | None:
    """Attribution of the same question; None where it cannot be had, for the exact values will come all the same."""
    try:
        return found(replace(asked, name="attribution"), job.chunk).scores
    except AttnWidgetError:
        return None
    except RuntimeError:  # no memory for a backward pass, or a model that cannot be differentiated
        _log.warning("no estimate of %s", asked.metric, exc_info=True)
        return None
