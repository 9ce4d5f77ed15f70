"""What an ablation does to the whole prompt, not to its last token alone: perplexity, and how many first choices change."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from ..run import AblatedRun
from .outcome import Pair
from .wording import half


@dataclass(frozen=True)
class WholePrompt:
    """Teacher-forced on the prompt's own tokens, so the clean and the ablated run are judged on the same text. Perplexity is
    `exp(-mean log p(next token))`; `top1_changed` is the share of positions, 0 to 1, whose first choice differs from the clean run's.
    None where a number is undefined: perplexity of one token, or of a model that does not predict the next one."""

    perplexity: Pair
    top1_changed: float | None
    dtype: str = ""

    def to_frame(self) -> pd.DataFrame:
        """One row: perplexity_clean, perplexity_ablated, top1_changed; NaN where a number is undefined."""
        row = {"perplexity_clean": self.perplexity.clean, "perplexity_ablated": self.perplexity.ablated, "top1_changed": self.top1_changed}
        frame = pd.DataFrame([row], dtype=float)
        frame.attrs = {"dtype": self.dtype}
        return frame

    def __repr__(self) -> str:
        changed = "nothing ablated" if self.top1_changed is None else f"first choice changed at {self.top1_changed:.0%} of positions"
        return f"WholePrompt(perplexity {self.perplexity.clean} → {self.perplexity.ablated}; {changed}{half(self.dtype)})"


def whole_prompt(run: AblatedRun) -> WholePrompt:
    """`run` and `run.clean` over every position. It needs the logits of all positions, which `outcome` does not."""
    ablated = bool(run.ablation.heads)
    changed = run.top1_changed() if ablated and run.model.answer in ("next", "mask") else None
    if run.model.answer != "next":
        return WholePrompt(Pair(None, None), changed, run.model.precision)
    values = (run.clean.perplexity(), run.perplexity() if ablated else math.nan)
    return WholePrompt(Pair(*(None if math.isnan(value) else value for value in values)), changed, run.model.precision)
