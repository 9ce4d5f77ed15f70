"""The weights of a layer's heads as the model uses them: `W_Q`, `W_K`, `W_V` and their biases, whatever form it keeps them in.

They are read off the model's own code: unit vectors are put in the place of what a one-token prompt's attention is made of. So fused,
transposed, quantised or adapted weights need no code of their own, and what is not linear is found out.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import ModelError
from .anatomy import Site
from .attention_input import AttentionInput, attention_input
from .engine import Engine
from .norms import Norm
from .out_matrix import out_matrix
from .writes import Stream, rounding, wide


@dataclass(frozen=True)
class Projections:
    """One layer, float64. `q` [head, d_model, d_head], `k` and `v` [kv_head, d_model, d_head] act on the norm's output, `*_bias` are
    [.., d_head], `out` is [head, d_head, d_model]; `norm` says how the norm's output is made of the stream. Queries and keys are those of
    position 0: before any rotation."""

    norm: Norm
    q: Tensor
    k: Tensor
    v: Tensor
    q_bias: Tensor
    k_bias: Tensor
    v_bias: Tensor
    out: Tensor

    def group(self, head: int) -> int:
        """The key-value head of a query head."""
        return head // (len(self.q) // len(self.k))


def short_stream(engine: Engine, ids: list[int]) -> Stream:
    recording = engine.record(torch.tensor([ids], device=engine.anatomy.device))
    return Stream(engine, recording, recording.resid)


def projections(stream: Stream, one: Stream, layer: int) -> Projections:
    """The weights of `layer`; `stream` is a short prompt to check them on, `one` is a prompt of one token. `ModelError` where queries, keys
    or values are not linear in what a norm makes of the stream, or cannot be reached."""
    taps = stream.engine.anatomy.taps
    if not taps["v"]:
        raise ModelError("Values cannot be reached in this model: hand it in as a TransformerBridge.")
    found = attention_input(stream, layer)
    if found.norm is None:
        raise ModelError(f"What stands before the projections of layer {layer} is no norm that could be told apart: ask about a run.")
    single = AttentionInput(one, layer, found.module, found.norm, found.given)
    weights = _probed(single)
    _check(single, weights, layer)
    n_heads = weights["q"][0].shape[0]
    for site in ("k", "v"):
        weights[site] = _ungrouped(*weights[site], stream.engine.anatomy.n_kv_heads, n_heads)
    (q, q_bias), (k, k_bias), (v, v_bias) = (weights[site] for site in ("q", "k", "v"))
    return Projections(found.norm, q, k, v, q_bias, k_bias, v_bias, out_matrix(stream, layer))


def _probed(single: AttentionInput) -> dict[Site, tuple[Tensor, Tensor]]:
    """Weight [head, d_model, d_head] and bias [head, d_head] of each."""
    width, dtype = single.given.shape[-1], single.given.dtype
    # Large, so that little of a weight is lost beside a bias; a power of two, so that nothing is by the factor.
    large = 2.0**6 if dtype == torch.float16 else 2.0**12
    units = large * torch.eye(width, dtype=dtype, device=single.given.device)
    states = single.states(torch.cat([torch.zeros_like(units[:1]), units])[:, None])
    found: dict[Site, tuple[Tensor, Tensor]] = {}
    for site, rows in states.items():
        rows = wide(rows[:, 0])
        found[site] = ((rows[1:] - rows[0]) / large).transpose(0, 1), rows[0]
    return found


def _check(single: AttentionInput, weights: dict[Site, tuple[Tensor, Tensor]], layer: int) -> None:
    states = single.states(single.given[:, None])
    for site, name in (("q", "Queries"), ("k", "Keys"), ("v", "Values")):
        weight, bias = weights[site]
        given, returned = wide(single.given), wide(states[site][:, 0])
        expected = torch.einsum("pd,hde->phe", given, weight) + bias
        bound = 2 * rounding(single.given.dtype) * (torch.einsum("pd,hde->phe", given.abs(), weight.abs()) + bias.abs() + returned.abs())
        if not bool(((expected - returned).abs() <= bound).all()):
            raise ModelError(
                f"{name} of layer {layer} are not linear in what the norm before them returns (they are normed themselves, as in Qwen 3 or "
                "Gemma 3, or each head has an input of its own), so circuits cannot be read from weights: ask about a run, with qk."
            )


def _ungrouped(weight: Tensor, bias: Tensor, n_kv_heads: int, n_heads: int) -> tuple[Tensor, Tensor]:
    """One of each key-value head, where TransformerLens has repeated them."""
    if len(weight) == n_heads > n_kv_heads:
        step = n_heads // n_kv_heads
        return weight[::step], bias[::step]
    return weight, bias
