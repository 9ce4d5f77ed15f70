"""Information flow: conserved, by hand on the hand-built model, and edge by edge against a plain recomputation of GPT-2 and Llama."""

from collections import defaultdict
from contextlib import ExitStack

import numpy as np
import pytest
import torch

from attnwidget import load_model
from attnwidget.analysis import informationflow
from attnwidget.analysis.edgegraph import edge_graph
from attnwidget.analysis.informationflow import information_flow
from tests.models import D_HEAD, HEADS, IDS, LAYERS, induction_model, induction_prompt, subject

MODELS = [("gpt2", "plain"), ("llama", "plain"), ("gptneox", "plain"), ("llama", "bridge")]


def flow_of(run, position=None):
    graph = edge_graph(run)
    scores = information_flow(run, graph, run.position(position))
    return graph, scores


# -- by hand ------------------------------------------------------------------------------------------------------------


def test_the_hand_built_model_by_hand():
    """At the last position the stream is token + position + previous token + what L1H0 and L1H1 write, each on axes of its own: 2 of its
    size is the embedding, 1 L0H0's. L1H1 takes away 2.5 of the 10 that L1H0 writes, so it has no share, and L1H0 has 7.5 − 2.5 = 5."""
    run = load_model(induction_model()).run(induction_prompt())
    graph, scores = flow_of(run)
    found = {graph.label(e): scores[e] for e in np.flatnonzero(scores)}
    through = 5 / 8  # and at the token it copies, two thirds of the stream are the embedding's and one L0H0's
    expected = {
        "embed → logits": 2 / 8,
        "L0H0 → logits": 1 / 8,
        "L1H0 → logits": through,
        "embed → L1H0.v": through * 2 / 3,
        "L0H0 → L1H0.v": through / 3,
        "embed → L0H0.v": 1 / 8 + through / 3,
    }
    assert found == pytest.approx(expected, abs=2e-3)  # attention is 0.995 on that token
    assert scores[graph.starts[-2] :].sum() == pytest.approx(1) and scores[graph.source == 0].sum() == pytest.approx(1)


# -- conservation -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "kind"), MODELS)
@pytest.mark.parametrize("position", [8, 3])
def test_what_leaves_the_answer_arrives_at_the_embedding(name, kind, position):
    run = subject(name, kind).model.run(IDS)
    graph, scores = flow_of(run, position)
    assert (scores >= 0).all()
    assert scores[graph.starts[-2] :].sum() == pytest.approx(1, abs=1e-9)
    assert scores[graph.source == 0].sum() == pytest.approx(1, abs=1e-9)
    came, went = defaultdict(float), defaultdict(float)
    for edge, score in enumerate(scores):
        went[int(graph.source[edge])] += score
        nodes = graph.destinations[graph.destination[edge]].nodes
        if graph.destinations[graph.destination[edge]].input in ("q", "k"):
            assert score == 0
        else:
            came[nodes] += score
    for nodes, score in came.items():
        if nodes != (len(graph.nodes) - 1,):
            assert score == pytest.approx(sum(went[node] for node in nodes), abs=1e-9)


# -- from the model's own parts -----------------------------------------------------------------------------------------


def plain(s, ids):
    """What every part of the twin wrote and read, with hooks of its own: streams, per head `A v W_O` key by key, MLP outputs."""
    blocks = [s.block(layer) for layer in range(LAYERS)]
    seen = defaultdict(list)
    with ExitStack() as hooks:
        for layer, block in enumerate(blocks):
            values = block.get_submodule(s.spec.values)
            hooks.callback(block.register_forward_pre_hook(lambda _m, args, i=layer: seen["pre", i].append(args[0])).remove)
            hooks.callback(values.register_forward_hook(lambda _m, _a, out, i=layer: seen["v", i].append(out)).remove)
            hooks.callback(block.mlp.register_forward_hook(lambda _m, _a, out, i=layer: seen["mlp", i].append(out)).remove)
            out = s.projection(layer)
            hooks.callback(out.register_forward_hook(lambda _m, _a, out, i=layer: seen["attn", i].append(out)).remove)
            if layer == LAYERS - 1:
                end = lambda _m, _a, out: seen["end", 0].append(out[0] if isinstance(out, tuple) else out)  # noqa: E731
                hooks.callback(block.register_forward_hook(end).remove)
        s.clean(ids)
    one = {key: value[0][0].double() for key, value in seen.items()}
    heads, mids = {}, {}
    for layer in range(LAYERS):
        weight = s.projection(layer).weight.double()
        weight = weight if s.spec.name == "gpt2" else weight.T  # Conv1D stores [in, out], Linear [out, in]
        v = one["v", layer] if s.spec.fused is None else s.spec.fused(one["v", layer][None])[0]
        v = v.reshape(len(ids), -1, D_HEAD)
        pattern = s.patterns(layer, ids).double()
        for h in range(HEADS):
            f = v[:, h * v.shape[1] // HEADS] @ weight[h * D_HEAD : (h + 1) * D_HEAD]
            heads[layer, h] = pattern[h][:, :, None] * f[None]  # [query, key, d_model]
        mids[layer] = one["pre", layer] + one["attn", layer]
    return one, heads, mids


def naive(s, ids, position):
    """{label: flow}, by recursion from the answer, one position and one component at a time."""
    one, heads, mids = plain(s, ids)
    found = defaultdict(float)
    each = HEADS // s.spec.kv_heads

    def before(layer, own_heads):
        yield "embed", None, one["pre", 0]
        for i in range(layer + own_heads):
            for h in range(HEADS):
                yield f"L{i}H{h}", (i, h), heads[i, h].sum(1)
            if i < layer:
                yield f"MLP {i}", i, one["mlp", i]

    def share(y, parts):
        sizes = [max(0.0, (y.abs().sum() - (y - x).abs().sum()).item()) for x in parts]
        return [size / sum(sizes) if sum(sizes) else 0.0 for size in sizes]

    def into(end, y, sources, at, amount):
        sources = list(sources)
        for (label, which, _), part in zip(sources, share(y[at], [out[at] for _, _, out in sources]), strict=True):
            if amount * part > 0:
                found[f"{label} → {end}"] += amount * part
                out_of(which, at, amount * part)

    def out_of(which, at, amount):
        if amount < 1e-7 or which is None:  # too little to change what is compared
            return
        if isinstance(which, int):
            into(f"MLP {which}", mids[which], before(which, 1), at, amount)
            return
        layer, h = which
        end = f"L{layer}H{h}.v" if each == 1 else f"L{layer} group {h // each}.v"
        addends = heads[layer, h][at]
        for key, part in enumerate(share(addends.sum(0), list(addends))):
            if part > 0:
                into(end, one["pre", layer], before(layer, 0), key, amount * part)

    into("logits", one["end", 0], before(LAYERS, 0), position, 1.0)
    return found


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_it_is_what_the_models_own_parts_give(name):
    s, ids = subject(name), IDS[:5]
    with torch.no_grad():
        expected = naive(s, ids, 4)
    graph, scores = flow_of(s.model.run(ids), 4)
    assert len(expected) > 60
    for edge in range(len(graph)):
        assert scores[edge] == pytest.approx(expected.get(graph.label(edge), 0), abs=1e-4), graph.label(edge)


@pytest.mark.parametrize("name", ["llama", "gptneox"])
def test_little_memory_changes_nothing(name, monkeypatch):
    run = subject(name).model.run(IDS)
    graph, scores = flow_of(run)
    monkeypatch.setattr(informationflow, "_NUMBERS", 100)
    assert information_flow(run, graph, 8) == pytest.approx(scores, abs=1e-6)  # what heads write is in float32


def test_it_is_of_the_clean_run_and_can_be_cancelled():
    model = subject("llama").model
    run = model.run(IDS)
    graph, scores = flow_of(run)
    assert np.array_equal(information_flow(run.ablate("L1H1"), graph, 8), scores)

    class Stop(Exception):
        pass

    def stop(done, total, text):
        if done:
            raise Stop

    before = run.logits
    with pytest.raises(Stop):
        information_flow(run, graph, 8, stop)
    assert model.run(IDS).logits.equal(before)
