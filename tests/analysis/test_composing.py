"""Composition of heads: closed forms, dense products of the twin's weights, and TransformerLens's own scores."""

import numpy as np
import pytest
import torch
from torch import nn

from attnwidget import AttnWidgetError, ModelError, load_model
from attnwidget.analysis.composing import composition

from ..engine.test_projections import KINDS, NORMS, gemma3, linear_parts, qwen3
from ..models import D_HEAD, HEADS, LAYERS, WIDTH, fresh, induction_model, name_of, subject


def dense(s, layer):
    """`W_QK` and `W_OV` [head, d_model, d_model] of the twin with its norm folded in, biases out."""
    norm = s.block(layer).get_submodule(NORMS[s.spec.name])
    eye = torch.eye(WIDTH)[None]
    with torch.no_grad():
        q, k, v = (part(eye)[0] - part(torch.zeros_like(eye))[0] for part in linear_parts(s, layer))  # [d_model, head, d_head]
        out = s.projection(layer)(torch.eye(HEADS * D_HEAD)) - s.projection(layer)(torch.zeros(1, HEADS * D_HEAD))
        folded = torch.diag(norm.weight)
        if isinstance(norm, nn.LayerNorm):
            folded = folded - folded.mean(0, keepdim=True)
        q, k, v = (torch.einsum("ab,bhe->hae", folded, w).double() for w in (q, k, v))
    k, v = (w.repeat_interleave(HEADS // len(w), 0) for w in (k, v))
    return q @ k.mT, v @ out.reshape(HEADS, D_HEAD, WIDTH).double()


def ratio(a, b):
    return (torch.linalg.matrix_norm(a @ b) / (torch.linalg.matrix_norm(a) * torch.linalg.matrix_norm(b))).item()


@pytest.mark.parametrize("pair", KINDS, ids=name_of)
def test_small_matrices_give_what_the_dense_ones_do(pair):
    s = subject(*pair)
    found = composition(s.model)
    circuits = [dense(s, layer) for layer in range(LAYERS)]
    for first in range(LAYERS):
        for second in range(LAYERS):
            if first >= second:
                assert all(np.isnan(getattr(found, kind)[first, :, second]).all() for kind in "qkv")
                continue
            for a in range(HEADS):
                for b in range(HEADS):
                    ov1, (qk2, ov2) = circuits[first][1][a], (circuit[b] for circuit in circuits[second])
                    assert found.q[first, a, second, b] == pytest.approx(ratio(ov1, qk2), abs=1e-6)
                    assert found.k[first, a, second, b] == pytest.approx(ratio(ov1, qk2.T), abs=1e-6)
                    assert found.v[first, a, second, b] == pytest.approx(ratio(ov1, ov2), abs=1e-6)


def test_induction_heads():
    """The two induction heads read, as keys, what the previous-token head writes. All three circuits are V ones on a diagonal: √V / V."""
    found = composition(load_model(induction_model()))
    expected = np.full((2, 3, 2, 3), np.nan)
    # L0H1 and L0H2 write nothing.
    expected[0, 0, 1] = 0
    assert found.q == pytest.approx(expected, abs=1e-14, nan_ok=True)
    assert found.v == pytest.approx(expected, abs=1e-14, nan_ok=True)
    expected[0, 0, 1, :2] = 0.25
    assert found.k == pytest.approx(expected, abs=1e-6, nan_ok=True)
    assert len(found.to_frame()) == 9 and found.to_frame()["writer"].unique().tolist() == ["L0H0"]
    assert "k L0H0→L1H0 0.250" in repr(found)


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_transformer_lens_s_own(name):
    """Which reads weights without the norms: on a bridge in compatibility mode, which has folded them."""
    s = fresh(name, "bridge")
    s.source.enable_compatibility_mode()
    found = composition(load_model(s.source))
    for kind in "QKV":
        theirs = s.source.all_composition_scores(kind)
        theirs = np.asarray(getattr(theirs, "scores", theirs).detach(), dtype=float)
        mine = getattr(found, kind.lower())
        known = ~np.isnan(mine)
        assert mine[known] == pytest.approx(theirs[known], abs=1e-5) and known.sum() == 3 * HEADS * HEADS


def test_random_matrices():
    """For n random directions in d dimensions: ‖AB‖²/(‖A‖²‖B‖²) has mean about 1/d, whatever they are."""
    found = composition(subject("gpt2").model)
    assert found.random.shape == (64,) and found.baseline == pytest.approx(WIDTH**-0.5, rel=0.1)
    assert composition(subject("gpt2").model).random == pytest.approx(found.random)
    assert not np.allclose(composition(subject("gpt2").model, seed=1).random, found.random)
    assert found.excess("k")[0, 0, 1] == pytest.approx(found.k[0, 0, 1] - found.random.mean())
    below = (found.random < found.k[0, 1, 2, 3]).mean() * 100
    assert found.percentile("k")[0, 1, 2, 3] == pytest.approx(below) and np.isnan(found.percentile("k")[2, 0, 1, 0])
    with pytest.raises(AttnWidgetError, match="seed must be a whole number"):
        composition(subject("gpt2").model, seed="a")
    for array in (found.q, found.k, found.v, found.random):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    with pytest.raises(AttnWidgetError, match="'q', 'k', 'v', not 'o'"):
        found.excess("o")


@pytest.mark.parametrize("name", ["gemma2", "bert"])
def test_norms_in_the_way_are_refused(name):
    with pytest.raises(ModelError, match="norm stands in its way"):
        composition(subject(name).model)


@pytest.mark.parametrize("build", [qwen3, gemma3])
def test_normed_queries_are_refused(build):
    with pytest.raises(ModelError, match="Qwen 3|Gemma 2"):
        composition(build())
