"""The widget's panels on their own: the same widget, with fewer of them shown. `panels=` still shows others."""

from __future__ import annotations

import traitlets as t

from .widget import AttentionWidget


class HeadGrid(AttentionWidget):
    """The grid of every head, alone."""

    @t.default("panels")
    def _panels(self) -> list[str]:
        return ["grid"]


class AttentionView(AttentionWidget):
    """The attention of the selected heads over the prompt, with its tokens, alone."""

    @t.default("panels")
    def _panels(self) -> list[str]:
        return ["tokens", "attention"]


class Prediction(AttentionWidget):
    """What the model answers, clean beside ablated, alone."""

    @t.default("panels")
    def _panels(self) -> list[str]:
        return ["outcome"]
