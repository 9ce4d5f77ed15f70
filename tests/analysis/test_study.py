"""Which set of heads does it: against closed forms, every set of small models run on an untouched twin with hooks, and `run.ablate`."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch

from attnwidget import AttnWidgetError, ModelError, Study, load_model, metrics, study
from attnwidget.analysis.search import Search, drawn_at_random
from attnwidget.analysis.studying import prepare
from attnwidget.analysis.trials import Trials
from attnwidget.engine.interrupt import interruptible
from attnwidget.heads import Head
from attnwidget.widget.wire import pack

from ..backup import AGAINST as SECOND
from ..backup import BACKUP_HEADS, PAIR, backup_model
from ..knap import AGAINST, KNAP_HEADS, TARGET, WEIGHTS, knapsack_model, knapsack_prompt
from ..models import HEADS, IDS, LAYERS, OTHER_IDS, fresh, subject, unchanged

EVERY = [Head(layer, head) for layer in range(LAYERS) for head in range(HEADS)]
UP_TO = 3


def margin(row: torch.Tensor, token: int) -> float:
    others = torch.cat([row[:token], row[token + 1 :]])
    return (row[token].double() - others.max().double()).item()


def kl(before: torch.Tensor, after: torch.Tensor) -> float:
    p, q = before.double().log_softmax(-1), after.double().log_softmax(-1)
    return (p.exp() * (p - q)).sum().item()


def knap():
    return load_model(knapsack_model()).run(knapsack_prompt())


def reported(found: Study):
    return [*found.sizes, *([found.found] if found.found else [])]


# -- the knapsack, by hand ---------------------------------------------------------------------------------------------


def left(heads):
    """logit(TARGET) - logit(AGAINST) without these heads."""
    return sum(weight for head, weight in enumerate(WEIGHTS) if Head(0, head) not in heads)


def test_the_smallest_sets_of_the_knapsack():
    found = study(knap(), AGAINST)
    assert found.verdict == "minimum" and found.found.heads in {((0, 0), (0, 1)), ((0, 0), (0, 2)), ((0, 1), (0, 2))}
    assert found.heads == found.found.heads == ((0, 0), (0, 1)), "of equal ones the first; its margin is the largest of the three"
    assert found.before.margin == pytest.approx(-3.5) and found.before.heads == ()
    for one in reported(found):
        assert one.margin == pytest.approx(-left(one.heads), abs=1e-6)
        assert one.first.id == (AGAINST if one.margin > 0 else TARGET)
    assert {r.head: r.margin for r in found.restored} == pytest.approx({(0, 0): -left([(0, 1)]), (0, 1): -left([(0, 0)])}, abs=1e-6)
    assert [(t.size, t.sets, t.of) for t in found.tried] == [(1, 5, 5), (2, 10, 10)] and found.sets == 15
    assert all(one.proved for one in found.certificate) and "all 5 tried" in found.certificate[-1].text


def test_a_tie_is_no_first_choice():
    """Without L0H0 and L0H4 both logits are 0."""
    trials, tied = prepare(knap(), AGAINST).trials, (Head(0, 0), Head(0, 4))
    trials.try_sets([tied])
    assert trials[tied].margin == 0 and trials.found is None
    assert trials[tied].first == TARGET, "what came first is not overtaken by its equal"


def test_the_set_that_moves_the_knapsack_most_by_size():
    run = knap()
    found = study(run)
    assert found.verdict == "best found" and found.found is None and found.target is None and found.restored == ()
    before = run.logits_at()
    for size, best in enumerate(found.sizes, start=1):
        every = {}
        for heads in combinations(range(KNAP_HEADS), size):
            after = before.clone()
            after[TARGET] = left([Head(0, head) for head in heads])
            every[heads] = kl(before, after)
        assert best.kl == pytest.approx(max(every.values()), abs=1e-6)
        assert every[tuple(head.head for head in best.heads)] == pytest.approx(best.kl, abs=1e-6)
        assert best.margin is None and best.target_probability is None
    assert len(found.sizes) == KNAP_HEADS and all(one.proved for one in found.certificate)
    assert found.heads == max(found.sizes, key=lambda one: one.kl).heads


def test_what_cannot_be_reached_is_said_with_what_was_tried():
    found = study(knap(), 5)
    assert found.verdict == "none found" and found.found is None and found.heads == () and found.restored == ()
    assert found.sets == 31 and [(t.sets, t.of) for t in found.tried] == [(5, 5), (10, 10), (10, 10), (5, 5), (1, 1)]
    assert found.certificate[0].proved and "all 31 tried" in found.certificate[0].text
    assert all(one.margin < 0 for one in found.sizes) and "no set found" in repr(found)
    less = study(knap(), 5, max_heads=2, budget=7, random=0)
    assert less.verdict == "none found" and less.sets == 7 and not less.certificate[0].proved
    assert "7 sets tried" in less.certificate[0].text and "2 of 10 tried" in less.certificate[-1].text


def test_a_token_that_comes_first_already_is_refused():
    with pytest.raises(AttnWidgetError, match=r"'#1' is the first choice already \(97%, margin 3\.50\): name another token, or none"):
        study(knap(), TARGET)


# -- a pair that single effects cannot see -----------------------------------------------------------------------------


def test_a_pair_of_backups_is_found_though_no_head_shows_anything_alone():
    run = load_model(backup_model()).run(knapsack_prompt())
    for head in range(BACKUP_HEADS):
        assert margin(run.ablate([(0, head)]).logits_at(), SECOND) == margin(run.logits_at(), SECOND) == -2, "each alone: exactly nothing"
    # One state, one candidate, so that only trying pairs can do it.
    found = study(run, SECOND, beam=1, candidates=1, random=0)
    assert found.found.heads == PAIR and found.verdict == "minimum" and found.found.margin == 1
    assert {r.margin for r in found.restored} == {-2}
    most = study(run, beam=1, candidates=1, random=0, max_heads=2)
    assert most.sizes[1].kl == pytest.approx(
        max(kl(run.logits_at(), run.ablate(list(p)).logits_at()) for p in combinations([(0, h) for h in range(8)], 2))
    )


def test_no_set_is_larger_than_was_asked_for():
    run = load_model(backup_model()).run(knapsack_prompt())
    found = study(run, SECOND, max_heads=1, random=0)
    assert [(one.size, one.sets) for one in found.tried] == [(1, BACKUP_HEADS)] and found.verdict == "none found"


def test_pairs_are_tried_when_the_beam_was_led_elsewhere():
    """Head 0 looks promising and leads nowhere: without it the margin is -1.5, and nothing but the pair changes it further."""
    run = load_model(backup_model((0.5,))).run(knapsack_prompt())
    about = {"beam": 1, "candidates": 1, "random": 0, "max_heads": 2}
    found = study(run, SECOND, **about)
    assert found.found.heads == PAIR and found.found.margin == 0.5 and found.verdict == "minimum"
    # With room for no pairs but a few, what is claimed is less.
    little = study(run, SECOND, budget=10, **about)
    assert little.verdict == "none found" and little.heads == () and not any(one.proved for one in little.certificate if "pair" in one.text)


def test_a_set_that_was_found_first_gives_way_to_a_smaller_one_where_that_can_be_known():
    """Three heads add 1 each to a lead of 2.5, so all three do it, no two of them do, and the pair of backups, which lose 3, do too."""
    run = load_model(backup_model((1.0, 1.0, 1.0), -3.5)).run(knapsack_prompt())
    narrow = {"beam": 1, "candidates": 3, "random": 0, "max_heads": 4}
    # Not enough for all 28 pairs.
    found = study(run, SECOND, budget=20, **narrow)
    assert found.found.heads == ((0, 0), (0, 1), (0, 2)) and found.found.margin == 0.5 and found.verdict == "1-minimal"
    assert [r.margin for r in found.restored] == [-0.5] * 3
    tried = found.tried[1]
    assert tried.sets < tried.of == 28 and not found.certificate[-1].proved and f"{tried.sets} of 28 tried" in found.certificate[-1].text
    whole = study(run, SECOND, budget=40, **narrow)
    assert whole.found.heads == PAIR and whole.found.margin == 0.5 and whole.verdict == "minimum"
    assert {r.margin for r in whole.restored} == {-2.5} and len(whole.sizes) == 3


# -- every set of a small model, on its twin ----------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["gpt2", "llama"])
def every_set(request):
    """(subject, before [vocabulary], heads -> logits), all sets of 1 to 3 heads."""
    s = subject(request.param)
    rows = {heads: s.zeroed(list(heads))[-1] for size in range(1, UP_TO + 1) for heads in combinations(EVERY, size)}
    return s, s.clean()[-1], rows


def smallest(rows, token):
    return next((size for size in range(1, UP_TO + 1) if any(len(h) == size and margin(row, token) > 0 for h, row in rows.items())), None)


def targets(before, rows):
    """Smallest size -> a few tokens that need so many heads; None -> some that three do not reach."""
    by_size: dict[int | None, list[int]] = {}
    for token in before.argsort(descending=True)[1:60].tolist():
        by_size.setdefault(smallest(rows, token), []).append(token)
    return {size: tokens[:3] for size, tokens in by_size.items()}


@pytest.mark.parametrize("how", [{}, {"beam": 1, "candidates": 1}], ids=["usual", "narrow"])
def test_what_is_called_minimum_is_the_minimum_and_what_is_not_found_is_not_there(every_set, how):
    s, before, rows = every_set
    run, seen = s.model.run(IDS), targets(before, rows)
    assert {1, 2, None} <= set(seen), "the model has something to find"
    for size, tokens in seen.items():
        for token in tokens:
            found = study(run, token, max_heads=UP_TO, random=4, **how)
            if size is None:
                assert found.verdict == "none found" and found.found is None
                assert [(t.sets, t.of) for t in found.tried] == [(12, 12), (66, 66), (220, 220)]
            else:
                assert found.verdict == "minimum" and len(found.heads) == size
                assert margin(rows[found.heads], token) > 0
                assert found.found.margin == pytest.approx(margin(rows[found.heads], token), abs=2e-5)
            for one in reported(found):
                assert one.margin == pytest.approx(margin(rows[one.heads], token), abs=2e-5)
                assert one.kl == pytest.approx(kl(before, rows[one.heads]), rel=1e-4, abs=1e-7)
                assert one.first.id == rows[one.heads].argmax()
            for statement in found.certificate:
                if statement.proved and statement.text.startswith("No pair"):
                    assert not any(margin(row, token) > 0 for heads, row in rows.items() if len(heads) == 2)


def test_with_little_to_spend_only_what_was_tried_is_claimed(every_set):
    s, before, rows = every_set
    run = s.model.run(IDS)
    verdicts = set()
    for size, tokens in targets(before, rows).items():
        for token in tokens:
            found = study(run, token, max_heads=6, beam=2, candidates=3, budget=40, random=0)
            verdicts.add(found.verdict)
            if found.found is None:
                assert "Not shown" in found.certificate[-1].text and not found.certificate[0].proved
                continue
            logits = s.zeroed(list(found.heads))[-1]
            assert margin(logits, token) > 0
            for head in found.heads:
                rest = [one for one in found.heads if one != head]
                back = margin(s.zeroed(rest)[-1] if rest else before, token)
                assert back <= 0, "1-minimal"
                assert {r.head: r.margin for r in found.restored}[head] == pytest.approx(back, abs=2e-5)
            if found.verdict == "minimum":
                assert len(found.heads) == size
    assert "minimum" in verdicts


def test_the_largest_kl_of_each_size_is_the_largest(every_set):
    s, before, rows = every_set
    found = study(s.model.run(IDS), max_heads=UP_TO)
    for size, best in enumerate(found.sizes, start=1):
        largest = max(kl(before, row) for heads, row in rows.items() if len(heads) == size)
        assert best.kl == pytest.approx(largest, rel=1e-4) and kl(before, rows[best.heads]) == pytest.approx(largest, rel=1e-4)
    assert [t.sets for t in found.tried] == [12, 66, 220] and all(one.proved for one in found.certificate)


def test_the_beam_alone_says_what_it_did_not_try(every_set):
    s, before, rows = every_set
    found = study(s.model.run(IDS), max_heads=UP_TO, budget=40, random=0)
    assert found.sets == 40 and not found.certificate[1].proved and "of 66" in found.certificate[1].text
    for best in found.sizes:
        assert best.kl == pytest.approx(kl(before, rows[best.heads]), rel=1e-4)


# -- what run.ablate says ----------------------------------------------------------------------------------------------

MODES = {"mean": {}, "resample": {"reference": [OTHER_IDS]}, "uniform": {}, "scale": {"scale": 0.3}, "random": {"seed": 3}, "previous": {}}


def second_choice(run):
    return run.logits_at().topk(2).indices.tolist()[1]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_every_number_is_that_of_ablating_the_set(name, mode):
    run = subject(name).model.run(IDS)
    how = {"mode": mode, **MODES[mode]}
    for target in (second_choice(run), None):
        found = study(run, target, max_heads=4, budget=120, random=4, **how)
        assert mode == "zero" or found.baseline == run.ablate([(1, 0)], **how).ablation.describe()
        for one in reported(found):
            after = run.ablate(list(one.heads), **how)
            assert one.kl == after.kl(), "run by itself: to the bit"
            assert one.first.id == int(after.logits_at().argmax()) and one.first.probability == after.probability(one.first.id)
            if target is not None:
                assert (
                    one.margin == metrics.margin_rows(after.logits_at(), target).item() == pytest.approx(margin(after.logits_at(), target))
                )
                assert one.target_probability == after.probability(target)
    assert mode != "previous" or all(head.layer > 0 for one in found.sizes for head in one.heads)


def test_positions_and_position_are_those_given():
    run = subject("llama").model.run(IDS)
    token = int(run.logits_at(4).topk(2).indices[1])
    found = study(run, token, positions=[2, 3, 4], position=4, max_heads=3, random=0)
    assert found.position == 4
    for one in reported(found):
        assert one.margin == pytest.approx(margin(run.ablate(list(one.heads), positions=[2, 3, 4]).logits_at(4), token))


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_what_is_off_stays_off(name):
    s, off = subject(name), [(0, 1), (1, 2)]
    run = s.model.run(IDS).ablate(off)
    target = second_choice(run)
    found = study(run, target, max_heads=3)
    assert found.conditional == tuple(off) and found.tried[0].of == len(EVERY) - 2
    assert found.before.margin == pytest.approx(margin(run.logits_at(), target))
    for one in reported(found):
        assert not set(one.heads) & set(off)
        logits = s.zeroed([*off, *one.heads])[-1]
        assert one.margin == pytest.approx(margin(logits, target), abs=2e-5)
        assert one.kl == pytest.approx(kl(run.logits_at(), logits), rel=1e-4, abs=1e-7)
    assert "L0H1, L1H2 ablated already (z set to zero at all positions)" in found.note


@pytest.mark.parametrize(("mode", "how"), [("zero", {}), *MODES.items()])
@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_with_what_is_off_a_set_is_ablated_again_by_the_expression_that_says_so(name, mode, how):
    """`run.ablate(found.heads)` starts from the clean run, and is another set."""
    model = subject(name).model
    run = model.run(IDS).ablate([(1, 1), (2, 0)], mode=mode, **how)
    for target in (second_choice(run), None):
        found = study(run, target, mode=mode, max_heads=2, budget=60, random=0, **how)
        if not found.heads:
            found_set, target = found.sizes[0], None
            assert found.rerun is None and mode != "zero"
            continue
        found_set = found.found or found.sizes[[one.heads for one in found.sizes].index(found.heads)]
        after = eval(found.rerun, {"run": run, "model": model})
        assert set(after.heads) == {*found.heads, *found.conditional} and "L1H1" in found.rerun
        row = after.logits_at()
        assert found_set.kl == metrics.kl(run.logits_at(), row), "to the bit"
        assert found_set.first.id == int(row.argmax()) and found_set.first.probability == after.probability(found_set.first.id)
        assert target is None or found_set.margin == metrics.margin_rows(row, target).item()
        assert not torch.equal(row, run.ablate(list(found.heads), mode=mode, **how).logits_at())
        for statement in found.certificate:
            assert "ith L1H1 and L2H0 off already, " in statement.text
        assert ", with L1H1 and L2H0 off already" in repr(found) and found.to_frame().attrs["conditional"] == ((1, 1), (2, 0))


def test_where_one_ablation_cannot_do_both_none_is_named():
    run = subject("llama").model.run(IDS)
    for off, mode, how in (({"mode": "scale", "scale": 0.5}, "zero", {}), ({}, "zero", {"positions": [-1]})):
        found = study(run.ablate([(1, 2)], **off), mode=mode, max_heads=1, random=0, **how)
        assert found.heads and found.rerun is None and "no single run.ablate does both" in found.note
    clean = study(run, max_heads=1, random=0)
    assert clean.rerun == f"run.ablate(['{clean.heads[0]}'])" and "off already" not in repr(clean) + clean.certificate[0].text
    assert study(run, int(run.logits_at().argmin()), max_heads=1, random=0).rerun is None


def test_what_is_off_may_be_off_in_another_mode():
    s = subject("llama")
    run = s.model.run(IDS).ablate([(1, 2)], mode="scale", scale=0.5)
    found = study(run, max_heads=2)
    for one in found.sizes:

        def edit(layer, heads=one.heads):
            def function(z, _v):
                if layer == 1:
                    z[:, 2] *= 0.5
                for head in heads:
                    if head.layer == layer:
                        z[:, head.head] = 0
                return z

            return function

        logits = s.edited({layer: edit(layer) for layer in range(LAYERS)})[-1]
        assert one.kl == pytest.approx(kl(run.logits_at(), logits), rel=1e-4)


def test_a_classifier_is_studied_by_class():
    s = subject("bert-classifier")
    run = s.model.run(IDS)
    for target in run.logits_at().argsort(descending=True)[1:].tolist():
        found = study(run, s.model.token(target), max_heads=4)
        for one in reported(found):
            assert one.margin == pytest.approx(margin(s.zeroed(list(one.heads))[0], target), abs=2e-5)
        assert found.note.startswith("Whole text; z set to zero") and found.target.id == target
    with pytest.raises(AttnWidgetError, match="answers once for the whole text"):
        study(run, target, position=2)


def test_a_mask_is_answered_where_it_is():
    s = subject("bert")
    mask = s.tokenizer.mask_token_id
    ids = [*IDS[:3], mask, *IDS[4:]]
    run = s.model.run(ids)
    target = int(run.logits_at().argmin())
    found = study(run, target, max_heads=4, random=2)
    assert found.position == 3
    for one in reported(found):
        assert one.margin == pytest.approx(margin(s.zeroed(list(one.heads), ids)[3], target), abs=2e-5)
    assert "no direct logit attribution" in found.note, "a norm follows what heads write"


@pytest.mark.parametrize("pair", [("llama", "bridge"), ("bloom", "plain"), ("opt", "bridge")], ids="-".join)
def test_other_ways_of_the_engine(pair):
    s = subject(*pair)
    run = s.model.run(IDS)
    target = second_choice(run)
    found = study(run, target, max_heads=3, budget=150, random=0)
    for one in reported(found):
        assert one.margin == pytest.approx(margin(s.zeroed(list(one.heads))[-1], target), abs=5e-5)


def test_in_half_precision_what_is_found_does_it():
    model = load_model(fresh("llama").source.to(torch.bfloat16))
    run = model.run(IDS)
    reached = []
    for token in run.logits_at().topk(8).indices.tolist()[1:]:
        if metrics.margin_rows(run.logits_at(), token) > 0:
            continue
        found = study(run, token, max_heads=3, random=0)
        if found.found is not None:
            reached.append(token)
            assert margin(run.ablate(list(found.heads)).logits_at(), token) > 0
            assert all(r.margin <= 0 for r in found.restored)
    assert len(reached) > 2


# -- what is undefined, and what is rounded ----------------------------------------------------------------------------


def undefining(monkeypatch, undefined):
    """Sets for which `undefined(heads)` answer nothing but NaN, as an overflow gives."""
    keep = Trials._keep

    def kept(self, heads, trial):
        keep(self, heads, replace(trial, margin=math.nan, kl=math.nan, near=False) if undefined(heads) else trial)

    monkeypatch.setattr(Trials, "_keep", kept)


def test_what_is_undefined_is_not_shown_not_to_do_it(monkeypatch):
    undefining(monkeypatch, lambda heads: heads == (Head(0, 4),))
    found = study(knap(), AGAINST)
    assert found.heads == ((0, 0), (0, 1)) and found.verdict == "1-minimal", "all singles were run, but of one nothing is known"
    assert found.certificate[-1].text == "Not shown that no single head does it: 5 of 5 tried, 1 of these undefined."
    assert not found.certificate[-1].proved and found.certificate[1].proved, "put back, each of the two is known"
    assert [one.undefined for one in found.tried] == [1, 0] and list(found.to_frame()["undefined"]) == [1, 0]
    most = study(knap())
    assert [one.proved for one in most.certificate] == [False, True, True, True, True] and "1 of these undefined" in most.certificate[
        0
    ].text
    assert most.random[0].sets == 4


@pytest.mark.parametrize("head", [0, None])
def test_a_head_whose_return_is_undefined_is_not_called_needed(monkeypatch, head):
    undefining(monkeypatch, lambda heads: len(heads) == 1 and (head is None or heads[0].head == 1 - head))
    found = study(knap(), AGAINST)
    assert found.heads == ((0, 0), (0, 1)) and found.verdict == "found"
    needed = found.certificate[1]
    names = "L0H0 alone" if head == 0 else "L0H0 alone and L0H1 alone"
    assert not needed.proved
    assert needed.text == f"Not shown that each head of it is needed: the margin is undefined with {names} put back."
    assert math.isnan(found.restored[0].margin) and pack(found)[0]["restored"][0]["margin"] is None
    # A size of which nothing is known has no row.
    assert [len(one.heads) for one in found.sizes] == ([1, 2] if head == 0 else [2])
    assert found.found in found.sizes and len(found.to_frame()) == len(found.sizes) == len(found.random)


def test_nothing_is_claimed_where_everything_is_undefined(monkeypatch):
    undefining(monkeypatch, lambda heads: len(heads) > 0)
    for target in (AGAINST, None):
        found = study(knap(), target)
        assert found.sizes == () and found.heads == () and found.rerun is None and found.random == () and found.to_frame().empty
        assert not any(one.proved for one in found.certificate) and "5 of 5 tried, 5 of these undefined" in " ".join(
            one.text for one in found.certificate
        )
        assert all(one.undefined == one.sets for one in found.tried)


def test_an_overflow_in_half_precision_is_no_proof():
    model = load_model(fresh("gpt2").source.to(torch.float16))
    run = model.run(IDS)
    found = study(run, int(run.logits_at().argmin()), mode="scale", scale=6e4, max_heads=1, random=0)
    (tried,) = found.tried
    rows = [run.ablate([head], mode="scale", scale=6e4).logits_at() for head in EVERY]
    assert tried.undefined == sum(not row.isfinite().all() for row in rows) > 0
    assert found.verdict == "none found" and not any(one.proved for one in found.certificate)


def test_a_set_that_does_it_in_a_batch_alone_ends_no_stage(monkeypatch):
    keep, lie = Trials._keep, (Head(0, 0), Head(0, 1))

    def kept(self, heads, trial):
        keep(self, heads, replace(trial, margin=1.5, near=False) if heads == lie and heads not in self._alone else trial)

    monkeypatch.setattr(Trials, "_keep", kept)
    for leads in ((), (0.5,), (0.5, 0.25)):
        run, seen = load_model(backup_model(leads)).run(knapsack_prompt()), []
        found = study(run, SECOND, random=0, partial=seen.append)
        assert found.heads == PAIR and found.verdict == "minimum"
        assert lie not in [one.found.heads for one in seen if one.found]
        assert study(run, SECOND, random=0, beam=1, candidates=2, max_heads=2).heads == PAIR


@pytest.mark.parametrize("logit", [1.0, 50.0])
def test_what_rounding_may_decide_is_run_by_itself(logit):
    """Within 16 eps of the largest logit of the row itself or, where that is larger, of the clean one."""
    trials = prepare(knap(), AGAINST).trials
    assert trials._largest == 10
    row = torch.full((8,), -1.0)
    row[TARGET] = logit
    slack = 16 * torch.finfo(torch.float32).eps * max(10.0, logit)
    for share, near in ((0.5, True), (-0.5, True), (2.0, False), (-2.0, False)):
        row[AGAINST] = logit + share * slack
        assert trials._read(row[None])[0].near is near


def test_every_set_near_to_it_was_run_by_itself():
    run = load_model(fresh("llama").source.to(torch.bfloat16)).run(IDS)
    checked = 0
    for token in run.logits_at().topk(5).indices.tolist()[1:]:
        if metrics.margin_rows(run.logits_at(), token) > 0:
            continue
        asked = prepare(run, token, max_heads=3, random=0)
        asked.conduct()
        for sets in asked.trials.by_size.values():
            for heads, trial in sets.items():
                if trial.near:
                    checked += 1
                    assert heads in asked.trials._alone
                    assert trial.margin == metrics.margin_rows(run.ablate(list(heads)).logits_at(), token).item()
    assert checked > 10


def test_the_making_of_very_many_sets_can_be_stopped(monkeypatch):
    asked, counted = prepare(subject("gpt2").model.run(IDS)), 0

    def check():
        nonlocal counted
        counted += 1

    search = Search(asked.trials, asked.plan, lambda done, total, text: None, lambda search: None)
    monkeypatch.setattr(Trials, "extend", lambda *_: None)
    with interruptible(check):
        search._every(4)
    assert counted >= math.comb(len(EVERY), 3)


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


# -- real weights ------------------------------------------------------------------------------------------------------


@pytest.mark.demo
def test_smollm2_says_john_without_two_heads(prompt):
    run = load_model("smollm2-135m").run(prompt)
    john = run.model.token_id(" John")
    found = study(run, " John", random=4)
    assert found.before.first.token == " Mary" and found.found.first.token == " John"
    # The beam came to three heads; what was left of the budget found two.
    assert len(found.heads) == 2 and found.verdict == "minimum" and found.sizes[2].margin > 1.22
    for one in reported(found):
        assert one.margin == pytest.approx(margin(run.ablate(list(one.heads)).logits_at(), john))
    assert found.found.margin > 0 and max(margin(run.ablate(head).logits_at(), john) for head in found.heads) < 0
    for one in found.restored:
        back = run.ablate([head for head in found.heads if head != one.head])
        assert one.margin == pytest.approx(margin(back.logits_at(), john)) and one.margin < 0
        assert int(back.logits_at().argmax()) == run.model.token_id(" Mary")
    # Another set that does it, worked out before this was written; putting one back returns Mary by as much.
    asked, other = prepare(run, " John"), tuple(Head(*head) for head in ((1, 5), (1, 7), (23, 3)))
    asked.trials.try_sets([other, *(tuple(one for one in other if one != head) for head in other)])
    assert asked.trials[other].margin == pytest.approx(1.22, abs=0.02)
    back = [asked.trials[tuple(one for one in other if one != head)].margin for head in other]
    assert sorted(back) == pytest.approx([-2.79, -2.18, -0.24], abs=0.02)
