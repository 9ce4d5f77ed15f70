"""A pair of heads that stand in for each other: without either nothing changes, without both the answer does.

One layer, no norm, uniform patterns. The last two heads each add 1 to a number b, of which the MLP makes
min(b, 1) = relu(b) − relu(b − 1). logit(TARGET) = 3 min(b, 1) + `start` + the sum of `leads`, which the first heads add; logit(AGAINST)
is 0 and all others are −10. Without one of the two heads it is what it was, to the bit, and without both it is 3 less. The gradient of
min(b, 1) at b = 2 is 0, so no first-order estimate sees them either.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import nn

BACKUP_HEADS, D_HEAD, VOCAB = 8, 4, 8
TARGET, AGAINST, DECOY = 1, 2, 3
PAIR = ((0, 6), (0, 7))


@cache
def backup_model(leads: tuple[float, ...] = (), start: float = -1.0) -> nn.Module:
    """Head 5 adds 1 to the logit of a token that never comes first; those between the leads and it add nothing."""
    from transformer_lens.config import TransformerBridgeConfig
    from transformer_lens.model_bridge import TransformerBridge

    width, one, output, b, decoy = 8, 0, 1, 2, 3
    cfg = TransformerBridgeConfig(
        n_layers=1,
        n_heads=BACKUP_HEADS,
        d_head=D_HEAD,
        d_model=width,
        d_mlp=2,
        n_ctx=16,
        d_vocab=VOCAB,
        normalization_type=None,
        act_fn="relu",
        seed=0,
    )
    bridge = TransformerBridge.boot_native(cfg)
    inner = BACKUP_HEADS * D_HEAD
    weights = {
        "tok_embed.weight": torch.zeros(VOCAB, width),
        "pos.weight": torch.zeros(16, width),
        "head.weight": torch.zeros(VOCAB, width),
        **{f"layers.0.attn.{part}.weight": torch.zeros(inner, width) for part in "qkv"},
        **{f"layers.0.attn.{part}.bias": torch.zeros(inner) for part in "qkv"},
        "layers.0.attn.o.weight": torch.zeros(width, inner),
        "layers.0.attn.o.bias": torch.zeros(width),
        "layers.0.mlp.fc_in.weight": torch.zeros(2, width),
        "layers.0.mlp.fc_in.bias": torch.tensor([0.0, -1.0]),
        "layers.0.mlp.fc_out.weight": torch.zeros(width, 2),
        "layers.0.mlp.fc_out.bias": torch.zeros(width),
    }
    weights["tok_embed.weight"][:, one] = 1
    weights["head.weight"][:, one] = -10
    weights["head.weight"][TARGET, one], weights["head.weight"][AGAINST, one] = start, 0
    weights["head.weight"][TARGET, output] = weights["head.weight"][DECOY, decoy] = 1
    writes = {**{head: (output, lead) for head, lead in enumerate(leads)}, 5: (decoy, 1.0), 6: (b, 1.0), 7: (b, 1.0)}
    for head, (to, weight) in writes.items():
        weights["layers.0.attn.v.weight"][head * D_HEAD, one] = 1
        weights["layers.0.attn.o.weight"][to, head * D_HEAD] = weight
    weights["layers.0.mlp.fc_in.weight"][:, b] = 1
    weights["layers.0.mlp.fc_out.weight"][output] = torch.tensor([3.0, -3.0])
    bridge.load_state_dict(weights, strict=False)
    return bridge.eval()
