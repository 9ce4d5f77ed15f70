"""One number per head, read off its attention pattern in the clean run. They say where a head looks, not what it matters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ..errors import AttnWidgetError
from ..heads import Head
from ..run import Run


@dataclass(frozen=True)
class HeadScores:
    """One number per head: `values` is [layer, head], NaN where it is undefined. Every score names how it was made."""

    values: np.ndarray
    name: str
    label: str
    method: str
    unit: str
    exact: bool
    signed: bool

    def to_frame(self) -> pd.DataFrame:
        """One row per head: head, layer, index, value, largest first, undefined last."""
        layers, heads = np.indices(self.values.shape)
        frame = pd.DataFrame(
            {
                "head": [str(Head(int(layer), int(index))) for layer, index in zip(layers.ravel(), heads.ravel(), strict=True)],
                "layer": layers.ravel(),
                "index": heads.ravel(),
                self.name: self.values.ravel(),
            }
        )
        return frame.sort_values(self.name, ascending=False, ignore_index=True)

    def top(self, k: int = 10) -> list[Head]:
        """The `k` heads with the largest values; undefined ones are left out."""
        frame = self.to_frame().dropna().head(k)
        return [Head(int(layer), int(index)) for layer, index in zip(frame["layer"], frame["index"], strict=True)]

    def __repr__(self) -> str:
        best = ", ".join(f"{head} {self.values[head]:.3g}" for head in self.top(3))
        return f"HeadScores({self.label}: {best}, …; {self.method}; {'exact' if self.exact else 'approximate'})"

    def _repr_html_(self) -> str:
        return self.to_frame().head(20).style.format(precision=4).to_html()


@dataclass(frozen=True)
class Statistic:
    """A function of a layer's patterns [head, query, key] giving [head]; `method` is its formula in words."""

    label: str
    method: str
    unit: str
    function: Callable[[Tensor], Tensor]


def _first_token(pattern: Tensor) -> Tensor:
    return pattern[:, 1:, 0].mean(-1)


def _previous_token(pattern: Tensor) -> Tensor:
    return pattern.diagonal(-1, -2, -1).mean(-1)


def _current_token(pattern: Tensor) -> Tensor:
    return pattern[:, 1:].diagonal(1, -2, -1).mean(-1)


def _entropy(pattern: Tensor) -> Tensor:
    return torch.special.entr(pattern).sum(-1)[:, 1:].mean(-1)


def _distance(pattern: Tensor) -> Tensor:
    position = torch.arange(pattern.shape[-1], device=pattern.device, dtype=pattern.dtype)
    return (pattern * (position[:, None] - position).abs()).sum(-1)[:, 1:].mean(-1)


# The first query of a causal model can look at itself only, so it is left out of every mean.
STATISTICS: dict[str, Statistic] = {
    "first_token": Statistic("first token", "mean over queries after the first of the attention on token 0", "", _first_token),
    "previous_token": Statistic("previous token", "mean over queries q ≥ 1 of A[q, q−1]", "", _previous_token),
    "current_token": Statistic("current token", "mean over queries q ≥ 1 of A[q, q]", "", _current_token),
    "entropy": Statistic("entropy", "mean over queries q ≥ 1 of −Σ A ln A", "nats", _entropy),
    "distance": Statistic("distance", "mean over queries q ≥ 1 of Σ A·|q − k|", "tokens", _distance),
}


def head_statistic(run: Run, name: str, progress: Callable[[int, int, str], None] | None = None) -> HeadScores:
    """A statistic of every head's pattern in `run`, one of `STATISTICS`. Undefined (NaN) for a prompt of one token.

    `progress(done, total, text)` is called before each layer.
    """
    if name not in STATISTICS:
        raise AttnWidgetError(f"No pattern statistic {name!r}: there are {', '.join(STATISTICS)}.")
    statistic, rows = STATISTICS[name], []
    for layer in range(run.model.n_layers):
        if progress is not None:
            progress(layer, run.model.n_layers, "Reading the patterns")
        pattern = run.patterns(layer).double()
        defined = len(run.ids) > 1
        rows.append(statistic.function(pattern) if defined else torch.full((run.model.n_heads,), torch.nan))
    values = torch.stack(rows).cpu().numpy()
    return HeadScores(values, name, statistic.label, f"{statistic.method}, clean run", statistic.unit, True, False)
