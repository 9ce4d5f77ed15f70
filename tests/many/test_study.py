"""Studies over prompts are those of each prompt; shares have Wilson's interval."""

import math

import numpy as np
import pytest

from attnwidget import AttnWidgetError, study, study_dataset
from attnwidget.many.studiedset import wilson

from ..models import IDS, OTHER_IDS, subject

ASKED = {"random": 2, "budget": 200, "max_heads": 3, "candidates": 6}
PROMPTS = [IDS, OTHER_IDS, IDS[:5]]


def second(model, ids):
    """A target that a few heads should be enough for."""
    return int(model.run(ids).top(2).id[1])


def test_each_prompt_has_its_own_study():
    model = subject("llama").model
    asked = [{"prompt": ids, "target": second(model, ids)} for ids in PROMPTS]
    found = study_dataset(model, [*asked, {"prompt": IDS, "target": int(model.run(IDS).top(1).id[0])}], **ASKED)
    each = [study(model.run(one["prompt"]), one["target"], **ASKED) for one in asked]
    assert [found.heads(i) for i in range(3)] == [one.heads for one in each]
    frame = found.per_prompt()
    assert frame.verdict.tolist()[:3] == [one.verdict for one in each]
    assert frame.margin_before.tolist()[:3] == [one.before.margin for one in each]
    assert frame.margin.tolist()[:3] == [one.found.margin for one in each], "a set was found for each"
    assert [one.index for one in found.failures] == [3] and "is the first choice already" in found.failures[0].reason
    assert found.n == 3 and found.flipped[0] == 1 and found.heads(3) == ()
    sizes = [len(one.heads) for one in each]
    assert found.size[0] == pytest.approx(np.mean(sizes))
    for head in {head for one in each for head in one.heads}:
        assert found.share[head] == pytest.approx(sum(head in one.heads for one in each) / 3)
    assert found.share.sum() == pytest.approx(sum(sizes) / 3)
    assert np.isnan(found.samples[3]).all() and sum(found.verdicts.values()) == 3
    assert found.to_frame()["prompts"].sum() == sum(sizes) and found.top(1)[0] in {h for one in each for h in one.heads}
    assert "have a set that makes the target the first choice" in found.describe()
    assert found.figure().svg() and "<table" in found._repr_html_()


def test_without_a_target_it_is_the_set_that_moves_the_answer_most():
    model = subject("llama").model
    found = study_dataset(model, PROMPTS, **ASKED)
    each = [study(model.run(ids), **ASKED) for ids in PROMPTS]
    assert [found.heads(i) for i in range(3)] == [one.heads for one in each]
    assert found.verdicts == {"best found": 3}
    best = [max(one.sizes, key=lambda size: size.kl) for one in each]
    assert found.per_prompt().kl.tolist() == [one.kl for one in best]
    assert found.flipped[0] == pytest.approx(np.mean([b.first.id != one.before.first.id for b, one in zip(best, each, strict=True)]))


def test_where_no_set_is_found_shares_are_zero_and_sizes_undefined():
    model = subject("llama").model
    last = int(model.run(IDS).top(300).id.iloc[-1])
    found = study_dataset(model, [IDS], last, random=0, budget=12, max_heads=1)
    assert found.verdicts == {"none found": 1} and (found.share == 0).all() and found.flipped[0] == 0
    assert math.isnan(found.size[0]) and found.top() == [] and "no set found" in repr(found)


def test_wilsons_interval_is_that_of_the_textbook():
    """E. B. Wilson's interval of 10 in 100 at 95 %, as R's prop.test(10, 100, correct=FALSE) gives it: 0.0552 to 0.1744."""
    low, high = wilson(np.array([0.1, 0.0, 1.0]), 100, 0.95)
    assert (low[0], high[0]) == pytest.approx((0.05522914, 0.17436566), abs=1e-7)
    assert low[1] == 0 and high[2] == 1 and high[1] > 0 and low[2] < 1


def test_what_is_wrong_is_refused():
    model = subject("llama").model
    with pytest.raises(AttnWidgetError, match="No mode 'off'"):
        study_dataset(model, PROMPTS, mode="off")
    with pytest.raises(AttnWidgetError, match="No prompt 9"):
        study_dataset(model, PROMPTS[:1], random=0, budget=12, max_heads=1).heads(9)
    with pytest.raises(AttnWidgetError, match="None of the 1 prompts could be answered; the first: budget must be"):
        study_dataset(model, PROMPTS[:1], budget="many")
