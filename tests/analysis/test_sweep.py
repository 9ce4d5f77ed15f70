"""Every head ablated alone, in one batch: what `run.ablate([head])` says of each, what TransformerLens's own patching says, and what was
worked out on paper."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from attnwidget import MODES, load_model, metrics
from attnwidget.ablation import make_ablation
from attnwidget.analysis.measure import METRICS, make_measure
from attnwidget.analysis.method import Asked
from attnwidget.analysis.score import score, score_each
from attnwidget.analysis.sweep import ablation
from attnwidget.engine.interrupt import Cancelled, interruptible
from attnwidget.heads import Head

from ..knap import AGAINST, KNAP_HEADS, KNAP_VOCAB, TARGET, WEIGHTS, knapsack_model, knapsack_prompt
from ..models import (
    HEADS,
    IDS,
    IND_GAIN,
    IND_VOCAB,
    LAYERS,
    OTHER_IDS,
    fresh,
    induction_model,
    induction_prompt,
    name_of,
    subject,
    unchanged,
)

ARCHITECTURES = [("gpt2", "plain"), ("llama", "plain"), ("gptneox", "plain"), ("bert", "plain")]
each = pytest.mark.parametrize("pair", ARCHITECTURES, ids=name_of)
LAST = len(IDS) - 1
EVERY = [Head(layer, head) for layer in range(LAYERS) for head in range(HEADS)]

PARAMETERS = {"scale": {"scale": 0.5}, "resample": {"reference": [OTHER_IDS]}, "sparsify": {"threshold": 0.3}}


def metrics_of(run):
    return [name for name, metric in METRICS.items() if run.model.answer == "next" or not metric.whole]


def asked(run, names, heads=EVERY, chunk=None, mode="zero", progress=None, partial=None, **parameters):
    return Asked(
        run=run,
        measures=tuple(make_measure(run, name) for name in names),
        ablate=lambda some: make_ablation(run.clean, list(some), mode, **parameters),
        heads=tuple(heads),
        options={},
        chunk=chunk,
        progress=progress or (lambda *_: None),
        partial=partial or (lambda *_: None),
    )


def same(found, expected, name, run, of=""):
    """One row and many take their products in another order: 4e-6 on logits of size 6; perplexities are hundreds or thousands."""
    atol = 5e-6 * run.perplexity() if name == "perplexity" else 2e-5
    np.testing.assert_allclose(found, expected, atol=atol, rtol=1e-4, err_msg=f"{name} {of}")


def by_hand(before, after, target, against):
    """Of one head, from two runs; perplexity where it is defined."""
    p, q = before.logits_at().double().log_softmax(-1), after.logits_at().double().log_softmax(-1)
    values = {
        "kl": (p.exp() * (p - q)).sum().item(),
        "logit_diff": before.logit_diff(target, against) - after.logit_diff(target, against),
        "probability": before.probability(target) - after.probability(target),
        "log_probability": (p - q)[target].item(),
        "entropy": after.entropy() - before.entropy(),
    }
    if before.model.answer == "next":
        values["perplexity"] = after.perplexity() - before.perplexity()
    return values


# -- the same as one at a time ----------------------------------------------------------------------------------------


@each
@pytest.mark.parametrize("mode", MODES)
def test_the_batch_is_what_each_head_alone_is(pair, mode):
    run = subject(*pair).model.run(IDS)
    how = PARAMETERS.get(mode, {})
    found = score_each(run, "ablation", metrics_of(run), mode=mode, **how)
    assert list(found) == metrics_of(run)
    target, against = run.logits_at().topk(2).indices.tolist()
    for head in EVERY:
        if mode == "previous" and head.layer == 0:
            assert all(np.isnan(scores.values[head]) for scores in found.values())
            continue
        expected = by_hand(run, run.ablate([head], mode, **how), target, against)
        for name, scores in found.items():
            same(scores.values[head], expected[name], name, run, head)
    assert np.nanmax(np.abs(found["kl"].values)) > 1e-4


def test_what_comes_first_without_each_head():
    for name in ("llama", "bert-classifier"):
        run = subject(name).model.run(IDS)
        firsts = score(run).extra["first_choice"]
        assert [firsts[head] for head in EVERY] == [int(run.ablate([head]).logits_at().argmax()) for head in EVERY]
    run = subject("llama").model.run(IDS)
    both = score_each(run, "ablation", ("perplexity", "kl"), heads=[(1, 2)])["kl"].extra["first_choice"]
    assert np.isfinite(both).sum() == 1 and both[1, 2] == score(run).extra["first_choice"][1, 2]
    assert score(run, metric="perplexity").extra == {}


def test_a_first_choice_is_not_overtaken_by_its_equal():
    """Without a repeat the induction model looks everywhere alike, so that tokens tie; heads that do nothing leave it so."""
    ids = induction_prompt()[:5]
    run = load_model(induction_model()).run(ids)
    before = int(run.logits_at().argmax())
    firsts = score(run).extra["first_choice"]
    for head in [Head(layer, head) for layer in range(2) for head in range(3)]:
        after = run.ablate([head]).logits_at()
        ties = (after == after.max()).nonzero()[:, 0].tolist()
        assert firsts[head] == (before if before in ties else ties[0])
    assert firsts[1, 2] == before


@pytest.mark.parametrize("name", ["gpt2", "bert"])
def test_in_float64_they_differ_by_its_rounding(name):
    s = fresh(name)
    s.source.double()
    run = s.model.run(IDS)
    found = score(run, metric="logit_diff").values
    top, next_best = run.logits_at().topk(2).indices.tolist()
    for head in EVERY:
        alone = run.logit_diff(top, next_best) - run.ablate([head]).logit_diff(top, next_best)
        assert abs(found[head] - alone) < 1e-12
    assert np.abs(found).max() > 1e-2


@pytest.mark.parametrize("name", ["bert-classifier", "distilbert-classifier"])
def test_classifiers(name):
    s = subject(name)
    run = s.model.run(IDS)
    found = score(run, metric="logit_diff", target=0, against=2).values
    clean = s.clean()[0]
    for head in EVERY:
        off = s.zeroed([head])[0]
        assert abs(found[head] - ((clean[0] - clean[2]) - (off[0] - off[2])).item()) < 2e-5


@pytest.mark.parametrize("pair", [("bert", "bridge"), ("opt", "bridge"), ("gptj", "bridge"), ("bloom", "plain")], ids=name_of)
@pytest.mark.parametrize("mode", ["uniform", "first_token", "mean"])
def test_where_patterns_are_edited_through_the_values_and_where_rows_do_not_broadcast(pair, mode):
    run = subject(*pair).model.run(IDS)
    if run.model.refuses(mode):
        return
    assert not run.model.engine.broadcasts or not run.model.engine.pattern_edits_live
    found = score(run, mode=mode).values
    for head in EVERY:
        assert abs(found[head] - run.ablate([head], mode).kl()) < 2e-5
    assert found.max() > 1e-3


@each
def test_some_positions_only_and_another_position_of_the_answer(pair):
    run = subject(*pair).model.run(IDS)
    found = score(run, mode="mean", positions=[2, 4], position=5).values
    for head in EVERY:
        off = run.ablate([head], "mean", positions=[2, 4])
        assert abs(found[head] - metrics.kl(run.logits_at(5), off.logits_at(5))) < 2e-5
    assert found.max() > 1e-4


# -- the same as TransformerLens's own --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gpt2", "llama", "gptneox", "bert"])
@pytest.mark.parametrize("mode", ["zero", "resample"])
def test_equals_transformer_lens_patching(name, mode):
    from transformer_lens import patching

    s = subject(name, "bridge")
    ids, target, against = torch.tensor([IDS]), 77, 12
    with torch.no_grad():
        cache = s.source.run_with_cache(torch.tensor([OTHER_IDS]))[1]
        if mode == "zero":
            cache = {f"blocks.{layer}.attn.hook_z": torch.zeros_like(cache["z", layer]) for layer in range(LAYERS)}

        def metric(logits):
            return logits[0, LAST, target] - logits[0, LAST, against]

        theirs = metric(s.source(ids)) - patching.get_act_patch_attn_head_out_all_pos(s.source, ids, cache, metric)
    reference = {"reference": [OTHER_IDS]} if mode == "resample" else {}
    ours = score(s.model.run(IDS), mode=mode, metric="logit_diff", target=target, against=against, **reference).values
    np.testing.assert_allclose(ours, theirs.numpy(), atol=2e-5)
    assert np.abs(ours).max() > 0.1


# -- worked out on paper ----------------------------------------------------------------------------------------------


def kl(p, q):
    p, q = torch.tensor(p).double().log_softmax(-1), torch.tensor(q).double().log_softmax(-1)
    return (p.exp() * (p - q)).sum().item()


def test_the_induction_model():
    """`methods.md`, IND. At the last token, L1H0 and L1H1 see 17 keys: one with weight e = exp(8), whose value is r1, and 16 of
    weight 1, in which every r is there once more (r1) or twice, and BOS once."""
    ids = induction_prompt()
    model = load_model(induction_model())
    run = model.run(ids)
    e, g = math.exp(8), IND_GAIN
    u = 1 / (e + 16)
    p = e * u

    def logits(match, other, gain):
        row = [0.0] * IND_VOCAB
        row[0] = gain * other
        for token in ids[2:9]:
            row[token] = gain * 2 * other
        row[ids[1]] = gain * (match + other)
        return row

    clean = logits(p, u, 0.75 * g)
    off = {(0, 0): logits(1 / 17, 1 / 17, 0.75 * g), (1, 0): logits(p, u, -0.25 * g), (1, 1): logits(p, u, g)}
    drops = {(0, 0): 0.75 * g * (p - u), (1, 0): g * (p - u), (1, 1): -0.25 * g * (p - u)}
    assert [round(value, 6) for value in drops.values()] == [7.457457, 9.943276, -2.485819]
    assert [round(kl(clean, row), 6) for row in off.values()] == [2.377117, 5.106480, 0.013409]
    found = score_each(run, "ablation", ("kl", "logit_diff"), target=ids[1], against=ids[2])
    for head in (Head(layer, head) for layer in range(2) for head in range(3)):
        assert found["logit_diff"].values[head] == pytest.approx(drops.get(head, 0), abs=1e-4)
        assert found["kl"].values[head] == pytest.approx(kl(clean, off[head]) if head in off else 0, abs=1e-4)


def test_the_knapsack():
    model = load_model(knapsack_model())
    run = model.run(knapsack_prompt())

    def logits(total):
        return [total if token == TARGET else 0 if token == AGAINST else -10 for token in range(KNAP_VOCAB)]

    found = score_each(run, "ablation", ("kl", "logit_diff"), target=TARGET, against=AGAINST)
    np.testing.assert_allclose(found["logit_diff"].values, [WEIGHTS], atol=1e-4)
    expected = [kl(logits(float(sum(WEIGHTS))), logits(float(sum(WEIGHTS) - WEIGHTS[head]))) for head in range(KNAP_HEADS)]
    np.testing.assert_allclose(found["kl"].values, [expected], atol=1e-4)
    # On top of head 0, each of the others is worth what it was: constants add up.
    off = score(run.ablate([(0, 0)]), metric="logit_diff", target=TARGET, against=AGAINST).values
    np.testing.assert_allclose(off, [[np.nan, *WEIGHTS[1:]]], atol=1e-4)


# -- laws -------------------------------------------------------------------------------------------------------------


@each
def test_the_empty_ablation_scores_nothing_under_every_metric(pair):
    """Up to what rounding makes of one row and of many: 1e-11 in KL, which is of second order in it."""
    run = subject(*pair).model.run(IDS)
    for name, found in score_each(run, "ablation", metrics_of(run), mode="scale", scale=1.0).items():
        assert np.abs(found.values).max() <= {"kl": 1e-9, "perplexity": 1e-2}.get(name, 2e-5), name
        relative = np.abs(found.values).max() / (run.perplexity() if name == "perplexity" else 1)
        assert relative <= 2e-5


@each
@pytest.mark.parametrize("chunk", [1, 2, 5, 7, 1000])
def test_chunks_and_the_order_of_heads_change_nothing(pair, chunk):
    run = subject(*pair).model.run(IDS)
    names = metrics_of(run)
    usual = ablation(asked(run, names))
    shuffled = [EVERY[i] for i in torch.randperm(len(EVERY), generator=torch.Generator().manual_seed(chunk))]
    other = ablation(asked(run, names, shuffled, chunk))
    for name, a, b in zip(names, (usual.values, *usual.others), (other.values, *other.others), strict=True):
        same(a, b, name, run)


def test_some_heads_only():
    run = subject("llama").model.run(IDS)
    some = [Head(2, 1), Head(0, 3)]
    names = ["logit_diff", "perplexity"]
    found, every = ablation(asked(run, names, some)), ablation(asked(run, names))
    for name, a, b in zip(names, (found.values, *found.others), (every.values, *every.others), strict=True):
        assert np.isfinite(a).sum() == 2
        for head in some:
            same(a[head], b[head], name, run, head)
    assert np.isnan(ablation(asked(run, ["kl"], [])).values).all()


def test_what_does_not_fit_is_halved_and_goes_on():
    """Raised for real, where a block gets more than four rows."""
    s = fresh("llama")
    run = s.model.run(IDS)
    usual = score_each(run, "ablation", ("kl", "perplexity"))

    def full(_module, args):
        if len(args[0]) > 4:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")

    handle = s.source.model.layers[1].mlp.register_forward_pre_hook(full)
    told = []
    found = score_each(run, "ablation", ("kl", "perplexity"), progress=lambda *step: told.append(step))
    handle.remove()
    for name, scores in found.items():
        same(scores.values, usual[name].values, name, run)
    assert len(told) > 2 and told[-1] == (24, 24, "12 of 12 heads ablated")


def test_nothing_but_numbers_and_undefined_leaves():
    run, seen = subject("gpt2").model.run(IDS), []
    with np.errstate(all="raise"):
        found = score_each(
            run, "ablation", tuple(METRICS), mode="scale", scale=1e38, partial=lambda values, known: seen.append((values, known))
        )
    for values in [scores.values for scores in found.values()] + [values for values, _ in seen]:
        assert not np.isinf(values).any() and np.isnan(values).any()
    # A perplexity of exp(3000) is no number, one of exp(7) is.
    run = load_model(knapsack_model()).run(knapsack_prompt())
    found = ablation(asked(run, ["perplexity", "kl"], [Head(0, h) for h in range(KNAP_HEADS)], mode="scale", scale=1e3))
    assert np.isnan(found.values).any() and not np.isinf(found.values).any()
    assert np.isfinite(found.others[0]).all()


# -- on top of what is off already ------------------------------------------------------------------------------------


@each
@pytest.mark.parametrize("mode", [mode for mode in MODES if mode != "previous"])
def test_conditional_scores_are_what_each_further_head_adds(pair, mode):
    run = subject(*pair).model.run(IDS)
    how = PARAMETERS.get(mode, {})
    first = [Head(0, 1), Head(1, 2)]
    off = run.ablate(first, mode, **how)
    found = score_each(off, "ablation", metrics_of(run), mode=mode, **how)
    target, against = run.logits_at().topk(2).indices.tolist()
    for head in EVERY:
        if head in first:
            assert all(np.isnan(scores.values[head]) for scores in found.values())
            continue
        expected = by_hand(off, run.ablate([*first, head], mode, **how), target, against)
        for name, scores in found.items():
            same(scores.values[head], expected[name], name, run, head)


@each
@pytest.mark.parametrize("resumes", [True, False])
def test_conditional_on_heads_that_are_off_in_another_way(pair, resumes):
    """Their z set to its mean, each further head to zero: both by hand, in the untouched model."""
    s = fresh(*pair)
    s.model.engine.resumes = resumes
    run = s.model.run(IDS)
    means = {(layer, head): s.z(layer)[:, head].mean(0) for layer, head in ((0, 1), (2, 2), (2, 3))}

    def edited(zero=()):
        def at(layer):
            def edit(z, _v):
                for (where, head), mean in means.items():
                    if where == layer:
                        z[:, head] = mean
                if zero and zero.layer == layer:
                    z[:, zero.head] = 0
                return z

            return edit

        return s.edited({layer: at(layer) for layer in range(LAYERS)})[LAST]

    before = edited()
    found = score(run.ablate(list(means), "mean"), metric="logit_diff", target=77, against=12).values
    for head in EVERY:
        if head in means:
            assert np.isnan(found[head])
            continue
        after = edited(head)
        assert found[head] == pytest.approx(((before[77] - before[12]) - (after[77] - after[12])).item(), abs=4e-5)
    assert np.nanmax(np.abs(found - score(run, metric="logit_diff", target=77, against=12).values)) > 1e-2


# -- on the way -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("chunk", [1, 4, 12])
def test_progress_is_in_blocks_and_partial_results_are_final(chunk):
    """From the lowest layer up, however the heads were named."""
    run = subject("llama").model.run(IDS)
    steps, seen = [], []
    question = asked(
        run,
        ["kl", "entropy"],
        EVERY[::-1],
        chunk,
        progress=lambda *step: steps.append(step),
        partial=lambda values, known: seen.append((len(steps), values, known)),
    )
    found = ablation(question)
    blocks = sum(LAYERS - head.layer for head in EVERY)
    assert [total for _, total, _ in steps] == [blocks] * len(steps)
    assert [done for done, _, _ in steps] == [sum(LAYERS - head.layer for head in EVERY[: i * chunk]) for i in range(len(steps))]
    assert len(seen) == len(steps) - 1 == 12 // chunk
    for i, (told, values, known) in enumerate(seen, 1):
        assert told == i, "what there is goes before how far it is"
        assert known.dtype == bool and known.sum() == i * chunk and known.ravel()[: i * chunk].all()
        np.testing.assert_array_equal(values, np.where(known, found.values, np.nan))


@each
@pytest.mark.parametrize("blocks", [0, 2, 4])
def test_cancelled_within_a_chunk_it_leaves_nothing_behind(pair, blocks):
    s = subject(*pair)
    run = s.model.run(IDS)
    usual = score(run).values
    run.logits_at()
    asked_for, partial = [], []

    def check():
        asked_for.append(1)
        if len(asked_for) > blocks:
            raise Cancelled

    with unchanged(s.source), interruptible(check), pytest.raises(Cancelled):
        ablation(asked(run, ["kl"], chunk=4, partial=lambda *found: partial.append(found)))
    assert len(asked_for) == blocks + 1 and len(partial) == (blocks >= 3)
    np.testing.assert_array_equal(score(run).values, usual)
