"""Scores before the softmax: against the models' own projections on the twin, closed forms, and TransformerLens's scores."""

import numpy as np
import pytest
import torch
import transformers as tf
from transformers.models.llama import modeling_llama
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from attnwidget import ModelError, load_model
from attnwidget.analysis.qkscores import qk

from ..engine.test_qk_taps import allowed
from ..models import (
    _GROUPED,
    ALL,
    D_HEAD,
    HEADS,
    IDS,
    LAYERS,
    SPECS,
    bridged,
    fresh,
    induction_model,
    induction_prompt,
    name_of,
    subject,
    tokenizer,
    wide,
)

N = len(IDS)
# They compute attention in a way of their own; GPT-J's bridge turns its queries and keys where nothing can be seen of it.
WITHOUT = {("gptj", "plain"), ("gptneo", "plain"), ("bloom", "plain"), ("falcon", "plain"), ("gptj", "bridge")}
WITH = [pair for pair in ALL if pair not in WITHOUT]


def far(a, b):
    a, b = (np.asarray(x, dtype=float) for x in (a, b))
    return np.nanmax(np.abs(a - b), initial=0)


@pytest.mark.parametrize("pair", WITH, ids=name_of)
def test_softmax_of_the_scores_is_the_twin_s_pattern(pair):
    s = subject(*pair)
    run = s.model.run(IDS)
    for layer in range(LAYERS):
        theirs = s.patterns(layer) if pair[0] not in ("falcon", "bloom", "gptneo") else run.patterns(layer)
        for head in (0, 1, 3):
            found = qk(run, (layer, head))
            if pair[0] not in ("bloom", "falcon"):
                assert (found.visible == allowed(pair[0], layer).numpy()).all()
            exps = np.exp(found.scores + found.position_bias)
            assert far(exps / (exps.sum(-1) + np.exp(found.sink))[:, None], theirs[head]) <= 1e-5
            assert found.off <= 1e-5 and found.scores.std() > 0.05
            if pair[0] != "gptoss":
                assert np.isinf(found.sink).all()
            assert far(sum(found.parts.values()), found.scaled) <= 1e-5 and set(found.parts) != set()
            assert far(found.scale * found.q @ found.k.T, found.scaled) <= 1e-12


def rotated(s, q, k, layer=0):
    """By transformers' own function and the twin's own table."""
    table = s.twin.model.rotary_emb if hasattr(s.twin, "model") else s.twin.gpt_neox.rotary_emb
    cos, sin = table(q[None], torch.arange(N)[None])
    width = cos.shape[-1]
    turned = apply_rotary_pos_emb(q[None, ..., :width], k[None, ..., :width], cos, sin)
    return (torch.cat([new[0], old[..., width:]], -1) for new, old in zip(turned, (q, k), strict=True))


def by_hand(s, layer):
    """Content, query's bias, key's bias as [head, position, d_head] vectors of the twin: normed stream without the norm's bias, times the
    weights; and the norm's bias times the weights with the projection's own."""
    name, block = s.spec.name, s.block(layer)
    seen = []
    norm = {"gpt2": "ln_1", "llama": "input_layernorm", "gptneox": "input_layernorm", "qwen2": "input_layernorm"}.get(name)
    module = block if norm is None else block.get_submodule(norm)
    hook = module.register_forward_hook(lambda _m, args, out: seen.append((args, out)))
    s.clean()
    hook.remove()
    if norm is None:
        content, shift = seen[0][0][0][0], torch.zeros(32)
    else:
        shift = getattr(module, "bias", None)
        shift = torch.zeros(32) if shift is None else shift
        content = seen[0][1][0] - shift
    if name == "gpt2":
        weight, bias = (part.split(32, -1)[:2] for part in (block.attn.c_attn.weight, block.attn.c_attn.bias))
    elif name == "gptneox":
        fused = block.attention.query_key_value
        weight = [fused.weight.reshape(HEADS, 3, D_HEAD, 32)[:, i].reshape(32, 32).T for i in (0, 1)]
        bias = [fused.bias.reshape(HEADS, 3, D_HEAD)[:, i].reshape(32) for i in (0, 1)]
    else:
        names = {"bert": ("attention.self.query", "attention.self.key"), "distilbert": ("attention.q_lin", "attention.k_lin")}
        linear = [block.get_submodule(part) for part in names.get(name, ("self_attn.q_proj", "self_attn.k_proj"))]
        weight, bias = [m.weight.T for m in linear], [torch.zeros(len(m.weight)) if m.bias is None else m.bias for m in linear]
    with torch.no_grad():
        vectors = [content @ w for w in weight] + [(shift @ w + b).expand(N, -1) for w, b in zip(weight, bias, strict=True)]
        vectors = [v.reshape(N, -1, D_HEAD).transpose(0, 1) for v in vectors]
        if name in ("llama", "qwen2", "gptneox"):
            (vectors[0], vectors[1]), (vectors[2], vectors[3]) = rotated(s, *vectors[:2]), rotated(s, *vectors[2:])
    return [v.repeat_interleave(HEADS // len(v), 0).double().numpy() for v in vectors]


@pytest.mark.parametrize("name", ["gpt2", "llama", "qwen2", "gptneox", "bert", "distilbert"])
@pytest.mark.parametrize("kind", ["plain", "bridge"])
def test_parts_by_hand(name, kind):
    if kind == "bridge" and not SPECS[name].bridge:
        pytest.skip("TransformerLens has no bridge for it")
    s = subject(name, kind)
    run = s.model.run(IDS)
    for layer in (0, 2):
        q, k, bq, bk = by_hand(s, layer)
        for head in range(HEADS):
            found = qk(run, (layer, head))
            assert far(found.q, q[head] + bq[head]) <= 5e-5 and far(found.k, k[head] + bk[head]) <= 5e-5
            expected = {
                "content": q[head] @ k[head].T,
                "query_bias": bq[head] @ k[head].T,
                "key_bias": q[head] @ bk[head].T,
                "both_biases": bq[head] @ bk[head].T,
            }
            for part, value in expected.items():
                assert far(found.parts[part], value * D_HEAD**-0.5) <= 1e-4
            if name in ("gpt2", "qwen2", "gptneox", "bert", "distilbert"):
                assert min(np.abs(found.parts[part]).max() for part in expected) > 1e-3
            assert found.rotary == (name in ("llama", "qwen2", "gptneox")) and found.scale == pytest.approx(D_HEAD**-0.5)


def test_a_soft_cap():
    found = qk(subject("gemma2").model.run(IDS), "L1H2")
    assert found.cap == 2 and found.scale == 256**-0.5
    assert far(found.scores, 2 * np.tanh(found.scaled / 2)) <= 1e-14 and np.abs(found.scaled - found.scores).max() > 1e-3
    assert "before the soft-cap" in found.note and "rotary" in found.note


def test_what_is_said_of_positions():
    said = {name: qk(subject(name).model.run(IDS), "L1H0").note for name in ("gpt2", "llama", "gptoss")}
    said["bloom"] = qk(subject("bloom", "bridge").model.run(IDS), "L1H0").note
    assert "Learned positions" in said["gpt2"] and "cannot be split off" in said["gpt2"]
    assert said["llama"] == "Positions are rotary: each term is the product after the rotation."
    assert said["bloom"] == "Biases by position are a term of their own."
    assert "sink" in said["gptoss"]


def test_alibi_is_a_term_of_its_own():
    """Slopes 1/4, 1/16, ... for four heads; relative to the nearest key, which has the largest."""
    run = subject("bloom", "bridge").model.run(IDS)
    away = np.arange(N)[:, None] - np.arange(N)
    for head in range(HEADS):
        found = qk(run, (2, head))
        expected = np.where(away >= 0, -away * 4.0 ** -(head + 1), -np.inf)
        assert far(np.where(found.visible, found.position_bias, 0), np.where(away >= 0, expected, 0)) <= 1e-5


def test_induction_heads():
    ids = induction_prompt()
    run = load_model(induction_model()).run(ids)
    matches = np.array([[float(ids[max(k - 1, 0)] == token) for k in range(17)] for token in ids])
    found = qk(run, "L1H0")
    assert far(found.scores, 8 * matches) <= 1e-4 and far(found.parts["content"], 8 * matches) <= 1e-4
    assert far(found.parts["query_bias"], 0) == far(found.parts["key_bias"], 0) == 0
    assert "Learned positions" in found.note
    # The hook that TransformerLens has for scores gives the pattern on this model.
    _, cache = induction_model().run_with_cache(torch.tensor([ids]))
    assert far(cache["blocks.1.attn.hook_attn_scores"], cache["blocks.1.attn.hook_pattern"]) == 0
    dead = qk(run, "L0H2")
    assert far(dead.scores, 0) == 0 and far(dead.pattern[4, :5], 0.2) <= 1e-7


@pytest.mark.parametrize("name", ["gpt2", "llama", "gemma2"])
def test_transformer_lens_s_own_scores(name):
    s = fresh(name, "bridge")
    _, cache = s.source.run_with_cache(torch.tensor([IDS]))
    for layer in range(LAYERS):
        theirs = cache[f"blocks.{layer}.attn.hook_attn_scores"][0]
        for head in range(HEADS):
            found = qk(s.model.run(IDS), (layer, head))
            assert far(found.scores[found.visible], theirs[head].numpy()[found.visible]) <= 2e-5


@pytest.mark.parametrize("pair", sorted(WITHOUT), ids=name_of)
def test_scores_that_cannot_be_had_are_refused(pair):
    said = "is not the pattern of L1H2" if pair[1] == "bridge" else "cannot be reached .* TransformerBridge"
    with pytest.raises(ModelError, match=said):
        qk(subject(*pair).model.run(IDS), "L1H2")


def test_normed_queries_are_not_split():
    model = load_model(wide(tf.Qwen3ForCausalLM(tf.Qwen3Config(head_dim=D_HEAD, **_GROUPED))), tokenizer=tokenizer())
    found = qk(model.run(IDS), "L1H2")
    assert found.parts == {} and "they are normed" in found.note and found.off <= 1e-5
    assert "content" not in found.to_frame().columns and "not split" in repr(found)


def test_a_scale_of_the_model_s_own_is_measured():
    s = fresh("llama")
    s.source.model.layers[1].self_attn.scaling *= 1.7
    assert qk(s.model.run(IDS), "L1H0").scale == pytest.approx(1.7 * D_HEAD**-0.5)
    assert qk(s.model.run(IDS), "L0H0").scale == pytest.approx(D_HEAD**-0.5)


def test_a_law_that_is_not_known_is_refused(monkeypatch):
    """Scores bent before the softmax, which are 0 where queries are all the same."""
    own = modeling_llama.eager_attention_forward

    def bent(module, query, key, value, mask, scaling, **kwargs):
        seen = (query @ key.repeat_interleave(2, 1).transpose(2, 3) * scaling).abs().sqrt() + mask
        pattern = seen.softmax(-1)
        return (pattern @ value.repeat_interleave(2, 1)).transpose(1, 2).contiguous(), pattern

    s = fresh("llama")
    qk(s.model.run(IDS), "L1H2")
    monkeypatch.setattr(modeling_llama, "eager_attention_forward", bent)
    with pytest.raises(ModelError, match="not the pattern of L1H2 .* differ by 0"):
        qk(s.model.run(IDS), "L1H2")
    monkeypatch.setattr(modeling_llama, "eager_attention_forward", own)


def neox_with_small_scores(by, dtype):
    model = wide(SPECS["gptneox"].build())
    with torch.no_grad():
        for layer in model.gpt_neox.layers:
            for fused in (layer.attention.query_key_value.weight, layer.attention.query_key_value.bias):
                fused.view(HEADS, 3, -1)[:, :2] *= by
    return load_model(bridged(model.to(dtype), tokenizer())).run(IDS)


def test_small_scores_are_told_apart_from_those_without_a_rotation():
    # The bridge's queries and keys are those before it, and a pattern that is nearly uniform is nearly that of any law.
    found = qk(neox_with_small_scores(0.001, torch.float32), "L1H2")
    assert found.rotary and found.scale == D_HEAD**-0.5 and np.abs(found.scores).max() < 1e-4
    half = qk(neox_with_small_scores(0.1, torch.bfloat16), "L1H2")
    assert half.rotary and half.scale == D_HEAD**-0.5


@pytest.mark.parametrize(("by", "dtype"), [(0.03, torch.bfloat16), (0.001, torch.float16)])
def test_scores_below_the_rounding_of_the_pattern_are_refused(by, dtype):
    run = neox_with_small_scores(by, dtype)
    for layer in range(LAYERS):
        with pytest.raises(ModelError, match=f"Scores of layer {layer} are so small"):
            qk(run, (layer, 1))


def test_one_token_proves_nothing():
    with pytest.raises(ModelError, match="two tokens or more"):
        qk(subject("gpt2").model.run([5]), "L1H1")
    found = qk(subject("gpt2").model.run([5, 9]), "L1H1")
    assert found.scale == pytest.approx(D_HEAD**-0.5) and found.scores.shape == (2, 2)


def test_ablated_runs():
    clean = subject("llama").model.run(IDS)
    below = clean.ablate("L0H1")
    assert far(qk(below, "L0H1").scores, qk(clean, "L0H1").scores) == 0
    assert far(qk(below, "L2H1").scores, qk(clean, "L2H1").scores) > 1e-2
    same_layer = clean.ablate("L1H1", "uniform")
    assert far(qk(same_layer, "L1H1").scores, qk(clean, "L1H1").scores) == 0
    assert qk(below, "L2H1").conditional == ((0, 1),)


def test_arrays_are_sealed():
    found = qk(subject("gpt2").model.run(IDS), "L1H1")
    for array in (found.q, found.k, found.scaled, found.scores, found.pattern, found.visible, found.sink, found.position_bias):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    with pytest.raises(ValueError, match="read-only"):
        found.parts["content"][0] = 0


def test_tables():
    found = qk(subject("gpt2").model.run(IDS), "L1H1")
    frame = found.to_frame()
    assert len(frame) == N * (N + 1) // 2 and frame["attention"].sum() == pytest.approx(N)
    total = frame[["content", "query_bias", "key_bias", "both_biases"]].sum(axis=1)
    assert total.to_numpy() == pytest.approx(frame["score"].to_numpy(), abs=1e-5)
    assert frame.attrs["head"] == "L1H1" and len(repr(found)) < 300
