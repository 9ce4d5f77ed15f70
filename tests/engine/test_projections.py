"""Weights as the model uses them, against the untouched twin's own modules: projections, norms, embeddings, unembeddings, rotations."""

import pytest
import torch
import transformers as tf
from torch import nn
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from attnwidget import ModelError, load_model
from attnwidget.engine.attention_input import attention_input
from attnwidget.engine.norms import Norm, norm_of
from attnwidget.engine.projections import projections, short_stream
from attnwidget.engine.rotation import rotations
from attnwidget.engine.score_law import head_scores
from attnwidget.engine.token_embedding import token_embedding
from attnwidget.engine.unembedding import unembedding

from ..models import _GROUPED, D_HEAD, HEADS, IDS, LAYERS, VOCAB, WIDTH, fresh, name_of, subject, tokenizer, unchanged, wide

NORMS = {
    "gpt2": "ln_1",
    "llama": "input_layernorm",
    "qwen2": "input_layernorm",
    "gptneox": "input_layernorm",
    "opt": "self_attn_layer_norm",
    "bloom": "input_layernorm",
    "falcon": "input_layernorm",
    "mixtral": "input_layernorm",
}
FINAL = {
    "gpt2": "transformer.ln_f",
    "llama": "model.norm",
    "qwen2": "model.norm",
    "gptneox": "gpt_neox.final_layer_norm",
    "opt": "model.decoder.final_layer_norm",
    "bloom": "transformer.ln_f",
    "falcon": "transformer.ln_f",
    "mixtral": "model.norm",
}
KINDS = [(name, kind) for name in NORMS for kind in ("plain", "bridge") if (name, kind) not in {("bloom", "plain"), ("falcon", "plain")}]
every = pytest.mark.parametrize("pair", KINDS, ids=name_of)


def far(a, b):
    return (a - b).abs().max().item()


def streams(model):
    return short_stream(model.engine, IDS), short_stream(model.engine, IDS[:1])


def linear_parts(s, layer):
    """q, k, v as functions of the norm's output [.., d_model] -> [.., head, d_head], from the twin's modules."""
    block, name = s.block(layer), s.spec.name
    if name == "gpt2":
        return [lambda y, i=i: block.attn.c_attn(y).split(WIDTH, -1)[i].unflatten(-1, (HEADS, D_HEAD)) for i in range(3)]
    if name in ("gptneox", "bloom"):
        fused = block.attention.query_key_value if name == "gptneox" else block.self_attention.query_key_value
        return [lambda y, i=i: fused(y).unflatten(-1, (HEADS, 3, D_HEAD))[..., i, :] for i in range(3)]
    if name == "falcon":
        fused = block.self_attention.query_key_value
        cut = [slice(0, HEADS), slice(HEADS, HEADS + 1), slice(HEADS + 1, None)]
        return [lambda y, i=i: fused(y).unflatten(-1, (-1, D_HEAD))[..., cut[i], :] for i in range(3)]
    attention = block.self_attn
    # OPT scales its queries before the product; its bridge is read before that.
    scale = D_HEAD**-0.5 if (name, s.kind) == ("opt", "plain") else 1.0
    return [
        lambda y, m=m, f=f: f * m(y).unflatten(-1, (-1, D_HEAD))
        for m, f in ((attention.q_proj, scale), (attention.k_proj, 1.0), (attention.v_proj, 1.0))
    ]


@every
def test_projections(pair):
    s = subject(*pair)
    stream, one = streams(s.model)
    y = torch.randn(7, WIDTH, generator=torch.Generator().manual_seed(0))
    with unchanged(s.source):
        found = [projections(stream, one, layer) for layer in range(LAYERS)]
    for layer, weights in enumerate(found):
        mine = (weights.q, weights.q_bias), (weights.k, weights.k_bias), (weights.v, weights.v_bias)
        for part, (weight, bias) in zip(linear_parts(s, layer), mine, strict=True):
            with torch.no_grad():
                assert far(torch.einsum("pd,hde->phe", y.double(), weight) + bias, part(y[None])[0]) <= 1e-5
        norm = s.block(layer).get_submodule(NORMS[pair[0]])
        x = 3 * torch.randn(5, WIDTH, generator=torch.Generator().manual_seed(1))
        with torch.no_grad():
            assert far(weights.norm(x.double()), norm(x)) <= 1e-5
        assert weights.norm.centred == isinstance(norm, nn.LayerNorm)
        assert weights.out.shape == (HEADS, D_HEAD, WIDTH) and len(weights.k) == s.spec.kv_heads
        assert weights.group(3) == 3 // (HEADS // s.spec.kv_heads)


@every
def test_embeddings_and_unembeddings(pair):
    s = subject(*pair)
    stream, _ = streams(s.model)
    table = s.twin.get_input_embeddings().weight
    embedding = token_embedding(s.model.engine, IDS)
    with torch.no_grad():
        expected = table if pair[0] != "bloom" else s.twin.transformer.word_embeddings_layernorm(table)
    assert far(embedding.of(range(VOCAB)), expected) <= 1e-5
    assert embedding.learned_positions == (pair[0] in ("gpt2", "opt"))
    outward = unembedding(stream)
    x = torch.randn(5, WIDTH, generator=torch.Generator().manual_seed(1))
    final, head = s.twin.get_submodule(FINAL[pair[0]]), s.twin.get_output_embeddings()
    with torch.no_grad():
        # Without scale and bias: what a norm adds to its bias, times what it divided by.
        middle = x - x.mean(-1, keepdim=True) if isinstance(final, nn.LayerNorm) else x
        expected = (middle * final.weight) @ head.weight.T
    assert outward.size == VOCAB and far(x.double() @ outward.of(range(VOCAB)).T, expected) <= 1e-4


def test_constants_of_granite_and_gemma():
    granite = tf.GraniteForCausalLM(tf.GraniteConfig(embedding_multiplier=12.0, logits_scaling=8.0, attention_multiplier=0.3, **_GROUPED))
    model = load_model(wide(granite), tokenizer=tokenizer())
    table = model.source.get_input_embeddings().weight
    assert far(token_embedding(model.engine, IDS).of([5, 9]), 12 * table[[5, 9]]) <= 1e-5
    outward = unembedding(short_stream(model.engine, IDS))
    assert outward.factor == pytest.approx(1 / 8)
    gemma = subject("gemma2").model
    table = gemma.source.get_input_embeddings().weight
    assert far(token_embedding(gemma.engine, IDS).of([5, 9]), WIDTH**0.5 * table[[5, 9]]) <= 1e-5
    assert unembedding(short_stream(gemma.engine, IDS)).capped


@pytest.mark.parametrize("name", ["bert", "distilbert", "roberta"])
def test_embeddings_that_are_normed_with_their_positions_are_refused(name):
    with pytest.raises(ModelError, match="not the sum of a token's vector and a position's"):
        token_embedding(subject(name).model.engine, IDS)


def qwen3():
    return load_model(wide(tf.Qwen3ForCausalLM(tf.Qwen3Config(head_dim=D_HEAD, **_GROUPED))), tokenizer=tokenizer())


def gemma3():
    config = tf.Gemma3TextConfig(head_dim=D_HEAD, sliding_window=4, **_GROUPED)
    return load_model(wide(tf.Gemma3ForCausalLM(config)), tokenizer=tokenizer())


@pytest.mark.parametrize("build", [qwen3, gemma3])
def test_normed_queries_are_refused(build):
    model = build()
    stream, one = streams(model)
    with pytest.raises(ModelError, match="Queries of layer 1 are not linear .* Qwen 3"):
        projections(stream, one, 1)


class Hidden(nn.Module):
    """A linear map that keeps its weight in no form that could be read."""

    def __init__(self, linear):
        super().__init__()
        self.packed = nn.ParameterList(linear.weight.detach().clone().unbind())
        self.shift = None if linear.bias is None else nn.Parameter(linear.bias.detach().clone())

    def forward(self, x):
        return nn.functional.linear(x, torch.stack(list(self.packed)), self.shift)


def test_weights_in_no_form_that_is_known():
    s = fresh("qwen2")
    for block in s.source.model.layers:
        for name in ("q_proj", "k_proj", "v_proj"):
            setattr(block.self_attn, name, Hidden(getattr(block.self_attn, name)))
    model = load_model(s.source, tokenizer=s.tokenizer)
    found = projections(*streams(model), 2)
    assert far(found.q.transpose(0, 1).flatten(1), s.block(2).self_attn.q_proj.weight.T) <= 1e-6
    assert far(found.k_bias.flatten(), s.block(2).self_attn.k_proj.bias) <= 1e-6


def test_a_large_bias_takes_nothing_of_the_weights_in_half_precision():
    config = tf.Qwen2Config(**_GROUPED)
    source = wide(tf.Qwen2ForCausalLM(config))
    with torch.no_grad():
        for layer in source.model.layers:
            layer.self_attn.k_proj.bias += 60
    source = source.bfloat16()
    weight = source.model.layers[1].self_attn.k_proj.weight.double()
    model = load_model(source, tokenizer=tokenizer())
    found = projections(*streams(model), 1)
    assert far(found.k.transpose(0, 1).flatten(1), weight.T) <= 2e-3


ROTARY = [(n, k) for n in ("llama", "qwen2", "gptneox", "mixtral", "falcon") for k in ("plain", "bridge") if (n, k) != ("falcon", "plain")]


@pytest.mark.parametrize("pair", ROTARY, ids=name_of)
def test_rotations(pair):
    """Transformers' own function, half-split, of the whole head or (GPT-NeoX) of the first quarter."""
    s = subject(*pair)
    stream, _ = streams(s.model)
    law = head_scores(stream, 1, 0).law
    assert (law.turn is not None) == (pair in [("gptneox", "bridge"), ("falcon", "bridge")])
    found = rotations(attention_input(stream, 1), law.turn, range(7))
    table = {"gptneox": "gpt_neox", "falcon": "transformer"}.get(pair[0], "model")
    cos, sin = getattr(s.twin, table).rotary_emb(torch.zeros(1, 1, 7, D_HEAD), torch.arange(7)[None])
    width = cos.shape[-1]
    rows = torch.eye(D_HEAD)[None, :, None].expand(1, D_HEAD, 7, D_HEAD)
    turned, _ = apply_rotary_pos_emb(rows[..., :width], rows[..., :width], cos, sin)
    expected = torch.cat([turned, rows[..., width:]], -1)[0].transpose(0, 1)
    assert found.shape == (7, D_HEAD, D_HEAD) and far(found, expected) <= 1e-5
    if pair[0] == "gptneox":
        assert width == 2 and far(found[3][2:], torch.eye(D_HEAD)[2:]) <= 1e-6


def test_rotations_of_neighbours():
    """Cohere turns pairs of neighbouring numbers, and not halves."""
    model = load_model(wide(tf.CohereForCausalLM(tf.CohereConfig(**_GROUPED))), tokenizer=tokenizer())
    found = rotations(attention_input(streams(model)[0], 1), None, range(5))
    angle = torch.tensor(3.0)
    assert far(found[3][:2, :2], torch.tensor([[angle.cos(), angle.sin()], [-angle.sin(), angle.cos()]])) <= 1e-6


@pytest.mark.parametrize("pair", [("gpt2", "plain"), ("opt", "bridge"), ("bert", "plain"), ("bloom", "bridge")], ids=name_of)
def test_no_rotation(pair):
    assert rotations(attention_input(streams(subject(*pair).model)[0], 2), None, [5]) is None


def test_norms_of_every_kind():
    x = 2 * torch.randn(6, WIDTH, generator=torch.Generator().manual_seed(0)) + 0.5
    llama = tf.models.llama.modeling_llama.LlamaRMSNorm(WIDTH, eps=1e-3)
    gemma = tf.models.gemma2.modeling_gemma2.Gemma2RMSNorm(WIDTH, eps=1e-6)
    for norm in (wide(nn.LayerNorm(WIDTH, eps=1e-2)), wide(llama), wide(gemma), wide(nn.LayerNorm(WIDTH, elementwise_affine=False))):
        with torch.no_grad():
            found = norm_of(norm, x.double(), norm(x).double(), 2.4e-5)
            other = torch.randn(4, WIDTH, generator=torch.Generator().manual_seed(3))
            assert far(found(other.double()), norm(other)) <= 1e-6
        weight = torch.randn(WIDTH, 3, dtype=torch.float64)
        assert far(other.double() @ found.folded(weight), found.linear(other.double()) @ weight) <= 1e-12
    assert norm_of(nn.Linear(WIDTH, WIDTH), x.double(), x.double().tanh(), 2.4e-5) is None
    assert far(Norm.identity(WIDTH)(x.double()), x.double()) == 0
