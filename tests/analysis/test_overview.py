"""What stands out: every number said is one that was computed another way."""

from __future__ import annotations

import math
import re
from functools import cache

import numpy as np
import pytest
import torch

from attnwidget import load_model
from attnwidget.analysis.overview import Overview, overview
from attnwidget.analysis.sentences import LARGEST, NAMED
from attnwidget.analysis.wording import listed, number, percent, token
from attnwidget.heads import Head

from ..conftest import PROMPT
from ..models import IDS, Subject, induction_model, induction_prompt, subject
from .sentences_read import EVERY, Twin, of_kind, read

FIGURE = re.compile(r"[<>]?−?\d+(?:\.\d+)?(?:e−?\d+)?%?")


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
