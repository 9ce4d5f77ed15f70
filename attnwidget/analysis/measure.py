"""`Measure`: the number that is asked of an answer, and how far another answer is from it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from .. import metrics
from ..errors import AttnWidgetError, ModelError
from ..run import Run
from .pooling import cosine_distance, l2_distance, pooled, pooled_positions

_perplexities: WeakKeyDictionary[Run, Tensor] = WeakKeyDictionary()
_POSITIONS = 64  # whose probabilities are in memory at once, [position, vocabulary] in float64


@dataclass(frozen=True)
class Metric:
    """A kind of number. `effect(before, after, measure)` gives one number a row, in float64, and can be differentiated in `after`."""

    name: str
    label: str
    """With {target} and {against} to be filled in."""
    unit: str
    signed: bool
    effect: Callable[[Tensor, Tensor, Measure], Tensor]
    needs: tuple[str, ...] = ()
    """Which of target and against it is about."""
    whole: bool = False
    """Whether it is about every position of the prompt."""


@dataclass(frozen=True)
class Measure:
    """A metric at one position of one run. `effect` is 0 for the answer of that run itself."""

    metric: Metric
    position: int | None
    """None for what is about every position, and for classifiers."""
    positions: tuple[int, ...]
    """Whose logits are needed, in this order."""
    kept: Tensor | None
    """`before`, where it is kept."""
    ids: tuple[int, ...]
    target: int | None
    against: int | None
    label: str
    run: Run | None = field(default=None, repr=False)
    """Where it is not: the run that it is read off."""

    @property
    def before(self) -> Tensor:
        """The logits of the run that effects are measured from, [position, vocabulary] or [class]. Of the perplexity computed anew:
        those of 2,048 tokens and 49,152 words are 400 MB."""
        return self.run.logits if self.kept is None else self.kept

    def effect(self, logits: Tensor) -> Tensor:
        """[row] from logits [row, position, vocabulary] at `positions` (or [row, class]): the drop, the change, or the divergence."""
        return self.metric.effect(self.before, logits, self)

    def of_itself(self) -> float:
        """The effect of the run's own answer: 0, or NaN where what is asked is not defined for it."""
        effect = self.perplexity_before * 0 if self.run is not None else self.effect(self.before[None])[0]
        return 0.0 if effect.isfinite() else math.nan

    def row(self, logits: Tensor) -> Tensor:
        """[..., vocabulary] at the one position, of logits [..., 1, vocabulary]; a classifier's as they are."""
        return logits[..., 0, :] if self.positions else logits

    def perplexity(self, logits: Tensor) -> Tensor:
        """[...] from logits [..., position, vocabulary] at all positions: `exp(-mean log p(next token))`."""
        ids = torch.tensor(self.ids[1:], device=logits.device).expand(*logits.shape[:-2], -1)

        def log_probs(some: Tensor, followed: Tensor) -> Tensor:
            probs = metrics.log_probabilities(some)
            return probs.gather(-1, followed.to(probs.device)[..., None])[..., 0]

        # A few positions at a time: in float64, those of a long prompt would take several times the memory of their logits.
        parts = zip(logits[..., :-1, :].split(_POSITIONS, -2), ids.split(_POSITIONS, -1), strict=True)
        return (-torch.cat([log_probs(some, followed) for some, followed in parts], -1).mean(-1)).exp()

    @cached_property
    def perplexity_before(self) -> Tensor:
        """Of the run itself; every row is compared with it. From all positions at once, as that of a row is: by parts, rounding would be
        an effect."""
        if self.run not in _perplexities:
            _perplexities[self.run] = self.perplexity(self.before)
        return _perplexities[self.run]


def _kl(before: Tensor, after: Tensor, measure: Measure) -> Tensor:
    return metrics.kl_rows(measure.row(before), measure.row(after))


def _logit_diff(before: Tensor, after: Tensor, measure: Measure) -> Tensor:
    def of(logits: Tensor) -> Tensor:
        row = measure.row(logits).double()
        return row[..., measure.target] - row[..., measure.against]

    return of(before) - of(after)


def _log_probability(before: Tensor, after: Tensor, measure: Measure) -> Tensor:
    def of(logits: Tensor) -> Tensor:
        return metrics.log_probabilities(measure.row(logits))[..., measure.target]

    return of(before) - of(after)


def _probability(before: Tensor, after: Tensor, measure: Measure) -> Tensor:
    def of(logits: Tensor) -> Tensor:
        return metrics.log_probabilities(measure.row(logits))[..., measure.target].exp()

    return of(before) - of(after)


def _entropy(before: Tensor, after: Tensor, measure: Measure) -> Tensor:
    return metrics.entropy_rows(measure.row(after)) - metrics.entropy_rows(measure.row(before))


def _perplexity(before: Tensor, after: Tensor, measure: Measure) -> Tensor:
    return measure.perplexity(after) - measure.perplexity_before


METRICS: dict[str, Metric] = {
    m.name: m
    for m in (
        Metric("kl", "KL", "nats", False, _kl),
        Metric("logit_diff", "drop in logit({target}) − logit({against})", "", True, _logit_diff, ("target", "against")),
        Metric("probability", "drop in P({target})", "", True, _probability, ("target",)),
        Metric("log_probability", "drop in log P({target})", "nats", True, _log_probability, ("target",)),
        Metric("entropy", "change of entropy", "nats", True, _entropy),
        Metric("perplexity", "change of perplexity", "", True, _perplexity, whole=True),
    )
}


def named(token: object) -> bool:
    """Whether a target or foil was named: None and "" leave it to the default."""
    return token is not None and not (isinstance(token, str) and token == "")


def _embedding_cosine(before: Tensor, after: Tensor, measure: Measure) -> Tensor:
    return cosine_distance(pooled(before), pooled(after))


def _embedding_l2(before: Tensor, after: Tensor, measure: Measure) -> Tensor:
    return l2_distance(pooled(before), pooled(after))


# Of models without a head, whose "logits" are their last hidden states [position, d_model]. They have no gradient at the run they are
# measured from, as KL has none.
EMBEDDING_METRICS: dict[str, Metric] = {
    m.name: m
    for m in (
        Metric("embedding_cosine", "cosine distance of the mean-pooled embedding", "", False, _embedding_cosine, whole=True),
        Metric("embedding_l2", "L2 distance of the mean-pooled embedding", "", False, _embedding_l2, whole=True),
        Metric("embedding_cosine_cls", "cosine distance of the first token's embedding", "", False, _embedding_cosine, whole=True),
        Metric("embedding_l2_cls", "L2 distance of the first token's embedding", "", False, _embedding_l2, whole=True),
    )
}


def make_measure(
    run: Run,
    metric: str,
    *,
    target: str | int | None = None,
    against: str | int | None = None,
    position: int | None = None,
) -> Measure:
    """Checks what was asked and reads the logits of `run` that effects are measured from.

    `target` is the first choice of the clean run unless given, `against` the best other token of the clean run. `position` None is where
    the model answers.
    """
    if isinstance(metric, str) and metric in EMBEDDING_METRICS:
        return _of_embedding(run, EMBEDDING_METRICS[metric])
    if not isinstance(metric, str) or metric not in METRICS:
        raise AttnWidgetError(f"No metric {metric!r}: there are {', '.join(METRICS)}.")
    chosen, model = METRICS[metric], run.model
    if model.answer == "none":
        raise ModelError(
            f"{model.name} has no head that answers: load it with one, ablate with metric='embedding_cosine', "
            "or ask for 'output_norm' or a pattern statistic."
        )
    if chosen.whole and model.answer != "next":
        raise ModelError(
            f"Perplexity is defined for models that predict the next token; {model.name} does not: ask for 'kl' or 'logit_diff'."
        )
    if chosen.whole and len(run.ids) < 2:
        raise AttnWidgetError("The perplexity of one token is undefined: give a longer prompt, or ask for 'kl'.")
    at = None if model.answer == "class" or chosen.whole else run.position(position)
    target_id, against_id = _pair(run, at, target, against) if chosen.needs else (None, None)
    if "against" not in chosen.needs:
        against_id = None
    elif against_id is None:
        raise AttnWidgetError(f"{model.name} has one output, so there is no other to compare it with: ask for 'kl'.")
    names = {"target": _named(run, target_id), "against": _named(run, against_id)}
    positions = tuple(range(len(run.ids))) if chosen.whole else () if at is None else (at,)
    label = chosen.label.format(**names)
    if chosen.whole:
        return Measure(chosen, at, positions, None, run.ids, target_id, against_id, label, run)
    before = run.logits_at(at)[None] if at is not None else run.logits_at()
    return Measure(chosen, at, positions, before, run.ids, target_id, against_id, label)


def _of_embedding(run: Run, metric: Metric) -> Measure:
    if run.model.answer != "none":
        raise ModelError(
            f"{metric.name!r} is about models without a head, and {run.model.name} has one that answers: ask for 'kl' or 'logit_diff'."
        )
    positions = pooled_positions(run, "cls" if metric.name.endswith("_cls") else "mean")
    return Measure(metric, None, positions, run.logits[list(positions)], run.ids, None, None, metric.label)


def _pair(run: Run, at: int | None, target: str | int | None, against: str | int | None) -> tuple[int, int | None]:
    row = run.clean.logits_at(at)
    best = metrics.best(row, 2)
    target_id = run.model.token_id(target) if named(target) else best[0]
    if named(against):
        against_id = run.model.token_id(against)
        if against_id == target_id:
            raise AttnWidgetError(
                f"target and against are both {run.model.token(target_id)!r}, and a logit less itself is 0: name another token."
            )
    else:
        against_id = next((i for i in best if i != target_id), None)
    return target_id, against_id


def _named(run: Run, token_id: int | None) -> str:
    return "" if token_id is None else run.model.token(token_id).strip() or repr(run.model.token(token_id))
