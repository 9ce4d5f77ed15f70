"""OV circuits: closed forms, the dense circuit of the twin's own modules, and what a run's heads write."""

import numpy as np
import pytest
import torch
import transformers as tf
from torch import nn

from attnwidget import AttnWidgetError, ModelError, TokenError, load_model
from attnwidget.analysis.ovcircuit import ov

from ..engine.test_projections import FINAL, KINDS, NORMS, gemma3, linear_parts, qwen3
from ..models import D_HEAD, HEADS, IDS, VOCAB, fresh, induction_model, name_of, subject, unchanged

SOME = [3, 17, 201, 44]


def far(a, b):
    return np.abs(np.asarray(a, dtype=float) - np.asarray(b, dtype=float)).max()


def dense(s, layer, head, linear=False):
    """[source token, output token] in full, float64 but for what the modules do; `linear` leaves scales and biases out."""
    table = s.twin.get_input_embeddings().weight
    block, final, unembed = s.block(layer), s.twin.get_submodule(FINAL[s.spec.name]), s.twin.get_output_embeddings().weight
    norm, value, out = block.get_submodule(NORMS[s.spec.name]), linear_parts(s, layer)[2], s.projection(layer)
    group = head // (HEADS // s.spec.kv_heads)
    with torch.no_grad():
        if s.spec.name == "bloom":
            table = s.twin.transformer.word_embeddings_layernorm(table)
        centre = isinstance(norm, nn.LayerNorm)
        y = norm(table) if not linear else (table - table.mean(-1, keepdim=True) * centre) * norm.weight
        v = value(y[None])[0][:, group]
        if linear:
            v = v - value(torch.zeros_like(y[None, :1]))[0][:, group]
        z = torch.zeros(VOCAB, HEADS, D_HEAD)
        z[:, head] = v
        said = out(z.flatten(1)) - out(torch.zeros(1, HEADS * D_HEAD))
        said = said - said.mean(-1, keepdim=True) * isinstance(final, nn.LayerNorm)
        return ((said * final.weight).double() @ unembed.double().T).numpy()


@pytest.mark.parametrize("pair", KINDS, ids=name_of)
def test_factors_give_the_dense_circuit(pair):
    s = subject(*pair)
    with unchanged(s.source):
        found = {head: ov(s.model, head, SOME, k=5) for head in [(0, 1), (2, 3)]}
    for head, circuit in found.items():
        whole, linear = dense(s, *head), dense(s, *head, linear=True)
        size = np.abs(whole).max()
        assert size > 0.1 and far(circuit.block, whole[np.ix_(SOME, SOME)]) <= 1e-5 * size
        for row, (promoted, suppressed) in enumerate(zip(circuit.promoted, circuit.suppressed, strict=True)):
            order = np.argsort(-whole[SOME[row]])
            assert [i for _, i, _ in promoted] == order[:5].tolist() and [i for _, i, _ in suppressed] == order[:-6:-1].tolist()
            assert far([v for *_, v in promoted], whole[SOME[row]][order[:5]]) <= 1e-5 * size
        # The same eigenvalues as the dense circuit's, but for those that are 0 by its rank.
        eigenvalues = np.linalg.eigvals(linear)
        assert circuit.copying == pytest.approx(eigenvalues.real.sum() / np.abs(eigenvalues).sum(), abs=1e-4)
        assert np.sort(np.abs(circuit.eigenvalues)) == pytest.approx(np.sort(np.abs(eigenvalues))[-D_HEAD:], rel=1e-3, abs=1e-4 * size)
        ranks = (whole > np.diag(whole)[:, None]).sum(1) + 1
        assert len(circuit.ranks) == VOCAB and (circuit.ranks == ranks).mean() > 0.99
        assert circuit.median_rank == pytest.approx(np.median(ranks), abs=1)
        assert abs(circuit.share_top10 - (ranks <= 10).mean()) <= 0.01


def test_less_the_mean_of_each_output():
    s = subject("qwen2")
    whole = dense(s, 1, 2)
    circuit = ov(s.model, "L1H2", SOME, less_mean=True)
    assert far(circuit.block, (whole - whole.mean(0))[np.ix_(SOME, SOME)]) <= 1e-4
    best = np.argsort(-(whole - whole.mean(0))[17])
    assert circuit.promoted[1][0][1] == best[0]
    assert circuit.less_mean and not np.allclose(circuit.block, ov(s.model, "L1H2", SOME).block, atol=1e-2)


@pytest.mark.parametrize("name", ["gpt2", "llama", "gptneox"])
def test_after_the_first_mlp(name):
    """The embedding with what the twin's first block makes of it, its attention's output taken away (but for its bias)."""
    s = subject(name)
    table, block = s.twin.get_input_embeddings().weight, s.block(0)
    with torch.no_grad():
        bias = s.projection(0)(torch.zeros(1, HEADS * D_HEAD))[0]
        if name == "gptneox":
            passed = table + bias + block.mlp(block.post_attention_layernorm(table))
        elif name == "gpt2":
            passed = table + bias + block.mlp(block.ln_2(table + bias))
        else:
            passed = table + block.mlp(block.post_attention_layernorm(table))
        v = linear_parts(s, 2)[2](s.block(2).get_submodule(NORMS[name])(passed)[None])[0][:, 1 // (HEADS // s.spec.kv_heads)]
        z = torch.zeros(VOCAB, HEADS, D_HEAD)
        z[:, 1] = v
        said = s.projection(2)(z.flatten(1)) - s.projection(2)(torch.zeros(1, HEADS * D_HEAD))
        final = s.twin.get_submodule(FINAL[name])
        said = said - said.mean(-1, keepdim=True) * isinstance(final, nn.LayerNorm)
        whole = (said * final.weight) @ s.twin.get_output_embeddings().weight.T
    circuit = ov(s.model, "L2H1", SOME, embedding="first MLP")
    assert far(circuit.block, whole[SOME][:, SOME]) <= 1e-4 and np.abs(circuit.block).max() > 0.1
    with pytest.raises(AttnWidgetError, match="L0H1 comes before the first MLP"):
        ov(s.model, "L0H1", embedding="first MLP")


def test_induction_heads():
    """L1H2 copies by its weights, though it does nothing in any run: a score of weights is not importance."""
    model = load_model(induction_model())
    found = {head: ov(model, head, [1, 2], k=2) for head in [(layer, head) for layer in range(2) for head in range(3)]}
    assert [found[1, head].copying for head in range(3)] == pytest.approx([1, -1, 1], abs=1e-9)
    assert all(np.isnan(found[0, head].copying) and np.isnan(found[0, head].eigenvalues).all() for head in range(3))
    assert found[1, 0].block == pytest.approx(np.array([[10, 0], [0, 10]])) and found[1, 0].promoted[0][0][1:] == (1, pytest.approx(10))
    assert found[1, 1].suppressed[1][0][1:] == (2, pytest.approx(-2.5))
    assert [found[1, head].share_first for head in range(3)] == [1, 0, 1]
    assert np.isnan(found[1, 2].ranks[0]) and not np.isnan(found[1, 2].ranks[1:]).any(), "BOS has no value there"
    assert np.isnan(found[0, 0].share_first) and np.isnan(found[0, 0].median_rank)
    assert "undefined" in repr(found[0, 0]) and "+1.000" in repr(found[1, 0])


def test_what_a_run_s_head_writes():
    """At layer 0 of a rotary model a head that looks at one token alone writes just what the circuit says, by the final norm's scale."""
    s = subject("llama")
    run = s.model.run([37])
    with torch.no_grad():
        written = s.z(0, [37])[0, 2] @ s.projection(0).weight.T[2 * D_HEAD : 3 * D_HEAD]
        logits = (written * s.twin.model.norm.weight) @ s.twin.lm_head.weight.T
    circuit = ov(s.model, "L0H2", 37, k=VOCAB)
    assert far([v for *_, v in sorted(circuit.promoted[0], key=lambda found: found[1])], logits) <= 1e-4
    assert run.patterns(0)[2].item() == 1


@pytest.mark.parametrize("name", ["gemma2", "bert", "distilbert-classifier"])
def test_norms_in_the_way_are_refused(name):
    with pytest.raises(ModelError, match="norm stands in its way.* ask about a run"):
        ov(subject(name).model, "L1H1")


@pytest.mark.parametrize("build", [qwen3, gemma3])
def test_normed_queries_are_refused(build):
    with pytest.raises(ModelError, match="Qwen 3|Gemma 2"):
        ov(build(), "L1H1")


def test_numbers_of_numpy_are_numbers_and_arrays_are_sealed():
    model = subject("gpt2").model
    found, same = (
        ov(model, "L1H1", np.int64(7), k=np.int64(3), sample=np.int64(5), seed=np.int64(2)),
        ov(model, "L1H1", 7, k=3, sample=5, seed=2),
    )
    assert found.promoted == same.promoted and np.array_equal(found.ranks, same.ranks)
    for array in (found.eigenvalues, found.block, found.ranks):
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
    assert ov(model, "L1H1", sample=0).block is None


def test_what_is_asked_wrongly():
    model = subject("gpt2").model
    for kwargs, said in (
        ({"embedding": "mlp"}, "'tokens' or 'first MLP', not 'mlp'"),
        ({"k": 0}, "k must be a whole number from 1 to 330"),
        ({"tokens": []}, "No tokens were given"),
        ({"sample": -1}, "sample must be a whole number"),
        ({"tokens": 5.5}, "tokens must be a list of token texts or ids, not 5.5"),
        ({"seed": "a"}, "seed must be a whole number from 0"),
        ({"seed": -1}, "seed must be a whole number from 0"),
        ({"less_mean": 1}, "less_mean must be True or False, not 1"),
    ):
        with pytest.raises(AttnWidgetError, match=said):
            ov(model, "L1H1", **kwargs)
    with pytest.raises(TokenError):
        ov(model, "L1H1", [" Mary John"])
    base = load_model(
        tf.LlamaModel(tf.LlamaConfig(num_hidden_layers=2, hidden_size=32, num_attention_heads=4, intermediate_size=8, vocab_size=VOCAB))
    )
    with pytest.raises(ModelError, match="does not answer with tokens"):
        ov(base, "L0H0")


def test_tables_groups_and_samples():
    s = fresh("llama")
    circuit = ov(s.model, "L1H2", [37, 201], k=3, sample=20, seed=4)
    frame = circuit.to_frame()
    assert len(frame) == 2 * 2 * 3 and frame["place"].max() == 3 and frame.attrs["copying"] == circuit.copying
    assert [str(head) for head in circuit.shares_values_with] == ["L1H3"]
    again = ov(s.model, "L1H2", sample=20, seed=4)
    assert circuit.rank_ids == again.rank_ids and len(circuit.ranks) == 20 and (circuit.ranks == again.ranks).all()
    assert circuit.rank_ids != ov(s.model, "L1H2", sample=20, seed=5).rank_ids
    assert again.promoted == () and again.block is None and len(again.to_frame()) == 0
    whole = ov(s.model, "L1H2")
    assert (circuit.ranks == whole.ranks[list(circuit.rank_ids)]).all()
    told = []
    ov(s.model, "L1H2", progress=lambda done, total, text: told.append((done, total)))
    assert told == [(0, 1)] and IDS
