"""From text to token ids and back: one tokenisation per prompt, made here, so that every part of a run sees the same ids."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property, lru_cache
from numbers import Integral

from .errors import PromptError, TokenError

# What is left of a character beyond U+FFFF when a page or a file cuts it in two. It cannot be written as UTF-8.
_HALF = re.compile("[\ud800-\udfff]")
_STAND_INS, _MARKS = ("mask", "unk"), ("bos", "eos", "sep", "cls", "pad")


class Vocabulary:
    """A tokenizer as we use it: what it puts around a prompt, single tokens by text, and the text of single tokens.

    `prefix` and `suffix` are the special tokens a prompt gets by default: as the published tokenizer adds them (GPT-2 and
    SmolLM2 none, Llama `<s>`, BERT `[CLS]` and `[SEP]`), or, for a TransformerLens object, as its `default_prepend_bos` is set.
    """

    def __init__(self, tokenizer: object | None, size: int, prepend_bos: bool | None = None):
        self.tokenizer, self.size = tokenizer, size
        self.prefix: tuple[int, ...] = ()
        self.suffix: tuple[int, ...] = ()
        if tokenizer is None:
            return
        self.prefix, self.suffix = _special_tokens(tokenizer)
        if prepend_bos is not None and not self.suffix:
            self.prefix = (tokenizer.bos_token_id,) if prepend_bos and tokenizer.bos_token_id is not None else ()

    @property
    def bos_id(self) -> int | None:
        """The beginning-of-text token that can be switched on and off; None where there is none to switch (encoders)."""
        bos = getattr(self.tokenizer, "bos_token_id", None)
        return None if self.suffix else bos

    @property
    def prepends_bos(self) -> bool:
        return self.bos_id is not None and self.prefix == (self.bos_id,)

    @cached_property
    def special_ids(self) -> frozenset[int]:
        """The tokens that are marks and not words: beginning and end of text, separators, padding, turns of a chat. None without a
        tokenizer."""
        added = getattr(self.tokenizer, "added_tokens_decoder", {})  # Llama 3's turns of a chat are special here alone
        ids = {*getattr(self.tokenizer, "all_special_ids", []), *(i for i, token in added.items() if token.special)}
        return frozenset(i for i in ids if i < self.size) - self.stand_in_ids

    @cached_property
    def stand_in_ids(self) -> frozenset[int]:
        """A mask and an unknown token: special to the tokenizer, but each stands in the place of a word. One that is a mark as well is none
        of these: GPT-2's unknown token is its end of text."""
        roles = [{getattr(self.tokenizer, f"{name}_token_id", None) for name in names} for names in (_STAND_INS, _MARKS)]
        return frozenset(i for i in roles[0] - roles[1] if i is not None and i < self.size)

    @property
    def specials(self) -> list[str]:
        """The texts of `special_ids`."""
        return [self.text(i) for i in sorted(self.special_ids)]

    @property
    def special(self) -> str:
        """What a prompt gets by default, in words: "no BOS", "BOS <s>", "[CLS] … [SEP]"."""
        if self.suffix:
            before, after = ("".join(self.text(i) for i in ids) for ids in (self.prefix, self.suffix))
            return f"{before} … {after}"
        return f"BOS {self.text(self.prefix[0])}" if self.prefix else "no BOS"

    def encode(self, prompt: str | Sequence[int], prepend_bos: bool | None = None) -> list[int]:
        """The ids of a prompt. A list of ids is taken as it is; `prepend_bos=None` means as the model's default is."""
        if not isinstance(prompt, str):
            return self._checked(prompt)
        if self.tokenizer is None:
            return self._checked(self._read_ids(prompt))
        prefix = self.prefix
        if prepend_bos is not None:
            if self.bos_id is None and prepend_bos != bool(self.prefix):
                raise PromptError(f"This tokenizer has no BOS token to switch ({self.special}): leave prepend_bos=None.")
            prefix = (self.bos_id,) if prepend_bos and self.bos_id is not None else prefix if self.suffix else ()
        body = self._body(prompt)
        if not body:
            raise PromptError("The prompt is empty. Type at least one token.")
        return self._checked([*prefix, *body, *self.suffix])

    def tail(self, prompt: str, limit: int, prepend_bos: bool | None = None) -> str:
        """The longest end of a text that is at most `limit` tokens, special tokens counted."""
        body = self._body(prompt)
        for keep in range(min(limit, len(body)), 0, -1):
            # Cut in the middle of a word, a text may tokenise to more than was kept of it.
            text = self.joined(body[-keep:])
            if len(self.encode(text, prepend_bos)) <= limit:
                return text
        raise PromptError(f"No end of this prompt is {limit} tokens or fewer: type another.")

    def _body(self, prompt: str) -> list[int]:
        if self.tokenizer is None:
            return self._read_ids(prompt)
        if half := _HALF.search(prompt):
            raise PromptError(f"Character {half.start() + 1} of the prompt, {half[0]!r}, is half of one: type it anew or leave it out.")
        return _bare(self.tokenizer, prompt)

    def joined(self, ids: Sequence[int]) -> str:
        """The text that ids are read as, special tokens left out; the ids themselves where there is no tokenizer."""
        if self.tokenizer is None:
            return " ".join(map(str, ids))
        return self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)

    def written(self, ids: Sequence[int]) -> str:
        """A text that `encode` turns into exactly these ids; `PromptError` where there is none."""
        checked = self._checked(ids)
        text = self.joined(checked)
        if self.encode(text) != checked:
            raise PromptError(f"These {len(checked)} token ids cannot be written as one text ({text[:40]!r} gives others): give the text.")
        return text

    def spelled(self, ids: Sequence[int], prepend_bos: bool = False) -> tuple[str, bool]:
        """The text of ids with special tokens written out, and whether BOS goes before it (kept apart only where `prepend_bos` asks for
        that). `encode` need not give these ids back: a model may write a word in other pieces than its tokenizer cuts it into."""
        apart = prepend_bos and len(ids) > 1 and self.bos_id is not None and ids[0] == self.bos_id
        rest = ids[1:] if apart else ids
        if self.tokenizer is None:
            return self.joined(rest), prepend_bos
        text = self.tokenizer.decode(rest, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        # An encoder's own special tokens are put round a prompt whatever the switch says.
        return text, apart if self.bos_id is not None else prepend_bos

    def text(self, token_id: int) -> str:
        """The text of one token, " Mary" with its space; bytes that are no character alone show as `<0xE2>`."""
        return _text_of(self.tokenizer, token_id)

    def id(self, token: str | int) -> int:
        """The id of one token, given as its exact text (" Mary" and "Mary" are two tokens) or as an id.

        Raises `TokenError` for text that is several tokens, and for ids outside the vocabulary.
        """
        if isinstance(token, Integral) and not isinstance(token, bool):
            if not 0 <= token < self.size:
                raise TokenError(f"No token {token} in this vocabulary: ids run from 0 to {self.size - 1}.")
            return int(token)
        if not isinstance(token, str) or not token:
            raise TokenError(f"{token!r} is not a token: give its text, for instance ' Mary' with its space, or its id.")
        if self.tokenizer is None and re.fullmatch(r"#\d+", token):  # how its tokens are shown
            return self.id(int(token[1:]))
        if self.tokenizer is None:
            raise TokenError(f"This model came without a tokenizer, so {token!r} has no id: give the id instead, or '#12' for token 12.")
        if half := _HALF.search(token):
            raise TokenError(f"{token!r} has half of a character ({half[0]!r}), which no token has: give other text, or an id.")
        # SentencePiece puts a space before a text it tokenises, so the vocabulary itself is asked first.
        for raw in (token, token.replace(" ", "▁")):
            known = self.tokenizer.convert_tokens_to_ids(raw)
            if isinstance(known, int) and known < self.size and self.text(known) == token:
                return known
        ids = _bare(self.tokenizer, token)
        unknown = getattr(self.tokenizer, "unk_token_id", None)
        if not ids or ids == [unknown] or max(ids) >= self.size:
            raise TokenError(f"{token!r} is no token of this vocabulary of {self.size}: give other text, or an id.")
        if len(ids) == 1:
            return ids[0]
        parts = ", ".join(repr(self.text(i)) for i in ids[:6])
        raise TokenError(f"{token!r} is {len(ids)} tokens ({parts}), not one: name one of them, or give an id.")

    def find(self, typed: str) -> list[int]:
        """The tokens a person may mean by what they typed: the text itself, the same with a leading space, or `#id`."""
        if typed.startswith("#") and typed[1:].isdecimal():
            return [self.id(int(typed[1:]))]
        found: list[int] = []
        for text in (typed, " " + typed):
            try:
                found.append(self.id(text))
            except TokenError:
                continue
        if not found:
            self.id(typed)  # raises, naming the parts
        return list(dict.fromkeys(found))

    def _read_ids(self, prompt: str) -> list[int]:
        try:
            return [int(part) for part in prompt.replace(",", " ").replace("#", " ").split()]
        except ValueError:
            raise PromptError(
                "This model came without a tokenizer: write the prompt as token ids, '12 7 33', or pass tokenizer=."
            ) from None

    def _checked(self, ids: Sequence[int]) -> list[int]:
        try:
            values = list(ids.tolist() if hasattr(ids, "tolist") else ids)
        except TypeError:
            raise PromptError(f"A prompt is a text or one list of token ids, not {type(ids).__name__}.") from None
        if wrong := [i for i in values if not isinstance(i, Integral) or isinstance(i, bool)]:
            raise PromptError(f"A prompt is a text or one list of token ids; {wrong[0]!r} is not an id.")
        values = [int(i) for i in values]
        if not values:
            raise PromptError("The prompt is empty. Give at least one token id.")
        bad = next((i for i in values if not 0 <= i < self.size), None)
        if bad is not None:
            raise PromptError(f"No token {bad} in this vocabulary: ids run from 0 to {self.size - 1}.")
        return values


def _bare(tokenizer: object, text: str) -> list[int]:
    """The ids of a text with nothing put around it; none where the tokenizer has no token for it, not even for the unknown."""
    try:
        return tokenizer(text, add_special_tokens=False)["input_ids"]
    except (ValueError, TypeError):
        raise
    except Exception:  # all that `tokenizers` ever raises
        return []


def _special_tokens(tokenizer: object) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What the tokenizer puts before and after a prompt, found by tokenising one with and without."""
    # In the order of their ids: a vocabulary is a hash map in some tokenizers, with another order in each process. Without the special
    # tokens: BOS before itself is BOS twice, which does not say where it was put.
    special = set(tokenizer.all_special_ids)
    words = sorted((i, word) for word, i in tokenizer.get_vocab().items() if i not in special)
    for text in ("a", "A", "0", *(word for _, word in words[:50])):
        # A vocabulary of a few words may know none of these letters, and an empty text has no before and after.
        bare = _bare(tokenizer, text)
        if bare and not special.issuperset(bare):
            break
    else:
        return (), ()
    full = tokenizer(text)["input_ids"]
    for start in range(len(full) - len(bare) + 1):
        if full[start : start + len(bare)] == bare:
            return tuple(full[:start]), tuple(full[start + len(bare) :])
    return (), ()


@lru_cache(maxsize=200_000)
def _text_of(tokenizer: object | None, token_id: int) -> str:
    if tokenizer is None:
        return f"#{token_id}"
    raw = tokenizer.convert_ids_to_tokens(token_id)
    if raw is None:
        return f"#{token_id}"
    if "▁" in raw:  # SentencePiece marks spaces so; its decoder drops them from single tokens
        return raw.replace("▁", " ")
    if raw.startswith("##"):  # WordPiece continuations; decoding drops the mark that tells "##s" from "s"
        return raw
    if re.fullmatch(r"<0x[0-9A-F]{2}>", raw):  # how SentencePiece writes a byte; some are characters, such as a newline
        return chr(int(raw[3:5], 16)) if int(raw[3:5], 16) < 128 else raw
    text = tokenizer.decode([token_id], skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return _bytes_of(raw) if "\ufffd" in text or text == "" else text


def _bytes_of(raw: str) -> str:
    """A byte-level BPE token that is not a whole character, byte by byte."""
    table = _byte_table()
    return "".join(f"<0x{table[c]:02X}>" if c in table else c for c in raw)


@lru_cache(maxsize=1)
def _byte_table() -> dict[str, int]:
    # GPT-2's table: printable bytes stand for themselves, the rest for the characters from 256 up, in order.
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    return {chr(b): b for b in printable} | {chr(256 + n): b for n, b in enumerate(others)}
