"""Which position of one prompt stands for which position of another: by place, by equal tokens, or as a person says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from numbers import Integral

import numpy as np
import pandas as pd

from ..engine.interrupt import checkpoint
from ..errors import PositionError, PromptError
from ..markup import html_table
from ..run import Run


@dataclass(frozen=True)
class Alignment:
    """Positions of two prompts that stand for each other: `pairs` (position, other position), ascending in both.

    A position that is in no pair is a gap, and nothing is put in its place: `only` are those of the first prompt (left out in the other),
    `other_only` those of the other (put in).
    """

    pairs: tuple[tuple[int, int], ...]
    tokens: tuple[str, ...]
    other_tokens: tuple[str, ...]
    method: str
    """`positions`: one by one, the prompts are as long; `tokens`: longest common subsequence of token ids; `given`."""
    equal: frozenset[tuple[int, int]] = field(default=frozenset(), repr=False)
    """The pairs whose tokens are the same."""

    @property
    def positions(self) -> list[int]:
        """The aligned positions of the first prompt."""
        return [a for a, _ in self.pairs]

    @property
    def other_positions(self) -> list[int]:
        """The aligned positions of the other."""
        return [b for _, b in self.pairs]

    @property
    def only(self) -> tuple[int, ...]:
        """Positions of the first prompt that stand for none of the other."""
        aligned = set(self.positions)
        return tuple(i for i in range(len(self.tokens)) if i not in aligned)

    @property
    def other_only(self) -> tuple[int, ...]:
        """Positions of the other that stand for none of the first."""
        aligned = set(self.other_positions)
        return tuple(i for i in range(len(self.other_tokens)) if i not in aligned)

    @property
    def complete(self) -> bool:
        """Whether every position of both is in a pair."""
        return len(self.pairs) == len(self.tokens) == len(self.other_tokens)

    def partner(self, position: int) -> int | None:
        """The position of the other prompt that stands for `position` (0-based) of the first; None for a gap."""
        return dict(self.pairs).get(position)

    def swapped(self) -> Alignment:
        """The same, seen from the other prompt."""
        pairs, equal = (((b, a) for a, b in some) for some in (self.pairs, self.equal))
        return Alignment(tuple(pairs), self.other_tokens, self.tokens, self.method, frozenset(equal))

    def describe(self) -> str:
        """ "6 of 6 and 7 tokens aligned by equal tokens; 1 inserted"."""
        how = {"positions": "position by position", "tokens": "by equal tokens", "given": "as given"}[self.method]
        n, m = len(self.tokens), len(self.other_tokens)
        parts = [f"{len(self.pairs)} of {n} tokens" if n == m else f"{len(self.pairs)} of {n} and {m} tokens"]
        gaps = [f"{len(some)} {what}" for some, what in ((self.only, "left out"), (self.other_only, "put in")) if some]
        return "; ".join([f"{parts[0]} aligned {how}", *gaps])

    def to_frame(self) -> pd.DataFrame:
        """One row per pair and per gap, in order: kind ("same", "replaced", "left out", "put in"), position, token, other_position,
        other_token; the side that a gap lacks is missing (NA)."""
        rows: list[tuple] = []
        done, other_done = 0, 0
        for a, b in [*self.pairs, (len(self.tokens), len(self.other_tokens))]:
            rows += [("left out", i, self.tokens[i], None, None) for i in range(done, a)]
            rows += [("put in", None, None, i, self.other_tokens[i]) for i in range(other_done, b)]
            if a < len(self.tokens):
                rows.append(("same" if (a, b) in self.equal else "replaced", a, self.tokens[a], b, self.other_tokens[b]))
            done, other_done = a + 1, b + 1
        frame = pd.DataFrame(rows, columns=["kind", "position", "token", "other_position", "other_token"])
        return frame.astype({"position": "Int64", "other_position": "Int64"})

    def __repr__(self) -> str:
        return f"Alignment({self.describe()})"

    def _repr_html_(self) -> str:
        return html_table(self.to_frame(), index=False)


def make_alignment(run: Run, other: Run, alignment: object = None) -> Alignment:
    """The alignment of two runs. None: position by position, for prompts of one length. `"positions"`: the same, said. `"tokens"`: the
    longest common subsequence of their token ids. Pairs of positions, or an `Alignment`: as given.

    `PromptError` where None is given for prompts of unequal length, or where nothing is aligned.
    """
    n, m = len(run.ids), len(other.ids)
    if isinstance(alignment, Alignment):
        if alignment.tokens != tuple(run.tokens) or alignment.other_tokens != tuple(other.tokens):
            raise PromptError("This alignment was made for other prompts: make it from these two, or give pairs of positions.")
        return alignment
    if alignment is None or (isinstance(alignment, str) and alignment == "positions"):
        if n != m:
            raise PromptError(
                f"The prompts have {n} and {m} tokens, so positions do not say which stand for each other: "
                "pass alignment='tokens', or pairs of positions."
            )
        return _of(run, other, [(i, i) for i in range(n)], "positions")
    if isinstance(alignment, str):
        if alignment != "tokens":
            raise PromptError(f"No alignment {alignment!r}: there are 'positions', 'tokens', and pairs of positions [(0, 0), (1, 2), ...].")
        pairs = common_subsequence(run.ids, other.ids)
        if not pairs:
            raise PromptError("The prompts have no token in common, so none stands for another: give pairs of positions.")
        return _of(run, other, pairs, "tokens")
    return _of(run, other, _given(alignment, n, m), "given")


def _of(run: Run, other: Run, pairs: Sequence[tuple[int, int]], method: str) -> Alignment:
    equal = frozenset((a, b) for a, b in pairs if run.ids[a] == other.ids[b])
    return Alignment(tuple(pairs), tuple(run.tokens), tuple(other.tokens), method, equal)


def _given(pairs: object, n: int, m: int) -> list[tuple[int, int]]:
    form = "alignment= takes 'tokens', or pairs of positions that ascend in both prompts, [(0, 0), (1, 2), ...]"
    try:
        read = [tuple(pair) for pair in pairs]
    except TypeError:
        raise PromptError(f"{form}, not {pairs!r}.") from None
    whole = [isinstance(i, Integral) and not isinstance(i, bool) for pair in read for i in pair]
    if not read or any(len(pair) != 2 for pair in read) or not all(whole):
        raise PromptError(f"{form}, not {pairs!r}.")
    for a, b in read:
        if not (0 <= a < n and 0 <= b < m):
            raise PositionError(f"No pair ({a}, {b}): positions of these prompts run from 0 to {n - 1} and from 0 to {m - 1}.")
    for before, after in pairwise(read):
        if not (before[0] < after[0] and before[1] < after[1]):
            raise PromptError(f"The pairs {before} and {after} do not ascend in both prompts: {form}.")
    return [(int(a), int(b)) for a, b in read]


def common_subsequence(ids: Sequence[int], other: Sequence[int]) -> list[tuple[int, int]]:
    """Positions of one longest common subsequence, ascending. Of several the same one whichever prompt comes first: that which the smaller
    of the two, as sequences of ids, would choose (a token of its own is left out before one of the other)."""
    if tuple(other) < tuple(ids):
        return [(b, a) for a, b in common_subsequence(other, ids)]
    a, b = np.asarray(ids), np.asarray(other)
    n, m = len(a), len(b)
    # longest[i, j]: of ids[i:] and other[j:]. Filled along anti-diagonals, each of which depends on the two behind it alone.
    longest = np.zeros((n + 1, m + 1), dtype=np.int32)
    for total in range(n + m - 2, -1, -1):
        checkpoint()
        i = np.arange(max(0, total - m + 1), min(n - 1, total) + 1)
        j = total - i
        without = np.maximum(longest[i + 1, j], longest[i, j + 1])
        longest[i, j] = np.where(a[i] == b[j], longest[i + 1, j + 1] + 1, without)
    pairs, i, j = [], 0, 0
    while i < n and j < m:
        if a[i] == b[j]:
            pairs.append((i, j))
            i, j = i + 1, j + 1
        elif longest[i + 1, j] >= longest[i, j + 1]:
            i += 1
        else:
            j += 1
    return pairs
