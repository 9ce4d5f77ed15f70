"""Test prompts in which everything comes twice: BOS + r + r, r random tokens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral

import torch

from ..errors import AttnWidgetError
from ..model import Model

LENGTH = 25


@dataclass(frozen=True)
class Repeats:
    """Prompts `prefix + r + r + suffix`, each with another r of `length` different ordinary tokens, drawn from `seed`."""

    prompts: tuple[tuple[int, ...], ...]
    start: int
    """Where r begins: the number of tokens before it."""
    length: int
    seed: int
    setting: str
    """In words: "BOS + 25 random tokens twice, 8 prompts, seed 0"."""

    @property
    def copied(self) -> tuple[range, range]:
        """The positions at which r_2 … r_T are predicted, in the first copy and in the second.

        Nothing before the second copy says that a repeat begins, so its first token is left out; and in the first for symmetry.
        """
        first = range(self.start, self.start + self.length - 1)
        return first, range(first.start + self.length, first.stop + self.length)


def draw_repeats(
    model: Model, length: int | None = None, sequences: int = 8, seed: int = 0, prefix: Sequence[int] | None = None
) -> Repeats:
    """Draws them. `length` None means 25, or as many as the context and the vocabulary allow.

    Before r stands what the tokenizer puts before a prompt, or else its BOS where it has one; after it, what it puts after. `prefix`
    (ids) overrides what stands before. Special tokens, padding of the vocabulary and the tokens around r are never drawn.
    """
    _whole("sequences", sequences, 1)
    _whole("seed", seed, None)
    before, after = _around(model, prefix)
    ids = _ordinary(model, {*before, *after})
    room = len(ids) if model.n_ctx is None else min(len(ids), (model.n_ctx - len(before) - len(after)) // 2)
    if room < 2:
        raise AttnWidgetError(
            f"Repeats cannot be drawn for {model.name}: 2 or more different tokens must fit twice, and the vocabulary has {len(ids)} "
            f"ordinary tokens, the context room for {model.n_ctx}: give a prompt of your own, detect_heads(model.run(...))."
        )
    if length is None:
        length = min(LENGTH, room)
    _whole("length", length, 2)
    if length > room:
        raise AttnWidgetError(f"No length {length}: {model.name} has room for 2 to {room} tokens twice; leave length= out for the default.")
    generator = torch.Generator().manual_seed(seed % 2**63)
    drawn = [[ids[i] for i in torch.randperm(len(ids), generator=generator)[:length].tolist()] for _ in range(sequences)]
    prompts = tuple((*before, *r, *r, *after) for r in drawn)
    return Repeats(prompts, len(before), length, seed, _setting(model, before, after, length, sequences, seed))


def _around(model: Model, prefix: Sequence[int] | None) -> tuple[tuple[int, ...], tuple[int, ...]]:
    words = model.vocabulary
    if prefix is not None:
        return tuple(words.encode(prefix)) if len(prefix) else (), words.suffix
    if words.prefix or words.suffix or words.bos_id is None:
        return words.prefix, words.suffix
    return (words.bos_id,), ()


def _ordinary(model: Model, taken: set[int]) -> list[int]:
    words, tokenizer = model.vocabulary, model.vocabulary.tokenizer
    if tokenizer is None:
        return [i for i in range(words.size) if i not in taken]
    # A vocabulary is often padded beyond its tokens; reserved special tokens are named in one of two places.
    special = words.special_ids | words.stand_in_ids
    return [i for i in range(min(words.size, len(tokenizer))) if i not in special and i not in taken]


def _setting(model: Model, before: Sequence[int], after: Sequence[int], length: int, sequences: int, seed: int) -> str:
    words = model.vocabulary
    bos = words.bos_id is not None and tuple(before) == (words.bos_id,)
    parts = ["BOS" if bos else "".join(map(words.text, before)), f"{length} random tokens twice", "".join(map(words.text, after))]
    return f"{' + '.join(filter(None, parts))}, {sequences} prompt{'s' if sequences > 1 else ''}, seed {seed}"


def _whole(name: str, value: object, least: int | None) -> None:
    if not isinstance(value, Integral) or isinstance(value, bool) or (least is not None and value < least):
        more = "" if least is None else f" of {least} or more"
        raise AttnWidgetError(f"{name} must be a whole number{more}, not {value!r}.")
