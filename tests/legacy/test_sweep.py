"""Every head ablated alone in one batch, against `run_with_hooks` head by head."""

from __future__ import annotations

import pytest
import torch

from attnwidget import load_model
from attnwidget.analysis.score import score
from attnwidget.engine.narrow import narrow_call

from .test_hooked import HEADS, IDS, KINDS, LAYERS, build, lens, zero


@pytest.mark.parametrize("kind", KINDS)
def test_each_head_alone(kind):
    twin, model = build(kind), load_model(build(kind))
    run = model.run(IDS)
    assert narrow_call(model.engine, run._recording, [len(IDS) - 1]) is not None
    found = torch.tensor(score(run, metric="logit_diff", target=3, against=5).values)
    clean = lens(twin)[-1]
    for layer in range(LAYERS):
        for head in range(HEADS):
            off = lens(twin, [zero(layer, head)])[-1]
            assert abs(found[layer, head] - ((clean[3] - clean[5]) - (off[3] - off[5]))) < 1e-5
    assert found.abs().max() > 0.1
