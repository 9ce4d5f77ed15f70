"""What stands out: the rules by which a sentence is said, and that what is finished is not computed again."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest

from attnwidget import load_model
from attnwidget.analysis.headscores import HeadScores
from attnwidget.analysis.origin import origin
from attnwidget.analysis.overview import overview
from attnwidget.analysis.reading import Reading
from attnwidget.analysis.score import score, score_each
from attnwidget.analysis.sentences import NAMED
from attnwidget.analysis.wording import token
from attnwidget.heads import Head

from ..models import IDS, induction_model, induction_prompt, subject
from .sentences_read import EVERY, of_kind, read

# -- the first choice ---------------------------------------------------------------------------------------------------


def test_of_equal_first_choices_one_rule_is_told_everywhere():
    """Five tokens without a repeat: the induction head copies them all alike, so two tie for first, and dead heads leave that so."""
    run = load_model(induction_model()).run(induction_prompt()[:5])
    logits = run.logits_at()
    tied = (logits == logits.max()).nonzero()[:, 0].tolist()
    assert len(tied) > 1
    found = overview(run)
    (answer,), (choice,) = of_kind(found, "answer"), of_kind(found, "first_choice")
    first = run.model.token(tied[0])
    assert f"go on with {token(first)}, " in answer.text and f"second is {token(run.model.token(tied[1]))}, " in answer.text
    changed = []
    for head in [Head(layer, head) for layer in range(2) for head in range(3)]:
        after = run.ablate([head]).logits_at()
        if after[tied[0]] < after.max():
            changed.append(head)
    # Without the induction head or the one it reads, all logits are 0 or turned round.
    assert set(choice.heads) == set(changed) and choice.value == len(changed)
    for one in of_kind(found, "effect"):
        if len(one.heads) == 1 and one.heads[0] not in changed:
            assert "comes first" not in one.text


def test_a_head_after_which_the_old_first_choice_still_ties_is_not_said_to_change_it():
    """The old first choice is above the other one in its id: the lowest id alone would call another first."""
    run, head = load_model(induction_model()).run(induction_prompt()), Head(0, 0)
    before, after = int(run.logits_at().argmax()), run.ablate([head]).logits_at()
    assert int(after.argmax()) != before and after[before] == after.max()
    (choice,) = of_kind(overview(run), "first_choice")
    assert choice.heads == (Head(1, 0),) and choice.value == 1


def test_the_first_choices_are_those_of_the_sweep_and_cost_no_more_rows(monkeypatch):
    run = subject("gpt2").model.run(IDS)
    asked = []
    without = Reading.without
    monkeypatch.setattr(Reading, "without", lambda self, heads, read: asked.append(len(heads)) or without(self, heads, read))
    found = overview(run)
    assert asked == [NAMED] and len(of_kind(found, "first_choice")) == 1


# -- direct and total effects ---------------------------------------------------------------------------------------------


def given(run, total: dict[Head, float], alone: dict[Head, float]) -> dict[str, HeadScores]:
    """The scores of `run`, with other numbers in them."""
    exact = {name: score(run, "ablation", metric=name) for name in ("kl", "logit_diff")}
    direct = score(run, "direct_logit")

    def filled(of: HeadScores, values: dict[Head, float]) -> HeadScores:
        array = np.zeros_like(of.values)
        for head, value in values.items():
            array[head] = value
        return dataclasses.replace(of, values=array)

    return {"kl": exact["kl"], "logit_diff": filled(exact["logit_diff"], total), "direct_logit": filled(direct, alone)}


def test_direct_and_total_effects_are_compared_by_the_rule_that_is_stated():
    run = subject("gpt2").model.run(IDS)
    backup, early, turned, plain = Head(2, 0), Head(0, 0), Head(1, 3), Head(2, 2)
    total = {backup: 0.4, early: 3.0, turned: -0.5, plain: 1.0}
    alone = {backup: 2.0, early: 0.1, turned: 1.5, plain: 0.9}
    smaller, indirect = of_kind(overview(run, scores=given(run, total, alone)), "direct")
    assert smaller.heads == (backup, turned) and smaller.value == 2
    assert "L2H0 writes 2.00 to it directly, yet without this head it falls by only 0.400" in smaller.text
    assert "L1H3 writes 1.50 to it directly, yet without this head it even rises by 0.500" in smaller.text
    for one in (smaller, indirect):
        # What is the cause of it was not measured: the two differ in positions and in the norm as well as in what comes after.
        assert "direct and total effects disagree" in one.text and "made up" not in one.text and "through what" not in one.text
        assert "at this position only" in one.method and "zeroed alone, at all positions" in one.method
    assert indirect.heads == (early,) and indirect.value == 3
    assert "L0H0 writes 0.100 to it directly, yet without this head it falls by 3.00" in indirect.text
    assert "of the 5 largest direct effects, those with a total under 50% of it" in smaller.method
    assert "of the 5 largest totals, those with a direct effect under 10% of it" in indirect.method


def test_where_direct_and_total_effects_agree_none_is_found():
    run = subject("gpt2").model.run(IDS)
    same = {head: 1.0 + i for i, head in enumerate(EVERY)}
    (said,) = of_kind(overview(run, scores=given(run, same, same)), "direct")
    assert said.value is None and said.heads == () and "no head is found" in said.text


def test_a_rounding_is_no_effect_that_the_other_one_contradicts():
    run = subject("gpt2").model.run(IDS)
    said = of_kind(overview(run, scores=given(run, {Head(0, 0): 1.0, Head(0, 1): 1e-9}, {Head(0, 0): 0.9, Head(1, 1): -4.2e-17})), "direct")
    assert len(said) == 1 and said[0].heads == () and "no head is found" in said[0].text


def test_direct_effects_that_a_model_refuses_are_left_out_with_the_reason():
    found = read("bert")
    assert of_kind(found, "direct") == [] and len(found.sentences) > NAMED
    assert re.search(r"Left out, direct effects: .*ask for 'ablation'", found.note)


# -- scores that are there already ----------------------------------------------------------------------------------------


def test_finished_scores_are_used_and_what_was_measured_otherwise_is_not():
    run = subject("llama").model.run(IDS)
    told: list[str] = []
    fresh = overview(run, progress=lambda done, total, text: told.append(text))
    assert any("heads ablated" in text for text in told)
    exact = {name: score(run, "ablation", metric=name) for name in ("kl", "logit_diff")}
    ready = exact | {"direct_logit": score(run, "direct_logit")}
    told.clear()
    assert overview(run, progress=lambda done, total, text: told.append(text), scores=ready) == fresh
    assert not any("heads ablated" in text for text in told)
    others = {
        "mode": {name: score(run, "ablation", metric=name, mode="mean") for name in exact},
        "positions": {name: score(run, "ablation", metric=name, positions=[3]) for name in exact},
        "position": {name: score(run, "ablation", metric=name, position=3) for name in exact},
        "conditional": {name: score(run.ablate("L0H0"), "ablation", metric=name) for name in exact},
        "estimate": {name: score(run, "attribution", metric=name) for name in exact},
        "unfinished": {name: dataclasses.replace(one, values=np.where(np.eye(3, 4), np.nan, one.values)) for name, one in exact.items()},
        "without first choices": {"kl": dataclasses.replace(exact["kl"], extra={})},
        "target": {"logit_diff": score(run, "ablation", metric="logit_diff", target=9, against=11)},
    }
    for what, given_ in others.items():
        assert overview(run, scores=given_) == fresh, what


def test_scores_of_another_prompt_or_condition_are_not_used():
    model = subject("llama").model
    run, other = model.run(IDS), model.run([37, 201, 44, 90, 37, 201, 44, 91, 18][: len(IDS)])
    pair = {"target": int(run.logits_at().argmax()), "against": 9}
    fresh = overview(run, **pair)
    assert overview(run, **pair, scores=score_each(other, "ablation", ("kl", "logit_diff"), **pair)) == fresh
    assert overview(run, **pair, scores={"direct_logit": score(other, "direct_logit", **pair)}) == fresh
    # Of the same heads, and in words the same: "z multiplied by 0.333333".
    off = [Head(0, 1)]
    third, nearly = (run.ablate(off, "scale", scale=scale) for scale in (1 / 3, 0.3333333))
    assert third.ablation.describe() == nearly.ablation.describe()
    moved = _given_kl(nearly)
    assert overview(third, scores=moved) == overview(third) != overview(nearly, scores=moved)
    # The same run made again is the same.
    again = run.ablate(off, "scale", scale=1 / 3)
    assert overview(again, scores=_given_kl(third)) == overview(third, scores=_given_kl(third)) != overview(third)


def _given_kl(run) -> dict[str, HeadScores]:
    """As given, but so that it shows whether it was used."""
    kl = score(run)
    return {"kl": dataclasses.replace(kl, values=kl.values + 1)}


def test_resampled_from_another_prompt_is_another_condition():
    model = subject("llama").model
    run = model.run(IDS)
    a, b = (run.ablate("L0H1", "resample", reference=[[3 + by, *IDS[1:]]]) for by in (1, 2))
    assert origin(a) == origin(run.ablate("L0H1", "resample", reference=[[4, *IDS[1:]]])) != origin(b)
    assert hash(origin(a)) != hash(origin(run)) and origin(run) == origin(run.ablate([]))


def test_whatever_takes_time_tells_progress():
    """Where it is told, a more urgent request goes first."""
    told: list[str] = []
    run = subject("gpt2").model.run(IDS)
    overview(run, progress=lambda done, total, text: told.append(text), scores=score_each(run, "ablation", ("kl", "logit_diff")))
    said = ("Reading the answer without a head", "Reading what heads write", "Looking for kinds of heads")
    assert all(told.count(text) > 1 for text in said)


def test_progress_may_end_it():
    class Enough(Exception):
        pass

    def stop(done, total, text):
        raise Enough

    with pytest.raises(Enough):
        overview(subject("gpt2").model.run(IDS), progress=stop)
