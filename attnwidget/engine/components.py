"""Heads and MLPs as components that can be given an input stream each, and what each writes for it, proved on the run at hand."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from .engine import Engine, Recording


@dataclass(frozen=True)
class LayerParts:
    mlp: nn.Module | None


@dataclass(frozen=True)
class Components:
    layers: tuple[LayerParts, ...]
    parallel: bool


def components(engine: Engine, recording: Recording) -> Components:
    raise NotImplementedError
