"""What heads and MLPs write, and how the stream's end is read, against the untouched twin's own modules and formulas written here."""

from __future__ import annotations

import copy

import pytest
import torch
import transformers as tf
from torch import nn

from attnwidget import ModelError, load_model
from attnwidget.engine.readout import readout
from attnwidget.engine.writes import Stream, block_writes, head_writes

from ..models import _COMMON, _GROUPED, ALL, D_HEAD, HEADS, IDS, LAYERS, SPECS, fresh, name_of, subject, tokenizer, unchanged, wide

every = pytest.mark.parametrize("pair", ALL, ids=name_of)
# A norm follows the sum (the encoders), or what the heads write (Gemma 2).
NORMED = {"gemma2", "bert", "bert-classifier", "bert-base", "distilbert", "distilbert-classifier", "roberta"}
ADDED = [pair for pair in ALL if pair[0] not in NORMED]
MLPS = {"opt": "fc2", "bloom": "mlp.dense_4h_to_h"}
AT = (0, 5, len(IDS) - 1)


def far(a, b):
    return (a - b).abs().max().item()


def stream_of(model, ids=IDS, edits=()):
    recording = model.engine.record(torch.tensor([ids]))
    passed = model.engine.resume(recording, edits, start=0)
    return Stream(model.engine, recording, passed.resid, tuple(edits))


def outputs(s, module):
    """What a module of the twin returns on the prompt, [position, d_model]."""
    seen = []
    hook = module.register_forward_hook(lambda _m, _a, out: seen.append((out[0] if isinstance(out, tuple) else out).clone()))
    s.clean()
    hook.remove()
    return seen[0].reshape(len(IDS), -1)


@every
def test_what_single_heads_write(pair):
    """The out-projection of the twin, with and without one head's slice of its input; and all of them with its bias."""
    s = subject(*pair)
    stream = stream_of(s.model)
    for layer in range(LAYERS):
        projection, z = s.projection(layer), s.z(layer)
        with torch.no_grad():
            said = projection(z.reshape(1, len(IDS), -1))[0]
            bias = projection(torch.zeros(1, 1, HEADS * D_HEAD))[0, 0]
        for at in AT if layer == 1 else AT[-1:]:
            heads = head_writes(stream, layer, at)
            assert heads.dtype == torch.float64 and heads.shape == (HEADS, said.shape[-1])
            assert far(heads.sum(0) + bias, said[at]) <= 1e-5
            for head in range(HEADS):
                alone = torch.zeros_like(z)
                alone[:, head] = z[:, head]
                with torch.no_grad():
                    expected = projection(alone.reshape(1, len(IDS), -1))[0, at] - bias
                assert far(heads[head], expected) <= 1e-5


@pytest.mark.parametrize("pair", ADDED, ids=name_of)
def test_what_a_block_adds(pair):
    """Heads and bias by the twin's out-projection, the MLP by the twin's MLP, and all of it by the stream."""
    s = subject(*pair)
    stream = stream_of(s.model)
    for layer in range(LAYERS):
        writes = block_writes(stream, layer, 5)
        said, mlp = (outputs(s, s.block(layer).get_submodule(name)) for name in (s.spec.projection, MLPS.get(s.spec.name, "mlp")))
        assert far(writes.heads.sum(0) + writes.bias, said[5]) <= 1e-5
        assert far(writes.heads, head_writes(stream, layer, 5)) <= 1e-12
        assert far(writes.mlp, mlp[5]) <= 2e-5
        added = stream.resid[layer + 1][0, 5] - stream.resid[layer][0, 5]
        assert far(writes.heads.sum(0) + writes.bias + writes.mlp, added) <= 1e-5


@pytest.mark.parametrize("pair", [pair for pair in ALL if pair[0] in NORMED], ids=name_of)
def test_where_a_norm_stands_in_the_way_it_is_refused(pair):
    stream = stream_of(subject(*pair).model)
    for layer in range(LAYERS):
        with pytest.raises(ModelError, match=f"layer {layer} of this model is not just added .* norm .* ask for 'ablation'"):
            block_writes(stream, layer, 3)


OTHERS = {
    "olmo2": lambda: tf.Olmo2ForCausalLM(tf.Olmo2Config(**_GROUPED)),
    "bloom, residual after the norm": lambda: tf.BloomForCausalLM(
        tf.BloomConfig(n_layer=LAYERS, n_head=HEADS, hidden_size=32, vocab_size=330, apply_residual_connection_post_layernorm=True)
    ),
}


@pytest.mark.parametrize("name", OTHERS)
@pytest.mark.parametrize("ids", [IDS, IDS[:1]], ids=["prompt", "one token"])
def test_it_is_the_block_that_is_asked_and_not_its_name(name, ids):
    model = load_model(wide(OTHERS[name]()), tokenizer=tokenizer())
    with pytest.raises(ModelError, match="not just added"):
        block_writes(stream_of(model, ids), 1, 0)


def test_a_sum_that_only_holds_as_long_as_nothing_changes_is_found_out():
    """Attention scaled to the size that it has in the clean run: the clean sum is right, and taking part of a head away is not."""
    s = fresh("gpt2")
    sizes = []

    def measure(_module, _args, output):
        sizes.append(output[0].norm(dim=-1, keepdim=True))

    def hold(_module, _args, output):
        return (output[0] / output[0].norm(dim=-1, keepdim=True) * sizes[0], *output[1:])

    attention = s.source.transformer.h[1].attn
    hook = attention.register_forward_hook(measure)
    stream = stream_of(s.model)
    hook.remove()
    block_writes(stream, 1, 5)
    hook = attention.register_forward_hook(hold)
    assert far(stream.block(1)[0], stream.resid[2]) <= 1e-5, "nothing shows in the clean run"
    with pytest.raises(ModelError, match="layer 1 of this model is not just added"):
        block_writes(stream, 1, 5)
    hook.remove()


def granite():
    return tf.GraniteForCausalLM(
        tf.GraniteConfig(residual_multiplier=0.22, logits_scaling=8.0, embedding_multiplier=12.0, attention_multiplier=0.3, **_GROUPED)
    )


def test_a_constant_that_multiplies_what_is_written():
    model = load_model(wide(granite()), tokenizer=tokenizer())
    stream = stream_of(model)
    for layer in range(LAYERS):
        writes = block_writes(stream, layer, 4)
        assert far(writes.heads, 0.22 * head_writes(stream, layer, 4)) <= 1e-6
        added = stream.resid[layer + 1][0, 4] - stream.resid[layer][0, 4]
        assert far(writes.heads.sum(0) + writes.bias + writes.mlp, added) <= 1e-5


class Packed(nn.Module):
    """A linear map that keeps its weight in no form that could be read."""

    def __init__(self, linear):
        super().__init__()
        self.packed = nn.ParameterList(linear.weight.detach().clone().unbind())
        self.out_features, self.in_features = linear.weight.shape

    def forward(self, x):
        return x @ torch.stack(list(self.packed)).T


class Bent(Packed):
    """Not linear at all."""

    def forward(self, x):
        return super().forward(x).tanh()


def packed(kind):
    source = copy.deepcopy(fresh("llama").source)
    source.model.layers[1].self_attn.o_proj = kind(source.model.layers[1].self_attn.o_proj)
    source.lm_head = kind(source.lm_head)
    return load_model(source, tokenizer=tokenizer())


def test_weights_that_cannot_be_read_are_probed():
    plain, model = subject("llama").model, packed(Packed)
    expected, found = (block_writes(stream_of(m), 1, 5) for m in (plain, model))
    assert far(expected.heads, found.heads) <= 1e-5
    expected, found = (readout(stream_of(m), 5, 7, 11) for m in (plain, model))
    assert far(expected.direction, found.direction) <= 1e-5


def test_what_is_no_matrix_is_refused():
    stream = stream_of(packed(Bent))
    with pytest.raises(ModelError, match="out-projection of layer 1 is not a matrix"):
        head_writes(stream, 1, 5)
    with pytest.raises(ModelError, match="more than a norm and a matrix"):
        readout(stream, 5, 7, 11)


def test_edits_of_the_stream_are_part_of_it():
    s = subject("gpt2")
    run = s.model.run(IDS).ablate(["L1H2", "L0H1"], "scale", scale=2.0)
    stream = Stream(s.model.engine, run._recording, run._resid, tuple(run._edits))
    assert far(head_writes(stream, 0, 5)[1], 2 * head_writes(stream_of(s.model), 0, 5)[1]) <= 1e-6
    assert far(block_writes(stream, 1, 5).heads[2], head_writes(stream, 1, 5)[2]) <= 1e-12
    assert far(head_writes(stream, 1, 5)[2], 2 * head_writes(stream_of(s.model), 1, 5)[2]) > 1e-3, "L0H1 is doubled too"


@pytest.mark.parametrize("pair", [("llama", "plain"), ("bloom", "plain"), ("gpt2", "bridge")], ids=name_of)
def test_the_same_by_full_forwards_and_nothing_left_behind(pair):
    s = fresh(*pair)
    with unchanged(s.source):
        stream = stream_of(s.model)
        usual, read = block_writes(stream, 1, 5), readout(stream, 5, 7, 11)
    s.model.engine.resumes = False
    whole = block_writes(stream, 1, 5)
    assert far(usual.heads, whole.heads) <= 1e-5 and far(usual.mlp, whole.mlp) <= 1e-5
    s.model.engine.tail_by_position = False
    assert far(readout(stream, 5, 7, 11).direction, read.direction) <= 1e-5


@pytest.mark.parametrize("name", ["llama", "gpt2", "gptneox"])
def test_in_half_precision(name):
    s = subject(name)
    model = load_model(copy.deepcopy(s.twin).to(torch.bfloat16), tokenizer=s.tokenizer)
    for layer in range(LAYERS):
        expected = block_writes(stream_of(s.model), layer, 5).heads
        assert far(block_writes(stream_of(model), layer, 5).heads, expected) <= 0.05 * expected.abs().max()


# -- the end of the stream ------------------------------------------------------------------------------------------


def scale_of(x, eps, centred):
    x = x - x.mean() if centred else x
    return (x.pow(2).mean() + eps).rsqrt()


NORMS = {
    "gpt2": lambda m: (m.transformer.ln_f.weight, True, 1e-5),
    "llama": lambda m: (m.model.norm.weight, False, 1e-6),
    "gptneox": lambda m: (m.gpt_neox.final_layer_norm.weight, True, 1e-5),
    "opt": lambda m: (m.model.decoder.final_layer_norm.weight, True, 1e-5),
    "gptj": lambda m: (m.transformer.ln_f.weight, True, 1e-5),
    "gemma": lambda m: (1 + m.model.norm.weight, False, 1e-6),
    "olmo": lambda m: (torch.ones(32), True, 1e-5),
}


def norm_subject(name, kind):
    if name in SPECS:
        s = subject(name, kind)
        return s.model, s.twin
    config = {"gemma": tf.GemmaConfig(head_dim=D_HEAD, **_GROUPED), "olmo": tf.OlmoConfig(**_COMMON)}[name]
    model = wide({"gemma": tf.GemmaForCausalLM, "olmo": tf.OlmoForCausalLM}[name](config))
    return load_model(copy.deepcopy(model), tokenizer=tokenizer()), model


@pytest.mark.parametrize("pair", [(n, k) for n in NORMS for k in ("plain", "bridge") if k == "plain" or n in SPECS], ids=name_of)
def test_the_final_norm_with_its_scale_frozen(pair):
    """The direction by hand: `s · P (g ∘ (W_U[t] - W_U[f]))`, from each model's own weights and epsilon."""
    model, twin = norm_subject(*pair)
    stream = stream_of(model)
    head = twin.get_output_embeddings()
    for at in AT:
        x = stream.resid[-1][0, at].double()
        weight, centred, eps = NORMS[pair[0]](twin)
        towards = weight.detach().double() * (head.weight[7] - head.weight[11]).detach().double() * scale_of(x, eps, centred)
        found = readout(stream, at, 7, 11)
        assert far(found.direction, towards - towards.mean() if centred else towards) <= 1e-6
        logits = model.engine.logits(stream.recording, stream.resid[-1], [at])[0, 0]
        assert abs(found.value - (logits[7] - logits[11]).item()) <= 1e-5
        assert abs((x @ found.direction).item() + found.constant - found.value) <= 1e-5
        assert not found.capped


def test_logits_that_are_multiplied():
    for model in (granite(), tf.CohereForCausalLM(tf.CohereConfig(logit_scale=0.0625, **_GROUPED))):
        attached = load_model(wide(model), tokenizer=tokenizer())
        stream = stream_of(attached)
        logits = attached.run(IDS).logits[5].double()
        assert abs(readout(stream, 5, 7, 11).value - (logits[7] - logits[11]).item()) <= 1e-6


class CappedForCausalLM(tf.LlamaForCausalLM):
    """Bends its logits, as Gemma 2 does, or in a way that does not keep their order."""

    bend = staticmethod(lambda logits: 2 * torch.tanh(logits / 2))

    def forward(self, *args, **kwargs):
        output = super().forward(*args, **kwargs)
        output.logits = self.bend(output.logits)
        return output


def test_a_soft_cap_is_left_out_and_said():
    source = wide(CappedForCausalLM(tf.LlamaConfig(**_GROUPED)))
    model = load_model(source, tokenizer=tokenizer())
    plain = stream_of(subject("llama").model)
    found, expected = readout(stream_of(model), 5, 7, 11), readout(plain, 5, 7, 11)
    assert found.capped and not expected.capped
    assert abs(found.value - expected.value) <= 1e-6
    capped = model.run(IDS).logits_at(5)
    assert abs(found.value - (capped[7] - capped[11]).item()) > 0.01
    source.bend = torch.sin
    with pytest.raises(ModelError, match="more than a norm and a matrix"):
        readout(stream_of(model), 5, 7, 11)


@pytest.mark.parametrize("name", ["bert", "distilbert-classifier", "opt with a projection"])
def test_other_ways_to_an_answer_are_refused(name):
    if name in SPECS:
        model = subject(name).model
    else:
        config = tf.OPTConfig(num_hidden_layers=LAYERS, num_attention_heads=HEADS, hidden_size=32, ffn_dim=48, vocab_size=330)
        config.word_embed_proj_dim, config.max_position_embeddings = 16, 64
        model = load_model(wide(tf.OPTForCausalLM(config)), tokenizer=tokenizer())
    with pytest.raises(ModelError, match="more than a norm|logits of tokens"):
        readout(stream_of(model), 5, 7, 11)
