"""Edges and circuits of a `HookedTransformer`, beside its own hooks on the inputs of its heads."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from attnwidget import ModelError, load_model
from attnwidget.analysis.edgeattribution import edge_attribution
from attnwidget.analysis.patching import circuit_effects, edge_effects, make_pair

from .test_hooked import D_HEAD, HEADS, IDS, KINDS, OTHER_IDS, N, build

GROUPED = ("rotary, grouped", "ungrouped")


def pair_of(kind):
    model = build(kind)
    twin = copy.deepcopy(model)
    attached = load_model(model)
    return make_pair(attached.run(IDS), attached.run(OTHER_IDS)), twin


def metric(logits, pair):
    """Between the first choices on the two prompts."""
    return logits[0, N - 1, pair.measure.target] - logits[0, N - 1, pair.measure.against]


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_all_edges_none_and_all_but_one(kind):
    pair, twin = pair_of(kind)
    n, graph = len(pair.graph), pair.graph
    clean, other = (metric(twin(torch.tensor([ids]), prepend_bos=False), pair).item() for ids in (IDS, OTHER_IDS))
    found = circuit_effects(pair, [np.ones(n, bool), np.zeros(n, bool)])
    assert found == pytest.approx([0, clean - other], abs=1e-4) and abs(clean - other) > 0.05
    assert graph.parallel == (kind == "parallel") and graph.has_mlp == (kind != "attention only")
    edges = np.random.default_rng(0).choice(n, 25, replace=False)
    lacking = circuit_effects(pair, [np.arange(n) != edge for edge in edges])
    assert edge_effects(pair, edges) == pytest.approx(lacking, abs=1e-4) and np.abs(lacking).max() > 1e-2


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in GROUPED])
@torch.no_grad()
def test_edges_by_its_own_hooks(kind):
    """A hook adds to one input of a copy what the source writes in the other run less what it writes in this one."""
    pair, twin = pair_of(kind)
    twin.set_use_split_qkv_input(True)
    if kind != "attention only":
        twin.set_use_hook_mlp_in(True)
    caches = [twin.run_with_cache(torch.tensor([ids]), prepend_bos=False)[1] for ids in (IDS, OTHER_IDS)]

    def written(cache, node):
        if node.kind == "embed":
            return cache["blocks.0.hook_resid_pre"]
        if node.kind == "mlp":
            return cache[f"blocks.{node.layer}.hook_mlp_out"]
        return cache[f"blocks.{node.layer}.attn.hook_z"][:, :, node.head] @ twin.W_O[node.layer, node.head]

    clean, graph = metric(twin(torch.tensor([IDS]), prepend_bos=False), pair).item(), pair.graph
    edges, expected = np.random.default_rng(1).choice(len(graph), 40, replace=False), []
    for edge in edges:
        source, to = graph.nodes[graph.source[edge]], graph.destinations[graph.destination[edge]]
        change = written(caches[1], source) - written(caches[0], source)
        name = f"blocks.{to.layer}.hook_{to.input}_input"
        if to.input == "mlp":
            name = f"blocks.{to.layer}.hook_mlp_in"
        elif to.input == "logits":
            name = f"blocks.{to.layer - 1}.hook_resid_post"

        def add(value, hook, change=change, to=to):
            new = value.clone()
            if to.readers:
                new[:, :, to.readers[0].head] += change
            else:
                new += change
            return new

        logits = twin.run_with_hooks(torch.tensor([IDS]), prepend_bos=False, fwd_hooks=[(name, add)])
        expected.append(clean - metric(logits, pair).item())
    assert edge_effects(pair, edges) == pytest.approx(expected, abs=1e-4) and np.abs(expected).max() > 1e-2


@pytest.mark.parametrize("kind", KINDS)
def test_edges_of_the_embedding_add_up_to_its_slope(kind):
    pair, twin = pair_of(kind)
    with torch.no_grad():
        entered = [twin.run_with_cache(torch.tensor([ids]), prepend_bos=False)[1]["blocks.0.hook_resid_pre"] for ids in (IDS, OTHER_IDS)]
    leaf = entered[0].clone().requires_grad_()
    logits = twin.run_with_hooks(torch.tensor([IDS]), prepend_bos=False, fwd_hooks=[("blocks.0.hook_resid_pre", lambda _value, hook: leaf)])
    (-metric(logits, pair)).backward()
    expected = ((entered[1] - entered[0]) * leaf.grad).sum().item()
    assert edge_attribution(pair, "eap")[pair.graph.source == 0].sum() == pytest.approx(expected, abs=1e-4) and abs(expected) > 1e-2


def test_groups_share_keys_and_values():
    for kind in GROUPED:
        graph = pair_of(kind)[0].graph
        names = {d.name for d in graph.destinations if d.layer == 0}
        assert {"L0 group 0.k", "L0 group 1.v", "L0H3.q"} <= names and len(names) == HEADS + 2 * 2 + 1 and D_HEAD * HEADS == 32


def test_a_head_that_is_not_added_is_refused():
    """Its second norm's scale set free: the stream that leaves a block is no longer the sum."""
    model = load_model(build("standard"))
    block = model.source.blocks[1]
    handle = block.hook_resid_post.register_forward_hook(lambda _m, _a, output: output / output.norm(dim=-1, keepdim=True))
    try:
        with pytest.raises(ModelError, match="layer 1 of this model is not just added"):
            make_pair(model.run(IDS), model.run(OTHER_IDS))
    finally:
        handle.remove()
