"""Attribution with the softmax computed anew against closed forms, and against patterns and gradients computed by hand."""

import math

import numpy as np
import pytest
import torch
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from attnwidget import AttnWidgetError, ModeError, ModelError, load_model
from attnwidget.analysis.score import score
from tests.analysis.by_hand import AGAINST, LAST, TARGET, by_hand, doubled, minus_logit_diff, off
from tests.models import D_HEAD, HEADS, IDS, LAYERS, OTHER_IDS, WIDTH, induction_model, induction_prompt, subject, unchanged

PAIR = {"metric": "logit_diff", "target": TARGET, "against": AGAINST, "position": LAST}
N = len(IDS)


def test_the_induction_model_and_what_plain_attribution_of_its_keys_says():
    ids = induction_prompt()
    bridge = induction_model()
    run = load_model(bridge).run(ids)
    u = 1 / (math.exp(8) + 16)
    effect = 10 * (math.exp(8) * u - u)
    for node in ("k", "q"):
        found = score(run, "attribution_qkfix", target=ids[1], against=ids[2], node=node)
        assert found.values[1] == pytest.approx(np.array([effect, -effect / 4, 0]), abs=1e-4)
    assert effect == pytest.approx(9.943275, abs=1e-5)
    # Plain attribution: the keys times the gradient with respect to them, by TransformerLens's own hooks.
    kept = {}

    def add(k, hook):
        kept["k"], kept["zeros"] = k.detach(), torch.zeros_like(k).requires_grad_()
        return k + kept["zeros"]

    logits = bridge.run_with_hooks(torch.tensor([ids]), return_type="logits", fwd_hooks=[("blocks.1.attn.hook_k", add)])
    (slope,) = torch.autograd.grad(logits[0, -1, ids[1]] - logits[0, -1, ids[2]], kept["zeros"])
    plain = (kept["k"] * slope)[0].reshape(len(ids), 3, -1).sum((0, 2))
    assert plain[0].item() == pytest.approx(0.451371, abs=1e-4)


def _patterns(s, ids=IDS):
    with torch.no_grad():
        return [layer[0] for layer in s.twin(torch.tensor([ids]), output_attentions=True).attentions]


def _expected(hand, patterns, replaced):
    """Σ (A* − A) · ∂/∂A with `∂/∂A[h, q, k] = ∂/∂z[q, h] · v[k, h]`."""
    rows = []
    for slope, v, a, star in zip(hand.slope, hand.v, patterns, replaced, strict=True):
        rows.append(((star - a) * torch.einsum("qhd,khd->hqk", slope[0], v)).sum((1, 2)).tolist())
    return np.array(rows)


@pytest.mark.parametrize("node", ["q", "k"])
@pytest.mark.parametrize("name", ["gpt2", "llama", "gptneox", "bert"])
def test_without_queries_or_keys_a_pattern_is_uniform(name, node):
    s = doubled(name)
    uniform = torch.ones(N, N) / N if name == "bert" else torch.ones(N, N).tril() / torch.arange(1, N + 1)[:, None]
    expected = _expected(by_hand(s, minus_logit_diff), _patterns(s), [uniform.double()] * LAYERS)
    found = score(s.model.run(IDS), "attribution_qkfix", node=node, **PAIR)
    # Softmaxes of some of these models are in float32 whatever the model's own.
    assert found.values == pytest.approx(expected, rel=1e-5, abs=1e-5)
    assert not found.exact and "first order" not in found.formula


def _states(s, ids):
    """Queries and keys [layer][head, position, d_head] as they enter the product, computed by hand from the models' projections."""
    seen = []
    name = s.spec.name
    modules = [s.block(layer).attn.c_attn if name == "gpt2" else s.block(layer).input_layernorm for layer in range(LAYERS)]
    hooks = [module.register_forward_hook(lambda _m, _a, output: seen.append(output[0]) or None) for module in modules]
    s.clean(ids)
    for hook in hooks:
        hook.remove()

    def heads(flat):
        return flat.reshape(len(ids), -1, D_HEAD).transpose(0, 1)

    if name == "gpt2":
        return [(heads(out[:, :WIDTH]), heads(out[:, WIDTH : 2 * WIDTH])) for out in seen]
    cos, sin = s.twin.model.rotary_emb(seen[0][None], torch.arange(len(ids))[None])
    states = []
    for layer, normed in enumerate(seen):
        attention = s.block(layer).self_attn
        q, k = heads(attention.q_proj(normed).detach()), heads(attention.k_proj(normed).detach())
        q, k = apply_rotary_pos_emb(q[None], k[None], cos, sin)
        states.append((q[0], k[0].repeat_interleave(HEADS // k.shape[1], 0)))
    return states


def _softmax(q, k):
    scores = q @ k.transpose(1, 2) / D_HEAD**0.5
    return scores.masked_fill(~torch.ones(N, N, dtype=torch.bool).tril(), -math.inf).softmax(-1)


@pytest.mark.parametrize("positions", [None, [3, 5]])
@pytest.mark.parametrize("node", ["q", "k"])
@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_those_of_another_prompt(name, node, positions):
    s = doubled(name)
    own, other, replaced = _states(s, IDS), _states(s, OTHER_IDS), []
    for (q, k), (q2, k2), a in zip(own, other, _patterns(s), strict=True):
        assert (_softmax(q, k) - a).abs().max() < 1e-5  # what is computed here is the model's own pattern
        at = slice(None) if positions is None else positions
        (q if node == "q" else k)[:, at] = (q2 if node == "q" else k2)[:, at]
        replaced.append(_softmax(q, k))
    expected = _expected(by_hand(s, minus_logit_diff), _patterns(s), replaced)
    run, reference = s.model.run(IDS), s.model.run(OTHER_IDS)
    found = score(run, "attribution_qkfix", node=node, mode="resample", reference=reference, positions=positions, **PAIR)
    assert found.values == pytest.approx(expected, rel=1e-4, abs=1e-5)
    shared = "keys, which 2 heads share, taken from the run on" if name == "llama" else "keys taken from the run on"
    assert found.baseline.startswith(shared if node == "k" else "queries taken from the run on")


def test_in_an_ablated_run():
    s, heads = doubled("gpt2"), [(0, 2), (1, 1)]
    hand = by_hand(s, minus_logit_diff, edits=off(heads))
    uniform = (torch.ones(N, N).tril() / torch.arange(1, N + 1)[:, None]).double()
    run = s.model.run(IDS).ablate(heads)
    expected = _expected(hand, [run.patterns(layer) for layer in range(LAYERS)], [uniform] * LAYERS)
    found = score(run, "attribution_qkfix", **PAIR).values.copy()
    assert np.argwhere(np.isnan(found)).tolist() == [list(head) for head in heads]
    for head in heads:
        found[head] = expected[head]
    assert found == pytest.approx(expected, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("pair", [("llama", "plain"), ("llama", "bridge"), ("opt", "bridge")], ids="-".join)
def test_nothing_is_left_behind(pair):
    s = subject(*pair)
    run = s.model.run(IDS)
    with unchanged(s.source):
        for node in ("q", "k"):
            assert np.isfinite(score(run, "attribution_qkfix", node=node).values).all()
    assert all(parameter.grad is None for parameter in s.source.parameters())


@pytest.mark.parametrize("node", ["v", "", None, ["q"]])
def test_another_node_is_refused(node):
    with pytest.raises(AttnWidgetError, match="node must be 'q'"):
        score(subject("gpt2").model.run(IDS), "attribution_qkfix", node=node)


def test_what_it_cannot_speak_of_is_refused():
    run = subject("gpt2").model.run(IDS)
    with pytest.raises(ModeError, match="'zero', 'resample'"):
        score(run, "attribution_qkfix", mode="uniform")
    with pytest.raises(AttnWidgetError, match="KL has no gradient"):
        score(run, "attribution_qkfix", metric="kl")
    for name in ("bloom", "gptj"):
        with pytest.raises(ModelError, match="Ask for 'attribution' instead"):
            score(subject(name).model.run(IDS), "attribution_qkfix")


def test_heads_that_were_not_asked_for_stay_undefined():
    run = subject("gpt2").model.run(IDS)
    every, some = (score(run, "attribution_qkfix", heads=heads).values for heads in (None, ["L1H2"]))
    assert np.argwhere(~np.isnan(some)).tolist() == [[1, 2]] and some[1, 2] == every[1, 2]
    assert np.isnan(score(run, "attribution_qkfix", heads=[]).values).all()
