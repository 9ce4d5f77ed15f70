"""What the engine needs to know of a model: where its blocks are, and where in each the heads can be read and edited.

A transformer, for our purpose, is a list of blocks, a place in each where the heads' outputs `z` stand side by side (the
input of the out-projection), a place where the attention pattern is, and a tail (final norm, unembedding). Each of the three
anatomies fills in an `Anatomy`; nothing above this module knows which one it has.

Layouts, whatever the model's own: `z` is [row, position, head, d_head], `v` is [row, position, kv_head, d_head],
`pattern` is [row, head, query, key]; `q` and `k`, whose product the pattern is made of, are laid out as `z` and as `v`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Literal, Protocol

import torch
from torch import Tensor, nn

Site = Literal["z", "pattern", "v", "q", "k"]
Hook = Callable[[Tensor], "Tensor | None"]
"""Given the activation in our layout; returns its replacement, or None to leave it."""

Answer = Literal["next", "mask", "class", "none"]
"""What the model's head predicts: the next token, the token at a mask, classes of the whole input, or nothing."""


SHIPPED, FOLDED = "weights as shipped", "weights folded"
"""What was done to the weights. Zero ablation depends on it: folding moves the value bias out of the head."""


class Handle(Protocol):
    def remove(self) -> None: ...


class Tap(Protocol):
    """One place in one block. `attach` puts a hook there until its handle is removed; hooks run in the order attached."""

    def attach(self, hook: Hook) -> Handle: ...


def here(hook: Callable) -> Callable:
    """`hook` in the thread that asks for it now, nothing in any other: a hook of PyTorch is called by whoever runs the model,
    and another thread that runs it during a pass must get what it would have got."""
    thread = threading.get_ident()

    def guarded(*args: object) -> object:
        return hook(*args) if threading.get_ident() == thread else None

    return guarded


class InputTap:
    """The first input of a module, seen as [row, position, head, d_head]: the out-projection's input is `z`."""

    def __init__(self, module: nn.Module, n_heads: int):
        self.module, self.n_heads = module, n_heads

    def attach(self, hook: Hook) -> Handle:
        def pre(_module: nn.Module, args: tuple) -> tuple | None:
            flat = args[0]
            new = hook(flat.reshape(*flat.shape[:2], self.n_heads, -1))
            return None if new is None else (new.reshape(flat.shape), *args[1:])

        return self.module.register_forward_pre_hook(here(pre))


class OutputTap:
    """The output of a module, seen as [row, position, head, d_head] (for values; as it is where its heads are apart already,
    so that grouped values which TransformerLens has repeated keep their number) or as it is (`n_heads=None`, for patterns).

    `element` picks one of a tuple of outputs; such a tap can be read but not edited. `heads_first` is for a module that puts
    heads before positions.
    """

    def __init__(self, module: nn.Module, n_heads: int | None = None, element: int | None = None, heads_first: bool = False):
        self.module, self.n_heads, self.element, self.heads_first = module, n_heads, element, heads_first

    def attach(self, hook: Hook) -> Handle:
        def post(_module: nn.Module, _args: tuple, output: object) -> Tensor | None:
            if self.element is not None:
                if isinstance(output, tuple) and len(output) > self.element and output[self.element] is not None:
                    hook(output[self.element])
                return None
            if self.heads_first:
                new = hook(output.transpose(1, 2))
                return None if new is None else new.transpose(1, 2)
            apart = self.n_heads is None or output.dim() == 4
            seen = output if apart else output.reshape(*output.shape[:2], self.n_heads, -1)
            new = hook(seen)
            return None if new is None else new.reshape(output.shape)

        return self.module.register_forward_hook(here(post))


@dataclass
class Anatomy:
    """A model as the engine sees it. `taps[site][layer]` is where `site` of that layer is; a missing site is an empty list."""

    kind: Literal["plain", "bridge", "hooked"]
    model: nn.Module
    blocks: list[nn.Module]
    n_heads: int
    n_kv_heads: int
    d_head: int
    answer: Answer
    forward: Callable[[Tensor], Tensor]
    """Token ids [row, position] to logits [row, position, vocabulary] (or [row, class], or hidden states for `none`)."""
    taps: dict[Site, list[Tap]]
    out: list[nn.Module]
    """By layer, the module whose output is what all heads of the layer say together: the out-projection."""
    n_ctx: int | None = None
    read_processing: Callable[[], str] = lambda: SHIPPED
    """What was done to the weights. Read anew each time: a bridge may enter compatibility mode after it was attached."""
    step: Callable[[Tensor, object | None], tuple[Tensor, object]] | None = None
    """Token ids [1, new position] behind what a key-value cache has seen (None: nothing yet) to the last one's logits [vocabulary] and
    the cache that has seen them too; None where the model keeps none."""
    session: Callable[[], AbstractContextManager] = field(default=nullcontext)
    """Entered around every pass: what must be switched for hooks to see patterns, and is switched back after."""

    @property
    def processing(self) -> str:
        """ "weights as shipped", or "weights folded": zero ablation depends on where the value bias lives."""
        return self.read_processing()

    @property
    def n_layers(self) -> int:
        return len(self.blocks)

    @property
    def device(self) -> torch.device:
        """Where token ids go: of a model that `device_map` has spread out, the first place that is one. Its own hooks take the rest on."""
        for parameter in self.model.parameters():
            if parameter.device.type != "meta":
                return parameter.device
        hooks = (getattr(module, "_hf_hook", None) for module in self.model.modules())
        devices = (getattr(hook, "execution_device", None) for hook in hooks)
        return torch.device(next((device for device in devices if device is not None), "cpu"))

    @property
    def dtype(self) -> torch.dtype:
        return next(self.model.parameters()).dtype


def value_bias(attention: nn.Module) -> bool:
    """Whether a TransformerLens attention has a value bias that is not zero: folding moves it into the out-projection's."""
    try:
        bias = attention.b_V
    except AttributeError:
        return False
    return isinstance(bias, Tensor) and bool(bias.any())


def first_of(config: object, *names: str) -> int | None:
    """The first of several names under which configurations keep the same number."""
    for name in names:
        value = getattr(config, name, None)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    return None
