"""QK circuits from weights: dense products of the twin's own modules, scores of runs, closed forms of rotary heads."""

import numpy as np
import pytest
import torch
import transformers as tf
from torch import nn
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from attnwidget import AttnWidgetError, ModelError, load_model
from attnwidget.analysis import qkcircuit, toppairs
from attnwidget.analysis.qkcircuit import qk_circuit
from attnwidget.analysis.qkscores import qk

from ..engine.test_projections import KINDS, NORMS, gemma3, linear_parts, qwen3
from ..models import _GROUPED, D_HEAD, HEADS, IDS, LAYERS, VOCAB, induction_model, name_of, subject, tokenizer, unchanged, wide

SOME = [3, 17, 201, 44]
ROTARY = ("llama", "qwen2", "gptneox", "mixtral", "falcon")


def far(a, b):
    return np.abs(np.asarray(a, dtype=float) - np.asarray(b, dtype=float)).max()


def rotated(s, states, position):
    """[token, d_head] as at one position, by transformers' own function and the twin's own table."""
    if s.spec.name not in ROTARY:
        return states
    table = {"gptneox": "gpt_neox", "falcon": "transformer"}.get(s.spec.name, "model")
    at = torch.full((1, len(states)), position)
    cos, sin = getattr(s.twin, table).rotary_emb(states[None], at)
    width = cos.shape[-1]
    turned, _ = apply_rotary_pos_emb(states[None, None, :, :width], states[None, None, :, :width], cos, sin)
    return torch.cat([turned[0, 0], states[:, width:]], -1)


def dense(s, layer, head, offset=0, linear=False, key_bias=False):
    """[query token, key token] in full."""
    table = s.twin.get_input_embeddings().weight
    norm = s.block(layer).get_submodule(NORMS[s.spec.name])
    query, key, _ = linear_parts(s, layer)
    with torch.no_grad():
        if s.spec.name == "bloom":
            table = s.twin.transformer.word_embeddings_layernorm(table)
        y = norm(table) if not linear else (table - table.mean(-1, keepdim=True) * isinstance(norm, nn.LayerNorm)) * norm.weight
        none = torch.zeros(1, 1, y.shape[1])
        q, k = query(y[None])[0][:, head], key(y[None])[0][:, head // (HEADS // s.spec.kv_heads)]
        if linear:
            q = q - query(none)[0][:, head]
        if not key_bias:
            shift = getattr(norm, "bias", None)
            common = none if shift is None or linear else shift[None, None]
            k = k - key(common)[0][:, head // (HEADS // s.spec.kv_heads)]
        # The query's scale of a plain OPT is in its projection already.
        scale = 1.0 if (s.spec.name, s.kind) == ("opt", "plain") else D_HEAD**-0.5
        return (scale * rotated(s, q, 10 + offset).double() @ rotated(s, k, 10).double().T).numpy()


@pytest.mark.parametrize("pair", KINDS, ids=name_of)
def test_factors_give_the_dense_circuit(pair):
    s = subject(*pair)
    offset = 3 if pair[0] in ROTARY else 0
    for layer, head, scale in ((0, 1, "own"), (2, 3, "none")):
        with unchanged(s.source):
            found = qk_circuit(s.model, (layer, head), offset=offset, tokens=SOME, scale=scale, k=7)
        whole = dense(s, layer, head, offset, linear=scale == "none")
        size = np.abs(whole).max()
        assert size > 0.1 and far(found.block, whole[np.ix_(SOME, SOME)]) <= 1e-5 * size
        order = np.argsort(-whole.ravel())[:7]
        assert [(q, k) for _, q, _, k, _ in found.pairs] == [divmod(int(i), VOCAB) for i in order]
        assert far([pair[-1] for pair in found.pairs], whole.ravel()[order]) <= 1e-5 * size
        left, values, right = np.linalg.svd(whole)
        assert far(found.singular_values, values[:D_HEAD]) <= 1e-5 * values[0]
        first = found.directions[0]
        sign = 1 if left[:, 0].max() >= -left[:, 0].min() else -1
        ends = (first.query_positive, sign * left[:, 0]), (first.key_positive, sign * right[0])
        for tokens, side in (*ends, (first.query_negative, -ends[0][1]), (first.key_negative, -ends[1][1])):
            if values[0] > 1.05 * values[1]:
                assert far(np.abs([v for *_, v in tokens]), np.abs(np.sort(-side)[:7])) <= 1e-3
        assert found.rotary == (pair[0] in ROTARY) and (found.kernel is not None) == found.rotary


@pytest.mark.parametrize("name", ["llama", "qwen2", "gptneox"])
@pytest.mark.parametrize("kind", ["plain", "bridge"])
def test_at_the_first_layer_of_a_rotary_model_they_are_the_scores_of_a_run(name, kind):
    s = subject(name, kind)
    run = s.model.run(IDS)
    for offset in (0, 1, 4):
        found, scores = qk_circuit(s.model, "L0H2", offset=offset, tokens=IDS), qk(run, "L0H2")
        seen = scores.parts["content"] + scores.parts["query_bias"]
        for query in range(offset, len(IDS)):
            assert abs(found.block[query, query - offset] - seen[query, query - offset]) <= 1e-5
    assert np.abs(seen).max() > 0.1


def test_a_far_offset_measures_that_distance_and_no_scores_of_a_long_prompt(monkeypatch):
    seen = []

    def rotations(given, turn, distances):
        seen.append(list(distances))
        return measured(given, turn, distances)

    def law(stream, layer, head):
        assert stream.length <= 18
        return scores_of(stream, layer, head)

    measured, scores_of = qkcircuit.rotations, qkcircuit.head_scores
    monkeypatch.setattr(qkcircuit, "rotations", rotations)
    monkeypatch.setattr(qkcircuit, "head_scores", law)
    for kind in ("plain", "bridge"):  # before and after the rotation
        s = subject("llama", kind)
        found = qk_circuit(s.model, "L0H2", offset=40, tokens=IDS, k=0, max_offset=2)
        assert seen.pop() == [0, 1, 2, 40] and len(found.kernel) == 3
        ids = [*IDS, *range(100, 131), *IDS]
        scores = qk(s.model.run(ids), "L0H2")
        expected = (scores.parts["content"] + scores.parts["query_bias"])[40:49, :9]
        assert far(np.diag(found.block), np.diag(expected)) <= 1e-5 and np.abs(expected).max() > 0.05


def test_offsets_matter_and_neighbours_that_are_turned_in_pairs():
    """Cohere turns neighbouring numbers, and has parallel blocks."""
    model = load_model(wide(tf.CohereForCausalLM(tf.CohereConfig(**_GROUPED))), tokenizer=tokenizer())
    run = model.run(IDS)
    scores = qk(run, "L0H1")
    blocks = [qk_circuit(model, "L0H1", offset=offset, tokens=IDS).block for offset in (0, 2, 5)]
    for block, offset in zip(blocks, (0, 2, 5), strict=True):
        for query in range(offset, len(IDS)):
            assert abs(block[query, query - offset] - scores.scaled[query, query - offset]) <= 1e-5
    assert far(blocks[0], blocks[1]) > 0.05


def test_the_kernel_is_the_mean_over_all_pairs_at_each_distance():
    s = subject("qwen2")
    found = qk_circuit(s.model, "L1H3", max_offset=5)
    assert found.kernel.shape == (6,)
    assert far(found.kernel, [dense(s, 1, 3, offset, key_bias=True).mean() for offset in range(6)]) <= 1e-5
    assert np.ptp(found.kernel) > 0.05


WAVES = (1.0, 0.6, 0.3, 0.2)  # a_f of the closed form


def analytic(kv_heads):
    """One layer, whose tokens are all the same number in one coordinate: `s(Δ) = Σ_f a_f cos(θ_f (Δ − 1))`, which is largest at 1."""
    config = tf.LlamaConfig(
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=kv_heads,
        hidden_size=2 * D_HEAD,
        head_dim=D_HEAD,
        intermediate_size=4,
        vocab_size=VOCAB,
        max_position_embeddings=64,
        rope_theta=100.0,
    )
    model = tf.LlamaForCausalLM(config).eval()
    theta = model.model.rotary_emb.inv_freq
    size = (2 * D_HEAD) ** 0.5  # of the normed constant: one coordinate of 2 d_head has it all
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.model.embed_tokens.weight[:, 0] = 1000  # beside which the norm's epsilon is nothing
        attention, norm = model.model.layers[0].self_attn, model.model.layers[0].input_layernorm
        norm.weight.fill_(1)
        model.model.norm.weight.fill_(1)
        # R at position i takes (1, 0) to (cos θ i, sin θ i): a key turned by θ beforehand stands one further on.
        half = D_HEAD // 2
        for head in range(2):
            attention.q_proj.weight[head * D_HEAD : head * D_HEAD + half, 0] = torch.tensor(WAVES) * D_HEAD**0.5 / size**2
        for head in range(kv_heads):
            attention.k_proj.weight[head * D_HEAD : head * D_HEAD + half, 0] = theta.cos()
            attention.k_proj.weight[head * D_HEAD + half : (head + 1) * D_HEAD, 0] = theta.sin()
    delta = torch.arange(13)[:, None]
    return load_model(model, tokenizer=tokenizer()), (torch.tensor(WAVES) * (theta * (delta - 1)).cos()).sum(-1).numpy()


@pytest.mark.parametrize("kv_heads", [2, 1])
def test_a_rotary_head_that_looks_one_back(kv_heads):
    model, expected = analytic(kv_heads)
    found = [qk_circuit(model, (0, head), offset=1, tokens=[5, 9], max_offset=12) for head in range(2)]
    for circuit in found:
        assert circuit.kernel.argmax() == 1 and far(circuit.kernel, expected) <= 1e-5
        assert far(circuit.block, sum(WAVES)) <= 1e-5
    assert expected[1] == pytest.approx(sum(WAVES))
    assert [str(h) for h in found[0].shares_keys_with] == ([] if kv_heads == 2 else ["L0H1"])
    run = model.run(IDS)
    scores = qk(run, "L0H1").scores
    assert far(np.diag(scores, -1), expected[1]) <= 1e-5 and far(np.diag(scores, -4), expected[4]) <= 1e-5


def test_induction_heads():
    """L0H1 looks for its own token, 8 for each; L1H0 does by what stands before its keys, which is not in an embedding."""
    model = load_model(induction_model())
    found = qk_circuit(model, "L0H1", tokens=[1, 2, 3], k=16)
    assert found.block == pytest.approx(8 * np.eye(3), abs=1e-5)
    assert sorted((q, k) for _, q, _, k, _ in found.pairs) == [(i, i) for i in range(16)]
    assert found.singular_values[:16] == pytest.approx(np.full(16, 8), abs=1e-4) and len(found.singular_values) == 16
    assert "left out" in found.note and found.kernel is None
    assert far(qk_circuit(model, "L1H0", tokens=[1, 2, 3]).block, 0) == 0
    assert far(qk_circuit(model, "L0H2", tokens=[1, 2, 3]).singular_values, 0) == 0


def test_after_the_first_mlp():
    s = subject("llama")
    table, block = s.twin.get_input_embeddings().weight, s.block(0)
    with torch.no_grad():
        passed = table + block.mlp(block.post_attention_layernorm(table))
        y = s.block(2).input_layernorm(passed)
        query, key, _ = linear_parts(s, 2)
        q, k = rotated(s, query(y[None])[0][:, 1], 2), rotated(s, key(y[None])[0][:, 0], 0)
        whole = (D_HEAD**-0.5 * q @ k.T).numpy()
    found = qk_circuit(s.model, "L2H1", offset=2, tokens=SOME, embedding="first MLP")
    assert far(found.block, whole[np.ix_(SOME, SOME)]) <= 1e-5 * np.abs(whole).max()
    with pytest.raises(AttnWidgetError, match="before the first MLP"):
        qk_circuit(s.model, "L0H1", embedding="first MLP")


@pytest.mark.parametrize("name", ["gemma2", "bert"])
def test_norms_in_the_way_are_refused(name):
    with pytest.raises(ModelError, match="norm stands in its way"):
        qk_circuit(subject(name).model, "L1H1")


@pytest.mark.parametrize("build", [qwen3, gemma3])
def test_normed_queries_are_refused(build):
    with pytest.raises(ModelError, match="Qwen 3|Gemma 2"):
        qk_circuit(build(), "L1H1")


def test_what_is_asked_wrongly():
    model, rotary = subject("gpt2").model, subject("llama").model
    for asked, kwargs, said in (
        (model, {"offset": 2}, "offset=2 plays no part: .* in its stream"),
        (rotary, {"offset": -1}, "offset must be a whole number from 0 to 62"),
        (rotary, {"offset": 63}, "offset must be a whole number from 0 to 62"),
        (rotary, {"scale": "frozen"}, "'own' or 'none', not 'frozen'"),
        (rotary, {"k": 331}, "k must be a whole number from 0 to 330"),
        (rotary, {"embedding": "mlp"}, "'tokens' or 'first MLP'"),
        (rotary, {"directions": 9}, "directions must be a whole number from 0 to 8"),
    ):
        with pytest.raises(AttnWidgetError, match=said):
            qk_circuit(asked, "L1H1", **kwargs)
    with pytest.raises(ModelError, match="cannot be reached"):
        qk_circuit(subject("gptj").model, "L1H1")
    with pytest.raises(ModelError, match="not the pattern"):
        qk_circuit(subject("gptj", "bridge").model, "L1H1")


def test_the_largest_pairs_in_parts(monkeypatch):
    """The same however few rows are in memory at once."""
    generator = torch.Generator().manual_seed(0)
    left, right = torch.randn(97, 5, generator=generator), torch.randn(61, 5, generator=generator)
    whole = left @ right.T
    expected = [divmod(int(i), 61) for i in whole.flatten().topk(40).indices]
    for cells in (61, 500, 2**24):
        monkeypatch.setattr(toppairs, "CELLS", cells)
        told = []
        found = toppairs.top_pairs(left, right, 40, lambda done, total, text: told.append(done))  # noqa: B023
        assert [(i, j) for i, j, _ in found] == expected and len(told) == -(-97 // max(1, cells // 61))
    assert [(i, j) for i, j, _ in toppairs.top_pairs(left[:3], right[:2], 40)] == [
        divmod(int(i), 2) for i in (left[:3] @ right[:2].T).flatten().topk(6).indices
    ]


def test_tables():
    found = qk_circuit(subject("llama").model, "L1H1", offset=1, tokens=SOME, k=4)
    frame = found.to_frame()
    assert len(frame) == 4 and frame["score"].is_monotonic_decreasing and frame.attrs["offset"] == 1
    assert "offset 1" in repr(found) and len(repr(found)) < 300 and len(found.directions) == 3
    assert [str(h) for h in found.shares_keys_with] == ["L1H0"] and LAYERS == 3
    none = qk_circuit(subject("llama").model, "L1H1", offset=1, tokens=SOME, k=0)
    assert none.pairs == () and len(none.to_frame()) == 0 and far(none.block, found.block) == 0 and "no pairs asked" in repr(none)


def test_arrays_are_sealed_and_numbers_of_numpy_are_numbers():
    found = qk_circuit(subject("llama").model, "L1H1", offset=np.int64(1), tokens=[np.int64(5), 9], k=np.int64(2), directions=0)
    assert type(found.offset) is int and len(found.pairs) == 2
    for array in (found.block, found.singular_values, found.kernel):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
