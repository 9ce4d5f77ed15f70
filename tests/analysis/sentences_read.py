"""The overview of a small model, how tests find a sentence in it, and the same numbers by hand."""

from __future__ import annotations

from functools import cache

import torch

from attnwidget.analysis.overview import Overview, overview
from attnwidget.heads import Head

from ..models import HEADS, IDS, LAYERS, Subject, subject

EVERY = [Head(layer, head) for layer in range(LAYERS) for head in range(HEADS)]


def of_kind(found: Overview, kind: str) -> list:
    return [one for one in found.sentences if one.kind == kind]


@cache
def read(name: str) -> Overview:
    return overview(subject(name).model.run(IDS))


class Twin:
    """The same numbers from hooks on an untouched copy, one forward per head."""

    def __init__(self, of: Subject, ids: list[int] = IDS, at: int = -1, off: tuple[Head, ...] = ()):
        self.of, self.ids, self.off = of, ids, off
        self.at = 0 if of.spec.answer == "class" else at
        self.before = self.row(list(off))
        self.p = self.before.softmax(-1)
        self.first, self.second = self.before.topk(2).indices.tolist()
        self.heads = [head for head in EVERY if head not in off]
        self.after = {head: self.row([*off, head]) for head in self.heads}
        self.kl = {head: (self.p * (self.p.log() - row.log_softmax(-1))).sum().item() for head, row in self.after.items()}

    def row(self, heads: list[Head]) -> torch.Tensor:
        return (self.of.zeroed(heads, self.ids) if heads else self.of.clean(self.ids)).double()[self.at]

    def drop(self, target: int, against: int) -> dict[Head, float]:
        before = self.before[target] - self.before[against]
        return {head: (before - (row[target] - row[against])).item() for head, row in self.after.items()}

    def by_kl(self) -> list[Head]:
        return sorted(self.heads, key=lambda head: -self.kl[head])
