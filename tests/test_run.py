"""What a run tells: its metrics against other ways of computing them, its facts, and the numbers of the real model."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional

from attnwidget import HeadError, ModelError, PositionError, PromptError, TokenError, load_model

from .conftest import PROMPT
from .models import ALL, IDS, LAYERS, N_CTX, OTHER_IDS, SPECS, VOCAB, fresh, name_of, subject

causal = pytest.mark.parametrize("pair", [p for p in ALL if SPECS[p[0]].answer == "next"], ids=name_of)
answers = pytest.mark.parametrize("pair", [p for p in ALL if SPECS[p[0]].answer in ("next", "mask")], ids=name_of)
classifiers = pytest.mark.parametrize("name", ["bert-classifier", "distilbert-classifier"])
N = len(IDS)


# -- metrics --------------------------------------------------------------------------------------------------------


@answers
def test_metrics_at_a_position(pair):
    s = subject(*pair)
    run = s.model.run(IDS)
    ablated = run.ablate(["L0H1", "L2H3"])
    clean, changed = s.clean().double(), s.zeroed([(0, 1), (2, 3)]).double()
    for at in (0, 5, -1):
        p, q = clean[at].log_softmax(-1), changed[at].log_softmax(-1)
        expected = functional.kl_div(q, p, reduction="sum", log_target=True).item()
        assert ablated.kl(at) == pytest.approx(expected, rel=1e-4, abs=1e-6)
        assert run.entropy(at) == pytest.approx(torch.distributions.Categorical(logits=clean[at]).entropy().item(), abs=1e-5)
        assert ablated.probability(77, at) == pytest.approx(q[77].exp().item(), rel=1e-4)
        assert ablated.rank(77, at) == (changed[at] > changed[at][77]).sum() + 1
        assert ablated.logit_diff(77, 12, at) == pytest.approx((changed[at][77] - changed[at][12]).item(), abs=3e-5)
        top = ablated.top(5, at)
        assert top["id"].tolist() == changed[at].topk(5).indices.tolist()
        assert top["probability"].tolist() == pytest.approx(changed[at].softmax(-1).topk(5).values.tolist(), rel=1e-4)
        assert top["logit"].tolist() == pytest.approx(changed[at].topk(5).values.tolist(), abs=3e-5)
        assert list(top.columns) == ["token", "id", "probability", "logit"]
    share = (clean.argmax(-1) != changed.argmax(-1)).double().mean().item()
    assert ablated.top1_changed() == pytest.approx(share)


@causal
def test_perplexity_is_teacher_forced_on_the_same_tokens(pair):
    s = subject(*pair)
    run = s.model.run(IDS)
    ablated = run.ablate(["L0H1", "L2H3"])
    following = torch.tensor(IDS[1:])
    expected = [
        functional.cross_entropy(logits[:-1].double(), following).exp().item() for logits in (s.clean(), s.zeroed([(0, 1), (2, 3)]))
    ]
    assert run.perplexity() == pytest.approx(expected[0], rel=1e-4)
    assert ablated.perplexity() == pytest.approx(expected[1], rel=1e-4)
    assert ablated.perplexity_delta() == pytest.approx(expected[1] - expected[0], rel=1e-3, abs=1e-3)


def test_metrics_over_more_positions_than_are_in_memory_at_once(monkeypatch):
    from attnwidget import run as module

    s = subject("llama")
    usual = s.model.run(IDS).ablate("L1H2")
    expected = usual.perplexity(), usual.top1_changed()
    monkeypatch.setattr(module, "_CHUNK", 2)
    again = s.model.run(IDS).ablate("L1H2")
    assert (again.perplexity(), again.top1_changed()) == pytest.approx(expected, rel=1e-5)


def test_a_prompt_of_one_token():
    run = subject("gpt2").model.run([9])
    ablated = run.ablate("L1H2")
    assert math.isnan(run.perplexity())
    assert math.isnan(ablated.perplexity_delta())
    assert ablated.kl() > 0
    assert ablated.top1_changed() in (0, 1)


def test_a_result_that_is_not_a_number_is_not_called_no_change():
    run = subject("gpt2").model.run(IDS)
    broken = run.ablate("L1H2", "scale", scale=1e38)
    assert not math.isfinite(broken.logits.sum().item())
    assert math.isnan(broken.kl())
    assert "KL undefined" in repr(broken)


@answers
def test_what_was_asked_before_does_not_change_a_number(pair):
    """All positions at once and one alone are other sums; the same question must have one answer."""
    s = subject(*pair)
    fresh_run, used = s.model.run(IDS), s.model.run(IDS)
    used.logits
    one, other = fresh_run.ablate("L1H2"), used.ablate("L1H2")
    other.logits
    assert one.kl(4) == other.kl(4)
    assert one.probability(5) == other.probability(5)
    assert torch.equal(used.logits_at(4), fresh_run.logits_at(4))


# -- where the model answers ----------------------------------------------------------------------------------------


def test_a_masked_language_model_answers_at_the_mask():
    for pair in (("bert", "plain"), ("bert", "bridge"), ("distilbert", "plain")):
        s = subject(*pair)
        mask = s.tokenizer.mask_token_id
        ids = [3, 40, mask, 90, 4]
        run = s.model.run(ids)
        assert run.position() == 2
        assert torch.allclose(run.logits_at(), s.clean(ids)[2], atol=1e-5)
        assert s.model.run([3, 40, 90, 4]).position() == 3
        with pytest.raises(ModelError, match="Perplexity is defined for models that predict the next token"):
            run.perplexity()


@classifiers
def test_a_classifier_answers_for_the_whole_text(name):
    s = subject(name)
    run = s.model.run(IDS)
    ablated = run.ablate(["L0H1", "L2H3"])
    clean, changed = s.clean()[0].double(), s.zeroed([(0, 1), (2, 3)])[0].double()
    expected = functional.kl_div(changed.log_softmax(-1), clean.log_softmax(-1), reduction="sum", log_target=True).item()
    assert ablated.kl() == pytest.approx(expected, rel=1e-4)
    assert run.top()["token"].tolist() == [f"LABEL_{i}" for i in clean.argsort(descending=True)]
    assert run.probability("LABEL_1") == pytest.approx(clean.softmax(-1)[1].item(), rel=1e-5)
    assert run.logits.shape == (1, 3)
    assert ablated.top1_changed() in (0, 1)


def test_a_model_without_a_head_shows_attention_but_does_not_answer():
    s = subject("bert-base")
    run = s.model.run(IDS)
    assert torch.equal(run.logits, s.clean())
    assert run.patterns(1).shape == (4, N, N)
    ablated = run.ablate("L1H2")
    assert "L1H2" in repr(ablated)
    for ask in (run.top, ablated.kl, run.entropy):
        with pytest.raises(ModelError, match="has no head that answers: load it with one"):
            ask()


# -- facts ----------------------------------------------------------------------------------------------------------


def test_tokens_and_text():
    model = subject("gpt2").model
    run = model.run("Mary went to\nthe store")
    assert run.text == "Mary went to\nthe store"
    assert "".join(run.tokens) == run.text
    assert " went" in run.tokens
    assert "\n" in "".join(run.tokens)
    assert len(run) == len(run.tokens) == len(run.ids)
    assert run.prepend_bos is False
    assert model.run(run.ids).text == run.text
    with_bos = model.run(run.text, prepend_bos=True)
    assert with_bos.ids == (0, *run.ids)
    assert with_bos.prepend_bos is True
    assert subject("bert").model.run(IDS).prepend_bos is None


@pytest.mark.parametrize("given", [3, np.int64(3), -6])
def test_positions_of_any_whole_number(given):
    run = subject("gpt2").model.run(IDS)
    assert run.position(given) == 3
    assert type(run.position(given)) is int
    assert run.position() == N - 1


@pytest.mark.parametrize("given", [N, -N - 1, 1.0, "3", True])
def test_refused_positions(given):
    run = subject("gpt2").model.run(IDS)
    for ask in (run.position, run.entropy, run.ablate("L0H0").kl):
        with pytest.raises(PositionError, match=f"No position {given!r}: this prompt has {N} tokens, positions 0 to {N - 1}"):
            ask(given)


def test_refused_tokens_heads_layers_and_prompts():
    model = subject("gpt2").model
    run = model.run(IDS)
    with pytest.raises(TokenError, match="'Mary went' is 3 tokens"):
        run.probability("Mary went")
    with pytest.raises(TokenError, match=f"No token {VOCAB}"):
        run.rank(VOCAB)
    with pytest.raises(HeadError, match="L9H9"):
        run.pattern("L9H9")
    with pytest.raises(HeadError):
        run.z(LAYERS)
    with pytest.raises(PositionError, match="No layer 4: layers run from 0 to 2, and 3 is the end"):
        run.resid_pre(4)
    with pytest.raises(PromptError, match="empty"):
        model.run("")
    with pytest.raises(PromptError, match=f"{N_CTX + 3} tokens; .* takes {N_CTX}"):
        model.run([5] * (N_CTX + 3))
    with pytest.raises(PromptError, match="66 tokens; .* takes 62"):
        subject("roberta", "bridge").model.run([5] * 66)


@pytest.mark.parametrize("pair", ALL, ids=name_of)
def test_the_stream_is_that_of_the_model(pair):
    s = subject(*pair)
    run = s.model.run(IDS)
    seen = []
    hook = s.block(1).register_forward_pre_hook(
        lambda _m, args, kwargs: seen.append(args[0] if args else kwargs["hidden_states"]), with_kwargs=True
    )
    try:
        s.clean()
    finally:
        hook.remove()
    assert (run.resid_pre(1) - seen[0][0]).abs().max() <= s.exact
    assert torch.equal(run.ablate("L1H0").resid_pre(1), run.resid_pre(1)), "below the ablated head nothing changes"
    assert not torch.equal(run.ablate("L1H0").resid_pre(2), run.resid_pre(2))


def test_patterns_within_a_budget_are_the_same_patterns():
    s = fresh("llama")
    usual = [s.model.run(IDS).patterns(layer) for layer in range(LAYERS)]
    s.model.pattern_budget = 1
    run = s.model.run(IDS)
    for layer in (2, 0, 1, 2, 0):
        assert torch.equal(run.patterns(layer), usual[layer])
        assert len(run._patterns) == 1
    ablated = run.ablate("L0H0")
    assert torch.equal(ablated.patterns(2), ablated.patterns(2))


def test_runs_do_not_share_what_they_know():
    model = subject("llama").model
    one, other = model.run(IDS), model.run(OTHER_IDS)
    expected = one.logits.clone(), one.patterns(1).clone()
    other.ablate(["L0H0", "L1H1"], "uniform").patterns(1)
    one.ablate(["L0H0", "L1H1"]).patterns(1)
    assert torch.equal(one.logits, expected[0])
    assert torch.equal(one.patterns(1), expected[1])
    assert one.clean is one
    assert one.ablation.heads == ()


# -- the real model -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def smol():
    return load_model("smollm2-135m")


@pytest.mark.demo
class TestSmolLM2:
    """The numbers of the design: three heads together turn the answer, none of them alone."""

    def test_the_answer(self, smol):
        run = smol.run(PROMPT)
        assert len(run) == 14
        assert run.prepend_bos is False, "as its published tokenizer does"
        top = run.top(3)
        assert top["token"][0] == " Mary"
        assert top["probability"][0] == pytest.approx(0.9229, abs=5e-4)

    def test_three_heads(self, smol):
        run = smol.run(PROMPT)
        ablated = run.ablate(["L23H3", "L1H5", "L1H7"])
        assert ablated.top(1)["token"][0] == " John"
        assert ablated.probability(" John") == pytest.approx(0.378, abs=5e-4)
        assert ablated.probability(" Mary") == pytest.approx(0.112, abs=5e-4)
        assert ablated.kl() == pytest.approx(1.848, abs=1e-3)
        assert ablated.rank(" Mary") > 1 == ablated.rank(" John")

    @pytest.mark.parametrize("head", ["L23H3", "L1H5", "L1H7"])
    def test_none_of_them_alone(self, smol, head):
        assert smol.run(PROMPT).ablate(head).top(1)["token"][0] == " Mary"

    def test_against_the_model_itself(self, smol):
        run = smol.run(PROMPT)
        model, heads = smol.source, ((23, 3), (1, 5), (1, 7))

        def zeroed(columns):
            def before(_module, args):
                flat = args[0].clone()
                flat[..., columns] = 0
                return (flat,)

            return before

        hooks = []
        with torch.no_grad():
            expected = model(torch.tensor([run.ids])).logits[0]
            for layer in {layer for layer, _ in heads}:
                columns = [h * 64 + i for at, h in heads if at == layer for i in range(64)]
                hooks.append(model.model.layers[layer].self_attn.o_proj.register_forward_pre_hook(zeroed(columns)))
            changed = model(torch.tensor([run.ids])).logits[0]
            for hook in hooks:
                hook.remove()
        # The model as loaded computes sdpa, ours its eager attention: 5e-5 apart on logits of size 20.
        assert (run.logits - expected).abs().max() < 2e-4
        assert (run.ablate(heads).logits - changed).abs().max() < 2e-4
