"""A knapsack of heads: one layer of five heads, each of which adds a constant to one logit difference, whatever the prompt.

logit(TARGET) = sum of WEIGHTS = 3.5, logit(AGAINST) = 0, every other token -10. There is no norm, no MLP and no bias, and the patterns
are uniform, so that every method must give WEIGHTS: zero ablation, attribution, integrated gradients, direct logit attribution. No
single head flips the answer to AGAINST; the smallest sets that do are {0, 1}, {0, 2} and {1, 2}.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import nn

KNAP_VOCAB, KNAP_HEADS, KNAP_D_HEAD = 8, 5, 4
TARGET, AGAINST = 1, 2
"""Token ids: the answer, and the runner-up."""
WEIGHTS = (3.0, 2.0, 2.0, -4.0, 0.5)
"""What heads L0H0 to L0H4 add to logit(TARGET) - logit(AGAINST)."""
LOGIT_DIFF = sum(WEIGHTS)


@cache
def knapsack_model() -> nn.Module:
    """The residual stream has two parts that matter: a constant 1, and the output that heads write to."""
    from transformer_lens.config import TransformerBridgeConfig
    from transformer_lens.model_bridge import TransformerBridge

    width, one, output = 8, 0, 1
    cfg = TransformerBridgeConfig(
        n_layers=1,
        n_heads=KNAP_HEADS,
        d_head=KNAP_D_HEAD,
        d_model=width,
        n_ctx=16,
        d_vocab=KNAP_VOCAB,
        attn_only=True,
        normalization_type=None,
        act_fn="relu",
        seed=0,
    )
    bridge = TransformerBridge.boot_native(cfg)
    inner = KNAP_HEADS * KNAP_D_HEAD
    weights = {
        "tok_embed.weight": torch.zeros(KNAP_VOCAB, width),
        "pos.weight": torch.zeros(16, width),
        "head.weight": torch.zeros(KNAP_VOCAB, width),
        **{f"layers.0.attn.{part}.weight": torch.zeros(inner, width) for part in "qkv"},
        **{f"layers.0.attn.{part}.bias": torch.zeros(inner) for part in "qkv"},
        "layers.0.attn.o.weight": torch.zeros(width, inner),
        "layers.0.attn.o.bias": torch.zeros(width),
    }
    weights["tok_embed.weight"][:, one] = 1
    weights["head.weight"][:, one] = -10
    weights["head.weight"][[TARGET, AGAINST], one] = 0
    weights["head.weight"][TARGET, output] = 1
    for head, weight in enumerate(WEIGHTS):
        weights["layers.0.attn.v.weight"][head * KNAP_D_HEAD, one] = 1
        weights["layers.0.attn.o.weight"][output, head * KNAP_D_HEAD] = weight
    bridge.load_state_dict(weights, strict=False)
    return bridge.eval()


def knapsack_prompt() -> list[int]:
    return [0, 3, 4, 5]
