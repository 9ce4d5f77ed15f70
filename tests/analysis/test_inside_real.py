"""SmolLM2 from the inside: what induction is made of in weights that were trained."""

import numpy as np
import pytest
import torch

from attnwidget import attention_sources, load_model, qk, qk_circuit, score, value_weighted


@pytest.mark.demo
def test_an_induction_head_of_a_trained_model(prompt):
    model = load_model("smollm2-135m")
    once = torch.randint(300, 40000, (12,), generator=torch.Generator().manual_seed(0)).tolist()
    run = model.run(once + once)
    found = attention_sources(run, "L18H6", 23, 12)
    # It looks at what followed its token before, because a previous-token head put that token there.
    assert found.attention > 0.9 and found.table.sum() == pytest.approx(found.score, abs=1e-3)
    heads = [i for i, name in enumerate(found.components) if name.startswith("L")]
    first = max(heads, key=lambda i: found.key_side[i])
    assert found.components[first] == "L16H0" and found.key_side[first] > 0.8 * found.score
    assert found.key_tokens[first].argmax() == 11 and found.key_tokens[first].sum() == pytest.approx(found.key_side[first], abs=1e-3)

    run = model.run(prompt)
    offset, head = 2, "L0H3"
    block, scores = qk_circuit(model, head, offset=offset, tokens=list(run.ids), k=0).block, qk(run, head)
    assert scores.off <= 1e-5
    assert np.abs(np.diag(block, -offset) - np.diag(scores.scaled, -offset)).max() <= 1e-4

    signed = value_weighted(run, ["L23H3", "L29H1"], "signed", target=" Mary", against=" John")
    direct = score(run, "direct_logit", target=" Mary", against=" John").values
    assert signed.values[:, -1].sum(-1) == pytest.approx(np.array([direct[23, 3], direct[29, 1]]), abs=1e-4)
