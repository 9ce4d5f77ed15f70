"""Encoders end to end: heads of BERT, DistilBERT and RoBERTa with their masked-LM and classification heads, against hooks by hand."""

import pytest
import torch

from attnwidget import score
from tests.models import HEADS, IDS, LAYERS, subject, with_pattern

MASK, AT = 5, 4
TEXT = [3, *IDS[:3], MASK, *IDS[4:], 4]
ANSWERING = ["bert", "distilbert", "roberta", "bert-classifier", "distilbert-classifier"]
N = len(TEXT)


def answer(s, logits):
    return logits[0 if s.spec.answer == "class" else AT].double()


@pytest.mark.parametrize("name", ANSWERING)
@pytest.mark.parametrize("mode", ["zero", "uniform"])
def test_the_sweep_equals_hooks_by_hand(name, mode):
    """A uniform pattern of an encoder is over all tokens, later ones too."""
    s = subject(name)
    run = s.model.run(TEXT)
    target, against = (0, 2) if s.spec.answer == "class" else (12, 77)
    found = score(run, metric="logit_diff", target=target, against=against, mode=mode)
    assert found.position == (None if s.spec.answer == "class" else AT)
    clean = answer(s, s.clean(TEXT))
    for layer in range(LAYERS):
        for head in range(HEADS):
            if mode == "zero":
                ablated = s.zeroed([(layer, head)], TEXT)
            else:
                ablated = s.edited({layer: with_pattern(head, torch.full((N, N), 1 / N))}, TEXT)
            row = answer(s, ablated)
            drop = (clean[target] - clean[against]) - (row[target] - row[against])
            assert found.values[layer, head] == pytest.approx(drop.item(), abs=2e-5), (layer, head)
    assert abs(found.values).min() > 1e-5


@pytest.mark.parametrize("name", ANSWERING)
def test_several_heads_at_once(name):
    s = subject(name)
    ablated = s.model.run(TEXT).ablate(["L0H1", "L1H3", "L2H0"])
    expected = s.zeroed([(0, 1), (1, 3), (2, 0)], TEXT)
    assert torch.equal(ablated.logits, expected)
    top = ablated.top(3)
    best = answer(s, expected).softmax(-1).sort(descending=True)
    assert top["id"].tolist() == best.indices[:3].tolist() and top["probability"].tolist() == pytest.approx(best.values[:3].tolist())
