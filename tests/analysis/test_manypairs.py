"""Sets of pairs: means and intervals of what single comparisons give, and nothing dropped in silence."""

import math

import numpy as np
import pytest

from attnwidget import AttnWidgetError, compare, compare_many
from attnwidget.analysis import COMPARED
from attnwidget.analysis.distribution import summarised
from tests.models import HEADS, IDS, LAYERS, OTHER_IDS, subject

T2 = 4.302652729911275  # Student's t with 2 degrees of freedom, 97.5 %: tables
PAIRS = [(IDS, OTHER_IDS), (OTHER_IDS, IDS[::-1]), (IDS[2:], OTHER_IDS[:-2])]


@pytest.fixture(scope="module")
def model():
    return subject("llama").model


@pytest.fixture(scope="module")
def found(model):
    return compare_many(model, PAIRS, target=12, against=77)


def test_means_and_intervals_are_those_of_the_single_comparisons(model, found):
    single = [compare(model.run(a), model.run(b), target=12, against=77) for a, b in PAIRS]
    assert set(found.samples) == set(COMPARED) and found.indices == (0, 1, 2) and found.failures == ()
    for name in COMPARED:
        values = [one.values[name] for one in single]
        assert np.array_equal(found.samples[name], np.stack(values), equal_nan=True)
        for layer in range(LAYERS):
            for head in range(HEADS):
                x = [v[layer, head] for v in values]
                mean = sum(x) / 3
                half = T2 * math.sqrt(sum((y - mean) ** 2 for y in x) / 2) / math.sqrt(3)
                low, high = found.interval(name)
                assert found.mean(name)[layer, head] == pytest.approx(mean, abs=1e-12)
                assert (low[layer, head], high[layer, head]) == pytest.approx((mean - half, mean + half), abs=1e-9), name
    assert (found.n("js") == 3).all()


def test_a_pair_that_has_no_number_is_in_no_mean():
    samples = np.array([1.0, np.nan, 4.0, np.nan]).reshape(4, 1, 1)
    got = summarised(samples, 0.95)
    half = 12.706204736432095 * math.sqrt(4.5) / math.sqrt(2)  # one degree of freedom
    assert (got["mean"].item(), got["n"].item()) == (2.5, 2)
    assert (got["low"].item(), got["high"].item()) == pytest.approx((2.5 - half, 2.5 + half))
    alone = summarised(samples[:2], 0.95)
    assert alone["mean"].item() == 1 and np.isnan(alone["low"]) and alone["n"] == 1
    none = summarised(samples[1:2], 0.95)
    assert np.isnan(none["mean"]) and none["n"] == 0


def test_pairs_of_unequal_length_fail_by_name_or_are_aligned(model):
    pairs = [*PAIRS, (IDS, IDS[:4]), (IDS, [])]
    some = compare_many(model, pairs)
    assert some.indices == (0, 1, 2) and [one.index for one in some.failures] == [3, 4]
    assert "9 and 4 tokens" in some.failures[0].reason and "empty" in some.failures[1].reason
    assert "2 could not be compared" in repr(some) and some.failed()["index"].tolist() == [3, 4]
    assert some.to_frame().attrs["failures"][0][3] == some.failures[0].reason
    every = compare_many(model, pairs[:4], alignment="tokens", special="discount")
    # IDS and OTHER_IDS have a token or none in common; what has none fails.
    assert {3} <= set(every.indices) and len(every.indices) + len(every.failures) == 4
    assert (every.n("noising") < len(every.indices)).all() and any("position by position" in r for r in every.undefined["noising"])
    assert "with gaps in their alignment" in every.describe() and "not renormalised" in every.describe()
    assert "special tokens left out" in every.describe()


def test_what_belongs_to_one_pair(model):
    pairs = [
        {"prompt": IDS, "other": OTHER_IDS, "target": 12, "against": 77},
        {"prompt": IDS, "other": OTHER_IDS, "target": 5, "against": 9, "position": 3},
        {"prompt": model.run(IDS), "other": IDS[:5], "alignment": [(0, 0), (2, 2), (4, 4)]},
    ]
    got = compare_many(model, pairs, metric="logit_diff")
    run, other = model.run(IDS), model.run(OTHER_IDS)
    for i, how in enumerate(({"target": 12, "against": 77}, {"target": 5, "against": 9, "position": 3})):
        assert np.array_equal(got.samples["noising"][i], compare(run, other, **how).values["noising"])
    assert (got.n("noising") == 2).all() and (got.n("z_cosine") == 3).all()
    assert got.scores("noising").label == "mean over pairs, noising: logit diff, tokens of each pair"


def test_scores_and_frames(found):
    for name, number in COMPARED.items():
        scores = found.scores(name)
        assert np.array_equal(scores.values, found.mean(name), equal_nan=True) and set(scores.extra) == {"mean", "low", "high", "n"}
        assert scores.kind == ("effect" if number.causal else "statistic") and "3 pairs, 95% t intervals" in scores.describe()
        assert ("correlational" in scores.describe()) != number.causal
    low = found.scores("js", "low")
    assert np.array_equal(low.values, found.interval("js")[0]) and "lower end" in low.describe()
    frame = found.to_frame()
    assert len(frame) == len(COMPARED) * LAYERS * HEADS and list(frame)[3:] == ["number", "causal", "mean", "low", "high", "n"]
    row = frame.query("number == 'tv' and head == 'L1H2'").iloc[0]
    assert (row["mean"], row["n"], row["causal"]) == (found.mean("tv")[1, 2], 3, False)
    assert found.prompts[0][0] == subject("llama").model.run(IDS).text and "ComparisonSet(3 pairs" in repr(found)


def test_progress_rises_to_the_end_and_may_stop_it(model):
    calls = []
    compare_many(model, PAIRS[:2], effects=False, progress=lambda *said: calls.append(said))
    done = [call[0] for call in calls]
    assert done == sorted(done) and done[-1] == calls[-1][1] and "Pair 2 of 2" in calls[-2][2]

    def stop(done, total, text):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare_many(model, PAIRS, progress=stop)


@pytest.mark.parametrize(
    ("pairs", "how", "says"),
    [
        ([], {}, "No pairs were given"),
        ("one text", {}, "A pair is"),
        ([IDS], {}, "A pair is"),
        ([{"prompt": IDS}], {}, "A pair is"),
        ([{"prompt": IDS, "other": IDS, "label": 1}], {}, "A pair is"),
        (None, {}, "pairs must be a list of pairs, .* not None"),
        (5, {}, "pairs must be a list of pairs, .* not 5"),
        (PAIRS, {"prepend_bos": "x"}, "^prepend_bos must be True or False, not 'x'"),
        (PAIRS, {"special": "x"}, "^special must be 'keep' or 'discount', not 'x'"),
        (PAIRS, {"effects": 1}, "^effects must be True or False, not 1"),
        (PAIRS, {"level": 1}, "level must be above 0 and below 1"),
        (PAIRS, {"metric": "loss"}, "None of the 3 pairs could be compared; the first: No metric 'loss'"),
        ([(IDS, IDS[:3])], {}, "None of the 1 pairs could be compared; the first: The prompts have 9 and 3 tokens"),
    ],
)
def test_what_is_refused(model, pairs, how, says):
    with pytest.raises(AttnWidgetError, match=says):
        compare_many(model, pairs, **how)


def test_parts_and_numbers_that_are_not(found):
    with pytest.raises(AttnWidgetError, match="No part 'median'"):
        found.scores("js", "median")
    with pytest.raises(AttnWidgetError, match="No number 'jsd'"):
        found.mean("jsd")
