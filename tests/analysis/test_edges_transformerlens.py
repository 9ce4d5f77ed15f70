"""Edge attribution and circuits beside TransformerLens's own, which has an edge for every position: its are summed, or taken together."""

from collections import defaultdict
from functools import cache

import numpy as np
import pytest
import torch

from attnwidget.analysis.edgeattribution import edge_attribution
from attnwidget.analysis.patching import circuit_effects, faithfulness, make_pair
from tests.analysis.by_hand import LAST
from tests.analysis.test_patching import ASKED, ends
from tests.models import IDS, OTHER_IDS, subject, unchanged

theirs = pytest.importorskip("transformer_lens.tools.analysis.attribution_patching", reason="of TransformerLens 4.3")


def metric(logits):
    return logits[0, LAST, ASKED["target"]] - logits[0, LAST, ASKED["against"]]


def name(node):
    if node.kind in ("embed", "logits"):
        return node.kind
    if node.kind.startswith("mlp"):
        return f"MLP {node.layer}"
    head = f"L{node.layer}H{node.head}"
    return head if node.kind == "attn_head_out" else f"{head}.{node.kind[0]}"


@cache
def attributed():
    bridge = subject("gpt2", "bridge").source
    config = theirs.EdgeAttributionConfig(granularity="edge")
    return theirs.attribution_patch(bridge, torch.tensor([IDS]), torch.tensor([OTHER_IDS]), metric, config)


def test_edge_attribution():
    """Theirs are slopes of the metric at the corrupt run, towards the clean one: ours with the two runs exchanged, of the drop."""
    model = subject("gpt2", "bridge").model
    pair = make_pair(model.run(OTHER_IDS), model.run(IDS), **ASKED)
    expected = defaultdict(float)
    for (source, destination), score in attributed().edge_scores.items():
        expected[name(source), name(destination)] -= score
    with unchanged(model.source):
        found = edge_attribution(pair, "eap")
    assert {ends(pair.graph, e): score for e, score in enumerate(found)} == pytest.approx(dict(expected), abs=1e-4)
    assert np.abs(found).max() > 0.1


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_faithfulness(share):
    model = subject("gpt2", "bridge").model
    pair = make_pair(model.run(IDS), model.run(OTHER_IDS), **ASKED)
    mask = np.random.default_rng(5).random(len(pair.graph)) < share
    kept = {ends(pair.graph, e) for e in np.flatnonzero(mask)}
    circuit = [edge for edge in attributed().edge_scores if (name(edge[0]), name(edge[1])) in kept]
    expected = theirs.faithfulness(model.source, torch.tensor([IDS]), torch.tensor([OTHER_IDS]), metric, circuit)
    assert expected.circuit_size == mask.sum() * len(IDS) and expected.total_edges == len(mask) * len(IDS)
    found = faithfulness(pair, circuit_effects(pair, [mask]))
    assert found == pytest.approx([expected.recovered], abs=1e-4) and abs(expected.recovered) > 0.01
