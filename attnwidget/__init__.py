"""attnwidget: the attention heads of a transformer, live in a notebook cell."""

import logging

from .ablation import MODES, Ablation
from .analysis import (
    Circuit,
    Counterfactual,
    Generation,
    HeadKinds,
    HeadScores,
    HeadStatistics,
    LayerImpact,
    LogitLens,
    Study,
    causal_gain,
    counterfactual,
    detect_heads,
    discover_circuit,
    generate,
    head_statistics,
    layer_impact,
    logit_lens,
    overview,
    score,
    study,
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
    "Circuit",
    "Counterfactual",
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
    "Run",
    "Study",
    "TokenError",
    "causal_gain",
    "counterfactual",
    "detect_heads",
    "discover_circuit",
    "generate",
    "head_statistics",
    "layer_impact",
    "load_model",
    "logit_lens",
    "overview",
    "score",
    "study",
]

logging.getLogger(__name__).addHandler(logging.NullHandler())
