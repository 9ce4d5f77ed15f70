"""attnwidget: the attention heads of a transformer, live in a notebook cell."""

import logging

from .ablation import MODES, Ablation
from .analysis import (
    Generation,
    HeadKinds,
    HeadScores,
    HeadStatistics,
    LayerImpact,
    LogitLens,
    QKScores,
    ValueWeighted,
    causal_gain,
    detect_heads,
    generate,
    head_statistics,
    layer_impact,
    logit_lens,
    overview,
    qk,
    score,
    value_weighted,
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
    "AttentionView",
    "AttentionWidget",
    "AttnWidgetError",
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
    "causal_gain",
    "detect_heads",
    "generate",
    "head_statistics",
    "layer_impact",
    "load_model",
    "logit_lens",
    "overview",
    "qk",
    "score",
    "value_weighted",
]

logging.getLogger(__name__).addHandler(logging.NullHandler())
