"""What the model answers at one position, with and without the ablated heads: the numbers of the prediction panel."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from torch import Tensor

from .. import metrics
from ..ablation import Ablation
from ..drawable import Drawable
from ..markup import html_table
from ..run import AblatedRun, Run
from .measure import named
from .wording import half


@dataclass(frozen=True)
class Odds:
    """How one token stands in one prediction: its probability, logit and rank (1 is the first choice)."""

    probability: float
    logit: float
    rank: int


@dataclass(frozen=True)
class Choice:
    """One token (or class) in the clean and in the ablated prediction; `ablated` is None when nothing is ablated."""

    id: int
    token: str
    clean: Odds
    ablated: Odds | None


@dataclass(frozen=True)
class Pair:
    """A number of the clean run and of the ablated one; None where it is undefined or nothing is ablated."""

    clean: float | None
    ablated: float | None


@dataclass(frozen=True)
class Outcome(Drawable):
    """The answer at `position`. KL is `KL(clean || ablated)` in nats at that position; `logit_diff` is `logit(target) - logit(against)`."""

    answer: str
    position: int
    rows: tuple[Choice, ...]
    clean_top: Choice
    ablated_top: Choice
    target: Choice
    against: Choice | None
    logit_diff: Pair | None
    kl: float | None
    entropy: Pair
    note: str
    dtype: str = ""

    def to_frame(self) -> pd.DataFrame:
        """The rows as a table: token, id, and probability, logit and rank of the clean and the ablated run.
        `attrs` says how it was made."""
        frame = pd.DataFrame(
            [
                {
                    "token": row.token,
                    "id": row.id,
                    **{
                        f"{side}_{name}": getattr(odds, name)
                        for side, odds in (("clean", row.clean), ("ablated", row.ablated))
                        if odds is not None
                        for name in ("probability", "logit", "rank")
                    },
                }
                for row in self.rows
            ]
        )
        frame.attrs = {"note": self.note, "dtype": self.dtype}
        return frame

    def __repr__(self) -> str:
        clean = f"{self.clean_top.token!r} {self.clean_top.clean.probability:.1%}"
        if self.kl is None:
            return f"Outcome({clean}; nothing ablated{half(self.dtype)})"
        ablated = f"{self.ablated_top.token!r} {self.ablated_top.ablated.probability:.1%}"
        return f"Outcome({clean} → {ablated}; KL {self.kl:.4g} nats{half(self.dtype)})"

    def _repr_html_(self) -> str:
        return html_table(self.to_frame())


def outcome(
    run: AblatedRun,
    position: int | None = None,
    *,
    target: str | int | None = None,
    against: str | int | None = None,
    k: int = 10,
) -> Outcome:
    """The prediction of `run` beside that of `run.clean`, at `position` (default: where the model answers).

    `rows` are the `k` most probable tokens of either run, by the larger of the two probabilities. `target` is the clean run's first choice
    unless given; `against` is what overtook it, else the best other token of the clean run.
    """
    at = run.position(position)
    return outcome_of(
        run.clean,
        run.ablation,
        Prediction(run.clean.logits_at(at)),
        Prediction(run.logits_at(at)) if run.ablation.heads else None,
        at,
        target=target,
        against=against,
        k=k,
    )


def outcome_of(
    run: Run,
    ablation: Ablation,
    clean: Prediction,
    other: Prediction | None,
    at: int,
    *,
    target: str | int | None = None,
    against: str | int | None = None,
    k: int = 10,
) -> Outcome:
    """`outcome` from predictions that are there: that of the clean `run`, and with `ablation` that of the ablated one."""
    model = run.model

    def choice(token_id: int) -> Choice:
        return Choice(token_id, model.token(token_id), clean.odds(token_id), other.odds(token_id) if other else None)

    first, first_ablated = clean.best[0], (other or clean).best[0]
    target_id = model.token_id(target) if named(target) else first
    if named(against):
        against_id = model.token_id(against)
    else:
        against_id = next((i for i in ((other or clean).best[0], *clean.best) if i != target_id), None)
    chosen, foil = choice(target_id), None if against_id is None else choice(against_id)
    return Outcome(
        answer=model.answer,
        position=at,
        rows=tuple(choice(i) for i in _either(clean, other, k)),
        clean_top=choice(first),
        ablated_top=choice(first_ablated),
        target=chosen,
        against=foil,
        logit_diff=None if foil is None else _logit_diff(chosen, foil),
        kl=metrics.kl(clean.logits, other.logits) if other else None,
        entropy=Pair(metrics.entropy(clean.logits), metrics.entropy(other.logits) if other else None),
        note=_note(run, ablation, at),
        dtype=model.precision,
    )


class Prediction:
    """Logits [vocabulary] or [class], with their log-probabilities computed once."""

    def __init__(self, logits: Tensor):
        self.logits = logits
        self.log_probs = metrics.log_probabilities(logits)
        self.best: list[int] = metrics.best(logits, 32)

    def odds(self, token_id: int) -> Odds:
        return Odds(self.log_probs[token_id].exp().item(), self.logits[token_id].item(), metrics.rank(self.logits, token_id))


def _either(clean: Prediction, other: Prediction | None, k: int) -> list[int]:
    rows = [clean] if other is None else [clean, other]
    k = min(k, len(clean.logits))
    ids = dict.fromkeys(i for row in rows for i in metrics.best(row.logits, k))
    return sorted(ids, key=lambda i: -max(row.log_probs[i].item() for row in rows))[:k]


def _logit_diff(target: Choice, against: Choice) -> Pair:
    ablated = None if target.ablated is None else target.ablated.logit - against.ablated.logit
    return Pair(target.clean.logit - against.clean.logit, ablated)


def _note(run: Run, ablation: Ablation, at: int) -> str:
    model = run.model
    where = "The whole text." if model.answer == "class" else "Last token." if at == len(run.ids) - 1 else f"Token {at}."
    what = f"{ablation.describe()}, {model.processing}" if ablation.heads else model.processing.capitalize()
    return f"{where} {what}, exact, {str(model.dtype).removeprefix('torch.')}."
