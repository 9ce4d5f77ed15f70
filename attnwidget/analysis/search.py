"""The search for a set of heads: singles, a beam, pairs, random sets, then what can be left out and what can be proved.

`docs/studies.md` says it in words. Nothing in it depends on time: the same question has the same answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from ..engine.interrupt import checkpoint
from .candidates import Candidates
from .studied import RandomSets
from .trials import Heads, Trials, joined, without


@dataclass(frozen=True)
class Plan:
    """How much is searched."""

    beam: int
    max_heads: int
    candidates: int
    budget: int
    """Sets that may be run; those that are drawn at random, and those that a set that was found is reduced by, are not counted."""
    random: int
    seed: int


class Search:
    """Runs sets until the question is answered or the budget is spent; `trials` has what became of them."""

    def __init__(self, trials: Trials, plan: Plan, progress: Callable[[int, int, str], None], partial: Callable[[Search], None]):
        self.trials, self.plan, self._progress, self._partial = trials, plan, progress, partial
        self.largest = min(plan.max_heads, len(trials.heads))
        self.candidates = Candidates(trials, plan.candidates, self._say)
        self.random: list[RandomSets] = []
        self.pairs_among: int | None = None
        """Of how many heads, the most promising ones, all pairs were run, where it was not of all."""
        self._uncounted, self._planned, self._text = 0, 0, ""
        trials.said = self._changed

    @property
    def targeted(self) -> bool:
        return self.trials.target is not None

    @property
    def found(self) -> Heads | None:
        return self.trials.found

    @property
    def left(self) -> int:
        """Sets that may still be run."""
        return max(0, self.plan.budget - (self.trials.sets - self._uncounted))

    def go(self) -> None:
        self._stage("Each head alone", len(self.trials.heads))
        self.trials.extend((), self.trials.heads)
        if self.largest > 1 and self._blind():
            # What no head shows alone, two may show together; the beam is to have its part of the budget.
            self._pairs(self.left if self._untried(2) <= self.left else self.left // 2)
        self._beam()
        self._widen()
        self._draw()
        while True:
            self._settle()
            found = self.found
            for size in self.trials.sizes:
                self.trials.sure(size)
            if self.found == found:
                break
        self._stage("Done", 0)

    # -- the stages ---------------------------------------------------------------------------------------------------

    def _blind(self) -> bool:
        """Whether no head does anything alone, up to rounding, that would lead on from it."""
        return all(math.isnan(gain) or gain <= 0 for gain in self.candidates.singles().values())

    def _beam(self) -> None:
        """From the best sets of each size to those of the next, until one does it."""
        for size in range(2, self.largest + 1):
            if self.found is not None or not self.left:
                return
            for heads in self.trials.top(size - 1, self.plan.beam):
                new = [head for head in self.candidates.at(heads) if joined(heads, head) not in self.trials][: self.left]
                self._stage(f"Sets of {size} heads", len(new))
                self.trials.extend(heads, new)
            if not self.trials.count(size):
                return

    def _widen(self) -> None:
        """Without a target, or where none was found: all sets of the sizes that the budget has room for, or as many pairs as half of it
        has; then the beam again, from the best of those."""
        for size in range(2, self.largest + 1):
            if self.found is not None:
                return
            if self._untried(size) > self.left:
                break
            self._every(size)
        else:
            return
        if size == 2:
            self._pairs(self.left // 2)
        self._beam()
        if self.targeted and self.found is None:
            self._pairs(self.left)

    def _pairs(self, most: int) -> None:
        """All pairs of as many of the most promising heads as `most` new sets allow."""
        promise = self.candidates.promise()
        ordered = sorted(self.trials.heads, key=lambda head: (-promise[head], head))
        among, new = 1, 0
        while among < len(ordered):
            checkpoint()
            new += sum(joined((ordered[among],), other) not in self.trials for other in ordered[:among])
            if new > most:
                break
            among += 1
        self._every(2, tuple(sorted(ordered[:among])))
        if not self._done(2)():  # else it ended before
            self.pairs_among = among if 1 < among < len(ordered) else None

    def _every(self, size: int, among: Heads | None = None) -> None:
        """All sets of a size, of the heads `among`, but those that were run; where there is a target, until one does it.

        Each is its lower heads and one more, so that many rows share the pass through the layers below. Of these groups, the one with the
        most promising set goes first.
        """
        heads = self.trials.heads if among is None else among
        promise = self.candidates.promise() if self.targeted else dict.fromkeys(heads, 0)
        groups = []
        self._stage(text := "All pairs" if size == 2 else f"All sets of {size} heads", 0)
        for i, lower in _lower(heads, size):
            checkpoint()  # there may be very many, before the first of them is run
            more = [head for head in heads[i:] if joined(lower, head) not in self.trials]
            if more:
                groups.append((-sum(promise[head] for head in lower) - max(promise[head] for head in more), lower, more))
        self._stage(text, sum(len(more) for _, _, more in groups))
        done = self._done(size)
        for _, lower, more in sorted(groups):
            if done():
                return
            self.trials.extend(lower, more, done)

    def _done(self, size: int) -> Callable[[], bool]:
        def done() -> bool:
            best = self.trials.best(size)
            return best is not None and self.trials.does_it(best)

        return done

    def _draw(self) -> None:
        """Random sets of each size there is."""
        for size in self.trials.sizes if self.plan.random else ():
            drawn = drawn_at_random(self.trials.heads, size, self.plan.random, self.plan.seed)
            with self._uncounting():
                self._stage("Random sets", sum(one not in self.trials for one in drawn))
                self.trials.try_sets(drawn)
            defined = [value for one in drawn if not math.isnan(value := self.trials.value(self.trials[one]))]
            if defined:
                self.random.append(RandomSets(size, len(defined), min(defined), float(np.median(defined)), max(defined)))
            self._changed()

    def _settle(self) -> None:
        """Of the set that was found: what can be left out of it, and whether a smaller one does it, as far as the budget goes."""
        while (found := self.found) is not None:
            size = len(found)
            with self._uncounting():
                self._stage("Dropping heads", sum(without(found, head) not in self.trials for head in found))
                self.trials.try_sets(without(found, head) for head in found)
                self.trials.sure(size)
                for head in found:
                    self.trials.confirm(without(found, head))
            if self.found != found:
                continue
            for smaller in range(2, size):
                if self._untried(smaller) == 0:
                    continue
                whole = self._untried(smaller) <= self.left
                if whole:
                    self._every(smaller)
                elif smaller == 2:
                    self._pairs(self.left)
                if self.found != found or not whole:
                    break
            if self.found == found:
                return

    # -- counting and telling -----------------------------------------------------------------------------------------

    def _untried(self, size: int) -> int:
        return self.trials.of(size) - self.trials.count(size)

    @contextmanager
    def _uncounting(self) -> Iterator[None]:
        before = self.trials.sets
        try:
            yield
        finally:
            self._uncounted += self.trials.sets - before

    def _stage(self, text: str, sets: int) -> None:
        self._text, self._planned = text, self.trials.sets + sets
        self._changed()

    def _changed(self) -> None:
        self._partial(self)
        self._say(self._text)

    def _say(self, text: str) -> None:
        self._progress(self.trials.sets, max(self._planned, self.trials.sets), text or self._text)


def drawn_at_random(heads: Heads, size: int, most: int, seed: int) -> list[Heads]:
    """`most` different sets of a size, or all where there are no more; the same for the same seed."""
    if math.comb(len(heads), size) <= most:
        return list(combinations(heads, size))
    generator, drawn = np.random.default_rng([seed % 2**63, size]), dict[Heads, None]()
    while len(drawn) < most:
        drawn[tuple(heads[i] for i in sorted(generator.choice(len(heads), size, replace=False)))] = None
    return list(drawn)


def _lower(heads: Heads, size: int) -> Iterator[tuple[int, Heads]]:
    """All but the last head of each set of a size, with the index of the first that may be the last."""
    for chosen in combinations(range(len(heads)), size - 1):
        yield chosen[-1] + 1, tuple(heads[i] for i in chosen)
