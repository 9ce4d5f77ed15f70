"""Which component reads which: counted, named, found again, and cut down to what leads somewhere."""

import numpy as np
import pytest

from attnwidget import AttnWidgetError, Head, ModelError
from attnwidget.analysis.edgegraph import edge_graph, make_graph
from tests.models import HEADS, IDS, LAYERS, SPECS, fresh, name_of, subject


def names(graph):
    """(source, destination) of every edge."""
    return [(graph.nodes[u].name, graph.destinations[d].name) for u, d in zip(graph.source, graph.destination, strict=True)]


@pytest.mark.parametrize(("layers", "heads"), [(1, 1), (2, 3), (12, 12)])
def test_the_count_by_formula(layers, heads):
    graph = make_graph(layers, heads, heads)
    below = [1 + layer * (heads + 1) for layer in range(layers)]
    assert len(graph) == sum(3 * heads * n + n + heads for n in below) + 1 + layers * (heads + 1)
    assert len(make_graph(12, 12, 12)) == 32491  # of GPT-2 small, as published
    assert len(make_graph(2, 3, 3, has_mlp=False)) == 3 * 3 * (1 + 4) + 7  # of the induction model: 52
    parallel = make_graph(layers, heads, heads, parallel=True)
    assert len(graph) - len(parallel) == layers * heads, "an MLP of a parallel block does not read its own layer's heads"


def test_the_edges_of_a_small_graph_one_by_one():
    graph = make_graph(2, 2, 1)
    heads, below = ["L0H0", "L0H1"], ["embed", "L0H0", "L0H1", "MLP 0"]
    first = [("embed", d) for d in ("L0H0.q", "L0H1.q", "L0 group 0.k", "L0 group 0.v")]
    second = [(u, d) for d in ("L1H0.q", "L1H1.q", "L1 group 0.k", "L1 group 0.v") for u in below]
    expected = first + [(u, "MLP 0") for u in ["embed", *heads]] + second
    expected += [(u, "MLP 1") for u in [*below, "L1H0", "L1H1"]] + [(u, "logits") for u in [*below, "L1H0", "L1H1", "MLP 1"]]
    assert names(graph) == expected
    assert [node.name for node in graph.nodes] == [*below, "L1H0", "L1H1", "MLP 1", "logits"]
    assert [node.layer for node in graph.nodes] == [-1, 0, 0, 0, 1, 1, 1, 2]
    group = next(d for d in graph.destinations if d.name == "L1 group 0.k")
    assert group.readers == (Head(1, 0), Head(1, 1)) and [graph.nodes[i].name for i in group.nodes] == ["L1H0", "L1H1"]
    assert repr(graph) == "EdgeGraph(8 nodes, 11 inputs, 36 edges)"


@pytest.mark.parametrize("shape", [(3, 4, 4), (3, 4, 2)])
@pytest.mark.parametrize("parallel", [False, True])
def test_labels_lead_back(shape, parallel):
    graph = make_graph(*shape, parallel=parallel)
    assert [graph.find(graph.label(edge)) for edge in range(len(graph))] == list(range(len(graph)))
    assert [graph.edge(int(u), int(d)) for u, d in zip(graph.source, graph.destination, strict=True)] == list(range(len(graph)))
    assert graph.find("L0H2->L1H3.q") == graph.find(" L0H2  →  L1H3.q ")
    assert len({graph.label(edge) for edge in range(len(graph))}) == len(graph)


@pytest.mark.parametrize(
    "label", ["L0H0", "L0H9 → logits", "L0H0 → L1H0.k", "L1H0 → L0H0.q", "logits → MLP 0", "MLP 1 → L1H0.q", "a → b → c"]
)
def test_labels_of_edges_that_are_not_there(label):
    with pytest.raises(AttnWidgetError, match="No edge"):
        make_graph(3, 4, 2).find(label)


def paths(graph, mask):
    """The edges of every path from embed to logits, each walked."""
    edges = [(int(graph.source[e]), set(graph.destinations[graph.destination[e]].nodes), e) for e in np.flatnonzero(mask)]
    end, kept = len(graph.nodes) - 1, set()

    def walk(node, walked):
        if node == end:
            kept.update(walked)
        for source, nodes, edge in edges:
            if source == node:
                for nxt in nodes:
                    walk(nxt, [*walked, edge])

    walk(0, [])
    return kept


@pytest.mark.parametrize("seed", range(12))
def test_pruning_leaves_the_edges_of_all_paths(seed):
    graph = make_graph(3, 2, 1 + seed % 2, parallel=seed % 3 == 0, has_mlp=seed % 4 != 1)
    rng = np.random.default_rng(seed)
    mask = rng.random(len(graph)) < (0.15, 0.3, 0.5)[seed % 3]
    before = mask.copy()
    pruned = graph.prune(mask)
    assert set(np.flatnonzero(pruned)) == paths(graph, mask)
    assert (mask == before).all() and (graph.prune(pruned) == pruned).all()


def test_pruning_everything_and_nothing():
    graph = make_graph(3, 4, 2)
    assert graph.prune(np.ones(len(graph), bool)).all() and not graph.prune(np.zeros(len(graph), bool)).any()
    for wrong in (np.ones(len(graph) - 1, bool), np.ones(len(graph)), [0, 1]):
        with pytest.raises(AttnWidgetError, match=f"mask of {len(graph)} booleans"):
            graph.prune(wrong)


def test_edges_at_a_node():
    graph = make_graph(2, 4, 2)
    at = {node.name: i for i, node in enumerate(graph.nodes)}
    one = {graph.label(e) for e in np.flatnonzero(graph.incident([at["L1H1"]]))}
    sources = [node.name for node in graph.nodes[: at["L1H0"]]]
    own = {f"{u} → L1H1.q" for u in sources} | {"L1H1 → MLP 1", "L1H1 → logits"}
    assert one == own, "the keys of a group are not those of one head alone"
    both = {graph.label(e) for e in np.flatnonzero(graph.incident([at["L1H0"], at["L1H1"]]))}
    assert {f"{u} → L1 group 0.{x}" for u in sources for x in "kv"} <= both
    assert not any("group 1" in label for label in both)
    assert {names(graph)[e][1] for e in np.flatnonzero(graph.incident([at["logits"]]))} == {"logits"}
    assert not graph.incident([]).any()


@pytest.mark.parametrize("pair", [("gpt2", "plain"), ("llama", "bridge"), ("gptneox", "plain"), ("falcon", "bridge")], ids=name_of)
def test_of_a_model(pair):
    graph = edge_graph(subject(*pair).model.run(IDS))
    parallel = pair[0] in ("gptneox", "falcon")
    assert names(graph) == names(make_graph(LAYERS, HEADS, SPECS[pair[0]].kv_heads, parallel=parallel))
    assert graph.parallel == parallel and graph.has_mlp


@pytest.mark.parametrize(
    ("pair", "reason"),
    [
        (("bert", "plain"), "as in BERT or Gemma 2"),
        (("distilbert", "plain"), "as in BERT or Gemma 2"),
        (("gemma2", "bridge"), "as in BERT or Gemma 2"),
        (("gptj", "plain"), "hand it in as a TransformerBridge"),
        (("bloom", "plain"), "hand it in as a TransformerBridge"),
    ],
)
def test_models_that_cannot_be_taken_apart(pair, reason):
    with pytest.raises(ModelError, match=reason):
        edge_graph(subject(*pair).model.run(IDS))


def test_blocks_that_cannot_be_called_alone():
    model = fresh("gpt2").model
    model.engine.resumes = False
    with pytest.raises(ModelError, match="cannot be called by themselves"):
        edge_graph(model.run(IDS))
