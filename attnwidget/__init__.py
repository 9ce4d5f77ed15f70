"""attnwidget: the attention heads of a transformer, live in a notebook cell."""

import logging

from .ablation import MODES, Ablation
from .analysis import (
    Alignment,
    AttentionAggregate,
    Comparison,
    ComparisonSet,
    EmbeddingChange,
    Generation,
    HeadKinds,
    HeadScores,
    HeadStatistics,
    LayerImpact,
    LogitLens,
    QKScores,
    ValueWeighted,
    attention_rollout,
    causal_gain,
    compare,
    compare_many,
    detect_heads,
    embedding_change,
    generate,
    head_statistics,
    layer_impact,
    logit_lens,
    mean_attention,
    overview,
    qk,
    score,
    value_weighted,
    without_first,
)
from .errors import AttnWidgetError, HeadError, ModeError, ModelError, PositionError, PromptError, TokenError
from .heads import Head
from .loading import load_model
from .model import Model
from .run import AblatedRun, Run
from .widget import AttentionView, AttentionWidget, HeadGrid, Prediction

__all__ = [
    "MODES",
    "AblatedRun",
    "Ablation",
    "Alignment",
    "AttentionAggregate",
    "AttentionView",
    "AttentionWidget",
    "AttnWidgetError",
    "Comparison",
    "ComparisonSet",
    "EmbeddingChange",
    "Generation",
    "Head",
    "HeadError",
    "HeadGrid",
    "HeadKinds",
    "HeadScores",
    "HeadStatistics",
    "LayerImpact",
    "LogitLens",
    "ModeError",
    "Model",
    "ModelError",
    "PositionError",
    "Prediction",
    "PromptError",
    "QKScores",
    "Run",
    "TokenError",
    "ValueWeighted",
    "attention_rollout",
    "causal_gain",
    "compare",
    "compare_many",
    "detect_heads",
    "embedding_change",
    "generate",
    "head_statistics",
    "layer_impact",
    "load_model",
    "logit_lens",
    "mean_attention",
    "overview",
    "qk",
    "score",
    "value_weighted",
    "without_first",
]

logging.getLogger(__name__).addHandler(logging.NullHandler())
