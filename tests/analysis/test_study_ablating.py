"""Which set of heads does it: every number is what `run.ablate` says, in any mode, on any model, and whatever is off already."""

from __future__ import annotations

import pytest
import torch

from attnwidget import AttnWidgetError, load_model, metrics, study

from ..models import IDS, LAYERS, OTHER_IDS, fresh, subject
from .sets_by_hand import EVERY, kl, margin, reported, second_choice

MODES = {"mean": {}, "resample": {"reference": [OTHER_IDS]}, "uniform": {}, "scale": {"scale": 0.3}, "random": {"seed": 3}, "previous": {}}


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
