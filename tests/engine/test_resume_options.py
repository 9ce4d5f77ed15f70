"""What `resume` offers to those who compute many variants or gradients: rows without their history, and passes to differentiate."""

from __future__ import annotations

import pytest
import torch

from attnwidget.engine import Edit

from ..models import IDS, fresh, name_of

pairs = pytest.mark.parametrize("pair", [("gpt2", "plain"), ("llama", "plain"), ("llama", "bridge"), ("bert", "plain")], ids=name_of)


@pairs
def test_keeping_only_the_last_stream_changes_nothing_else(pair):
    engine = fresh(*pair).model.engine
    recording = engine.record(torch.tensor([IDS]))
    edit = Edit(1, "z", lambda z: 0.5 * z)
    every, last = (engine.resume(recording, [edit], rows=3, keep=keep) for keep in ("all", "last"))
    assert len(every.resid) > 1 and len(last.resid) == 1
    assert torch.equal(every.resid[-1], last.resid[-1])


@pairs
def test_a_pass_can_be_differentiated_and_the_gradient_is_the_slope(pair):
    """The answer's change as one head is scaled by s, at s = 1: automatic, and by central differences."""
    s = fresh(*pair)
    s.source.double()
    engine = s.model.engine
    recording = engine.record(torch.tensor([IDS]))

    def answer(scale, grad):
        def edit(z):
            only = torch.nn.functional.one_hot(torch.tensor(2), z.shape[2]).to(z)[:, None]
            return z * (1 + only * (scale - 1))

        final = engine.resume(recording, [Edit(1, "z", edit)], grad=grad).resid[-1]
        return engine.logits(recording, final, [-1 % len(IDS)], grad=grad)[0, 0, 77]

    at = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(answer(at, True), at)
    step = 1e-2  # Llama norms in float32 whatever its dtype: a smaller step would measure their rounding
    measured = (answer(torch.tensor(1 + step).double(), False) - answer(torch.tensor(1 - step).double(), False)) / (2 * step)
    assert slope.item() == pytest.approx(measured.item(), rel=1e-3, abs=1e-9)
    assert abs(slope.item()) > 1e-6, "a slope of nothing proves nothing"
    assert not answer(at, False).requires_grad, "and only where it is asked for"
