"""What a widget has computed: the clean run of its prompt, the last few ablated runs of it, scores of their heads, the last
study and circuit."""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import NamedTuple, TypeVar

from ..analysis.circuit import Circuit
from ..analysis.comparison import Comparison
from ..analysis.headscores import HeadScores
from ..analysis.singles import Singles
from ..analysis.studied import Study
from ..errors import PromptError
from ..model import Model
from ..run import AblatedRun, Run
from .answers import Answers
from .sweep import Sweep

Result = TypeVar("Result")

_KEPT = 8  # ablated runs: a residual stream each; enough for undo, redo and two views
_KEPT_SCORES = 64  # a number per head each: every metric of a few sweeps, and the statistics
_KEPT_SWEEPS = 6  # of the heads ablated, given others or not; of heads exchanged with another prompt, both ways
_KEPT_COMPARISONS = 4
_KEPT_SINGLES = 2  # the answers with each head ablated alone: what a page is made of, for a mode and a target each
_KEPT_ESTIMATES = 16
_KEPT_REFERENCES = 32  # runs of reference prompts, whose means are read once per head
KEPT_BYTES = 256 * 2**20
"""Of activations that ablated runs and runs of reference prompts keep, each: 1,024 tokens of SmolLM2 are 71 MB, with patterns 135 MB. The
last one is kept whatever it takes."""


class Finished(NamedTuple):
    """Scores that are measured to the end, and how long that took."""

    scores: HeadScores
    seconds: float


class Session:
    """The runs behind one widget, or several views of it. Safe to use from the worker's thread and the user's."""

    def __init__(self, model: Model, renewed: Callable[[str], None] = lambda key: None):
        """`renewed(key)` is told when the weights have changed and all that was computed is gone, as with a new prompt."""
        self.model, self._renewed = model, renewed
        self.key = ""
        # The model's own lock: with one of its own, a cell that holds model.lock and reads w.run could wait for ever.
        self._lock = model.lock
        self._keys = itertools.count(1)
        self._prompt: tuple[str | list[int], bool] | None = None
        self._clean: Run | None = None
        self._ablated: OrderedDict[tuple, AblatedRun] = OrderedDict()
        self._scores: OrderedDict[Hashable, Finished] = OrderedDict()
        self._sweeps: OrderedDict[Hashable, Sweep] = OrderedDict()
        self._references: OrderedDict[str, Run] = OrderedDict()
        self._study: Study | None = None
        self._circuit: Circuit | None = None
        self._comparisons: OrderedDict[Hashable, Comparison] = OrderedDict()
        self._singles: OrderedDict[Hashable, Singles] = OrderedDict()
        self._estimates: OrderedDict[Hashable, object] = OrderedDict()
        self._answers = Answers()
        self.compared: object = None
        """The prompt beside another as it was asked for last, with what there is of its effects (`comparing.Compared`)."""

    def start(self, prompt: str | list[int], prepend_bos: bool) -> str:
        """Takes a new prompt (a text, or ids as they are; already checked) and gives its key; the forward is made when first needed."""
        with self._lock:
            self._prompt = (prompt, prepend_bos)
            self._forget()
            self.key = f"run-{next(self._keys)}"
            return self.key

    @property
    def clean(self) -> Run:
        """The clean run of the prompt; `PromptError` while there is none."""
        with self._lock:
            if self._prompt is None:
                raise PromptError("There is no prompt yet: type one and press Run, or set w.prompt.")
            if self._clean is not None and self._clean.outdated:  # trained or folded meanwhile: what was computed is another model's
                self._forget()
                self.key = f"run-{next(self._keys)}"
                self._renewed(self.key)
            if self._clean is None:
                prompt, prepend_bos = self._prompt
                switchable = self.model.vocabulary.bos_id is not None
                self._clean = self.model.run(prompt, prepend_bos=prepend_bos if switchable else None)
            return self._clean

    def ablated(self, heads: list, mode: str, **parameters: object) -> AblatedRun:
        """The run with `heads` ablated; the last few are kept, so undo and a second view cost nothing."""
        key = (tuple(sorted(map(tuple, heads))), mode, repr(sorted(parameters.items())))
        with self._lock:
            clean = self.clean
            _make_room(self._ablated, key)
            return _kept(self._ablated, key, _KEPT, lambda: clean.ablate(heads, mode, **parameters))

    def reference(self, prompt: str) -> Run:
        """The clean run of a reference prompt, with BOS as this prompt has it."""
        with self._lock:
            clean = self.clean
            run = lambda: self.model.run(prompt, prepend_bos=clean.prepend_bos)  # noqa: E731
            _make_room(self._references, prompt)
            found = _kept(self._references, prompt, _KEPT_REFERENCES, run)
            self._let_go()
            return found

    def _let_go(self) -> None:
        """Of comparisons and sweeps that would keep the run of a reference prompt which is kept no longer."""
        kept = {id(run) for run in (self._clean, *self._references.values())}
        holding = ((self._comparisons, lambda one: (one.run, one.other)), (self._sweeps, lambda one: one.of))
        for store, runs in holding:
            for key in [key for key, one in store.items() if any(id(run.clean) not in kept for run in runs(one))]:
                del store[key]

    # -- scores ---------------------------------------------------------------------------------------------------

    def recall(self, run: Run, key: Hashable) -> Finished | None:
        """Scores that were kept under `key`, of `run` or of the clean run that it is an ablation of."""
        with self._lock:
            if run.clean is not self.clean or key not in self._scores:
                return None
            self._scores.move_to_end(key)
            return self._scores[key]

    def keep(self, run: Run, key: Hashable, finished: Finished) -> None:
        """Keeps finished scores until the prompt or the weights change; those of a run that is gone already are dropped."""
        with self._lock:
            if run.clean is self._clean:
                _kept(self._scores, key, _KEPT_SCORES, lambda: finished)

    def sweep(self, run: Run, key: Hashable, make: Callable[[], Sweep]) -> Sweep:
        """The sweep under `key`, as far as it has come, or a new one. Also of a reference prompt's run, while that is kept."""
        with self._lock:
            if run.clean is not self.clean and run not in self._references.values():
                return make()
            while key not in self._sweeps and len(self._sweeps) >= _KEPT_SWEEPS:
                del self._sweeps[self._spare()]
            return _kept(self._sweeps, key, _KEPT_SWEEPS, make)

    def _spare(self) -> Hashable:
        """The sweep that is missed least: a finished one, whose scores are kept, else a conditional one, else the oldest."""
        finished = (key for key, sweep in self._sweeps.items() if sweep.finished)
        conditional = (key for key, sweep in self._sweeps.items() if sweep.run is not self._clean)
        return next(finished, None) or next(conditional, None) or next(iter(self._sweeps))

    @property
    def study(self) -> Study | None:
        """The last one of this prompt, as far as it came; None once the weights have changed."""
        with self._lock:
            return None if self._clean is None or self._clean.outdated else self._study

    def keep_study(self, run: Run, study: Study) -> None:
        """Keeps a study until the next, or the prompt or the weights change."""
        with self._lock:
            if run.clean is self._clean:
                self._study = study

    @property
    def circuit(self) -> Circuit | None:
        """The last circuit of this prompt, as far as it came; None where there is none, or the weights have changed since."""
        with self._lock:
            return None if self._clean is None or self._clean.outdated else self._circuit

    def keep_circuit(self, run: Run, circuit: Circuit) -> None:
        """Keeps a circuit until the next, or the prompt or the weights change."""
        with self._lock:
            if run is self._clean:
                self._circuit = circuit

    def comparison(self, key: Hashable, make: Callable[[], Comparison]) -> Comparison:
        """The comparison of the prompt with another under `key`. It is made without the lock: cells may use the model meanwhile."""
        return self._made(self._comparisons, key, _KEPT_COMPARISONS, make)

    def singles(self, key: Hashable, make: Callable[[], Singles]) -> Singles:
        """The answers with each head ablated alone under `key`, made without the lock."""
        return self._made(self._singles, key, _KEPT_SINGLES, make)

    def estimate(self, key: Hashable, make: Callable[[], Result]) -> Result:
        """What a part of a page was estimated to take, under `key`: it does not change with each head that is looked at."""
        return self._made(self._estimates, key, _KEPT_ESTIMATES, make)

    def has_singles(self, key: Hashable) -> bool:
        with self._lock:
            return self._clean is not None and not self._clean.outdated and key in self._singles

    def _made(self, store: OrderedDict, key: Hashable, most: int, make: Callable[[], Result]) -> Result:
        with self._lock:
            clean = self.clean
            if (kept := store.get(key)) is not None:
                store.move_to_end(key)
                return kept
        made = make()
        with self._lock:
            return made if clean is not self._clean else _kept(store, key, most, lambda: made)

    def note(self, op: str, args: dict, result: object) -> None:
        """Keeps what a view was answered last of its kind: a page, and a saved notebook, can hold it."""
        with self._lock:
            if args.get("run_key") == self.key:
                self._answers.note(op, args, result)

    def answers_of(self, op: str) -> list[tuple[dict, object]]:
        """What was asked last of this kind about the present run, and the answers, with and without ablated heads, the last one last; none
        where the weights have changed."""
        with self._lock:
            return [] if self._clean is None or self._clean.outdated else self._answers.of(op)

    def answer_like(self, op: str, args: dict) -> object | None:
        """The answer a view was given to just this question about the present run, where it was the last of its kind."""
        with self._lock:
            return None if self._clean is None or self._clean.outdated else self._answers.like(op, args)

    def clear(self) -> None:
        """Lets go of every run; ipywidgets keeps closed widgets, and these would keep their activations."""
        with self._lock:
            self._prompt, self.key = None, ""
            self._forget()

    def _forget(self) -> None:
        self._clean = self._study = self._circuit = None
        self.compared = None
        for kept in (
            self._ablated,
            self._scores,
            self._sweeps,
            self._references,
            self._comparisons,
            self._singles,
            self._estimates,
            self._answers,
        ):
            kept.clear()


def _make_room(runs: OrderedDict[Hashable, Run], asked: Hashable) -> None:
    """Lets the oldest runs go until what the others keep is within `KEPT_BYTES`, with room for one more like the largest; the one that is
    asked for stays."""
    sizes = {key: run.nbytes for key, run in runs.items()}
    more = 0 if asked in runs else max(sizes.values(), default=0)
    for key in list(runs):
        if sum(sizes.values()) + more <= KEPT_BYTES:
            return
        if key != asked:
            del runs[key], sizes[key]


def _kept(store: OrderedDict, key: Hashable, most: int, make: Callable[[], object]) -> object:
    """What is in `store` under `key`, made if it is not there; the oldest go beyond `most`."""
    if key not in store:
        store[key] = make()
        while len(store) > most:
            store.popitem(last=False)
    store.move_to_end(key)
    return store[key]
