"""Integrated gradients against Riemann sums worked out on paper, gradients taken by hand along the way, and the exact effect at its end."""

import math

import numpy as np
import pytest
import torch

from attnwidget import AttnWidgetError, Head, ModelError, OutOfMemoryError, load_model
from attnwidget.analysis.score import score
from tests.analysis.by_hand import AGAINST, LAST, TARGET, by_hand, doubled, minus_logit_diff, off
from tests.knap import AGAINST as KNAP_AGAINST
from tests.knap import TARGET as KNAP_TARGET
from tests.knap import WEIGHTS, knapsack_model, knapsack_prompt
from tests.models import IDS, OTHER_IDS, fresh, induction_model, induction_prompt, subject, tokenizer, unchanged
from tests.small import small_model

PAIR = {"metric": "logit_diff", "target": TARGET, "against": AGAINST, "position": LAST}
SOME = [Head(0, 1), Head(1, 3), Head(2, 0)]


@pytest.mark.parametrize(("steps", "value"), [(5, 7.502066), (10, 7.468866), (30, 7.458733)])
def test_the_induction_model(steps, value):
    ids = induction_prompt()
    run = load_model(induction_model()).run(ids)
    found = score(run, "integrated_gradients", metric="logit_diff", target=ids[1], against=ids[2], steps=steps)
    # The middle rule over the slope of 7.5 x / (x + 16) in x = e^(8 α), which is what the head of the layer above makes of it.
    middles = [math.exp(8 * (k + 0.5) / steps) for k in range(steps)]
    riemann = 0.75 * 10 * 8 * 17 * np.mean([x / (x + 16) ** 2 for x in middles])
    u = 1 / (math.exp(8) + 16)
    effect = 10 * (math.exp(8) * u - u)
    expected = np.array([[riemann, 0, 0], [effect, -effect / 4, 0]])
    exact = np.array([[0.75 * effect, 0, 0], [effect, -effect / 4, 0]])
    assert found.values == pytest.approx(expected, abs=1e-4) and riemann == pytest.approx(value, abs=1e-6)
    assert found.extra["exact"] == pytest.approx(exact, abs=1e-4)
    assert found.extra["completeness_error"] == pytest.approx(expected - exact, abs=2e-4)
    assert f"{steps} midpoints" in found.formula and not found.exact


def test_the_knapsack_is_exact():
    run = load_model(knapsack_model()).run(knapsack_prompt())
    found = score(run, "integrated_gradients", metric="logit_diff", target=KNAP_TARGET, against=KNAP_AGAINST, steps=1)
    assert found.values[0] == pytest.approx(np.array(WEIGHTS), abs=1e-5)


@pytest.mark.parametrize("name", ["gpt2", "llama", "gptneox", "bert"])
@pytest.mark.parametrize("mode", ["zero", "resample"])
def test_gradients_taken_by_hand_along_the_way(name, mode):
    s, steps = doubled(name), 3
    reference = {"reference": s.model.run(OTHER_IDS)} if mode == "resample" else {}
    found = score(s.model.run(IDS), "integrated_gradients", mode=mode, steps=steps, heads=SOME, **reference, **PAIR)
    clean, other = by_hand(s, minus_logit_diff), by_hand(s, minus_logit_diff, OTHER_IDS)
    before = minus_logit_diff(clean.logits).item()
    for head in SOME:
        z = clean.z[head.layer][:, head.head]
        star = other.z[head.layer][:, head.head] if mode == "resample" else torch.zeros_like(z)

        def at(alpha, head=head, z=z, star=star):
            def edit(new, v):
                new[:, head.head] = star + alpha * (z - star)
                return new

            return by_hand(s, minus_logit_diff, edits={head.layer: edit})

        slopes = [at((k + 0.5) / steps).slope[head.layer][0, :, head.head] for k in range(steps)]
        expected = ((star - z) * sum(slopes) / steps).sum().item()
        exact = minus_logit_diff(at(0.0).logits).item() - before
        # A Llama in float64 still has norms and softmaxes in float32.
        assert found.values[head] == pytest.approx(expected, rel=1e-5, abs=1e-6)
        assert found.extra["exact"][head] == pytest.approx(exact, rel=1e-5, abs=1e-6)
        assert found.extra["completeness_error"][head] == pytest.approx(expected - exact, rel=1e-3, abs=1e-5)
    assert np.isnan(found.values).sum() == 12 - len(SOME)


@pytest.mark.parametrize("metric", ["kl", "logit_diff", "entropy", "perplexity"])
def test_the_error_falls_with_the_square_of_the_steps(metric):
    run = doubled("gpt2").model.run(IDS)
    found = [score(run, "integrated_gradients", metric=metric, steps=n, heads=SOME) for n in (10, 40)]
    errors = [np.nanmax(np.abs(of.extra["completeness_error"])) for of in found]
    assert errors[1] < errors[0] / 10  # 16 in the limit
    assert errors[1] < 1e-3 * np.nanmax(np.abs(found[1].extra["exact"]))


@pytest.fixture(scope="module")
def run():
    return small_model().run("the cat sat on the mat")


def test_exact_is_the_ablation_measured(run):
    for mode, metric in (("zero", "kl"), ("mean", "entropy"), ("scale", "logit_diff"), ("permute", "probability")):
        one = score(run, "integrated_gradients", metric=metric, mode=mode, steps=2)
        assert one.extra["exact"] == pytest.approx(score(run, "ablation", metric=metric, mode=mode).values, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_conditional_on_heads_that_are_off(name):
    s, heads, head, steps = doubled(name), [(0, 2), (1, 1)], Head(1, 3), 2
    found = score(s.model.run(IDS).ablate(heads), "integrated_gradients", steps=steps, **PAIR)
    assert np.argwhere(np.isnan(found.values)).tolist() == [list(h) for h in heads]
    base = by_hand(s, minus_logit_diff, edits=off(heads))
    z = base.z[1][:, 3]

    def at(alpha):
        edits = off(heads)
        zero = edits[1]

        def edit(new, v):
            new = zero(new, v)
            new[:, 3] = alpha * z
            return new

        return by_hand(s, minus_logit_diff, edits=edits | {1: edit})

    slopes = [at((k + 0.5) / steps).slope[1][0, :, 3] for k in range(steps)]
    assert found.values[head] == pytest.approx((-z * sum(slopes) / steps).sum().item(), rel=1e-5)
    exact = (minus_logit_diff(at(0.0).logits) - minus_logit_diff(base.logits)).item()
    assert found.extra["exact"][head] == pytest.approx(exact, rel=1e-5)


def test_chunks_change_nothing(run):
    whole = score(run, "integrated_gradients", metric="kl", steps=4)
    for chunk in (1, 3):
        some = score(run, "integrated_gradients", metric="kl", steps=4, chunk=chunk)
        assert some.values == pytest.approx(whole.values, rel=1e-4, abs=1e-7)
    order = score(run, "integrated_gradients", metric="kl", steps=4, heads=["L3H1", "L0H0", "L3H0"])
    for head in (Head(3, 1), Head(0, 0), Head(3, 0)):
        assert order.values[head] == pytest.approx(whole.values[head], rel=1e-4, abs=1e-7)


def test_rows_that_do_not_fit_are_halved(run):
    """A machine that has memory for three rows."""
    expected, sizes = score(run, "integrated_gradients", metric="kl", steps=4).values, []

    def narrow(_module, args):
        sizes.append(len(args[0]))
        if len(args[0]) > 3:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")

    hook = run.model.source.model.layers[3].mlp.down_proj.register_forward_pre_hook(narrow)
    try:
        with unchanged(run.model.source):
            values = score(run, "integrated_gradients", metric="kl", steps=4).values
        assert values == pytest.approx(expected, rel=1e-4, abs=1e-7) and max(sizes) > 3
        hook.remove()

        def never(_module, args):
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")

        hook = run.model.source.model.layers[3].mlp.down_proj.register_forward_pre_hook(never)
        with pytest.raises(OutOfMemoryError, match="Not enough memory"):
            score(run, "integrated_gradients", metric="entropy", steps=4)
    finally:
        hook.remove()


def test_an_error_that_is_not_about_memory_is_raised(run):
    def broken(_module, args):
        raise RuntimeError("shapes cannot be multiplied")

    hook = run.model.source.model.layers[3].mlp.down_proj.register_forward_pre_hook(broken)
    try:
        with pytest.raises(RuntimeError, match="shapes"):
            score(run, "integrated_gradients", metric="entropy", steps=4)
    finally:
        hook.remove()


@pytest.mark.parametrize("name", ["bloom", "bert-classifier", "gptoss"])
def test_models_that_take_rows_in_their_own_way(name):
    """Arguments that do not broadcast, a classifier that takes one row at a time, sinks."""
    run = subject(name).model.run(IDS)
    found = score(run, "integrated_gradients", metric="kl", steps=20, heads=SOME)
    for head in SOME:
        assert found.extra["exact"][head] == pytest.approx(run.ablate([head]).kl(), rel=1e-3, abs=1e-6)
        assert found.values[head] == pytest.approx(found.extra["exact"][head], rel=0.02, abs=1e-4)


def test_a_model_that_cannot_be_resumed():
    expected = score(subject("llama").model.run(IDS), "integrated_gradients", metric="kl", steps=2, heads=SOME).values
    whole = fresh("llama").model
    whole.engine.resumes = False
    found = score(whole.run(IDS), "integrated_gradients", metric="kl", steps=2, heads=SOME).values
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-6, nan_ok=True)


def test_half_precision_is_finite():
    model = load_model(fresh("llama").source.to(torch.bfloat16), tokenizer=tokenizer())
    values = score(model.run(IDS), "integrated_gradients", metric="kl", steps=2, heads=SOME).values
    assert np.isfinite([values[head] for head in SOME]).all()


def test_nothing_is_left_behind_and_it_can_be_stopped(run):
    source, seen = run.model.source, []

    def stop(done, total, text):
        seen.append((done, total))
        if len(seen) == 2:
            raise KeyboardInterrupt

    with unchanged(source):
        with pytest.raises(KeyboardInterrupt):
            score(run, "integrated_gradients", metric="kl", steps=2, chunk=2, progress=stop)
        score(run, "integrated_gradients", metric="kl", steps=2)
    assert seen == [(2, 16), (4, 16)]
    assert all(parameter.grad is None for parameter in source.parameters())


def test_partial_results_grow(run):
    seen = []
    found = score(run, "integrated_gradients", metric="kl", steps=2, chunk=3, partial=lambda values, known: seen.append((values, known)))
    assert [known.sum() for _, known in seen] == [3, 4, 7, 8, 11, 12, 15, 16]
    for values, known in seen:
        assert (values[known] == found.values[known]).all() and np.isnan(values[~known]).all()


@pytest.mark.parametrize("steps", [0, 1001, 2.5, True, "10", None])
def test_a_wrong_number_of_steps_is_refused(run, steps):
    with pytest.raises(AttnWidgetError, match="steps must be a whole number from 1 to 1000"):
        score(run, "integrated_gradients", steps=steps)


def test_patterns_have_no_way_to_go(run):
    with pytest.raises(AttnWidgetError, match="'uniform'"):
        score(run, "integrated_gradients", mode="uniform")


def test_inside_no_grad_and_inference_mode(run):
    expected = score(run, "integrated_gradients", metric="kl", steps=2).values
    with torch.no_grad():
        assert (score(run, "integrated_gradients", metric="kl", steps=2).values == expected).all()
    with torch.inference_mode(), pytest.raises(ModelError, match="torch.no_grad"):
        score(run, "integrated_gradients")
