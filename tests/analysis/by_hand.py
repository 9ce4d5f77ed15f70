"""Gradients computed by hand: autograd through the input of the out-projection of an untouched `transformers` model, in float64."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from attnwidget import load_model
from tests.models import D_HEAD, HEADS, IDS, LAYERS, SPECS, Subject, tokenizer, wide

LAST = len(IDS) - 1
TARGET, AGAINST = 12, 77
Edits = dict[int, Callable[[Tensor, Tensor], Tensor]]
"""By layer: from z [position, head, d_head] and values [position, kv_head, d_head] to what takes the place of z."""


@cache
def doubled(name: str) -> Subject:
    """A random model in float64, so that a formula is told from another one that is nearly the same."""
    spec = SPECS[name]
    twin = wide(spec.build()).double()
    source = copy.deepcopy(twin)
    twin.set_attn_implementation("eager")
    words = tokenizer(encoder=not spec.causal)
    return Subject(spec, "plain", source, load_model(source, tokenizer=words), twin, words)


@dataclass(frozen=True)
class ByHand:
    logits: Tensor
    """[position, vocabulary]"""
    z: list[Tensor]
    """[position, head, d_head] by layer, as they act."""
    v: list[Tensor]
    """[position, head, d_head] by layer, grouped values repeated."""
    slope: list[Tensor]
    """`∂number/∂z`, [number, position, head, d_head] by layer."""


def by_hand(subject: Subject, number: Callable[[Tensor], Tensor], ids: list[int] = IDS, edits: Edits | None = None) -> ByHand:
    """One forward of the twin with `edits` in place, and the gradients of `number(logits [position, vocabulary]) -> [number]`."""
    zs: list[Tensor] = []
    vs: list[Tensor] = []
    with ExitStack() as hooks:
        for layer in range(LAYERS):
            values = subject._saw_output(hooks, subject.block(layer).get_submodule(subject.spec.values))

            def before(_module, args, layer=layer, values=values):
                v = values[0] if subject.spec.fused is None else subject.spec.fused(values[0])
                v = v[0].reshape(len(ids), subject.spec.kv_heads, D_HEAD)
                z = args[0].reshape(len(ids), HEADS, D_HEAD)
                if edits and layer in edits:
                    z = edits[layer](z.clone(), v)
                z = z + 0
                zs.append(z)
                vs.append(v.repeat_interleave(HEADS // v.shape[1], dim=1).detach())
                return (z.reshape(args[0].shape), *args[1:])

            hooks.callback(subject.projection(layer).register_forward_pre_hook(before).remove)
        logits = subject.twin(torch.tensor([ids])).logits
        logits = logits[0] if logits.dim() == 3 else logits
    numbers = number(logits)
    rows = [torch.autograd.grad(one, zs, retain_graph=True) for one in numbers]
    return ByHand(logits.detach(), [z.detach() for z in zs], vs, [torch.stack(of) for of in zip(*rows, strict=True)])


def minus_logit_diff(logits: Tensor) -> Tensor:
    """What a drop in the logit difference grows with."""
    return (logits[-1, AGAINST] - logits[-1, TARGET])[None]


def off(heads: list[tuple[int, int]]) -> Edits:
    """z of these heads set to zero."""

    def edit(layer: int) -> Callable[[Tensor, Tensor], Tensor]:
        def zero(z: Tensor, v: Tensor) -> Tensor:
            z[:, [head for at, head in heads if at == layer]] = 0
            return z

        return zero

    return {layer: edit(layer) for layer, _ in heads}
