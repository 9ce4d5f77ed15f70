"""What holds of every prompt, every set of heads and every mode, on every kind of model."""

from __future__ import annotations

import math
from contextlib import suppress

import pytest
import torch
import transformers as tf
from hypothesis import given
from hypothesis import strategies as st

from attnwidget import PromptError, TokenError, load_model, score

from ..models import HEADS, LAYERS, VOCAB, subject, wide
from .drawn import ablations, checked, head, heads, ids, spelt, subjects, texts
from .marks import of_module, of_run


@checked(12)
@given(subjects, ids, heads, st.randoms(use_true_random=False))
def test_heads_are_a_set(s, prompt, some, chance):
    """In which order they stand, how each is spelt and how often it is named plays no part."""
    run = s.model.run(prompt)
    once = run.ablate(some)
    mixed = [spelt(one, chance.randrange(5)) for one in some + some[:2]]
    chance.shuffle(mixed)
    again = run.ablate(mixed)
    assert again.ablation == once.ablation
    assert of_run(again) == of_run(once)
    assert of_run(run) == of_run(s.model.run(prompt)), "the clean run is another"


@checked(8)
@given(subjects, ids)
def test_nothing_ablated_is_the_clean_run(s, prompt):
    run = s.model.run(prompt)
    none = run.ablate([])
    assert of_run(none) == of_run(run)
    if s.model.answer != "none":
        assert none.kl() == 0 and none.top1_changed() == 0


@checked(10)
@given(subjects, st.lists(st.integers(1, VOCAB - 1), min_size=2, max_size=12), heads)
def test_ways_to_change_nothing(s, prompt, some):
    run = s.model.run(prompt)
    for same in ({"mode": "scale", "scale": 1}, {"mode": "sparsify", "threshold": 0}, {"mode": "resample", "reference": run}):
        assert torch.equal(run.ablate(some, **same).logits, run.logits), same
    assert torch.equal(run.ablate(some, "scale", scale=0).logits, run.ablate(some).logits)


@checked(16)
@given(subjects, ids, heads)
def test_zero_is_what_a_hook_of_one_s_own_gives(s, prompt, some):
    ours = s.model.run(prompt).ablate(some).logits
    theirs = s.zeroed(some, prompt)
    assert ours.shape == theirs.reshape(ours.shape).shape
    assert (ours - theirs.reshape(ours.shape)).abs().max().item() <= max(s.exact, 2e-5)


@checked(24)
@given(st.data())
def test_what_an_ablation_reaches(data):
    """Layers below it and, where the model is causal and the mode reads no other position, positions before it are as they were."""
    s = data.draw(subjects)
    prompt = data.draw(ids)
    run = s.model.run(prompt)
    how = data.draw(ablations(s, len(prompt), heads.filter(bool)))
    if not how["heads"]:
        return
    ablated = run.ablate(**how)
    low = ablated.heads[0].layer
    for layer in range(low + 1):
        assert torch.equal(ablated.resid_pre(layer), run.resid_pre(layer))
    first = min(p % len(prompt) for p in how.get("positions", [0]))
    if s.model.causal and first:
        # By another path through the same sums: what is asked for is that nothing came from later positions.
        assert (ablated.resid_pre(LAYERS)[:first] - run.resid_pre(LAYERS)[:first]).abs().max() < 1e-4
    again = s.model.run(prompt).ablate(**how)
    assert of_run(again) == of_run(ablated)


@checked(24)
@given(st.data())
def test_numbers_are_what_they_are_called(data):
    s = data.draw(subjects)
    prompt = data.draw(ids)
    run = s.model.run(prompt).ablate(**data.draw(ablations(s, len(prompt))))
    model = s.model
    if model.selftest.reads_patterns:
        for layer in range(model.n_layers):
            pattern = run.patterns(layer).double()
            assert pattern.min() >= 0
            if s.spec.rows_sum_to_one:
                assert (pattern.sum(-1) - 1).abs().max() < 1e-5
            else:
                assert pattern.sum(-1).max() <= 1 + 1e-5
            if model.causal:
                assert pattern.triu(1).abs().max() == 0
    if model.answer == "none":
        return
    at = data.draw(st.integers(-len(prompt), len(prompt) - 1))
    size = len(run.logits_at(at))
    top = run.top(size, at)
    assert abs(top["probability"].sum() - 1) < 1e-4
    assert top["probability"].is_monotonic_decreasing and sorted(top["id"]) == list(range(size))
    token = data.draw(st.integers(0, size - 1))
    assert 1 <= run.rank(token, at) <= size
    assert abs(run.probability(token, at) - top.set_index("id")["probability"][token]) < 1e-6
    assert -1e-6 <= run.entropy(at) <= math.log(size) + 1e-5
    assert run.kl(at) >= -1e-6 or math.isnan(run.kl(at))
    assert 0 <= run.top1_changed() <= 1
    other = data.draw(st.integers(0, size - 1))
    assert run.logit_diff(token, other, at) == -run.logit_diff(other, token, at)


@checked(10)
@given(st.data())
def test_a_drop_is_before_less_after(data):
    """Positive: the head helped. Of entropy it is after less before; KL has no sign."""
    s = data.draw(subjects.filter(lambda s: s.model.answer != "none"))
    prompt, one = data.draw(ids), data.draw(head)
    run = s.model.run(prompt)
    size = len(run.logits_at())
    target, against = data.draw(st.lists(st.integers(0, size - 1), min_size=2, max_size=2, unique=True))
    asked = {"target": target, "against": against, "heads": [one]}
    without = run.ablate([one])
    expected = {
        "logit_diff": run.logit_diff(target, against) - without.logit_diff(target, against),
        "probability": run.probability(target) - without.probability(target),
        "entropy": without.entropy() - run.entropy(),
        "kl": without.kl(),
    }
    for metric, drop in expected.items():
        used = asked if metric == "logit_diff" else {"heads": [one], **({"target": target} if metric == "probability" else {})}
        found = score(run, "ablation", metric=metric, **used).values[one]
        assert abs(found - drop) <= 1e-4 * max(1, abs(drop)), metric


@checked(40)
@given(texts, st.booleans())
def test_any_text(text, encoder):
    """It runs as the ids that the tokenizer gives, or is refused in a sentence."""
    s = subject("bert" if encoder else "gpt2")
    before = of_module(s.source)
    refused = ""
    try:
        run = s.model.run(text)
    except PromptError as error:
        refused = str(error)
    if refused:
        assert "\n" not in refused
        assert not text or any("\ud800" <= c <= "\udfff" for c in text) or not s.tokenizer(text, add_special_tokens=False)["input_ids"]
    else:
        assert list(run.ids) == s.tokenizer(text)["input_ids"]
        assert len(run.tokens) == len(run.ids) and all(run.tokens)
        run.to_frame()._repr_html_()
    with suppress(TokenError):
        assert s.model.token(s.model.token_id(text))
    assert of_module(s.source) == before


# -- models of any shape ------------------------------------------------------------------------------------------------


@st.composite
def shapes(draw):
    """A model that nobody wrote down: family, layers, heads, key-value heads, the width of a head."""
    family = draw(st.sampled_from(["gpt2", "llama", "gemma2", "gptneox", "bert"]))
    layers, d = draw(st.integers(1, 3)), draw(st.sampled_from([4, 6, 8]))
    # Two heads at least: a norm over two or three numbers leaves nothing that a head could move.
    kv, group = draw(st.sampled_from([(1, 2), (1, 3), (2, 1), (2, 2), (3, 1), (3, 2)]))
    n = kv * group
    free = draw(st.sampled_from([n * d, n * (d + 2)])) if family in ("llama", "gemma2") else n * d
    common = {"num_hidden_layers": layers, "num_attention_heads": n, "hidden_size": free, "intermediate_size": 12}
    common |= {"vocab_size": 40, "max_position_embeddings": 16}
    grouped = {"num_key_value_heads": kv, "head_dim": d}
    build = {
        "gpt2": lambda: tf.GPT2LMHeadModel(tf.GPT2Config(n_layer=layers, n_head=n, n_embd=n * d, vocab_size=40, n_positions=16)),
        "llama": lambda: tf.LlamaForCausalLM(tf.LlamaConfig(**common, **grouped)),
        "gemma2": lambda: tf.Gemma2ForCausalLM(tf.Gemma2Config(**common, **grouped, sliding_window=draw(st.integers(2, 8)))),
        "gptneox": lambda: tf.GPTNeoXForCausalLM(tf.GPTNeoXConfig(**common)),
        "bert": lambda: tf.BertForMaskedLM(tf.BertConfig(**common)),
    }[family]
    parts = {
        "gpt2": ("transformer.h", "attn.c_proj"),
        "gptneox": ("gpt_neox.layers", "attention.dense"),
        "bert": ("bert.encoder.layer", "attention.output.dense"),
    }
    where = parts.get(family, ("model.layers", "self_attn.o_proj"))
    return wide(build(), draw(st.integers(0, 99))), where, (layers, n, kv if family in ("llama", "gemma2") else n, d)


@checked(10)
@given(shapes(), st.lists(st.integers(0, 39), min_size=1, max_size=9), st.data())
def test_models_of_any_shape(made, prompt, data):
    source, (blocks, projection), (layers, n, kv, d) = made
    before = of_module(source)
    with torch.no_grad():
        plain = source(torch.tensor([prompt])).logits[0]
    model = load_model(source)
    assert (model.n_layers, model.n_heads, model.n_kv_heads, model.d_head) == (layers, n, kv, d)
    assert model.selftest.passed
    layer, index = data.draw(st.integers(0, layers - 1)), data.draw(st.integers(0, n - 1))
    run = model.run(prompt)
    assert (run.logits - plain).abs().max() < 2e-4, "sdpa and eager differ in rounding"
    ablated = run.ablate([(layer, index)])
    assert of_module(source) == before

    def silence(_module, args):
        flat = args[0].clone()
        flat[..., index * d : (index + 1) * d] = 0
        return (flat, *args[1:])

    hook = source.get_submodule(blocks)[layer].get_submodule(projection).register_forward_pre_hook(silence)
    try:
        with torch.no_grad():
            theirs = source(torch.tensor([prompt])).logits[0]
    finally:
        hook.remove()
    assert (ablated.logits - theirs).abs().max() < 2e-4


def test_what_is_drawn_is_of_this_size():
    assert (subject("gpt2").model.n_layers, subject("gpt2").model.n_heads) == (LAYERS, HEADS)


@pytest.mark.parametrize("text", ["\ud800", "a \udfff b", "Mary \ud83d"])
def test_half_a_character_is_refused_by_its_place(text):
    with pytest.raises(PromptError, match=rf"Character {next(i for i, c in enumerate(text) if c > chr(0xD7FF)) + 1} of the prompt"):
        subject("gpt2").model.run(text)
    with pytest.raises(TokenError, match="half of a character"):
        subject("gpt2").model.token_id(text)
