"""Generation against `transformers`' own, with the heads' slices set to zero by a hook on the out-projection that is written here."""

import math
from contextlib import ExitStack, contextmanager

import pytest
import torch
import torch.nn.functional as F

from attnwidget import AttnWidgetError, Generation, ModelError, PromptError, generate, load_model
from attnwidget.ablation import MODES
from attnwidget.analysis.generate import end_ids
from attnwidget.analysis.sampling import Sampling
from attnwidget.analysis.streams import LOCAL
from attnwidget.engine import cache_proved
from attnwidget.engine.interrupt import Cancelled, interruptible

from ..models import D_HEAD, IDS, N_CTX, OTHER_IDS, SPECS, fresh, name_of, state, subject, unchanged

DECODERS = [name for name, spec in SPECS.items() if spec.answer == "next"]
SHAPES = ["gpt2", "llama", "gptneox"]
HEADS = [(0, 1), (1, 0), (2, 3)]
LOCAL_MODES = {"zero": {}, "scale": {"scale": -0.5}, "sparsify": {"threshold": 0.4}, "mean": {}}
PATTERN_MODES = ["permute", "uniform", "previous", "random", "first_token"]


@contextmanager
def zeroed(projections, heads, d_head=D_HEAD):
    """A hook on the input of the out-projection of each head's layer: its slice is zero."""
    with ExitStack() as hooks:
        for layer, head in heads:

            def before(_module, args, head=head):
                z = args[0].clone()
                z[..., head * d_head : (head + 1) * d_head] = 0
                return (z, *args[1:])

            hooks.callback(projections[layer].register_forward_pre_hook(before).remove)
        yield


def by_transformers(twin, ids, n, ends, **options):
    """Greedy, by the model's own `generate`."""
    with torch.no_grad():
        out = twin.generate(torch.tensor([ids]), max_new_tokens=n, do_sample=False, eos_token_id=sorted(ends), pad_token_id=0, **options)
    return out[0].tolist()


def texts(result):
    return [step.id for step in result.control.steps], [step.id for step in result.ablated.steps]


# -- greedy, against transformers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("cache", [True, False])
@pytest.mark.parametrize("name", SHAPES)
def test_greedy_is_what_transformers_generates_with_a_hook(name, cache):
    s = subject(name)
    result = generate(s.model.run(IDS).ablate(HEADS), 20, cache=cache)
    assert result.cached == cache
    projections = [s.projection(layer) for layer in range(s.model.n_layers)]
    ends = end_ids(s.model)
    assert result.ids() == by_transformers(s.twin, IDS, 20, ends, use_cache=cache)
    with zeroed(projections, HEADS):
        assert result.ids("ablated") == by_transformers(s.twin, IDS, 20, ends, use_cache=cache)
    assert result.diverges is not None and result.prompt_length == len(IDS)


@pytest.mark.demo
@pytest.mark.parametrize("cache", [True, False])
def test_smollm2_greedy_is_what_transformers_generates_with_a_hook(cache, prompt):
    model, heads = load_model("smollm2-135m"), [(23, 3), (1, 5), (1, 7)]
    run = model.run(prompt)
    result = generate(run.ablate(heads), 10, cache=cache)
    projections = [layer.self_attn.o_proj for layer in model.source.model.layers]
    assert result.cached == cache
    assert result.ids() == by_transformers(model.source, list(run.ids), 10, end_ids(model), use_cache=cache)
    with zeroed(projections, heads, 64):
        assert result.ids("ablated") == by_transformers(model.source, list(run.ids), 10, end_ids(model), use_cache=cache)
    assert result.control.text.startswith(" Mary") and result.control.steps[0].token == " Mary"


@pytest.mark.parametrize("name", DECODERS)
def test_every_decoder_has_a_cache_that_gives_what_whole_passes_give(name):
    s = subject(name)
    with unchanged(s.source):
        run = s.model.run(IDS).ablate(HEADS)
        cached, whole = (generate(run, 12, cache=cache) for cache in (True, False))
    assert cached.cached and not whole.cached and "whole passes" in whole.note
    assert texts(cached) == texts(whole)


@pytest.mark.parametrize("name", ["gpt2", "llama", "gptneox"])
def test_a_bridge_says_the_same(name):
    bridge, plain = subject(name, "bridge"), subject(name)
    with unchanged(bridge.source):
        found = generate(bridge.model.run(IDS).ablate(HEADS), 12)
    assert found.cached
    assert texts(found) == texts(generate(plain.model.run(IDS).ablate(HEADS), 12))


def test_where_the_cache_is_wrong_there_is_none():
    s = fresh("llama")
    anatomy, right = s.model.engine.anatomy, generate(s.model.run(IDS).ablate(HEADS), 8)
    step = anatomy.step
    anatomy.step = lambda ids, cache: step(ids, None)  # forgets what came before
    s.model.engine.cache_proof = None
    result = generate(s.model.run(IDS).ablate(HEADS), 8)
    assert not result.cached and "gives other numbers" in result.note
    assert texts(result) == texts(right)

    def broken(ids, cache):
        raise TypeError("no cache here")

    anatomy.step, s.model.engine.cache_proof = broken, None
    assert not cache_proved(s.model.engine, IDS)


def test_the_cache_is_tried_anew_when_the_weights_have_changed():
    s = fresh("llama")
    run = s.model.run(IDS)
    generate(run, 2)
    before = s.model.engine.cache_proof

    def train(done, total, text, partial):
        with torch.no_grad():
            s.source.model.norm.weight.mul_(1.5)

    with pytest.raises(ModelError, match="weights have changed while"):
        generate(run, 5, progress=train)
    with pytest.raises(ModelError, match="weights have changed since"):
        generate(run, 5)
    generate(s.model.run(IDS), 2)
    assert s.model.engine.cache_proof != before


# -- what an ablation means where the text goes on ----------------------------------------------------------------------


def test_each_mode_is_known_to_go_with_a_cache_or_not():
    assert {*LOCAL_MODES, "resample"} == LOCAL and set(MODES) == LOCAL | set(PATTERN_MODES)


@pytest.mark.parametrize("positions", [None, [2, 5, -1]])
@pytest.mark.parametrize("mode", LOCAL_MODES)
def test_with_and_without_a_cache_the_text_is_the_same(mode, positions):
    s = subject("llama")
    run = s.model.run(IDS).ablate(HEADS, mode, positions=positions, **LOCAL_MODES[mode])
    for choice in ({}, {"temperature": 1.0, "seed": 5}):
        cached, whole = (generate(run, 16, cache=cache, **choice) for cache in (True, False))
        assert cached.cached and not whole.cached
        assert texts(cached) == texts(whole)
        assert cached.forced == whole.forced


def hand_edited(s, ids, edit):
    """Logits of the twin with `z <- edit(z)` for head 0 of layer 1, z [position, d_head]."""

    def whole(z, _v):
        z[:, 0] = edit(z[:, 0].clone())
        return z

    return s.edited({1: whole}, ids)[-1]


def greedy_by_hand(s, n, edit):
    ids = list(IDS)
    for _ in range(n):
        ids.append(int(hand_edited(s, ids, edit).argmax()))
    return ids


def test_no_positions_means_the_generated_ones_too_and_given_ones_are_the_prompts():
    s = subject("gpt2")
    run, n = s.model.run(IDS), len(IDS)
    everywhere = generate(run.ablate("L1H0", "scale", scale=-3.0), 10, cache=True)
    assert everywhere.ids("ablated") == greedy_by_hand(s, 10, lambda z: -3.0 * z)
    every_prompt = generate(run.ablate("L1H0", "scale", scale=-3.0, positions=range(n)), 10)
    assert every_prompt.ids("ablated") == greedy_by_hand(s, 10, lambda z: torch.cat([-3.0 * z[:n], z[n:]]))
    assert everywhere.ids("ablated") != every_prompt.ids("ablated"), "or this would show nothing"
    assert "generated ones too" in everywhere.note and "generated" not in every_prompt.note


def test_mean_stays_that_of_the_prompt():
    s = subject("gpt2")
    run, mean = s.model.run(IDS), s.z(1)[:, 0].mean(0)
    assert s.model.vocabulary.bos_id not in IDS
    result = generate(run.ablate("L1H0", "mean"), 10)
    assert result.ids("ablated") == greedy_by_hand(s, 10, lambda z: mean.expand_as(z))
    assert "their mean is the prompt's" in result.note
    of_others = generate(run.ablate("L1H0", "mean", reference=[s.model.run(OTHER_IDS)]), 10)
    mean = s.z(1, OTHER_IDS)[:, 0].mean(0)
    assert of_others.ids("ablated") == greedy_by_hand(s, 10, lambda z: mean.expand_as(z))


@pytest.mark.parametrize("cache", [True, False])
def test_resample_acts_on_the_prompt_alone_and_says_so(cache):
    s = subject("gpt2")
    other, n = s.z(1, OTHER_IDS)[:, 0], len(IDS)
    result = generate(s.model.run(IDS).ablate("L1H0", "resample", reference=s.model.run(OTHER_IDS)), 10, cache=cache)
    assert result.ids("ablated") == greedy_by_hand(s, 10, lambda z: torch.cat([other, z[n:]]))
    assert "the prompt's positions only" in result.note


@pytest.mark.parametrize("mode", PATTERN_MODES)
def test_modes_of_whole_patterns_are_the_run_of_the_text_so_far(mode):
    s = subject("llama")
    with unchanged(s.source):
        result = generate(s.model.run(IDS).ablate(["L1H0", "L2H3"], mode), 6)
    assert not result.cached and "anew at each token" in result.note
    ids = list(IDS)
    rows = []
    for _ in range(6):
        run = s.model.run(ids).ablate(["L1H0", "L2H3"], mode)
        ids.append(int(run.logits_at(-1).argmax()))
    assert result.ids("ablated") == ids
    # Forced: each of the control's tokens, after the ones before it.
    ids = result.ids()
    for end in range(len(IDS), len(ids)):
        run = s.model.run(ids[:end]).ablate(["L1H0", "L2H3"], mode)
        rows.append(run.kl(-1))
    assert result.forced.kl == pytest.approx(sum(rows) / len(rows), rel=1e-4)


# -- nothing ablated ----------------------------------------------------------------------------------------------------

CHOICES = [{}, {"temperature": 1.0}, {"temperature": 0.7, "top_k": 20, "top_p": 0.9, "seed": 3}]


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("name", SHAPES)
def test_no_heads_ablated_is_the_same_text_and_no_difference_at_all(name, choice):
    run = subject(name).model.run(IDS)
    result, alone = generate(run.ablate([]), 12, **choice), generate(run, 12, **choice)
    assert alone.ablated is None and alone.diverges is None and alone.forced is None and alone.cached
    assert result.control == result.ablated == alone.control and result.diverges is None
    assert (result.forced.kl, result.forced.top1_changed, result.forced.tokens) == (0, 0, len(alone.control.steps))
    assert result.forced.perplexity.clean == result.forced.perplexity.ablated
    assert result.ids("ablated") == alone.ids()


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("name", SHAPES)
def test_an_ablation_that_changes_nothing_gives_the_same_text_and_no_difference_at_all(name, choice):
    result = generate(subject(name).model.run(IDS).ablate(HEADS, "scale", scale=1.0), 12, **choice)
    assert result.control == result.ablated and result.diverges is None
    assert result.forced.kl == 0 and result.forced.top1_changed == 0
    assert result.forced.perplexity.clean == result.forced.perplexity.ablated
    assert result.forced.tokens == len(result.control.steps)


# -- numbers ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("on", ["control", "ablated"])
def test_forced_numbers_from_plain_forwards(on):
    s = subject("gptneox")
    result = generate(s.model.run(IDS).ablate(HEADS), 15, forced_on=on, temperature=1.0, seed=2)
    ids, n = result.ids(on), len(IDS)
    clean, ablated = (logits.double().log_softmax(-1)[n - 1 : -1] for logits in (s.clean(ids), s.zeroed(HEADS, ids)))
    targets = torch.tensor(ids[n:])
    assert result.forced.on == on and result.forced.tokens == len(targets)
    assert result.forced.kl == pytest.approx(F.kl_div(ablated, clean, log_target=True, reduction="batchmean").item(), rel=1e-4)
    for value, rows in ((result.forced.perplexity.clean, clean), (result.forced.perplexity.ablated, ablated)):
        assert value == pytest.approx(F.nll_loss(rows, targets).exp().item(), rel=1e-4)
    assert result.forced.top1_changed == pytest.approx((clean.argmax(-1) != ablated.argmax(-1)).double().mean().item())


def test_a_step_says_what_the_model_itself_gave():
    s = subject("llama")
    result = generate(s.model.run(IDS).ablate(HEADS), 8, temperature=2.0, top_k=100, seed=1)
    for side, logits in (("control", s.clean(result.ids())), ("ablated", s.zeroed(HEADS, result.ids("ablated")))):
        p = logits.double().softmax(-1)[len(IDS) - 1 :]
        for i, step in enumerate(getattr(result, side).steps):
            best = p[i].topk(5)
            assert step.probability == pytest.approx(p[i, step.id].item(), rel=1e-4)
            assert [a.id for a in step.alternatives] == best.indices.tolist()
            assert [a.probability for a in step.alternatives] == pytest.approx(best.values.tolist(), rel=1e-4)
            assert step.token == s.model.token(step.id)


def test_the_result_as_a_table_in_a_line_and_as_ids():
    s = subject("llama")
    run = s.model.run(IDS)
    result = generate(run.ablate(HEADS), 6)
    frame = result.to_frame()
    assert list(frame.columns) == [f"{side}_{name}" for side in ("control", "ablated") for name in ("id", "token", "probability")]
    assert frame.control_id.dropna().tolist() == result.ids()[len(IDS) :]
    assert "\n" not in repr(result) and "KL" in repr(result) and "from token" in repr(result)
    assert "<table" in result._repr_html_()
    alone = generate(run, 3)
    assert isinstance(alone, Generation) and "nothing ablated" in repr(alone)
    assert list(alone.to_frame().columns) == ["control_id", "control_token", "control_probability"]
    with pytest.raises(AttnWidgetError, match="'ablated'.*'control' alone"):
        alone.ids("ablated")
    with pytest.raises(AttnWidgetError, match="'clean'.*'control' and 'ablated'"):
        result.ids("clean")
    assert s.model.run(result.ids()).ids[: len(IDS)] == tuple(IDS)


# -- sampling -----------------------------------------------------------------------------------------------------------


def test_a_seed_gives_the_same_text_again_and_another_gives_another():
    run = subject("gpt2").model.run(IDS).ablate(HEADS)
    first = generate(run, 12, temperature=1.5, seed=1)
    assert first == generate(run, 12, temperature=1.5, seed=1)
    assert first.control != generate(run, 12, temperature=1.5, seed=2).control
    assert generate(run, 5, temperature=1.5, seed=1).ids()[:13] == first.ids()[:13], "however many tokens are asked for"
    assert generate(run, 2, temperature=1.0, seed=-(2**70)) == generate(run, 2, temperature=1.0, seed=-(2**70))
    assert "seed 1" in first.note and "same random numbers" in first.note


def test_tokens_are_drawn_with_their_probabilities():
    logits = torch.tensor([1.0, 3.0, 2.0, -1.0, 3.0])
    us = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000

    def drawn(**kept):
        sampling = Sampling(**kept)
        return torch.bincount(torch.tensor([sampling.choose(logits, u) for u in us.tolist()]), minlength=5) / 20_000

    torch.testing.assert_close(drawn(temperature=1.0), logits.softmax(-1), atol=2e-4, rtol=0)
    torch.testing.assert_close(drawn(temperature=2.0), (logits / 2).softmax(-1), atol=2e-4, rtol=0)
    two = torch.tensor([0, 0.5, 0, 0, 0.5])
    torch.testing.assert_close(drawn(temperature=1.0, top_k=2), two, atol=2e-4, rtol=0)
    # The two first have 0.39 each: the first alone does not reach 0.5, both do.
    torch.testing.assert_close(drawn(temperature=1.0, top_p=0.5), two, atol=2e-4, rtol=0)
    assert drawn(temperature=1.0, top_p=0.3)[1] == 1
    # After top k, what is left counts as the whole: of three, 0.42 each and 0.16.
    assert drawn(temperature=1.0, top_k=3, top_p=0.83)[2] == 0 and drawn(temperature=1.0, top_k=3, top_p=0.9)[2] > 0.1
    assert drawn(temperature=1e-300)[1] == 0.5 and Sampling().choose(logits, 0.99) == 1, "of equal ones the lowest id"
    masked = torch.tensor([-math.inf, 0.0, -math.inf])
    assert {Sampling(1.0).choose(masked, u) for u in (0.0, 0.5, 1 - 2**-53)} == {1}


def test_keeping_one_token_is_the_first_choice():
    run = subject("gpt2").model.run(IDS).ablate(HEADS)
    greedy = generate(run, 10)
    for kept in ({"top_k": 1}, {"top_p": 1e-9}):
        assert texts(generate(run, 10, temperature=1.0, **kept)) == texts(greedy)


# -- where it ends ------------------------------------------------------------------------------------------------------


def test_it_stops_at_the_end_of_the_text_one_side_before_the_other():
    s = fresh("gpt2")
    run = s.model.run(IDS).ablate(HEADS)
    free = generate(run, 12)
    at = next(i for i, step in enumerate(free.control.steps) if i > 2 and step.id not in texts(free)[1])
    s.source.generation_config.eos_token_id = [free.control.steps[at].id, 0]
    result = generate(run, 12)
    first = texts(free)[0].index(free.control.steps[at].id)
    assert result.control.ended == "end of text" and len(result.control.steps) == first + 1
    assert result.ablated == free.ablated and result.ablated.ended == "length"
    assert result.forced.tokens == first + 1


def test_the_end_of_the_text_is_a_special_token_and_not_text():
    s = fresh("llama")
    with torch.no_grad():
        s.source.lm_head.weight.zero_()  # all tokens are equal, so the lowest id is chosen, which is the tokenizer's end of text
    result = generate(s.model.run(IDS), 5)
    (step,) = result.control.steps
    assert step.special and step.token == "<bos>" and result.control.ended == "end of text" and result.control.text == ""


def test_it_stops_where_the_context_is_full_and_refuses_a_prompt_that_fills_it():
    model = subject("gpt2").model
    ids = (IDS * 8)[: N_CTX - 3]
    result = generate(model.run(ids).ablate(HEADS), 10, cache=True)
    assert {result.control.ended, result.ablated.ended} <= {"context", "end of text"}
    assert len(result.ids()) <= N_CTX and len(result.control.steps) == 3 and result.forced.tokens == 3
    assert generate(model.run(ids), 3).control.ended == "length"
    with pytest.raises(PromptError, match=rf"{N_CTX} tokens.*takes {N_CTX}.*Shorten"):
        generate(model.run((IDS * 8)[:N_CTX]), 1)


@pytest.mark.parametrize("pair", [("bert", "plain"), ("bert", "bridge"), ("bert-classifier", "plain"), ("bert-base", "plain")], ids=name_of)
def test_models_that_do_not_go_on_are_refused(pair):
    with pytest.raises(ModelError, match="no next token to go on with.*decoder"):
        generate(subject(*pair).model.run(IDS))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"max_new_tokens": 0}, r"max_new_tokens.*1 or more.*0"),
        ({"max_new_tokens": 2.0}, r"max_new_tokens.*whole.*2\.0"),
        ({"max_new_tokens": True}, r"max_new_tokens.*True"),
        ({"temperature": -1}, r"temperature.*0 .*-1"),
        ({"temperature": math.nan}, r"temperature.*nan"),
        ({"temperature": "hot"}, r"temperature.*'hot'"),
        ({"top_k": 0}, r"top_k.*1 or more.*None.*0"),
        ({"top_k": 1.5}, r"top_k.*1\.5"),
        ({"top_p": 0}, r"top_p.*above 0.*1.*None.*0"),
        ({"top_p": 1.1}, r"top_p.*1\.1"),
        ({"seed": 0.5}, r"seed.*0\.5"),
        ({"seed": None}, r"seed.*None"),
        ({"forced_on": "clean"}, r"'control' or 'ablated'.*'clean'"),
        ({"cache": 1}, r"cache.*True or False.*1"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(given, says):
    with pytest.raises(AttnWidgetError, match=says) as error:
        generate(subject("gpt2").model.run(IDS), **given)
    assert "\n" not in str(error.value)


def test_what_is_not_a_run_is_refused():
    with pytest.raises(AttnWidgetError, match=r"model\.run\(prompt\).*not str"):
        generate("When Mary")


def test_logits_that_are_not_numbers_end_it():
    run = subject("gpt2").model.run(IDS).ablate("L0H0", "scale", scale=1e38)
    with pytest.raises(ModelError, match=r"predicts nothing after \d+ tokens"):
        generate(run.clean.ablate(HEADS, "scale", scale=1e38), 5)


# -- progress, cancelling, other work in between ------------------------------------------------------------------------


def test_progress_after_each_token_with_the_text_so_far():
    run, heard = subject("gpt2").model.run(IDS).ablate(HEADS), []
    result = generate(run, 6, progress=lambda *said: heard.append(said))
    assert [(done, total) for done, total, *_ in heard] == [(i + 1, 12) for i in range(12)]
    partial = heard[4][3]
    assert texts(partial) == (texts(result)[0][:3], texts(result)[1][:2]) and partial.forced is None
    assert partial.control.ended is None and partial.diverges in (None, result.diverges)
    assert texts(heard[-1][3]) == texts(result) and heard[-1][3].note == result.note


@pytest.mark.parametrize("pair", [("gpt2", "plain"), ("llama", "plain"), ("llama", "bridge")], ids=name_of)
@pytest.mark.parametrize("raised", [Cancelled, KeyboardInterrupt])
def test_a_cancelled_generation_leaves_the_model_as_it_was(pair, raised):
    s = subject(*pair)
    s.source.train()  # as a user may have it
    try:
        run = s.model.run(IDS).ablate(HEADS)
        before, whole = run.logits, generate(run, 8)
        was = state(s.source)

        def stop(done, total, text, partial):
            assert s.model.engine.lock.acquire(blocking=False)
            s.model.engine.lock.release()
            assert state(s.source) == was, "nothing is left behind between two tokens"
            if done == 5:
                raise raised

        with unchanged(s.source), pytest.raises(raised):
            generate(run, 8, progress=stop)
        for left in range(0, 21, 4):
            calls = iter(range(left))

            def check(calls=calls):
                if next(calls, None) is None:
                    raise raised

            with unchanged(s.source), pytest.raises(raised), interruptible(check):
                generate(run, 8)
        assert torch.equal(s.model.run(IDS).ablate(HEADS).logits, before)
        assert generate(run, 8) == whole
    finally:
        s.source.eval()


def test_others_may_use_the_model_between_two_tokens():
    s = subject("llama")
    run = s.model.run(IDS).ablate(HEADS)
    alone = generate(run, 6)

    def other(done, total, text, partial):
        s.model.run(OTHER_IDS).ablate("L0H0", "uniform").logits
        generate(s.model.run(OTHER_IDS), 2)

    assert generate(run, 6, progress=other) == alone
