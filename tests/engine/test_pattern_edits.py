"""Each pattern mode against `z = P'v`, worked out in plain PyTorch with values read by a hook on the untouched model."""

from __future__ import annotations

import pytest
import torch

from ..models import HEADS, IDS, PATTERN_MODES, fresh, name_of, subject, with_pattern

every = pytest.mark.parametrize("pair", PATTERN_MODES, ids=name_of)
N = len(IDS)
# z = P'v by hand and inside the model are the same sums in another order.
CLOSE = 2e-5


def far(a, b):
    return (a - b).abs().max().item()


def uniform(causal):
    rows = [[1 / (q + 1) if k <= q else 0 for k in range(N)] if causal else [1 / N] * N for q in range(N)]
    return torch.tensor(rows)


@every
def test_uniform(pair):
    s = subject(*pair)
    ablated = s.model.run(IDS).ablate("L1H2", "uniform")
    expected = s.edited({1: with_pattern(2, uniform(s.spec.causal))})
    assert far(expected, s.clean()) > 0.01
    assert far(ablated.logits, expected) <= CLOSE
    assert far(ablated.pattern("L1H2"), uniform(s.spec.causal)) <= 1e-7
    # The neighbours keep theirs.
    kept = [h for h in range(HEADS) if h != 2]
    assert far(ablated.patterns(1)[kept], s.patterns(1)[kept]) <= s.exact


@every
def test_first_token(pair):
    s = subject(*pair)
    sink = torch.zeros(N, N)
    sink[:, 0] = 1
    assert far(s.model.run(IDS).ablate("L0H3", "first_token").logits, s.edited({0: with_pattern(3, sink)})) <= CLOSE


@every
def test_previous_takes_the_clean_pattern_one_layer_down(pair):
    s = subject(*pair)
    ablated = s.model.run(IDS).ablate(["L1H1", "L2H1", "L2H0"], "previous")
    below = {layer: s.patterns(layer - 1) for layer in (1, 2)}

    def both(z, v):
        return with_pattern(0, below[2][0])(with_pattern(1, below[2][1])(z, v), v)

    expected = s.edited({1: with_pattern(1, below[1][1]), 2: both})
    assert far(ablated.logits, expected) <= CLOSE


@every
def test_random_is_seeded_and_lawful(pair):
    s = subject(*pair)
    run = s.model.run(IDS)
    ablated = run.ablate(["L1H1", "L1H2"], "random", seed=7)
    patterns = {head: ablated.pattern((1, head)) for head in (1, 2)}
    for pattern in patterns.values():
        assert (pattern >= 0).all()
        assert far(pattern.sum(-1), torch.ones(N)) <= 1e-6
        assert not s.spec.causal or pattern.triu(1).abs().max() == 0
        assert s.spec.causal or (pattern > 0).all()
    assert far(patterns[1], patterns[2]) > 0.01, "each head draws its own"

    def both(z, v):
        return with_pattern(2, patterns[2])(with_pattern(1, patterns[1])(z, v), v)

    assert far(ablated.logits, s.edited({1: both})) <= CLOSE
    assert torch.equal(run.ablate(["L1H2", "L1H1"], "random", seed=7).logits, ablated.logits)
    assert torch.equal(run.ablate("L1H2", "random", seed=7).pattern("L1H2"), patterns[2]), "whoever is ablated beside it"
    assert far(run.ablate("L1H2", "random", seed=8).pattern("L1H2"), patterns[2]) > 0.01


@every
def test_a_zero_pattern_is_a_zero_z(pair):
    from attnwidget.engine import Edit

    s = subject(*pair)
    engine = s.model.engine
    recording = engine.record(torch.tensor([IDS]))

    def blank(pattern):
        pattern = pattern.clone()
        pattern[:, 1] = 0
        return pattern

    passed = engine.resume(recording, [Edit(1, "pattern", blank)])
    assert far(engine.logits(recording, passed.resid[-1])[0], s.zeroed([(1, 1)])) <= s.exact


@every
def test_only_the_chosen_queries_change(pair):
    s = subject(*pair)
    ablated = s.model.run(IDS).ablate("L1H2", "uniform", positions=[3, -2])

    def some(z, v):
        new = with_pattern(2, uniform(s.spec.causal))(z.clone(), v)
        z[[3, 7]] = new[[3, 7]]
        return z

    expected = s.edited({1: some})
    assert far(ablated.logits, expected) <= CLOSE
    kept = [q for q in range(N) if q not in (3, 7)]
    assert far(ablated.pattern("L1H2")[kept], s.patterns(1)[2][kept]) <= s.exact
    if s.spec.causal:
        # The experts of a mixture take the tokens routed to them as one batch, whose size is part of the rounding.
        assert far(ablated.logits[:3], s.clean()[:3]) <= (1e-5 if s.spec.name in ("gptoss", "mixtral") else s.exact)


@every
def test_an_ablated_run_shows_the_patterns_that_act_in_it(pair):
    """Above an ablated head, patterns are those of a model whose head is ablated, not the clean ones."""
    s = subject(*pair)
    ablated = s.model.run(IDS).ablate(["L0H0", "L1H2"])
    twin = []
    hook = s.projection(0).register_forward_pre_hook(lambda _m, args: (torch.cat([args[0][..., :8] * 0, args[0][..., 8:]], -1),))
    try:
        twin = s.patterns(1)
    finally:
        hook.remove()
    assert far(twin, s.patterns(1)) > 1e-3
    assert far(ablated.patterns(1), twin) <= 1e-5
    assert far(ablated.patterns(0), s.patterns(0)) <= s.exact


@pytest.mark.parametrize("pair", [(n, k) for n in ("llama", "gemma2", "gpt2") for k in ("plain", "bridge")], ids=name_of)
def test_through_values_is_the_same_edit(pair):
    """`z = P'v` where the pattern could have been edited in place: also with grouped values, and at some positions only."""
    s = fresh(*pair)
    run = s.model.run(IDS)
    s.model.engine.pattern_edits_live = False
    ablated = run.ablate(["L1H1", "L1H2"], "uniform")

    def both(z, v):
        return with_pattern(2, uniform(True))(with_pattern(1, uniform(True))(z, v), v)

    assert far(ablated.logits, s.edited({1: both})) <= CLOSE
    assert far(ablated.pattern("L1H2"), uniform(True)) <= 1e-7
    some = run.ablate("L2H2", "first_token", positions=[4, 6])
    s.model.engine.pattern_edits_live = True
    assert far(some.logits, run.ablate("L2H2", "first_token", positions=[4, 6]).logits) <= CLOSE
