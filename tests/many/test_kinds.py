"""Kinds and statistics over prompts are those of each prompt, and a kind is judged by its mean."""

import math

import numpy as np
import pytest

from attnwidget import AttnWidgetError, Head, detect_dataset, detect_heads, head_statistics, load_model
from attnwidget.analysis import KINDS, STATISTICS

from ..models import IDS, OTHER_IDS, induction_model, subject

PROMPTS = [IDS, OTHER_IDS, IDS[:4], [5, 6, 7]]  # the last repeats nothing


def test_samples_are_those_of_each_prompt():
    model = subject("llama").model
    found = detect_dataset(model, PROMPTS, [*KINDS, *STATISTICS])
    runs = [model.run(ids) for ids in PROMPTS]
    for name in KINDS:
        each = [detect_heads(run, name)[name] for run in runs]
        np.testing.assert_array_equal(found.samples[name], np.stack([one.values for one in each]))
        assert found.chance(name) == pytest.approx(np.nanmean([one.chance for one in each]))
    for name in STATISTICS:
        np.testing.assert_array_equal(found.samples[name], np.stack([head_statistics(run).values[name] for run in runs]))
    # The second has one token twice in a row: a duplicate, behind which there is nothing to look at.
    assert [(found.n(name) == n).all() for name, n in (("induction", 2), ("duplicate_token", 3), ("entropy", 4))] == [True] * 3
    assert "induction in 2 of them; duplicate token in 3 of them" in repr(found)


def test_heads_of_a_model_built_by_hand_are_found():
    """L1H0 and L1H1 look behind the earlier occurrence, L0H0 one back, L0H1 at it: on every prompt."""
    model = load_model(induction_model())
    found = detect_dataset(model, [[0, 3, 5, 7, 3, 5, 7], [0, 9, 4, 9, 4, 9], [0, 2, 8, 6, 2, 8]])
    assert set(found.heads("induction")) == {Head(1, 0), Head(1, 1)}
    assert found.heads("previous_token") == [Head(0, 0)]
    assert found.mean("induction")[1, 0] > 0.9 and found.interval("induction")[1][1, 0] <= 1
    frame = found.to_frame()
    assert set(frame[(frame.number == "induction") & frame.found]["head"]) == {"L1H0", "L1H1"}
    assert found.figure().svg() and "<table" in found._repr_html_()
    assert found.kinds.heads("induction", "variance"), "the other rules are there"


def test_an_interval_that_reaches_down_to_chance_finds_nothing():
    """A head may score above the threshold on average and differ so much between prompts that this may be luck."""
    from attnwidget.many.kindsfound import DatasetKinds
    from attnwidget.many.results import Gathered

    samples = np.array([[[0.9, 0.9]], [[0.1, 0.8]], [[0.8, 0.85]]])
    facts = {"model": ("m",), "processing": ("p",), "dtype": ("d",), "note": ("",)}
    each = {"tokens": (3, 3, 3), "chances": ([0.3], [0.2], [0.1])}
    found = DatasetKinds(Gathered({"previous_token": samples}, ("a", "b", "c"), each, facts, (), 0.95, ""), ("previous_token",), 0.4)
    assert found.mean("previous_token")[0, 0] == pytest.approx(0.6) and found.chance("previous_token") == pytest.approx(0.2)
    assert found.heads("previous_token") == [Head(0, 1)]


def test_what_no_prompt_has_is_blank_and_says_why():
    found = detect_dataset(subject("llama").model, [[5, 6, 7], [8, 9]], ["induction", "current_token"])
    assert np.isnan(found.mean("induction")).all() and math.isnan(found.chance("induction"))
    assert found.kinds["induction"].reason == "no repeats in these prompts" and found.heads("induction") == []
    assert found.top("induction") == [] and len(found.top("current_token", 3)) == 3


def test_statistics_can_leave_out_the_first_token_and_special_ones():
    model = subject("bert").model
    texts = ["When Mary and John", "The cat sat"]
    found = detect_dataset(model, texts, "distance", special="discount")
    each = [head_statistics(model.run(text), special="discount").values["distance"] for text in texts]
    np.testing.assert_array_equal(found.samples["distance"], np.stack(each))
    assert "special tokens left out" in found.describe() and found.scores("distance").unit == "tokens"
    with pytest.raises(AttnWidgetError, match="No kind of head was asked for"):
        found.kinds


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"kinds": "copying"}, "No kind of head or pattern statistic 'copying'"),
        ({"kinds": []}, "No kinds were given"),
        ({"threshold": 2}, "threshold must be a share of attention"),
        ({"first": "away"}, "first must be"),
    ],
)
def test_what_is_wrong_is_refused(asked, said):
    with pytest.raises(AttnWidgetError, match=said):
        detect_dataset(subject("llama").model, PROMPTS, **asked)
    with pytest.raises(AttnWidgetError, match="Prompt 0 has 'prompt', 'target'"):
        detect_dataset(subject("llama").model, [{"prompt": IDS, "target": 3}])
