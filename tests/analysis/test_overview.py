"""What stands out: every number said is one that was computed another way, and what cannot be said is said to be left out."""

from __future__ import annotations

import dataclasses
import math
import re
from functools import cache

import numpy as np
import pytest
import torch
import transformers as tf

from attnwidget import load_model
from attnwidget.analysis.headscores import HeadScores
from attnwidget.analysis.origin import origin
from attnwidget.analysis.overview import Overview, overview
from attnwidget.analysis.reading import Reading
from attnwidget.analysis.score import score, score_each
from attnwidget.analysis.sentences import LARGEST, NAMED
from attnwidget.analysis.wording import listed, number, percent, token
from attnwidget.errors import PositionError, TokenError
from attnwidget.heads import Head

from ..conftest import PROMPT
from ..models import HEADS, IDS, LAYERS, Subject, induction_model, induction_prompt, subject, tokenizer, wide

EVERY = [Head(layer, head) for layer in range(LAYERS) for head in range(HEADS)]
FIGURE = re.compile(r"[<>]?−?\d+(?:\.\d+)?(?:e−?\d+)?%?")


def of_kind(found: Overview, kind: str) -> list:
    return [one for one in found.sentences if one.kind == kind]


@cache
def read(name: str) -> Overview:
    return overview(subject(name).model.run(IDS))


def figures(text: str) -> list[str]:
    """The numbers of a sentence: not those in names of heads and layers, in tokens, or in places of tokens."""
    bare = re.sub(r"“[^”]*”|\bL\d+(H\d+)?\b|\(token \d+\)", "", text)
    return FIGURE.findall(bare)


# -- words ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "said"),
    [(0, "0%"), (0.0004, "<0.1%"), (0.031, "3.1%"), (0.654, "65%"), (0.9967, "99.7%"), (0.99951, ">99.9%"), (1, "100%"), (math.nan, "–")],
)
def test_percentages_never_round_to_none_or_all(x, said):
    assert percent(x) == said


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (0, "0"),
        (0.24349, "0.243"),
        (-1.2849, "−1.28"),
        (9.943276, "9.94"),
        (12.34, "12.3"),
        (1234.4, "1234"),
        (3.2e-5, "3.2e−5"),
        (0.9996, "1.00"),
    ],
)
def test_numbers_have_three_figures(x, said):
    assert number(x) == said


@pytest.mark.parametrize(
    ("text", "said"), [(" Mary", "“Mary”"), ("Mary", "“Mary”"), ("  x", "“  x”"), (" ", "“␣”"), ("\n", "“↵”"), ("\x04", "“␄”"), ("", "“∅”")]
)
def test_tokens_are_never_invisible(text, said):
    assert token(text) == said


def test_long_lists_are_cut():
    assert listed(EVERY[:1]) == "L0H0" and listed(EVERY[:2]) == "L0H0 and L0H1"
    assert listed(EVERY, 3) == f"L0H0, L0H1, L0H2 and {len(EVERY) - 3} more"


# -- the hand-built model: closed forms -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ind() -> Overview:
    return overview(load_model(induction_model()).run(induction_prompt()))


def test_on_the_induction_model_the_right_heads_are_named_with_their_closed_forms(ind):
    e, g, v = math.exp(8), 10.0, 16
    u = 1 / (e + v)
    p = e * u

    def log_softmax(right: float, other: float) -> tuple[float, float]:
        # The one token that followed the copy has another logit than the 7 others of r; the rest of the vocabulary has 0.
        z = math.log(math.exp(right) + 7 * math.exp(other) + 8)
        return right - z, other - z

    raised = g * u
    assert [one.heads for one in of_kind(ind, "effect")] == [(Head(1, 0),), (Head(0, 0),), (Head(1, 1),), (Head(1, 0), Head(1, 1))]
    first, second, third, pair = of_kind(ind, "effect")
    assert (first.value, second.value, third.value) == pytest.approx((5.106480, 2.377117, 0.013409), abs=1e-5)
    # The logit difference: .75 g (p − u), of which L1H0 writes g (p − u) and L1H1 takes a quarter of that away again.
    assert pair.value == pytest.approx(g * (p - u), abs=1e-5)
    assert figures(pair.text) == [number(0.75 * g * (p - u)), number(g * (p - u)), number(g * (p - u) / 4)]
    right, _ = log_softmax(0.75 * g * p, 0.75 * raised)
    answer = of_kind(ind, "answer")[0]
    assert answer.value == pytest.approx(math.exp(right), abs=2e-3)
    assert first.text.startswith("Removing L1H0 alone (z set to zero) moves the answer most: KL 5.11 nats; “#15” falls from 99% to ")
    assert "From “#6” (token 16) it looks most at “#15” (token 9), 99%" in first.text and (first.query, first.key) == (16, 9)


def test_on_the_induction_model_kinds_direct_effects_and_depth_are_what_it_was_built_for(ind):
    looks = {one.heads[0]: one for one in of_kind(ind, "attention")}
    e = math.exp(8)
    # The queries of the second copy, i = 9 … 16, see i + 1 keys; two of them match as keys of L1H0 only once, e against i ones.
    induction = np.mean([e / (e + i) for i in range(9, 17)])
    duplicate = np.mean([e / (2 * e + i - 1) for i in range(9, 17)])
    assert looks[Head(1, 0)].value == pytest.approx(induction, abs=1e-5)
    assert looks[Head(0, 1)].value == pytest.approx(duplicate, abs=1e-5)
    assert looks[Head(0, 0)].value == pytest.approx(1, abs=1e-6) and "the token before" in looks[Head(0, 0)].text
    assert looks[Head(1, 2)].text.startswith("1 of 6 heads looks at the first token, “#0”: L1H2 100%. That is 17%")
    # What a kind does is said with its own exact effect: the duplicate head writes nothing.
    assert looks[Head(0, 1)].text.endswith("Removing it moves the answer by KL 0 nats, number 4 of 6.")
    assert looks[Head(1, 0)].text.endswith("removing L1H0 does most: it moves the answer by KL 5.11 nats, number 1 of 6.")
    (direct,) = of_kind(ind, "direct")
    assert direct.heads == (Head(0, 0),) and "L0H0 writes 0 to it directly, yet without this head it falls by 7.46" in direct.text
    (depth,) = of_kind(ind, "depth")
    # After L0 all logits are 0: a sixteenth each.
    assert depth.value == 1 and figures(depth.text) == [percent(1 / 16), percent(of_kind(ind, "answer")[0].value)]
    (choice,) = of_kind(ind, "first_choice")
    # Without L0H0 every token of the prompt is as likely, the old first choice too.
    assert (choice.value, choice.heads) == (1, (Head(1, 0),))


def test_equal_heads_come_in_the_order_of_the_model_and_twice_the_same(ind):
    again = overview(load_model(induction_model()).run(induction_prompt()))
    assert again == ind


# -- random models: their untouched twins ------------------------------------------------------------------------------


class Twin:
    """The same numbers from hooks on an untouched copy, one forward per head."""

    def __init__(self, of: Subject, ids: list[int] = IDS, at: int = -1, off: tuple[Head, ...] = ()):
        self.of, self.ids, self.off = of, ids, off
        self.at = 0 if of.spec.answer == "class" else at
        self.before = self.row(list(off))
        self.p = self.before.softmax(-1)
        self.first, self.second = self.before.topk(2).indices.tolist()
        self.heads = [head for head in EVERY if head not in off]
        self.after = {head: self.row([*off, head]) for head in self.heads}
        self.kl = {head: (self.p * (self.p.log() - row.log_softmax(-1))).sum().item() for head, row in self.after.items()}

    def row(self, heads: list[Head]) -> torch.Tensor:
        return (self.of.zeroed(heads, self.ids) if heads else self.of.clean(self.ids)).double()[self.at]

    def drop(self, target: int, against: int) -> dict[Head, float]:
        before = self.before[target] - self.before[against]
        return {head: (before - (row[target] - row[against])).item() for head, row in self.after.items()}

    def by_kl(self) -> list[Head]:
        return sorted(self.heads, key=lambda head: -self.kl[head])


@cache
def twin_of(name: str) -> Twin:
    return Twin(subject(name))


TWINS = ["gpt2", "llama", "bert", "bert-classifier", "gptoss"]


@pytest.mark.parametrize("name", TWINS)
def test_every_number_of_the_effects_is_that_of_hooks_on_an_untouched_copy(name):
    of = subject(name)
    twin, found = twin_of(name), read(name)
    said = of_kind(found, "effect")
    order = twin.by_kl()
    assert [one.heads[0] for one in said[:NAMED]] == order[:NAMED]
    for rank, one in enumerate(said[:NAMED]):
        head = order[rank]
        assert one.value == pytest.approx(twin.kl[head], rel=1e-4)
        row = twin.after[head]
        after, first = row.softmax(-1), int(row.argmax())
        was, now = percent(twin.p[twin.first].item()), percent(after[twin.first].item())
        expected = [number(twin.kl[head])] + ([] if rank == 0 else [str(rank + 1), str(len(EVERY))])
        expected += [was] if was == now else [was, now]
        if first != twin.first:
            expected.append(percent(after[first].item()))
            assert f"and {token(of.model.token(first))} comes first" in one.text
        pattern = of.patterns(head.layer)[head.head].double()
        looks = pattern.mean(0) if of.spec.answer == "class" else pattern[-1]
        key = int(looks.argmax())
        expected += [percent(looks[key].item()), percent((looks[1:].max() if key == 0 else looks[0]).item())]
        assert figures(one.text) == expected, one.text
        assert one.key == key and one.query == (None if of.spec.answer == "class" else len(IDS) - 1)
    drop = twin.drop(twin.first, twin.second)
    most, least = max(drop, key=drop.get), min(drop, key=drop.get)
    pair = said[NAMED]
    assert pair.heads == (most, least) and pair.value == pytest.approx(drop[most], rel=1e-3)
    gap = (twin.before[twin.first] - twin.before[twin.second]).item()
    assert figures(pair.text)[:3] == [number(gap), number(drop[most]), number(-drop[least])]


@pytest.mark.parametrize("name", [*TWINS, "gemma2"])
def test_heads_that_change_the_first_choice_are_exactly_those_of_a_forward_each(name):
    of, twin = subject(name), twin_of(name)
    changed = [head for head in twin.by_kl() if int(twin.after[head].argmax()) != twin.first]
    (said,) = of_kind(read(name), "first_choice")
    assert said.value == len(changed) and said.unit == f"of {len(EVERY)} heads"
    assert said.heads == tuple(changed[:LARGEST])
    for head in changed[:LARGEST]:
        assert f"{head} (then {token(of.model.token(int(twin.after[head].argmax())))})" in said.text
    assert figures(said.text)[-1] == number(float(np.median(list(twin.kl.values()))))


def test_the_answer_has_its_probability_its_runner_up_and_its_entropy():
    of, twin = subject("gpt2"), twin_of("gpt2")
    (said,) = of_kind(read("gpt2"), "answer")
    entropy = -(twin.p * twin.p.log()).sum().item()
    expected = [percent(twin.p[i].item()) for i in (twin.first, twin.second)] + [number(entropy), number(math.exp(entropy))]
    assert figures(said.text) == expected and said.value == pytest.approx(twin.p[twin.first].item(), rel=1e-5)
    assert said.text.startswith(f"The model expects the prompt to go on with {token(of.model.token(twin.first))}")


def test_another_target_is_said_apart_and_the_difference_is_its():
    of = subject("gpt2")
    twin = Twin(of, at=4)
    target, against = twin.before.topk(5).indices.tolist()[3:]
    found = overview(of.model.run(IDS), position=4, target=target, against=against)
    first, asked = of_kind(found, "answer")
    assert first.text.startswith("Inside the prompt, after ") and first.query == 4
    assert figures(asked.text) == [percent(twin.p[target].item()), "4"] and asked.value == pytest.approx(twin.p[target].item(), rel=1e-5)
    drop = twin.drop(target, against)
    assert of_kind(found, "effect")[NAMED].value == pytest.approx(max(drop.values()), rel=1e-3)
    moved = of_kind(found, "effect")[0]
    assert f"{token(of.model.token(target))} " in moved.text


def test_of_an_ablated_run_everything_is_measured_from_that_run():
    of, off = subject("llama"), (Head(0, 1), Head(2, 3))
    twin, clean = Twin(of, off=off), twin_of("llama")
    found = overview(of.model.run(IDS).ablate(list(off)))
    assert found.sentences[0].text.startswith("With L0H1 and L2H3 ablated, the model expects")
    moved, *named, pair = of_kind(found, "effect")
    assert "With nothing ablated it is" in moved.text
    assert moved.value == pytest.approx((clean.p * (clean.p.log() - twin.before.log_softmax(-1))).sum().item(), rel=1e-4)
    assert [one.heads[0] for one in named] == twin.by_kl()[:NAMED]
    assert [one.value for one in named] == pytest.approx([twin.kl[head] for head in twin.by_kl()[:NAMED]], rel=1e-4)
    # The tokens compared are the clean run's, whatever is ablated.
    assert pair.value == pytest.approx(max(twin.drop(clean.first, clean.second).values()), rel=1e-3)
    (choice,) = of_kind(found, "first_choice")
    assert choice.value == sum(int(row.argmax()) != twin.first for row in twin.after.values())
    assert choice.unit == f"of {len(EVERY) - 2} heads"
    assert found.note.startswith("All of it is about the run with L0H1 and L2H3 ablated (z set to zero at all positions)")


def lens(of: Subject, ids: list[int], at: int) -> torch.Tensor:
    """[layer + 1, vocabulary]: the twin's own hidden states through its own final norm and unembedding."""
    with torch.no_grad():
        states = of.twin(torch.tensor([ids]), output_hidden_states=True).hidden_states
        norm = {"gpt2": "transformer.ln_f", "llama": "model.norm", "gptneox": "gpt_neox.final_layer_norm"}[of.spec.name]
        # The last of them has been normed already.
        rows = [of.twin.get_output_embeddings()(of.twin.get_submodule(norm)(state[0, at])) for state in states[:-1]]
        return torch.stack([*rows, of.clean(ids)[at]])


@pytest.mark.parametrize("name", ["gpt2", "llama", "gptneox"])
@pytest.mark.parametrize("at", [2, 5, 8])
def test_the_depth_is_where_a_logit_lens_on_the_twins_own_states_has_the_answer_for_good(name, at):
    of = subject(name)
    rows = lens(of, IDS, at)
    firsts = rows.argmax(-1).tolist()
    since = max((i + 1 for i, first in enumerate(firsts) if first != firsts[-1]), default=0)
    (said,) = of_kind(overview(of.model.run(IDS), position=at), "depth")
    assert said.value == since - 1 and "logit lens" in said.method
    p = rows.double().softmax(-1)
    there = percent(p[since, firsts[-1]].item())
    assert figures(said.text) == ([there] if since == 0 else [percent(p[since - 1, firsts[since - 1]].item()), there])


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


# -- other prompts and models --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gpt2", "bert", "bert-classifier"])
def test_a_prompt_of_one_token_says_nothing_of_where_heads_look(name):
    found = overview(subject(name).model.run([37]))
    assert of_kind(found, "attention") == [] and of_kind(found, "answer") and of_kind(found, "first_choice")
    assert all("looks" not in one.text and one.key is None for one in found.sentences)
    assert "prompt of one token" in found.note


def test_where_patterns_cannot_be_read_effects_are_said_and_the_reason():
    found = read("falcon")
    assert of_kind(found, "attention") == [] and all(one.key is None for one in found.sentences)
    assert len(of_kind(found, "effect")) == NAMED + 1
    assert "Left out, kinds of heads: Attention patterns cannot be read from this model" in found.note


def test_a_prompt_without_repeats_says_that_it_has_none():
    found = overview(subject("gpt2").model.run([37, 201, 44, 90]))
    assert "Left out, induction and duplicate token: no repeats in this prompt." in found.note
    assert len(of_kind(found, "attention")) == 2


def test_one_query_is_said_to_have_no_interval():
    model = load_model(induction_model())
    found = overview(model.run([0, 5, 6, 7, 5]))
    (said,) = [one for one in of_kind(found, "attention") if "(induction)" in one.text]
    assert "in the one query that can show it" in said.text
    assert "1 query; found: 0.4 or more, and above the chance" in said.method and "one query has no interval" in said.method
    assert "95%" not in said.method
    (several,) = [one for one in of_kind(found, "attention") if "(previous token)" in one.text]
    assert "4 queries; found" in several.method and "its 95% interval above the chance" in several.method
    assert "the interval takes queries to be independent, which those of one prompt are not" in several.method


def test_an_ablated_head_is_not_said_to_act():
    model = load_model(induction_model())
    run = model.run(induction_prompt())
    found = overview(run.ablate("L0H1"))
    (said,) = [one for one in of_kind(found, "attention") if "duplicate" in one.text]
    assert said.text.startswith("No head is found that looks") and Head(0, 1) not in said.heads
    assert "heads that are ablated are left out" in said.method
    sinks = of_kind(found, "attention")[-1]
    assert sinks.text.startswith("1 of 5 heads looks at the first token") and sinks.value == 1 / 5
    assert sinks.text.endswith("of the heads that are not ablated.")


def test_with_every_head_ablated_there_is_nothing_to_say_of_heads():
    found = overview(
        load_model(induction_model()).run(induction_prompt()).ablate([Head(layer, head) for layer in range(2) for head in range(3)])
    )
    assert {one.kind for one in found.sentences} == {"answer", "effect", "depth"}
    assert all(not one.heads for one in found.sentences) and "KL is 0" not in repr(found)
    assert re.search("Left out, effects of heads, .* and kinds of heads: Every head is ablated already", found.note)


def test_only_a_first_token_that_the_tokenizer_puts_there_is_called_a_sink():
    model = subject("llama").model
    bos = model.vocabulary.bos_id
    assert bos is not None
    for ids, named in (([bos, 37, 201, 44], True), ([37, 201, 44, 90], False)):
        (said,) = [one for one in of_kind(overview(model.run(ids)), "attention") if "at the first token" in one.text]
        assert ("attention sinks" in said.text) == named


def test_a_mask_is_what_is_read_and_named():
    of = subject("bert")
    words = of.tokenizer
    ids = [3, 37, words.mask_token_id, 44, 4]
    found, twin = overview(of.model.run(ids)), Twin(of, ids, 2)
    (said,) = of_kind(found, "answer")
    assert said.query == 2 and said.text.startswith("In the place of “[MASK]” the model expects")
    assert said.value == pytest.approx(twin.p.max().item(), rel=1e-5)
    assert of_kind(found, "depth")


def test_a_classifier_answers_with_classes_and_has_no_depth():
    found = read("bert-classifier")
    (said,) = of_kind(found, "answer")
    assert said.text.startswith("The model takes the text for “LABEL_") and said.query is None
    assert of_kind(found, "depth") == [] and "On average over all queries it looks" in of_kind(found, "effect")[0].text


def test_a_model_that_answers_nothing_is_still_read_for_kinds_of_heads():
    found = read("bert-base")
    assert {one.kind for one in found.sentences} == {"attention"}
    assert "has no head that answers" in found.note and not any("KL" in one.text for one in found.sentences)


def test_one_output_is_no_choice_and_that_is_said():
    config = tf.BertConfig(
        num_labels=1,
        num_hidden_layers=2,
        num_attention_heads=2,
        hidden_size=16,
        intermediate_size=16,
        vocab_size=330,
        max_position_embeddings=32,
    )
    model = load_model(wide(tf.BertForSequenceClassification(config)), tokenizer=tokenizer(encoder=True))
    found = overview(model.run(IDS))
    assert {one.kind for one in found.sentences} == {"attention"} and "has one output" in found.note


def test_a_question_that_cannot_be_asked_is_an_error():
    run = subject("gpt2").model.run(IDS)
    with pytest.raises(PositionError, match="positions 0 to 8"):
        overview(run, position=9)
    with pytest.raises(TokenError):
        overview(run, target="no such token as this")


def test_from_the_first_token_of_a_causal_model_there_is_nowhere_to_look():
    found = overview(subject("gpt2").model.run(IDS), position=0)
    assert all("looks" not in one.text and one.key is None for one in of_kind(found, "effect"))


# -- the result ---------------------------------------------------------------------------------------------------------


def test_it_can_be_read_as_a_table_as_text_and_as_html(ind):
    frame = ind.to_frame()
    assert len(frame) == len(ind.sentences) and frame["text"].tolist() == [one.text for one in ind.sentences]
    assert frame.loc[1, "heads"] == "L1H0" and (frame.loc[1, "query"], frame.loc[1, "key"]) == (16, 9)
    assert repr(ind).splitlines()[2] == f"2. {ind.sentences[1].text}"
    page = read("gpt2")._repr_html_()
    assert page.count("<li>") == page.count("</li>") and "<0x" not in page and "&lt;0x" in page


def test_every_value_stands_in_its_sentence(ind):
    for found in (ind, read("llama")):
        for one in found.sentences:
            if one.value is None or one.unit == "layer":
                continue
            share, count = one.unit in ("probability", "attention", "share"), one.unit.startswith("of ")
            shown = percent(one.value) if share else f"{one.value:.0f} {one.unit}" if count else number(abs(one.value))
            assert shown in one.text, one


# -- real weights -------------------------------------------------------------------------------------------------------


def test_on_real_weights_it_says_what_ablating_each_named_head_does():
    run = load_model("smollm2-135m").run(PROMPT)
    found = overview(run)
    said = of_kind(found, "effect")
    # The heads and values that an earlier, independent program found for this prompt, to its three figures.
    assert (said[0].heads, number(said[0].value)) == ((Head(1, 5),), "0.243")
    assert (said[2].heads, number(said[2].value)) == ((Head(29, 1),), "0.128")
    for one in said[:NAMED]:
        (head,) = one.heads
        without = run.ablate([head])
        assert one.value == pytest.approx(without.kl(), rel=1e-3)
        was, now = percent(run.probability(" Mary")), percent(without.probability(" Mary"))
        assert f"“Mary” falls from {was} to {now}" in one.text
    most, least = said[NAMED].heads
    before = run.logit_diff(" Mary", " the")
    assert said[NAMED].value == pytest.approx(before - run.ablate([most]).logit_diff(" Mary", " the"), rel=1e-3)
    assert number(run.ablate([least]).logit_diff(" Mary", " the") - before) in said[NAMED].text
    assert of_kind(found, "first_choice")[0].value == 0 and "“Mary” stays first" in of_kind(found, "first_choice")[0].text
    assert of_kind(found, "depth")[0].value == 29
    kinds = of_kind(found, "attention")
    assert kinds[2].heads[0] == Head(16, 0) and kinds[2].value == pytest.approx(run.pattern("L16H0").diagonal(-1).mean().item(), rel=1e-5)
    sinks = np.mean([(run.patterns(layer)[:, 1:, 0].mean(-1) >= 0.4).double().mean().item() for layer in range(30)])
    assert kinds[3].value == pytest.approx(sinks, abs=0.02)
