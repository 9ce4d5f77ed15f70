"""Each mode that acts on z against a hook written by hand, the laws all modes keep, and every refusal."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attnwidget import MODES, HeadError, ModeError, PositionError, PromptError

from .models import ALL, FEW, IDS, OTHER_IDS, PATTERN_MODES, name_of, subject

every = pytest.mark.parametrize("pair", ALL, ids=name_of)
few = pytest.mark.parametrize("pair", FEW, ids=name_of)
some = pytest.mark.parametrize(
    "pair", [*FEW, *((n, "plain") for n in ("gemma2", "gptneox", "mixtral", "distilbert-classifier"))], ids=name_of
)
N = len(IDS)
# Ours and the hook's are the same sums, but for means and products taken in another precision or order.
CLOSE = 2e-5
BOS = 0  # of the tests' tokenizer


def far(a, b):
    return (a - b).abs().max().item()


def set_to(head, value):
    def edit(z, v):
        z[:, head] = value(z[:, head]) if callable(value) else value
        return z

    return edit


def allowed(s):
    """The modes this model takes, with parameters that make them do something."""
    for name, mode in MODES.items():
        if s.model.refuses(name) is None:
            yield (
                name,
                {"scale": {"scale": 0.5}, "resample": {"reference": [OTHER_IDS]}, "sparsify": {"threshold": 0.3}}.get(name, {}),
                mode,
            )


# -- formulas -------------------------------------------------------------------------------------------------------


@every
@pytest.mark.parametrize("scale", [0.5, -1.0])
def test_scale(pair, scale):
    s = subject(*pair)
    expected = s.edited({1: set_to(2, lambda z: scale * z)})
    assert far(expected, s.clean()) > 1e-3
    assert far(s.model.run(IDS).ablate("L1H2", "scale", scale=scale).logits, expected) <= s.exact


@some
def test_mean_of_its_own_positions(pair):
    s = subject(*pair)
    expected = s.edited({1: set_to(2, s.z(1)[:, 2].mean(0))})
    assert far(s.model.run(IDS).ablate("L1H2", "mean").logits, expected) <= CLOSE


@few
def test_mean_leaves_bos_out(pair):
    s = subject(*pair)
    ids = [BOS, *IDS]
    z = s.z(1, ids)[:, 2]
    skipped = s.spec.causal  # an encoder's tokenizer has no BOS
    expected = s.edited({1: set_to(2, z[1:].mean(0) if skipped else z.mean(0))}, ids)
    ablated = s.model.run(ids).ablate("L1H2", "mean")
    assert far(ablated.logits, expected) <= CLOSE
    assert "this prompt's own positions" in ablated.ablation.describe()


@some
def test_mean_of_reference_prompts(pair):
    """Pooled over all positions of all references, each position once, BOS excluded."""
    s = subject(*pair)
    references = [OTHER_IDS, OTHER_IDS[:4], [BOS, *IDS[2:5]]]
    rows = [s.z(1, ids)[(1 if ids[0] == BOS and s.spec.causal else 0) :, 2] for ids in references]
    expected = s.edited({1: set_to(2, torch.cat(rows).mean(0))})
    ablated = s.model.run(IDS).ablate("L1H2", "mean", reference=references)
    assert far(ablated.logits, expected) <= CLOSE
    assert "3 reference prompts" in ablated.ablation.describe()


@every
def test_resample(pair):
    s = subject(*pair)
    expected = s.edited({1: set_to(2, s.z(1, OTHER_IDS)[:, 2]), 2: set_to(0, s.z(2, OTHER_IDS)[:, 0])})
    ablated = s.model.run(IDS).ablate(["L1H2", "L2H0"], "resample", reference=[OTHER_IDS])
    assert far(ablated.logits, expected) <= s.exact
    reference = s.model.run(OTHER_IDS)
    assert torch.equal(s.model.run(IDS).ablate(["L1H2", "L2H0"], "resample", reference=reference).logits, ablated.logits)
    assert s.model.run(IDS).ablate("L1H2", "resample", reference=[IDS]).logits.equal(s.model.run(IDS).logits), "its own z is nothing"


@some
def test_sparsify(pair):
    s = subject(*pair)
    expected = s.edited({1: set_to(2, lambda z: torch.where(z.abs() < 0.3, torch.zeros(()), z))})
    assert far(expected, s.clean()) > 0
    assert far(s.model.run(IDS).ablate("L1H2", "sparsify", threshold=0.3).logits, expected) <= s.exact
    assert torch.equal(s.model.run(IDS).ablate("L1H2", "sparsify", threshold=0).logits, s.model.run(IDS).logits)


@some
def test_permute(pair):
    s = subject(*pair)
    run = s.model.run(IDS)
    clean = run.z(1)
    orders = {}
    ablated = run.ablate(["L1H1", "L1H2"], "permute", seed=5)
    for head in (1, 2):
        rows = ablated.z(1)[:, head]
        orders[head] = [next(p for p in range(N) if torch.equal(row, clean[p, head])) for row in rows]
        assert sorted(orders[head]) == list(range(N))
    assert orders[1] != orders[2], "each head draws its own"

    def edit(z, v):
        for head, order in orders.items():
            z[:, head] = z[order, head]
        return z

    assert far(ablated.logits, s.edited({1: edit})) <= s.exact
    assert torch.equal(run.ablate("L1H2", "permute", seed=5).z(1)[:, 2], ablated.z(1)[:, 2]), "whoever is ablated beside it"
    assert not torch.equal(run.ablate("L1H2", "permute", seed=6).z(1)[:, 2], ablated.z(1)[:, 2])


@some
def test_in_several_layers_z_is_the_one_of_the_ablated_run(pair):
    s = subject(*pair)
    expected = s.edited({0: set_to(1, lambda z: 0.5 * z), 1: set_to(3, lambda z: 0.5 * z), 2: set_to(3, lambda z: 0.5 * z)})
    assert far(s.model.run(IDS).ablate(["L0H1", "L2H3", "L1H3"], "scale", scale=0.5).logits, expected) <= s.exact


@some
@pytest.mark.parametrize("positions", [0, 4, -1, [1, -2], range(2, 5)], ids=str)
def test_positions(pair, positions):
    s = subject(*pair)
    at = [p % N for p in ([positions] if isinstance(positions, int) else positions)]

    def edit(z, v):
        z[at, 2] = 0
        return z

    ablated = s.model.run(IDS).ablate("L1H2", positions=positions)
    assert far(ablated.logits, s.edited({1: edit})) <= s.exact
    assert ablated.ablation.positions == tuple(sorted(at))
    kept = [p for p in range(N) if p not in at]
    assert torch.equal(ablated.z(1)[kept], s.model.run(IDS).z(1)[kept])
    assert ablated.z(1)[at, 2].abs().max() == 0


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(-N, N - 1), min_size=1, max_size=2 * N))
def test_positions_are_a_set_however_written(positions):
    run = subject("gpt2").model.run(IDS)
    ablation = run.ablate("L1H2", positions=positions).ablation
    assert ablation.positions == tuple(sorted({p % N for p in positions}))
    assert ablation == run.ablate("L1H2", positions=np.array(positions)).ablation
    assert ablation == run.ablate("L1H2", positions=torch.tensor(positions)).ablation


# -- laws -----------------------------------------------------------------------------------------------------------


@every
def test_nothing_ablated_is_exactly_nothing(pair):
    """I1: in every mode, and whatever was asked of either run before."""
    s = subject(*pair)
    run = s.model.run(IDS)
    run.logits
    for mode, params, _ in allowed(s):
        empty = run.ablate([], mode, **params)
        if s.spec.answer != "none":
            assert empty.kl() == 0
            assert empty.top1_changed() == 0
        if s.spec.answer == "next":
            assert empty.perplexity_delta() == 0
            assert empty.kl(position=3) == 0
        assert torch.equal(empty.logits, run.logits)
        assert empty.heads == ()


@some
def test_order_and_repeats_of_heads_change_nothing(pair):
    s = subject(*pair)
    run = s.model.run(IDS)
    for mode, params, _ in allowed(s):
        heads = ["L1H0", "L2H3", "L1H2"]
        usual = run.ablate(heads, mode, **params).logits
        for order in itertools.permutations(heads):
            if order[0] == "L2H3":
                assert torch.equal(run.ablate([*order, *order], mode, **params).logits, usual)


@some
def test_no_mode_changes_the_runs_it_reads(pair):
    s = subject(*pair)
    run, reference = s.model.run(IDS), s.model.run(OTHER_IDS)
    before = [run.logits.clone(), run.z(1).clone(), reference.z(1).clone()]
    for mode, params, _ in allowed(s):
        if "reference" in params:
            params = {"reference": reference}
        run.ablate(["L1H2", "L2H2"], mode, **params).logits
    assert all(map(torch.equal, before, [s.model.run(IDS).logits, run.z(1), reference.z(1)]))


@pytest.mark.parametrize("pair", [p for p in ALL if subject(*p).spec.causal], ids=name_of)
def test_no_token_reaches_an_earlier_answer(pair):
    """I5, for every mode that claims it: all but `permute` and `mean` over the prompt's own positions."""
    s = subject(*pair)
    changed = [*IDS[:5], *OTHER_IDS[5:]]
    heads = ["L0H1", "L1H2", "L2H0"]
    for mode, params, _ in allowed(s):
        chosen = heads[1:] if mode == "previous" else heads
        if mode == "permute":
            continue
        if mode == "mean":
            params = {"reference": [OTHER_IDS]}
        one, other = (s.model.run(ids).ablate(chosen, mode, **params).logits for ids in (IDS, changed))
        # A mixture's experts take the tokens routed to them as one batch, whose size is part of the rounding.
        assert far(one[:5], other[:5]) <= (1e-5 if s.spec.name in ("gptoss", "mixtral") else 0), mode
        assert far(one[5:], other[5:]) > 1e-3


@pytest.mark.parametrize("mode", ["mean", "permute"])
def test_two_modes_let_later_tokens_reach_earlier_answers(mode):
    """Not a fault but what they are, and what their docstrings say."""
    s = subject("llama")
    changed = [*IDS[:5], *OTHER_IDS[5:]]
    one, other = (s.model.run(ids).ablate(["L0H1", "L1H2"], mode).logits for ids in (IDS, changed))
    assert far(one[:5], other[:5]) > 1e-3
    assert "ater tokens reach earlier positions" in MODES[mode].__doc__


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_says_what_it_does(mode):
    entry = MODES[mode]
    assert entry.name == mode
    assert entry.formula
    assert "`" in entry.__doc__
    s = subject("gpt2")
    params = {n: p for n, p, _ in allowed(s)}[mode]
    run = s.model.run(IDS)
    ablated = run.ablate("L1H2", mode, **params)
    described = ablated.ablation.describe()
    assert described.endswith("at all positions")
    assert described in repr(ablated)
    assert "at positions 1, 3" in run.ablate("L1H2", mode, positions=[1, 3], **params).ablation.describe()
    for name in entry.params:
        if name != "reference":
            value = 7 if name == "seed" else 0.375
            assert str(value) in run.ablate("L1H2", mode, **{name: value}).ablation.describe()


@pytest.mark.parametrize("pair", PATTERN_MODES, ids=name_of)
def test_scaling_by_one_changes_nothing(pair):
    s = subject(*pair)
    run = s.model.run(IDS)
    assert torch.equal(run.ablate(["L0H0", "L2H3"], "scale", scale=1).logits, run.logits)


def test_an_ablation_of_an_ablated_run_starts_from_the_clean_one():
    run = subject("gpt2").model.run(IDS)
    again = run.ablate("L0H0").ablate("L1H2")
    assert again.clean is run
    assert again.heads == ((1, 2),)
    assert torch.equal(again.logits, run.ablate("L1H2").logits)
    reference = subject("gpt2").model.run(OTHER_IDS)
    with pytest.raises(ModeError, match="heads ablated: give its .clean"):
        run.ablate("L1H2", "resample", reference=reference.ablate("L0H0"))


# -- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "message", "heads", "mode", "params"),
    [
        (HeadError, "'X1' does not name a head: write 'L9H6', '9.6' or", ["X1"], "zero", {}),
        (HeadError, "No head L3H0 .* 0 to 2 and heads from 0 to 3, so the last one is L2H3", "L3H0", "zero", {}),
        (HeadError, "No head L0H4", (0, 4), "zero", {}),
        (ModeError, "No ablation mode 'off': there are zero, scale, mean, ", "L0H0", "off", {}),
        (ModeError, "'previous' is undefined for L0H1: there is no layer before 0", ["L2H0", "L0H1"], "previous", {}),
        (ModeError, "'zero' takes no scale: leave it out, or use 'scale'", "L0H0", "zero", {"scale": 0.5}),
        (ModeError, "'uniform' takes no seed: .* 'permute', 'random'", "L0H0", "uniform", {"seed": 3}),
        (ModeError, "'zero' takes no threshold: .* 'sparsify'", "L0H0", "zero", {"threshold": 0.5}),
        (ModeError, "'zero' takes no reference: .* 'mean', 'resample'", "L0H0", "zero", {"reference": [IDS]}),
        (ModeError, "scale must be a finite number, not inf", "L0H0", "scale", {"scale": float("inf")}),
        (ModeError, "scale must be a finite number, not nan", "L0H0", "scale", {"scale": float("nan")}),
        (ModeError, "scale must be a finite number, not 'a lot'", "L0H0", "scale", {"scale": "a lot"}),
        (ModeError, "threshold must be a number of 0 or more, not -0.1", "L0H0", "sparsify", {"threshold": -0.1}),
        (ModeError, "threshold must be a number of 0 or more, not None", "L0H0", "sparsify", {"threshold": None}),
        (ModeError, "seed must be a whole number, not 1.5", "L0H0", "random", {"seed": 1.5}),
        (ModeError, "'resample' takes z from one other prompt of the same length", "L0H0", "resample", {}),
        (ModeError, "'resample' takes z from one", "L0H0", "resample", {"reference": [IDS, OTHER_IDS]}),
        (ModeError, "this one has 9 tokens, the reference 4", "L0H0", "resample", {"reference": [OTHER_IDS[:4]]}),
        (ModeError, "reference= was given no prompts", "L0H0", "mean", {"reference": []}),
        (ModeError, "reference= takes a text, a list of texts or runs, not 5", "L0H0", "mean", {"reference": 5}),
        (ModeError, "no position besides BOS", "L0H0", "mean", {"reference": [[BOS]]}),
        (PromptError, "empty", "L0H0", "mean", {"reference": [""]}),
        (PositionError, "No position 9: this prompt has 9 tokens, positions 0 to 8", "L0H0", "zero", {"positions": 9}),
        (PositionError, "No position -10", "L0H0", "zero", {"positions": [0, -10]}),
        (PositionError, "No position 1.5", "L0H0", "zero", {"positions": [1.5]}),
        (PositionError, "No position 1.5", "L0H0", "zero", {"positions": 1.5}),
        (PositionError, "No position True", "L0H0", "zero", {"positions": True}),
        (PositionError, "No position 'last'", "L0H0", "zero", {"positions": "last"}),
        (PositionError, "No position 'None'", "L0H0", "zero", {"positions": [None]}),
        (PositionError, "No positions were given", "L0H0", "zero", {"positions": []}),
    ],
)
def test_refused(error, message, heads, mode, params):
    run = subject("gpt2").model.run(IDS)
    with pytest.raises(error, match=message) as caught:
        run.ablate(heads, mode, **params)
    assert isinstance(caught.value, ValueError)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith(".")


@pytest.mark.parametrize("name", ["bloom", "falcon"])
@pytest.mark.parametrize("mode", [m for m in MODES if MODES[m].acts_on == "pattern"])
def test_pattern_modes_where_patterns_cannot_be_edited(name, mode):
    with pytest.raises(ModeError, match=f"Pattern edits do not reach this model, so '{mode}' is off: use 'zero'"):
        subject(name).model.run(IDS).ablate("L1H0", mode)


def test_a_reference_of_another_model():
    with pytest.raises(ModeError, match="run of another model"):
        subject("gpt2").model.run(IDS).ablate("L0H0", "mean", reference=subject("llama").model.run(IDS))


def test_a_mean_of_nothing():
    with pytest.raises(ModeError, match="needs a position besides BOS"):
        subject("gpt2").model.run([BOS]).ablate("L0H0", "mean")


def test_references_get_bos_as_the_prompt_does():
    model = subject("gpt2").model
    for prepend_bos in (True, False):
        run = model.run("Mary went to the store", prepend_bos=prepend_bos)
        reference = run.ablate("L0H0", "resample", reference="John went to the store").ablation.reference
        assert reference.prepend_bos == run.prepend_bos == prepend_bos
