"""How far an ablation moves the embedding of a text: what is measured of encoders that have no head to answer with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from torch import Tensor

from ..ablation import Ablation
from ..drawable import Drawable
from ..errors import ModelError
from ..heads import Head
from ..markup import html_table
from ..run import AblatedRun, Run
from .frozen import freeze
from .pooling import POOLINGS, cosine_distance, l2_distance, pooled, pooled_positions


@dataclass(frozen=True)
class EmbeddingChange(Drawable):
    """The embedding of a text before and after: two vectors [d_model], and how far they are apart."""

    clean: np.ndarray
    ablated: np.ndarray
    cosine_distance: float
    """`1 − cos`, from 0 to 2; NaN where a vector is 0."""
    l2: float
    """`‖ablated − clean‖`."""
    pooling: str
    positions: tuple[int, ...]
    """Of the hidden states that the embedding is the mean of."""
    heads: tuple[Head, ...]
    baseline: str
    processing: str
    dtype: str

    def __post_init__(self) -> None:
        freeze(self, "clean", "ablated")

    def to_frame(self) -> pd.DataFrame:
        """One row: cosine_distance, l2, and the lengths of both vectors."""
        norms = {"norm": float(np.linalg.norm(self.clean)), "ablated_norm": float(np.linalg.norm(self.ablated))}
        frame = pd.DataFrame([{"cosine_distance": self.cosine_distance, "l2": self.l2, **norms}])
        frame.attrs = {name: getattr(self, name) for name in ("pooling", "baseline", "processing", "dtype")}
        return frame

    def describe(self) -> str:
        """One line: what was compared, how, on which weights."""
        what = f"{POOLINGS[self.pooling]} embedding over {len(self.positions)} position{'s' if len(self.positions) > 1 else ''}"
        heads = ", ".join(map(str, self.heads[:6])) + (", …" if len(self.heads) > 6 else "")
        return "; ".join(part for part in (what, f"{heads}: {self.baseline}", self.processing, self.dtype, "exact") if part)

    def __repr__(self) -> str:
        return f"EmbeddingChange(cosine distance {self.cosine_distance:.4g}, L2 {self.l2:.4g}; {self.describe()})"

    def _repr_html_(self) -> str:
        return html_table(self.to_frame())


def embedding_change(run: AblatedRun, *, pooling: str = "mean", special: str = "keep") -> EmbeddingChange:
    """The embedding of `run` against that of its clean parent: `1 − cos(e, e')` and `‖e' − e‖`, e the mean of the last hidden states.

    Args:
        pooling: `mean` over all positions but padding, as sentence-transformers does, or `cls`, the first position alone.
        special: `discount` leaves [CLS], [SEP] and the like out of the mean.
    """
    if not isinstance(run, AblatedRun):
        raise ModelError("A change needs something to compare with: give an ablated run, run.ablate(heads).")
    positions = pooled_positions(run, pooling, special)
    clean, ablated = (embedding(of, positions) for of in (run.clean, run))
    return change_of(run.clean, run.ablation, clean, ablated, pooling, positions)


def change_of(run: Run, ablation: Ablation, clean: Tensor, ablated: Tensor, pooling: str, positions: tuple[int, ...]) -> EmbeddingChange:
    """`embedding_change` from vectors [d_model] that are there: that of the clean `run`, and that with `ablation`."""
    return EmbeddingChange(
        clean=clean.cpu().numpy(),
        ablated=ablated.cpu().numpy(),
        cosine_distance=cosine_distance(clean, ablated).item(),
        l2=l2_distance(clean, ablated).item(),
        pooling=pooling,
        positions=positions,
        heads=ablation.heads,
        baseline=ablation.describe() if ablation.heads else "nothing ablated",
        processing=run.model.processing,
        dtype=run.model.precision,
    )


def embedding(run: Run, positions: tuple[int, ...]) -> Tensor:
    """[d_model] in float64: the mean of the last hidden states at `positions`. `ModelError` for models that answer with logits."""
    if run.model.answer != "none":
        raise ModelError(f"{run.model.name} answers with logits, not with an embedding: ask for 'kl', or load it without its head.")
    return pooled(run._logits[list(positions)])
