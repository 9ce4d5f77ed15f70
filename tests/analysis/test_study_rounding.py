"""Which set of heads does it: what is undefined, or decided by rounding, is no evidence."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from attnwidget import load_model, metrics, study
from attnwidget.analysis.search import Search
from attnwidget.analysis.studying import prepare
from attnwidget.analysis.trials import Trials
from attnwidget.engine.interrupt import interruptible
from attnwidget.heads import Head
from attnwidget.widget.wire import pack

from ..backup import AGAINST as SECOND
from ..backup import PAIR, backup_model
from ..knap import AGAINST, TARGET, knapsack_prompt
from ..models import IDS, fresh, subject
from .sets_by_hand import EVERY, knap


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
