"""`CausalGain`: what each head contributes to the gain from having seen the text before."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..heads import Head
from ..markup import html_table
from .frozen import freeze
from .headscores import HeadScores
from .intervals import mean_interval
from .wording import half


@dataclass(frozen=True)
class CausalGain:
    """The gain of every prompt, `mean log p(r_i | second copy) − mean log p(r_i | first copy)` over i = 2 … T, in nats, clean and with each
    tested head ablated alone. `drop = gain(clean) − gain(without the head)`, so positive means that the head helped.

    A head matters where its mean drop is at least `share` of the mean clean gain and the 95 % t interval of its drop over the prompts lies
    above 0. Where the clean gain's own interval does not, there is nothing to lose, and no head matters.
    """

    clean: np.ndarray
    """Gain of each prompt, [prompt]."""
    drops: np.ndarray
    """[prompt, layer, head]; NaN for heads that were not tested."""
    tested: tuple[Head, ...]
    share: float
    setting: str
    baseline: str
    """What was done to a head: "z set to zero at all positions"."""
    processing: str = ""
    dtype: str = ""

    def __post_init__(self) -> None:
        freeze(self, "clean", "drops")

    @property
    def gain(self) -> tuple[float, float, float]:
        """Mean gain of the clean model and its 95 % t interval over the prompts (NaN for one prompt)."""
        mean, low, high = mean_interval(self.clean)
        return float(mean), float(low), float(high)

    @property
    def values(self) -> np.ndarray:
        """Mean drop, [layer, head]."""
        return self.drops.mean(0)

    @property
    def rule(self) -> str:
        """What makes a head matter, in words."""
        return f"ablating the head takes {self.share:.0%} or more of the gain, interval above 0"

    def heads(self) -> list[Head]:
        """The tested heads that matter, the largest drop first."""
        mean, low, _ = self.gain
        if not (mean > 0 and (np.isnan(low) or low > 0)):
            return []
        values, lows, _ = mean_interval(self.drops)
        lows = np.where(np.isnan(lows), values, lows)
        found = [head for head in self.tested if values[head] >= self.share * mean and lows[head] > 0]
        return sorted(found, key=lambda head: -values[head])

    def scores(self) -> HeadScores:
        """The mean drop as `HeadScores`."""
        values, low, high = mean_interval(self.drops)
        return HeadScores(
            values=values,
            method="causal_gain",
            label="drop in gain from the repeat",
            formula=f"drop in mean log p(r_i | second copy) − mean log p(r_i | first copy), i ≥ 2; {self.setting}",
            unit="nats",
            exact=True,
            signed=True,
            kind="effect",
            baseline=self.baseline,
            processing=self.processing,
            dtype=self.dtype,
            extra={"low": low, "high": high, "share": self._shares(values)},
        )

    def _shares(self, values: np.ndarray) -> np.ndarray:
        """Of the gain; undefined where there is none."""
        gain = self.gain[0]
        return values / gain if gain > 0 else np.full(values.shape, np.nan)

    def to_frame(self) -> pd.DataFrame:
        """One row per tested head, largest drop first: head, layer, index, drop, low, high (nats), share of the gain, matters."""
        frame = self.scores().to_frame().rename(columns={"causal_gain": "drop"}).dropna(subset="drop")
        matter = {str(head) for head in self.heads()}
        return frame.assign(matters=[name in matter for name in frame["head"]])

    def __repr__(self) -> str:
        mean, low, high = self.gain
        if np.isnan(low):
            sure = f"gain {mean:.3g} nats (one prompt, so no interval)"
        else:
            sure = f"gain {mean:.3g} nats ({low:.3g} to {high:.3g})"
        best = ", ".join(f"{head} {self.values[head] / mean:.0%}" for head in self.heads()[:4])
        tested = f"{len(self.tested)} heads tested, {self.baseline}"
        return f"CausalGain({sure}; of it through {best or 'no tested head'}; {tested}; {self.setting}{half(self.dtype)})"

    def _repr_html_(self) -> str:
        return html_table(self.to_frame().head(20), index=False)
