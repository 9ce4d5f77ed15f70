"""MiniLM, an encoder that was trained: values and scores of a real BERT against its own modules."""

import numpy as np
import pytest
import torch

from attnwidget import load_model, qk, value_weighted


@pytest.mark.demo
def test_values_and_scores_are_those_of_its_own_modules():
    model = load_model("minilm")
    run = model.run("The film was not good.")
    layer, head = 5, 0
    block = next(m for name, m in model.source.named_modules() if name.endswith(f"encoder.layer.{layer}"))
    x, d = run.resid_pre(layer).detach(), model.d_head
    at = slice(head * d, (head + 1) * d)
    with torch.no_grad():
        query, key, value = (getattr(block.attention.self, name)(x)[:, at].double() for name in ("query", "key", "value"))
        out = block.attention.output.dense.weight[:, at].double()
    scores = (query @ key.T / d**0.5).numpy()
    pattern = torch.tensor(scores).softmax(-1).numpy()

    found = qk(run, (layer, head))
    assert np.abs(found.scores - scores).max() < 1e-4 and found.off < 1e-5 and not found.rotary and found.visible.all()
    assert sum(found.parts.values()) == pytest.approx(found.scaled, abs=1e-4)
    expected = pattern * (value @ out.T).norm(dim=-1).numpy()
    weighted = value_weighted(run, [(layer, head)]).of((layer, head))
    assert weighted == pytest.approx(expected, abs=1e-4) and expected.max() > 0.01
