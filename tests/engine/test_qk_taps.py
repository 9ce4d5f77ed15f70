"""Queries and keys, as they enter the dot product: read, replaced, and left alone."""

from __future__ import annotations

import pytest
import torch

from attnwidget import load_model
from attnwidget.engine import Edit, scores_refused

from ..models import ALL, HEADS, IDS, LAYERS, SPECS, WINDOW, fresh, induction_model, induction_prompt, name_of, subject

# These compute attention in a way of their own, out of reach of the function that is registered with transformers.
WITHOUT = {(name, "plain") for name in ("gptj", "gptneo", "bloom", "falcon")}
WITH = [pair for pair in ALL if pair not in WITHOUT]
# Alibi adds a slope to the scores, and sinks take a share: rows are not uniform when the scores are zero.
UNIFORM = [pair for pair in WITH if pair[0] not in ("bloom", "gptoss")]
N = len(IDS)
every = pytest.mark.parametrize("pair", WITH, ids=name_of)


def far(a, b):
    return (a - b).abs().max().item()


def engine_of(pair):
    engine = subject(*pair).model.engine
    return engine, engine.record(torch.tensor([IDS]))


def pattern(engine, recording, layer, *edits):
    """[head, query, key] of a layer under edits in it."""
    passed = engine.resume(recording, edits, start=layer, stop=layer + 1, capture=[("pattern", layer)])
    return passed.captured["pattern", layer][0]


def zeroing(layer, site, *heads):
    def zero(states):
        new = states.clone()
        new[:, :, list(heads)] = 0
        return new

    return Edit(layer, site, zero)


def allowed(name, layer, n=N):
    """Which keys a query may look at, [query, key]: from each model's documentation, not from its masks."""
    q, k = torch.arange(n)[:, None], torch.arange(n)
    window = {"gemma2": (0, 2), "gptneo": (1,), "gptoss": (0, 2)}.get(name, ())
    seen = (k <= q) if SPECS[name].causal else torch.ones(n, n, dtype=torch.bool)
    return seen & (q - k < WINDOW) if layer in window else seen


@pytest.mark.parametrize("pair", UNIFORM, ids=name_of)
@pytest.mark.parametrize("site", ["q", "k"])
def test_without_queries_or_keys_a_head_looks_at_all_it_may_see(pair, site):
    engine, recording = engine_of(pair)
    groups = HEADS // SPECS[pair[0]].kv_heads
    for layer in range(LAYERS):
        clean = pattern(engine, recording, layer)
        index = 1 if site == "q" or groups < HEADS else 0
        emptied = [1] if site == "q" else list(range(index * groups, (index + 1) * groups))
        may = allowed(pair[0], layer).float()
        zeroed = pattern(engine, recording, layer, zeroing(layer, site, index))
        assert far(zeroed[emptied], (may / may.sum(-1, keepdim=True)).expand(len(emptied), N, N)) <= 1e-6
        kept = [h for h in range(HEADS) if h not in emptied]
        assert far(clean[emptied], zeroed[emptied]) > 0.01
        assert torch.equal(clean[kept], zeroed[kept])


@every
def test_the_output_follows_the_pattern_that_results(pair):
    """Replacing the query by another must be the same as replacing the pattern by the one that this gives."""
    s = subject(*pair)
    engine, recording = engine_of(pair)
    edit = zeroing(1, "q", 2)
    through = engine.resume(recording, [edit], start=1, stop=2).resid[-1]
    made = pattern(engine, recording, 1, edit)

    def replace(old):
        new = old.clone()
        new[:, 2] = made[2]
        return new

    assert far(through, recording.resid[2]) > 1e-3
    assert far(through, engine.resume(recording, [Edit(1, "pattern", replace)], start=1, stop=2).resid[-1]) <= 2e-5
    whole = engine.logits(recording, engine.resume(recording, [edit]).resid[-1])
    assert far(whole, s.clean()) > 1e-3


@every
def test_layouts_and_doing_nothing(pair):
    spec = SPECS[pair[0]]
    engine, recording = engine_of(pair)
    sites = [(site, layer) for site in ("q", "k", "pattern") for layer in range(LAYERS)]
    seen = engine.record(torch.tensor([IDS]), sites)
    for layer in range(LAYERS):
        assert seen.captured["q", layer].shape == (1, N, HEADS, 8)
        assert seen.captured["k", layer].shape == (1, N, spec.kv_heads, 8)
    assert torch.equal(seen.resid[-1], recording.resid[-1])
    same = [Edit(layer, site, lambda states: states.clone()) for layer in range(LAYERS) for site in ("q", "k")]
    passed = engine.resume(recording, same, capture=[("pattern", 2)])
    assert torch.equal(passed.resid[-1], recording.resid[-1])
    assert torch.equal(passed.captured["pattern", 2], seen.captured["pattern", 2])


# How each makes scores of what enters the dot product; rotation, where there is any, is behind it.
SCORES = {
    ("gpt2", "plain"): lambda s: s * 8**-0.5,
    ("gpt2", "bridge"): lambda s: s * 8**-0.5,
    ("bert", "bridge"): lambda s: s * 8**-0.5,
    ("opt", "bridge"): lambda s: s * 8**-0.5,
    ("gptneo", "bridge"): lambda s: s,  # it does not scale
    ("llama", "plain"): lambda s: s * 8**-0.5,
    ("llama", "bridge"): lambda s: s * 8**-0.5,
    ("gptneox", "plain"): lambda s: s * 8**-0.5,
    ("mixtral", "bridge"): lambda s: s * 8**-0.5,
    ("gemma2", "plain"): lambda s: 2 * torch.tanh(s * 256**-0.5 / 2),
    ("gemma2", "bridge"): lambda s: 2 * torch.tanh(s * 256**-0.5 / 2),
}


@pytest.mark.parametrize("pair", SCORES, ids=name_of)
def test_the_pattern_is_made_of_them(pair):
    engine, _ = engine_of(pair)
    sites = [(site, layer) for site in ("q", "k") for layer in range(LAYERS)]
    captured = engine.record(torch.tensor([IDS]), sites).captured
    for layer in range(LAYERS):
        q, k = captured["q", layer][0], captured["k", layer][0]
        k = k.repeat_interleave(HEADS // k.shape[1], 1)
        scores = SCORES[pair](torch.einsum("qhd,khd->hqk", q, k)).masked_fill(~allowed(pair[0], layer), -torch.inf)
        assert far(scores.softmax(-1), subject(*pair).patterns(layer)) <= 1e-5


@pytest.mark.parametrize("pair", ALL, ids=name_of)
def test_whether_they_work_is_measured(pair):
    engine, recording = engine_of(pair)
    reason = scores_refused(engine, recording)
    assert (reason is not None) == (pair in WITHOUT)
    if reason is not None:
        assert engine.anatomy.taps["q"] == engine.anatomy.taps["k"] == []
        assert "cannot be reached" in reason


def test_the_hand_built_induction_heads():
    """L1H0 with nothing in its key looks at every token alike; its scores are 8 for a match and 0 else.

    A key holds the token before it, and the first key its own, since L0H0 has nowhere else to look."""
    engine = load_model(induction_model()).engine
    ids = induction_prompt()
    recording = engine.record(torch.tensor([ids]), [("q", 1), ("k", 1)])
    assert scores_refused(engine, recording) is None
    scores = recording.captured["q", 1][0, :, 0] @ recording.captured["k", 1][0, :, 0].T / 32**0.5
    matches = torch.tensor([[float(ids[max(k - 1, 0)] == token) for k in range(17)] for token in ids])
    assert far(scores, 8 * matches) <= 1e-4
    assert far(pattern(engine, recording, 1, zeroing(1, "k", 0))[0, -1], torch.full((17,), 1 / 17)) <= 1e-7


@pytest.mark.parametrize("pair", [("llama", "plain"), ("bert", "bridge")], ids=name_of)
def test_taps_that_lead_nowhere_are_found_out(pair):
    """Taps of another layer, and of another part."""
    engine = fresh(*pair).model.engine
    right = dict(engine.anatomy.taps)
    recording = engine.record(torch.tensor([IDS]))
    engine.anatomy.taps["q"] = right["q"][1:] + right["q"][:1]
    assert "layer 0" in scores_refused(engine, recording)
    engine = fresh(*pair).model.engine
    engine.anatomy.taps["k"] = engine.anatomy.taps["v"]
    assert "layer 0" in scores_refused(engine, engine.record(torch.tensor([IDS])))


class OtherOrder:
    """A tap that takes one head for another."""

    def __init__(self, tap):
        self.tap = tap

    def attach(self, hook):
        def flipped(states):
            new = hook(states.flip(2))
            return None if new is None else new.flip(2)

        return self.tap.attach(flipped)


@pytest.mark.parametrize("pair", [("llama", "plain"), ("gpt2", "bridge")], ids=name_of)
def test_taps_that_take_one_head_for_another_are_found_out(pair):
    """With all heads zero nothing shows: it takes a single one."""
    engine = fresh(*pair).model.engine
    engine.anatomy.taps["q"] = [OtherOrder(tap) for tap in engine.anatomy.taps["q"]]
    assert "layer 0" in scores_refused(engine, engine.record(torch.tensor([IDS])))


@pytest.mark.parametrize("pair", [("llama", "plain"), ("llama", "bridge")], ids=name_of)
def test_they_can_be_differentiated(pair):
    """The gradient in q of a sum of patterns weighted by w is that of softmax by hand."""
    engine, recording = engine_of(pair)
    clean = engine.record(torch.tensor([IDS]), [("q", 1), ("k", 1)]).captured
    q = clean["q", 1].clone().requires_grad_()
    passed = engine.resume(recording, [Edit(1, "q", lambda _: q)], stop=2, capture=[("pattern", 1)], grad=True)
    p = passed.captured["pattern", 1]
    weights = torch.randn(p.shape, generator=torch.Generator().manual_seed(0))
    (gradient,) = torch.autograd.grad((p * weights).sum(), q)
    p, k = p[0].detach(), clean["k", 1][0].repeat_interleave(2, 1)
    through = p * (weights[0] - (p * weights[0]).sum(-1, keepdim=True))
    assert far(gradient[0], torch.einsum("hqk,khd->qhd", through, k) * 8**-0.5) <= 1e-6
