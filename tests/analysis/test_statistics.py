"""Pattern statistics against sums written out over the pattern that the model reports itself, and on patterns whose value is known."""

import math

import numpy as np
import pytest
import torch

from attnwidget import AttnWidgetError, Head, head_statistics, load_model
from attnwidget.analysis import KINDS, METHODS, STATISTICS, HeadScores, head_statistic, patterns, statistics
from tests.models import HEADS, IDS, LAYERS, WINDOW, induction_model, induction_prompt, subject

PROMPT = "the cat sat on the mat"


def _entropy(row, q, visible):
    shares = [a / sum(row) for a in row]
    return -sum(a * math.log(a) for a in shares if a > 0)


# Of one row: the attention of query q on each key, and the keys that it may see.
WRITTEN_OUT = {
    "first_token_share": lambda row, q, visible: row[0] if q > 0 else None,
    "previous_token_share": lambda row, q, visible: row[q - 1] if q > 0 else None,
    "current_token_share": lambda row, q, visible: row[q],
    "maximum": lambda row, q, visible: max(row),
    "entropy": _entropy,
    "normalised_entropy": lambda row, q, visible: _entropy(row, q, visible) / math.log(len(visible)),
    "effective_tokens": lambda row, q, visible: math.exp(_entropy(row, q, visible)),
    "distance": lambda row, q, visible: sum(a * abs(q - k) for k, a in enumerate(row)) / sum(row),
}


def written_out(name, pattern, visible):
    rows = [(row, q, visible(q)) for q, row in enumerate(pattern.tolist()) if len(visible(q)) > 1]
    values = [WRITTEN_OUT[name](*row) for row in rows]
    return np.mean([value for value in values if value is not None])


def test_every_statistic_has_an_oracle_here():
    assert set(WRITTEN_OUT) == set(STATISTICS)


def causal(q):
    return range(q + 1)


def everywhere(q):
    return range(len(IDS))


def windowed(q):
    return range(max(0, q - WINDOW + 1), q + 1)


CASES = {
    "llama": [causal] * LAYERS,
    "bert": [everywhere] * LAYERS,
    "gptneo": [causal, windowed, causal],
    "gptoss": [windowed, causal, windowed],
}


@pytest.mark.parametrize("model", CASES)
def test_statistics_are_their_sums_written_out(model):
    s = subject(model)
    found = head_statistics(s.model.run(IDS)).values
    assert list(found) == list(STATISTICS)
    for layer, visible in enumerate(CASES[model]):
        reported = s.patterns(layer).double()
        for name, values in found.items():
            expected = [written_out(name, reported[head], visible) for head in range(HEADS)]
            assert values[layer] == pytest.approx(expected, abs=2e-5), (layer, name)


def test_sinks_take_a_share_of_the_attention_but_no_part_in_its_spread():
    """Or a head that leaves 1 % to one token would count as looking at a hundredth of a token."""
    rows = torch.tensor([[[1.0, 0, 0], [0, 0.01, 0], [0.1, 0.1, 0.1]]]).double()
    value = {name: s.function(statistics.Rows(rows, torch.tensor([1.0, 2, 3]))).item() for name, s in STATISTICS.items()}
    assert value["effective_tokens"] == pytest.approx((1 + 3) / 2)
    assert value["normalised_entropy"] == pytest.approx((0 + 1) / 2)
    assert value["maximum"] == pytest.approx((0.01 + 0.1) / 2)
    assert value["distance"] == pytest.approx((0 + 1) / 2)


@pytest.mark.parametrize("model", ["llama", "gptj", "bert"])
def test_a_uniform_pattern(model):
    run = subject(model).model.run(IDS).ablate("L1H2", "uniform")
    found = {name: values[1, 2] for name, values in head_statistics(run).values.items()}
    n = len(IDS)
    keys = np.full(n, n) if model == "bert" else np.arange(1, n + 1)
    wide = keys > 1
    assert found["entropy"] == pytest.approx(np.log(keys[wide]).mean(), abs=1e-6)
    assert found["normalised_entropy"] == pytest.approx(1, abs=1e-6)
    assert found["effective_tokens"] == pytest.approx(keys[wide].mean(), abs=1e-5)
    for share in ("maximum", "current_token_share"):
        assert found[share] == pytest.approx((1 / keys[wide]).mean(), abs=1e-6)
    for share in ("first_token_share", "previous_token_share"):
        assert found[share] == pytest.approx((1 / keys[1:]).mean(), abs=1e-6)
    away = [np.abs(q - np.arange(keys[q])).mean() for q in range(n)]
    assert found["distance"] == pytest.approx(np.array(away)[wide].mean(), abs=1e-5)


@pytest.mark.parametrize("model", ["llama", "bert"])
def test_a_pattern_on_the_first_token(model):
    run = subject(model).model.run(IDS).ablate("L2H0", "first_token")
    found = {name: values[2, 0] for name, values in head_statistics(run).values.items()}
    n = len(IDS)
    queries = range(n) if model == "bert" else range(1, n)
    known = {"entropy": 0, "normalised_entropy": 0, "effective_tokens": 1, "maximum": 1, "first_token_share": 1}
    known |= {"previous_token_share": 1 / (n - 1), "current_token_share": (0 in queries) / len(queries), "distance": np.mean(queries)}
    assert found == pytest.approx(known, abs=1e-6)


def test_the_hand_built_heads():
    """One that looks at the previous token, and a dead one: 1 and mean 1/(q+1)."""
    found = head_statistics(load_model(induction_model()).run(induction_prompt()))
    assert found.values["previous_token_share"][0] == pytest.approx([1, found.values["previous_token_share"][0, 1], 0.152472], abs=1e-6)
    assert found.values["effective_tokens"][0, 2] == pytest.approx(np.mean(np.arange(2, 18)), abs=1e-4)
    assert found.values["normalised_entropy"][0] == pytest.approx([0, found.values["normalised_entropy"][0, 1], 1], abs=1e-6)


def test_the_layers_are_read_one_at_a_time_and_in_parts_with_the_same_result(model, monkeypatch):
    run, seen = model.run(PROMPT), []
    whole = head_statistics(run, lambda *step: seen.append(step))
    assert seen == [(layer, model.n_layers, "Reading the patterns") for layer in range(model.n_layers)]
    monkeypatch.setattr(patterns, "CELLS", 1)
    monkeypatch.setattr(model, "pattern_budget", 0)
    parts = head_statistics(model.run(PROMPT))
    for name in STATISTICS:
        assert np.array_equal(whole.values[name], parts.values[name])
        assert np.array_equal(whole.values[name], head_statistic(run, name).values)


def test_what_progress_raises_ends_it(model):
    def stop(done, total, text):
        if done == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        head_statistics(model.run(PROMPT), stop)


def test_table_and_scores_say_the_same(model):
    found = head_statistics(model.run(PROMPT).ablate("L1H1"))
    frame = found.to_frame().set_index("head")
    scores = found.scores("entropy")
    assert list(frame.columns) == ["layer", "index", *STATISTICS] and len(frame) == model.n_layers * model.n_heads
    assert frame.loc["L2H3", "entropy"] == scores.values[2, 3] == scores.to_frame().set_index("head").loc["L2H3", "entropy"]
    assert (scores.method, scores.kind, scores.exact, scores.unit) == ("entropy", "statistic", True, "nats")
    assert scores.conditional == (Head(1, 1),) and "with L1H1 ablated already" in scores.describe()
    assert "normalised_entropy" in repr(found) and "L0H0" in found._repr_html_()


def test_one_token_has_no_statistic_and_that_is_not_zero(model):
    found = head_statistics(model.run("cat"))
    assert all(np.isnan(values).all() for values in found.values.values())
    assert found.scores("entropy").top() == [] and "nan" not in found._repr_html_()


def test_names_of_scores_are_names_of_one_thing():
    """The grid is coloured by any of them, under its name."""
    names = [*METHODS, *STATISTICS, *KINDS]
    assert len(names) == len(set(names))


def test_an_unknown_statistic_is_refused_with_the_known_ones(model):
    with pytest.raises(AttnWidgetError, match="'importance'.*previous_token_share"):
        head_statistic(model.run(PROMPT), "importance")
    with pytest.raises(AttnWidgetError, match="'importance'.*previous_token_share"):
        head_statistics(model.run(PROMPT)).scores("importance")


def test_table_and_order():
    values = np.array([[0.1, np.nan], [0.7, 0.3]])
    scores = HeadScores(values, method="x", label="x", formula="made up", unit="", exact=True, signed=False)
    assert scores.top(2) == [Head(1, 0), Head(1, 1)]
    assert scores.to_frame()["head"].tolist() == ["L1H0", "L1H1", "L0H0", "L0H1"]
    assert "L1H0 0.7" in repr(scores) and "exact" in repr(scores)
