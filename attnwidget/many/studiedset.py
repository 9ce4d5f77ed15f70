"""`DatasetStudy`: what was found in each of many prompts, and how often each head was part of it."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist

import numpy as np
import pandas as pd

from ..analysis.frozen import read_only
from ..analysis.headscores import HeadScores
from ..analysis.intervals import mean_interval
from ..analysis.wording import number, percent
from ..errors import AttnWidgetError
from ..heads import Head
from ..markup import escaped, html_table
from .results import OverPrompts, counted, head_columns, prompts_frame

EACH = (
    *("tokens", "position", "target", "verdict", "heads", "margin_before", "margin", "kl"),
    *("first_before", "first", "flipped", "sets", "forwards"),
)
_SHARES = {"share": "share of prompts", "low": "lower end of the interval", "high": "upper end of the interval"}


@dataclass(frozen=True)
class DatasetStudy(OverPrompts):
    """What `study_dataset` found. A prompt is changed (`flipped`) where the set found for it makes another token the first choice: with a
    target the target, without one any. Shares are of the prompts that were studied, with Wilson's interval for a share."""

    @property
    def samples(self) -> np.ndarray:
        """[prompt, layer, head]: 1 where the head is in the set found for the prompt (without a target, the set that moves its answer
        most), 0 where it is not or no set was found, NaN where the prompt failed."""
        return self.found.arrays["member"]

    @property
    def n(self) -> int:
        """Prompts that were studied."""
        return self.found.answered

    @property
    def verdicts(self) -> dict[str, int]:
        """How many prompts have each verdict of `Study`."""
        return dict(Counter(verdict for verdict in self.found.each["verdict"] if verdict is not None).most_common())

    @cached_property
    def share(self) -> np.ndarray:
        """[layer, head]: in how large a share of the prompts the head is in the set."""
        total = np.zeros(self.samples.shape[1:])
        for one in self.samples:
            total += np.nan_to_num(one)
        return read_only(total / self.n)

    @property
    def interval(self) -> tuple[np.ndarray, np.ndarray]:
        """The two ends of each head's share, [layer, head] each."""
        return wilson(self.share, self.n, self.found.level)

    @property
    def flipped(self) -> tuple[float, float, float]:
        """Share of the prompts whose first choice the set changes, and the two ends of its interval."""
        share = np.array(sum(bool(one) for one in self.found.each["flipped"]) / self.n)
        return (float(share), *(float(end) for end in wilson(share, self.n, self.found.level)))

    @property
    def size(self) -> tuple[float, float, float]:
        """Mean number of heads of the sets that were found, and the two ends of its t interval; NaN where there is none, or one."""
        sizes = np.array([len(heads) for heads in self.found.each["heads"] if heads], float)
        if not len(sizes):
            return math.nan, math.nan, math.nan
        mean, low, high = mean_interval(sizes, self.found.level)
        return float(mean), float(low), float(high)

    def heads(self, prompt: int) -> tuple[Head, ...]:
        """The set that was found for a prompt, by its place among those given; () where there is none."""
        if isinstance(prompt, bool) or not isinstance(prompt, int) or not 0 <= prompt < len(self.prompts):
            raise AttnWidgetError(f"No prompt {prompt!r}: they run from 0 to {len(self.prompts) - 1}.")
        return tuple(Head(*map(int, name[1:].split("H"))) for name in self.found.each["heads"][prompt] or ())

    def scores(self, part: str = "share") -> HeadScores:
        """The share (or `low`, `high`) as `HeadScores`, for the grid and for ranking; `extra` has all three."""
        if part not in _SHARES:
            raise AttnWidgetError(f"No part {part!r}: there are {', '.join(_SHARES)}.")
        low, high = self.interval
        extra = {"share": self.share, "low": low, "high": high}
        one = self.found.one
        what = "in whose set the head is"
        return HeadScores(
            values=extra[part],
            method="study",
            label=f"{_SHARES[part]} {what}" if part == "share" else f"{_SHARES[part]}: share of prompts {what}",
            formula="; ".join(("sets found by a search, see per_prompt() for what is proved of each", *self._said)),
            unit="",
            exact=True,
            signed=False,
            kind="effect",
            baseline=one("baseline", "another in each prompt"),
            processing=one("processing", "weights of several kinds"),
            dtype=one("dtype", "several"),
            extra=extra,
        )

    def top(self, k: int = 10) -> list[Head]:
        """The `k` heads that are in most sets; those that are in none are left out."""
        return [head for head in self.scores().top(k) if self.share[head] > 0]

    def to_frame(self) -> pd.DataFrame:
        """A row per head: head, layer, index, prompts (in whose set it is), share, low, high; largest share first."""
        low, high = (end.ravel() for end in self.interval)
        counts = np.rint(self.share * self.n).astype(int).ravel()
        frame = pd.DataFrame(head_columns(self.share.shape) | {"prompts": counts, "share": self.share.ravel(), "low": low, "high": high})
        frame = frame.sort_values("share", ascending=False, ignore_index=True, kind="stable")
        frame.attrs = {"failures": [(one.index, one.prompt, one.reason) for one in self.failures], "level": self.found.level}
        frame.attrs |= {"verdicts": self.verdicts, "dtype": self.found.one("dtype", "several")}
        return frame

    def per_prompt(self) -> pd.DataFrame:
        """A row per prompt that was given: prompt, tokens, position, target, verdict, heads, margin and first choice before and with the
        set ablated, KL, whether that changed the first choice, what it cost, and in `failed` the reason where it was not studied."""
        frame = prompts_frame(self.found)
        frame["heads"] = [" ".join(heads or ()) for heads in self.found.each["heads"]]
        return frame

    @property
    def _said(self) -> tuple[str, ...]:
        share, low, high = self.flipped
        what = "have a set that makes the target the first choice" if self.found.one("targeted") else "change their first choice"
        shares = f"{percent(share)} of them {what} ({percent(low)} to {percent(high)})"
        mean, *_ = self.size
        sizes = "" if math.isnan(mean) else f"{number(mean)} heads a set on average"
        verdicts = ", ".join(f"{count} {verdict}" for verdict, count in self.verdicts.items())
        said = (*counted(self.found), shares, sizes, verdicts, f"{self.found.level:.0%} intervals (Wilson)", self.found.threads)
        return tuple(one for one in said if one)

    def describe(self) -> str:
        """One line: how many prompts, how often a set was found, how large the sets are."""
        one = self.found.one
        rest = (one("baseline", ""), one("processing", ""), one("dtype", "several"))
        return f"{one('model', 'several models')}: {'; '.join(part for part in (*self._said, *rest) if part)}"

    def __repr__(self) -> str:
        best = ", ".join(f"{head} in {percent(float(self.share[head]))}" for head in self.top(3)) or "no set found"
        return f"DatasetStudy({best}; {self.describe()})"

    def _repr_html_(self) -> str:
        frame = self.to_frame()
        table = html_table(frame[frame.prompts > 0].head(20), 3, index=False)
        return f"{table}<p>{escaped(self.describe())}</p>"


def wilson(share: np.ndarray, n: int, level: float) -> tuple[np.ndarray, np.ndarray]:
    """E. B. Wilson's interval (1927) of a share `p` of n: `(p + z²/2n ± z √(p(1 − p)/n + z²/4n²)) / (1 + z²/n)`."""
    z = NormalDist().inv_cdf((1 + level) / 2)
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return (middle - half).clip(0, 1), (middle + half).clip(0, 1)
