"""A prompt that ends in a repeated block, with its first copy permuted, so that the last copy repeats nothing."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

from ..errors import AttnWidgetError
from ..run import Run

_TRIES = 2000  # permutations, until none of the old neighbours is left


class Block(NamedTuple):
    """The earlier copies are `ids[start:stop]`, the last one is from `stop` to the end; it repeats what stands `period` before it."""

    start: int
    stop: int
    period: int


def shuffled(run: Run, seed: int) -> tuple[list[int], str]:
    """The ids of the prompt with the first copy permuted, and what was done in words. See `secondprompt.counterfactual`."""
    block = repeated(run.ids)
    if block is None:
        raise AttnWidgetError(
            "Nothing is repeated at the end of this prompt (a block of two or more tokens, then the same block), so there is no copy "
            "to shuffle: swap two of its words instead, or give a text of your own."
        )
    old, after = run.ids[block.start : block.stop], run.ids[block.stop :]
    # What follows what in the whole of the repetition; and these pairs are gone.
    pairs = set(zip(run.ids[block.start :], run.ids[block.start + 1 :], strict=False))
    draw, best = random.Random(seed), None
    for _ in range(_TRIES):
        new = _deranged(old, draw)
        if new is None:
            continue
        left = sum(pair in pairs for pair in zip(new, (*new[1:], after[0]), strict=True))
        if best is None or left < best[0]:
            best = left, new
        if left == 0:
            break
    if best is None:
        raise AttnWidgetError(
            f"The repeated block {_shown(run, old)} cannot be permuted so that no token stays where it was, for one of them stands in more "
            "than half of its places: swap two words instead, or give a text of your own."
        )
    left, new = best
    many = f"{len(old)} tokens" if block.period == len(old) else f"{len(old)} tokens before the last of its copies"
    rest = "" if left == 0 else f"; {left} of its tokens still {'comes' if left == 1 else 'come'} before the one it came before"
    return [*run.ids[: block.start], *new, *after], f"the first copy of the repeated block ({many}) permuted, seed {seed}{rest}"


def repeated(ids: Sequence[int]) -> Block | None:
    """The longest block of two or more tokens that stands right before its own repetition, the repetition running to the end of `ids` (it
    may stop short of the whole block). Of several as long, that of the shortest period."""
    n, best = len(ids), None
    for period in range(2, n):
        same = 0
        while n - 1 - same - period >= 0 and ids[n - 1 - same] == ids[n - 1 - same - period]:
            same += 1
        length = min(same, period)
        if length >= 2 and (best is None or length > best[0]):
            best = length, Block(n - same - period, n - length, period)
    return None if best is None else best[1]


def _deranged(old: Sequence[int], draw: random.Random) -> list[int] | None:
    """A permutation of `old` in which no place has the token it had; None where this draw found none."""
    new = list(old)
    draw.shuffle(new)
    for i, token in enumerate(old):
        if new[i] != token:
            continue
        others = [j for j in range(len(old)) if new[j] != token and old[j] != new[i]]
        if not others:
            return None
        j = draw.choice(others)
        new[i], new[j] = new[j], new[i]
    return new if all(a != b for a, b in zip(old, new, strict=True)) else None


def _shown(run: Run, ids: Sequence[int]) -> str:
    text = "".join(map(run.model.vocabulary.text, ids))
    return repr(text if len(text) <= 40 else text[:37] + "…")
