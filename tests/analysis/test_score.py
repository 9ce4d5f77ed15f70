"""`score`: what every method says of itself, what is refused, and what is left out of a conditional score."""

from __future__ import annotations

import numpy as np
import pytest

from attnwidget import AttnWidgetError, ModeError, ModelError
from attnwidget.analysis.headscores import HeadScores
from attnwidget.analysis.measure import METRICS
from attnwidget.analysis.score import METHODS, score, score_each
from attnwidget.heads import Head

from ..models import HEADS, IDS, LAYERS, OTHER_IDS, subject


@pytest.fixture(scope="module")
def run():
    return subject("llama").model.run(IDS)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_every_head_a_finite_number_and_says_how(run, method):
    found = score(run, method)
    assert found.values.shape == (LAYERS, HEADS) and found.values.dtype == np.float64
    assert np.isfinite(found.values).all() and np.abs(found.values).max() > 1e-3
    assert (found.method, found.position, found.processing, found.dtype) == (method, len(IDS) - 1, "weights as shipped", "float32")
    assert found.exact == (method in {"ablation", "direct_logit", "output_norm"})
    assert found.formula in found.describe() and "{" not in found.describe() + found.label
    assert f"position {len(IDS) - 1}" in repr(found) and ("exact" if found.exact else "approximate") in repr(found)
    if METHODS[method].modes != ():
        assert "z set to zero" in found.baseline or "approximate" in repr(found)
    if not found.signed:
        assert (found.values >= 0).all()
    frame = found.to_frame()
    assert list(frame["head"][LAYERS * HEADS :]) == list(found.parts) and frame[method][: LAYERS * HEADS].is_monotonic_decreasing
    assert [Head(r.layer, r.index) for r in frame.head(3).itertuples()] == found.top(3)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("method", ["ablation", "attribution", "integrated_gradients"])
def test_every_metric_by_the_methods_that_take_all(run, method, metric):
    found = score(run, method, metric=metric)
    assert found.metric == metric and found.unit == METRICS[metric].unit and found.signed == METRICS[metric].signed
    assert np.isfinite(found.values).all() and np.abs(found.values).max() > 1e-6


def test_several_metrics_in_one_sweep_are_those_asked_alone(run):
    together = score_each(run, "ablation", tuple(METRICS))
    assert list(together) == list(METRICS)
    for name, found in together.items():
        np.testing.assert_allclose(found.values, score(run, metric=name).values, rtol=1e-4, atol=1e-6)


def test_conditional_scores_leave_out_what_is_off(run):
    off = run.ablate([(1, 2), (0, 0)])
    for method in ("ablation", "attribution"):
        found = score(off, method, metric="logit_diff")
        assert found.conditional == ((0, 0), (1, 2))
        assert np.isnan(found.values[1, 2]) and np.isnan(found.values[0, 0]) and np.isfinite(found.values).sum() == LAYERS * HEADS - 2
        assert "with L0H0, L1H2 ablated already (z set to zero at all positions)" in found.describe()
        assert found.condition == "z set to zero at all positions" and score(run, method).condition == ""
        assert found.to_frame()["head"].tolist()[-2:] == ["L0H0", "L1H2"] and Head(1, 2) not in found.top(100)


def test_a_mode_is_undefined_where_it_is(run):
    found = score(run, mode="previous")
    assert np.isnan(found.values[0]).all() and np.isfinite(found.values[1:]).all()


def test_parameters_reach_the_ablation(run):
    assert np.abs(score(run, mode="scale", scale=1.0).values).max() < 1e-9
    other = run.model.run(OTHER_IDS)
    found = score(run, mode="resample", reference=other, metric="logit_diff")
    first, second = run.logits_at().topk(2).indices.tolist()
    alone = run.logit_diff(first, second) - run.ablate([(2, 1)], "resample", reference=other).logit_diff(first, second)
    assert found.values[2, 1] == pytest.approx(alone, abs=1e-4)
    last = score(run, positions=[len(IDS) - 1], metric="logit_diff").values
    assert np.abs(last - score(run, metric="logit_diff").values).max() > 1e-3


def test_progress_and_partial_results(run):
    seen, done = [], []
    found = score(run, chunk=3, progress=lambda *p: done.append(p[:2]), partial=lambda v, k: seen.append((v.copy(), k.copy())))
    assert done == sorted(done) and done[-1][0] == done[-1][1]
    assert len(seen) >= LAYERS * HEADS / 3
    known = [int(k.astype(bool).sum()) for _, k in seen]
    assert known == sorted(known) and known[-1] == LAYERS * HEADS
    for values, k in seen:
        np.testing.assert_array_equal(values[k.astype(bool)], found.values[k.astype(bool)])


def test_what_progress_raises_ends_it(run):
    class Enough(Exception):
        pass

    def stop(*_):
        raise Enough

    before = run.logits_at()
    with pytest.raises(Enough):
        score(run, chunk=2, progress=stop)
    assert (run.model.run(IDS).logits_at() == before).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "saliency"}, r"No method 'saliency': there are ablation, attribution"),
        ({"metric": "rank"}, r"No metric 'rank': there are kl"),
        ({"method": "gradient", "metric": "kl"}, r"KL has no gradient at the run it is measured from"),
        ({"method": "direct_logit", "metric": "probability"}, r"'direct_logit' is defined for 'logit_diff', not for 'probability'"),
        ({"method": "output_norm", "metric": "kl"}, r"asks nothing of the answer"),
        ({"method": "ablation", "steps": 3}, r"'ablation' has no option 'steps': it takes none"),
        ({"method": "integrated_gradients", "nodes": 3}, r"has no option 'nodes': it takes steps"),
        ({"method": "integrated_gradients", "steps": 0}, r"steps"),
        ({"method": "attribution_qkfix", "node": "v"}, r"node"),
        ({"chunk": -3}, r"chunk must be a whole number of heads, 1 or more, not -3"),
        ({"chunk": 2.5}, r"not 2.5"),
        ({"chunk": True}, r"not True"),
        ({"target": 5}, r"metric 'kl' takes no target"),
        ({"metric": "probability", "against": 5}, r"metric 'probability' takes no against"),
        ({"method": "output_norm", "target": 5}, r"'output_norm' takes no target"),
        ({"metric": "logit_diff", "target": 5, "against": 5}, r"target and against are both"),
        ({"method": "attribution", "metric": "logit_diff", "top_tokens": 3}, r"top_tokens is about the attribution of KL"),
        ({"position": 99}, r"No position 99"),
    ],
)
def test_what_cannot_be_asked(run, arguments, message):
    with pytest.raises(AttnWidgetError, match=message):
        score(run, **arguments)


def test_modes_that_cannot_be_asked(run):
    with pytest.raises(ModeError, match="No ablation mode 'off'"):
        score(run, mode="off")
    with pytest.raises(ModeError, match="ablates nothing"):
        score(run, "direct_logit", mode="mean")
    for unused in ({"scale": 3.0}, {"seed": 4}, {"threshold": 0.9}, {"positions": [1]}):
        with pytest.raises(ModeError, match=f"'direct_logit' ablates nothing, so it takes no {next(iter(unused))}"):
            score(run, "direct_logit", **unused)
    with pytest.raises(ModeError, match="can speak of the modes 'zero', 'resample'"):
        score(run, "attribution_qkfix", mode="uniform")
    with pytest.raises(ModeError, match="same length"):
        score(run, mode="resample", reference=run.model.run(IDS[:3]))


def test_a_model_without_an_answer_has_norms_all_the_same():
    run = subject("bert-base").model.run(IDS)
    with pytest.raises(ModelError, match="no head that answers"):
        score(run)
    assert np.isfinite(score(run, "output_norm").values).all()


def test_a_classifier(run):
    run = subject("bert-classifier").model.run(IDS)
    found = score(run, metric="logit_diff")
    assert found.position is None and np.abs(found.values).max() > 1e-3
    assert found.values[1, 1] == pytest.approx(score(run, "ablation", metric="logit_diff", chunk=1).values[1, 1], abs=1e-5)


def test_a_printed_formula_has_the_sign_of_the_number(run):
    """`Σ (z* − z) · ∂effect/∂z` for zero ablation, with the slope of the effect from a loop over differences."""
    for method in ("attribution", "gradient_activation"):
        found = score(run, method, metric="entropy", heads=[(2, 1)])
        assert "∂effect/∂z" in found.formula and "∂m" not in found.formula
        small = score(run, "ablation", metric="entropy", mode="scale", scale=0.99, heads=[(2, 1)])
        # z* − z = −0.01 z is a hundredth of the way to zero.
        assert found.values[2, 1] == pytest.approx(100 * small.values[2, 1], rel=0.05)


def test_a_description_names_what_was_asked(run):
    target, against = (run.model.token(i) for i in (7, 111))
    for method in (name for name, method in METHODS.items() if method.metrics):
        found = score(run, method, metric="logit_diff", target=7, against=111)
        assert target.strip() in found.describe() and against.strip() in found.describe()
        assert found.describe().startswith(found.label) and repr(found).startswith(f"HeadScores({found.label}: ")
    divergence = score(run)
    assert divergence.label == "KL" and divergence.describe().startswith("KL(before ‖ after): ") and "(before ‖ after)" in repr(divergence)
    assert divergence.to_frame().attrs["metric"] == "kl" and divergence.to_frame().attrs["baseline"] == divergence.baseline


def test_values_cannot_be_written_to():
    mine = np.zeros((1, 2))
    scores = HeadScores(mine, "m", "m", "f", "", True, True)
    with pytest.raises(ValueError, match="read-only"):
        scores.values[0, 0] = 1
    mine[0, 0] = 5
    assert scores.values[0, 0] == 0


def test_several_metrics_may_each_need_their_own_tokens(run):
    found = score_each(run, "ablation", ("kl", "logit_diff"), target=7, against=111)
    assert (found["kl"].target, found["logit_diff"].target) == (None, run.model.token(7))


def test_one_metric_is_one_name(run):
    with pytest.raises(AttnWidgetError, match="metric must be the name of one.*score_each"):
        score(run, metric=["kl"])


def test_what_a_head_puts_out_that_is_off_belongs_to_the_sum(run):
    off = run.ablate([(1, 2)], "scale", scale=0.5)
    assert np.isfinite(score(off, "direct_logit").values[1, 2]) and score(off, "output_norm").values[1, 2] > 0


def test_a_position_that_plays_no_part_is_refused(model):
    run = model.run("the cat sat on the mat")
    with pytest.raises(AttnWidgetError, match="whole prompt.*position=2 out"):
        score(run, metric="perplexity", position=2)
    from tests.models import IDS, subject

    with pytest.raises(AttnWidgetError, match="no position.*position=0 out"):
        score(subject("bert-classifier").model.run(IDS), position=0)


def test_where_the_answer_is_no_number_no_token_comes_first(model):
    found = score(model.run("the cat sat on the mat"), mode="scale", scale=1e38)
    undefined = np.isnan(found.values)
    assert undefined.any() and np.isnan(found.extra["first_choice"][undefined]).all()


def test_scores_of_other_weights_are_of_another_origin():
    import torch

    from tests.small import small_model

    model = small_model()
    before = score(model.run("the cat sat on the mat"), "output_norm").origin
    assert score(model.run("the cat sat on the mat"), "output_norm").origin == before
    with torch.no_grad():
        model.source.model.layers[0].self_attn.o_proj.weight.mul_(5)
    assert score(model.run("the cat sat on the mat"), "output_norm").origin != before
