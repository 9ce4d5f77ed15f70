"""`Comparison`: two runs, head by head, with what the numbers are of and whether they are causes or mere differences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import pandas as pd

from ..drawable import Drawable
from ..errors import AttnWidgetError
from ..heads import Head, HeadLike, parse_head
from ..markup import html_table
from ..run import Run
from .alignment import Alignment
from .answers import Answers
from .compared import COMPARED
from .headscores import HeadScores
from .measure import Measure
from .origin import origin
from .sinks import rows_to_one


@dataclass(frozen=True)
class PatternDifference:
    """One head's patterns in both runs over the aligned tokens, [query, key], and `values`, the first less the other."""

    head: Head
    first: np.ndarray
    other: np.ndarray
    values: np.ndarray
    tokens: tuple[str, ...]
    other_tokens: tuple[str, ...]
    positions: tuple[int, ...]
    other_positions: tuple[int, ...]
    note: str

    def to_frame(self) -> pd.DataFrame:
        """[query, key] as a table, its axes named by position and token of the first prompt."""
        names = [f"{position}: {token}" for position, token in zip(self.positions, self.tokens, strict=True)]
        return pd.DataFrame(self.values, index=names, columns=names)

    def __repr__(self) -> str:
        largest = np.nanmax(np.abs(self.values), initial=0)
        return f"PatternDifference({self.head}: {len(self.tokens)} aligned tokens, largest {largest:.3g}; {self.note})"


@dataclass(frozen=True)
class Comparison(Drawable):
    """`values[name]` is [layer, head] for each of `COMPARED`, NaN where undefined. Differences are `run` less `other`.

    `noising` and `denoising` are causal: a head's output was exchanged and the answer measured. All others say that a head looks or speaks
    differently, not that this matters.
    """

    values: Mapping[str, np.ndarray]
    places: Mapping[str, np.ndarray]
    """Positions in `run` [layer, head] of what is largest: `max_query` and `max_key` of the largest difference of a cell, `js_query` and
    `tv_query` of the rows that differ most. NaN where undefined."""
    cosines: np.ndarray
    """`cos(z, z')` [layer, head, pair], at each aligned position; NaN where a z is 0."""
    pairs: tuple[tuple[int, int], ...]
    """What was compared: the pairs of the alignment, less those of special tokens where these were discounted."""
    alignment: Alignment
    answers: Answers
    measure: Measure | None = field(repr=False)
    """What noising and denoising are effects on, in `run`; None where they were not asked for."""
    notes: tuple[str, ...]
    undefined: Mapping[str, str]
    """By number, why it is undefined for every head."""
    renormalised: bool
    processing: str
    dtype: str
    run: Run = field(repr=False)
    other: Run = field(repr=False)

    def __post_init__(self) -> None:
        for name in ("values", "places"):
            arrays = dict(getattr(self, name))
            for array in arrays.values():
                array.setflags(write=False)
            object.__setattr__(self, name, MappingProxyType(arrays))
        self.cosines.setflags(write=False)

    def scores(self, name: str) -> HeadScores:
        """One of the numbers as `HeadScores`, for the grid and for ranking."""
        known = _known(name)
        measure = self.measure if known.causal else None
        what = ("causal" if known.causal else "correlational, the effect of nothing", *self.notes, self.undefined.get(name, ""))
        formula = f"{known.formula}; effect: {measure.label}" if measure is not None else known.formula
        model = self.run.model
        return HeadScores(
            values=self.values[name],
            method=name,
            label=f"{known.label}: {measure.label}" if measure is not None else known.label,
            formula="; ".join(part for part in (formula, *what) if part),
            unit=known.unit if measure is None else measure.metric.unit,
            exact=True,
            signed=known.signed if measure is None else measure.metric.signed,
            kind="effect" if known.causal else "statistic",
            metric=None if measure is None else measure.metric.name,
            target=None if measure is None or measure.target is None else model.token(measure.target),
            against=None if measure is None or measure.against is None else model.token(measure.against),
            position=None if measure is None else measure.position,
            baseline=f"compared with {_short(self.other.text)}",
            processing=self.processing,
            dtype=self.dtype,
            conditional=self.run.ablation.heads,
            condition=self.run.ablation.describe() if self.run.ablation.heads else "",
            origin=(origin(self.run), origin(self.other)),
        )

    def pattern_difference(self, head: HeadLike) -> PatternDifference:
        """`A − A'` of one head over the compared pairs of positions, with the same renormalisation as the numbers."""
        model = self.run.model
        which = parse_head(head, model.n_layers, model.n_heads)
        positions, others = ([pair[side] for pair in self.pairs] for side in (0, 1))
        first, second = (run.pattern(which)[at][:, at].double().cpu().numpy() for run, at in ((self.run, positions), (self.other, others)))
        if self.renormalised:
            first, second = rows_to_one(first), rows_to_one(second)
        return PatternDifference(
            head=which,
            first=first,
            other=second,
            values=first - second,
            tokens=tuple(self.run.tokens[i] for i in positions),
            other_tokens=tuple(self.other.tokens[i] for i in others),
            positions=tuple(positions),
            other_positions=tuple(others),
            note=self.alignment.describe(),
        )

    def to_frame(self) -> pd.DataFrame:
        """One row per head, layer by layer: head, layer, index, a column for each number, and the positions of what is largest (NA where
        undefined). `attrs` has the notes, and under `causal` the columns that are."""
        layers, heads = (axis.ravel() for axis in np.indices(self.cosines.shape[:2]))
        names = [str(Head(int(layer), int(head))) for layer, head in zip(layers, heads, strict=True)]
        columns = {name: values.ravel() for name, values in self.values.items()}
        places = {name: pd.array(values.ravel(), dtype="Float64").astype("Int64") for name, values in self.places.items()}
        frame = pd.DataFrame({"head": names, "layer": layers, "index": heads, **columns, **places})
        causal = [name for name in self.values if COMPARED[name].causal]
        frame.attrs = {"causal": causal, "notes": self.notes, "undefined": dict(self.undefined), "alignment": self.alignment.describe()}
        frame.attrs |= {"processing": self.processing, "dtype": self.dtype}
        frame.attrs |= {"metric": None if self.measure is None else self.measure.metric.name}
        return frame

    def describe(self) -> str:
        """One line: what was compared, how, on which weights."""
        return "; ".join((f"{_short(self.run.text)} and {_short(self.other.text)}", *self.notes, self.processing, self.dtype))

    def __repr__(self) -> str:
        best = ", ".join(f"{head} {self.values['js'][head]:.3g}" for head in self.scores("js").top(3))
        return f"Comparison({self.describe()}; most different by JS: {best or 'undefined'})"

    def _repr_html_(self) -> str:
        return html_table(self.to_frame())


def _known(name: str):
    if name not in COMPARED:
        raise AttnWidgetError(f"No number {name!r} in a comparison: there are {', '.join(COMPARED)}.")
    return COMPARED[name]


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "…")
