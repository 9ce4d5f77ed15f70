"""Edges patched one by one and circuits run alone, beside numbers worked out on paper and models computed component by component."""

from functools import cache

import numpy as np
import pytest
import torch

from attnwidget import AttnWidgetError, ModelError, load_model
from attnwidget.analysis import circuitruns
from attnwidget.analysis.edgeattribution import edge_attribution
from attnwidget.analysis.measure import METRICS
from attnwidget.analysis.patching import circuit_effects, edge_effects, faithfulness, make_pair
from attnwidget.metrics import best
from tests.analysis.by_hand import AGAINST, LAST, TARGET, doubled
from tests.analysis.edges_by_hand import HANDS, circuit, hand, one_edge
from tests.models import IDS, LAYERS, OTHER_IDS, fresh, induction_model, name_of, subject, tokenizer, unchanged, wide

# Every way the engine has, for those whose heads write by addition and whose queries and keys can be reached.
APART = [(name, "plain") for name in ("gpt2", "llama", "qwen2", "gptneox", "opt", "gptoss", "mixtral")] + [
    (name, "bridge") for name in ("gpt2", "llama", "gptneox", "opt", "gptj", "gptneo", "bloom", "falcon", "mixtral")
]
apart = pytest.mark.parametrize("pair", APART, ids=name_of)
ASKED = {"target": TARGET, "against": AGAINST}
# Models in float64: GPT-2 is that throughout; the others have norms, rotations or softmax in single precision all the same.
CLOSE = {"gpt2": 1e-9, "llama": 5e-6, "gptneox": 5e-6}


@cache
def two_runs(pair):
    model = subject(*pair).model
    return make_pair(model.run(IDS), model.run(OTHER_IDS), **ASKED)


@cache
def in_double(name):
    model = doubled(name).model
    return make_pair(model.run(IDS), model.run(OTHER_IDS), **ASKED)


def ends(graph, edge):
    return graph.nodes[graph.source[edge]].name, graph.destinations[graph.destination[edge]].name


def difference(logits):
    return (logits[LAST, TARGET] - logits[LAST, AGAINST]).item()


# -- the hand-built induction model ---------------------------------------------------------------------------------

EDGES = {
    "embed → L0H0.v": 7.462437,
    "L0H0 → L1H0.k": 9.949915,
    "L0H0 → L1H1.k": -2.487479,
    "L1H0 → logits": 9.949915,
    "L1H1 → logits": -2.487479,
}


@pytest.fixture(scope="module")
def induction():
    model = load_model(induction_model())
    once, others = list(range(1, 8)), list(range(8, 15))
    return make_pair(model.run([0, *once, *once]), model.run([0, *others, *once]), target=once[0], against=once[1])


def test_the_induction_model_has_five_edges(induction):
    graph, effects = induction.graph, edge_effects(induction, range(len(induction.graph)))
    assert len(graph) == 52 and induction.effect_of_all == pytest.approx(7.462437, abs=1e-5)
    found = {graph.label(e): effects[e] for e in range(52) if abs(effects[e]) > 1e-5}
    assert found == pytest.approx(EDGES, abs=1e-5)


def test_circuits_of_the_induction_model(induction):
    graph = induction.graph
    five = np.zeros(52, bool)
    five[[graph.find(label) for label in EDGES]] = True
    without = {label: five & (np.arange(52) != graph.find(label)) for label in EDGES}
    masks = [np.ones(52, bool), np.zeros(52, bool), five, *without.values()]
    found = faithfulness(induction, circuit_effects(induction, masks))
    dropped = {"embed → L0H0.v": 0, "L0H0 → L1H0.k": -1 / 3, "L0H0 → L1H1.k": 4 / 3, "L1H0 → logits": -1 / 3, "L1H1 → logits": 4 / 3}
    assert found == pytest.approx([1, 0, 1, *dropped.values()], abs=1e-6)
    assert found[1] == 0


# -- models computed component by component -------------------------------------------------------------------------


@cache
def by_hand_effects(name):
    """Of every edge patched alone: by its ends, the drop of the logit difference."""
    of, graph = hand(name), in_double(name).graph
    with torch.no_grad():
        (logits, clean, _), (_, other, _) = of.run(IDS), of.run(OTHER_IDS)
        return np.array(
            [difference(logits) - difference(of.run(IDS, one_edge(clean, other, *ends(graph, e)))[0]) for e in range(len(graph))]
        )


@pytest.mark.parametrize("name", HANDS)
def test_every_edge_patched_by_hand(name):
    pair = in_double(name)
    with unchanged(doubled(name).source):
        found = edge_effects(pair, range(len(pair.graph)))
    expected = by_hand_effects(name)
    assert found == pytest.approx(expected, abs=CLOSE[name]) and (np.abs(expected) > 1e-3).mean() > 0.9
    some = [40, 3, len(pair.graph) - 1, 40, 117]
    assert edge_effects(pair, some) == pytest.approx(expected[some], abs=CLOSE[name]), "in any order, and twice"
    assert edge_effects(pair, []).shape == (0,)


@pytest.mark.parametrize("name", HANDS)
@pytest.mark.parametrize("kind", ["plain", "bridge"])
def test_every_edge_in_single_precision(name, kind):
    pair = two_runs((name, kind))
    found = edge_effects(pair, range(len(pair.graph)))
    assert found == pytest.approx(by_hand_effects(name), abs=2e-4)


@pytest.mark.parametrize("name", HANDS)
def test_random_circuits_by_hand(name):
    pair, of = in_double(name), hand(name)
    rng, graph = np.random.default_rng(0), pair.graph
    masks = [rng.random(len(graph)) < share for share in (0.1, 0.3, 0.5, 0.7, 0.9, 0.97, 1, 0)]
    with torch.no_grad():
        (logits, *_), (_, other, read) = of.run(IDS), of.run(OTHER_IDS)
        kept = [{ends(graph, e) for e in np.flatnonzero(mask)} for mask in masks]
        expected = [difference(logits) - difference(of.run(IDS, circuit(other, read, edges))[0]) for edges in kept]
    with unchanged(doubled(name).source):
        found = circuit_effects(pair, iter(masks))
    assert found == pytest.approx(expected, abs=CLOSE[name]) and len({round(value, 3) for value in expected[:6]}) > 4
    assert found[-1] == pair.effect_of_all == pytest.approx(expected[-1], abs=CLOSE[name]), "of no edge at all, to the bit"
    assert circuit_effects(pair, []).shape == (0,)


# -- every architecture ---------------------------------------------------------------------------------------------


@apart
def test_all_edges_are_the_model_and_none_the_counterfactual(pair):
    s, asked = subject(*pair), two_runs(pair)
    n = len(asked.graph)
    with unchanged(s.source):
        effects = circuit_effects(asked, [np.ones(n, bool), np.zeros(n, bool)])
    clean, other = difference(s.clean()), difference(s.clean(OTHER_IDS))
    assert asked.effect_of_all == pytest.approx(clean - other, abs=1e-4) and abs(clean - other) > 0.1
    assert effects[1] == asked.effect_of_all and effects[0] == pytest.approx(0, abs=1e-4)
    assert faithfulness(asked, effects) == pytest.approx([1, 0], abs=1e-3)


@apart
def test_without_the_edges_that_a_head_feeds_it_is_patched(pair):
    """Everything that reads the head reads the counterfactual's: its z put into the untouched model, with hooks of our own."""
    s, asked = subject(*pair), two_runs(pair)
    masks, expected = [], []
    for layer, head in ((0, 1), (1, 2), (LAYERS - 1, 3)):
        node = next(i for i, n in enumerate(asked.graph.nodes) if n.name == f"L{layer}H{head}")
        masks.append(asked.graph.source != node)
        other = s.z(layer, OTHER_IDS)

        def put_in(z, _v, head=head, other=other):
            z[:, head] = other[:, head]
            return z

        expected.append(difference(s.clean()) - difference(s.edited({layer: put_in})))
    assert circuit_effects(asked, masks) == pytest.approx(expected, abs=2e-4) and np.abs(expected).min() > 1e-3


@apart
def test_a_circuit_that_lacks_one_edge_is_that_edge_patched(pair):
    """Two ways to one number: from the clean run up, and from the counterfactual."""
    asked = two_runs(pair)
    n = len(asked.graph)
    edges = np.random.default_rng(1).choice(n, 40, replace=False)
    kinds = {asked.graph.destinations[asked.graph.destination[e]].input for e in edges}
    assert kinds == {"q", "k", "v", "mlp", "logits"}
    with unchanged(subject(*pair).source):
        alone = edge_effects(asked, edges)
    lacking = circuit_effects(asked, [np.arange(n) != edge for edge in edges])
    assert alone == pytest.approx(lacking, abs=2e-4) and np.abs(alone).max() > 0.05


def test_a_model_that_multiplies_what_is_written():
    """Granite: both parts of a block by one constant."""
    from tests.engine.test_writes import granite

    model = load_model(wide(granite()).double(), tokenizer=tokenizer())
    asked = make_pair(model.run(IDS), model.run(OTHER_IDS), **ASKED)
    n = len(asked.graph)
    assert circuit_effects(asked, [np.ones(n, bool)]) == pytest.approx([0], abs=5e-6)
    edges = np.random.default_rng(2).choice(n, 30, replace=False)
    lacking = circuit_effects(asked, [np.arange(n) != edge for edge in edges])
    assert edge_effects(asked, edges) == pytest.approx(lacking, abs=5e-6) and np.abs(lacking).max() > 1e-3
    # Every head silenced by the counterfactual, in the model itself.
    heads = [i for i, node in enumerate(asked.graph.nodes) if node.kind == "head" and node.layer == LAYERS - 1]
    projection, other = model.source.model.layers[-1].self_attn.o_proj, []
    with torch.no_grad():
        handle = projection.register_forward_pre_hook(lambda _m, args: other.append(args[0]))
        model.source(torch.tensor([OTHER_IDS]))
        handle.remove()
        handle = projection.register_forward_pre_hook(lambda _m, _args: (other[0],))
        edited = model.source(torch.tensor([IDS])).logits[0]
        handle.remove()
        clean = model.source(torch.tensor([IDS])).logits[0]
    found = circuit_effects(asked, [~np.isin(asked.graph.source, heads)])
    assert found == pytest.approx([difference(clean) - difference(edited)], abs=5e-6)


# -- metrics, positions, memory, progress ---------------------------------------------------------------------------


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric(metric):
    """All edges but those to the answer from one head: the measure of that answer, computed here."""
    model = doubled("gpt2").model
    tokens = {name: token for name, token in ASKED.items() if name in METRICS[metric].needs}
    at = {} if METRICS[metric].whole else {"position": 5}
    asked = make_pair(model.run(IDS), model.run(OTHER_IDS), metric, **tokens, **at)
    whole = asked.measure.effect(model.run(OTHER_IDS).logits[None][:, list(asked.measure.positions)]).item()
    assert asked.effect_of_all == pytest.approx(whole, abs=1e-12)
    edge = asked.graph.find("L2H1 → logits")
    of, n = hand("gpt2"), len(asked.graph)
    with torch.no_grad():
        (_, clean, _), (_, other, _) = of.run(IDS), of.run(OTHER_IDS)
        logits = of.run(IDS, one_edge(clean, other, "L2H1", "logits"))[0]
    expected = asked.measure.effect(logits[None, list(asked.measure.positions)]).item()
    assert edge_effects(asked, [edge]) == pytest.approx([expected], abs=1e-9) and abs(expected) > 1e-5
    assert circuit_effects(asked, [np.arange(n) != edge]) == pytest.approx([expected], abs=1e-9)


def test_which_tokens_are_asked_for():
    model = subject("gpt2").model
    clean, other = model.run(IDS), model.run(OTHER_IDS)
    first, second = best(clean.logits_at(), 2)
    theirs = best(other.logits_at(), 1)[0]
    asked = make_pair(clean, other)
    assert (asked.measure.target, asked.measure.against) == (first, theirs) and first != theirs
    assert make_pair(clean, other, target=theirs).measure.against == first, "the counterfactual's first choice is the target: the next best"
    assert make_pair(clean, other, target=first, against=second).measure.against == second
    kl = make_pair(clean, other, "kl").measure
    assert kl.target is kl.against is None
    assert "Pair(" in repr(asked)


def test_rows_that_do_not_go_together():
    """A model that takes one row at a time, and memory that holds fewer circuits than there are."""
    asked, n = two_runs(("llama", "plain")), len(two_runs(("llama", "plain")).graph)
    rng = np.random.default_rng(3)
    masks, edges = [rng.random(n) < 0.6 for _ in range(7)], rng.choice(n, 15, replace=False)
    usual = circuit_effects(asked, masks), edge_effects(asked, edges)
    engine = asked.clean.model.engine
    engine.max_rows = 1
    try:
        alone = circuit_effects(asked, masks), edge_effects(asked, edges)
    finally:
        engine.max_rows = None
    assert alone[0] == pytest.approx(usual[0], abs=1e-4) and alone[1] == pytest.approx(usual[1], abs=1e-4)


def test_circuits_that_do_not_fit_are_halved(monkeypatch):
    asked, n = two_runs(("llama", "plain")), len(two_runs(("llama", "plain")).graph)
    rng = np.random.default_rng(4)
    masks = [rng.random(n) < 0.6 for _ in range(7)]
    usual, tried, run = circuit_effects(asked, masks), [], circuitruns.CircuitRuns._run

    def full(self, some):
        tried.append(len(some))
        if len(some) > 2:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return run(self, some)

    monkeypatch.setattr(circuitruns.CircuitRuns, "_run", full)
    assert circuit_effects(asked, iter(masks)) == pytest.approx(usual, abs=1e-4)
    assert tried == [7, 4, 2, 2, 2, 1]


class Stop(Exception):
    pass


def test_progress_and_stopping():
    asked, n = two_runs(("gpt2", "plain")), len(two_runs(("gpt2", "plain")).graph)
    said = []
    edge_effects(asked, range(60), progress=lambda *what: said.append(what))
    assert said[0] == (0, 60, "Patching edges") and said[-1] == (60, 60, "") and {total for _, total, _ in said} == {60}
    assert [done for done, *_ in said] == sorted(done for done, *_ in said)
    said.clear()
    masks = [np.ones(n, bool)] * 3
    circuit_effects(asked, iter(masks), progress=lambda *what: said.append(what), total=3)
    assert said[-1] == (3, 3, "Running circuits")

    def stop(*_):
        raise Stop

    for work in (lambda: edge_effects(asked, range(60), progress=stop), lambda: circuit_effects(asked, masks, progress=stop)):
        with unchanged(subject("gpt2").source), pytest.raises(Stop):
            work()


def test_inside_inference_mode():
    """Tensors made there cannot be differentiated; the runs, made outside, can."""
    model = fresh("llama").model
    clean, other = model.run(IDS), model.run(OTHER_IDS)
    with torch.inference_mode():
        asked = make_pair(clean, other, **ASKED)
        effects = edge_effects(asked, [7, 100])
        circuits = circuit_effects(asked, [np.arange(len(asked.graph)) != 7])
    assert effects == pytest.approx(edge_effects(two_runs(("llama", "plain")), [7, 100]), abs=1e-5)
    assert circuits == pytest.approx(effects[:1], abs=1e-4)
    assert edge_attribution(asked, "eap") == pytest.approx(edge_attribution(two_runs(("llama", "plain")), "eap"), abs=1e-5)


# -- what is refused ------------------------------------------------------------------------------------------------


def refused(match, clean, other, error=AttnWidgetError, **asked):
    with pytest.raises(error, match=match):
        make_pair(clean, other, **asked)


def test_pairs_that_are_none():
    model = subject("gpt2").model
    clean, other = model.run(IDS), model.run(OTHER_IDS)
    refused("has 9 tokens and the counterfactual 8", clean, model.run(OTHER_IDS[:-1]))
    refused("is the prompt itself", clean, model.run(IDS))
    refused("The prompt has heads ablated", clean.ablate("L0H0"), other)
    refused("The counterfactual has heads ablated", clean, other.ablate("L0H0"))
    refused("two models", clean, subject("llama").model.run(OTHER_IDS))
    refused("No metric 'nll'", clean, other, metric="nll")
    # What comes after a position plays no part in the answer there.
    refused("nothing to explain", clean, model.run([*IDS[:-1], IDS[-1] + 1]), position=3)
    bridge = subject("gpt2", "bridge").model
    refused("nothing to explain", bridge.run(IDS), bridge.run([*IDS[:-1], IDS[-1] + 1]), metric="kl", position=3)
    with pytest.raises(AttnWidgetError, match="No edge 262: this graph has 262"):
        edge_effects(make_pair(clean, other), [262])


def test_weights_that_have_changed():
    model = fresh("gpt2").model
    clean, other = model.run(IDS), model.run(OTHER_IDS)
    asked = make_pair(clean, other)
    n = len(asked.graph)
    edge_effects(asked, [5])
    with torch.no_grad():
        model.source.transformer.h[1].attn.c_proj.weight[0, 0] += 1
    refused("weights have changed since the prompt was run", clean, other, ModelError)
    for work in (lambda: edge_effects(asked, [5]), lambda: circuit_effects(asked, [np.ones(n, bool)])):
        with pytest.raises(ModelError, match="weights have changed"):
            work()
