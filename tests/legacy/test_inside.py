"""A head of a `HookedTransformer` from the inside: values, scores and circuits by TransformerLens's own weights and hooks."""

import numpy as np
import pytest
import torch

from attnwidget import ModelError, attention_sources, composition, load_model, ov, qk, qk_circuit, score, value_weighted

from .test_hooked import HEADS, IDS, KINDS, LAYERS, build


@pytest.fixture(params=list(KINDS))
def kind(request):
    return request.param


def far(a, b):
    return np.abs(np.asarray(a, dtype=float) - np.asarray(b, dtype=float)).max()


def test_values_and_scores(kind):
    model = build(kind)
    run = load_model(build(kind)).run(IDS)
    with torch.no_grad():
        _, cache = model.run_with_cache(torch.tensor([IDS]), prepend_bos=False)
    lengths = value_weighted(run).values.reshape(LAYERS, HEADS, len(IDS), len(IDS))
    for layer in range(LAYERS):
        pattern, values = cache["pattern", layer][0], cache["v", layer][0]
        values = values.repeat_interleave(HEADS // values.shape[1], 1)
        written = torch.einsum("khi,hid->hkd", values, model.blocks[layer].attn.W_O)
        assert far(lengths[layer], (pattern * written.norm(dim=-1)[:, None]).detach()) <= 1e-4
        theirs = cache["attn_scores", layer][0]
        for head in range(HEADS):
            found = qk(run, (layer, head))
            assert far(found.scores[found.visible], theirs[head].numpy()[found.visible]) <= 1e-4
    signed = value_weighted(run, kind="signed", target=11, against=23).values[:, -1].sum(-1)
    assert far(signed, score(run, "direct_logit", target=11, against=23).values.ravel()) <= 1e-4


@pytest.mark.parametrize("kind", ["attention only", "split inputs"])
def test_positions_beside_the_stream_and_inputs_by_head_are_refused(kind):
    """Shortformer adds positions to what queries and keys are made of, and to nothing else."""
    loaded = load_model(build(kind))
    said = "not to the score|than turn them" if kind == "attention only" else "an input of its own"
    with pytest.raises(ModelError, match=said):
        attention_sources(loaded.run(IDS), (1, 1), 5, 2)
    with pytest.raises(ModelError, match=said):
        qk_circuit(loaded, (1, 1))


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("attention only", "split inputs")])
def test_circuits(kind):
    model = build(kind)
    loaded = load_model(build(kind))
    run = loaded.run(IDS)
    found = attention_sources(run, (1, 1), 5, 2)
    assert found.table.sum() == pytest.approx(qk(run, (1, 1)).scaled[5, 2], abs=1e-4)
    circuit = ov(loaded, (1, 1), IDS[:3], k=3)
    assert circuit.block.shape == (3, 3) and -1 <= circuit.copying <= 1
    table = qk_circuit(loaded, (0, 1), tokens=IDS, k=3)
    if table.rotary:
        scores = qk(run, (0, 1))
        seen = scores.parts["content"] + scores.parts["query_bias"]
        assert far(np.diag(table.block), np.diag(seen)) <= 1e-4
    pairs = composition(loaded)
    assert np.isnan(pairs.k[1, :, 0]).all() and (pairs.k[0, :, 1] > 0).all()
    assert model.cfg.n_heads == HEADS
