"""The residual stream between a block's attention and its MLP, where an architecture has that point.

It has one where what a module of the block is given is the stream that entered plus what the attention said, and what the block returns is
that plus one more module's output: pre-norm blocks, with or without norms behind their parts. Parallel blocks (GPT-NeoX, GPT-J) add both
at once, and post-norm ones (BERT) norm the sum. Which it is, is seen on a clean run and not read off the architecture's name.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from .anatomy import here
from .engine import Edit, Engine, Recording
from .writes import rounding, wide

_found: WeakKeyDictionary[Engine, tuple[int, list[nn.Module] | None]] = WeakKeyDictionary()


def has_midpoint(engine: Engine, recording: Recording) -> bool:
    """Whether every block has a point after its attention and before its MLP."""
    return _readers(engine, recording) is not None


def resid_mid(engine: Engine, recording: Recording, layer: int, resid: Tensor, edits: Sequence[Edit] = ()) -> Tensor:
    """The stream after the attention of `layer`, [1, position, d_model], where `resid` enters it; `has_midpoint` must hold."""
    readers = _readers(engine, recording)
    given: list[Tensor] = []
    with ExitStack() as hooks:
        hooks.callback(readers[layer].register_forward_pre_hook(here(lambda _, args: given.append(args[0]))).remove)
        engine.resume(recording, [e for e in edits if e.layer <= layer], start=layer, stop=layer + 1, resid=resid)
    # Where blocks cannot be called alone the whole model was run, once, and its other layers were not listened to.
    return given[-1].detach().reshape(resid.shape)


def _readers(engine: Engine, recording: Recording) -> list[nn.Module] | None:
    """By layer, the module that is given the stream after the attention; None where a block has no such module."""
    mark, readers = _found.get(engine, (None, None))
    if mark != recording.weights:
        readers = []
        for layer in range(engine.anatomy.n_layers):
            reader = _reader(engine, recording, layer)
            if reader is None:
                readers = None
                break
            readers.append(reader)
        _found[engine] = recording.weights, readers
    return readers


def _reader(engine: Engine, recording: Recording, layer: int) -> nn.Module | None:
    before = recording.resid[layer]
    block, out = engine.anatomy.blocks[layer], engine.anatomy.out[layer]
    events: list[tuple[nn.Module | None, Tensor]] = []  # what a module was given, in its name; what any returned, in none

    def keep(part: nn.Module | None, value: object) -> None:
        first = value[0] if isinstance(value, tuple) and value else value
        if (
            isinstance(first, Tensor)
            and first.is_floating_point()
            and first.numel() == before.numel()
            and first.shape[-1] == before.shape[-1]
        ):
            # At once: some blocks add to these very tensors.
            events.append((part, wide(first.reshape(before.shape))))

    with ExitStack() as hooks:
        for part in dict.fromkeys([*(part for part in block.modules() if part is not block), out]):
            hooks.callback(part.register_forward_pre_hook(here(lambda part, args: keep(part, args))).remove)
            hooks.callback(part.register_forward_hook(here(lambda _part, _args, output: keep(None, output))).remove)
        passed = engine.resume(recording, start=layer, stop=layer + 1, resid=before)
    entered, returned = wide(before), wide(passed.resid[-1])
    slack = rounding(before.dtype)
    for i, (part, x) in enumerate(events):
        if part is None or torch.equal(x, entered):
            continue
        earlier, later = ([value for who, value in some if who is None] for some in (events[:i], events[i + 1 :]))
        if _is_sum(x, entered, earlier, slack) and _is_sum(returned, x, later, slack):
            return part
    return None


def _is_sum(total: Tensor, first: Tensor, others: Sequence[Tensor], slack: float) -> bool:
    """Whether `total` is `first` plus one of `others`, as it is or times a constant (Granite), up to rounding."""
    rest = total - first.to(total.device)
    for other in others:
        part = other.to(total.device)
        square = (part * part).sum()
        fitted = ((rest * part).sum() / square).item() if square > 0 else 0.0
        for factor in (1.0, fitted):
            bound = slack * (total.abs() + first.abs().to(total.device) + (factor * part).abs())
            if factor and bool(((rest - factor * part).abs() <= bound).all()):
                return True
    return False
