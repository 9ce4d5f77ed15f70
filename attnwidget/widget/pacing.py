"""How long a sweep goes on by itself, and what may come between its steps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext

from .jobs import Job, Overtaken
from .sweep import Sweep

PATIENCE = 20.0  # seconds, where a request does not say
_EARLY = 0.25  # of the patience: after that, a sweep that was thought to be within it may exceed it ...
_GRACE = 1.5  # ... so many times, rather than be stopped when it is nearly done
_YIELDS = 3  # times in a row that a step is given up for a gesture; holding a key down must not stop a sweep for ever


def steps(sweep: Sweep, job: Job, patience: float | None) -> Iterator[None]:
    """Steps the sweep until it is finished or, once its pace is known, will not be within `patience`. Between steps others may run."""
    spent, given_up = 0.0, 0
    while not sweep.finished:
        if patience is not None and sweep.settled:
            allowed = patience if spent <= _EARLY * patience else _GRACE * patience
            if spent + sweep.remaining > allowed:
                return
        before = sweep.seconds
        try:
            with job.redoable() if given_up < _YIELDS else nullcontext():
                sweep.step()
        except Overtaken:
            given_up += 1
        else:
            given_up = 0
            spent += sweep.seconds - before
        if not sweep.finished:
            yield
