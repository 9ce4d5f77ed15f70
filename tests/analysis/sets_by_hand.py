"""What tests of studies take from logits themselves, and the models that they are about."""

from __future__ import annotations

import torch

from attnwidget import Study, load_model
from attnwidget.heads import Head

from ..knap import knapsack_model, knapsack_prompt
from ..models import HEADS, LAYERS

EVERY = [Head(layer, head) for layer in range(LAYERS) for head in range(HEADS)]


def margin(row: torch.Tensor, token: int) -> float:
    others = torch.cat([row[:token], row[token + 1 :]])
    return (row[token].double() - others.max().double()).item()


def kl(before: torch.Tensor, after: torch.Tensor) -> float:
    p, q = before.double().log_softmax(-1), after.double().log_softmax(-1)
    return (p.exp() * (p - q)).sum().item()


def knap():
    return load_model(knapsack_model()).run(knapsack_prompt())


def reported(found: Study):
    return [*found.sizes, *([found.found] if found.found else [])]


def second_choice(run):
    return run.logits_at().topk(2).indices.tolist()[1]
