"""BertViz's two views by its own arguments."""

import inspect

import numpy as np
import pytest

from attnwidget import AttnWidgetError, arrays

from .arrays import part, patterns, recorded

# As its documentation and its source have them; BertViz is not installed.
HEAD_VIEW = (
    "attention tokens sentence_b_start prettify_tokens layer heads encoder_attention decoder_attention cross_attention "
    "encoder_tokens decoder_tokens include_layers html_action"
)
MODEL_VIEW = (
    "attention tokens sentence_b_start prettify_tokens display_mode encoder_attention decoder_attention cross_attention "
    "encoder_tokens decoder_tokens include_layers include_heads html_action"
)

PAIR = ["[CLS]", "the", "cat", "[SEP]", "it", "sat", "[SEP]"]
N = len(PAIR)
GIVEN = tuple(layer[None] for layer in patterns(4, 3, N, N))  # a tuple of layers, each [1, head, query, key]
FLAT = np.concatenate([layer[0] for layer in GIVEN]).astype(np.float32)


@pytest.mark.parametrize(("name", "wanted"), [("head_view", HEAD_VIEW), ("model_view", MODEL_VIEW)])
def test_arguments_are_those_of_bertviz_in_its_order(name, wanted):
    assert list(inspect.signature(getattr(arrays, name)).parameters) == wanted.split()


@pytest.mark.parametrize("view", [arrays.head_view, arrays.model_view])
def test_every_head_of_every_layer_is_there(view):
    found = part(view(GIVEN, PAIR))
    assert np.array_equal(found["values"], FLAT)
    assert found["names"] == [f"L{layer}H{head}" for layer in range(4) for head in range(3)]


def test_head_view_starts_with_lines_of_the_layer_and_heads_that_are_named():
    header, _ = recorded(arrays.head_view(GIVEN, PAIR, layer=2, heads=[0, 2]))
    assert header["arrays"]["lines"] and header["arrays"]["chosen"] == [6, 8]
    # Without: all heads of the first layer.
    assert recorded(arrays.head_view(GIVEN, PAIR))[0]["arrays"]["chosen"] == [0, 1, 2]
    assert not recorded(arrays.model_view(GIVEN, PAIR))[0]["arrays"]["lines"]


def test_layers_and_heads_that_are_kept_keep_their_numbers():
    page = arrays.model_view(GIVEN, PAIR, include_layers=[1, 3], include_heads=[0, 2])
    found = part(page)
    assert found["names"] == ["L1H0", "L1H2", "L3H0", "L3H2"] and found["heads"] == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert np.array_equal(found["values"], FLAT[[3, 5, 9, 11]])
    page = arrays.head_view(GIVEN, PAIR, include_layers=[3], layer=3, heads=[1])
    assert part(page)["names"] == ["L3H0", "L3H1", "L3H2"] and recorded(page)[0]["arrays"]["chosen"] == [1]


def test_two_sentences_are_looked_at_in_their_four_parts():
    page = arrays.head_view(GIVEN, PAIR, sentence_b_start=4)
    names = [one["name"] for one in recorded(page)[0]["arrays"]["parts"]]
    assert names == ["both sentences", "sentence A → A", "sentence A → B", "sentence B → A", "sentence B → B"]
    crossed = part(page, 3)
    assert crossed["rows"] == PAIR[4:] and crossed["columns"] == PAIR[:4]
    assert np.array_equal(crossed["values"], FLAT[:, 4:, :4])
    # Differences too: a colour means the same value in each part.
    signed = arrays.head_view([layer - 0.3 for layer in GIVEN], PAIR, sentence_b_start=4)
    assert len({str(part(signed, i)["scale"]) for i in range(5)}) == 1


def test_an_encoder_with_a_decoder_has_three():
    encoder, decoder, crossed = patterns(2, 1, 3, 5, 5), patterns(2, 1, 3, 4, 4, causal=True), patterns(2, 1, 3, 4, 5)
    source, target = list("uvwxy"), list("abcd")
    page = arrays.model_view(
        encoder_attention=encoder, decoder_attention=decoder, cross_attention=crossed, encoder_tokens=source, decoder_tokens=target
    )
    found = [part(page, i) for i in range(3)]
    assert [one["name"] for one in found] == ["encoder", "decoder", "cross"]
    assert [(one["rows"], one["columns"]) for one in found] == [(source, source), (target, target), (target, source)]
    assert [one["causal"] for one in found] == [False, True, False]
    assert np.array_equal(found[2]["values"], crossed.reshape(6, 4, 5).astype(np.float32))


def test_marks_of_a_tokenizer_are_written_as_what_they_mean():
    tokens = ["Ġthe", "▁cat", "s</w>", "Ġ", "it", "sat", "."]
    assert part(arrays.head_view(GIVEN, tokens))["rows"] == [" the", " cat", "s", " ", "it", "sat", "."]
    assert part(arrays.head_view(GIVEN, tokens, prettify_tokens=False))["rows"] == tokens


def test_what_is_returned_can_be_written_as_bertviz_users_write_it(tmp_path):
    page = arrays.head_view(GIVEN, PAIR, html_action="return")
    assert page.data == page.html() and page.data.startswith("<!doctype html>")


def test_its_colours_can_be_asked_for():
    for mode, theme in (("dark", "dark"), ("light", "light"), (None, "")):
        assert recorded(arrays.model_view(GIVEN, PAIR, display_mode=mode))[0]["theme"] == theme


REFUSED = {
    "nothing": (lambda: arrays.head_view(), "There is no attention"),
    "both": (lambda: arrays.head_view(GIVEN, PAIR, encoder_attention=GIVEN), "attention is of a model with one stack"),
    "no tokens": (lambda: arrays.head_view(GIVEN), "tokens is missing: attention has 7 queries"),
    "tokens": (lambda: arrays.head_view(GIVEN, PAIR[:5]), "tokens has 5 texts, and attention has 7"),
    "unused tokens": (
        lambda: arrays.head_view(GIVEN, PAIR, decoder_tokens=PAIR),
        "decoder_tokens was given, and none",
    ),
    "sentence": (lambda: arrays.head_view(GIVEN, PAIR, sentence_b_start=7), "must be a position from 1 to 6, not 7"),
    "sentence of two stacks": (
        lambda: arrays.head_view(encoder_attention=GIVEN, encoder_tokens=PAIR, sentence_b_start=3),
        "sentence_b_start parts the tokens of attention",
    ),
    "layer": (lambda: arrays.head_view(GIVEN, PAIR, layer=4), "No layer 4 to start with: the layers shown are 0, 1, 2, 3"),
    "heads": (lambda: arrays.head_view(GIVEN, PAIR, heads=[3]), "No head 3: heads run from 0 to 2"),
    "include_layers": (lambda: arrays.head_view(GIVEN, PAIR, include_layers=[9]), "No layer 9: layers run from 0 to 3"),
    "include_heads": (lambda: arrays.model_view(GIVEN, PAIR, include_heads=[]), "No head was chosen"),
    "action": (lambda: arrays.head_view(GIVEN, PAIR, html_action="save"), 'must be "view" or "return", not \'save\''),
    "mode": (lambda: arrays.model_view(GIVEN, PAIR, display_mode="blue"), 'must be "dark", "light" or None, not \'blue\''),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_not_done_is_refused_in_a_sentence(what):
    make, sentence = REFUSED[what]
    with pytest.raises(AttnWidgetError, match=sentence):
        make()
