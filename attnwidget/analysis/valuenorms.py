"""How long what a head takes from each key is, `‖v_k W_O^h‖`: by which a pattern is weighted in a comparison."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..engine.out_matrix import out_matrix
from ..engine.writes import Stream, wide
from ..errors import ModelError
from ..run import Run


def value_norms(runs: Sequence[Run], layer: int) -> list[Tensor]:
    """`‖v_k W_O^h‖₂` [head, key] of each run, of one model, in float64 on the CPU: v with its bias and of the head's key-value group, the
    out-projection without its bias (Kobayashi et al. 2020). `ModelError` where values or the out-projection cannot be read."""
    run, model = runs[0], runs[0].model
    if not model.engine.anatomy.taps["v"]:
        raise ModelError(f"Values cannot be reached in {model.name}: hand it in as a TransformerBridge to weight its patterns by them.")
    out = out_matrix(Stream(model.engine, run._recording, tuple(run._resid), tuple(run._edits)), layer)
    grouped = [wide(one._capture("v", layer)) for one in runs]
    shared = model.n_heads // grouped[0].shape[1]
    return [written_norms(values.repeat_interleave(shared, dim=1).transpose(0, 1), out).cpu() for values in grouped]


def written_norms(values: Tensor, out: Tensor) -> Tensor:
    """`‖v_k W_O^h‖₂` [head, key] of values [head, key, d_head] and `W_O` [head, d_head, d_model]: by way of its Gram matrix, so that
    nothing has the size [key, d_model] for each head."""
    gram = out @ out.transpose(1, 2)
    return torch.einsum("hki,hij,hkj->hk", values, gram, values).clamp_min(0).sqrt()
