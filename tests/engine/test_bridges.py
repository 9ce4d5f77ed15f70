"""TransformerLens itself as the oracle, and a model built by hand whose every number is known on paper."""

from __future__ import annotations

import math

import pytest
import torch

from attnwidget import ModelError, load_model

from ..models import IDS, LAYERS, fresh, induction_model, induction_prompt, name_of, subject

LIVE = [(n, "bridge") for n in ("gpt2", "llama", "qwen2", "gemma2", "gptneox", "bloom", "falcon", "mixtral")]
ids = torch.tensor([IDS])


def far(a, b):
    return (a - b).abs().max().item()


def zero(head):
    def hook(value, hook):
        value = value.clone()
        value[:, :, head] = 0
        return value

    return hook


def uniform(head):
    def hook(value, hook):
        value = value.clone()
        rows = torch.ones(value.shape[-2:]).tril()
        value[:, head] = rows / rows.sum(-1, keepdim=True)
        return value

    return hook


def lens(bridge, hooks):
    with torch.no_grad():
        return bridge.run_with_hooks(ids, fwd_hooks=hooks, return_type="logits")[0]


@pytest.mark.parametrize("pair", LIVE, ids=name_of)
def test_native(pair):
    s = subject(*pair)
    run = s.model.run(IDS)
    assert s.model.processing == "weights as shipped"
    assert torch.equal(run.logits, lens(s.source, []))
    for layer in range(LAYERS):
        assert torch.equal(run.ablate((layer, 1)).logits, lens(s.source, [(f"blocks.{layer}.attn.hook_z", zero(1))]))
        # Where ours resumes with one layer's edits it does the same sums; 1e-6 for the tail at another alignment in memory.
        expected = lens(s.source, [(f"blocks.{layer}.attn.hook_pattern", uniform(2))])
        assert far(run.ablate((layer, 2), "uniform").logits, expected) <= 1e-5


@pytest.mark.parametrize("name", ["gpt2", "llama", "gptneox"])
@pytest.mark.parametrize("when", ["before", "after"])
def test_compatibility_mode(name, when):
    """Entered before the bridge is handed in, or after: either way the numbers are those of the bridge as it is now."""
    s = fresh(name, "bridge")
    run = s.model.run(IDS)
    clean, shipped, shipped_mean = run.logits, run.ablate("L1H2").logits, run.ablate("L1H2", "mean").logits
    s.source.enable_compatibility_mode()
    with pytest.raises(ModelError, match="weights have changed"):
        run.ablate("L1H2")
    model = s.model if when == "after" else _attached_anew(s)
    assert model.processing == "weights folded"
    run = model.run(IDS)
    assert torch.equal(run.logits, lens(s.source, []))
    folded = run.ablate("L1H2")
    assert far(folded.logits, lens(s.source, [("blocks.1.attn.hook_z", zero(2))])) <= 1e-5
    assert far(run.ablate("L1H2", "uniform").logits, lens(s.source, [("blocks.1.attn.hook_pattern", uniform(2))])) <= 1e-5
    # The same function in other weights: the clean answers agree up to a constant ...
    assert far(run.logits.log_softmax(-1), clean.log_softmax(-1)) <= 2e-4
    # ... and zero ablation does not wherever there is a value bias: folding moves it out of the head, since rows sum to 1, so
    # that a zero z in folded weights is a z of just the value bias in the weights as shipped (that of the norm included).
    if name != "llama":
        values, norm = s.block(1).get_submodule(s.spec.values), s.block(1).ln_1 if name == "gpt2" else s.block(1).input_layernorm
        weight = values.weight if name == "gpt2" else values.weight.T
        kept = (norm.bias @ weight + values.bias)[slice(80, 88) if name == "gpt2" else slice(64, 72)]

        def to_bias(z, v):
            z[:, 2] = kept
            return z

        assert far(folded.logits.log_softmax(-1), s.edited({1: to_bias}).log_softmax(-1)) <= 2e-4
        assert far(folded.logits.log_softmax(-1), shipped.log_softmax(-1)) > 0.01
    else:
        assert far(folded.logits.log_softmax(-1), shipped.log_softmax(-1)) <= 2e-4
    mean = run.ablate("L1H2", "mean").logits.log_softmax(-1)
    assert far(mean, shipped_mean.log_softmax(-1)) <= 2e-4


def _attached_anew(s):
    from attnwidget.loading import _engines

    _engines.pop(id(s.source))  # as if it had never been attached: its self-test is run in compatibility mode
    model = load_model(s.source, tokenizer=s.tokenizer)
    assert model.engine is not s.model.engine
    assert model.selftest.passed
    assert model.selftest.edits_patterns
    return model


def test_hooks_set_in_transformer_lens_stay_and_act():
    s = fresh("llama", "bridge")
    with s.source.hooks(fwd_hooks=[("blocks.0.attn.hook_z", zero(3))]):
        both = s.model.run(IDS).ablate("L1H2").logits
    expected = lens(s.source, [("blocks.0.attn.hook_z", zero(3)), ("blocks.1.attn.hook_z", zero(2))])
    assert torch.equal(both, expected)


# -- the hand-built model -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def induction():
    prompt = induction_prompt()
    run = load_model(induction_model()).run(prompt)
    return run, prompt[1], prompt[2]  # the next token is r1's successor; r2 is the rival


def test_the_induction_model_by_formula(induction):
    run, *_ = induction
    prompt = induction_prompt()
    # At the last token r8, what followed it before: nothing but its second self; r1 follows the first r8.
    target, against = prompt[9], prompt[10]
    e = math.exp(8)
    u = 1 / (e + 16)
    p = e * u
    clean = run.logit_diff(target, against)
    assert clean == pytest.approx(7.5 * (p - u), abs=3e-6)
    assert clean == pytest.approx(7.457457, abs=3e-6)
    drops = {}
    for layer in range(2):
        for head in range(3):
            drops[layer, head] = clean - run.ablate((layer, head)).logit_diff(target, against)
    assert drops[0, 0] == pytest.approx(7.457457, abs=3e-6)
    assert drops[1, 0] == pytest.approx(9.943276, abs=3e-6)
    assert drops[1, 1] == pytest.approx(-2.485819, abs=3e-6)
    assert [drops[other] for other in ((0, 1), (0, 2), (1, 2))] == [0, 0, 0]
    kls = [run.ablate(head).kl() for head in ("L0H0", "L1H0", "L1H1")]
    assert kls == pytest.approx([2.377117, 5.106480, 0.013409], abs=3e-6)
    assert [run.ablate(head).kl() for head in ("L0H1", "L0H2", "L1H2")] == [0, 0, 0]


def test_the_induction_model_s_patterns(induction):
    run, *_ = induction
    n = 17
    previous = run.pattern("L0H0")
    assert torch.allclose(previous[range(1, n), range(n - 1)], torch.ones(n - 1), atol=1e-6)
    stripe = run.pattern("L1H0")[range(9, 17), range(2, 10)]
    e = math.exp(8)
    assert stripe.tolist() == pytest.approx([e / (e + i) for i in range(9, 17)], abs=1e-6)
    assert torch.allclose(run.pattern("L1H2")[:, 0], torch.ones(n), atol=1e-6)
    assert run.z(1)[:, 2].abs().max() < 1e-12, "its value at BOS is zero"


def test_two_heads_of_the_induction_model_at_once(induction):
    run, *_ = induction
    prompt = induction_prompt()
    both = run.ablate(["L1H0", "L1H1"])
    assert both.logit_diff(prompt[9], prompt[10]) == 0
    assert both.entropy() == pytest.approx(math.log(16), abs=1e-6), "nothing is left to tell tokens apart"
