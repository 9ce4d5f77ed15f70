"""Mean attention and rollout against loops over what the models report themselves."""

import numpy as np
import pytest
import torch

from attnwidget import AttnWidgetError, HeadError, attention_rollout, load_model, mean_attention
from tests.models import HEADS, IDS, LAYERS, induction_model, induction_prompt, subject

N = len(IDS)


def rolled(patterns, residual, start=0):
    """Abnar and Zuidema's recursion, entry by entry: `patterns[layer][head]` are lists of rows."""
    n = len(patterns[0][0])
    found = [[float(i == j) for j in range(n)] for i in range(n)]
    for heads in patterns[start:]:
        new = []
        for i in range(n):
            row = [residual * (i == k) + (1 - residual) * sum(a[i][k] for a in heads) / len(heads) for k in range(n)]
            row = [x / sum(row) for x in row]
            new.append([sum(row[k] * found[k][j] for k in range(n)) for j in range(n)])
        found = new
    return found


@pytest.mark.parametrize("name", ["gpt2", "llama", "bert", "distilbert", "gptoss"])
@pytest.mark.parametrize(("residual", "start"), [(0.5, 0), (0.2, 1), (0, 0), (1, 0)])
def test_rollout_is_the_recursion_of_the_paper(name, residual, start):
    s = subject(name)
    found = attention_rollout(s.model.run(IDS), residual=residual, start=start)
    patterns = [s.patterns(layer).double().tolist() for layer in range(LAYERS)]
    assert found.values == pytest.approx(np.array(rolled(patterns, residual, start)), abs=1e-6)
    assert found.values.sum(-1) == pytest.approx(1) and found.values.min() >= 0
    if s.spec.causal:
        assert not np.triu(found.values, 1).any()
    assert found.heads[0].layer == start and len(found.heads) == (LAYERS - start) * HEADS


def test_rollout_of_the_hand_built_model_and_of_nothing_but_the_residual():
    bridge = induction_model()
    ids = induction_prompt()
    found = attention_rollout(load_model(bridge).run(ids))
    _, cache = bridge.run_with_cache(torch.tensor([ids]))
    patterns = [cache[f"blocks.{layer}.attn.hook_pattern"][0].double().tolist() for layer in range(2)]
    assert found.values == pytest.approx(np.array(rolled(patterns, 0.5)), abs=1e-6)
    # By hand, at query 1: layer 0 looks at BOS, nearly only at itself, and evenly; layer 1 evenly, evenly, and at BOS.
    itself = np.exp(8) / (1 + np.exp(8))
    lower, upper = 0.5 + 0.5 * (0 + itself + 0.5) / 3, 0.5 + 0.5 * (0.5 + 0.5 + 0) / 3
    assert found.values[1, :2] == pytest.approx([1 - upper * lower, upper * lower], abs=1e-6)
    assert attention_rollout(load_model(bridge).run(ids), start=1).values[1, :2] == pytest.approx([1 - upper, upper], abs=1e-6)


@pytest.mark.parametrize("name", ["llama", "bert"])
def test_means_over_heads_and_layers(name):
    s = subject(name)
    run = s.model.run(IDS)
    patterns = torch.stack([s.patterns(layer) for layer in range(LAYERS)]).double().numpy()
    assert mean_attention(run).values == pytest.approx(patterns.mean((0, 1)), abs=1e-6)
    assert mean_attention(run, layers=1).values == pytest.approx(patterns[1].mean(0), abs=1e-6)
    assert mean_attention(run, layers=[2, 0, 2]).values == pytest.approx(patterns[[0, 2]].mean((0, 1)), abs=1e-6)
    some = mean_attention(run, ["L0H1", (2, 3), "L2H0"])
    assert some.values == pytest.approx((patterns[0, 1] + patterns[2, 3] + patterns[2, 0]) / 3, abs=1e-6)
    assert some.heads == ((0, 1), (2, 0), (2, 3)) and "mean over 3 heads" in repr(some)
    hidden = mean_attention(run, "L1H2", first="renormalise")
    expected = patterns[1, 2].copy()
    expected[:, 0] = 0
    with np.errstate(invalid="ignore"):
        expected /= expected.sum(-1, keepdims=True)
    assert hidden.values == pytest.approx(expected, abs=1e-5, nan_ok=True) and "first token left out" in hidden.describe()
    assert np.isnan(hidden.values[0]).all() == (name == "llama")


def test_ablated_patterns_are_those_that_act():
    s = subject("bert")
    run = s.model.run(IDS).ablate("L2H1", "uniform")
    found = mean_attention(run, "L2H1")
    assert found.values == pytest.approx(1 / N) and "with L2H1 ablated" in found.describe()


def test_each_says_what_it_does_not_mean():
    run = subject("gpt2").model.run(IDS)
    mean, rollout = mean_attention(run, progress=lambda *_: None), attention_rollout(run)
    assert "does not say that any one head looks" in mean.caution and mean.caution in repr(mean)
    assert "not what a token contributes" in rollout.caution and rollout.caution in rollout.describe()
    frame = rollout.to_frame()
    assert frame.shape == (N, N) and frame.attrs["caution"] == rollout.caution and frame.index[0].startswith("0: ")
    with pytest.raises(ValueError, match="read-only"):
        rollout.values[0, 0] = 2


def test_heads_whose_output_is_ablated_are_named():
    """Their patterns are there as ever; of one whose pattern is ablated it is the one that acts."""
    clean = subject("gpt2").model.run(IDS)
    zeroed, uniform = clean.ablate(["L0H1", "L2H0"]), clean.ablate("L0H1", "uniform")
    assert "(L0H1, L2H0) count in full" in attention_rollout(zeroed).caution
    assert "(L2H0) count in full" in mean_attention(zeroed, layers=2).caution
    for found in (attention_rollout(clean), attention_rollout(uniform), attention_rollout(zeroed.clean), mean_attention(zeroed, layers=1)):
        assert "count in full" not in found.caution
    assert mean_attention(zeroed, "L0H1").values == pytest.approx(clean.pattern("L0H1").numpy(), abs=1e-7)


def test_what_is_refused():
    run = subject("gpt2").model.run(IDS)
    for residual in (-0.1, 1.5, True, "half"):
        with pytest.raises(AttnWidgetError, match="residual must be a number from 0 to 1"):
            attention_rollout(run, residual=residual)
    for start in (3, -1, 0.5):
        with pytest.raises(HeadError, match="No layer .* layers run from 0 to 2"):
            attention_rollout(run, start=start)
    with pytest.raises(AttnWidgetError, match="give one of them"):
        mean_attention(run, "L0H0", layers=1)
    with pytest.raises(HeadError, match="No layer 1.5"):
        mean_attention(run, layers=1.5)
    with pytest.raises(AttnWidgetError, match="run must be a run"):
        attention_rollout(IDS)
    with pytest.raises(HeadError, match="No layer 7"):
        mean_attention(run, layers=[0, 7])
    with pytest.raises(HeadError, match="No heads were given"):
        mean_attention(run, [])
    with pytest.raises(AttnWidgetError, match="'keep', 'hide' or 'renormalise'"):
        mean_attention(run, first="no")
