"""One side of a generation: a text that grows by a token at a time, predicted by the clean or by the ablated model.

What an ablation of a prompt means once the text goes on is decided here (see `generate`): modes that act on each position by itself are
edits of a step; the others need the whole text anew at each token.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from .. import metrics
from ..engine import Decoder, Edit, cache_proved
from ..errors import ModelError
from ..model import Model
from ..run import AblatedRun, Run
from .generation import Alternative, Continuation, Ended, Step
from .sampling import Sampling

_ALTERNATIVES = 5

# What these write at one position depends on no other position of the text. Any other mode is taken to need the whole text.
LOCAL = frozenset({"zero", "scale", "mean", "resample", "sparsify"})


def is_local(run: Run) -> bool:
    """Whether the run's ablation acts on each position by itself, so that keys and values of earlier ones stay what they were."""
    return not run.ablation.heads or run.ablation.mode in LOCAL


def ablation_from(run: Run) -> Callable[[int], list[Edit]]:
    """The edits of a position-local ablation, for a pass over the text from position `start` on: 0, or at least the prompt's length.

    With no positions given they act on every position; those given are the prompt's, and so is all that `resample` has.
    """
    n, edits = len(run.ids), run._edits
    if run.ablation.positions is None and run.ablation.mode != "resample":
        return lambda start: edits
    of_prompt = [Edit(edit.layer, edit.site, _on_first(n, edit.function)) for edit in edits]
    return lambda start: of_prompt if start == 0 else []


def _on_first(n: int, function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    def edited(z: Tensor) -> Tensor:
        new = z.clone()
        new[:, :n] = function(z[:, :n])
        return new

    return edited


class Stream:
    """A text of `run`'s model that begins with its prompt, predicted with its ablation."""

    def __init__(self, run: Run, sampling: Sampling, most: int, ends: frozenset[int], cache: bool):
        self.model: Model = run.model
        self.prompt, self.ids = run.ids, list(run.ids)
        self.cached = cache and is_local(run) and cache_proved(run.model.engine, run.ids)
        self.ended: Ended | None = None
        self.steps: list[Step] = []
        self._sampling, self._most, self._ends = sampling, most, ends
        words = self.model.vocabulary
        self._specials = words.special_ids | words.stand_in_ids  # what no text is made of
        self._predict = _predictor(run, self.cached)

    def advance(self, u: float) -> None:
        """One token more, drawn with the random number `u` from 0 to 1."""
        logits = self._predict(self.ids)
        if logits.isnan().any():
            raise ModelError(
                f"{self.model.name} predicts nothing after {len(self.ids)} tokens (its logits are not numbers): ablate less, or otherwise."
            )
        chosen = self._sampling.choose(logits, u)
        self.steps.append(self._step(chosen, logits))
        self.ids.append(chosen)
        if chosen in self._ends:
            self.ended = "end of text"
        elif len(self.steps) == self._most:
            self.ended = "length"
        elif len(self.ids) == self.model.n_ctx:
            self.ended = "context"

    def continuation(self) -> Continuation:
        """What has been generated so far."""
        return Continuation(tuple(self.steps), self._text(), self.ended)

    def _step(self, chosen: int, logits: Tensor) -> Step:
        log_probs, text = metrics.log_probabilities(logits), self.model.token
        best = metrics.best(logits, _ALTERNATIVES)
        *likely, own = log_probs[[*best, chosen]].exp().tolist()
        alternatives = tuple(Alternative(i, text(i), p) for i, p in zip(best, likely, strict=True))
        return Step(chosen, text(chosen), own, chosen in self._specials, alternatives)

    def _text(self) -> str:
        # Not the new tokens alone: SentencePiece drops the space of a first token, and a character may have begun in the prompt.
        joined = self.model.vocabulary.joined
        before, whole = joined(self.prompt), joined(self.ids)
        return whole[len(before) :] if whole.startswith(before) else joined(self.ids[len(self.prompt) :])


def _predictor(run: Run, cached: bool) -> Callable[[Sequence[int]], Tensor]:
    if is_local(run):
        return Decoder(run.model.engine, ablation_from(run), cached).logits
    return lambda ids: on_text(run, ids).logits_at(-1)


def on_text(run: Run, ids: Sequence[int]) -> Run:
    """A text that begins with the prompt of `run`, run with its ablation, which needs whole patterns: they are those of this text."""
    return run if tuple(ids) == run.ids else AblatedRun(run.model.run(list(ids)), run.ablation)
