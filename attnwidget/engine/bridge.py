"""The bridge anatomy: a TransformerLens 3 or 4 `TransformerBridge`, native or in compatibility mode, used as it is."""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from ..errors import ModelError
from .anatomy import FOLDED, SHIPPED, Anatomy, InputTap, OutputTap, value_bias


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
    return Anatomy(
        kind="bridge",
        model=bridge,
        blocks=blocks,
        n_heads=cfg.n_heads,
        n_kv_heads=n_kv_heads,
        d_head=cfg.d_head,
        answer="mask" if getattr(cfg, "attention_dir", "causal") == "bidirectional" else "next",
        forward=partial(_forward, bridge),
        taps={
            "z": [InputTap(attention.o, cfg.n_heads) for attention in attentions],
            "pattern": [OutputTap(attention.hook_pattern) for attention in attentions],
            "v": [OutputTap(attention.hook_v, n_kv_heads) for attention in attentions],
        },
        n_ctx=cfg.n_ctx,
        read_processing=partial(_processing, bridge),
    )


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


def _takes_cache(bridge: nn.Module) -> bool:
    config = getattr(getattr(bridge, "original_model", None), "config", None)
    return getattr(config, "use_cache", None) is not None
