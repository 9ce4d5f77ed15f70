"""Reading and editing attention patterns inside any `transformers` model, without changing it.

`transformers` looks its attention function up by name at each call. We register one name, and set it for the length of a pass.
Our function calls the model's own eager attention, so that soft-caps, sinks and scalings are the model's, and where a hook
replaces the pattern it recomputes `z = P' v` with grouped values repeated. Hooks live in a thread-local table: another thread
that runs the same model meanwhile passes through the same function and gets the attention its mask was made for.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from torch import Tensor, nn

from .anatomy import Handle, Hook

NAME = "attnwidget"


class _Hooks(threading.local):
    def __init__(self) -> None:
        self.table: dict[tuple[int, str], list[Hook]] = {}
        self.passes = 0
        """How many passes of this thread are under way, one inside the other."""


_hooks = _Hooks()
_before: dict[int, str] = {}
"""What the configurations that name us at this moment named before, by id."""


class AttentionTap:
    """The pattern, the values, or the queries or keys of one attention module, as our attention function sees them."""

    def __init__(self, module: nn.Module, site: str):
        self.key, self.module = (id(module), site), module

    def attach(self, hook: Hook) -> Handle:
        _hooks.table.setdefault(self.key, []).append(hook)
        return _Removable(self.key, hook)


class _Removable:
    def __init__(self, key: tuple[int, str], hook: Hook):
        self.key, self.hook = key, hook

    def remove(self) -> None:
        hooks = _hooks.table.get(self.key, [])
        if self.hook in hooks:
            hooks.remove(self.hook)
        if not hooks:
            _hooks.table.pop(self.key, None)


def attention(module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **kwargs):
    """The attention function that is registered: the model's own eager attention, with our hooks on `q`, `k`, `v` and on the pattern."""
    if not _hooks.passes:
        return _meanwhile(module, mask)(module, query, key, value, mask, **kwargs)
    query, key, value = _hooked(module, "q", query), _hooked(module, "k", key), _hooked(module, "v", value)
    output, pattern = eager_of(module)(module, query, key, value, mask, **kwargs)
    edited = None
    for hook in _hooks.table.get((id(module), "pattern"), ()):
        new = hook(pattern if edited is None else edited)
        edited = edited if new is None else new
    if edited is None:
        return output, pattern
    groups = edited.shape[1] // value.shape[1]
    z = edited.to(value.dtype) @ value.repeat_interleave(groups, 1)
    return z.transpose(1, 2).contiguous(), edited


def _hooked(module: nn.Module, site: str, states: Tensor) -> Tensor:
    """Queries, keys or values [row, head, position, d_head] as the hooks leave them: the very same where none replaces them."""
    for hook in _hooks.table.get((id(module), site), ()):
        new = hook(states.transpose(1, 2))
        states = states if new is None else new.transpose(1, 2)
    return states


def _meanwhile(module: nn.Module, mask: object) -> Callable:
    """What a thread gets that is not in a pass. Where it made its mask before the pass began, that mask is none or not one that
    eager attention understands: without it, a causal model would look ahead."""
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    if isinstance(mask, Tensor) and mask.is_floating_point():
        return eager_of(module)
    config = module.config
    name = config._attn_implementation_internal
    name = _before.get(id(config), "eager") if name == NAME else name
    return ALL_ATTENTION_FUNCTIONS[name] if name in ALL_ATTENTION_FUNCTIONS else eager_of(module)


def eager_of(module: nn.Module) -> Callable:
    """The `eager_attention_forward` of the file in which the module's class was written."""
    for kind in type(module).__mro__:
        eager = getattr(sys.modules.get(kind.__module__), "eager_attention_forward", None)
        if eager is not None:
            return eager
    raise NotImplementedError(f"{type(module).__name__} has no eager attention function")


def register() -> bool:
    """Makes our function known to `transformers`; False where this version has no such registry."""
    try:
        from transformers import AttentionInterface
        from transformers.masking_utils import AttentionMaskInterface, eager_mask
    except ImportError:
        return False
    AttentionInterface.register(NAME, attention)
    AttentionMaskInterface.register(NAME, eager_mask)
    return True


def configs_of(model: nn.Module) -> list[object]:
    """Every configuration in `model` that names an attention function."""
    found = (getattr(module, "config", None) for module in model.modules())
    return list({id(config): config for config in found if hasattr(config, "_attn_implementation_internal")}.values())


@contextmanager
def attention_set(configs: list[object]) -> Iterator[None]:
    """For the length of a pass, every configuration names our attention function; then what it named before."""
    before = [config._attn_implementation_internal for config in configs]
    # A pass inside a pass finds our own name, which is not what there was before.
    outermost = {id(config): name for config, name in zip(configs, before, strict=True) if name != NAME}
    _before.update(outermost)
    _hooks.passes += 1
    try:
        for config in configs:
            config._attn_implementation_internal = NAME
        yield
    finally:
        _hooks.passes -= 1
        for config, name in zip(configs, before, strict=True):
            config._attn_implementation_internal = name
        for key in outermost:
            _before.pop(key, None)
