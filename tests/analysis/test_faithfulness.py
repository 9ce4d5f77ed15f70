"""How faithful circuits are: areas by their closed forms, the hand-built model by hand, and random circuits."""

import numpy as np
import pytest
import torch

from attnwidget import load_model
from attnwidget.analysis.circuit import CurvePoint
from attnwidget.analysis.circuitchecks import completeness, minimality, random_sets
from attnwidget.analysis.circuitcurve import (
    SHARES,
    Faithfulness,
    areas,
    cpr_and_cmd,
    curve,
    draws,
    edges_of,
    in_steps,
    ranked,
    sizes_of,
    top,
)
from attnwidget.analysis.patching import make_pair
from tests.models import IDS, OTHER_IDS, induction_model, subject

QUIET = lambda done, total, text: None  # noqa: E731
FIVE = ["embed → L0H0.v", "L0H0 → L1H0.k", "L0H0 → L1H1.k", "L1H0 → logits", "L1H1 → logits"]


def pair_of(once, other):
    """BOS + r + r beside BOS + s + r."""
    model = load_model(induction_model())
    return make_pair(model.run([0, *once, *once]), model.run([0, *other, *once]), target=once[0], against=once[1])


@pytest.fixture(scope="module")
def pair():
    drawn = (torch.randperm(15, generator=torch.Generator().manual_seed(0)) + 1).tolist()
    return pair_of(drawn[:7], drawn[7:14])


@pytest.fixture(scope="module")
def measure(pair):
    return Faithfulness(pair)


def mask_of(graph, labels):
    mask = np.zeros(len(graph), bool)
    mask[[graph.find(label) for label in labels]] = True
    return mask


# -- areas --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("f", "cpr", "cmd"),
    [
        (lambda k: 1, 0.999, 0),
        (lambda k: float(k == 1), 0.25, 0.749),
        (lambda k: k, 0.4999995, 0.4990005),
        (lambda k: 4 / 3 if k < 1 else 1, 0.999 * 4 / 3 - 0.25 / 3, 0.999 / 3 - 0.25 / 3),
    ],
    ids=["all at once", "only whole", "in proportion", "too much"],
)
def test_areas_have_their_closed_forms(f, cpr, cmd):
    """The second are those that MIB reports for random circuits of the model."""
    found = areas([f(k) for k in SHARES])
    assert found == pytest.approx((cpr, cmd), abs=1e-6)


def test_the_numbers_of_the_closed_forms():
    assert areas([4 / 3] * 9 + [1]) == pytest.approx((1.2487, 0.2497), abs=5e-5)
    assert areas(SHARES) == pytest.approx((0.5, 0.499), abs=1e-3)


def test_a_curve_is_read_at_the_shares():
    """Of 52 edges the first four shares are less than one edge, and there is none left to take after the fifth."""
    points = [CurvePoint(size, size, f, None) for size, f in ((1, 0.5), (2, 0.25), (5, 1.0), (52, 1.0))]
    assert [edges_of(share, 52) for share in SHARES] == [0, 0, 0, 0, 1, 2, 5, 10, 26, 52]
    assert cpr_and_cmd(points, 52) == pytest.approx(areas([0, 0, 0, 0, 0.5, 0.25, 1, 1, 1, 1]))


# -- which edges --------------------------------------------------------------------------------------------------------


def test_edges_are_ranked_by_size_and_those_without_a_score_never_taken():
    order = ranked(np.array([0.0, -2.0, 1.0, np.nan, 2.0, -0.0, 1e-9, 1.0]))
    assert order.tolist() == [1, 4, 2, 7, 6]
    assert ranked(np.array([0.5, -1.0, 1e-7]), 1e-6).tolist() == [1, 0]
    assert top(order, 2, 8).nonzero()[0].tolist() == [1, 4] and top(order, 8, 8).all()


def test_sizes_are_a_few_up_to_n_and_those_of_mib():
    assert sizes_of(30, 1000) == [1, 2, 5, 10, 20, 30, 50, 100, 200, 500, 1000]
    assert sizes_of(3, 1000, [4, 7]) == [1, 2, 4, 5, 7, 10, 20, 50, 100, 200, 500, 1000]
    assert 0 not in sizes_of(0, 52)


def test_random_circuits_are_drawn_evenly_and_by_seed():
    masks = np.array(draws(5, 20, 4000, 0))
    assert (masks.sum(1) == 5).all() and np.abs(masks.mean(0) - 0.25).max() < 0.03
    assert np.array_equal(draws(5, 20, 3, 7), draws(5, 20, 3, 7)) and not np.array_equal(draws(5, 20, 3, 7), draws(5, 20, 3, 8))


# -- the hand-built model -----------------------------------------------------------------------------------------------


def test_the_five_edges_and_all_but_one_of_them(pair, measure):
    graph = pair.graph
    whole = measure([mask_of(graph, FIVE), np.ones(len(graph), bool), np.zeros(len(graph), bool)])
    assert whole == pytest.approx([1, 1, 0], abs=1e-6) and whole[2] == 0
    without = measure([mask_of(graph, [label for label in FIVE if label != gone]) for gone in FIVE])
    assert without == pytest.approx([0, -1 / 3, 4 / 3, -1 / 3, 4 / 3], abs=1e-6)


def test_what_was_measured_is_not_measured_again(pair, monkeypatch):
    from attnwidget.analysis import circuitcurve

    calls = []
    real = circuitcurve.circuit_effects
    monkeypatch.setattr(circuitcurve, "circuit_effects", lambda pair, masks, **more: calls.append(len(masks)) or real(pair, masks, **more))
    measure, graph = Faithfulness(pair), pair.graph
    five = mask_of(graph, FIVE)
    dangling = five | mask_of(graph, ["embed → L1H2.v"])
    assert measure([five, dangling, five, np.zeros(len(graph), bool)]).tolist() == [measure([five])[0]] * 3 + [0]
    assert calls == [1]


def test_a_step_that_was_given_up_is_done_again(pair):
    given_up = iter([True, False, True, True, False])
    measure = Faithfulness(pair, lambda step: None if next(given_up, False) else step())
    masks = [mask_of(pair.graph, FIVE), *draws(40, len(pair.graph), 20, 0)]
    assert measure(masks) == pytest.approx(Faithfulness(pair)(masks), abs=1e-6)
    said = []
    found = in_steps(lambda some, _: np.array(some) * 2.0, [1, 2, 3], 2, lambda step: step(), lambda *args: said.append(args[:2]))
    assert found.tolist() == [2, 4, 6] and said == [(2, 3), (3, 3)]


def test_the_curve_has_random_circuits_beside_each_size_but_the_last(pair, measure):
    order = np.array([pair.graph.find(label) for label in FIVE])
    every = list(curve(measure, order, [1, 4, 5, 20, 52], 6, 0, QUIET))
    assert [len(points) for points in every] == [1, 2, 3, 4]
    points = every[-1]
    assert [point.edges for point in points] == [1, 4, 5, 52] and [point.kept for point in points] == [0, 3, 5, 52]
    assert [point.faithfulness for point in points] == pytest.approx([0, 4 / 3, 1, 1], abs=1e-6)
    assert points[-1].random is None
    beside = points[1].random
    drawn = measure(draws(4, 52, 6, 0))
    assert (beside.circuits, beside.low, beside.median, beside.high) == (6, drawn.min(), np.median(drawn), drawn.max())


def test_completeness_and_minimality_by_hand(pair, measure):
    graph = pair.graph
    five = mask_of(graph, FIVE)
    names = {node.name: i for i, node in enumerate(graph.nodes)}
    parts = [names[name] for name in ("L0H0", "L1H0", "L1H1")]
    # Without any set of its heads, the circuit does what the model does: there is nothing else.
    alone = {(): 1, ("L0H0",): 0, ("L1H0",): -1 / 3, ("L1H1",): 4 / 3, ("L1H0", "L1H1"): 0}
    *_, found = completeness(measure, five, parts, {"induction": [names["L1H0"], names["L1H1"]]}, 0, QUIET)
    assert {"all that are induction", "random", "worst of all single nodes", "worst 2 found", "worst 3 found"} == {one.how for one in found}
    for one in found:
        gone = tuple(graph.nodes[i].name for i in one.removed)
        assert one.circuit == pytest.approx(0 if "L0H0" in gone else alone[gone], abs=1e-6)
        assert one.model == pytest.approx(one.circuit, abs=1e-6)
    changes = {graph.nodes[one.node].name: one for one in minimality(measure, five, parts, 0, QUIET)}
    sets = [tuple(graph.nodes[i].name for i in some) for some in random_sets(parts, 10, 0)[:4]]
    after_other = [some for some in sets if some == ("L1H1",)]
    assert after_other, "the seed draws the set that matters"
    assert changes["L0H0"].change == pytest.approx(-4 / 3, abs=1e-6)
    assert [graph.nodes[i].name for i in changes["L0H0"].removed] == ["L1H1"]
    assert changes["L1H0"].change == pytest.approx(-4 / 3, abs=1e-6) and changes["L1H1"].change == pytest.approx(1 / 3, abs=1e-6)


def test_a_circuit_that_lacks_a_head_is_not_complete(pair, measure):
    """Without L1H1 in the circuit, removing L1H0 leaves the model with what the circuit does not have."""
    graph = pair.graph
    four = mask_of(graph, ["embed → L0H0.v", "L0H0 → L1H0.k", "L1H0 → logits"])
    names = {node.name: i for i, node in enumerate(graph.nodes)}
    *_, found = completeness(measure, four, [names["L0H0"], names["L1H0"]], {}, 0, QUIET)
    worst = next(one for one in found if one.how == "worst of all single nodes")
    assert worst.removed == (names["L1H0"],) and (worst.circuit, worst.model) == pytest.approx((0, -1 / 3), abs=1e-6)


def test_sets_of_nodes_are_different_and_at_most_half():
    sets = random_sets(range(10), 10, 0)
    assert len(set(sets)) == len(sets) == 10 and all(1 <= len(some) <= 5 for some in sets)
    assert random_sets([4], 10, 0) == [(4,)] and random_sets([], 10, 0) == []


# -- models of every kind -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "kind"), [("gpt2", "plain"), ("llama", "plain"), ("gptneox", "plain"), ("llama", "bridge")])
def test_the_whole_is_one_and_nothing_is_zero(name, kind):
    model = subject(name, kind).model
    pair = make_pair(model.run(IDS), model.run(OTHER_IDS))
    measure, total = Faithfulness(pair), len(pair.graph)
    assert measure([np.ones(total, bool), np.zeros(total, bool)]) == pytest.approx([1, 0], abs=1e-4)
    *_, points = curve(measure, np.arange(total), [total // 2, total], 2, 0, QUIET)
    assert points[-1].edges == points[-1].kept == total and points[-1].faithfulness == pytest.approx(1, abs=1e-4)


def test_a_ranking_that_leads_nowhere_until_it_is_the_whole_model_is_worth_what_mib_reports_for_random(pair):
    """Measured, not put in: the edges into logits come last, so that no size but the whole has a path to the answer."""
    graph = pair.graph
    last = np.array([graph.destinations[d].input == "logits" for d in graph.destination])
    order = np.argsort(last, kind="stable")
    *_, points = curve(Faithfulness(pair), order, sizes_of(1, len(graph)), 3, 0, QUIET)
    assert [(point.edges, point.kept, point.faithfulness) for point in points[:-1]] == [(n, 0, 0) for n in (1, 2, 5, 10, 26)]
    assert points[-1].kept == 52 and points[-1].faithfulness == pytest.approx(1, abs=1e-6)
    assert cpr_and_cmd(points, len(graph)) == pytest.approx((0.25, 0.749), abs=2e-6)
