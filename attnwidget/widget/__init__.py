"""The widget: traits hold what a person chose, requests carry what is computed, one worker per model computes it."""

from .panels import AttentionView, HeadGrid, Prediction
from .widget import AttentionWidget

__all__ = ["AttentionView", "AttentionWidget", "HeadGrid", "Prediction"]
