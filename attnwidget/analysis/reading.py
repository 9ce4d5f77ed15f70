"""`Reading`: one run at one position, with what several sentences of an overview need, computed once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

import numpy as np
from torch import Tensor

from .. import metrics
from ..ablation import make_ablation
from ..engine import wavefront
from ..errors import AttnWidgetError, ModelError
from ..heads import Head
from ..run import Run
from .headscores import HeadScores
from .measure import Measure, make_measure
from .method import Progress
from .origin import origin
from .score import score_each
from .wording import percent, token


class Reading:
    """What is asked about `run`, and the numbers of the answer: the prediction, one exact sweep, direct effects, attention."""

    def __init__(
        self,
        run: Run,
        position: int | None,
        target: str | int | None,
        against: str | int | None,
        progress: Progress,
        scores: Mapping[str, HeadScores],
    ):
        self.run, self.model, self.progress = run, run.model, progress
        self._asked = {"position": position, "target": target, "against": against}
        self._given = scores
        self.by_class = run.model.answer == "class"
        self.at = run.position(position)
        """Where the answer is read; of no meaning for a classifier."""
        self.left_out: dict[str, list[str]] = {}
        """What cannot be said, by the reason."""

    # -- the answer -----------------------------------------------------------------------------------------------

    @cached_property
    def pair(self) -> Measure:
        """The logit difference that is asked about, with its two tokens."""
        _ = self.before  # refuses what has no answer to compare
        return make_measure(self.run, "logit_diff", **self._asked)

    @cached_property
    def before(self) -> Tensor:
        """The logits that effects are measured from, [vocabulary] or [class]."""
        logits = self.run.logits_at(self.at)
        if len(logits) == 1:
            raise ModelError(f"{self.model.name} has one output, so there are no answers to choose between: read it with run.logits_at().")
        return logits

    @cached_property
    def log_probs(self) -> Tensor:
        return metrics.log_probabilities(self.before)

    @cached_property
    def best(self) -> list[int]:
        """The first choice and the second."""
        return metrics.best(self.before, 2)

    def first(self, logits: Tensor) -> int:
        """What comes first in `logits` [vocabulary]: what did before, as long as nothing is above it."""
        old = self.best[0]
        return metrics.best(logits)[0] if (logits > logits[old]).any() else old

    def probability(self, token_id: int) -> float:
        return self.log_probs[token_id].exp().item()

    def named(self, token_id: int) -> str:
        return token(self.model.token(token_id))

    def place(self, position: int) -> str:
        """A token of the prompt; one that occurs more than once has its position with it."""
        tokens = self.run.tokens
        return token(tokens[position]) + (f" (token {position})" if tokens.count(tokens[position]) > 1 else "")

    # -- effects --------------------------------------------------------------------------------------------------

    @cached_property
    def acting(self) -> list[Head]:
        """The heads that are not ablated already."""
        off = set(self.run.ablation.heads)
        acting = [Head(*at) for at in np.ndindex(self.model.n_layers, self.model.n_heads) if at not in off]
        if not acting:
            raise AttnWidgetError("Every head is ablated already, so there is none left to speak of.")
        return acting

    @cached_property
    def sweep(self) -> dict[str, np.ndarray]:
        """`kl` and `logit_diff` of zeroing each head alone, and the `first_choice` there, an id as a float; [layer, head] each."""
        _ = self.before, self.acting  # which refuse what has no answer to compare, and nothing to remove
        names = ("kl", "logit_diff")
        wanted = {name: make_measure(self.run, name, **self._asked) for name in names}
        found = {name: self._given[name] for name in names if name in self._given and self._answers(self._given[name], wanted[name])}
        missing = [name for name in names if name not in found]
        if missing:
            found |= score_each(self.run, "ablation", missing, **self._asked, progress=self.progress)
        return {"first_choice": found["kl"].extra["first_choice"], **{name: found[name].values for name in names}}

    @cached_property
    def direct(self) -> np.ndarray:
        """[layer, head]: what each head writes to the logit difference directly."""
        given = self._given.get("direct_logit")
        if given is not None and self._answers(given, self.pair, "direct_logit"):
            return given.values
        return score_each(self.run, "direct_logit", ("logit_diff",), **self._asked, progress=self.progress)["logit_diff"].values

    def _answers(self, scores: HeadScores, measure: Measure, method: str = "ablation") -> bool:
        """Whether `scores` are the whole and exact answer to this very question."""
        off = set(self.run.ablation.heads) if method == "ablation" else set()
        shape = (self.model.n_layers, self.model.n_heads)
        if scores.origin != origin(self.run) or scores.values.shape != shape or not scores.exact:
            return False
        if method == "ablation" and measure.metric.name == "kl" and "first_choice" not in scores.extra:
            return False
        whole = all(head in off or not np.isnan(scores.values[head]) for head in np.ndindex(shape))
        tokens = tuple(None if i is None else self.model.token(i) for i in (measure.target, measure.against))
        asked = (method, measure.metric.name, measure.position, *tokens)
        told = (scores.method, scores.metric, scores.position, scores.target, scores.against)
        zeroed = method != "ablation" or (scores.mode == "zero" and scores.baseline.endswith("at all positions"))
        return whole and zeroed and asked == told

    def ranked(self, values: np.ndarray) -> list[Head]:
        """Heads by value, largest first; equal ones in their order in the model, undefined ones not at all."""
        flat = values.ravel()
        return [Head(*map(int, divmod(i, values.shape[1]))) for i in np.argsort(-flat, kind="stable") if not np.isnan(flat[i])]

    def without(self, heads: Sequence[Head], read: Callable[[Tensor], object]) -> list:
        """`read(logits [vocabulary])` of the run with one more head zeroed, for each of `heads`."""
        run, found = self.run, {}
        lowest_first = sorted(heads)
        variants = (make_ablation(run.clean, [head], "zero").edits(run.clean) for head in lowest_first)
        positions = None if self.by_class else [self.at]
        self.progress(0, len(heads), "Reading the answer without a head")
        for indices, logits in wavefront(self.model.engine, run._recording, variants, positions, base=run._edits, resid=run._resid):
            for index, row in zip(indices, logits, strict=True):
                found[lowest_first[index]] = read(row if self.by_class else row[0])
            self.progress(len(found), len(heads), "Reading the answer without a head")
        return [found[head] for head in heads]

    # -- attention ------------------------------------------------------------------------------------------------

    def looks(self, head: Head) -> tuple[str, int | None, int | None]:
        """Where `head` looks from the answering position: a sentence, and the query and key it is about."""
        row = self._row(head)
        if row is None:
            return "", None, None
        query = None if self.by_class else self.at
        key = int(row.argmax())
        opening = "On average over all queries it looks" if query is None else f"From {self.place(query)} it looks"

        def at(k: int) -> str:
            return "itself" if k == query else self.place(k)

        if key > 0:
            return f" {opening} most at {at(key)}, {percent(row[key].item())}; the first token gets {percent(row[0].item())}.", query, key
        other = 1 + int(row[1:].argmax())
        first = "itself" if query == 0 else token(self.run.tokens[0])
        where = (
            f"most at the first token, {first}, {percent(row[0].item())}, and of the others at {at(other)}, {percent(row[other].item())}"
        )
        return f" {opening} {where}.", query, key

    def _row(self, head: Head) -> Tensor | None:
        """[key]: the row of the answering position, or the mean row for a classifier; None where there is no choice of where to look."""
        if len(self.run.ids) == 1 or not self.model.selftest.reads_patterns:
            return None
        if not self.by_class and self.model.causal and self.at == 0:
            return None
        pattern = self.run.pattern(head).double()
        return pattern.mean(0) if self.by_class else pattern[self.at]
