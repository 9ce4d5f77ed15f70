"""What a notebook is saved with stays below 2 MB, however long the prompt and however many the heads."""

import base64
import json
from dataclasses import replace

import numpy as np
import pytest

from attnwidget import AttentionWidget, score
from attnwidget.widget.jobs import Job
from attnwidget.widget.kept import MOST, kept
from attnwidget.widget.painted import saved, together
from tests.scale.conftest import narrow, words

MEGABYTES_2 = 2_000_000


def saved_bytes(w: AttentionWidget) -> int:
    """The widget's state as a notebook has it: JSON, bytes in base64."""
    return len(json.dumps(w.get_state(), default=lambda value: base64.b64encode(bytes(value)).decode()).encode())


@pytest.mark.parametrize(("layers", "heads", "tokens"), [(30, 9, 1024), (2, 2, 2048), (80, 64, 64)])
def test_the_state_of_a_widget(layers, heads, tokens):
    model = narrow(layers, heads, tokens)
    w = AttentionWidget(model, words(tokens), prepend_bos=False)
    assert len(w.tokens) == tokens
    # The longest answer there is: an ablation with its estimate, every figure of every head different.
    scores = score(w.run.clean, "output_norm")
    values = np.random.default_rng(0).normal(size=(layers, heads))
    exact, estimate = (replace(scores, values=some, method="ablation", metric="kl") for some in (values, values + 1e-3))
    answer = together(exact, np.ones(values.shape, bool), estimate, finished=True, seconds=1.0)
    w.scored = saved(answer, {"run_key": w.run_key, "method": "ablation", "metric": "kl"})
    w.selected = [(layer, head) for layer in range(layers) for head in range(heads)]
    w.shown = [(layers - 1, 0)]
    job = Job("page-1", None, "", lambda job: None, lambda result: None, lambda error: None)
    w.kept = kept(w, job)
    assert 0 < len(w.kept) <= MOST
    assert saved_bytes(w) < MEGABYTES_2
