"""A token whose text is another token's name is not found by it in a recording."""

from types import SimpleNamespace

from attnwidget.analysis.outcome import Choice, Odds, Outcome, Pair
from attnwidget.tokens import Vocabulary
from attnwidget.widget.misnamed import misnamed

from ..test_tokens import sentencepiece


def test_a_byte_that_looks_like_a_letter_is_one():
    words = sentencepiece()
    vocabulary = Vocabulary(words, len(words))
    model = SimpleNamespace(token=vocabulary.text, token_id=vocabulary.id)
    byte, letter, mary, start = words.convert_tokens_to_ids(["<0x4D>", "M", "▁Mary", "<0xE2>"])
    assert vocabulary.text(byte) == vocabulary.text(letter) == "M"
    row = lambda i: Choice(i, vocabulary.text(i), Odds(0.2, 1.0, 1), None)  # noqa: E731
    nothing = Pair(None, None)
    said = Outcome("next", 0, (row(letter), row(start)), row(mary), row(mary), row(byte), None, None, None, nothing, "")
    answers = [{"op": "outcome", "result": said}, {"op": "whole_prompt", "result": {"rows": []}}]
    assert set(misnamed(model, answers)) - {start} == {byte}
