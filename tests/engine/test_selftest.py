"""The self-test must find what is wrong: each model here has a fault built in, and a test that passed it would be worthless."""

from __future__ import annotations

import copy

import pytest
import torch

from attnwidget import ModeError, ModelError, load_model
from attnwidget.engine import Engine
from attnwidget.engine.plain import plain_anatomy
from attnwidget.engine.selftest import run_selftest

from ..models import ALL, FEW, IDS, LAYERS, SPECS, VOCAB, bridged, fresh, name_of, subject, tokenizer, wide, with_pattern


def checks(model):
    return {check.name: check.passed for check in model.selftest.checks}


@pytest.mark.parametrize("pair", ALL, ids=name_of)
def test_what_is_found(pair):
    engine = subject(*pair).model.engine
    name, kind = pair
    dead = name in ("gptj", "gptneo") or (kind == "bridge" and name in ("bert", "roberta", "opt"))
    unedited = kind == "plain" and name in ("bloom", "falcon")
    assert engine.resumes
    assert engine.broadcasts == (name != "bloom")
    assert engine.pattern_edits_live == (not dead and pair != ("bloom", "plain"))
    assert subject(*pair).model.selftest.edits_patterns == (not unedited)
    assert engine.tail_by_position == (SPECS[name].answer != "class")
    assert any("P'v" in note for note in subject(*pair).model.selftest.notes) == dead


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64], ids=str)
@pytest.mark.parametrize("name", ["opt", "gptj"])
def test_an_edit_that_goes_nowhere_is_seen_in_every_precision(name, dtype):
    """In bfloat16, 200 eps is 156 %: a tolerance that is a share of the logits would let a discarded edit pass."""
    spec = SPECS[name]
    model = load_model(bridged(wide(spec.build()).to(dtype), tokenizer()))
    assert model.selftest.passed
    assert not model.engine.pattern_edits_live
    assert model.selftest.edits_patterns
    assert model.run(IDS).ablate("L1H2", "uniform").kl() > 1e-4


def test_an_edit_that_goes_nowhere_is_seen_where_the_middle_head_is_dead():
    """Zeroing a head that does nothing equals an edit that goes nowhere; another head must be tried."""
    twin = wide(SPECS["opt"].build())
    with torch.no_grad():
        twin.model.decoder.layers[LAYERS // 2].self_attn.out_proj.weight[:, 16:24] = 0  # L1H2, the one in the middle
    model = load_model(bridged(copy.deepcopy(twin), tokenizer()))
    assert model.selftest.head != (1, 2)
    assert model.selftest.passed
    assert not model.engine.pattern_edits_live


def test_no_head_that_does_anything():
    model = wide(SPECS["gpt2"].build())
    with torch.no_grad():
        for block in model.transformer.h:
            block.attn.c_proj.weight.zero_()
    attached = load_model(model, tokenizer=tokenizer())
    assert not attached.selftest.passed
    assert "FAILED" in repr(attached.selftest)
    assert "FAILED" in repr(attached)
    attached.run(IDS)  # looking is still allowed
    with pytest.raises(ModeError, match="self-test failed.*zeroing moves the output"):
        attached.run(IDS).ablate("L0H0")


def test_a_z_that_is_not_heads():
    """As if the heads did not stand side by side: every fourth column instead."""
    from attnwidget.engine.anatomy import InputTap

    class Strided(InputTap):
        def attach(self, hook):
            def pre(_module, args):
                flat = args[0]
                new = hook(flat.reshape(*flat.shape[:2], -1, self.n_heads).transpose(2, 3))
                return None if new is None else (new.transpose(2, 3).reshape(flat.shape), *args[1:])

            return self.module.register_forward_pre_hook(pre)

    anatomy = plain_anatomy(wide(SPECS["gpt2"].build()))
    anatomy.taps["z"] = [Strided(tap.module, tap.n_heads) for tap in anatomy.taps["z"]]
    report = run_selftest(Engine(anatomy), VOCAB)
    assert not report.passed
    assert {c.name: c.passed for c in report.checks}["z is a head"] is False
    for dtype in (torch.bfloat16, torch.float16):
        anatomy.model.to(dtype)
        assert not run_selftest(Engine(anatomy), VOCAB).passed


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32], ids=str)
def test_a_z_that_is_nearly_heads(dtype):
    """Three tenths off: more than rounding makes in any precision."""
    from attnwidget.engine.anatomy import InputTap

    class Scaled(InputTap):
        def attach(self, hook):
            return super().attach(lambda z: hook(1.3 * z))

    anatomy = plain_anatomy(wide(SPECS["gpt2"].build()).to(dtype))
    assert run_selftest(Engine(anatomy), VOCAB).passed
    anatomy.taps["z"] = [Scaled(tap.module, tap.n_heads) for tap in anatomy.taps["z"]]
    assert not run_selftest(Engine(anatomy), VOCAB).passed


def test_an_edit_that_goes_nowhere_is_seen_where_heads_do_little():
    """Less than the rounding of the logits allows for: it must be compared with what zeroing does, not with the logits."""
    model = wide(SPECS["opt"].build()).to(torch.bfloat16)
    with torch.no_grad():
        for block in model.model.decoder.layers:
            block.self_attn.out_proj.weight.mul_(0.05)
    attached = load_model(bridged(model, tokenizer()))
    zeroing = next(c for c in attached.selftest.checks if c.name == "zeroing moves the output")
    assert zeroing.difference < 0.06 * attached.run(IDS).logits.abs().max()
    assert not attached.engine.pattern_edits_live


def test_the_wrong_number_of_heads():
    anatomy = plain_anatomy(wide(SPECS["gpt2"].build()))
    anatomy.n_heads = 2
    anatomy.taps["z"] = [type(tap)(tap.module, 2) for tap in anatomy.taps["z"]]
    assert not run_selftest(Engine(anatomy), VOCAB).passed


class _Shortcut(torch.nn.Module):
    """Hooks that carry something round the blocks: from the first block's attention to `into`, within one forward."""

    def __init__(self, model, into):
        super().__init__()
        kept = []
        model.register_forward_pre_hook(lambda *_: kept.clear())
        model.register_forward_hook(lambda *_: kept.clear())
        model.transformer.h[0].attn.register_forward_hook(lambda _m, _a, output: kept.append(output[0]) and None)
        into.register_forward_pre_hook(lambda _m, args: (args[0] + sum(kept), *args[1:]))


def test_something_that_goes_round_the_blocks_makes_every_change_a_full_forward():
    twin = wide(SPECS["gpt2"].build())
    twin.set_attn_implementation("eager")
    source = copy.deepcopy(twin)
    for model in (twin, source):
        _Shortcut(model, model.transformer.h[2].ln_1)
    attached = load_model(source, tokenizer=tokenizer())
    assert not attached.engine.resumes
    assert checks(attached)["resume"] is False
    assert any("full forward" in note for note in attached.selftest.notes)
    run = attached.run(IDS)

    def zeroed(layer, head):
        def pre(_m, args):
            flat = args[0].clone()
            flat[..., head * 8 : head * 8 + 8] = 0
            return (flat,)

        return twin.transformer.h[layer].attn.c_proj.register_forward_pre_hook(pre)

    with torch.no_grad():
        assert torch.equal(run.logits, twin(torch.tensor([IDS])).logits[0])
        alone = zeroed(1, 2)
        assert torch.equal(run.ablate("L1H2").logits, twin(torch.tensor([IDS])).logits[0])
        alone.remove()
        hooks = [zeroed(0, 1), zeroed(1, 2)]
        assert torch.equal(run.ablate(["L0H1", "L1H2"]).logits, twin(torch.tensor([IDS])).logits[0])
        seen = []
        hooks.append(twin.transformer.h[2].attn.c_proj.register_forward_pre_hook(lambda _m, args: seen.append(args[0])))
        twin(torch.tensor([IDS]))
    assert torch.equal(run.ablate(["L0H1", "L1H2"]).z(2), seen[0][0].reshape(len(IDS), 4, 8))


def test_an_answer_that_does_not_come_from_the_last_block_is_refused():
    model = wide(SPECS["gpt2"].build())
    _Shortcut(model, model.lm_head)
    with pytest.raises(ModelError, match="last block"):
        load_model(model, tokenizer=tokenizer())


@pytest.mark.parametrize("pair", FEW, ids=name_of)
def test_the_report_reads_well(pair):
    report = subject(*pair).model.selftest
    assert repr(report).startswith(f"SelfTest on {report.head}, passed")
    assert all(check.meaning and check.name for check in report.checks)


@pytest.mark.filterwarnings("error::UserWarning")
def test_attaching_warns_of_nothing():
    fresh("opt", "bridge")


def test_a_very_short_context():
    import transformers as tf

    for n_ctx in (1, 3):
        config = tf.GPT2Config(n_layer=2, n_head=2, n_embd=16, vocab_size=50, n_positions=n_ctx)
        model = load_model(wide(tf.GPT2LMHeadModel(config)))
        assert model.selftest.passed
        assert model.run([7] * n_ctx).ablate("L1H1").kl() > 0


def test_other_random_numbers_are_left_alone():
    before = torch.get_rng_state()
    fresh("gpt2").model.run(IDS).ablate("L1H1", "random").kl()
    after = torch.get_rng_state()
    # Building the test model draws; attaching and ablating must not: see that the sequence goes on alike.
    source = wide(SPECS["gpt2"].build())
    torch.set_rng_state(before)
    model = load_model(source)
    model.run(IDS).ablate(["L0H0", "L1H1"], "permute")
    assert torch.equal(torch.get_rng_state(), before)
    assert after is not None


def test_only_pattern_edits_through_values_need_the_values():
    s = subject("opt", "bridge")
    uniform = torch.tril(torch.ones(len(IDS), len(IDS)))
    uniform /= uniform.sum(-1, keepdim=True)
    expected = s.edited({0: with_pattern(1, uniform), 2: with_pattern(3, uniform)})
    got = s.model.run(IDS).ablate(["L0H1", "L2H3"], "uniform").logits
    assert torch.allclose(got, expected, atol=2e-5)


def test_a_model_that_takes_one_prompt_at_a_time_still_resumes():
    """GPT-2's classifier reads the last token that is no padding, and refuses a batch when no padding token is set."""
    from transformers import GPT2Config, GPT2ForSequenceClassification

    torch.manual_seed(0)
    config = GPT2Config(n_layer=3, n_head=4, n_embd=32, vocab_size=VOCAB, n_positions=64, num_labels=3, initializer_range=0.2)
    source = GPT2ForSequenceClassification(config).eval()
    source.set_attn_implementation("eager")  # what our passes use, so that the sums are the same
    model = load_model(source)
    assert model.selftest.passed and model.engine.resumes and model.engine.max_rows == 1
    assert any("one prompt at a time" in note for note in model.selftest.notes)
    run = model.run(IDS)

    def zero(_module, args):
        z = args[0].clone()
        z[..., 8:16] = 0
        return (z,)

    hook = source.transformer.h[1].attn.c_proj.register_forward_pre_hook(zero)
    with torch.no_grad():
        expected = source(torch.tensor([IDS])).logits
    hook.remove()
    assert torch.equal(run.ablate("L1H1").logits, expected)
    with pytest.raises(ModelError, match="2 rows.*one by one"):
        model.engine.resume(run._recording, rows=2)
