"""Numbers read off each head's attention pattern in one run. They say where a head looks, not what it matters."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ..errors import AttnWidgetError
from ..heads import Head
from ..run import Run
from .headscores import HeadScores
from .method import Progress
from .patterns import in_parts


@dataclass(frozen=True)
class Rows:
    """Patterns of some heads of one layer, [head, query, key] in float64, and how many keys each query may see [query].

    Queries that may see one key only (the first of a causal model) say nothing about a head and are left out of every mean.
    In models with attention sinks (GPT-OSS) a row sums to less than 1: shares and the maximum are of the whole, sink included, while
    entropy, effective tokens and distance are about how the rest is spread over tokens, `Â = A / Σ_k A`. Elsewhere `Â = A`.
    """

    attention: Tensor
    visible: Tensor

    @cached_property
    def chosen(self) -> Tensor:
        """The queries that may see more than one key, [query]."""
        return self.visible > 1

    @cached_property
    def spread(self) -> Tensor:
        """`Â` [head, query, key]; NaN in rows that are 0 throughout."""
        return self.attention / self.attention.sum(-1, keepdim=True)

    @cached_property
    def entropy(self) -> Tensor:
        """`−Σ_k Â ln Â` in nats, [head, query], at the chosen queries."""
        return torch.special.entr(self.spread).sum(-1)[:, self.chosen]


@dataclass(frozen=True)
class Statistic:
    """A function of `Rows` giving one number a head, [head]; `formula` says which."""

    label: str
    formula: str
    unit: str
    function: Callable[[Rows], Tensor]


def _first_token_share(rows: Rows) -> Tensor:
    return rows.attention[:, 1:, 0].mean(-1)


def _previous_token_share(rows: Rows) -> Tensor:
    return rows.attention.diagonal(-1, -2, -1).mean(-1)


def _current_token_share(rows: Rows) -> Tensor:
    return rows.attention.diagonal(0, -2, -1)[:, rows.chosen].mean(-1)


def _maximum(rows: Rows) -> Tensor:
    return rows.attention.amax(-1)[:, rows.chosen].mean(-1)


def _entropy(rows: Rows) -> Tensor:
    return rows.entropy.nanmean(-1)


def _normalised_entropy(rows: Rows) -> Tensor:
    return (rows.entropy / rows.visible[rows.chosen].log()).nanmean(-1)


def _effective_tokens(rows: Rows) -> Tensor:
    return rows.entropy.exp().nanmean(-1)


def _distance(rows: Rows) -> Tensor:
    away = _away(rows.attention.shape[-1], rows.attention.device).double()
    return (rows.spread * away).sum(-1)[:, rows.chosen].nanmean(-1)


# `KINDS` has heads by where they look in prompts made for it, under names of its own.
STATISTICS: dict[str, Statistic] = {
    "first_token_share": Statistic("share on the first token", "mean over queries q ≥ 1 of A[q, 0]", "", _first_token_share),
    "previous_token_share": Statistic("share on the previous token", "mean over queries q ≥ 1 of A[q, q−1]", "", _previous_token_share),
    "current_token_share": Statistic("share on itself", "mean over queries of A[q, q]", "", _current_token_share),
    "maximum": Statistic("maximum", "mean over queries of max_k A[q, k]", "", _maximum),
    "entropy": Statistic("entropy", "mean over queries of −Σ Â ln Â", "nats", _entropy),
    "normalised_entropy": Statistic(
        "normalised entropy", "mean over queries of (−Σ Â ln Â) / ln(keys q may see): 0 one key, 1 uniform", "", _normalised_entropy
    ),
    "effective_tokens": Statistic("effective tokens", "mean over queries of exp(−Σ Â ln Â)", "tokens", _effective_tokens),
    "distance": Statistic("distance", "mean over queries of Σ Â·|q − k|", "tokens", _distance),
}


@dataclass(frozen=True)
class HeadStatistics:
    """Every statistic of every head's pattern: `values[name]` is [layer, head], NaN where it is undefined (a prompt of one token)."""

    values: Mapping[str, np.ndarray]
    processing: str = ""
    dtype: str = ""
    conditional: tuple[Head, ...] = ()
    """Heads that were ablated in the run."""

    def scores(self, name: str) -> HeadScores:
        """One of them as `HeadScores`, for the grid and for ranking."""
        if name not in self.values:
            raise AttnWidgetError(f"No pattern statistic {name!r}: there are {', '.join(self.values)}.")
        statistic = STATISTICS[name]
        return HeadScores(
            values=self.values[name],
            method=name,
            label=statistic.label,
            formula=statistic.formula,
            unit=statistic.unit,
            exact=True,
            signed=False,
            kind="statistic",
            processing=self.processing,
            dtype=self.dtype,
            conditional=self.conditional,
        )

    def to_frame(self) -> pd.DataFrame:
        """One row per head, layer by layer: head, layer, index, and a column for each statistic."""
        layers, heads = (axis.ravel() for axis in np.indices(next(iter(self.values.values())).shape))
        names = [str(Head(int(layer), int(head))) for layer, head in zip(layers, heads, strict=True)]
        columns = {name: values.ravel() for name, values in self.values.items()}
        return pd.DataFrame({"head": names, "layer": layers, "index": heads, **columns})

    def __repr__(self) -> str:
        shape = next(iter(self.values.values())).shape
        return f"HeadStatistics({shape[0]} layers × {shape[1]} heads: {', '.join(self.values)})"

    def _repr_html_(self) -> str:
        return self.to_frame().style.format(precision=4, na_rep="").to_html()


def head_statistics(run: Run, progress: Progress | None = None) -> HeadStatistics:
    """All of `STATISTICS` for every head, from the patterns as they act in `run`, one layer at a time.

    No forward for a short prompt, whose patterns the run keeps; one block a layer for a long one. The keys that a query may see are the
    earlier ones and itself where the model is causal, all where it is not, and in a layer with a sliding window only those as near as
    the farthest that any of its heads looks at. `progress(done, total, text)` is called before each layer.
    """
    return _read(run, tuple(STATISTICS), progress)


def head_statistic(run: Run, name: str, progress: Progress | None = None) -> HeadScores:
    """One of `STATISTICS` for every head, as `head_statistics` computes it. Undefined (NaN) for a prompt of one token."""
    if name not in STATISTICS:
        raise AttnWidgetError(f"No pattern statistic {name!r}: there are {', '.join(STATISTICS)}.")
    return _read(run, (name,), progress).scores(name)


def _read(run: Run, names: Sequence[str], progress: Progress | None) -> HeadStatistics:
    model = run.model
    values = {name: np.full((model.n_layers, model.n_heads), np.nan) for name in names}
    for layer in range(model.n_layers):
        if progress is not None:
            progress(layer, model.n_layers, "Reading the patterns")
        pattern = run.patterns(layer)
        visible = _visible(pattern, model.causal)
        for heads, some in in_parts(pattern):
            rows = Rows(some, visible)
            for name in names:
                values[name][layer, heads] = STATISTICS[name].function(rows).cpu().numpy()
    dtype = str(model.dtype).removeprefix("torch.")
    return HeadStatistics(values, model.processing, dtype, run.ablation.heads)


def _visible(pattern: Tensor, causal: bool) -> Tensor:
    """How many keys each query may see in this layer, [query], from its patterns [head, query, key].

    No configuration says it for every model: sliding windows are named in many ways, and GPT-Neo's are in its blocks. But what is
    masked is exactly 0, so a window shows in that no head of the layer looks further than it.
    """
    away = _away(pattern.shape[-1], pattern.device)
    reach = away.where((pattern > 0).any(0), 0).max()
    seen = away <= reach
    count = (seen.tril() if causal else seen).sum(-1)
    return (count.cpu() if count.device.type == "mps" else count).double()


def _away(n: int, device: torch.device) -> Tensor:
    """`|q − k|`, [query, key]."""
    position = torch.arange(n, device=device)
    return (position[:, None] - position).abs()
