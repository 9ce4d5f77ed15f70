"""Many heads' patterns made into one: the mean of some, and attention rollout. Each says what it does not mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral, Real

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ..ablation import MODES
from ..drawable import Drawable
from ..engine.interrupt import checkpoint
from ..errors import AttnWidgetError, HeadError
from ..heads import Head, HeadsLike, parse_heads
from ..markup import html_table
from ..run import Run
from .checked import a_run, current
from .method import Progress
from .patterns import in_parts
from .sinks import SAID, check_first, nothing_left, rows_to_one, without_first

_MEAN = (
    "A mean of heads is no head: that a token gets a share here does not say that any one head looks at it much, nor that what is read "
    "there matters to the answer."
)
_ROLLOUT = (
    "Rollout follows where attention points, layer by layer, as if blocks only mixed positions: values, out-projections, norms and MLPs "
    "are left out, all heads count alike, and the share of the residual stream is set and not measured. It is not what a token contributes "
    "to the answer."
)


@dataclass(frozen=True)
class AttentionAggregate(Drawable):
    """One pattern made of many, [query, key] in float64; NaN in rows that are undefined."""

    values: np.ndarray
    label: str
    formula: str
    caution: str
    """What it does not mean."""
    heads: tuple[Head, ...]
    """What went into it."""
    tokens: tuple[str, ...]
    conditional: tuple[Head, ...]
    """Heads that were ablated in the run."""
    processing: str
    dtype: str

    def __post_init__(self) -> None:
        self.values.setflags(write=False)

    def to_frame(self) -> pd.DataFrame:
        """[query, key] as a table, its axes named by position and token; `attrs` has formula and caution."""
        names = [f"{position}: {token}" for position, token in enumerate(self.tokens)]
        frame = pd.DataFrame(self.values, index=names, columns=names)
        frame.attrs = {name: getattr(self, name) for name in ("label", "formula", "caution", "processing", "dtype")}
        return frame

    def describe(self) -> str:
        """What it is, how it was made, and what it does not mean."""
        ablated = f"with {', '.join(map(str, self.conditional))} ablated" if self.conditional else ""
        made = "; ".join(part for part in (f"{self.label}: {self.formula}", ablated, self.processing, self.dtype) if part)
        return f"{made}. {self.caution}"

    def __repr__(self) -> str:
        return f"AttentionAggregate({len(self.tokens)} tokens; {self.describe()})"

    def _repr_html_(self) -> str:
        return html_table(self.to_frame(), 3)


def mean_attention(
    run: Run,
    heads: HeadsLike | None = None,
    *,
    layers: Sequence[int] | int | None = None,
    first: str = "keep",
    progress: Progress | None = None,
) -> AttentionAggregate:
    """`mean_h A_h[q, k]` over the given heads, or all heads of the given layers, or all: each head counts once.

    Args:
        heads, layers: one of the two at most.
        first: `hide` or `renormalise` take the first token out of each head's pattern before the mean, see `without_first`; with
            `renormalise`, a head that keeps nothing at a query is not in that row's mean.
    """
    a_run("run", run)
    check_first(first)
    current(run)
    chosen = _chosen(run, heads, layers)
    total = np.zeros((len(run.ids), len(run.ids)))
    counted = np.zeros((len(run.ids), 1))
    wanted = sorted({head.layer for head in chosen})
    for done, layer in enumerate(wanted):
        checkpoint()
        if progress is not None:
            progress(done, len(wanted), "Averaging patterns")
        patterns = run._patterns_of(layer)
        for head in (head for head in chosen if head.layer == layer):
            pattern = _double(patterns[head.head])
            # In double precision, but what is nothing is so in the model's.
            rounding = nothing_left(patterns.dtype)
            pattern = (
                rows_to_one(without_first(pattern, "hide"), rounding) if first == "renormalise" else without_first(pattern, first)
            ).numpy()
            known = np.isfinite(pattern).all(-1, keepdims=True)
            total += np.where(known, pattern, 0)
            counted += known
    values = np.divide(total, counted, out=np.full(total.shape, np.nan), where=counted > 0)
    n = len(chosen)
    formula = "; ".join(part for part in (f"mean over {n} head{'s' if n > 1 else ''} of A[q, k]", SAID[first]) if part)
    return _aggregate(run, values, "mean attention", formula, _MEAN + _silent(run, chosen), chosen)


def attention_rollout(run: Run, *, residual: float = 0.5, start: int = 0, progress: Progress | None = None) -> AttentionAggregate:
    """`R_L ⋯ R_start` with `R_l = residual · I + (1 − residual) · mean_h A_h` of layer l, each row divided by its sum: [query, key].

    With `residual` 0.5 that is the row-normalised `A_mean + I` of Abnar and Zuidema 2020, "Quantifying attention flow in transformers";
    rows of the result sum to 1.

    Args:
        residual: the share of the stream that passes a layer by, from 0 to 1.
        start: the first layer that is in the product.
    """
    a_run("run", run)
    current(run)
    model = run.model
    if not isinstance(residual, Real) or isinstance(residual, bool) or not 0 <= residual <= 1:
        raise AttnWidgetError(f"residual must be a number from 0 to 1, not {residual!r}.")
    if not isinstance(start, Integral) or isinstance(start, bool) or not 0 <= start < model.n_layers:
        raise HeadError(f"No layer {start!r} to start from: layers run from 0 to {model.n_layers - 1}.")
    n, layers = len(run.ids), range(int(start), model.n_layers)
    rolled = torch.eye(n, dtype=torch.float64)
    for layer in layers:
        checkpoint()
        if progress is not None:
            progress(layer - layers.start, len(layers), "Rolling attention out")
        patterns = run._patterns_of(layer)
        mean = sum(some.sum(0).cpu() for _, some in in_parts(patterns)) / len(patterns)
        mixed = rows_to_one(residual * torch.eye(n, dtype=torch.float64) + (1 - residual) * mean)
        rolled = mixed @ rolled
    heads = tuple(Head(layer, head) for layer in layers for head in range(model.n_heads))
    which = f"layers {layers.start} to {layers.stop - 1}" if len(layers) > 1 else f"layer {layers.start}"
    formula = f"product over {which} of {residual:g} · I + {1 - residual:g} · mean over heads of A, rows summing to 1"
    return _aggregate(run, rolled.numpy(), "attention rollout", formula, _ROLLOUT + _silent(run, heads), heads)


def _silent(run: Run, heads: Sequence[Head]) -> str:
    """A head whose output is ablated still has a pattern; leaving it out would take it for one that looks nowhere."""
    ablated = [head for head in run.ablation.heads if head in heads and MODES[run.ablation.mode].acts_on == "z"]
    names = ", ".join(map(str, ablated[:5])) + (", …" if len(ablated) > 5 else "")
    return f" Patterns of heads whose output is ablated ({names}) count in full, though it does not come from them." if ablated else ""


def _chosen(run: Run, heads: HeadsLike | None, layers: Sequence[int] | int | None) -> tuple[Head, ...]:
    model = run.model
    if heads is not None and layers is not None:
        raise AttnWidgetError("heads= and layers= both say which heads are meant: give one of them.")
    if heads is not None:
        chosen = tuple(sorted(parse_heads(heads, model.n_layers, model.n_heads)))
    else:
        try:
            given = range(model.n_layers) if layers is None else [layers] if isinstance(layers, Integral) else list(layers)
        except TypeError:
            raise HeadError(f"No layer {layers!r}: layers run from 0 to {model.n_layers - 1}.") from None
        for layer in given:
            if not isinstance(layer, Integral) or isinstance(layer, bool) or not 0 <= layer < model.n_layers:
                raise HeadError(f"No layer {layer!r}: layers run from 0 to {model.n_layers - 1}.")
        chosen = tuple(Head(layer, head) for layer in sorted({int(i) for i in given}) for head in range(model.n_heads))
    if not chosen:
        raise HeadError("No heads were given: name at least one, or leave heads= and layers= out for all.")
    return chosen


def _double(pattern: Tensor) -> Tensor:
    return pattern.cpu().double()


def _aggregate(run: Run, values: np.ndarray, label: str, formula: str, caution: str, heads: tuple[Head, ...]) -> AttentionAggregate:
    return AttentionAggregate(
        values=values,
        label=label,
        formula=formula,
        caution=caution,
        heads=heads,
        tokens=tuple(run.tokens),
        conditional=run.ablation.heads,
        processing=run.model.processing,
        dtype=run.model.precision,
    )
