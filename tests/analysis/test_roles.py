"""Roles: each criterion at its edges, and the attention under a patched edge against a model computed by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from attnwidget import Head, detect_heads, load_model
from attnwidget.analysis import circuitroles
from attnwidget.analysis.circuitroles import (
    INHIBITION,
    MOVER,
    NEGATIVE,
    inhibition_roles,
    kind_roles,
    mover_roles,
    occurrences,
    patched_attention,
    roles_of,
)
from attnwidget.analysis.edgegraph import make_graph
from attnwidget.analysis.patching import make_pair
from tests.models import D_HEAD, HEADS, IDS, OTHER_IDS, WIDTH, induction_model, subject

TARGET, OTHER = 7, 5
HEAD = Head(1, 0)


def looking(*row, ids=(0, TARGET, 3, OTHER, 4)):
    """A stand-in for a run in which every head looks from the last position as `row` says."""
    pattern = torch.zeros(len(ids), len(ids))
    pattern[-1] = torch.tensor(row)
    vocabulary = SimpleNamespace(text=lambda i: f" t{i}")
    model = SimpleNamespace(causal=True, vocabulary=vocabulary)
    return SimpleNamespace(ids=ids, tokens=[f" t{i}" for i in ids], pattern=lambda head: pattern, model=model)


def judged(run, effect=1.0, edge="L1H0 → logits", target=TARGET):
    graph = make_graph(2, 3, 3)
    return mover_roles(run, graph, {graph.find(edge): effect}, target, 4)


def test_a_name_mover_looks_at_the_target_and_helps():
    role = judged(looking(0.4, 0.3, 0.1, 0.1, 0.1))[HEAD]
    assert role.name == MOVER and role.shown == (
        "attention 0.300 to “t7” at token 1, at most 0.100 elsewhere but the first; effect of its edge into logits 1.00"
    )
    assert judged(looking(0.4, 0.3, 0.1, 0.1, 0.1), -1.0)[HEAD].name == NEGATIVE


@pytest.mark.parametrize(
    ("row", "found"),
    [
        ((0.60, 0.21, 0.09, 0.05, 0.05), True),
        ((0.60, 0.19, 0.09, 0.07, 0.05), False),  # too little
        ((0.30, 0.30, 0.10, 0.29, 0.01), True),
        ((0.30, 0.29, 0.10, 0.30, 0.01), False),  # more to another
        ((0.10, 0.40, 0.05, 0.05, 0.40), False),  # as much to itself
        ((0.99, 0.004, 0.002, 0.002, 0.002), False),  # at rest
    ],
)
def test_the_target_must_be_looked_at_most_but_for_the_first(row, found):
    assert (HEAD in judged(looking(*row))) == found


def test_what_is_not_in_the_circuit_or_not_in_the_prompt_is_no_mover():
    row = (0.2, 0.5, 0.1, 0.1, 0.1)
    assert (
        not judged(looking(*row), 0.0)
        and not judged(looking(*row), edge="L0H0 → L1H0.q")
        and not judged(looking(*row), edge="MLP 1 → logits")
    )
    assert not judged(looking(*row), target=9)
    # A target that stands at the first place alone: whether a head rests there or looks for it cannot be told.
    assert not judged(looking(0.9, 0.02, 0.02, 0.03, 0.03, ids=(TARGET, 1, 2, 3, 4)))
    # Of several occurrences one must be looked at most; the others are the target too.
    assert judged(looking(0.1, 0.35, 0.3, 0.2, 0.05, ids=(0, TARGET, TARGET, 3, 4)))[HEAD].shown.startswith("attention 0.350")


def test_occurrences_are_those_that_can_be_seen():
    run = looking(0, 0, 0, 0, 1, ids=(7, 7, 3, 7, 7))
    assert occurrences(run, 7, 3) == [1, 3]
    run.model.causal = False
    assert occurrences(run, 7, 2) == [1, 3, 4]


# -- the hand-built model -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pair():
    drawn = (torch.randperm(15, generator=torch.Generator().manual_seed(0)) + 1).tolist()
    model, once, other = load_model(induction_model()), drawn[:7], drawn[7:14]
    return make_pair(model.run([0, *once, *once]), model.run([0, *other, *once]), target=once[0], against=once[1])


def test_the_hand_built_heads_have_their_roles(pair):
    graph = pair.graph
    effects = {graph.find(label): value for label, value in (("L1H0 → logits", 9.9), ("L1H1 → logits", -2.5), ("L0H0 → L1H0.k", 9.9))}
    kinds = detect_heads(pair.clean.model, length=8, prefix=[0])
    heads = [Head(0, 0), Head(1, 0), Head(1, 1)]
    measure = pair.measure
    found = roles_of(pair, effects, heads, kinds, measure.target, measure.against, measure.position)
    assert {str(head): [role.name for role in roles] for head, roles in found.items()} == {
        "L0H0": ["previous-token"],
        "L1H0": ["induction", MOVER],
        "L1H1": ["induction", NEGATIVE],
    }
    # The numbers of the criterion, in words.
    assert found[Head(0, 0)][0].shown == f"score 1.00, chance 0.152, threshold 0.4; {kinds.setting}"
    assert "score 0.996" in found[Head(1, 0)][0].shown
    # L0H1 is a duplicate-token head, but it is not in the circuit.
    assert kinds.heads("duplicate_token") == [Head(0, 1)] and Head(0, 1) not in kind_roles(heads, kinds)
    assert roles_of(pair, effects, heads, None, None, None, measure.position) == {}


# -- attention under a patched edge -------------------------------------------------------------------------------------


def by_hand(s, layer, head, delta, ids):
    """GPT-2's attention of one head whose queries read the clean stream + delta: its own norm and projection, in plain PyTorch."""
    block, seen = s.block(layer), []
    hook = block.register_forward_pre_hook(lambda _m, args: seen.append(args[0]))
    s.clean(ids)
    hook.remove()
    with torch.no_grad():
        x = seen[0][0]
        of = lambda stream: block.attn.c_attn(block.ln_1(stream))  # noqa: E731
        q = of(x + delta)[:, :WIDTH].reshape(len(ids), HEADS, D_HEAD)[:, head]
        k = of(x)[:, WIDTH : 2 * WIDTH].reshape(len(ids), HEADS, D_HEAD)[:, head]
        scores = q @ k.T / D_HEAD**0.5
        future = torch.ones(len(ids), len(ids), dtype=torch.bool).triu(1)
        return scores.masked_fill(future, -torch.inf).softmax(-1)


def written_by_hand(s, layer, head, ids):
    weight = s.projection(layer).weight[head * D_HEAD : (head + 1) * D_HEAD].detach()
    return s.z(layer, ids)[:, head] @ weight


@pytest.mark.parametrize("kind", ["plain", "bridge"])
def test_the_patched_attention_is_that_of_the_model_by_hand(kind):
    s = subject("gpt2", kind)
    run = s.model.run(IDS)
    pair = make_pair(run, s.model.run(OTHER_IDS))
    delta = written_by_hand(s, 0, 1, OTHER_IDS) - written_by_hand(s, 0, 1, IDS)
    found = patched_attention(run, pair.traces[0].parts, Head(2, 3), delta, 6)
    expected = by_hand(s, 2, 3, delta, IDS)[6]
    assert found.numpy() == pytest.approx(expected.numpy(), abs=2e-5)
    assert np.abs(found.numpy() - run.pattern("L2H3")[6].numpy()).max() > 1e-3


def test_inhibition_is_measured_edge_by_edge(monkeypatch):
    """With the threshold just under the rise that is computed by hand the role is there, with it just over it is not."""
    s = subject("gpt2")
    pair = make_pair(s.model.run(IDS), s.model.run(OTHER_IDS))
    graph, mover, position = pair.graph, Head(2, 3), 7
    against = IDS[3]  # it stands at 1, too
    places = [i for i in range(1, position + 1) if IDS[i] == against]
    assert len(places) == 2
    before = s.patterns(2, IDS)[3][position][places].sum().item()
    rises = {}
    for head in range(HEADS):
        delta = written_by_hand(s, 0, head, OTHER_IDS) - written_by_hand(s, 0, head, IDS)
        rises[head] = by_hand(s, 2, 3, delta, IDS)[position][places].sum().item() - before
    edges = [graph.find(f"L0H{head} → L2H3.q") for head in range(HEADS)] + [graph.find("L0H0 → L2H2.q"), graph.find("MLP 0 → L2H3.q")]
    for head, rise in rises.items():
        for slack, inside in ((-1e-4, True), (1e-4, False)):
            monkeypatch.setattr(circuitroles, "RAISES", rise + slack)
            found = inhibition_roles(pair, edges, [mover], against, position)
            assert (Head(0, head) in found) == inside
    monkeypatch.setattr(circuitroles, "RAISES", -1.0)
    found = inhibition_roles(pair, edges, [mover], against, position)
    assert set(found) == {Head(0, head) for head in range(HEADS)} and all(role.name == INHIBITION for role in found.values())
    assert "with its edge into L2H3.q patched, L2H3's attention to" in found[Head(0, 0)].shown
    assert inhibition_roles(pair, edges, [], against, position) == {} and inhibition_roles(pair, edges, [mover], 329, position) == {}
