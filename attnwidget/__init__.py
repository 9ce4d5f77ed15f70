"""attnwidget: the attention heads of a transformer, live in a notebook cell."""

import logging

from .ablation import MODES, Ablation
from .analysis import HeadKinds, HeadScores, HeadStatistics, causal_gain, detect_heads, head_statistics, overview, score
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
    "Head",
    "HeadError",
    "HeadGrid",
    "HeadKinds",
    "HeadScores",
    "HeadStatistics",
    "ModeError",
    "Model",
    "ModelError",
    "PositionError",
    "Prediction",
    "PromptError",
    "Run",
    "TokenError",
    "causal_gain",
    "detect_heads",
    "head_statistics",
    "load_model",
    "overview",
    "score",
]

logging.getLogger(__name__).addHandler(logging.NullHandler())
