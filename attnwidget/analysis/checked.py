"""Arguments that are checked alike everywhere: what is wrong is refused in a sentence."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral

import numpy as np

from ..errors import AttnWidgetError, ModelError
from ..run import Run

_LARGEST_SEED = 2**63 - 1


def one_of(name: str, value: object, allowed: Sequence[str]) -> None:
    if not isinstance(value, str) or value not in allowed:
        raise AttnWidgetError(f"{name} must be {' or '.join(map(repr, allowed))}, not {value!r}.")


def count(name: str, value: object, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral) or not least <= value <= most:
        raise AttnWidgetError(f"{name} must be a whole number from {least} to {most}, not {value!r}.")
    return int(value)


def seed(value: object) -> int:
    return count("seed", value, 0, _LARGEST_SEED)


def switch(name: str, value: object) -> bool:
    if not isinstance(value, (bool, np.bool_)):
        raise AttnWidgetError(f"{name} must be True or False, not {value!r}.")
    return bool(value)


def a_run(name: str, value: object) -> None:
    if not isinstance(value, Run):
        raise AttnWidgetError(f"{name} must be a run, model.run(prompt), not {value!r}.")


def current(*runs: Run) -> None:
    """Refuses runs whose weights have changed since: what is resumed from them would mix two models."""
    if any(run.outdated for run in runs):
        raise ModelError("The model's weights have changed since this prompt was run: run it again with model.run(...).")
