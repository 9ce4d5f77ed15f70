"""Which set of heads does it: the same whatever the batch, counted, within its budget, cancelled; and the result as a table."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from attnwidget import AttnWidgetError, ModelError, study
from attnwidget.analysis.search import drawn_at_random
from attnwidget.analysis.studying import prepare
from attnwidget.heads import Head
from attnwidget.widget.wire import pack

from ..models import IDS, OTHER_IDS, fresh, subject, unchanged
from .sets_by_hand import EVERY, knap, margin, second_choice

# -- reproducible, counted, cancelled ----------------------------------------------------------------------------------


def test_the_same_whatever_the_batch():
    whole = fresh("llama")
    run = whole.model.run(IDS)
    target = second_choice(run)
    first = study(run, target, max_heads=3), study(run, max_heads=3)
    assert first == (study(run, target, max_heads=3), study(run, max_heads=3))
    whole.model.engine.max_rows = 1
    again = study(run, target, max_heads=3), study(run, max_heads=3)
    for one, other in zip(first, again, strict=True):
        assert [s.heads for s in one.sizes] == [s.heads for s in other.sizes] and one.heads == other.heads
        assert one.tried == other.tried and one.verdict == other.verdict and one.restored == other.restored
        assert one.random[-1].median == pytest.approx(other.random[-1].median, rel=1e-4)


def test_random_sets_are_what_they_are_said_to_be():
    run = subject("gpt2").model.run(IDS)
    target = second_choice(run)
    for token in (target, None):
        found = study(run, token, max_heads=3, random=7, seed=5)
        assert [one.size for one in found.random] == [len(one.heads) for one in found.sizes]
        for one in found.random:
            drawn = drawn_at_random(tuple(EVERY), one.size, 7, 5)
            assert len(set(drawn)) == one.sets == 7 and all(len(set(heads)) == one.size for heads in drawn)
            after = [run.ablate(list(heads)) for heads in drawn]
            values = [a.kl() if token is None else margin(a.logits_at(), token) for a in after]
            assert (one.low, one.median, one.high) == pytest.approx((min(values), np.median(values), max(values)), rel=1e-4, abs=2e-5)
    assert drawn_at_random(tuple(EVERY), 2, 7, 5) != drawn_at_random(tuple(EVERY), 2, 7, 6)
    assert drawn_at_random(tuple(EVERY), 1, 50, 0) == [(head,) for head in EVERY]
    assert study(run, max_heads=2, random=0).random == ()


def test_what_it_cost_is_counted():
    """One layer: every set, every state and every gradient runs one block, which is the whole model."""
    asked = prepare(knap(), 5, random=0)
    found = asked.conduct()
    assert found.sets == 31
    assert found.forwards >= 31
    # Two layers above the first: a set costs the blocks from its lowest head up.
    run = subject("gpt2").model.run(IDS)
    trials = prepare(run).trials
    trials.extend((), EVERY)
    assert trials.blocks == 4 * (3 + 2 + 1) and trials.forwards == trials.blocks / 3
    trials.extend((Head(0, 0),), [Head(2, 1), Head(1, 1)])  # the set itself, then each row from the head that is added
    assert trials.blocks == 24 + 3 + 1 + 2
    trials.try_sets([(Head(0, 1), Head(2, 2)), (Head(0, 0), Head(2, 1))])  # the second is known
    assert trials.blocks == 24 + 6 + 3 and trials.sets == 12 + 2 + 1


def test_the_budget_is_kept():
    run = subject("gpt2").model.run(IDS)
    for budget in (12, 30, 78, 100):
        for target in (None, int(run.logits_at().argmin())):
            assert study(run, target, budget=budget, random=0).sets <= budget


def test_partial_studies_grow_and_progress_tells():
    run, seen, told = subject("gpt2").model.run(IDS), [], []
    found = study(run, second_choice(run), max_heads=3, partial=seen.append, progress=lambda *said: told.append(said))
    assert seen and all(one.verdict is None and one.certificate == () for one in seen)
    assert [one.sets for one in seen] == sorted(one.sets for one in seen) and seen[-1].sets == found.sets
    assert seen[0].sizes == () and seen[-1].sizes == found.sizes and seen[-1].random == found.random
    assert all(0 <= done <= total and text for done, total, text in told)
    assert "unfinished" in repr(seen[0]) and seen[0].to_frame().empty


@pytest.mark.parametrize("after", [1, 3, 6, 9, 14])
def test_what_progress_raises_ends_it_and_nothing_is_left(after):
    s = fresh("llama")
    run, count = s.model.run(IDS), 0

    class Stop(RuntimeError):  # as what a model that cannot be differentiated raises
        pass

    def progress(done, total, text):
        nonlocal count
        count += 1
        if count == after:
            raise Stop

    with unchanged(s.source), pytest.raises(Stop):
        study(run, int(run.logits_at().argmin()), progress=progress)
    assert torch.equal(s.model.run(IDS).logits, run.logits) and torch.equal(s.clean(), run.logits)


def test_a_model_that_cannot_be_differentiated_is_searched_all_the_same():
    run = subject("gpt2").model.run(IDS)
    with torch.inference_mode():
        found = study(run, second_choice(run), max_heads=2)
    assert "no attribution of the margin at each set: Nothing can be differentiated" in found.note
    assert found.sets >= len(EVERY)


# -- the result --------------------------------------------------------------------------------------------------------


def test_the_cell_computes_the_same():
    model = subject("llama").model
    clean = model.run("When Mary and John went")
    cases = [
        (clean, {"max_heads": 2}),
        (clean, {"target": int(clean.logits_at(2).argmin()), "max_heads": 2, "mode": "mean", "position": 2, "seed": 4}),
        (clean, {"mode": "random", "seed": 2, "positions": [1, 2], "max_heads": 1, "beam": 2, "random": 3}),
        (clean.ablate(["L1H1"], mode="scale", scale=0.5), {"max_heads": 1, "budget": 30}),
        (model.run(IDS), {"mode": "resample", "reference": [OTHER_IDS], "max_heads": 1, "candidates": 4}),
    ]
    for run, given in cases:
        found = study(run, **given)
        names = {"model": model}
        exec(found.python, names)
        assert names["found"] == found, found.python


def test_as_a_table_and_as_a_message():
    run = subject("gpt2").model.run(IDS)
    target = second_choice(run)
    found = study(run, target, max_heads=3, random=3)
    frame = found.to_frame()
    assert list(frame["size"]) == [len(one.heads) for one in found.sizes] and list(frame["margin"]) == [one.margin for one in found.sizes]
    assert list(frame["random_median"]) == [one.median for one in found.random] and frame.attrs["target"] == found.target.token
    assert len(repr(found)) < 400 and "✓" in found._repr_html_()
    message, _ = pack(found)
    # `Study` of js/src/source/ops.ts, and what says how it was made.
    told = {"target", "position", "before", "sizes", "random", "found", "restored", "tried", "verdict", "certificate", "sets", "forwards"}
    assert set(message) == told | {"note", "python", "rerun", "baseline", "conditional", "processing", "dtype"}
    assert set(message["before"]) == {"heads", "margin", "kl", "first", "target_probability"} and message["before"]["heads"] == []
    assert message["sizes"][0]["heads"] == [list(found.sizes[0].heads[0])] and set(message["target"]) == {"id", "token"}
    assert math.isnan(study(run, max_heads=1).to_frame()["margin"][0]) and pack(study(run, max_heads=1))[0]["sizes"][0]["margin"] is None


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"budget": 11}, "must be at least 12, one set for each head alone, not 11"),
        ({"beam": 0}, "beam must be a whole number of 1 or more, not 0"),
        ({"max_heads": 2.5}, "max_heads .* not 2.5"),
        ({"candidates": True}, "candidates .* not True"),
        ({"random": -1}, "random must be a whole number of 0 or more, not -1"),
        ({"seed": 0.5}, "seed must be a whole number, not 0.5"),
        ({"mode": "nothing"}, "No ablation mode 'nothing'"),
        ({"mode": "resample"}, "'resample' takes z from one other prompt"),
        ({"position": 99}, "No position 99"),
        ({"target": "no such token"}, "no such token"),
        ({"scale": 0.5}, "'zero' takes no scale"),
        ({"mode": ["zero"]}, r"mode must be the name of one ablation mode, not \['zero'\]: there are zero, scale"),
        ({"mode": "scale", "scale": np.array([1.0, 2.0])}, "scale must be one number, not array"),
        ({"target": np.array([1, 2])}, "target must be one token, given as its text or its id, not ndarray"),
        ({"target": [1]}, "target must be one token, .* not list"),
    ],
)
def test_wrong_questions_are_refused(given, says):
    with pytest.raises(AttnWidgetError, match=says):
        study(subject("gpt2").model.run(IDS), **given)


def test_what_cannot_be_studied_is_refused():
    model = subject("gpt2").model
    with pytest.raises(AttnWidgetError, match="study takes a run"):
        study(model)
    with pytest.raises(AttnWidgetError, match="Every head is ablated already"):
        study(model.run(IDS).ablate(EVERY))
    with pytest.raises(ModelError, match="no head that answers"):
        study(subject("bert-base").model.run(IDS))
