"""Sets of heads ablated together: each set is run once, many in one pass, and what the model then answers is kept."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from heapq import nsmallest

import torch
from torch import Tensor

from .. import metrics
from ..ablation import Ablation
from ..engine import wavefront
from ..heads import Head
from ..run import Run
from .measure import Measure

Heads = tuple[Head, ...]
"""A set of heads, in the order of the model."""
Attempt = Callable[[Callable[[], object]], object]
"""Called with each pass; it may give a pass up and return None, and is then called with it again."""

_CPU_NUMBERS, _GPU_NUMBERS = 2**18, 2**24  # whose probabilities are worked out together, in float64
_STEP = 1e-3  # the coarsest step of a logit in which sets are told apart
_ROUNDINGS = 16  # eps of the largest logit by which a row of a batch may differ from the same set run by itself; about 4 were measured


@dataclass(frozen=True)
class Trial:
    """What the model answers with a set ablated. NaN where undefined; margin and target's probability are NaN without a target too."""

    margin: float
    kl: float
    first: int
    probability: float
    target_probability: float
    near: bool
    """The margin is so near to 0 that the set run by itself may be on the other side."""


class After(Run):
    """A run with `ablation` on top of what is ablated in it already, whatever the mode of that was."""

    def __init__(self, run: Run, ablation: Ablation):
        super().__init__(run.model, run.ids, run._recording, run._text)
        self._patterns, self._clean, self._ablation = OrderedDict(), run.clean, ablation
        edits = ablation.edits(run.clean)
        self._edits = [*run._edits, *edits]
        self.start = edits[0].layer
        passed = run.model.engine.resume(run._recording, self._edits, start=self.start, resid=run._resid[self.start])
        self._resid = (*run._resid[: self.start], *passed.resid)

    @property
    def clean(self) -> Run:
        return self._clean

    @property
    def ablation(self) -> Ablation:
        """What was added."""
        return self._ablation


class Trials:
    """What became of every set that was run. `budget` is not known here: whoever asks counts."""

    def __init__(
        self,
        run: Run,
        measure: Measure,
        target: int | None,
        ablate: Callable[[Sequence[Head]], Ablation],
        heads: Sequence[Head],
    ):
        self.run, self.measure, self.target, self.ablate = run, measure, target, ablate
        self.heads = tuple(sorted(heads))
        self._row = measure.row(measure.before)
        self._first = metrics.best(self._row)[0]
        # A batch takes its products in another order than one row: about so much apart, two sets do not differ.
        self._eps = _ROUNDINGS * torch.finfo(run.model.dtype).eps
        self._largest = self._row[self._row.isfinite()].abs().max().item()
        self._step = min(self._eps * self._largest, _STEP) or _STEP
        self.before = self._read(self._row[None])[0]
        self.by_size: dict[int, dict[Heads, Trial]] = {}
        self._best: dict[int, Heads] = {}
        self._alone: set[Heads] = set()
        self._last: After | None = None
        self.sets, self.blocks = 0, 0.0
        self.attempt: Attempt = lambda step: step()
        self.said: Callable[[], None] = lambda: None
        """Called when something new is known; what it raises ends the passes."""

    # -- what is known ------------------------------------------------------------------------------------------------

    @property
    def forwards(self) -> float:
        """Blocks run, over those of the model."""
        return self.blocks / self.run.model.n_layers

    def __contains__(self, heads: Heads) -> bool:
        return heads in self.by_size.get(len(heads), ())

    def __getitem__(self, heads: Heads) -> Trial:
        return self.by_size[len(heads)][heads] if heads else self.before

    def count(self, size: int) -> int:
        """How many sets of this size were run."""
        return len(self.by_size.get(size, ()))

    def undefined(self, size: int) -> int:
        """How many of those gave no number: of these nothing is known."""
        return sum(math.isnan(self.value(trial)) for trial in self.by_size.get(size, {}).values())

    def of(self, size: int) -> int:
        """How many there are."""
        return math.comb(len(self.heads), size)

    def value(self, trial: Trial) -> float:
        """What is to be large: the margin, or without a target the KL."""
        return trial.kl if self.target is None else trial.margin

    def steps(self, value: float) -> float:
        """A value in steps of rounding, so that the order of sets does not hang on it. KL goes with the square of what logits differ by."""
        return round((math.sqrt(value) if self.target is None else value) / self._step) if math.isfinite(value) else math.nan

    def does_it(self, heads: Heads) -> bool:
        """Whether the target is the first choice without these heads."""
        return self.target is not None and self[heads].margin > 0

    def top(self, size: int, k: int) -> list[Heads]:
        """The `k` best sets of a size, of those that are defined; equal ones in the order of their heads."""
        defined = ((heads, trial) for heads, trial in self.by_size.get(size, {}).items() if not math.isnan(self.value(trial)))
        return [heads for heads, _ in nsmallest(k, defined, key=lambda item: self._key(*item))]

    def best(self, size: int) -> Heads | None:
        return self._best.get(size)

    @property
    def sizes(self) -> list[int]:
        """Those of which a best set is known: of which one was run that gave a number."""
        return sorted(self._best)

    @property
    def found(self) -> Heads | None:
        """Of the sets that do it, the smallest; of those the one with the largest margin. It was run by itself."""
        return next((self._best[size] for size in self.sizes if self.does_it(self._best[size])), None)

    def _key(self, heads: Heads, trial: Trial) -> tuple:
        value = self.value(trial)
        return not (self.target is not None and value > 0), -self.steps(value), heads

    # -- running sets -------------------------------------------------------------------------------------------------

    def extend(self, heads: Heads, others: Iterable[Head], enough: Callable[[], bool] = lambda: False) -> None:
        """Runs `heads` with each of `others` added, but those that were run already: each row joins at the head that is added, on the
        residual stream with `heads` ablated. Ends early where there is `enough`."""
        new = {joined(heads, head): [head] for head in sorted(others)}
        self._pass(heads, {one: own for one, own in new.items() if one not in self}, enough)

    def try_sets(self, sets: Iterable[Heads]) -> None:
        """Runs sets that have little in common, but those that were run already."""
        new = sorted({one for one in sets if one and one not in self}, key=lambda one: (one[0].layer, one))
        self._pass((), {one: list(one) for one in new}, lambda: False)

    def after(self, heads: Heads) -> Run:
        """The run with `heads` ablated, as `run.ablate` makes it, and with that the plain truth about this set."""
        if not heads:
            return self.run
        if self._last is None or self._last.ablation.heads != heads:
            self._last = After(self.run, self.ablate(heads))
            self.blocks += self._cost(heads)
        if heads not in self._alone:
            self._alone.add(heads)
            row = self._last.logits_at(self.measure.position)
            self._keep(heads, self._read(row[None])[0])
        return self._last

    def confirm(self, heads: Heads) -> None:
        """Runs a set by itself, unless that was done: a row of a batch differs from it by rounding."""
        if heads and heads not in self._alone:
            self.after(heads)

    def sure(self, size: int, only: Callable[[Heads], bool] = lambda heads: True) -> None:
        """Runs the best set of a size by itself, until the best is one that was; or one that `only` leaves out."""
        while (best := self.best(size)) is not None and best not in self._alone and only(best):
            self.confirm(best)

    def _pass(self, base: Heads, sets: dict[Heads, list[Head]], enough: Callable[[], bool]) -> None:
        if not sets:
            return
        below, clean = self.after(base), self.run.clean
        while sets and not enough():
            # What a pass was given up for comes with the next.
            listed = list(sets.items())
            # One by one: an edit may hold a pattern of its own, [query, key] in float64.
            variants = (self.ablate(own).edits(clean) for _, own in listed)
            wave = wavefront(
                self.run.model.engine,
                self.run._recording,
                variants,
                list(self.measure.positions) or None,
                base=below._edits,
                resid=below._resid,
            )
            while (chunk := self.attempt(partial(next, wave, None))) is not None:
                indices, logits = chunk
                trials = self._read(self.measure.row(logits))
                del logits, chunk
                for index, trial in zip(indices, trials, strict=True):
                    heads, own = listed[index]
                    self.blocks += self._cost(own)
                    self._keep(heads, trial)
                    del sets[heads]
                met = [listed[index][0] for index in indices]
                for heads in met:
                    if self[heads].near:
                        self.confirm(heads)
                # No stage is to end for a set that does it in a batch alone.
                for size in {len(heads) for heads in met}:
                    self.sure(size, only=self.does_it)
                self.said()
                if enough():
                    break

    def _cost(self, heads: Sequence[Head]) -> int:
        layers = self.run.model.n_layers
        return layers - min(head.layer for head in heads) if self.run.model.engine.resumes else layers

    def _keep(self, heads: Heads, trial: Trial) -> None:
        size, known = len(heads), self.by_size.setdefault(len(heads), {})
        self.sets += heads not in known
        known[heads] = trial
        best = self._best.get(size)
        if best == heads:
            # Run again by itself, it may have lost its place.
            del self._best[size]
            for first in self.top(size, 1):
                self._best[size] = first
        elif not math.isnan(self.value(trial)) and (best is None or self._key(heads, trial) < self._key(best, known[best])):
            self._best[size] = heads

    def _read(self, rows: Tensor) -> list[Trial]:
        """Of logits [row, vocabulary] (or [row, class])."""
        together = max(1, (_GPU_NUMBERS if rows.is_cuda else _CPU_NUMBERS) // rows.shape[-1])
        return [trial for some in rows.split(together) for trial in self._read_some(some)]

    def _read_some(self, rows: Tensor) -> list[Trial]:
        log_q, undefined = metrics.log_probabilities(rows), rows.isnan().any(-1)
        # Of equal logits, `argmax` takes the lowest id; what came first before is not overtaken by its equal.
        first = torch.where(rows[:, self._first] == rows.amax(-1), self._first, rows.argmax(-1)).to(log_q.device)
        nothing = torch.full_like(log_q[:, 0], math.nan)
        margins = nothing if self.target is None else metrics.margin_rows(rows, self.target)
        largest = rows.abs().masked_fill(~rows.isfinite(), 0).amax(-1).to(margins).clamp_min(self._largest)
        columns = [
            margins,
            metrics.kl_rows(self._row, rows),
            log_q.gather(-1, first[:, None])[:, 0].exp(),
            nothing if self.target is None else log_q[:, self.target].exp(),
            self._eps * largest,
        ]
        table = torch.stack([column.to(nothing.device) for column in columns], -1)
        table = table.masked_fill(undefined.to(table.device)[:, None] | ~table.isfinite(), math.nan).tolist()
        return [
            Trial(margin, kl, i, p, q, abs(margin) <= slack) for (margin, kl, p, q, slack), i in zip(table, first.tolist(), strict=True)
        ]


def joined(heads: Heads, head: Head) -> Heads:
    return tuple(sorted((*heads, head)))


def without(heads: Heads, head: Head) -> Heads:
    return tuple(one for one in heads if one != head)
