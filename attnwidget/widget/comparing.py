"""The prompt beside another one: what differs at once, and what each head carries of it as far as that is measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..analysis.asking import AskedOfBoth, ask_both
from ..analysis.compared import COMPARED
from ..analysis.comparison import Comparison
from ..analysis.contrast import compare
from ..analysis.measure import Measure, make_measure
from ..analysis.method import Progress
from ..errors import AttnWidgetError, PromptError
from ..run import Run
from . import arguments
from .session import Session
from .sweep import Sweep, swept_together

WAYS = tuple(name for name, number in COMPARED.items() if number.causal)  # noising, denoising


@dataclass(frozen=True)
class Pair:
    """Which prompt is compared with, and how."""

    other: str
    special: str
    renormalise: bool


def pair(args: object) -> Pair:
    """What a request says of the other prompt; refused where there is none."""
    args = args if isinstance(args, dict) else {}
    other = arguments.text(args, "other")
    if not other:
        raise PromptError("There is no second prompt to compare with: set w.other = '...', or type one under “Two prompts”.")
    special = "discount" if arguments.switch(args, "discount_special") else "keep"
    return Pair(other, special, arguments.switch(args, "renormalise"))


NOTHING_SHARED = (
    "The two prompts have no token in common, so none stands for another: "
    "write them with as many tokens each, or with at least one that is in both."
)


def alignment_of(run: Run, other: Run) -> str:
    """Prompts of one length are aligned position by position, others by their equal tokens; refused where there are none."""
    if len(run.ids) != len(other.ids) and set(run.ids).isdisjoint(other.ids):
        raise PromptError(NOTHING_SHARED)
    return "positions" if len(run.ids) == len(other.ids) else "tokens"


def pictures(session: Session, asked: Pair, progress: Progress | None = None) -> Comparison:
    """All numbers of two prompts that are no effects: they do not depend on what is asked of the answer."""

    def make() -> Comparison:
        run, other = session.clean, session.reference(asked.other)
        how = {"alignment": alignment_of(run, other), "renormalise": asked.renormalise, "special": asked.special}
        return compare(run, other, **how, effects=False, progress=progress)

    return session.comparison(asked, make)


def refuse_undefined(comparison: Comparison, name: str) -> None:
    """A number that none of the heads has is no picture of the grid: says why instead."""
    if (reason := comparison.undefined.get(name)) is not None:
        raise AttnWidgetError(f"'{name}' is undefined for these two prompts: {reason}.")


class Compared:
    """A comparison, and the two sweeps that measure its effects: they may be stepped, stopped and gone on with."""

    def __init__(self, session: Session, asked: Pair, metric: str, about: Mapping[str, object], progress: Progress | None = None):
        self.asked, self.metric = asked, metric
        self._session, self._pictures = session, pictures(session, asked, progress)
        self._answers = self._ask(about)

    def _ask(self, about: Mapping[str, object]) -> AskedOfBoth:
        run, other = self._pictures.run, self._pictures.other
        # What a model answers once, or not at all, is asked without a position or a token.
        position = about["position"] if run.model.answer in ("next", "mask") else None
        tokens = (None, None) if run.model.answer == "none" else (about["target"], about["against"])
        asked = run, other, self._pictures.alignment
        try:
            return ask_both(*asked, self.metric, *tokens, position, effects=True)
        except AttnWidgetError as error:
            # A metric that these prompts do not have is no reason to show nothing of them.
            return replace(ask_both(*asked, None, *tokens, position, effects=False), reason=str(error))

    @property
    def refused(self) -> str | None:
        """Why there are no effects of these prompts, or None where there are."""
        return self._answers.reason

    @cached_property
    def sweeps(self) -> dict[str, Sweep]:
        """By way, noising first: each head with its z of the other prompt. Empty where `refused`."""
        return {} if self.refused is not None else {way: self._sweep(way) for way in WAYS}

    def _sweep(self, way: str) -> Sweep:
        run, other = self._pictures.run, self._pictures.other
        here, there = (run, other) if way == "noising" else (other, run)
        found = self._answers.answers
        at = found.position if way == "noising" else found.other_position
        about = {**self._answers.tokens, "position": at}
        metrics = tuple(name for name in swept_together(self.metric) if name == self.metric or _has(here, name, about))
        key = way, self.asked.other, metrics, tuple(about.values())
        how = {"mode": "resample", "reference": (there,)}
        return self._session.sweep(here, key, lambda: Sweep(here, metrics, **about, **how))

    def effects(self, way: str) -> tuple[np.ndarray, np.ndarray, bool]:
        """What is measured so far: values [layer, head], NaN where there is none yet, of which heads, and whether these are all."""
        scores, measured, finished = self.sweeps[way].now(self.metric)
        if scores is None:
            return np.full(measured.shape, np.nan), measured, finished
        turned = way == "denoising" and scores.signed
        return np.negative(scores.values) + 0.0 if turned else scores.values, measured, finished

    @property
    def remaining(self) -> float | None:
        """Seconds that the heads left would take, in both ways; None while there is no telling."""
        first, second = self.sweeps.values()
        left = first.remaining
        if second.finished or second.remaining is not None:
            return None if left is None else left + second.remaining
        return None if left is None else left + first.seconds + left

    @property
    def now(self) -> Comparison:
        """The comparison with its answers, and its effects as far as they are measured: `undefined` says how far that is."""
        base, measure = self._pictures, self._measure
        values, undefined = dict(base.values), {name: why for name, why in base.undefined.items() if name not in WAYS}
        for way in WAYS:
            if self.refused is not None:
                undefined[way] = self.refused
                continue
            values[way], measured, finished = self.effects(way)
            if not finished:
                undefined[way] = f"measured for {measured.sum()} of {measured.size} heads so far"
        return replace(base, values=values, answers=self._answers.answers, measure=measure, undefined=undefined)

    @property
    def _measure(self) -> Measure | None:
        return None if self._answers.measures is None else self._answers.measures[0]


def _has(run: Run, metric: str, about: Mapping[str, object]) -> bool:
    try:
        make_measure(run, metric, **about)
    except AttnWidgetError:
        return False  # a token that only this metric needs, say: the one that is asked for is not held up by it
    return True
