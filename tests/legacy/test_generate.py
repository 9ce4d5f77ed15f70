"""Generation with heads ablated, against `run_with_hooks` on the text so far, token by token."""

from __future__ import annotations

import pytest
import torch

from attnwidget import ModelError, generate, load_model

from .test_hooked import IDS, KINDS, build, lens, zero

HEADS = [(0, 1), (1, 0), (2, 3)]


@pytest.mark.parametrize("cache", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_greedy(kind, cache):
    twin, model = build(kind), load_model(build(kind))
    run = model.run(IDS).ablate(HEADS)
    if kind == "bidirectional":
        with pytest.raises(ModelError, match="no next token"):
            generate(run)
        return
    result = generate(run, 12, cache=cache)
    # TransformerLens makes room for grouped keys, and gets ungrouped ones.
    assert result.cached == (cache and kind != "ungrouped"), result.note
    for side, hooks in (("control", []), ("ablated", [zero(*head) for head in HEADS])):
        ids = torch.tensor(IDS)
        for _ in range(12):
            ids = torch.cat([ids, lens(twin, hooks, ids.tolist())[-1].argmax()[None]])
        assert result.ids(side) == ids.tolist()
