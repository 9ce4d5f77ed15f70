"""`ComparisonSet`: many pairs of prompts, each number of each head as a mean over them with how sure one can be of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from ..errors import AttnWidgetError
from ..heads import Head
from ..markup import html_table
from .compared import COMPARED
from .headscores import HeadScores
from .intervals import summarised

PARTS = {"mean": "mean over pairs", "low": "lower end of the interval", "high": "upper end of the interval", "n": "pairs"}


@dataclass(frozen=True)
class Failure:
    """A pair that could not be compared, and why."""

    index: int
    """Which of the pairs that were given."""
    prompt: str
    other: str
    reason: str


@dataclass(frozen=True)
class ComparisonSet:
    """`samples[name]` is [pair, layer, head] for each of `COMPARED`, over the pairs that could be compared; NaN where undefined.

    `mean`, `low`, `high` and `n` are [layer, head] of one number: the mean over the pairs in which it is defined and Student's t interval
    of it, `mean ± t · s / √n`, s with n − 1. Pairs are taken to be drawn independently from the kind of pair that is meant; heads are not
    corrected for being many.
    """

    samples: Mapping[str, np.ndarray]
    indices: tuple[int, ...]
    """Which of the given pairs the samples are."""
    prompts: tuple[tuple[str, str], ...]
    failures: tuple[Failure, ...]
    level: float
    effect: str
    """What noising and denoising are effects on: the metric's label; empty where they were not asked for."""
    notes: tuple[str, ...]
    undefined: Mapping[str, tuple[str, ...]]
    """By number, the reasons for which it is undefined in some of the pairs."""
    metric: str | None
    unit: str
    signed: bool
    processing: str
    dtype: str

    def mean(self, name: str) -> np.ndarray:
        """[layer, head], NaN where no pair has the number."""
        return self._summary[_known(name)]["mean"]

    def interval(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """The two ends, [layer, head] each; NaN where fewer than two pairs have the number."""
        summary = self._summary[_known(name)]
        return summary["low"], summary["high"]

    def n(self, name: str) -> np.ndarray:
        """[layer, head]: the pairs in which the number is defined."""
        return self._summary[_known(name)]["n"]

    @cached_property
    def _summary(self) -> dict[str, dict[str, np.ndarray]]:
        return {name: summarised(samples, self.level) for name, samples in self.samples.items()}

    def scores(self, name: str, part: str = "mean") -> HeadScores:
        """The mean (or `low`, `high`, `n`) of one number as `HeadScores`, for the grid and for ranking; `extra` has all four."""
        known = COMPARED[_known(name)]
        if part not in PARTS:
            raise AttnWidgetError(f"No part {part!r}: there are {', '.join(PARTS)}.")
        summary, effect = self._summary[name], self.effect if known.causal else ""
        label = f"{known.label}: {effect}" if effect else known.label
        what = "causal" if known.causal else "correlational, the effect of nothing"
        made = (f"{PARTS[part]}: {known.formula}", f"effect: {effect}" if effect else "", what, *self._said, *self.undefined.get(name, ()))
        return HeadScores(
            values=summary[part],
            method=name,
            label=f"{PARTS[part]}, {label}",
            formula="; ".join(one for one in made if one),
            unit="pairs" if part == "n" else self.unit if known.causal else known.unit,
            exact=True,
            signed=part != "n" and (self.signed if known.causal else known.signed),
            kind="effect" if known.causal else "statistic",
            metric=self.metric if known.causal else None,
            processing=self.processing,
            dtype=self.dtype,
            extra=summary,
        )

    @property
    def _said(self) -> tuple[str, ...]:
        failed = f"{len(self.failures)} could not be compared" if self.failures else ""
        counted = f"{len(self.indices)} pairs, {self.level:.0%} t intervals"
        return tuple(part for part in (counted, failed, *self.notes) if part)

    def to_frame(self) -> pd.DataFrame:
        """One row per head and number: head, layer, index, number, causal, mean, low, high, n. `attrs["failures"]` are the pairs that are
        not in it."""
        shape = next(iter(self.samples.values())).shape[1:]
        layers, heads = (axis.ravel() for axis in np.indices(shape))
        names = [str(Head(int(layer), int(head))) for layer, head in zip(layers, heads, strict=True)]
        tables = [
            pd.DataFrame(
                {"head": names, "layer": layers, "index": heads, "number": name, "causal": COMPARED[name].causal}
                | {part: summary[part].ravel() for part in PARTS}
            )
            for name, summary in self._summary.items()
        ]
        frame = pd.concat(tables, ignore_index=True)
        failures = [(one.index, one.prompt, one.other, one.reason) for one in self.failures]
        frame.attrs = {"failures": failures, "level": self.level, "notes": self.notes, "metric": self.metric}
        frame.attrs |= {"processing": self.processing, "dtype": self.dtype}
        return frame

    def failed(self) -> pd.DataFrame:
        """The pairs that could not be compared: index, prompt, other, reason."""
        rows = [(one.index, one.prompt, one.other, one.reason) for one in self.failures]
        return pd.DataFrame(rows, columns=["index", "prompt", "other", "reason"])

    def describe(self) -> str:
        """One line: how many pairs, how many failed, and how they were compared."""
        return "; ".join((*self._said, self.processing, self.dtype))

    def __repr__(self) -> str:
        scores = self.scores("js")
        best = ", ".join(f"{head} {scores.values[head]:.3g}" for head in scores.top(3))
        return f"ComparisonSet({self.describe()}; most different by mean JS: {best or 'undefined'})"

    def _repr_html_(self) -> str:
        return html_table(self.to_frame().head(40))


def _known(name: str) -> str:
    if name not in COMPARED:
        raise AttnWidgetError(f"No number {name!r} in a comparison: there are {', '.join(COMPARED)}.")
    return name
