"""Pattern statistics against sums written out, on a real pattern; and on patterns whose value is known."""

import math

import numpy as np
import pytest
import torch

from attnwidget import AttnWidgetError, Head
from attnwidget.analysis import STATISTICS, HeadScores, head_statistic

PROMPT = "the cat sat on the mat"

WRITTEN_OUT = {
    "first_token": lambda a, q, k: a if k == 0 else 0.0,
    "previous_token": lambda a, q, k: a if k == q - 1 else 0.0,
    "current_token": lambda a, q, k: a if k == q else 0.0,
    "entropy": lambda a, q, k: -a * math.log(a) if a > 0 else 0.0,
    "distance": lambda a, q, k: a * abs(q - k),
}


def test_every_statistic_has_an_oracle_here():
    assert set(WRITTEN_OUT) == set(STATISTICS)


@pytest.mark.parametrize("name", STATISTICS)
def test_statistic_is_its_sum_written_out(model, name):
    run, scores = model.run(PROMPT), head_statistic(model.run(PROMPT), name)
    for head in (Head(0, 0), Head(2, 3)):
        pattern = run.pattern(head).tolist()
        rows = [sum(WRITTEN_OUT[name](a, q, k) for k, a in enumerate(row)) for q, row in enumerate(pattern)]
        assert scores.values[head] == pytest.approx(np.mean(rows[1:]), abs=1e-6)


def test_known_patterns():
    n = 5
    uniform = torch.ones(n, n).tril() / torch.arange(1, n + 1)[:, None]
    previous = torch.stack([torch.eye(n)[max(q - 1, 0)] for q in range(n)])
    patterns = torch.stack([previous, uniform, torch.eye(n)])
    value = {name: s.function(patterns.double()).tolist() for name, s in STATISTICS.items()}
    assert value["previous_token"] == pytest.approx([1, np.mean([1 / (q + 1) for q in range(1, n)]), 0])
    assert value["current_token"] == pytest.approx([0, np.mean([1 / (q + 1) for q in range(1, n)]), 1])
    assert value["entropy"] == pytest.approx([0, np.mean([math.log(q + 1) for q in range(1, n)]), 0])
    assert value["distance"] == pytest.approx([1, np.mean([q / 2 for q in range(1, n)]), 0])


def test_one_token_has_no_statistic_and_that_is_not_zero(model):
    scores = head_statistic(model.run("cat"), "entropy")
    assert np.isnan(scores.values).all() and scores.top() == []


def test_an_unknown_statistic_is_refused_with_the_known_ones(model):
    with pytest.raises(AttnWidgetError, match="'importance'.*previous_token"):
        head_statistic(model.run(PROMPT), "importance")


def test_table_and_order():
    values = np.array([[0.1, np.nan], [0.7, 0.3]])
    scores = HeadScores(values, "x", "x", "made up", "", True, False)
    assert scores.top(2) == [Head(1, 0), Head(1, 1)]
    assert scores.to_frame()["head"].tolist() == ["L1H0", "L1H1", "L0H0", "L0H1"]
    assert "L1H0 0.7" in repr(scores) and "exact" in repr(scores)
