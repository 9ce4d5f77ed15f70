"""Weighted maps and maps made of many, as a page asks for them: against the library on the same run, and what is refused."""

import numpy as np
import pytest

from attnwidget import AttentionWidget
from attnwidget.analysis.aggregates import attention_rollout, mean_attention
from attnwidget.analysis.score import score
from attnwidget.analysis.valueweights import KINDS, value_weighted
from tests.models import subject

from .front import CLEAN, PROMPT, Front, array

OFF = {**CLEAN, "heads": [[1, 1]]}
HEADS = [[2, 3], [0, 1]]


class Maps(Front):
    def asking(self, **args):
        defaults = {"ablation": CLEAN, "heads": HEADS, "kind": "vo_norm", "position": -1, "target": "", "against": ""}
        return {"run_key": self.widget.run_key, **defaults, **args}

    def weighted(self, **args):
        result, buffers = self.result("weighted", **self.asking(**args))
        return {**result, "maps": array(result["maps"], buffers)}

    def aggregate(self, **args):
        args = {"run_key": self.widget.run_key, "ablation": CLEAN, "kind": "mean", "heads": HEADS, **args}
        result, buffers = self.result("aggregate", **args)
        return {**result, "map": array(result["map"], buffers)}

    def refused(self, op="weighted", **args):
        error = self.error(op, **self.asking(**args))
        assert error["kind"] == "refused"
        return error["message"]


@pytest.fixture
def front(model):
    return Maps(AttentionWidget(model, PROMPT))


@pytest.fixture
def run(model):
    return model.run(PROMPT)


@pytest.mark.parametrize("kind", ["v_norm", "vo_norm", "z_cosine"])
@pytest.mark.parametrize("off", [[], [[1, 1]]])
def test_maps_are_the_librarys_in_the_order_asked(front, run, kind, off):
    found = front.weighted(kind=kind, ablation={**CLEAN, "heads": off})
    expected = value_weighted(run.ablate([tuple(head) for head in off]), ["L2H3", "L0H1"], kind)
    np.testing.assert_allclose(found["maps"], expected.values, rtol=1e-6, atol=1e-7)
    assert (found["heads"], found["kind"], found["row"], found["sums"]) == (HEADS, kind, None, None)
    assert (found["label"], found["unit"], found["signed"]) == (KINDS[kind].label, KINDS[kind].unit, KINDS[kind].signed)
    assert found["causal"] == (kind != "z_cosine"), "a cosine has two triangles, whatever the model"
    assert found["formula"] == KINDS[kind].formula and found["note"] == "weights as shipped, float32."


def test_the_cosine_of_a_head_set_to_zero_says_why_there_is_none(front):
    off = {**CLEAN, "heads": [[2, 3]]}
    found = front.weighted(kind="z_cosine", ablation=off)
    assert np.isnan(found["maps"][0]).all() and np.isfinite(found["maps"][1]).all()
    assert found["note"].endswith("Undefined for L2H3: an ablated head's z is zero, so it has no direction.")
    halved = front.weighted(kind="z_cosine", ablation={**off, "mode": "scale", "scale": 0.5})
    assert np.isfinite(halved["maps"]).all() and "Undefined" not in halved["note"]


def test_signed_contributions_are_one_row_and_sum_to_direct_attribution(front, run):
    found = front.weighted(kind="signed", position=3, target="dog", against="cat")
    direct = score(run, "direct_logit", target="dog", against="cat", position=3)
    np.testing.assert_allclose(found["sums"], [direct.values[2, 3], direct.values[0, 1]], rtol=1e-4)
    assert found["row"] == 3 and found["signed"] and found["causal"] and "dog" in found["formula"]
    others = np.delete(found["maps"], 3, axis=1)
    assert np.isnan(others).all() and np.isfinite(found["maps"][:, 3]).all()
    np.testing.assert_allclose(found["maps"][:, 3].sum(-1), found["sums"], rtol=1e-5)
    # By itself: the model's own first choice, where it answers.
    own = front.weighted(kind="signed")
    assert own["row"] == len(run.ids) - 1
    np.testing.assert_allclose(own["sums"][0], score(run, "direct_logit").values[2, 3], rtol=1e-4)


def test_an_ablated_head_has_no_weights_and_the_others_have(front, run):
    for kind in ("v_norm", "vo_norm", "signed"):
        found = front.weighted(kind=kind, ablation=OFF, heads=[[1, 1], [2, 3]])
        expected = value_weighted(run.ablate(["L1H1"]), ["L2H3"], kind).values[0]
        np.testing.assert_allclose(found["maps"][1], expected, rtol=1e-6, atol=1e-7)
        assert np.isnan(found["maps"][0]).all() and "Undefined for L1H1: ablated" in found["note"]
        alone = front.weighted(kind=kind, ablation=OFF, heads=[[1, 1]])
        assert np.isnan(alone["maps"]).all() and alone["label"] == KINDS[kind].label
    assert front.weighted(kind="signed", ablation=OFF, heads=[[1, 1]])["sums"] == [None]


def test_a_head_whose_pattern_is_edited_still_moves_its_values(front, run):
    edited = {**OFF, "mode": "uniform"}
    found = front.weighted(ablation=edited, heads=[[1, 1]])
    expected = value_weighted(run.ablate(["L1H1"], "uniform"), ["L1H1"]).values
    np.testing.assert_allclose(found["maps"], expected, rtol=1e-6)
    assert np.isfinite(found["maps"]).all() and "Undefined" not in found["note"]


def test_with_every_head_off_there_is_nothing_to_weigh(front):
    every = {**CLEAN, "heads": [list(head) for head in np.ndindex(4, 4)]}
    assert "Every head is ablated" in front.refused(ablation=every)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"kind": "raw"}, "kind must be one of 'v_norm', 'vo_norm', 'signed', 'z_cosine', not 'raw'"),
        ({"kind": ["vo_norm"]}, "kind must be one of"),
        ({"heads": []}, "No heads were given"),
        ({"heads": [[9, 0]]}, "No head L9H0"),
        ({"kind": "signed", "target": 3}, "target must be a text"),
        ({"kind": "signed", "target": "xylophone"}, "xylophone"),
        ({"kind": "signed", "position": 99}, "99"),
        ({"ablation": None}, "ablation must be"),
    ],
)
def test_wrong_questions_are_refused(front, wrong, said):
    assert said in front.refused(**wrong)


def test_where_heads_do_not_write_by_addition_signed_is_refused_and_the_rest_is_not():
    front = Maps(AttentionWidget(subject("gemma2").model, "Alice and Bob"))
    heads = [[0, 0]]
    assert "ask for 'vo_norm'" in front.refused(kind="signed", heads=heads)
    assert np.isfinite(front.weighted(heads=heads)["maps"]).all()


# -- made of many -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("off", [[], [[1, 1]]])
def test_aggregates_are_the_librarys(front, run, off):
    ablation = {**CLEAN, "heads": off, "mode": "uniform"}
    within = run.ablate([tuple(head) for head in off], "uniform")
    cases = {
        "mean": (mean_attention(within, ["L0H1", "L2H3"]), "mean of 2 selected heads"),
        "layer": (mean_attention(within, layers=2), "mean of layer 2"),
        "rollout": (attention_rollout(within), "attention rollout, layers 0 to 3"),
    }
    for kind, (expected, label) in cases.items():
        heads = {"mean": HEADS, "layer": [[2, 3]], "rollout": []}[kind]
        found = front.aggregate(kind=kind, heads=heads, ablation=ablation)
        np.testing.assert_allclose(found["map"], expected.values, rtol=1e-6, atol=1e-7)
        assert (found["kind"], found["label"], found["caution"]) == (kind, label, expected.caution)
        assert found["formula"].startswith(expected.formula)
        assert ("with L1H1 ablated" in found["formula"]) == bool(off)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"kind": "median"}, "kind must be one of 'mean', 'layer', 'rollout', not 'median'"),
        ({"heads": []}, "No heads were given"),
        ({"kind": "layer", "heads": [[0, 1], [1, 1]]}, "Heads of 2 layers"),
        ({"heads": [[0, 4]]}, "No head L0H4"),
    ],
)
def test_wrong_aggregates_are_refused(front, wrong, said):
    assert said in front.refused("aggregate", **{"kind": "mean", **wrong})


def test_a_question_about_a_prompt_that_is_gone_is_not_answered(front):
    for op in ("weighted", "aggregate"):
        assert front.error(op, **{**front.asking(), "run_key": "run-0"})["kind"] != "failed"
