"""A recording in the making: answers to what the panels ask, with what was asked."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
import torch

from ..analysis.score import score_each
from ..analysis.singles import Singles, single_ablations
from ..errors import AttnWidgetError
from ..heads import Head
from ..model import Model
from ..run import Run
from .asking import TOP_K, Asking
from .facts import default_metric
from .jobs import Job
from .ops import OPS, Stale
from .painted import together
from .question import Question, question
from .scores import estimated
from .session import Session
from .wire import Array


class Recorder:
    """Asks the session what panels would ask, and keeps the answers. Traits are read once, at the start; where another prompt is run
    meanwhile, the next question ends with `Stale`. With `told`, what a view was answered last stands for the same question."""

    def __init__(self, widget: object, job: Job, told: bool = False):
        self.session: Session = widget._session
        self.model: Model = widget.model
        if self.session.key:
            self.session.clean  # noqa: B018  before anything is read: where the weights have changed, the run has another key from here on
        self.asking = Asking(widget)
        self.key = self.asking.state["run_key"]
        self.job, self.told = job, told
        self.answers: list[dict] = []
        self.patterns: dict | None = None

    @property
    def clean(self) -> Run:
        run = self.session.clean
        if self.key != self.session.key:
            raise Stale
        return run

    def keep(self, op: str, args: dict, result: object) -> None:
        self.answers.append({"op": op, "args": {**args, "run_key": "recorded"}, "result": result})

    def ask(self, op: str, args: dict) -> object:
        """The answer to a question, kept; what it raises where it is refused."""
        result = self.session.answer_like(op, args) if self.told else None
        if result is None:
            result = OPS[op].answer(self.session, {**args, "run_key": self.key}, self.job)
        if op == "scores":
            result = {**result, "seconds": 0.0}  # how long it took is no result, and never the same
        self.keep(op, args, result)
        return result

    def try_ask(self, op: str, args: dict) -> object | None:
        """None where it is refused: this model, or this prompt, has none."""
        try:
            return self.ask(op, args)
        except AttnWidgetError:
            return None

    def noted(self, op: str) -> tuple[dict, object] | None:
        """What a view was answered last of this kind."""
        return next((found for found in reversed(self.session.answers_of(op)) if found[0]["run_key"] == self.key), None)

    # -- single heads ---------------------------------------------------------------------------------------------

    @cached_property
    def single(self) -> Question:
        """What is asked of each head ablated alone."""
        fact = self.asking.fact("ablation")
        return question(self.session, self.asking.scores(fact, default_metric(self.model)))

    @property
    def singles_refused(self) -> str | None:
        """Why no head can be ablated alone in the mode that is chosen; None where it can."""
        if (reason := self.asking.fact("ablation")["refused"]) is not None:
            return reason
        try:
            self.single._measured(self.single.metric)
            self.clean.ablate([(self.model.n_layers - 1, 0)], self.single.how.mode, **self._single_how)
        except AttnWidgetError as error:
            return str(error)
        return None

    @property
    def _single_how(self) -> dict:
        return {name: value for name, value in self.single.asked.items() if name not in ("mode", "target", "against", "position")}

    @property
    def singles_key(self) -> tuple:
        about = self.asking.about
        return self.single.how.key, tuple(self.single.together.values()), tuple(about.values())

    def singles(self) -> Singles:
        """Every head ablated alone, measured in one sweep; kept by the session."""
        return self.session.singles(self.singles_key, lambda: self.sample(None))

    def sample(self, heads: list[Head] | None) -> Singles:
        """Some of them, or all, measured now."""
        asked = self.single
        return single_ablations(asked.run, tuple(asked.together), **asked.asked, k=TOP_K, heads=heads, progress=self.job.chunk)

    def measure(self, args: dict) -> None:
        """Keeps the answer to a question for scores of ablation, measured in one sweep of its own where `singles` has it not."""
        asked = question(self.session, args)
        own = self.singles() if self._is_single(asked) else None
        if own is not None and asked.metric in own.scores:
            scores = own.scores[asked.metric]
        else:
            scores = score_each(asked.run, "ablation", (asked.metric,), **asked.asked, progress=self.job.chunk)[asked.metric]
        where = np.ones(scores.values.shape, bool)
        self.keep("scores", args, together(scores, where, estimated(asked, self.job), finished=True, seconds=0.0))

    def _is_single(self, asked: Question) -> bool:
        mine = self.single
        return asked.condition is None and (asked.how.key, asked.about) == (mine.how.key, mine.about)

    # -- patterns -------------------------------------------------------------------------------------------------

    def eight_bit(self, heads: list[Head]) -> np.ndarray:
        """Patterns of the clean run as `value / 255`, [head, cell]: of a causal model the lower triangles, row by row."""
        n, run = self.asking.tokens, self.clean
        rows, columns = np.tril_indices(n) if self.model.causal else (slice(None), slice(None))
        cells = np.empty((len(heads), n * (n + 1) // 2 if self.model.causal else n * n), np.uint8)
        of: dict[int, list[int]] = {}
        for i, head in enumerate(heads):
            of.setdefault(head.layer, []).append(i)
        for done, (layer, indices) in enumerate(sorted(of.items())):
            self.job.chunk(done, len(of), "Reading the patterns")
            steps = _steps(run.patterns(layer))
            for i in indices:
                cells[i] = steps[heads[i].head][rows, columns].reshape(-1)
        return cells

    def keep_patterns(self, heads: list[Head]) -> None:
        n = self.asking.tokens
        maps = Array(self.eight_bit(heads))
        self.patterns = {"heads": heads, "queries": n, "keys": n, "causal": self.model.causal, "maps": maps}

    def keep_present_patterns(self, heads: list[Head]) -> None:
        """The maps of `heads` with what is ablated now, and their change, to 8 bits each."""
        args = {"ablation": self.asking.present, "heads": heads}
        found = OPS["patterns"].answer(self.session, {**args, "run_key": self.key}, self.job)
        change = np.rint(found["change"].values * 255).astype(np.float32) / np.float32(255)
        maps = np.rint(found["maps"].values * 255).astype(np.uint8)
        self.keep("patterns", args, {"heads": heads, "maps": Array(maps), "change": Array(change)})

    @property
    def every_head(self) -> list[Head]:
        return [Head(layer, head) for layer in range(self.model.n_layers) for head in range(self.model.n_heads)]

    def attempt(self, compute: Callable[[], object]) -> None:
        """Does without what is refused."""
        try:
            compute()
        except AttnWidgetError:
            return


def _steps(patterns: torch.Tensor) -> np.ndarray:
    return (patterns.float().cpu().clamp(0, 1) * 255).round().to(torch.uint8).numpy()
