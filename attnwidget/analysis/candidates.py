"""Which heads are worth adding to a set: by their exact effect alone, and by two estimates of what they do once the set is ablated.

What they say decides only which sets are run; no number of theirs is in a study.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from torch import Tensor

from .. import metrics
from ..errors import AttnWidgetError
from ..heads import Head
from ..run import Run
from .attribution import attribution
from .direct import direct_logit
from .measure import METRICS, Measure, Metric
from .method import Asked, Found
from .trials import Heads, Trials

_TOP_TOKENS = 8  # of the attribution of KL where it has no gradient
# In forwards, a block that is differentiated counting as three; direct contributions run each block once, and once more in two rows.
_SLOPES, _DIRECT = 3, 3


def _margin_drop(before: Tensor, after: Tensor, measure: Measure) -> Tensor:
    before, after = (metrics.margin_rows(measure.row(logits), measure.target) for logits in (before, after))
    return before - after


_MARGIN = Metric("margin", "drop in the margin of {target}", "", True, _margin_drop, ("target",))
# Under its own name it would be taken from where it has no gradient.
_DIVERGENCE = Metric("divergence", "KL", "nats", False, METRICS["kl"].effect)

Gains = dict[Head, float]
"""By head: what ablating it too adds to the margin (or the KL), as far as it is defined."""


class Candidates:
    """The `most` most promising heads by each way of telling, at any set. What a model refuses is said once, in `refused`."""

    def __init__(self, trials: Trials, most: int, paused: Callable[[str], None]):
        self.trials, self.most, self._paused = trials, most, paused
        self.refused: dict[str, str] = {}
        self._raised: BaseException | None = None
        self._promise: Gains | None = None
        self._found: dict[Heads, list[Head]] = {}

    def at(self, heads: Heads) -> list[Head]:
        """Heads to add to `heads`, those that are high on any list first."""
        if heads not in self._found:
            self._found[heads] = self._at(heads)
        return self._found[heads]

    def _at(self, heads: Heads) -> list[Head]:
        lists = [self.singles(), self._attribution(heads), self._direct(heads)]
        rank: dict[Head, int] = {}
        for gains in lists:
            defined = [head for head, gain in gains.items() if head not in heads and not math.isnan(gain)]
            for place, head in enumerate(sorted(defined, key=lambda head: (-gains[head], head))[: self.most]):
                rank[head] = min(place, rank.get(head, place))
        return sorted(rank, key=lambda head: (rank[head], head))

    def singles(self) -> Gains:
        """In steps of rounding: the exact effect of each head alone."""
        trials = self.trials
        before = 0 if trials.target is None else trials.steps(trials.before.margin)
        return {heads[0]: trials.steps(trials.value(trial)) - before for heads, trial in trials.by_size.get(1, {}).items()}

    def promise(self) -> Gains:
        """By the larger of exact effect and attribution, both in ranks: what puts heads in order for sets that are all tried."""
        if self._promise is None:
            ranks: Gains = dict.fromkeys(self.trials.heads, -math.inf)
            for gains in (self.singles(), self._attribution(())):
                defined = [head for head, gain in gains.items() if not math.isnan(gain)]
                for place, head in enumerate(sorted(defined, key=lambda head: (-gains[head], head))):
                    ranks[head] = max(ranks[head], -place)
            self._promise = ranks
        return self._promise

    def _attribution(self, heads: Heads) -> Gains:
        """To first order, from one forward and one backward with `heads` ablated."""
        trials, empty = self.trials, not heads
        metric = _MARGIN if trials.target is not None else METRICS["kl"] if empty else _DIVERGENCE
        options = {"top_tokens": _TOP_TOKENS} if metric.name == "kl" else {}
        backwards = min(_TOP_TOKENS, trials.measure.before.shape[-1]) if options else 1
        measure = replace(trials.measure, metric=metric, target=trials.target)
        gains = self._ask("attribution", attribution, trials.after(heads), measure, options)
        layers = trials.run.model.n_layers - min(head.layer for head in trials.heads)
        trials.blocks += layers * (1 + (_SLOPES - 1) * backwards) if gains else 0
        sign = -1 if trials.target is not None else 1  # what is estimated is a drop
        return {head: sign * gain for head, gain in gains.items()}

    def _direct(self, heads: Heads) -> Gains:
        """What each head takes from `logit(target) - logit(first choice)` on its way straight to the end, with `heads` ablated."""
        trials = self.trials
        first = trials[heads].first
        if trials.target is None or trials.target == first or "direct" in self.refused:
            return {}
        after = trials.after(heads)
        before = trials.measure.before if not heads else after.logits_at(trials.measure.position)[None]
        measure = replace(trials.measure, metric=METRICS["logit_diff"], target=trials.target, against=first, kept=before)
        gains = self._ask("direct", direct_logit, after, measure, {})
        trials.blocks += trials.run.model.n_layers * _DIRECT if gains else 0
        return {head: -gain for head, gain in gains.items()}

    def _ask(self, name: str, method: Callable[[Asked], Found], run: Run, measure: Measure, options: dict) -> Gains:
        """[head] by a method of `score`; nothing, and a note, where this model refuses it."""
        if name in self.refused:
            return {}
        heads = tuple(head for head in self.trials.heads if head not in run.ablation.heads)
        asked = Asked(
            run=run,
            measures=(measure,),
            ablate=self.trials.ablate,
            heads=heads,
            options=options,
            chunk=None,
            progress=self._progress,
            partial=lambda values, known: None,
        )
        try:
            values: np.ndarray = method(asked).values
        except (AttnWidgetError, RuntimeError) as reason:  # RuntimeError: a model that cannot be differentiated, or no memory for it
            if reason is self._raised:
                raise
            self.refused[name] = str(reason).splitlines()[0] if str(reason) else type(reason).__name__
            return {}
        return {head: float(values[head]) for head in heads}

    def _progress(self, _done: int, _total: int, text: str) -> None:
        try:
            self._paused(text)
        except BaseException as raised:
            self._raised = raised
            raise
