"""Each number against another way of computing it."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional

from attnwidget import metrics

logits = st.lists(st.floats(-60, 60, width=32), min_size=2, max_size=40).map(torch.tensor)
sizes = st.integers(2, 300)
seeds = st.integers(0, 2**31)


def draw(seed, size, scale=4.0):
    return scale * torch.randn(size, generator=torch.Generator().manual_seed(seed))


@given(seeds, sizes)
def test_kl(seed, size):
    p, q = draw(seed, size), draw(seed + 1, size)
    expected = functional.kl_div(q.double().log_softmax(-1), p.double().log_softmax(-1), reduction="sum", log_target=True)
    assert metrics.kl(p, q) == pytest.approx(expected.item(), rel=1e-9, abs=1e-12)
    assert metrics.kl(p, p) == 0
    assert metrics.kl(p, q) >= 0
    assert metrics.kl(p, q + 7) == pytest.approx(metrics.kl(p, q), rel=1e-5, abs=1e-6), "a constant on all logits is nothing"


def test_kl_of_two_coins():
    p, q = torch.tensor([math.log(0.75), math.log(0.25)]), torch.tensor([0.0, 0.0])
    assert metrics.kl(p, q) == pytest.approx(0.75 * math.log(1.5) + 0.25 * math.log(0.5), abs=1e-7)


def test_kl_where_something_is_impossible():
    p, q = torch.tensor([0.0, 0.0, -math.inf]), torch.tensor([0.0, -math.inf, -math.inf])
    assert metrics.kl(q, p) == pytest.approx(math.log(2))
    assert metrics.kl(p, q) == math.inf
    assert metrics.kl(torch.tensor([0.0, -2000.0]), torch.tensor([0.0, -math.inf])) == 0, "0 log 0 is 0"


def test_what_is_undefined_is_not_called_zero():
    broken = torch.tensor([math.nan, 1.0])
    assert math.isnan(metrics.kl(torch.tensor([0.0, 1.0]), broken))
    assert math.isnan(metrics.kl(broken, broken))
    assert math.isnan(metrics.perplexity(torch.tensor([])))


@given(seeds, sizes)
def test_entropy(seed, size):
    row = draw(seed, size)
    expected = torch.distributions.Categorical(logits=row.double()).entropy().item()
    assert metrics.entropy(row) == pytest.approx(expected, abs=1e-10)


def test_entropy_at_its_ends():
    assert metrics.entropy(torch.zeros(16)) == pytest.approx(math.log(16))
    assert metrics.entropy(torch.tensor([0.0, -math.inf, -5000.0])) == 0


@given(logits, st.data())
def test_rank_and_probability(row, data):
    token = data.draw(st.integers(0, len(row) - 1))
    order = sorted(row.tolist(), reverse=True)
    assert metrics.rank(row, token) == order.index(row[token].item()) + 1, "ties share the better rank"
    weights = [math.exp(value - order[0]) for value in row.tolist()]
    assert metrics.probability(row, token) == pytest.approx(weights[token] / sum(weights), rel=1e-6)


@given(st.lists(st.sampled_from([-2.0, 0.0, 1.5]), min_size=1, max_size=300), st.integers(1, 12))
def test_best_has_ties_in_their_order(row, k):
    assert metrics.best(torch.tensor(row), k) == sorted(range(len(row)), key=lambda i: (-row[i], i))[:k]


@given(seeds, st.integers(2, 20), sizes)
def test_perplexity(seed, length, size):
    generator = torch.Generator().manual_seed(seed)
    rows, ids = draw(seed, (length, size)), torch.randint(0, size, (length,), generator=generator)
    expected = math.exp(functional.cross_entropy(rows[:-1].double(), ids[1:]).item())
    picked = metrics.log_probabilities(rows[:-1]).gather(-1, ids[1:, None])[:, 0]
    assert metrics.perplexity(picked) == pytest.approx(expected, rel=1e-9)


def test_perplexity_too_large_for_a_float():
    assert metrics.perplexity(torch.tensor([-1000.0])) == math.inf


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_precision_does_not_depend_on_the_model_s(dtype):
    row = draw(0, 50_000).to(dtype)
    assert metrics.log_probabilities(row).dtype == torch.float64
    assert metrics.log_probabilities(row).exp().sum().item() == pytest.approx(1, abs=1e-12)
    assert metrics.kl(row, row) == 0


def test_entropy_can_be_differentiated_beside_a_token_that_is_masked_out():
    logits = torch.tensor([0.3, -1.0, 2.0, -torch.inf], requires_grad=True)
    value = metrics.entropy_rows(logits[None])[0]
    assert value.item() == pytest.approx(metrics.entropy(logits[:3].detach()), abs=1e-12)
    value.backward()
    assert logits.grad[:3].isfinite().all() and logits.grad[:3].abs().max() > 0
