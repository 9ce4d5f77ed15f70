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
from ..markup import html_table
from ..run import Run
from .checked import current
from .frozen import read_only
from .headscores import HeadScores
from .method import Progress
from .patterns import in_parts
from .sinks import SAID, check_first, nothing_left, rows_to_one
from .specials import check_special, special_positions
from .wording import half


@dataclass(frozen=True)
class Rows:
    """Patterns of some heads of one layer, [head, query, key] in float64, and how many keys each query may see [query].

    Queries that may see one key only (the first of a causal model) say nothing about a head and are left out of every mean.
    In models with attention sinks (GPT-OSS) a row sums to less than 1: shares and the maximum are of the whole, sink included, while
    entropy, effective tokens and distance are about how the rest is spread over tokens, `Â = A / Σ_k A`. Elsewhere `Â = A`.
    """

    attention: Tensor
    visible: Tensor
    left_out: tuple[int, ...] = ()
    """Keys that are left out; `attention` is 0 there, and `visible` does not count them."""
    unasked: tuple[int, ...] = ()
    """Queries that are left out."""
    rounding: float = 0.0
    """A row that keeps no more than this of its attention keeps nothing."""

    @cached_property
    def chosen(self) -> Tensor:
        """The queries that may see more than one key, [query]."""
        return (self.visible > 1) & self._all_but(self.unasked)

    def share(self, back: int) -> Tensor:
        """Mean over queries of `A[q, q - back]`, [head], where both are kept and q may see more than one key or is not the first."""
        chosen = self.chosen if back == 0 else self._all_but(self.unasked)
        both = chosen[back:] & self._all_but(self.left_out)[: len(chosen) - back]
        return self.mean(self.attention.diagonal(-back, -2, -1)[:, both])

    def mean(self, values: Tensor) -> Tensor:
        """[head] of [head, query]. Rows that keep nothing of their attention (0/0) are in no mean where keys are left out."""
        return values.nanmean(-1) if self.left_out else values.mean(-1)

    def _all_but(self, positions: tuple[int, ...]) -> Tensor:
        kept = torch.ones_like(self.visible, dtype=torch.bool)
        kept[list(positions)] = False
        return kept

    @cached_property
    def spread(self) -> Tensor:
        """`Â` [head, query, key]; NaN in rows that keep nothing."""
        return rows_to_one(self.attention, self.rounding)

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
    if 0 in rows.left_out:
        return torch.full_like(rows.attention[:, 0, 0], torch.nan)
    return rows.mean(rows.attention[:, 1:, 0][:, rows._all_but(rows.unasked)[1:]])


def _previous_token_share(rows: Rows) -> Tensor:
    return rows.share(1)


def _current_token_share(rows: Rows) -> Tensor:
    return rows.share(0)


def _maximum(rows: Rows) -> Tensor:
    return rows.mean(rows.attention.amax(-1)[:, rows.chosen])


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
    note: str = ""
    """What was left out of the patterns; empty where nothing was."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", {name: read_only(array) for name, array in self.values.items()})

    def describe(self) -> str:
        """One line for under a table: what was read, what was left out, on which weights."""
        ablated = f"with {', '.join(map(str, self.conditional))} ablated" if self.conditional else ""
        return "; ".join(part for part in ("Statistics of attention patterns", self.note, ablated, self.processing, self.dtype) if part)

    def scores(self, name: str) -> HeadScores:
        """One of them as `HeadScores`, for the grid and for ranking."""
        if name not in self.values:
            raise AttnWidgetError(f"No pattern statistic {name!r}: there are {', '.join(self.values)}.")
        statistic = STATISTICS[name]
        return HeadScores(
            values=self.values[name],
            method=name,
            label=statistic.label,
            formula="; ".join(part for part in (statistic.formula, self.note) if part),
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
        frame = pd.DataFrame({"head": names, "layer": layers, "index": heads, **columns})
        frame.attrs = {name: getattr(self, name) for name in ("note", "processing", "dtype")}
        return frame

    def __repr__(self) -> str:
        shape = next(iter(self.values.values())).shape
        note = f"; {self.note}" if self.note else ""
        return f"HeadStatistics({shape[0]} layers × {shape[1]} heads: {', '.join(self.values)}{note}{half(self.dtype)})"

    def _repr_html_(self) -> str:
        return html_table(self.to_frame())


def head_statistics(run: Run, progress: Progress | None = None, *, first: str = "keep", special: str = "keep") -> HeadStatistics:
    """All of `STATISTICS` for every head, from the patterns as they act in `run`, one layer at a time.

    No forward for a short prompt, whose patterns the run keeps; one block a layer for a long one. The keys that a query may see are the
    earlier ones and itself where the model is causal, all where it is not, and in a layer with a sliding window only those as near as
    the farthest that any of its heads looks at. `progress(done, total, text)` is called before each layer.

    Args:
        first: `hide` leaves the first token out as a key, `renormalise` then makes the rest of each row sum to 1; see `without_first`.
            Queries that may see one other key only are in no mean, and the share on the first token is undefined.
        special: `discount` leaves out the queries and the keys that are special tokens ([CLS], [SEP], <s>, padding).
    """
    return _read(run, tuple(STATISTICS), progress, first, special)


def head_statistic(run: Run, name: str, progress: Progress | None = None, *, first: str = "keep", special: str = "keep") -> HeadScores:
    """One of `STATISTICS` for every head, as `head_statistics` computes it. Undefined (NaN) for a prompt of one token."""
    if name not in STATISTICS:
        raise AttnWidgetError(f"No pattern statistic {name!r}: there are {', '.join(STATISTICS)}.")
    return _read(run, (name,), progress, first, special).scores(name)


def _read(run: Run, names: Sequence[str], progress: Progress | None, first: str, special: str) -> HeadStatistics:
    model = run.model
    current(run)
    check_first(first)
    check_special(special)
    marks = special_positions(run) if special == "discount" else ()
    left_out = tuple(sorted({*marks, *(() if first == "keep" else (0,))}))
    values = {name: np.full((model.n_layers, model.n_heads), np.nan) for name in names}
    for layer in range(model.n_layers):
        if progress is not None:
            progress(layer, model.n_layers, "Reading the patterns")
        pattern = run._patterns_of(layer)
        seen = seen_cells(pattern, model.causal)
        seen[:, list(left_out)] = False
        visible = seen.sum(-1).double()
        for heads, some in in_parts(pattern):
            if left_out:  # in a copy: a pattern that is in float64 already is the run's own
                some = some.clone()
                some[..., list(left_out)] = 0
            rounding = nothing_left(pattern.dtype) if left_out else 0.0
            rows = Rows(rows_to_one(some, rounding) if first == "renormalise" else some, visible, left_out, marks, rounding)
            for name in names:
                values[name][layer, heads] = STATISTICS[name].function(rows).cpu().numpy()
    dtype = model.precision
    note = "; ".join(part for part in (SAID[first], _discounted(run, marks, first) if special == "discount" else "") if part)
    return HeadStatistics(values, model.processing, dtype, run.ablation.heads, note)


def _discounted(run: Run, marks: Sequence[int], first: str) -> str:
    names = list(dict.fromkeys(run.tokens[position] for position in marks))
    shares = ", shares still of the whole" if names and first == "keep" else ""
    return f"special tokens left out as queries and keys ({', '.join(names) if names else 'none in this prompt'}){shares}"


def seen_cells(pattern: Tensor, causal: bool) -> Tensor:
    """Which keys each query may see in this layer, [query, key], from its patterns [head, query, key]; on the CPU for Apple's GPUs.

    No configuration says it for every model: sliding windows are named in many ways, and GPT-Neo's are in its blocks. But what is
    masked is exactly 0, so a window shows in that no head of the layer looks further than it.
    """
    away = _away(pattern.shape[-1], pattern.device)
    reach = away.where((pattern > 0).any(0), 0).max()
    seen = away <= reach
    seen = seen.tril() if causal else seen
    return seen.cpu() if seen.device.type == "mps" else seen


def _away(n: int, device: torch.device) -> Tensor:
    """`|q − k|`, [query, key]."""
    position = torch.arange(n, device=device)
    return (position[:, None] - position).abs()
