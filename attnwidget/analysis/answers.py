"""What two runs answer, side by side: their first choices, and how far apart the predictions are."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd
from torch import Tensor
from torch.special import entr

from .. import metrics
from ..markup import html_table
from ..run import Run
from .embedding import embedding
from .measure import Measure
from .outcome import Odds
from .pooling import cosine_distance, l2_distance, pooled_positions


@dataclass(frozen=True)
class Answer:
    """One token (or class) in both predictions."""

    id: int
    token: str
    run: Odds
    other: Odds


@dataclass(frozen=True)
class Answers:
    """The predictions of two runs, `run` at `position` and the other at `other_position` (None for classifiers).

    Divergences are in nats. `logit_diff` is `logit(target) − logit(against)` in each, and `difference` that of `run` less that of the
    other. NaN and None where they are undefined: a model without a head has the distances of its mean-pooled embeddings instead.
    """

    rows: tuple[Answer, ...]
    kl: float = math.nan
    """`KL(run ‖ other)`"""
    kl_back: float = math.nan
    """`KL(other ‖ run)`"""
    js: float = math.nan
    """`½ KL(run ‖ M) + ½ KL(other ‖ M)`, M the mean of both predictions."""
    first_choice_differs: bool | None = None
    target: str | None = None
    against: str | None = None
    logit_diff: float = math.nan
    other_logit_diff: float = math.nan
    position: int | None = None
    other_position: int | None = None
    embedding_cosine: float = math.nan
    embedding_l2: float = math.nan

    @property
    def difference(self) -> float:
        """The change of the logit difference, from the other run to this one."""
        return self.logit_diff - self.other_logit_diff

    def to_frame(self) -> pd.DataFrame:
        """The most probable tokens of either: token, id, and probability, logit and rank in both."""
        return pd.DataFrame(
            [
                {
                    "token": row.token,
                    "id": row.id,
                    **{
                        f"{side}_{name}": getattr(odds, name)
                        for side, odds in (("run", row.run), ("other", row.other))
                        for name in ("probability", "logit", "rank")
                    },
                }
                for row in self.rows
            ]
        )

    def __repr__(self) -> str:
        if not self.rows:
            return f"Answers(embeddings: cosine distance {self.embedding_cosine:.4g}, L2 {self.embedding_l2:.4g})"
        first, second = (min(self.rows, key=lambda row: getattr(row, side).rank) for side in ("run", "other"))
        return (
            f"Answers({first.token!r} {first.run.probability:.1%} and {second.token!r} {second.other.probability:.1%}; "
            f"KL {self.kl:.4g} and {self.kl_back:.4g} nats, JS {self.js:.4g}; change of logit difference {self.difference:.4g})"
        )

    def _repr_html_(self) -> str:
        return html_table(self.to_frame())


def embeddings(run: Run, other: Run) -> Answers:
    """Of a model without a head: how far apart the mean-pooled embeddings are."""
    a, b = (embedding(of, pooled_positions(of)) for of in (run, other))
    return Answers((), embedding_cosine=cosine_distance(a, b).item(), embedding_l2=l2_distance(a, b).item())


def answers(run: Run, other: Run, at: int | None, other_at: int | None, pair: Measure | None, k: int = 10) -> Answers:
    """The predictions at `at` and `other_at`; `pair` names the two tokens of the logit difference, None where there are no two."""
    model = run.model
    logits = [run.logits_at(at), other.logits_at(other_at)]
    log_probs = [metrics.log_probabilities(row) for row in logits]
    best = [metrics.best(row, min(k, len(row))) for row in logits]
    ids = sorted(dict.fromkeys(i for row in best for i in row), key=lambda i: -max(row[i].item() for row in log_probs))

    def odds(side: int, i: int) -> Odds:
        return Odds(log_probs[side][i].exp().item(), logits[side][i].item(), metrics.rank(logits[side], i))

    def difference(row: Tensor) -> float:
        return math.nan if pair is None else row[pair.target].item() - row[pair.against].item()

    first, second = (row.exp() for row in log_probs)
    # H(M) − ½ H − ½ H, which is exactly 0 for equal predictions.
    apart = entr((first + second) / 2).sum() - (entr(first).sum() + entr(second).sum()) / 2
    return Answers(
        rows=tuple(Answer(i, model.token(i), odds(0, i), odds(1, i)) for i in ids),
        kl=metrics.kl(*logits),
        kl_back=metrics.kl(*reversed(logits)),
        js=apart.clamp_min(0).item(),
        first_choice_differs=best[0][0] != best[1][0],
        target=None if pair is None else model.token(pair.target),
        against=None if pair is None else model.token(pair.against),
        logit_diff=difference(logits[0]),
        other_logit_diff=difference(logits[1]),
        position=at,
        other_position=other_at,
    )
