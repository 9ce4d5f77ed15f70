"""The bridge anatomy: a TransformerLens 3 or 4 `TransformerBridge`, native or in compatibility mode, used as it is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

import torch
from torch import Tensor, nn

from ..errors import ModelError
from .anatomy import FOLDED, SHIPPED, Anatomy, InputTap, OutputTap, Tap, here, value_bias
from .engine import _evaluating
from .memory import out_of_memory


def bridge_anatomy(bridge: nn.Module) -> Anatomy:
    """The anatomy of a `TransformerBridge`; `ModelError` for one without a plain stack of attention blocks (T5, Mamba).

    Hooks go on the bridge's own modules as plain PyTorch hooks: TransformerLens's hook lists stay untouched, so hooks a
    user has set there keep working and are not mistaken for ours.
    """
    cfg = bridge.cfg
    blocks = list(getattr(bridge, "blocks", ()))
    if not blocks or not all(hasattr(block, "attn") and hasattr(block.attn, "o") for block in blocks):
        raise ModelError(f"This {cfg.architecture or 'model'} bridge has no stack of blocks with attention heads in each.")
    n_kv_heads = cfg.n_key_value_heads or cfg.n_heads
    attentions = [block.attn for block in blocks]
    forward = partial(_forward, bridge)
    rotated = _rotated(bridge, attentions, forward)
    return Anatomy(
        kind="bridge",
        model=bridge,
        blocks=blocks,
        n_heads=cfg.n_heads,
        n_kv_heads=n_kv_heads,
        d_head=cfg.d_head,
        answer="mask" if getattr(cfg, "attention_dir", "causal") == "bidirectional" else "next",
        forward=forward,
        taps={
            "z": [InputTap(attention.o, cfg.n_heads) for attention in attentions],
            "pattern": [OutputTap(attention.hook_pattern) for attention in attentions],
            "v": [OutputTap(attention.hook_v, n_kv_heads) for attention in attentions],
            "q": _score_taps(attentions, "q", cfg.n_heads, rotated),
            "k": _score_taps(attentions, "k", n_kv_heads, rotated),
        },
        out=[attention.o for attention in attentions],
        n_ctx=cfg.n_ctx,
        step=partial(_step, bridge) if _takes_cache(bridge) else None,
        read_processing=partial(_processing, bridge),
    )


def _score_taps(attentions: list[nn.Module], part: str, n_heads: int, rotated: bool) -> list[Tap]:
    if rotated:
        return [OutputTap(getattr(attention, f"hook_rot_{part}"), heads_first=True) for attention in attentions]
    points = [getattr(attention, f"hook_{part}", None) for attention in attentions]
    return [] if None in points else [OutputTap(point, n_heads) for point in points]


def _rotated(bridge: nn.Module, attentions: list[nn.Module], forward: Callable[[Tensor], Tensor]) -> bool:
    """Whether queries and keys can be had after their rotation: many a bridge has hook points for them that are never called."""
    points = [getattr(attention, f"hook_rot_{part}", None) for attention in attentions for part in "qk"]
    if None in points:
        return False
    called: set[int] = set()
    device = next(bridge.parameters()).device
    with ExitStack() as hooks, torch.no_grad(), _evaluating(bridge):
        for i, point in enumerate(points):
            hooks.callback(point.register_forward_hook(here(lambda _m, _a, _o, i=i: called.add(i))).remove)
        try:
            forward(torch.zeros(1, 2, dtype=torch.long, device=device))
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            if out_of_memory(error):  # says nothing of the bridge
                raise
            return False
    return len(called) == len(points)


def _processing(bridge: nn.Module) -> str:
    """Read off the weights: compatibility mode can be had without folding them."""
    if not getattr(bridge, "compatibility_mode", False):
        return SHIPPED
    block = bridge.blocks[0]
    norm = getattr(getattr(block, "ln1", None), "weight", None)
    if value_bias(block.attn) or (norm is not None and not bool((norm == 1).all())):
        return SHIPPED
    return FOLDED


def _forward(bridge: nn.Module, ids: Tensor) -> Tensor:
    output = bridge(ids, return_type="logits", use_cache=False) if _takes_cache(bridge) else bridge(ids, return_type="logits")
    return getattr(output, "logits", output)


def _step(bridge: nn.Module, ids: Tensor, cache: object | None) -> tuple[Tensor, object]:
    logits, cache = bridge(ids, return_type="logits_and_cache", past_key_values=cache, use_cache=True)
    return logits[0, -1], cache


def _takes_cache(bridge: nn.Module) -> bool:
    config = getattr(getattr(bridge, "original_model", None), "config", None)
    return getattr(config, "use_cache", None) is not None
