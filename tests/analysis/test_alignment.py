"""Alignments against plain recursion, and what is refused."""

import itertools
import random
from functools import cache

import pytest

from attnwidget.analysis.alignment import Alignment, common_subsequence, make_alignment
from attnwidget.errors import PositionError, PromptError
from tests.models import IDS, subject

A, B = [3, 9, 4, 4, 7, 5], [3, 4, 8, 4, 7, 6, 5]


def run(ids):
    return subject("gpt2").model.run(ids)


def longest(a, b):
    """The definition, written down."""

    @cache
    def of(i, j):
        if i == len(a) or j == len(b):
            return 0
        return of(i + 1, j + 1) + 1 if a[i] == b[j] else max(of(i + 1, j), of(i, j + 1))

    return of(0, 0)


def test_common_subsequences_are_as_long_as_they_can_be_and_the_same_from_both_sides():
    draw = random.Random(0)
    for _ in range(200):
        a, b = ([draw.randrange(4) for _ in range(draw.randrange(9))] for _ in range(2))
        pairs = common_subsequence(a, b)
        assert len(pairs) == longest(tuple(a), tuple(b))
        assert all(a[i] == b[j] for i, j in pairs)
        assert all(x[0] < y[0] and x[1] < y[1] for x, y in itertools.pairwise(pairs))
        assert common_subsequence(b, a) == [(j, i) for i, j in pairs]


def test_gaps_are_shown_on_both_sides():
    found = make_alignment(run(A), run(B), "tokens")
    assert found.pairs == ((0, 0), (2, 1), (3, 3), (4, 4), (5, 6))
    assert (found.only, found.other_only, found.complete) == ((1,), (2, 5), False)
    frame = found.to_frame()
    assert frame["kind"].tolist() == ["same", "left out", "same", "put in", "same", "same", "put in", "same"]
    assert frame["position"].tolist()[:3] == [0, 1, 2] and frame["other_position"].isna().tolist() == [False, True] + [False] * 6
    assert found.describe() == "5 of 6 and 7 tokens aligned by equal tokens; 1 left out; 2 put in"
    assert (found.partner(2), found.partner(1)) == (1, None)
    back = found.swapped()
    assert back == make_alignment(run(B), run(A), "tokens") and back.to_frame()["kind"].tolist().count("left out") == 2


def test_equal_length_is_aligned_by_position_and_says_what_was_replaced():
    found = make_alignment(run(IDS), run([*IDS[:-1], 7]))
    assert found.complete and found.method == "positions" and found.pairs[3] == (3, 3)
    assert found.to_frame()["kind"].tolist() == ["same"] * 8 + ["replaced"]
    assert make_alignment(run(IDS), run(IDS), "positions").describe() == "9 of 9 tokens aligned position by position"


def test_an_alignment_that_is_given():
    found = make_alignment(run(A), run(B), [(0, 0), (2, 3), (5, 6)])
    assert found.method == "given" and found.to_frame()["kind"].tolist().count("put in") == 4
    assert make_alignment(run(A), run(B), found) is found
    assert isinstance(found, Alignment) and "3 of 6 and 7" in repr(found)


@pytest.mark.parametrize(
    ("alignment", "error", "says"),
    [
        (None, PromptError, "6 and 7 tokens.*alignment='tokens'"),
        ("positions", PromptError, "6 and 7 tokens"),
        ("words", PromptError, "No alignment 'words'"),
        ([], PromptError, "pairs of positions"),
        (3, PromptError, "not 3"),
        ([(0, 0, 0)], PromptError, "pairs of positions"),
        ([(0, True)], PromptError, "pairs of positions"),
        ([(0, 7)], PositionError, "from 0 to 5 and from 0 to 6"),
        ([(1, 1), (1, 2)], PromptError, "do not ascend"),
        ([(1, 2), (2, 1)], PromptError, "do not ascend"),
    ],
)
def test_what_is_refused(alignment, error, says):
    with pytest.raises(error, match=says):
        make_alignment(run(A), run(B), alignment)


def test_an_alignment_of_other_prompts_and_prompts_with_nothing_in_common_are_refused():
    made = make_alignment(run(A), run(B), "tokens")
    with pytest.raises(PromptError, match="made for other prompts"):
        make_alignment(run(B), run(A), made)
    with pytest.raises(PromptError, match="no token in common"):
        make_alignment(run([1, 2]), run([3, 4, 5]), "tokens")
