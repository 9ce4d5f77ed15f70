"""Patterns and statistics without the first token and without special tokens, against sums written out."""

import numpy as np
import pytest
import torch

from attnwidget import AttnWidgetError, head_statistics
from attnwidget.analysis import STATISTICS, head_statistic, without_first
from attnwidget.analysis.sinks import nothing_left
from attnwidget.analysis.specials import special_positions
from attnwidget.analysis.statistics import Rows
from tests.analysis.test_statistics import WRITTEN_OUT
from tests.models import HEADS, IDS, LAYERS, induction_model, induction_prompt, subject

CLS, SEP, PAD, MASK = 3, 4, 1, 5


def written_out(name, pattern, causal, keys, queries):
    """Mean over queries of the statistic of a row, in which keys that are not kept are 0. Distances are between positions as they were."""
    values = []
    n = len(pattern)
    for q in queries:
        visible = [k for k in keys if not causal or k <= q]
        row = [pattern[q][k] if k in visible else 0.0 for k in range(n)]
        back = {"first_token_share": q, "previous_token_share": 1, "current_token_share": 0}.get(name)
        if back is not None and q - back not in keys:
            continue
        if (name in ("first_token_share", "previous_token_share") and q == 0) or np.isnan(row).any():
            continue
        if name not in ("first_token_share", "previous_token_share") and len(visible) < 2:
            continue
        values.append(WRITTEN_OUT[name](row, q, visible))
    return np.mean(values) if values else np.nan


@pytest.mark.parametrize("name", ["llama", "bert"])
@pytest.mark.parametrize("first", ["hide", "renormalise"])
def test_statistics_without_the_first_token(name, first):
    s = subject(name)
    found = head_statistics(s.model.run(IDS), first=first)
    assert "first token left out" in found.note and "first token left out" in found.scores("entropy").describe()
    assert "first token left out" in repr(found) and found.note in found.describe() and found.to_frame().attrs["note"] == found.note
    keys = range(1, len(IDS))
    for layer in range(LAYERS):
        pattern = s.patterns(layer).double()
        pattern[..., 0] = 0
        if first == "renormalise":
            pattern = pattern / pattern.sum(-1, keepdim=True)
        for statistic in STATISTICS:
            expected = [written_out(statistic, pattern[h].tolist(), name == "llama", keys, range(len(IDS))) for h in range(HEADS)]
            assert found.values[statistic][layer] == pytest.approx(expected, abs=2e-5, nan_ok=True), (layer, statistic)
    assert np.isnan(found.values["first_token_share"]).all()


def test_statistics_without_special_tokens():
    s = subject("bert")
    ids = [CLS, *IDS, MASK, SEP, PAD]
    run = s.model.run(ids)
    # A mask stands for a word.
    assert special_positions(run) == (0, len(ids) - 2, len(ids) - 1)
    found = head_statistics(run, special="discount")
    assert "special tokens left out as queries and keys ([CLS], [SEP], <pad>)" in found.note
    kept = range(1, len(ids) - 2)
    for layer in range(LAYERS):
        pattern = s.patterns(layer, ids).double().tolist()
        for statistic in STATISTICS:
            expected = [written_out(statistic, pattern[h], False, kept, kept) for h in range(HEADS)]
            assert found.values[statistic][layer] == pytest.approx(expected, abs=2e-5, nan_ok=True), (layer, statistic)
    both = head_statistics(run, first="renormalise", special="discount")
    # The first token is a special one, and what is left is made to sum to 1.
    assert both.values["entropy"] == pytest.approx(found.values["entropy"])
    assert (both.values["maximum"] > found.values["maximum"]).all()


def test_a_prompt_without_special_tokens_says_so():
    found = head_statistics(subject("bert").model.run(IDS), special="discount")
    plain = head_statistics(subject("bert").model.run(IDS))
    assert "none in this prompt" in found.note and plain.note == ""
    assert all(np.array_equal(found.values[name], plain.values[name]) for name in STATISTICS)


def test_a_head_that_rests_on_the_first_token_is_undefined_without_it():
    """The hand-built L1H2 looks at BOS alone: renormalised, 0/0; hidden, no share is left anywhere."""
    from attnwidget import load_model

    run = load_model(induction_model()).run(induction_prompt())
    with pytest.raises(AttnWidgetError, match="came without a tokenizer"):
        head_statistics(run, special="discount")
    hidden, renormalised = (head_statistic(run, "maximum", first=how).values for how in ("hide", "renormalise"))
    assert hidden[1, 2] == pytest.approx(0, abs=1e-6)
    pattern = torch.zeros(3, 3)
    pattern[:, 0] = 1
    assert without_first(pattern, "renormalise").isnan().all()
    # L0H0 looks at the previous token, from query 2 on never the first.
    assert renormalised[0, 0] == pytest.approx(1)


@pytest.mark.parametrize("kind", [torch.tensor, np.array])
def test_a_pattern_without_its_first_token(kind):
    pattern = kind([[1.0, 0, 0], [0.25, 0.75, 0], [0.5, 0.125, 0.375]])
    hidden, renormalised, kept = (np.asarray(without_first(pattern, how)) for how in ("hide", "renormalise", "keep"))
    assert hidden.tolist() == [[0, 0, 0], [0, 0.75, 0], [0, 0.125, 0.375]]
    assert np.isnan(renormalised[0]).all() and renormalised[1:].tolist() == [[0, 1, 0], [0, 0.25, 0.75]]
    assert kept.tolist() == np.asarray(pattern).tolist() and float(pattern[0][0]) == 1


@pytest.mark.parametrize(("dtype", "lost", "kept"), [(torch.float32, 2e-8, 1e-6), (torch.float16, 1e-4, 1e-2)])
def test_what_the_first_token_s_rounding_swallows_is_nothing(dtype, lost, kept):
    pattern = torch.tensor([[1, 0, 0], [1, lost, 0], [1 - kept, kept / 2, kept / 2]], dtype=dtype)
    found = without_first(pattern, "renormalise")
    assert found[:2].isnan().all() and found[2].tolist() == [0, 0.5, 0.5]
    assert without_first(pattern.numpy(), "renormalise")[2].tolist() == [0, 0.5, 0.5]
    assert np.isnan(without_first(pattern.numpy(), "renormalise")[1]).all()
    rows = Rows(without_first(pattern.double()[None]), torch.tensor([0.0, 2, 2]), (0,), (), nothing_left(dtype))
    assert STATISTICS["entropy"].function(rows).item() == pytest.approx(np.log(2))


def test_what_is_refused():
    for wrong in (5, "A", None):
        with pytest.raises(AttnWidgetError, match="without_first takes a pattern"):
            without_first(wrong)
    run = subject("llama").model.run(IDS)
    with pytest.raises(AttnWidgetError, match="'keep', 'hide' or 'renormalise', not 'drop'"):
        head_statistics(run, first="drop")
    with pytest.raises(AttnWidgetError, match="'keep' or 'discount', not 'hide'"):
        head_statistics(run, special="hide")
