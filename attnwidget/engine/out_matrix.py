"""The out-projection of a layer as one matrix a head, `W_O^h`, seen to be what the layer says."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import ModelError
from .writes import Stream, _places, _read, hooked, probed, wide


def out_matrix(stream: Stream, layer: int) -> Tensor:
    """`W_O` [head, d_head, d_model] in float64: at some positions of this run, `Σ_h z_h W_O^h` and a bias are what the out-projection
    returned. `ModelError` where it is no matrix that can be read."""
    module = stream.engine.anatomy.out[layer]
    said: list[Tensor] = []
    with hooked([module], lambda _, output: said.append(output)):
        _, z = stream.block(layer)
    at = _places(stream.length, stream.length - 1)
    z, total = wide(z[0, at]), wide(said[-1].reshape(stream.length, -1)[at])
    _, n_heads, d_head = z.shape
    for read in (_read, probed):
        found = read(module, n_heads * d_head, stream)
        if found is None or found[0].shape != (n_heads * d_head, total.shape[-1]):
            continue
        weight, bias = found[0].reshape(n_heads, d_head, -1), found[1]
        heads = torch.einsum("phi,hid->phd", z, weight)
        bound = stream.slack * (heads.abs().sum(1).amax(-1, keepdim=True) + bias.abs() + total.abs())
        if bool(((heads.sum(1) + bias - total).abs() <= bound).all()):
            return weight
    raise ModelError(f"The out-projection of layer {layer} is not a matrix that can be read, so what single heads write is not known.")
