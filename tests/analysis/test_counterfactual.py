"""Second prompts: what is exchanged, shuffled and refused, token by token."""

import random
from collections import Counter

import numpy as np
import pytest

from attnwidget import AttnWidgetError, Counterfactual, counterfactual, load_model
from attnwidget.analysis.patching import make_pair
from attnwidget.analysis.shuffling import repeated
from tests.conftest import PROMPT
from tests.models import IDS, OTHER_IDS, induction_model, induction_prompt, subject


@pytest.fixture(scope="module")
def model():
    return subject("gpt2").model


@pytest.fixture(scope="module")
def run(model):
    return model.run(PROMPT)


def text_of(made):
    return "".join(made.tokens)


# -- words exchanged ----------------------------------------------------------------------------------------------------


def test_the_last_occurrence_of_either_word_becomes_the_other(model, run):
    made = counterfactual(run, swap=("John", "Mary"))
    expected = "When Mary and John went to the store, Mary gave a drink to"
    assert made.text == text_of(made) == expected and made.ids == tuple(model.encode(expected))
    assert [run.tokens[i] for i in made.changed] == [" John"] and [made.tokens[i] for i in made.changed] == [" Mary"]
    assert made.note == "John → Mary at its last occurrence"
    assert counterfactual(run, swap=("Mary", "John")).ids == made.ids
    assert made.run.logits.equal(model.run(expected).logits)


def test_all_occurrences_become_the_other(run):
    made = counterfactual(run, swap=(" Mary", "John"), which="all")
    assert made.text == "When John and Mary went to the store, Mary gave a drink to"
    assert len(made.changed) == 3 and made.note.startswith("Mary ↔ John at token 1, token 3 and token ")


def test_a_word_is_exchanged_in_the_form_in_which_it_stands(model):
    made = counterfactual(model.run("John and Mary. Mary gave John"), swap=("John", "Mary"), which="all")
    assert made.text == "Mary and John. John gave Mary"


def test_words_of_several_tokens_are_exchanged_for_words_of_as_many(model):
    pieces = {word: model.encode(word) for word in (" zig", " zag")}
    assert len(pieces[" zig"]) == len(pieces[" zag"]) > 1
    made = counterfactual(model.run("When zig went home, zig gave a drink to"), swap=("zig", "zag"))
    assert made.text == "When zig went home, zag gave a drink to"


def test_what_is_part_of_a_longer_word_is_not_the_word(model):
    run = model.run("When Johnson and John went to the store, Johnson gave")
    assert any(a == " John" and b.startswith("s") for a, b in zip(run.tokens, run.tokens[1:], strict=False))
    assert counterfactual(run, swap=("John", "Mary")).text == "When Johnson and Mary went to the store, Johnson gave"
    with pytest.raises(AttnWidgetError, match="Neither 'John' nor 'Mary'"):
        counterfactual(model.run("When Johnson went home"), swap=("John", "Mary"))


def test_bos_is_as_the_run_has_it(model):
    run = model.run(PROMPT, prepend_bos=True)
    for how in ({"swap": ("John", "Mary")}, {"text": "When Mary and John went to the store, Mary gave a drink to"}):
        made = counterfactual(run, **how)
        assert made.ids[0] == run.ids[0] == model.vocabulary.bos_id and len(made.changed) == 1
        assert made.text == "When Mary and John went to the store, Mary gave a drink to"


def test_tokens_of_a_model_without_a_tokenizer_are_named_by_id():
    run = load_model(induction_model()).run([0, 3, 5, 3, 5])
    assert counterfactual(run, swap=(3, 7)).ids == (0, 3, 5, 7, 5)
    assert counterfactual(run, swap=("#5", "#7"), which="all").ids == (0, 3, 7, 3, 7)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"swap": ("John", "zig")}, r"' zig' is \d tokens where ' John' is 1.*choose a word that is one token"),
        ({"swap": ("Bob", "Alice")}, r"Neither 'Bob' nor 'Alice' occurs"),
        ({"swap": ("John", " John")}, r"two different words.*'John'"),
        ({"swap": "John"}, r"two words.*'John'"),
        ({"swap": ("John", "Mary", "Bob")}, r"two words"),
        ({"swap": ("John", "")}, r"''"),
        ({"swap": ("John", 2.5)}, r"2\.5"),
        ({"swap": ("John", "Mary"), "which": "first"}, r"'first'.*|'last'"),
        ({}, r"one way.*none was given"),
        ({"text": "a", "shuffle": True}, r"text and shuffle were given"),
        ({"text": PROMPT}, r"prompt itself"),
        ({"text": 5}, r"int"),
        ({"shuffle": True}, r"[Nn]othing is repeated"),
        ({"shuffle": "yes"}, r"'yes'"),
        ({"swap": ("John", "Mary"), "target": " Mary", "against": " Mary"}, r"both ' Mary'"),
        ({"swap": ("John", "Mary"), "position": 99}, r"position 99"),
        ({"swap": ("John", "Mary"), "target": np.array([1, 2])}, r"array\(\[1, 2\]\) is not a token"),
        ({"swap": ("John", "Mary"), "against": np.array([1, 2])}, r"array\(\[1, 2\]\) is not a token"),
        ({"swap": ("John", "Mary"), "which": np.array(["last", "all"])}, r"'last'.*'all', not array"),
    ],
)
def test_what_cannot_be_made_is_refused(run, given, says):
    with pytest.raises(AttnWidgetError, match=says):
        counterfactual(run, **given)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "When Mary and John went to the store, zig gave a drink to",
            r"' zig' is (\d) tokens where ' John' is 1: choose words of 1 token there",
        ),
        ("When Mary and John went to the store, John gave a a drink to", r"' a' is 1 token where the prompt has none"),
        ("When Mary and John went to the store, John gave drink to", r"' a', 1 token, is missing"),
        ("When Mary and John went to the store, Johnson gave a drink to", r"at token \d+: ' Johnson' is \d tokens where ' John' is 1"),
    ],
)
def test_of_unequal_lengths_it_is_said_where_and_what_to_do(run, text, says):
    with pytest.raises(AttnWidgetError, match=rf"as many tokens as the prompt: this one has \d+, the prompt {len(run)}\..*{says}"):
        counterfactual(run, text=text)


def test_runs_that_are_none_of_a_clean_prompt_are_refused(run):
    with pytest.raises(AttnWidgetError, match="heads ablated"):
        counterfactual(run.ablate("L0H0"), swap=("John", "Mary"))
    with pytest.raises(AttnWidgetError, match="str"):
        counterfactual(PROMPT, swap=("John", "Mary"))


# -- what is asked of it ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("about", [{}, {"target": " John"}, {"target": " John", "against": " gave", "position": 12}])
def test_target_and_against_are_those_of_the_circuit(run, about):
    made = counterfactual(run, swap=("John", "Mary"), **about)
    pair = make_pair(run, made.run, **about)
    assert (made.target.id, made.against.id, made.position) == (pair.measure.target, pair.measure.against, pair.measure.position)
    drop = made.logit_diff.clean - made.logit_diff.counterfactual
    assert drop == pytest.approx(pair.effect_of_all, abs=1e-5)
    row = made.run.logits_at(about.get("position"))
    assert made.first.id == row.argmax() and made.first.probability == pytest.approx(row.softmax(-1).max().item(), rel=1e-5)


def test_it_can_be_read_as_a_table(run):
    made = counterfactual(run, swap=("John", "Mary"))
    frame = made.to_frame()
    assert list(frame) == ["token", "counterfactual", "changed"] and len(frame) == len(run)
    assert frame[frame.changed].index.tolist() == list(made.changed)
    assert isinstance(made, Counterfactual) and repr(made).startswith("Counterfactual(' John' → ' Mary'; logit(")


# -- repetitions shuffled -----------------------------------------------------------------------------------------------


def longest(ids):
    """The longest end that stands right before itself: (length of the repeated part, where it begins), by trying all."""
    found = [
        (length, start)
        for start in range(len(ids))
        for period in range(2, len(ids))
        if 2 <= (length := len(ids) - start) <= period <= start and ids[start - period : start - period + length] == ids[start:]
    ]
    return max(found, default=None, key=lambda one: one[0])


def test_the_longest_repetition_at_the_end_is_found():
    draw, hits = random.Random(0), 0
    for _ in range(300):
        block = [draw.randrange(6) for _ in range(draw.randrange(1, 6))]
        ids = tuple([draw.randrange(6) for _ in range(3)] + block + block[: draw.randrange(len(block) + 1)])
        found, expected = repeated(ids), longest(ids)
        assert (found is None) == (expected is None), ids
        if found is not None:
            hits += 1
            assert len(ids) - found.stop == expected[0], ids
            assert all(ids[i] == ids[i - found.period] for i in range(found.stop, len(ids)))
    assert hits > 100


@pytest.mark.parametrize("seed", range(5))
def test_the_first_copy_is_permuted_so_that_nothing_stays_and_nothing_is_repeated(seed):
    run = load_model(induction_model()).run(induction_prompt())
    made = counterfactual(run, shuffle=True, seed=seed)
    first, last = slice(1, 9), slice(9, 17)
    assert made.ids[0] == 0 and made.ids[last] == run.ids[last] and Counter(made.ids[first]) == Counter(run.ids[first])
    assert made.changed == tuple(range(1, 9))
    pairs = set(zip(run.ids[1:], run.ids[2:], strict=False))
    assert not pairs & set(zip(made.ids[first], made.ids[2:10], strict=True))
    assert counterfactual(run, shuffle=True, seed=seed).ids == made.ids and f"seed {seed}" in made.note
    # The induction head no longer finds what followed: it answers with something else.
    assert made.logit_diff.clean > 7 and made.first.id != made.target.id


def test_what_cannot_be_wholly_broken_up_is_said_to_be():
    model = load_model(induction_model())
    made = counterfactual(model.run([0, 1, 2, 3, 1, 2, 3]), shuffle=True)
    assert made.ids[4:] == (1, 2, 3) and set(made.changed) == {1, 2, 3} and "2 of its tokens still come before" in made.note
    with pytest.raises(AttnWidgetError, match="more than half of its places"):
        counterfactual(model.run([0, 1, 1, 2, 1, 1, 2]), shuffle=True)


def test_three_copies_are_repeated_by_the_last_alone():
    model = load_model(induction_model())
    made = counterfactual(model.run([0, *[1, 2, 3, 4, 5] * 3]), shuffle=True)
    assert made.ids[11:] == (1, 2, 3, 4, 5) and made.changed == tuple(range(1, 11)) and "10 tokens before the last" in made.note


def test_ids_that_no_text_gives_are_taken_as_they_are(model):
    made = counterfactual(model.run(IDS), swap=(IDS[-1], OTHER_IDS[0]))
    assert list(made.ids) == [*IDS[:-1], OTHER_IDS[0]]
