"""`HeadKinds`: which heads are of which kind, with what it was judged by."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..drawable import Drawable
from ..errors import AttnWidgetError
from ..heads import Head, HeadsLike, parse_heads
from ..markup import escaped, html_table
from .agreement import Agreement, agreement
from .frozen import freeze
from .gain import CausalGain
from .headscores import HeadScores
from .thresholds import ROUNDING, threshold_of
from .wording import half

NONE_FOUND = "none found"


@dataclass(frozen=True)
class KindScores:
    """How much every head looks where heads of one kind do: [layer, head], shares of attention from 0 to 1, NaN where undefined."""

    name: str
    label: str
    formula: str
    values: np.ndarray
    """The mean over the samples."""
    low: np.ndarray
    """Lower end of the t interval over the samples (95 % unless `HeadKinds.level` says another), no less than 0; NaN of one sample."""
    high: np.ndarray
    chance: float
    """The score of a head that spreads its attention evenly over the keys each query may see (a layer's own sliding window not counted)."""
    reason: str = ""
    """Why the scores are undefined, where they are."""

    def __post_init__(self) -> None:
        freeze(self, "values", "low", "high")

    @property
    def excess(self) -> np.ndarray:
        """Score less chance."""
        return self.values - self.chance

    @property
    def above_chance(self) -> np.ndarray:
        """Where the lower end of the interval (the score itself, without one) is above chance by more than rounding."""
        low = np.where(np.isnan(self.low), self.values, self.low)
        return low > self.chance + ROUNDING

    def to_frame(self) -> pd.DataFrame:
        """A row per head: head, layer, index, score, low, high, excess (over chance); `attrs` has label, formula, chance and reason."""
        layers, heads = self.values.shape
        rows = [
            {
                "head": str(Head(layer, head)),
                "layer": layer,
                "index": head,
                "score": self.values[layer, head],
                "low": self.low[layer, head],
                "high": self.high[layer, head],
                "excess": self.excess[layer, head],
            }
            for layer in range(layers)
            for head in range(heads)
        ]
        frame = pd.DataFrame(rows)
        frame.attrs = {name: getattr(self, name) for name in ("label", "formula", "chance", "reason")}
        return frame

    def __repr__(self) -> str:
        layers, heads = self.values.shape
        if np.isnan(self.values).all():
            return f"KindScores({self.label}: undefined for all {layers * heads} heads; {self.reason})"
        best = Head(*divmod(int(np.nanargmax(self.values)), heads))
        return f"KindScores({self.label}: {layers * heads} heads, largest {self.values[best]:.3g} at {best}, chance {self.chance:.3g})"


@dataclass(frozen=True)
class HeadKinds(Drawable):
    """What `detect_heads` found. `found["induction"]` is a kind's scores, `found.heads("induction")` the heads that are of that kind.

    A head is found where its score reaches the threshold and the lower end of its interval is above chance.
    """

    kinds: Mapping[str, KindScores]
    setting: str
    """What the heads were tried on: "BOS + 25 random tokens twice, 8 prompts, seed 0"."""
    samples: str
    """What the intervals are over: "8 prompts", "31 queries that see their token again"."""
    fixed: float = 0.4
    """The threshold of the rule "fixed"."""
    processing: str = ""
    dtype: str = ""
    conditional: tuple[Head, ...] = ()
    """Heads that were ablated in the run, where a run was asked about."""
    level: float = 0.95
    """Of the intervals."""

    def __getitem__(self, kind: str) -> KindScores:
        if kind not in self.kinds:
            raise AttnWidgetError(f"No kind {kind!r} was looked for: there are {', '.join(self.kinds)}.")
        return self.kinds[kind]

    def __iter__(self) -> Iterator[str]:
        return iter(self.kinds)

    def threshold(self, kind: str, rule: str = "fixed", *, k: float = 2.0) -> float:
        """Where `rule` draws the line for a kind, see `thresholds.threshold_of`; NaN where it cannot."""
        return threshold_of(self[kind].values, rule, fixed=self.fixed, k=k)

    def heads(self, kind: str, rule: str = "fixed", *, k: float = 2.0) -> list[Head]:
        """The heads of a kind, the largest score first; empty where none is."""
        one = self[kind]
        line = self.threshold(kind, rule, k=k)
        with np.errstate(invalid="ignore"):
            found = (one.values >= line) & one.above_chance
        order = sorted(zip(*np.nonzero(found), strict=True), key=lambda at: -one.values[at])
        return [Head(int(layer), int(head)) for layer, head in order]

    def against(self, labels: HeadsLike | CausalGain, kind: str = "induction", rule: str = "fixed", *, k: float = 2.0) -> Agreement:
        """Precision, recall and F1 of the heads found, against the heads you name or those that a causal test says matter.

        `causal_gain` tests what the answer owes to a head, not where it looks: heads that induction heads depend on count there too.
        """
        found = self.heads(kind, rule, k=k)
        if isinstance(labels, CausalGain):
            every = labels.values.size == len(labels.tested)
            return agreement(found, labels.heads(), f"the causal test ({labels.rule})", None if every else labels.tested)
        return agreement(found, parse_heads(labels, *self[kind].values.shape), "the labels given")

    def scores(self, kind: str) -> HeadScores:
        """One kind as `HeadScores`, for the grid and for ranking."""
        one = self[kind]
        return HeadScores(
            values=one.values,
            method=kind,
            label=one.label,
            formula=f"{one.formula}; {one.reason or f'{self.setting}; chance {one.chance:.3g}'}",
            unit="",
            exact=True,
            signed=False,
            kind="kind",
            processing=self.processing,
            dtype=self.dtype,
            conditional=self.conditional,
            extra={"low": one.low, "high": one.high, "excess": one.excess},
        )

    def to_frame(self, rule: str = "fixed", *, k: float = 2.0) -> pd.DataFrame:
        """The heads found, kind by kind, largest score first: kind, head, layer, index, score, low, high, chance, excess, threshold.

        A kind of which no head is found has one row that says so. `scores(kind).to_frame()` has every head.
        """
        rows = []
        for kind, one in self.kinds.items():
            line = self.threshold(kind, rule, k=k)
            said = {"chance": one.chance, "threshold": line}
            for head in self.heads(kind, rule, k=k):
                numbers = {name: float(getattr(one, name)[head]) for name in ("low", "high", "excess")}
                rows.append(
                    {"kind": kind, "head": str(head), "layer": head.layer, "index": head.head, "score": one.values[head]} | numbers | said
                )
            if not rows or rows[-1]["kind"] != kind:
                rows.append({"kind": kind, "head": one.reason or NONE_FOUND} | said)
        columns = ["kind", "head", "layer", "index", "score", "low", "high", "chance", "excess", "threshold"]
        frame = pd.DataFrame(rows, columns=columns).astype({"layer": "Int64", "index": "Int64"})
        frame.attrs = {name: getattr(self, name) for name in ("setting", "processing", "dtype")}
        return frame

    def describe(self) -> str:
        """One line for under a table: on what, how sure, and where the line is."""
        without = [one.label for one in self.kinds.values() if not one.reason and np.isnan(one.low).all()]
        interval = f"{100 * self.level:g} % t interval over {self.samples}" if self._intervals else f"{self.samples}, so no interval"
        if self._intervals and without:
            interval += f", none for {' and '.join(without)}, of which there is one"
        if self._intervals and "quer" in self.samples:
            interval += "; those of one prompt are not independent"
        return f"{self.setting}; {interval}; found: score ≥ {self.fixed:g} and above chance{half(self.dtype)}"

    @property
    def _intervals(self) -> bool:
        return any(not np.isnan(one.low).all() for one in self.kinds.values())

    def __repr__(self) -> str:
        parts = []
        for kind, one in self.kinds.items():
            found = self.heads(kind)
            best = ", ".join(f"{head} {one.values[head]:.3g}" for head in found[:4]) + (", …" if len(found) > 4 else "")
            parts.append(f"{kind}: {best or one.reason or NONE_FOUND}")
        return f"HeadKinds({'; '.join(parts)}; {self.describe()})"

    def _repr_html_(self) -> str:
        table = html_table(self.to_frame(), 3, index=False)
        return f"{table}<p>{escaped(self.describe())}</p>"


def undefined(name: str, label: str, formula: str, shape: tuple[int, int], reason: str) -> KindScores:
    """A kind that nothing can be said about."""
    blank = np.full(shape, np.nan)
    return KindScores(name, label, formula, blank, blank.copy(), blank.copy(), math.nan, reason)
