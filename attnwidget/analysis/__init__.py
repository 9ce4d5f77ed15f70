"""One file per question asked of a run; each is a pure function from a run to a frozen result."""

from .agreement import Agreement
from .causal import causal_gain
from .circuit import Circuit
from .discovery import discover_circuit
from .gain import CausalGain
from .generate import generate
from .generation import Generation
from .headkinds import HeadKinds, KindScores
from .headscores import HeadScores
from .impact import LayerImpact, layer_impact
from .kinds import KINDS, detect_heads
from .lens import LensPoint, LogitLens, logit_lens
from .measure import METRICS
from .outcome import Outcome, outcome
from .overview import Overview, overview
from .score import METHODS, score, score_each
from .secondprompt import Counterfactual, counterfactual
from .statistics import STATISTICS, HeadStatistics, head_statistic, head_statistics
from .studied import Study
from .studying import study
from .whole_prompt import WholePrompt, whole_prompt

__all__ = [
    "KINDS",
    "METHODS",
    "METRICS",
    "STATISTICS",
    "Agreement",
    "CausalGain",
    "Circuit",
    "Counterfactual",
    "Generation",
    "HeadKinds",
    "HeadScores",
    "HeadStatistics",
    "KindScores",
    "LayerImpact",
    "LensPoint",
    "LogitLens",
    "Outcome",
    "Overview",
    "Study",
    "WholePrompt",
    "causal_gain",
    "counterfactual",
    "detect_heads",
    "discover_circuit",
    "generate",
    "head_statistic",
    "head_statistics",
    "layer_impact",
    "logit_lens",
    "outcome",
    "overview",
    "score",
    "score_each",
    "study",
    "whole_prompt",
]
