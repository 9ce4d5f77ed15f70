"""How far an ablation moves the residual stream, layer by layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from ..errors import ModelError
from ..run import AblatedRun
from .frozen import freeze
from .wording import half


@dataclass(frozen=True)
class LayerImpact:
    """`||x_ablated - x_clean|| / ||x_clean||` of the residual stream `x` entering each block, and of what the last block returns.

    `total` [layer + 1] takes both norms over all positions, `by_position` [layer + 1, position] over each alone. A few positions and
    directions of a residual stream carry very large numbers (the first token's, mostly), and weigh accordingly in `total`.
    """

    total: np.ndarray
    by_position: np.ndarray
    tokens: tuple[str, ...]
    dtype: str = ""

    def __post_init__(self) -> None:
        freeze(self, "total", "by_position")

    def to_frame(self) -> pd.DataFrame:
        """One row per layer: total, and a column for each position. Row `n_layers` is what the last block returns."""
        frame = pd.DataFrame(self.by_position, columns=[f"{i}: {token}" for i, token in enumerate(self.tokens)])
        frame.insert(0, "total", self.total)
        frame = frame.rename_axis("layer")
        frame.attrs = {"dtype": self.dtype}
        return frame

    def __repr__(self) -> str:
        return f"LayerImpact({len(self.total) - 1} layers; the stream's end moves by {self.total[-1]:.1%}{half(self.dtype)})"


def layer_impact(run: AblatedRun) -> LayerImpact:
    """The relative change (L2) of the residual stream of `run` against its clean parent."""
    if not isinstance(run, AblatedRun):
        raise ModelError("A change needs something to compare with: give an ablated run, run.ablate(heads).")
    clean, ablated = (torch.stack([x[0].detach().float().cpu() for x in of._resid]).double() for of in (run.clean, run))
    moved, size = (ablated - clean).norm(dim=-1), clean.norm(dim=-1)
    total = moved.norm(dim=-1) / size.norm(dim=-1)
    return LayerImpact(total.float().numpy(), (moved / size).float().numpy(), tuple(run.tokens), run.model.precision)
