"""Intervals, thresholds and agreement, each against the definition or a published table."""

import itertools

import numpy as np
import pytest

from attnwidget import AttnWidgetError, Head
from attnwidget.analysis.agreement import agreement
from attnwidget.analysis.intervals import mean_interval, t_quantile
from attnwidget.analysis.thresholds import threshold_of

TABLE = {1: 12.706, 2: 4.303, 3: 3.182, 4: 2.776, 7: 2.365, 10: 2.228, 30: 2.042, 120: 1.980, 5001: 1.960}


@pytest.mark.parametrize("df", TABLE)
def test_t_of_the_printed_tables(df):
    assert t_quantile(df) == pytest.approx(TABLE[df], abs=6e-4)


def test_other_levels():
    assert t_quantile(10, 0.99) == pytest.approx(3.169, abs=6e-4)


def test_interval_by_hand():
    mean, low, high = mean_interval(np.array([[1.0], [2.0], [3.0], [4.0]]))
    half = 3.182446 * np.sqrt(5 / 3) / 2
    assert (mean[0], low[0], high[0]) == pytest.approx((2.5, 2.5 - half, 2.5 + half), abs=1e-5)


def test_the_interval_covers_the_mean_as_often_as_it_says():
    samples = np.random.default_rng(0).normal(3, 2, size=(6, 4000))
    _, low, high = mean_interval(samples)
    assert ((low < 3) & (high > 3)).mean() == pytest.approx(0.95, abs=0.012)


def test_one_sample_has_no_interval():
    mean, low, high = mean_interval(np.array([[0.5, 1.0]]))
    assert mean.tolist() == [0.5, 1.0] and np.isnan(low).all() and np.isnan(high).all()


def test_fixed_and_mean_sd():
    scores = np.array([[0.0, 0.2], [0.4, np.nan]])
    assert threshold_of(scores, fixed=0.3) == 0.3
    assert threshold_of(scores, "mean_sd") == pytest.approx(0.2 + 2 * np.sqrt(0.08 / 3))
    assert threshold_of(scores, "mean_sd", k=0.5) == pytest.approx(0.2 + 0.5 * np.sqrt(0.08 / 3))


def best_split(scores):
    """The two groups with the least variance within them, by trying all."""
    ordered = sorted(scores)
    cuts = [i for i in range(1, len(ordered)) if ordered[i - 1] < ordered[i]]
    within = [len(ordered[:i]) * np.var(ordered[:i]) + len(ordered[i:]) * np.var(ordered[i:]) for i in cuts]
    cut = cuts[int(np.argmin(within))]
    return (ordered[cut - 1] + ordered[cut]) / 2


@pytest.mark.parametrize("seed", range(8))
def test_otsu_is_the_best_of_all_splits(seed):
    rng = np.random.default_rng(seed)
    scores = np.concatenate([rng.beta(1, 15, 40), rng.uniform(0.5, 1, seed), np.full(3, 0.02)])
    rng.shuffle(scores)
    assert threshold_of(scores, "variance") == pytest.approx(best_split(scores))


def test_otsu_of_two_groups_lies_between_them():
    assert threshold_of(np.array([0.0, 0.1, 0.9, 1.0]), "variance") == pytest.approx(0.5)


@pytest.mark.parametrize("scores", [[0.2, 0.2, 0.2 + 1e-8], [0.3], [np.nan]])
def test_scores_that_are_all_the_same_have_no_split(scores):
    assert np.isnan(threshold_of(np.array(scores), "variance"))


def test_an_unknown_rule_names_the_known_ones():
    with pytest.raises(AttnWidgetError, match="'elbow'.*fixed, mean_sd, variance"):
        threshold_of(np.array([1.0]), "elbow")


A, B, C, D = (Head(0, i) for i in range(4))


def test_precision_recall_and_f1_by_counting():
    found = agreement([A, B, C], [B, C, D], "labels")
    assert (found.precision, found.recall, found.f1) == pytest.approx((2 / 3, 2 / 3, 2 / 3))
    assert (found.hits, found.extra, found.missed) == ((B, C), (A,), (D,))
    assert found.to_frame()[["head", "result"]].values.tolist() == [["L0H1", "hit"], ["L0H2", "hit"], ["L0H0", "extra"], ["L0H3", "missed"]]
    precise = agreement([A], [A, B, C], "labels")
    assert (precise.precision, precise.recall, precise.f1) == pytest.approx((1, 1 / 3, 0.5))


def test_f1_is_the_harmonic_mean_of_the_two():
    for found, labels in itertools.product([[A], [A, B], [B, C, D]], [[A, C], [B], [A, B, C, D]]):
        a = agreement(found, labels, "labels")
        if a.precision and a.recall:
            assert a.f1 == pytest.approx(2 / (1 / a.precision + 1 / a.recall))


def test_nothing_over_nothing_is_undefined_not_one():
    nothing = agreement([], [], "labels")
    assert (nothing.precision, nothing.recall, nothing.f1) == (None, None, None) and "undefined" in repr(nothing)
    assert agreement([], [A], "labels").precision is None and agreement([], [A], "labels").recall == 0
    assert agreement([A], [], "labels").precision == 0 and agreement([A], [], "labels").recall is None


def test_what_was_not_tested_is_not_claimed():
    some = agreement([A, B], [A], "a test", tested=[A, B])
    assert (some.precision, some.recall, some.f1) == (0.5, None, None) and "every head" in some.untested
    outside = agreement([A, D], [A], "a test", tested=[A, B])
    assert outside.precision is None and "L0H3 not tested" in outside.untested and outside.extra == ()
