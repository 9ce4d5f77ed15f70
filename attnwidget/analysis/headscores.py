"""`HeadScores`: one number per head, with everything needed to read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from ..heads import Head


@dataclass(frozen=True)
class HeadScores:
    """One number per head: `values` is [layer, head], NaN where it is undefined (a head that is ablated already, 0/0).

    Every score names how it was made: `method`, `formula`, `metric`, `position`, `baseline` and whether it is `exact`. Effects are
    signed so that positive means that the head helped (`drop = metric(before) - metric(without the head)`), but for changes of entropy
    and perplexity, which are `without - before`, and KL, which has no sign; `label` says which.
    """

    values: np.ndarray
    method: str
    """The name it is asked for by: `ablation`, `attribution`, `entropy`, `induction`, ..."""
    label: str
    """What the number is, for a legend: "drop in logit( Mary) − logit( John)"."""
    formula: str
    """How it was computed, in one line."""
    unit: str
    exact: bool
    """False for an estimate of something that could be measured; a number that is what it says it is, is exact."""
    signed: bool
    kind: str = "statistic"
    """`effect`: what a head does to the answer; `statistic`: where it looks, or how much it writes."""
    metric: str | None = None
    target: str | None = None
    against: str | None = None
    position: int | None = None
    mode: str | None = None
    baseline: str = ""
    """What a head was replaced by, in words: "z set to zero at all positions"."""
    processing: str = ""
    dtype: str = ""
    conditional: tuple[Head, ...] = ()
    """Heads that were ablated already, in the run that these effects are measured from."""
    extra: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Further columns, [layer, head] each, for instance `completeness_error` of integrated gradients."""
    parts: Mapping[str, float] = field(default_factory=dict)
    """What is not a head but belongs to the sum, for instance embedding and MLPs of a direct logit attribution."""

    def to_frame(self) -> pd.DataFrame:
        """One row per head: head, layer, index, the score under its method's name, and further columns; largest first, undefined last."""
        layers, heads = np.indices(self.values.shape)
        frame = pd.DataFrame(
            {
                "head": [str(Head(int(layer), int(index))) for layer, index in zip(layers.ravel(), heads.ravel(), strict=True)],
                "layer": layers.ravel(),
                "index": heads.ravel(),
                self.method: self.values.ravel(),
                **{name: column.ravel() for name, column in self.extra.items()},
            }
        )
        return frame.sort_values(self.method, ascending=False, ignore_index=True, kind="stable")

    def top(self, k: int = 10, *, by: str = "value") -> list[Head]:
        """The `k` heads with the largest values, or `by="size"` with the largest absolute values; undefined ones are left out."""
        flat = self.values.ravel()
        key = np.abs(flat) if by == "size" else flat
        order = [int(i) for i in np.argsort(-key, kind="stable") if not np.isnan(flat[i])]
        return [Head(*divmod(i, self.values.shape[1])) for i in order[:k]]

    def describe(self) -> str:
        """One line for under a picture: what, how, where, on which weights."""
        said = [self.formula, self.baseline, "" if self.position is None else f"position {self.position}"]
        if self.conditional:
            said.append(f"with {', '.join(map(str, self.conditional))} ablated already")
        said += [self.processing, self.dtype, "exact" if self.exact else "approximate"]
        return "; ".join(part for part in said if part)

    def __repr__(self) -> str:
        best = ", ".join(f"{head} {self.values[head]:.3g}" for head in self.top(3, by="size")) or "undefined for every head"
        return f"HeadScores({self.label}: {best}, …; {self.describe()})"

    def _repr_html_(self) -> str:
        return self.to_frame().head(20).style.format(precision=4, na_rep="").to_html()
