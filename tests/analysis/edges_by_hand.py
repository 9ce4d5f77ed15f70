"""GPT-2, Llama and GPT-NeoX computed component by component, each reading a stream of its own, with nothing of ours.

Modules of an untouched `transformers` model are used for norms, MLPs and the unembedding; projections are cut into heads, rotated and
attended with here. What a component reads is asked of a function, which can be the sum of all that was written (the model itself),
that sum with one edge changed, a circuit's, or a leaf to be differentiated.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn

from tests.models import D_HEAD, HEADS, IDS, LAYERS, SPECS, wide

Written = dict[str, Tensor]
"""By name of the component, [position, d_model]."""
Reads = Callable[[str, Written, Tensor], Tensor]
"""The stream that an input reads, from its name, what components below it wrote, and the sum of that and of all biases."""


def whole(_name: str, _written: Written, total: Tensor) -> Tensor:
    return total


class Hand:
    """One model, in float64."""

    kv_heads = HEADS
    parallel = False

    def __init__(self, twin: nn.Module):
        self.twin = copy.deepcopy(twin).double()

    def run(self, ids: list[int], reads: Reads = whole, embedded: Tensor | None = None) -> tuple[Tensor, Written, Written]:
        """Logits [position, vocabulary], what every component wrote, and what every input read, by name as in `EdgeGraph`."""
        written, read = {"embed": self.embed(torch.tensor(ids)) if embedded is None else embedded}, {}
        bias = torch.zeros_like(written["embed"])
        per = HEADS // self.kv_heads

        def asked(name: str) -> Tensor:
            read[name] = reads(name, written, sum(written.values()) + bias)
            return read[name]

        for layer in range(LAYERS):
            keys = [f"L{layer}H{g}" if per == 1 else f"L{layer} group {g}" for g in range(self.kv_heads)]
            q = [self.q(layer, asked(f"L{layer}H{h}.q"), h) for h in range(HEADS)]
            k = [self.k(layer, asked(f"{name}.k"), g) for g, name in enumerate(keys)]
            v = [self.v(layer, asked(f"{name}.v"), g) for g, name in enumerate(keys)]
            if self.parallel:
                of_mlp = self.mlp(layer, asked(f"MLP {layer}"))
            for h in range(HEADS):
                scores = q[h] @ k[h // per].T / D_HEAD**0.5
                hidden = torch.ones_like(scores, dtype=torch.bool).triu(1)
                z = scores.masked_fill(hidden, -torch.inf).softmax(-1) @ v[h // per]
                written[f"L{layer}H{h}"] = z @ self.out(layer)[h * D_HEAD : (h + 1) * D_HEAD]
            bias = bias + self.out_bias(layer)
            written[f"MLP {layer}"] = of_mlp if self.parallel else self.mlp(layer, asked(f"MLP {layer}"))
        return self.unembed(asked("logits")), written, read

    def out_bias(self, layer: int) -> Tensor | float:
        return 0.0


class GPT2(Hand):
    def embed(self, ids):
        return self.twin.transformer.wte(ids) + self.twin.transformer.wpe(torch.arange(len(ids)))

    def _part(self, layer, x, h, part):
        block, width = self.twin.transformer.h[layer], HEADS * D_HEAD
        own = slice(part * width + h * D_HEAD, part * width + (h + 1) * D_HEAD)
        return block.ln_1(x) @ block.attn.c_attn.weight[:, own] + block.attn.c_attn.bias[own]

    def q(self, layer, x, h):
        return self._part(layer, x, h, 0)

    def k(self, layer, x, g):
        return self._part(layer, x, g, 1)

    def v(self, layer, x, g):
        return self._part(layer, x, g, 2)

    def out(self, layer):
        return self.twin.transformer.h[layer].attn.c_proj.weight

    def out_bias(self, layer):
        return self.twin.transformer.h[layer].attn.c_proj.bias

    def mlp(self, layer, x):
        block = self.twin.transformer.h[layer]
        return block.mlp(block.ln_2(x))

    def unembed(self, x):
        return self.twin.lm_head(self.twin.transformer.ln_f(x))


def rotated(x: Tensor, dims: int) -> Tensor:
    """The first `dims` of [position, d_head] turned by their position, halves against each other."""
    angles = torch.arange(len(x))[:, None] / 10000.0 ** (torch.arange(0, dims, 2).double() / dims)
    cos, sin = angles.cos(), angles.sin()
    one, two, rest = x[:, : dims // 2], x[:, dims // 2 : dims], x[:, dims:]
    return torch.cat([one * cos - two * sin, two * cos + one * sin, rest], -1)


class Llama(Hand):
    kv_heads = 2

    def embed(self, ids):
        return self.twin.model.embed_tokens(ids)

    def _part(self, layer, x, at, name):
        block = self.twin.model.layers[layer]
        weight = getattr(block.self_attn, name).weight[at * D_HEAD : (at + 1) * D_HEAD]
        return block.input_layernorm(x) @ weight.T

    def q(self, layer, x, h):
        return rotated(self._part(layer, x, h, "q_proj"), D_HEAD)

    def k(self, layer, x, g):
        return rotated(self._part(layer, x, g, "k_proj"), D_HEAD)

    def v(self, layer, x, g):
        return self._part(layer, x, g, "v_proj")

    def out(self, layer):
        return self.twin.model.layers[layer].self_attn.o_proj.weight.T

    def mlp(self, layer, x):
        block = self.twin.model.layers[layer]
        return block.mlp(block.post_attention_layernorm(x))

    def unembed(self, x):
        return self.twin.lm_head(self.twin.model.norm(x))


class NeoX(Hand):
    parallel = True

    def embed(self, ids):
        return self.twin.gpt_neox.embed_in(ids)

    def _part(self, layer, x, h, part):
        block = self.twin.gpt_neox.layers[layer]
        own = slice((3 * h + part) * D_HEAD, (3 * h + part + 1) * D_HEAD)
        joint = block.attention.query_key_value
        return block.input_layernorm(x) @ joint.weight[own].T + joint.bias[own]

    def q(self, layer, x, h):
        return rotated(self._part(layer, x, h, 0), D_HEAD // 4)

    def k(self, layer, x, g):
        return rotated(self._part(layer, x, g, 1), D_HEAD // 4)

    def v(self, layer, x, g):
        return self._part(layer, x, g, 2)

    def out(self, layer):
        return self.twin.gpt_neox.layers[layer].attention.dense.weight.T

    def out_bias(self, layer):
        return self.twin.gpt_neox.layers[layer].attention.dense.bias

    def mlp(self, layer, x):
        block = self.twin.gpt_neox.layers[layer]
        return block.mlp(block.post_attention_layernorm(x))

    def unembed(self, x):
        return self.twin.get_output_embeddings()(self.twin.gpt_neox.final_layer_norm(x))


HANDS = {"gpt2": GPT2, "llama": Llama, "gptneox": NeoX}


@cache
def hand(name: str) -> Hand:
    return HANDS[name](wide(SPECS[name].build()))


def one_edge(clean: Written, other: Written, source: str, destination: str) -> Reads:
    """The clean model, but that one input reads of one source what it wrote in the other run."""
    return lambda name, _, total: total + other[source] - clean[source] if name == destination else total


def circuit(other: Written, read: Written, kept: set[tuple[str, str]]) -> Reads:
    """The sources of an input that are in the circuit as they are, all else as it was in the other run."""

    def reads(name: str, written: Written, _total: Tensor) -> Tensor:
        return read[name] + sum((now - other[source] for source, now in written.items() if (source, name) in kept), start=0.0)

    return reads


def slopes(of: Hand, ids: list[int], number: Callable[[Tensor], Tensor], embedded: Tensor | None = None) -> Written:
    """`∂number(logits)/∂` what each input reads, [position, d_model], all else following from that."""
    leaves: Written = {}

    def reads(name: str, _written: Written, total: Tensor) -> Tensor:
        leaves[name] = torch.zeros_like(total).requires_grad_()
        return total + leaves[name]

    with torch.enable_grad():
        logits, *_ = of.run(ids, reads, embedded)
        number(logits).backward()
    return {name: leaf.grad for name, leaf in leaves.items()}


def difference(target: int, against: int, position: int) -> Callable[[Tensor], Tensor]:
    return lambda logits: logits[position, target] - logits[position, against]


__all__ = ["HANDS", "IDS", "Hand", "circuit", "difference", "hand", "one_edge", "slopes", "whole"]
