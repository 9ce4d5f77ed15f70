"""One file per question asked of a run; each is a pure function from a run to a frozen result."""

from .aggregates import AttentionAggregate, attention_rollout, mean_attention
from .agreement import Agreement
from .alignment import Alignment
from .causal import causal_gain
from .circuit import Circuit
from .compared import COMPARED
from .comparison import Comparison, PatternDifference
from .composing import Composition, composition
from .contrast import compare
from .discovery import discover_circuit
from .distribution import ComparisonSet
from .embedding import EmbeddingChange, embedding_change
from .gain import CausalGain
from .generate import generate
from .generation import Generation
from .headkinds import HeadKinds, KindScores
from .headscores import HeadScores
from .impact import LayerImpact, layer_impact
from .kinds import KINDS, detect_heads
from .lens import LensPoint, LogitLens, logit_lens
from .manypairs import compare_many
from .measure import EMBEDDING_METRICS, METRICS
from .outcome import Outcome, outcome
from .ovcircuit import ov
from .overview import Overview, overview
from .ovresult import OVCircuit
from .qkcircuit import qk_circuit
from .qkresult import QKCircuit
from .qkscores import QKScores, qk
from .score import METHODS, score, score_each
from .secondprompt import Counterfactual, counterfactual
from .sinks import without_first
from .sources import AttentionSources, attention_sources
from .statistics import STATISTICS, HeadStatistics, head_statistic, head_statistics
from .studied import Study
from .studying import study
from .valueweights import value_weighted
from .weighted import ValueWeighted
from .whole_prompt import WholePrompt, whole_prompt

__all__ = [
    "COMPARED",
    "EMBEDDING_METRICS",
    "KINDS",
    "METHODS",
    "METRICS",
    "STATISTICS",
    "Agreement",
    "Alignment",
    "AttentionAggregate",
    "AttentionSources",
    "CausalGain",
    "Circuit",
    "Comparison",
    "ComparisonSet",
    "Composition",
    "Counterfactual",
    "EmbeddingChange",
    "Generation",
    "HeadKinds",
    "HeadScores",
    "HeadStatistics",
    "KindScores",
    "LayerImpact",
    "LensPoint",
    "LogitLens",
    "OVCircuit",
    "Outcome",
    "Overview",
    "PatternDifference",
    "QKCircuit",
    "QKScores",
    "Study",
    "ValueWeighted",
    "WholePrompt",
    "attention_rollout",
    "attention_sources",
    "causal_gain",
    "compare",
    "compare_many",
    "composition",
    "counterfactual",
    "detect_heads",
    "discover_circuit",
    "embedding_change",
    "generate",
    "head_statistic",
    "head_statistics",
    "layer_impact",
    "logit_lens",
    "mean_attention",
    "outcome",
    "ov",
    "overview",
    "qk",
    "qk_circuit",
    "score",
    "score_each",
    "study",
    "value_weighted",
    "whole_prompt",
    "without_first",
]
