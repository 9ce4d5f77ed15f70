"""The one differentiable pass: what it leaves behind, what it takes, when it stops, and that it is the same whichever way it runs."""

import gc
import itertools
import threading
import weakref

import numpy as np
import pytest
import torch

from attnwidget import ModelError, load_model
from attnwidget.analysis import gradients
from attnwidget.analysis.measure import make_measure
from attnwidget.analysis.score import score
from attnwidget.engine.interrupt import Cancelled, interruptible
from tests.models import FEW, IDS, fresh, name_of, subject, tokenizer, unchanged
from tests.small import small_model

TEXT = "the cat sat on the mat"


@pytest.fixture(scope="module")
def tiny():
    """A Llama with eleven tokens, in float64."""
    model = small_model()
    return load_model(model.source.double(), tokenizer=model.vocabulary.tokenizer)


@pytest.mark.parametrize("pair", FEW, ids=name_of)
def test_nothing_is_left_behind(pair):
    s = subject(*pair)
    run = s.model.run(IDS)
    before = s.source.state_dict()
    before = {name: value.clone() for name, value in before.items() if isinstance(value, torch.Tensor)}
    with unchanged(s.source):
        for metric in ("kl", "logit_diff"):
            assert np.isfinite(score(run, "attribution", metric=metric).values).all()
        if s.spec.pattern_modes:
            assert np.isfinite(score(run, "gradient").values).all()
    assert all(parameter.grad is None for parameter in s.source.parameters())
    after = s.source.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert not run._resid[0].requires_grad and not any(resid.requires_grad for resid in run._resid)


def test_a_model_that_cannot_be_resumed_is_differentiated_as_a_whole():
    expected = {metric: score(subject("llama").model.run(IDS), "attribution", metric=metric).values for metric in ("kl", "logit_diff")}
    patterns = score(subject("llama").model.run(IDS), "gradient").values
    whole = fresh("llama").model
    whole.engine.resumes = False
    for metric, values in expected.items():
        assert score(whole.run(IDS), "attribution", metric=metric).values == pytest.approx(values, rel=1e-4, abs=1e-6)
    assert score(whole.run(IDS), "gradient").values == pytest.approx(patterns, rel=1e-4, abs=1e-6)


def test_a_backward_that_takes_no_batch_is_run_one_by_one():
    class Scaled(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 1

        @staticmethod
        def backward(ctx, grad):
            assert grad.sum().item() is not None  # a number of one row: cannot be had of a batch
            return grad

    s = fresh("gpt2")
    expected = score(s.model.run(IDS), "attribution", metric="kl").values
    for block in s.source.transformer.h:
        usual = block.mlp.forward
        block.mlp.forward = lambda x, usual=usual: Scaled.apply(usual(x))
    assert score(s.model.run(IDS), "attribution", metric="kl").values == pytest.approx(expected, rel=1e-5, abs=1e-7)


def test_half_precision_is_finite():
    s = fresh("llama")
    model = load_model(s.source.to(torch.bfloat16), tokenizer=tokenizer())
    run = model.run(IDS)
    for method, metric in (("attribution", "kl"), ("attribution", "logit_diff"), ("gradient", "logit_diff")):
        values = score(run, method, metric=metric).values
        assert np.isfinite(values).all() and np.abs(values).max() > 0


def test_inside_no_grad_and_inference_mode(tiny):
    run = tiny.run(TEXT)
    expected = score(run, "attribution", metric="kl").values
    with torch.no_grad():
        assert (score(run, "attribution", metric="kl").values == expected).all()
    with torch.inference_mode():
        inside = tiny.run(TEXT)
        with pytest.raises(ModelError, match="use torch.no_grad"):
            score(run, "attribution", metric="kl")
    with pytest.raises(ModelError, match="run it again outside"):
        score(inside, "attribution", metric="kl")


def test_with_frozen_weights(tiny):
    expected = score(tiny.run(TEXT), "attribution", metric="kl").values
    frozen = small_model().source.double().requires_grad_(False)
    found = score(load_model(frozen, tokenizer=tiny.vocabulary.tokenizer).run(TEXT), "attribution", metric="kl")
    assert found.values == pytest.approx(expected, rel=1e-9)
    assert not any(parameter.requires_grad for parameter in frozen.parameters())


def test_memory_does_not_grow_with_depth(tiny):
    """What is kept for the backward at any one time, with all layers asked for and with one."""
    alive, peak = weakref.WeakValueDictionary(), 0

    class Kept:
        def __init__(self, tensor):
            self.tensor = tensor

    count = itertools.count()

    def pack(tensor):
        nonlocal peak
        kept = Kept(tensor)
        alive[next(count)] = kept
        peak = max(peak, len(alive))
        return kept

    peaks = []
    for heads in (None, ["L3H0"]):
        gc.collect()
        peak = 0
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda kept: kept.tensor):
            score(tiny.run(TEXT), "attribution", metric="entropy", heads=heads)
        peaks.append(peak)
    assert peaks[0] <= peaks[1] + 2


@pytest.mark.parametrize("pair", [*(pair for pair in FEW if pair[0] != "bloom"), ("gptoss", "plain"), ("gemma2", "plain")], ids=name_of)
def test_patterns_and_outputs_tell_the_same(pair):
    """`Σ_k A · ∂m/∂A = z · ∂m/∂z` for every query, since z = A v: grouped values, sinks, windows, patterns that are read after use."""
    run = subject(*pair).model.run(IDS)
    measure = make_measure(run, "logit_diff")
    for at in gradients.gradients(run, measure.effect, measure, patterns=True):
        by_pattern = (at.pattern * at.pattern_slope()).sum(-1).T
        by_output = (at.z * at.slope[0]).sum(-1)
        assert by_pattern.abs().max() > 1e-3
        assert torch.allclose(by_pattern, by_output, rtol=1e-3, atol=1e-4)


def test_how_many_go_together_changes_nothing(tiny, monkeypatch):
    expected = score(tiny.run(TEXT), "attribution", metric="kl", top_tokens=5).values
    monkeypatch.setattr(gradients, "_BYTES", 1)
    monkeypatch.setattr(gradients, "_TAIL_ROWS", 2)
    assert score(tiny.run(TEXT), "attribution", metric="kl", top_tokens=5).values == pytest.approx(expected, rel=1e-6)


def test_weights_that_change_on_the_way_are_noticed():
    model = small_model()

    def train(done, total, text):
        with torch.no_grad():
            model.source.lm_head.weight.mul_(1.1)

    with pytest.raises(ModelError, match="weights have changed"):
        score(model.run(TEXT), "attribution", metric="kl", progress=train)


def test_it_stops_between_blocks(tiny):
    run, seen = tiny.run(TEXT), []

    def stop(done, total, text):
        seen.append((done, total))
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score(run, "attribution", metric="kl", progress=stop)
    assert seen == [(1, 4), (2, 4)]
    blocks = itertools.count()

    def check():
        if next(blocks) == 2:
            raise Cancelled

    with interruptible(check), pytest.raises(Cancelled):
        score(run, "attribution", metric="kl")
    assert next(blocks) == 3
    with unchanged(tiny.source):
        score(run, "attribution", metric="kl")


def test_partial_results_grow(tiny):
    seen = []
    found = score(tiny.run(TEXT), "attribution", metric="kl", partial=lambda values, known: seen.append((values, known)))
    assert [known.sum() for _, known in seen] == [4, 8, 12, 16]
    for values, known in seen:
        assert (values[known] == found.values[known]).all() and np.isnan(values[~known]).all()


def test_in_another_thread(tiny):
    run, found = tiny.run(TEXT), []
    thread = threading.Thread(target=lambda: found.append(score(run, "attribution", metric="kl").values))
    thread.start()
    thread.join()
    assert (found[0] == score(run, "attribution", metric="kl").values).all()
