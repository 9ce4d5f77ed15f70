"""What the queries, keys and values of a layer are made of, and what they are made of any other input.

In a pre-norm block that is what a norm returns of the residual stream; where there is none (BERT, a model without norms) it is the stream.
Which module it is, is seen on a run and not read off a name: with its output held, queries, keys and values must stay as they are
whatever the stream is. So any input can be put in its place, and the model's own code says what becomes of it, whatever form its
weights have.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..errors import ModelError
from .anatomy import Site, here
from .engine import Reached
from .interrupt import checkpoint
from .memory import halving
from .norms import Norm, inner_rounding, norm_of
from .writes import Stream, hooked, rounding, wide

_TOKENS = 4096  # put through a layer's projections at once


@dataclass(frozen=True)
class AttentionInput:
    """The input `y` of one layer's attention. `module` returns it (None: it is the stream itself); `norm` says how, where that is a norm
    (the identity where it is the stream itself), and is None where it is something else."""

    stream: Stream
    layer: int
    module: nn.Module | None
    norm: Norm | None
    given: Tensor
    """`y` of this run, [position, d_model]."""

    def states(self, y: Tensor, sites: Sequence[Site] = ("q", "k", "v")) -> dict[Site, Tensor]:
        """Queries, keys, values [row, position, head, d_head] of inputs `y` [row, position, d_model], as the taps give them: rotated where
        those are. The layer goes no further than that."""
        engine = self.stream.engine
        most = engine.max_rows or max(1, _TOKENS // y.shape[1])
        parts = list(halving(lambda part: self._some(part.to(self.given).contiguous(), sites), y, most))
        return {site: torch.cat([part[site] for part in parts]) for site in sites}

    def _some(self, y: Tensor, sites: Sequence[Site]) -> dict[Site, Tensor]:
        checkpoint()
        engine, resid = self.stream.engine, self.stream.resid[self.layer]
        seen: dict[Site, Tensor] = {}

        def keep(site: Site, states: Tensor) -> None:
            seen[site] = states
            if len(seen) == len(sites):
                raise Reached

        with ExitStack() as hooks, suppress(Reached):
            for site in sites:
                engine._attach(hooks, site, self.layer, lambda states, site=site: keep(site, states))
            if self.module is not None:
                hooks.enter_context(hooked([self.module], lambda _, output: y.reshape(output.shape)))
            engine.resume(
                self.stream.recording,
                [edit for edit in self.stream.edits if edit.layer < self.layer],
                start=self.layer,
                stop=self.layer + 1,
                resid=y if self.module is None else resid.expand(len(y), -1, -1),
                rows=len(y),
            )
        return seen


def attention_input(stream: Stream, layer: int) -> AttentionInput:
    """The input of the attention of `layer`; `ModelError` where queries and keys cannot be reached."""
    anatomy = stream.engine.anatomy
    if not anatomy.taps["q"] or not anatomy.taps["k"]:
        raise ModelError("Queries and keys cannot be reached in this model: hand it in as a TransformerBridge.")
    entered = stream.resid[layer]
    other = entered + torch.randn(entered.shape, generator=torch.Generator().manual_seed(layer)).to(entered) * entered.std()
    sites: list[Site] = ["q", "k", "v"] if anatomy.taps["v"] else ["q", "k"]
    itself = AttentionInput(stream, layer, None, Norm.identity(entered.shape[-1]), entered[0])
    clean = itself.states(entered, sites)
    for module, returned in _makers(stream, layer):
        found = AttentionInput(stream, layer, module, None, returned[0])
        elsewhere = AttentionInput(_moved(stream, layer, other), layer, module, None, returned[0])
        states = elsewhere.states(returned, sites)
        if all(_same(states[site], clean[site]) for site in sites):
            norm = norm_of(module, wide(entered[0]), wide(returned[0]), inner_rounding(entered.dtype))
            return AttentionInput(stream, layer, module, norm, found.given)
    return itself


def _moved(stream: Stream, layer: int, resid: Tensor) -> Stream:
    return Stream(stream.engine, stream.recording, (*stream.resid[:layer], resid, *stream.resid[layer + 1 :]), stream.edits)


def _same(a: Tensor, b: Tensor) -> bool:
    return bool(((a - b).abs() <= 4 * rounding(a.dtype) * b.abs().amax()).all())


def _makers(stream: Stream, layer: int) -> list[tuple[nn.Module, Tensor]]:
    """Modules of a block that are given the stream that enters it and return something else of its shape, with that; in calling order."""
    block, entered = stream.engine.anatomy.blocks[layer], stream.resid[layer]
    found: list[tuple[nn.Module, Tensor]] = []

    def after(module: nn.Module, args: tuple, output: object) -> None:
        first = args[0] if args else None
        made = isinstance(first, Tensor) and isinstance(output, Tensor) and first.numel() == output.numel() == entered.numel()
        if made and torch.equal(first.reshape(entered.shape), entered) and not torch.equal(output.reshape(entered.shape), entered):
            found.append((module, output.detach().reshape(entered.shape).clone()))

    with ExitStack() as hooks:
        for part in block.modules():
            if part is not block:
                hooks.callback(part.register_forward_hook(here(after)).remove)
        stream.block(layer)
    return found
