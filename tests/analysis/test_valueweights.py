"""Patterns weighted by values: closed forms, the untouched twin's own modules, and the sum over keys against direct attribution."""

import math

import numpy as np
import pytest
import torch

from attnwidget import AttnWidgetError, HeadError, ModelError, attention_rollout, head_statistics, load_model, mean_attention
from attnwidget.analysis.score import score
from attnwidget.analysis.valueweights import KINDS, value_weighted

from ..engine.test_writes import ADDED, NORMED, granite
from ..models import ALL, D_HEAD, HEADS, IDS, LAYERS, fresh, induction_model, induction_prompt, name_of, subject, tokenizer, wide

T, F = 7, 111
N = len(IDS)
WITHOUT = {("bloom", "plain"), ("falcon", "plain")}
WITH = [pair for pair in ALL if pair not in WITHOUT]


def far(a, b):
    return np.nanmax(np.abs(np.asarray(a) - np.asarray(b)))


def twin_values(s, layer):
    """[head, key, d_head] of the twin, by the rule of grouped-query attention, and its `W_O` [head, d_head, d_model]."""
    seen = []
    hook = s.block(layer).get_submodule(s.spec.values).register_forward_hook(lambda _m, _a, out: seen.append(out))
    s.clean()
    hook.remove()
    flat = seen[0] if s.spec.fused is None else s.spec.fused(seen[0])
    v = flat[0].reshape(N, s.spec.kv_heads, D_HEAD).transpose(0, 1)
    with torch.no_grad():
        projection = s.projection(layer)
        eye = torch.eye(HEADS * D_HEAD)
        out = projection(eye[None])[0] - projection(torch.zeros(1, 1, HEADS * D_HEAD))[0]
    return v.repeat_interleave(HEADS // s.spec.kv_heads, 0), out.reshape(HEADS, D_HEAD, -1)


@pytest.mark.parametrize("pair", WITH, ids=name_of)
def test_norms_are_those_of_the_twin(pair):
    """Vector by vector: what each key gives to each query is built in full, and its length measured."""
    s = subject(*pair)
    run = s.model.run(IDS)
    found = {kind: value_weighted(run, kind=kind) for kind in ("raw", "v_norm", "vo_norm", "z_cosine")}
    assert found["raw"].values.shape == (LAYERS * HEADS, N, N)
    for layer in range(LAYERS):
        v, out = twin_values(s, layer)
        a, z = run.patterns(layer), s.z(layer)
        moved = a[..., None] * v[:, None]  # [head, query, key, d_head]
        written = torch.einsum("hqki,hid->hqkd", moved, out)
        rows = slice(layer * HEADS, (layer + 1) * HEADS)
        assert far(found["raw"].values[rows], s.patterns(layer) if pair[0] not in ("gptj", "bloom", "falcon") else a) <= 1e-5
        assert far(found["v_norm"].values[rows], moved.norm(dim=-1)) <= 2e-5
        assert far(found["vo_norm"].values[rows], written.norm(dim=-1)) <= 2e-5
        cosine = torch.nn.functional.cosine_similarity(z.transpose(0, 1)[:, :, None], z.transpose(0, 1)[:, None], dim=-1)
        assert far(found["z_cosine"].values[rows], cosine) <= 2e-5
        assert far(written.sum(2).norm(dim=-1), torch.einsum("qhi,hid->hqd", z, out).norm(dim=-1)) <= 1e-4


def test_induction_heads():
    """On paper: what matches is written g times its share, a sink whose value is zero writes nothing though all attention is on it."""
    ids = induction_prompt()
    run = load_model(induction_model()).run(ids)
    u = 1 / (math.exp(8) + 16)
    lengths = value_weighted(run, ["L1H0", "L1H1", "L1H2"])
    last = lengths.of("L1H0")[-1]
    match = 9  # what followed the last token the first time it was there: r1 of the second half
    assert last[match] == pytest.approx(10 * math.exp(8) * u, abs=1e-5) == pytest.approx(9.946612, abs=1e-5)
    others = [k for k in range(1, 17) if k != match]
    assert last[others] == pytest.approx(10 * u, abs=1e-7) == pytest.approx(0.003337, abs=1e-6)
    assert lengths.of((1, 1))[-1][match] == pytest.approx(9.946612 / 4, abs=1e-5)
    raw = value_weighted(run, "L1H2", "raw").of("L1H2")
    # BOS looks for BOS.
    assert raw[0, 0] == pytest.approx(1, abs=1e-6) and lengths.of("L1H2")[0, 0] == 0
    signed = value_weighted(run, ["L1H0", "L1H1"], "signed", target=ids[1], against=ids[2])
    assert np.isnan(signed.values[:, :-1]).all()
    assert signed.of("L1H0")[-1].sum() == pytest.approx(9.943275, abs=1e-5)
    assert signed.of("L1H0")[-1, match] == pytest.approx(9.946612, abs=1e-5)
    assert signed.of("L1H1")[-1].sum() == pytest.approx(-2.485819, abs=1e-5)


def test_a_dead_head_is_undefined_and_not_nothing():
    run = load_model(induction_model()).run(induction_prompt())
    assert value_weighted(run, "L0H2", "vo_norm").of("L0H2").max() == 0
    assert np.isnan(value_weighted(run, "L0H2", "vo_norm", normalise=True).of("L0H2")).all()
    assert np.isnan(value_weighted(run, "L0H2", "z_cosine").of("L0H2")).all()
    assert len(value_weighted(run, "L0H2", "z_cosine").to_frame()) == 0


@pytest.mark.parametrize("pair", [pair for pair in ADDED if pair not in WITHOUT], ids=name_of)
def test_signed_sums_to_direct_attribution(pair):
    s = subject(*pair)
    clean = s.model.run(IDS)
    ablated = clean.ablate(["L0H0", "L2H3"])
    for run, position in ((clean, 4), (ablated, None)):
        heads = [(layer, head) for layer in range(LAYERS) for head in range(HEADS) if (layer, head) not in run.ablation.heads]
        signed = value_weighted(run, heads, "signed", target=T, against=F, position=position)
        direct = score(run, "direct_logit", target=T, against=F, position=position).values
        at = N - 1 if position is None else position
        for head in heads:
            row = signed.of(head)[at]
            # Both in what float32 keeps of z and v, whose length is of size 1 where what they add here may be far less.
            assert abs(row.sum() - direct[head]) <= 1e-6 + 2e-6 * np.abs(row).sum()
            if s.model.causal:
                assert (row[at + 1 :] == 0).all()
        assert np.abs(direct).max() > 0.1


def test_a_constant_that_multiplies_what_is_written():
    run = load_model(wide(granite()), tokenizer=tokenizer()).run(IDS)
    signed = value_weighted(run, kind="signed", target=T, against=F)
    direct = score(run, "direct_logit", target=T, against=F).values
    assert far(signed.values[:, -1].sum(-1), direct.ravel()) <= 1e-5 and np.abs(direct).max() > 1e-3


@pytest.mark.parametrize("name", ["gemma2", "bert", "distilbert", "roberta"])
def test_where_a_norm_stands_in_the_way_there_are_lengths_and_no_signs(name):
    run = subject(name).model.run(IDS)
    assert value_weighted(run).values.max() > 0.1
    with pytest.raises(ModelError, match="layer 0 .* norm .* ask for 'vo_norm'"):
        value_weighted(run, "L2H0", "signed", target=T, against=F)
    assert name in NORMED


@pytest.mark.parametrize("name", ["bert-classifier", "bert-base", "distilbert-classifier"])
def test_models_without_tokens_for_an_answer(name):
    run = subject(name).model.run(IDS)
    assert value_weighted(run, "L1H1").values.shape == (1, N, N)
    with pytest.raises(ModelError, match="ask for 'vo_norm'"):
        value_weighted(run, "L1H1", "signed")


@pytest.mark.parametrize("pair", sorted(WITHOUT), ids=name_of)
def test_values_out_of_reach(pair):
    run = subject(*pair).model.run(IDS)
    said = "Values cannot be reached .* TransformerBridge"
    if pair[0] == "falcon":
        said = "patterns cannot be read .* TransformerBridge"
    else:
        assert value_weighted(run, "L0H1", "raw").values.sum() == pytest.approx(N, abs=1e-5)
    with pytest.raises(ModelError, match=said):
        value_weighted(run, "L0H1")


def test_rows_that_are_normalised():
    run = subject("llama").model.run(IDS)
    lengths, shares = value_weighted(run, "L1H2"), value_weighted(run, "L1H2", normalise=True)
    assert shares.of("1.2").sum(-1) == pytest.approx(np.ones(N)) and shares.unit == ""
    assert shares.of("1.2") * lengths.of("1.2").sum(-1, keepdims=True) == pytest.approx(lengths.of("1.2"))
    signed = value_weighted(run, "L1H2", "signed", target=T, against=F, normalise=True)
    assert np.abs(signed.of("1.2")[-1]).sum() == pytest.approx(1) and signed.of("1.2")[-1].min() < 0


def test_ablated_runs():
    """A pattern that was replaced is the one that acts; a z that was is no pattern times values."""
    clean = subject("llama").model.run(IDS)
    uniform = clean.ablate("L1H2", "uniform")
    row = value_weighted(uniform, "L1H2", "raw").of("L1H2")[4]
    assert row[:5] == pytest.approx(np.full(5, 0.2))
    assert value_weighted(uniform, "L1H2").conditional == ((1, 2),)
    v, out = twin_values(subject("llama"), 1)
    expected = 0.2 * (v[2] @ out[2]).norm(dim=-1)[:5]
    assert value_weighted(uniform, "L1H2").of("L1H2")[4, :5] == pytest.approx(expected.numpy(), abs=1e-5)
    zeroed = clean.ablate("L1H2")
    with pytest.raises(ModelError, match="L1H2 .* ablated in this run"):
        value_weighted(zeroed, ["L1H1", "L1H2"])
    assert far(value_weighted(zeroed, ["L1H1"]).values, value_weighted(clean, ["L1H1"]).values) == 0


def test_bytes_that_come_first_are_tokens_as_others_are():
    model = subject("gpt2").model
    run = model.run([21, 26, 306, 277, 290, 242])
    assert model.token(int(run.logits_at().argmax())) == "<0xB3>"  # a text that names no token
    found = value_weighted(run, ["L2H0"], "signed")
    assert found.target == "<0xB3>" and found.of("L2H0")[-1].sum() == pytest.approx(score(run, "direct_logit").values[2, 0], abs=1e-5)


def test_weights_that_have_changed_since():
    s = fresh("gpt2")
    run = s.model.run(IDS)
    run.patterns(0)
    with torch.no_grad():
        next(s.source.parameters()).mul_(1.1)
    for ask in (value_weighted, mean_attention, attention_rollout, head_statistics):
        with pytest.raises(ModelError, match="weights have changed"):
            ask(run)


def test_what_is_asked_wrongly():
    run = subject("gpt2").model.run(IDS)
    for kwargs, said in (
        ({"kind": []}, "kind must be one of 'raw'"),
        ({"normalise": "x"}, "normalise must be True or False, not 'x'"),
        ({"kind": "norm"}, "'raw', 'v_norm', 'vo_norm', 'signed', 'z_cosine'"),
        ({"target": T}, "target= plays no part"),
        ({"kind": "raw", "position": 3}, "position= plays no part"),
        ({"kind": "z_cosine", "normalise": True}, "cosines do not"),
        ({"heads": []}, "No heads were given"),
    ):
        with pytest.raises(AttnWidgetError, match=said):
            value_weighted(run, **kwargs)
    with pytest.raises(HeadError):
        value_weighted(run, "L9H9")
    with pytest.raises(AttnWidgetError, match="No L0H1 in this result: it has L1H1"):
        value_weighted(run, "L1H1").of("L0H1")


def test_tables_and_what_is_said_of_them():
    run = subject("gpt2").model.run(IDS)
    result = value_weighted(run, ["L1H1", "L2H0"], "signed", target=T, against=F, position=5)
    frame = result.to_frame()
    assert frame["query"].unique().tolist() == [5] and len(frame) == 2 * N
    assert frame["signed"].sum() == pytest.approx(np.nansum(result.values))
    assert frame.attrs["target"] == run.model.token(T) and frame.attrs["unit"] == "logits" and frame.attrs["position"] == 5
    assert "weights as shipped" in repr(result) and "query 5" in repr(result) and len(repr(result)) < 300
    with pytest.raises(ValueError, match="read-only"):
        result.values[0, 0, 0] = 1
    assert set(KINDS) == {"raw", "v_norm", "vo_norm", "signed", "z_cosine"}
    told = []
    value_weighted(run, progress=lambda done, total, text: told.append((done, total)))
    assert told == [(0, 3), (1, 3), (2, 3)]
