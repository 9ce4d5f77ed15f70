"""`HeadScores`: one number per head, with everything needed to read it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from ..drawable import Drawable
from ..heads import Head
from ..markup import html_table
from .frozen import freeze, read_only


@dataclass(frozen=True)
class HeadScores(Drawable):
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
    condition: str = ""
    """How they were: "z set to zero at all positions"."""
    extra: Mapping[str, np.ndarray] = field(default_factory=dict)
    """Further columns, [layer, head] each, for instance `completeness_error` of integrated gradients."""
    parts: Mapping[str, float] = field(default_factory=dict)
    """What is not a head but belongs to the sum, for instance embedding and MLPs of a direct logit attribution."""
    origin: Hashable = ()
    """The run it was measured from, see `origin.origin`: equal where these are numbers of the same prompt and ablation."""

    def __post_init__(self) -> None:
        freeze(self, "values")
        object.__setattr__(self, "extra", {name: read_only(array) for name, array in self.extra.items()})

    def to_frame(self) -> pd.DataFrame:
        """One row per head: head, layer, index, the score under its method's name, and further columns; largest first, undefined last.

        Then one row for each of `parts`, without layer and index, so that the column has the whole sum. `attrs` says how it was made.
        """
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
        frame = frame.sort_values(self.method, ascending=False, ignore_index=True, kind="stable")
        if self.parts:
            others = pd.DataFrame({"head": list(self.parts), self.method: list(self.parts.values())})
            frame = pd.concat([frame.astype({"layer": "Int64", "index": "Int64"}), others], ignore_index=True)
        told = ("method", "label", "formula", "unit", "exact", "metric", "target", "against", "position", "mode", "baseline")
        frame.attrs = {name: getattr(self, name) for name in (*told, "condition", "processing", "dtype")}
        return frame

    def top(self, k: int = 10, *, by: str = "value") -> list[Head]:
        """The `k` heads with the largest values, or `by="size"` with the largest absolute values; undefined ones are left out."""
        flat = self.values.ravel()
        key = np.abs(flat) if by == "size" else flat
        order = [int(i) for i in np.argsort(-key, kind="stable") if not np.isnan(flat[i])]
        return [Head(*divmod(i, self.values.shape[1])) for i in order[:k]]

    def describe(self) -> str:
        """One line for under a picture: what, how, where, on which weights."""
        return f"{self._what}: {self._how}"

    @property
    def _what(self) -> str:
        # The direction matters, and a legend has no room for it.
        return "KL(before ‖ after)" if self.label == "KL" else self.label

    @property
    def _how(self) -> str:
        said = [self.formula, self.baseline, "" if self.position is None else f"position {self.position}"]
        if self.conditional:
            how = f" ({self.condition})" if self.condition else ""
            said.append(f"with {', '.join(map(str, self.conditional))} ablated already{how}")
        said += [self.processing, self.dtype, "exact" if self.exact else "approximate"]
        return "; ".join(part for part in said if part)

    def __repr__(self) -> str:
        best = ", ".join(f"{head} {self.values[head]:.3g}" for head in self.top(3, by="size")) or "undefined for every head"
        return f"HeadScores({self._what}: {best}, …; {self._how})"

    def _repr_html_(self) -> str:
        return html_table(self.to_frame().head(20))
