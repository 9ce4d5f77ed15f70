"""What the model answers with each single head ablated, and every metric of it: one sweep gives both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from ..ablation import Ablation, make_ablation
from ..heads import Head
from ..run import Run
from .embedding import EmbeddingChange, change_of, embedding
from .headscores import HeadScores
from .method import Progress
from .outcome import Outcome, Prediction, outcome_of
from .pooling import POOLINGS, pooled, pooled_positions
from .score import score_each


@dataclass(frozen=True)
class Singles:
    """`outcomes` by head is what `outcome(run.ablate([head]))` is, for a model without a head `changes` by head what `embedding_change`
    is by each way of pooling; `scores` by metric are what `score` is. Heads that the mode is undefined for are in none of them."""

    outcomes: Mapping[Head, Outcome]
    changes: Mapping[Head, tuple[EmbeddingChange, ...]]
    scores: Mapping[str, HeadScores]

    def __repr__(self) -> str:
        return f"Singles({len(self.outcomes) or len(self.changes)} heads; {', '.join(self.scores)})"


def single_ablations(
    run: Run,
    metrics: Sequence[str],
    *,
    target: str | int | None = None,
    against: str | int | None = None,
    position: int | None = None,
    k: int = 10,
    heads: Sequence[Head] | None = None,
    progress: Progress | None = None,
    mode: str = "zero",
    reference: object = None,
    **parameters: object,
) -> Singles:
    """Every head of a clean run ablated alone, in the passes of one sweep.

    Args:
        run: a clean run.
        metrics: one or more of those that are read at one position, or of `EMBEDDING_METRICS`.
        target, against, position, k: as `outcome` takes them.
        heads: which; by default all that the mode is defined for.
        progress: `progress(done, total, text)` between chunks; what it raises ends the sweep.
        mode, reference, **parameters: what is done to a head, as `Run.ablate` takes it.

    Rows of one pass are rounded otherwise than a run alone: logits agree with `run.ablate([head])` to float32, not to the bit.
    """
    references = run._references(reference)
    found: dict[Head, Outcome] = {}
    changes: dict[Head, tuple[EmbeddingChange, ...]] = {}

    def ablation(head: Head) -> Ablation:
        return make_ablation(run, [head], mode, reference=references, **parameters)

    if run.model.answer == "none":
        vectors = {pooling: (at := pooled_positions(run, pooling), embedding(run, at)) for pooling in POOLINGS}

        def rows(some: Sequence[Head], answers: Tensor, positions: Sequence[int]) -> None:
            column = {at: i for i, at in enumerate(positions)}
            for head, hidden in zip(some, answers, strict=True):
                changes[head] = tuple(
                    change_of(run, ablation(head), clean, pooled(hidden[[column[at] for at in where]]), pooling, where)
                    for pooling, (where, clean) in vectors.items()
                )
    else:
        at = run.position(position)
        clean = Prediction(run.logits_at(at))

        def rows(some: Sequence[Head], answers: Tensor, positions: Sequence[int]) -> None:
            for head, logits in zip(some, answers, strict=True):
                row = logits if run.model.answer == "class" else logits[list(positions).index(at)]
                found[head] = outcome_of(run, ablation(head), clean, Prediction(row), at, target=target, against=against, k=k)

    about = {"target": target, "against": against, "position": position, "mode": mode, "reference": references, **parameters}
    scores = score_each(run, "ablation", tuple(metrics), **about, heads=heads, progress=progress, rows=rows)
    return Singles(dict(sorted(found.items())), dict(sorted(changes.items())), scores)
