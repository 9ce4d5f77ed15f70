"""What stands out: what cannot be said of a prompt or a model is said to be left out."""

from __future__ import annotations

import re

import pytest
import transformers as tf

from attnwidget import load_model
from attnwidget.analysis.overview import overview
from attnwidget.analysis.sentences import NAMED
from attnwidget.errors import PositionError, TokenError
from attnwidget.heads import Head

from ..models import IDS, induction_model, induction_prompt, subject, tokenizer, wide
from .sentences_read import Twin, of_kind, read

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
