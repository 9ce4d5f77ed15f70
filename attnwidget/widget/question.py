"""What is asked when scores are asked for, checked, and its answer: from what the session has, or computed."""

from __future__ import annotations

import time
from collections.abc import Hashable
from dataclasses import dataclass, replace

from ..analysis.compared import COMPARED
from ..analysis.headscores import HeadScores
from ..analysis.kinds import KINDS
from ..analysis.measure import make_measure
from ..analysis.method import Progress
from ..analysis.score import METHODS, score_each
from ..analysis.statistics import STATISTICS, head_statistics
from ..errors import AttnWidgetError
from ..run import Run
from . import arguments
from .comparing import WAYS, Compared, Pair, pair, pictures, refuse_undefined
from .facts import EVERY_METRIC, metrics_of
from .kinds import detected
from .session import Finished, Session
from .sweep import Sweep, swept_together


@dataclass(frozen=True)
class Question:
    """A checked question for scores, about `run`: the clean one, or for conditional scores the ablated one."""

    session: Session
    run: Run
    name: str
    """A method of `score`, a statistic of the pattern or a kind of head."""
    metric: str | None
    about: dict
    """`target`, `against` and `position`, as `score` takes them."""
    how: arguments.Ablating
    """What is done to a head."""
    condition: Hashable
    pair: Pair | None = None
    """Which prompt is compared with, for numbers of two prompts."""
    leaving: tuple[str, str] | None = None
    """`first` and `special`, as `head_statistics` takes them, for statistics of the pattern."""

    @property
    def kind(self) -> str:
        if self.name in COMPARED:
            return "effect" if COMPARED[self.name].causal else "statistic"
        return METHODS[self.name].kind if self.name in METHODS else "statistic" if self.name in STATISTICS else "kind"

    @property
    def key(self) -> Hashable:
        """The same for questions that have the same answer: tokens and positions are resolved, and what plays no part is left out."""
        if self.name in COMPARED:
            return self.name, self.pair, self.metric, tuple(self.about.values()) if self.name in WAYS else ()
        if self.name in STATISTICS:
            return self.name, self.leaving
        if self.metric is None:
            about = self.run.position(self.about["position"]) if self.name in METHODS else None
        else:
            about = self._measured(self.metric)
        return self.name, self.condition, self._how, about

    @property
    def asked(self) -> dict:
        """Further arguments of `score`."""
        if METHODS[self.name].modes == ():
            return self.about
        parameters = dict(self.how.parameters)
        if (given := parameters.get("reference")) is not None:
            # Runs that the session keeps: a sweep in steps would run the prompts at each of them.
            prompts = [given] if isinstance(given, str) else given
            parameters["reference"] = tuple(map(self.session.reference, prompts))
        return {**self.about, "mode": self.how.mode, **parameters}

    @property
    def together(self) -> dict[str, tuple]:
        """The metrics that one sweep answers when it is asked for this one, and what each of them measures."""
        names = swept_together(self.metric)
        found = {self.metric: self._measured(self.metric)}
        for name in names:
            try:
                found[name] = self._measured(name)
            except AttnWidgetError:
                continue  # a token that only this metric needs, say: the one that is asked for is not held up by it
        return {name: found[name] for name in names if name in found}

    def _measured(self, metric: str) -> tuple:
        measure = make_measure(self.run, metric, **self.about)
        return metric, measure.position, measure.target, measure.against

    @property
    def _how(self) -> Hashable:
        return self.how.key if self.name in METHODS and METHODS[self.name].modes != () else None


def check_name(name: str) -> None:
    """Refuses what is neither a method of `score`, a statistic, a kind of head nor a number of two prompts."""
    known = [*METHODS, *STATISTICS, *KINDS, *COMPARED]
    if name not in known:
        raise AttnWidgetError(f"No score {name!r}: there are {', '.join(known)}.")


def question(session: Session, args: dict) -> Question:
    """What `args` of the request `scores` ask. A metric that the method does not know is taken as its own first, as the page does."""
    name, metric = arguments.text(args, "method"), args.get("metric")
    check_name(name)
    if metric not in (None, "") and (not isinstance(metric, str) or metric not in EVERY_METRIC):
        raise AttnWidgetError(f"No metric {metric!r}: there are {', '.join(EVERY_METRIC)}.")
    how = arguments.ablating(session.model, args.get("ablation"))
    # Where a head looks and how much it writes is said of the clean run, as the page says it.
    effect = name in METHODS and METHODS[name].kind == "effect"
    heads = how.heads if arguments.switch(args, "conditional") and effect else ()
    about = {"position": arguments.position(args), "target": arguments.text(args, "target"), "against": arguments.text(args, "against")}
    metrics = metrics_of(session.model, name)
    return Question(
        session=session,
        run=session.ablated(list(heads), how.mode, **how.parameters) if heads else session.clean,
        name=name,
        metric=metric if metric in metrics else metrics[0] if metrics else None,
        about=about,
        how=how,
        condition=(heads, how.key) if heads else None,
        pair=pair(args.get("compared")) if name in COMPARED else None,
        leaving=_leaving(args.get("leaving")) if name in STATISTICS else None,
    )


def _leaving(args: object) -> tuple[str, str]:
    """What of the patterns is left out, as the map does it: the first token, special tokens; `renormalise` is about the first one."""
    args = args if isinstance(args, dict) else {}
    hidden, renormalise, discount = (arguments.switch(args, name) for name in ("hide_first", "renormalise", "discount_special"))
    return "keep" if not hidden else "renormalise" if renormalise else "hide", "discount" if discount else "keep"


# -- its answer -------------------------------------------------------------------------------------------------------


def exactly(asked: Question) -> HeadScores:
    """The scores that are asked for, measured to the end: here and now, in the thread that asks."""
    if asked.name in WAYS:
        found_of = compared(asked)
        while not found_of.sweeps[asked.name].finished:
            found_of.sweeps[asked.name].step()
        return found_of.now.scores(asked.name)
    if asked.name != "ablation":
        return found(asked).scores
    if (kept := asked.session.recall(asked.run, asked.key)) is not None:
        return kept.scores
    sweep = sweep_of(asked)
    while not sweep.finished:
        sweep.step()
    keep(asked, sweep)
    return sweep.scores[asked.metric]


def found(asked: Question, progress: Progress | None = None) -> Finished:
    session, run, name = asked.session, asked.run, asked.name
    if name in KINDS:
        return Finished(detected(session.model, progress).scores(name), 0.0)
    if name in COMPARED:
        comparison = pictures(session, asked.pair, progress)
        refuse_undefined(comparison, name)
        return Finished(comparison.scores(name), 0.0)
    if (kept := session.recall(run, asked.key)) is not None:
        return kept
    start = time.monotonic()
    if name in STATISTICS:  # all of them come from one look at each pattern
        first, special = asked.leaving
        every = head_statistics(run, progress, first=first, special=special)
        answers = {other: every.scores(other) for other in STATISTICS}
    else:
        # A head of integrated gradients is many rows forward and backward: a click waits for as many heads as go together.
        chunk = {"chunk": 1} if name == "integrated_gradients" and progress is not None else {}
        (scores,) = score_each(run, name, (asked.metric,), **asked.asked, **chunk, progress=progress).values()
        answers = {name: scores}
    seconds = time.monotonic() - start
    for other, scores in answers.items():
        session.keep(run, replace(asked, name=other).key, Finished(scores, seconds))
    return Finished(answers[name], seconds)


def compared(asked: Question, progress: Progress | None = None) -> Compared:
    """The two prompts of a question about what exchanging their heads does, with its sweeps."""
    found_of = Compared(asked.session, asked.pair, asked.metric, asked.about, progress)
    if found_of.refused is not None:
        raise AttnWidgetError(f"'{asked.name}' is undefined for these two prompts: {found_of.refused}.")
    return found_of


def sweep_of(asked: Question) -> Sweep:
    together = asked.together
    key = asked.condition, asked.how.key, tuple(together.values())
    return asked.session.sweep(asked.run, key, lambda: Sweep(asked.run, tuple(together), **asked.asked))


def keep(asked: Question, sweep: Sweep) -> None:
    for metric, scores in sweep.scores.items():
        asked.session.keep(asked.run, replace(asked, metric=metric).key, Finished(scores, sweep.seconds))
