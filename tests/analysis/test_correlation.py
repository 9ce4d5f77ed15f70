"""Correlations against closed forms, and where they are undefined."""

import math

import numpy as np
import pytest

from attnwidget.analysis.correlation import pearson, ranks, spearman


def test_pearson_of_two_directions_is_the_cosine_of_their_angle():
    """Two centred vectors at an angle t have correlation cos t; scale and offset change nothing."""
    u, v = np.array([1, -1, 0]) / math.sqrt(2), np.array([1, 1, -2]) / math.sqrt(6)
    for angle in (0.0, 0.3, math.pi / 2, 2.5, math.pi):
        mixed = math.cos(angle) * u + math.sin(angle) * v
        assert pearson(3 * u + 7, 0.01 * mixed - 2) == pytest.approx(math.cos(angle), abs=1e-12)


def test_spearman_is_one_minus_six_sums_of_squared_rank_differences():
    """1 − 6 Σ d² / (n (n² − 1)), where nothing is tied."""
    a, b = np.array([0.1, 5, 2, 9, 4]), np.array([1, 100, 3, 20, 30.0])
    d = np.array([1, 4, 2, 5, 3]) - np.array([1, 5, 2, 3, 4])
    assert spearman(a, b) == pytest.approx(1 - 6 * (d @ d) / (5 * 24), abs=1e-12)
    assert spearman(a, a**3) == pytest.approx(1) and pearson(a, a**3) < 0.99


def test_ties_share_the_mean_of_their_ranks():
    assert ranks(np.array([3, 1, 3, 0, 3.0])).tolist() == [4, 2, 4, 1, 4]
    # By hand: ranks 1, 2.5, 2.5, 4 against 1..4 have Σ dx dy = 4.5, Σ dx² = 4.5 and Σ dy² = 5.
    assert spearman(np.array([0, 1, 1, 2.0]), np.arange(4)) == pytest.approx(4.5 / math.sqrt(4.5 * 5), abs=1e-12)


def test_only_entries_that_both_have_count():
    a, b = np.array([[1, 2, np.nan], [3, 4, np.inf]]), np.array([[1, 2, 9], [3, np.nan, 1]])
    assert pearson(a, b) == pytest.approx(1) and spearman(a, b) == pytest.approx(1)


@pytest.mark.parametrize("a", [[0.1, 0.1, 0.1], [np.nan, np.nan, 1.0]])
def test_what_is_undefined_is_none(a):
    assert pearson(np.array(a), np.arange(3)) is None and spearman(np.arange(3), np.array(a)) is None


def test_tiny_numbers_correlate_as_large_ones_do():
    a = np.array([1, 2, 4, 3.0])
    assert pearson(a * 1e-200, a) == pytest.approx(1)
