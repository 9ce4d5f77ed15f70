"""`DatasetKinds`: where heads look over many prompts, and of which kind they are."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from ..analysis.headkinds import HeadKinds, KindScores
from ..analysis.headscores import HeadScores
from ..analysis.kinds import KINDS, NO_REPEATS
from ..analysis.statistics import STATISTICS
from ..errors import AttnWidgetError
from ..heads import Head
from ..markup import escaped, html_table
from .results import PARTS, OverPrompts, check_part, counted, head_columns, over_prompts, prompts_frame, sealed

EACH = ("tokens", "chances")


@dataclass(frozen=True)
class DatasetKinds(OverPrompts):
    """What `detect_dataset` found. `samples[name]` is [prompt, layer, head], NaN where the prompt does not have the number (no repeats) or
    failed; `kinds` judges the means as `detect_heads` judges those of one prompt."""

    names: tuple[str, ...]
    threshold: float

    @property
    def samples(self) -> Mapping[str, np.ndarray]:
        return self.found.arrays

    @cached_property
    def _summary(self) -> dict[str, dict[str, np.ndarray]]:
        summary = {name: over_prompts(samples, self.found.level) for name, samples in self.samples.items()}
        for name in self._kinds:
            # A share of attention lies between 0 and 1, and so does what it can be.
            summary[name] |= sealed({end: summary[name][end].clip(0, 1) for end in ("low", "high")})
        return summary

    @property
    def _kinds(self) -> list[str]:
        return [name for name in self.names if name in KINDS]

    def mean(self, name: str) -> np.ndarray:
        """[layer, head], NaN where no prompt has the number."""
        return self._summary[self._known(name)]["mean"]

    def interval(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """The two ends, [layer, head] each; NaN where fewer than two prompts have the number."""
        summary = self._summary[self._known(name)]
        return summary["low"], summary["high"]

    def n(self, name: str) -> np.ndarray:
        """[layer, head]: the prompts in which the number is defined."""
        return self._summary[self._known(name)]["n"]

    def chance(self, name: str) -> float:
        """What a head scores that spreads its attention evenly, a mean over the prompts that have the kind; NaN where none has."""
        if name not in self._kinds:
            raise AttnWidgetError(
                f"Chance is known of kinds of heads, {', '.join(self._kinds) or 'of which none was asked'}, not of {name!r}."
            )
        at = self._kinds.index(name)
        known = [chances[at] for chances in self.found.each["chances"] if chances is not None and not math.isnan(chances[at])]
        return sum(known) / len(known) if known else math.nan

    @cached_property
    def kinds(self) -> HeadKinds:
        """The kinds that were asked for, judged by their means: its `heads(kind, rule)`, `threshold` and picture."""
        if not self._kinds:
            raise AttnWidgetError(f"No kind of head was asked for: name some of {', '.join(KINDS)} in kinds=.")
        return HeadKinds(
            kinds={name: self._judged(name) for name in self._kinds},
            setting="the prompts' own tokens",
            samples="; ".join((*counted(self.found), *self._fewer)),
            fixed=self.threshold,
            processing=self.found.one("processing", "weights of several kinds"),
            dtype=self.found.one("dtype", "several"),
            level=self.found.level,
        )

    def _judged(self, name: str) -> KindScores:
        kind, summary = KINDS[name], self._summary[name]
        reason = ""
        if not summary["n"].any():
            reason = NO_REPEATS.replace("this prompt", "these prompts") if kind.repeats else "undefined in prompts of one token"
        return KindScores(name, kind.label, kind.formula, summary["mean"], summary["low"], summary["high"], self.chance(name), reason)

    @property
    def _fewer(self) -> list[str]:
        """Kinds that not all prompts have."""
        most = {name: int(self._summary[name]["n"].max()) for name in self._kinds}
        return [f"{KINDS[name].label} in {n:,} of them" for name, n in most.items() if n < self.found.answered]

    def heads(self, kind: str, rule: str = "fixed", *, k: float = 2.0) -> list[Head]:
        """The heads of a kind, the largest mean first; empty where none is."""
        return self.kinds.heads(kind, rule, k=k)

    def scores(self, name: str, part: str = "mean") -> HeadScores:
        """The mean (or `low`, `high`, `n`) of one number as `HeadScores`, for the grid and for ranking; `extra` has all four."""
        check_part(part)
        known = (KINDS if self._known(name) in KINDS else STATISTICS)[name]
        chance = f"chance {self.chance(name):.3g}" if name in KINDS else self.found.one("note", "something left out in some prompts")
        return HeadScores(
            values=self._summary[name][part],
            method=name,
            label=f"{PARTS[part]}, {known.label}",
            formula="; ".join(one for one in (known.formula, chance, *counted(self.found), f"{self.found.level:.0%} t intervals") if one),
            unit="prompts" if part == "n" else getattr(known, "unit", ""),
            exact=True,
            signed=False,
            kind="kind" if name in KINDS else "statistic",
            processing=self.found.one("processing", "weights of several kinds"),
            dtype=self.found.one("dtype", "several"),
            extra=self._summary[name],
        )

    def top(self, name: str, k: int = 10) -> list[Head]:
        """The `k` heads with the largest mean; undefined ones are left out."""
        return self.scores(name).top(k)

    def to_frame(self) -> pd.DataFrame:
        """A row per head and number: head, layer, index, number, mean, low, high, n, chance (of kinds), found (of kinds: by the rule
        "fixed"). `attrs["failures"]` are the prompts that are not in it."""
        tables = []
        for name in self.names:
            summary = self._summary[name]
            heads = head_columns(summary["mean"].shape)
            table = pd.DataFrame(heads | {"number": name} | {part: summary[part].ravel() for part in PARTS})
            kind = name in KINDS
            table["chance"] = self.chance(name) if kind else math.nan
            of_kind = set(map(str, self.heads(name))) if kind else set()
            table["found"] = pd.array([one in of_kind if kind else None for one in heads["head"]], dtype="boolean")
            tables.append(table)
        frame = pd.concat(tables, ignore_index=True)
        frame.attrs = {"failures": [(one.index, one.prompt, one.reason) for one in self.failures], "level": self.found.level}
        frame.attrs |= {"threshold": self.threshold, "dtype": self.found.one("dtype", "several")}
        return frame

    def per_prompt(self) -> pd.DataFrame:
        """A row per prompt that was given: prompt, tokens, and in `failed` the reason where it has no numbers."""
        return prompts_frame(self.found).drop(columns="chances")

    def describe(self) -> str:
        """One line: on what, how sure, and where the line is."""
        said = self.kinds.describe() if self._kinds else "; ".join((*counted(self.found), f"{self.found.level:.0%} t intervals"))
        rest = (self.found.one("note", ""), self.found.threads, self.found.one("processing", ""), self.found.one("dtype", "several"))
        return f"{self.found.one('model', 'several models')}: {'; '.join(one for one in (said, *rest) if one)}"

    def __repr__(self) -> str:
        best = []
        for name in self.names:
            of_kind = self.heads(name) if name in KINDS else self.top(name, 3)
            shown = ", ".join(f"{head} {self.mean(name)[head]:.3g}" for head in of_kind[:4]) + (", …" if len(of_kind) > 4 else "")
            best.append(f"{name}: {shown or 'none found'}")
        return f"DatasetKinds({'; '.join(best)}; {self.describe()})"

    def _repr_html_(self) -> str:
        if self._kinds:
            table = html_table(self.kinds.to_frame(), 3, index=False)
        else:
            table = html_table(self.to_frame().head(20), 3, index=False)
        return f"{table}<p>{escaped(self.describe())}</p>"

    def _known(self, name: str) -> str:
        if name not in self.names:
            raise AttnWidgetError(f"No number {name!r} was asked for: there are {', '.join(self.names)}.")
        return name
