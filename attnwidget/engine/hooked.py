"""The hooked anatomy: a `HookedTransformer` of TransformerLens 2 or 3, recognised by its shape, never imported."""

from __future__ import annotations

import sys
from functools import partial

import torch
from torch import Tensor, nn

from .anatomy import FOLDED, SHIPPED, Anatomy, OutputTap, value_bias


def hooked_anatomy(model: nn.Module) -> Anatomy:
    """The anatomy of a `HookedTransformer`; its hook points are modules, so plain PyTorch hooks go on them."""
    cfg = model.cfg
    blocks = list(model.blocks)
    attentions = [block.attn for block in blocks]
    n_kv_heads = getattr(cfg, "n_key_value_heads", None) or cfg.n_heads
    return Anatomy(
        kind="hooked",
        model=model,
        blocks=blocks,
        n_heads=cfg.n_heads,
        n_kv_heads=n_kv_heads,
        d_head=cfg.d_head,
        answer="next" if getattr(cfg, "attention_dir", "causal") == "causal" else "mask",
        forward=partial(_forward, model),
        taps={
            "z": [OutputTap(attention.hook_z, cfg.n_heads) for attention in attentions],
            "pattern": [OutputTap(attention.hook_pattern) for attention in attentions],
            "v": [OutputTap(attention.hook_v, n_kv_heads) for attention in attentions],
            "q": [OutputTap(_rotated(attention, "q"), cfg.n_heads) for attention in attentions],
            "k": [OutputTap(_rotated(attention, "k"), n_kv_heads) for attention in attentions],
        },
        out=attentions,
        n_ctx=cfg.n_ctx,
        step=partial(_step, model, cache) if (cache := _cache_of(model)) is not None else None,
        read_processing=partial(_processing, model),
    )


def _rotated(attention: nn.Module, part: str) -> nn.Module:
    """What enters the dot product: after the rotation, where there is one."""
    return getattr(attention, f"hook_rot_{part}", None) or getattr(attention, f"hook_{part}")


def _processing(model: nn.Module) -> str:
    """TransformerLens renames the norm when it folds its weights ("LNPre"); a folded value bias shows in the out-projection's alone."""
    if str(getattr(model.cfg, "normalization_type", "") or "").endswith("Pre"):
        return FOLDED
    attentions = [block.attn for block in model.blocks]
    moved = not any(value_bias(attention) for attention in attentions) and any(bool(a.b_O.any()) for a in attentions)
    return FOLDED if moved else SHIPPED


def _forward(model: nn.Module, ids: Tensor) -> Tensor:
    # Its own mask, where padding is on the left, would take a BOS that is also the padding token (GPT-2's) for padding.
    return model(ids, return_type="logits", prepend_bos=False, attention_mask=torch.ones_like(ids))


def _cache_of(model: nn.Module) -> type | None:
    """TransformerLens's cache, by the name it has in the file of the model's class: 2 and 3 keep it in different places."""
    module = vars(sys.modules[type(model).__module__])
    return next((value for name, value in module.items() if name.endswith("KeyValueCache") and hasattr(value, "init_cache")), None)


def _step(model: nn.Module, kind: type, ids: Tensor, cache: object | None) -> tuple[Tensor, object]:
    cache = kind.init_cache(model.cfg, ids.device, 1) if cache is None else cache
    # Its own mask, with a cache, would leave out every token that is also the padding: in GPT-2 the end of text.
    seen = torch.ones_like(ids)
    return model(ids, return_type="logits", prepend_bos=False, past_kv_cache=cache, attention_mask=seen)[0, -1], cache
