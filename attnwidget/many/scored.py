"""`DatasetScores`: one number for every head and prompt, and the mean over prompts with how sure one can be of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from ..analysis.headscores import HeadScores
from ..analysis.score import METHODS
from ..heads import Head
from ..markup import escaped, html_table
from .results import PARTS, OverPrompts, check_part, counted, over_prompts, prompts_frame

EACH = ("tokens", "position", "target", "against")


@dataclass(frozen=True)
class DatasetScores(OverPrompts):
    """What `score_dataset` found. `mean`, `low`, `high` and `n` are [layer, head]: Student's t interval over the prompts in which the head
    has a score. Prompts are taken to be drawn independently from those that are meant; heads are not corrected for being many."""

    method: str

    @property
    def samples(self) -> np.ndarray:
        """[prompt, layer, head] in the order of the prompts, NaN where undefined; all of it where the prompt failed."""
        return self.found.arrays["values"]

    @cached_property
    def _summary(self) -> dict[str, np.ndarray]:
        return over_prompts(self.samples, self.found.level)

    @cached_property
    def _others(self) -> dict[str, np.ndarray]:
        """The means of what a method says beside its scores, for instance `completeness_error`."""
        return {name: over_prompts(some, self.found.level)["mean"] for name, some in self.found.arrays.items() if name != "values"}

    @property
    def mean(self) -> np.ndarray:
        """NaN where no prompt has a score."""
        return self._summary["mean"]

    @property
    def interval(self) -> tuple[np.ndarray, np.ndarray]:
        """The two ends; NaN where fewer than two prompts have a score."""
        return self._summary["low"], self._summary["high"]

    @property
    def n(self) -> np.ndarray:
        """The prompts in which the head has a score."""
        return self._summary["n"]

    def scores(self, part: str = "mean") -> HeadScores:
        """The mean (or `low`, `high`, `n`) as `HeadScores`, for the grid and for ranking; `extra` has all four."""
        check_part(part)
        one = self.found.one
        # Tokens of their own in each prompt: the metric's name says what they have in common.
        label = one("label", f"{str(one('metric') or self.method).replace('_', ' ')}, tokens of each prompt")
        made = (one("formula", METHODS[self.method].formula), *self._said)
        return HeadScores(
            values=self._summary[part],
            method=self.method,
            label=f"{PARTS[part]}, {label}",
            formula="; ".join(made),
            unit="prompts" if part == "n" else one("unit"),
            exact=all(self.found.shared["exact"]),
            signed=part != "n" and one("signed"),
            kind=one("kind"),
            metric=one("metric"),
            target=_same(self.found.each["target"]),
            against=_same(self.found.each["against"]),
            position=_same(self.found.each["position"]),
            mode=one("mode"),
            baseline=one("baseline", "another in each prompt"),
            processing=one("processing", "weights of several kinds"),
            dtype=one("dtype", "several"),
            extra=self._summary | self._others,
        )

    @property
    def _said(self) -> tuple[str, ...]:
        shared = self.found.shared
        where = " and ".join(shared["device"]) if len(shared["device"]) > 1 else ""
        return tuple(part for part in (*counted(self.found), f"{self.found.level:.0%} t intervals", where, self.found.threads) if part)

    def top(self, k: int = 10, *, by: str = "value") -> list[Head]:
        """The `k` heads with the largest mean, or `by="size"` the largest absolute mean; undefined ones are left out."""
        return self.scores().top(k, by=by)

    def to_frame(self) -> pd.DataFrame:
        """A row per head: head, layer, index, mean, low, high, n; largest mean first, undefined last. `attrs` says how it was made."""
        scores = self.scores()
        frame = scores.to_frame().drop(columns=self.method)
        frame.attrs["failures"] = [(one.index, one.prompt, one.reason) for one in self.failures]
        return frame[["head", "layer", "index", *PARTS, *(name for name in scores.extra if name not in PARTS)]]

    def per_prompt(self) -> pd.DataFrame:
        """A row per prompt that was given: prompt, tokens, position, target, against, and in `failed` the reason where it has no scores."""
        return prompts_frame(self.found)

    def describe(self) -> str:
        """One line: what, how, over how many prompts, on which weights."""
        return f"{self.found.one('model', 'several models')}: {self.scores().describe()}"

    def __repr__(self) -> str:
        best = ", ".join(f"{head} {self.mean[head]:.3g}" for head in self.top(3, by="size")) or "undefined for every head"
        return f"DatasetScores({best}, …; {self.describe()})"

    def _repr_html_(self) -> str:
        table = html_table(self.to_frame().head(20), 4, index=False)
        return f"{table}<p>{escaped(self.describe())}</p>"


def _same(values: tuple) -> object:
    """What all prompts have in common, None where they differ."""
    known = {value for value in values if value is not None}
    return known.pop() if len(known) == 1 else None
