"""The exact sweep of every head in small steps: it can be stopped after any of them, looked at, and gone on with.

A step takes as many heads as fit into a third of a second, by the time the last step took, so that there is something new to see; a
click need not wait for its end (`Job.redoable`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from ..analysis.headscores import HeadScores
from ..analysis.measure import EMBEDDING_METRICS, METRICS
from ..analysis.method import Progress
from ..analysis.score import METHODS, scorable, score_each
from ..heads import Head
from ..run import Run

AIM = 0.3  # seconds a step
_PACES = 3  # steps by which the rest is judged
_GROWTH = 4  # a step is at most as many times as large as the last, whose time may have been an accident
# A step has at least so many tokens, heads times those of the prompt: four heads of a short prompt take hardly longer than one, whose
# products are as long as it takes to read the weights.
TOKENS = 64

# Metrics that are read off the same logits, so that one sweep answers all of them: those of one position, and those of an embedding.
_GROUPS = (tuple(name for name, metric in METRICS.items() if not metric.whole), tuple(EMBEDDING_METRICS))


def swept_together(metric: str) -> tuple[str, ...]:
    """The metrics that one sweep answers when it is asked for this one."""
    return next((group for group in _GROUPS if metric in group), (metric,))


class Sweep:
    """Every head of `run` ablated alone, and what that does under each of `metrics`; `asked` are further arguments of `score_each`.

    Several threads may step it in turn: a cell that reads `w.scores` goes on where the worker is.
    """

    def __init__(self, run: Run, metrics: tuple[str, ...], **asked: object):
        model = run.model
        self.run, self.metrics, self._asked = run, metrics, asked
        self._lock = model.lock
        self.scores: dict[str, HeadScores] = {}
        """By metric; NaN where a head is not measured yet. Empty before the first step."""
        self.measured = np.zeros((model.n_layers, model.n_heads), bool)
        self.seconds = 0.0
        """That it took so far."""
        # Lists that are replaced and never changed: others may be reading them.
        self._left = list(scorable(run, METHODS["ablation"], asked["mode"]))
        self._paces: list[tuple[int, float]] = []
        self._total = len(self._left), sum(map(self._cost, self._left))
        self._least = math.ceil(TOKENS / len(run.ids))
        self._size = 0.0  # in blocks
        self._steps = 0

    @property
    def of(self) -> list[Run]:
        """The runs that it holds: its own, and those that z is taken from."""
        return [self.run, *(one for one in self._asked.get("reference") or () if isinstance(one, Run))]

    @property
    def finished(self) -> bool:
        return bool(self.scores) and not self._left

    @property
    def settled(self) -> bool:
        """Whether the last steps were large enough to tell how long the rest will take."""
        paces = self._paces
        return len(paces) > 1 and paces[-1][1] >= AIM / 2

    @property
    def remaining(self) -> float | None:
        """Seconds that the heads left would take, at the pace of the last steps; None before the second step."""
        left, paces = self._left, self._paces
        if not left:
            return 0.0
        if not paces:
            return None
        return sum(took for _, took in paces) / sum(work for work, _ in paces) * sum(map(self._cost, left))

    @property
    def progress(self) -> tuple[int, int, str]:
        """Blocks run, blocks in all, and what is done in words."""
        (heads, work), left = self._total, self._left
        return work - sum(map(self._cost, left)), work, f"{heads - len(left)} of {heads} heads measured"

    def now(self, metric: str) -> tuple[HeadScores | None, np.ndarray, bool]:
        """What is measured so far under `metric`, [layer, head] of which heads, and whether these are all."""
        with self._lock:
            return self.scores.get(metric), self.measured.copy(), self.finished

    def step(self) -> None:
        """Measures the next few heads. Where it is ended before its time, by whatever is raised, it has measured none."""
        self._measure(self._next)

    def finish(self, progress: Progress) -> None:
        """Measures all that are left in one go, whose passes do not hang on how long the last ones took."""
        self._measure(lambda: self._left, progress)

    def _measure(self, chosen: Callable[[], list[Head]], progress: Progress | None = None) -> None:
        with self._lock:
            if self.finished:
                return
            heads = chosen()
            start = time.monotonic()
            found = score_each(self.run, "ablation", self.metrics, heads=heads, progress=progress, **self._asked)
            took = time.monotonic() - start
            work = sum(map(self._cost, heads))
            for name, new in found.items():
                old = self.scores.get(name)
                if old is not None:
                    extra = {column: np.where(self.measured, old.extra[column], of) for column, of in new.extra.items()}
                    new = replace(new, values=np.where(self.measured, old.values, new.values), extra=extra)
                self.scores[name] = new
            for head in heads:
                self.measured[head] = True
            self._left = self._left[len(heads) :]
            self.seconds += took
            self._steps += 1
            if self._steps > 1:  # the first pays for what is computed once: the clean answer, the reference prompts
                self._paces = [*self._paces, (work, took)][-_PACES:]
            self._size = work * min(_GROWTH, AIM / max(took, 1e-6))

    def _next(self) -> list[Head]:
        heads, work = [], 0
        for head in self._left:
            cost = self._cost(head)
            if len(heads) >= self._least and work + cost > self._size:
                break
            heads.append(head)
            work += cost
        return heads

    def _cost(self, head: Head) -> int:
        """In blocks: a head of layer l changes the L − l blocks from its own up."""
        n_layers = self.run.model.n_layers
        return n_layers - head.layer if self.run.model.engine.resumes else n_layers
