"""Text to ids and back: BOS policy, single tokens by text, and refusals that name what was given."""

from __future__ import annotations

import pytest
import transformers as tf
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

from attnwidget.errors import PromptError, TokenError
from attnwidget.tokens import Vocabulary

from .models import VOCAB, tokenizer

plain = Vocabulary(tokenizer(), VOCAB)
llama_like = Vocabulary(tokenizer(adds_bos=True), VOCAB)
encoder = Vocabulary(tokenizer(encoder=True), VOCAB)
bare = Vocabulary(None, VOCAB)

BOS, CLS, SEP = 0, 3, 4


def sentencepiece():
    """As Llama 2's: spaces are ▁, one is put before the text, unknown characters become bytes."""
    vocab = {"<unk>": 0, "<s>": 1} | {f"<0x{b:02X}>": 2 + b for b in range(256)}
    pieces = ["▁", "M", "a", "r", "y", "▁a", "Ma", "Mar", "Mary", "▁Mary"]
    vocab |= {piece: len(vocab) + n for n, piece in enumerate(pieces)}
    merges = [("M", "a"), ("Ma", "r"), ("Mar", "y"), ("▁", "Mary"), ("▁", "a")]
    inner = Tokenizer(models.BPE(vocab, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    inner.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    inner.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    inner.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return tf.PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", unk_token="<unk>")


def word_pieces():
    vocab = {t: n for n, t in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "mary", "token", "##s", "went"])}
    inner = Tokenizer(models.WordPiece(vocab, unk_token="[UNK]"))
    inner.normalizer = normalizers.Lowercase()
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.decoder = decoders.WordPiece()
    inner.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return tf.PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", mask_token="[MASK]")


def words_only():
    """A vocabulary of three words that knows no letter and has no token for what it does not know."""
    inner = Tokenizer(models.WordLevel({"<s>": 0, "red": 1, "green": 2, "blue": 3}))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    inner.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return tf.PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>")


# -- BOS ------------------------------------------------------------------------------------------------------------


def test_by_default_as_the_published_tokenizer_does():
    text = "Mary went"
    body = tokenizer()(text, add_special_tokens=False)["input_ids"]
    assert plain.encode(text) == body
    assert llama_like.encode(text) == [BOS, *body]
    assert encoder.encode(text) == [CLS, *body, SEP]
    assert (plain.special, llama_like.special, encoder.special) == ("no BOS", "BOS <bos>", "[CLS] … [SEP]")
    assert (plain.prepends_bos, llama_like.prepends_bos, encoder.prepends_bos) == (False, True, False)


@pytest.mark.parametrize("vocabulary", [plain, llama_like])
def test_one_switch_away(vocabulary):
    body = plain.encode("Mary went")
    assert vocabulary.encode("Mary went", prepend_bos=True) == [BOS, *body]
    assert vocabulary.encode("Mary went", prepend_bos=False) == body


def test_the_owner_s_choice_of_a_transformer_lens_object():
    for words in (tokenizer(), tokenizer(adds_bos=True)):
        assert Vocabulary(words, VOCAB, prepend_bos=True).prefix == (BOS,)
        assert Vocabulary(words, VOCAB, prepend_bos=False).prefix == ()
    assert Vocabulary(tokenizer(encoder=True), VOCAB, prepend_bos=True).prefix == (CLS,), "an encoder has no BOS to switch"


def test_an_encoder_has_no_bos_to_switch():
    assert encoder.bos_id is None
    assert encoder.encode("Mary", prepend_bos=True) == encoder.encode("Mary")
    with pytest.raises(PromptError, match=r"no BOS token to switch \(\[CLS\] … \[SEP\]\)"):
        encoder.encode("Mary", prepend_bos=False)


def test_a_vocabulary_without_letters():
    vocabulary = Vocabulary(words_only(), 4)
    assert (vocabulary.prefix, vocabulary.suffix) == ((0,), ())
    assert vocabulary.encode("red blue") == [0, 1, 3]
    with pytest.raises(PromptError, match="empty"):
        vocabulary.encode("purple")


# -- prompts --------------------------------------------------------------------------------------------------------


@given(st.text(max_size=30))
def test_any_text_comes_back(text):
    if not text:
        return
    ids = plain.encode(text)
    assert tokenizer().decode(ids, clean_up_tokenization_spaces=False) == text or any(s in text for s in tokenizer().all_special_tokens)
    assert llama_like.encode(text) == [BOS, *ids]


def test_ids_are_taken_as_they_are():
    import numpy as np
    import torch

    for ids in ([5, 6, 7], (5, 6, 7), np.array([5, 6, 7]), torch.tensor([5, 6, 7]), range(5, 8)):
        assert llama_like.encode(ids) == [5, 6, 7]
        assert all(type(i) is int for i in llama_like.encode(ids))
        assert bare.encode(ids) == [5, 6, 7]


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("", "empty"),
        ([], "empty"),
        ([5, VOCAB], f"No token {VOCAB} .* 0 to {VOCAB - 1}"),
        ([-1], f"No token -1 .* 0 to {VOCAB - 1}"),
        (None, "not NoneType"),
        (7, "not int"),
        ([[5, 6]], r"\[5, 6\] is not an id"),
        ([1.7], "1.7 is not an id"),
        ([True], "True is not an id"),
        (["a"], "'a' is not an id"),
    ],
)
def test_refused_prompts(prompt, message):
    with pytest.raises(PromptError, match=message):
        plain.encode(prompt)


def test_a_tokenizer_larger_than_the_model():
    with pytest.raises(PromptError, match="No token .* ids run from 0 to 99"):
        Vocabulary(tokenizer(), 100).encode("Mary and Bob went to the store")


# -- single tokens --------------------------------------------------------------------------------------------------


def test_every_token_is_found_by_its_own_text():
    """Unless several have the same text, as bytes and letters do."""
    by_text: dict[str, int] = {}
    for i in range(VOCAB):
        by_text.setdefault(plain.text(i), i)
    for text, i in by_text.items():
        if "<0x" in text or (text.startswith("#") and text != "#"):  # bytes, and ids that the tokenizer leaves free
            continue
        assert plain.text(plain.id(text)) == text, (text, i)


def test_a_space_makes_another_token():
    assert plain.id(" Mary") != plain.id("M")
    assert plain.text(plain.id(" Mary")) == " Mary"
    assert plain.id(plain.id(" Mary")) == plain.id(" Mary")


@pytest.mark.parametrize(
    ("token", "message"),
    [
        ("Mary went", r"'Mary went' is 3 tokens \('Ma', 'ry', ' went'\)"),
        ("", "'' is not a token"),
        (None, "None is not a token"),
        (True, "True is not a token"),
        (1.0, "1.0 is not a token"),
        (VOCAB, f"No token {VOCAB} .* 0 to {VOCAB - 1}"),
        (-1, "No token -1"),
    ],
)
def test_refused_tokens(token, message):
    with pytest.raises(TokenError, match=message):
        plain.id(token)


def test_without_a_tokenizer():
    assert bare.text(7) == "#7"
    assert bare.id(7) == 7
    with pytest.raises(TokenError, match="without a tokenizer"):
        bare.id("Mary")


def test_word_pieces():
    vocabulary = Vocabulary(word_pieces(), 9)
    assert vocabulary.special == "[CLS] … [SEP]"
    assert vocabulary.encode("Mary tokens") == [2, 5, 6, 7, 3]
    assert [vocabulary.text(i) for i in (6, 7)] == ["token", "##s"]
    assert vocabulary.id("##s") == 7
    assert vocabulary.id("Mary") == 5, "an uncased model has one token for both"
    assert vocabulary.id("[UNK]") == 1
    with pytest.raises(TokenError, match="'zebra' is no token"):
        vocabulary.id("zebra")
    with pytest.raises(TokenError, match="' ' is no token"):
        vocabulary.id(" ")


def test_sentence_pieces():
    words = sentencepiece()
    vocabulary = Vocabulary(words, len(words))
    assert vocabulary.prefix == (1,)
    assert [vocabulary.text(i) for i in vocabulary.encode("Mary a")] == ["<s>", " Mary", " a"]
    marked, unmarked = words.convert_tokens_to_ids("▁Mary"), words.convert_tokens_to_ids("Mary")
    assert vocabulary.text(marked) == " Mary"
    assert vocabulary.text(unmarked) == "Mary"
    assert vocabulary.id(" Mary") == marked
    assert vocabulary.id("Mary") == unmarked, "although its tokenizer would put a space before it"
    assert vocabulary.text(words.convert_tokens_to_ids("<0xE2>")) == "<0xE2>"
    assert vocabulary.text(words.convert_tokens_to_ids("<0x0A>")) == "\n"


def test_parts_of_characters_show_as_bytes():
    ids = plain.encode("é")
    assert len(ids) == 2
    assert [plain.text(i) for i in ids] == ["<0xC3>", "<0xA9>"]
    assert plain.text(plain.encode("\n")[0]) == "\n"


def test_what_a_person_may_mean():
    mary = plain.id(" Mary")
    assert mary in plain.find("Mary")
    assert plain.find(" Mary")[0] == mary
    assert plain.find(f"#{mary}") == [mary]
    with pytest.raises(TokenError, match="tokens"):
        plain.find("Mary went home")
    with pytest.raises(TokenError, match="No token 9999"):
        plain.find("#9999")


# -- marks that are no words ----------------------------------------------------------------------------------------


def test_marks_are_what_is_special_but_a_mask_and_an_unknown_token():
    words = Vocabulary(word_pieces(), 9)
    assert words.special_ids == {2, 3} and words.stand_in_ids == {1, 4} and words.specials == ["[CLS]", "[SEP]"]
    assert bare.special_ids == bare.stand_in_ids == frozenset()


def test_an_unknown_token_that_ends_the_text_as_well_is_a_mark():
    like_gpt2 = words_only()
    like_gpt2.add_special_tokens({"eos_token": "<s>", "unk_token": "<s>"})
    words = Vocabulary(like_gpt2, 4)
    assert words.special_ids == {0} and words.stand_in_ids == frozenset() and words.specials == ["<s>"]
