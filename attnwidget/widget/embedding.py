"""What stands in the place of the prediction for a model without a head: how far an ablation moves the embedding of the prompt."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..analysis.embedding import EmbeddingChange, embedding_change
from ..analysis.pooling import POOLINGS
from ..run import AblatedRun


def answer(run: AblatedRun) -> dict:
    """`EmbeddingChange` of js/src/source/ops.ts, by each way of pooling."""
    return packed([embedding_change(run, pooling=pooling) for pooling in POOLINGS])


def packed(changes: Sequence[EmbeddingChange]) -> dict:
    return {
        "rows": [
            {
                "pooling": change.pooling,
                "label": POOLINGS[change.pooling],
                "positions": len(change.positions),
                "cosine": change.cosine_distance,
                "l2": change.l2,
                "norm": {"clean": _length(change.clean), "ablated": _length(change.ablated)},
            }
            for change in changes
        ],
        "note": changes[0].describe(),
    }


def _length(vector: np.ndarray) -> float:
    return float(np.linalg.norm(vector))
