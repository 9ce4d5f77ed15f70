"""One file per question asked of a run; each is a pure function from a run to a frozen result."""

from .outcome import Outcome, outcome
from .statistics import STATISTICS, HeadScores, head_statistic
from .whole_prompt import WholePrompt, whole_prompt

__all__ = ["STATISTICS", "HeadScores", "Outcome", "WholePrompt", "head_statistic", "outcome", "whole_prompt"]
