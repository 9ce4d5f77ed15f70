"""What is asked of an answer: every metric against the run's own methods, which have their own oracles."""

from __future__ import annotations

import math

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from attnwidget import AttnWidgetError, ModelError, PositionError, TokenError, load_model
from attnwidget.analysis.measure import METRICS, make_measure
from attnwidget.analysis.outcome import outcome

from ..models import IDS, induction_model, induction_prompt, subject

HEADS = [(0, 1), (2, 3)]


@pytest.fixture(scope="module")
def run():
    return subject("llama").model.run(IDS)


def logits_of(run, measure):
    rows = run.logits[list(measure.positions)] if measure.positions else run.logits[0]
    return rows[None]


@pytest.mark.parametrize("position", [None, 3, -2])
def test_every_metric_is_what_the_ablated_run_says(run, position):
    ablated = run.ablate(HEADS)
    at = run.position(position)
    first, second = run.logits_at(at).topk(2).indices.tolist()
    expected = {
        "kl": ablated.kl(at),
        "logit_diff": run.logit_diff(first, second, at) - ablated.logit_diff(first, second, at),
        "probability": run.probability(first, at) - ablated.probability(first, at),
        "log_probability": math.log(run.probability(first, at)) - math.log(ablated.probability(first, at)),
        "entropy": ablated.entropy(at) - run.entropy(at),
        "perplexity": ablated.perplexity_delta(),
    }
    assert set(expected) == set(METRICS)
    for name, value in expected.items():
        measure = make_measure(run, name, position=position)
        effect = measure.effect(logits_of(ablated, measure))
        assert effect.shape == (1,) and effect.dtype == torch.float64
        assert effect.item() == pytest.approx(value, rel=1e-4, abs=1e-6), name
        assert abs(value) > 1e-4, "an effect that is nothing proves nothing"


@pytest.mark.parametrize("name", METRICS)
def test_the_run_itself_is_no_effect(run, name):
    measure = make_measure(run, name)
    assert measure.effect(measure.before[None]).item() == 0
    several = measure.effect(torch.stack([measure.before] * 3))
    assert several.tolist() == [0, 0, 0]


@pytest.mark.parametrize("name", METRICS)
def test_rows_do_not_see_each_other(run, name):
    measure = make_measure(run, name)
    other = run.ablate(HEADS)
    rows = torch.cat([logits_of(run, measure), logits_of(other, measure)])
    alone = [measure.effect(row[None]).item() for row in rows]
    assert measure.effect(rows).tolist() == pytest.approx(alone, abs=1e-12)


@pytest.mark.parametrize("name", METRICS)
def test_gradients_are_central_differences(run, name):
    measure = make_measure(run, name)
    at = logits_of(run.ablate(HEADS), measure).double().requires_grad_()
    (gradient,) = torch.autograd.grad(measure.effect(at).sum(), at)
    step = torch.randn(at.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.no_grad():
        difference = (measure.effect(at + 1e-5 * step) - measure.effect(at - 1e-5 * step)).item() / 2e-5
    assert (gradient * step).sum().item() == pytest.approx(difference, rel=1e-5, abs=1e-8)


def test_target_and_against(run):
    first, second, third = run.logits_at().topk(3).indices.tolist()
    usual = make_measure(run, "logit_diff")
    assert (usual.target, usual.against) == (first, second)
    assert (made := make_measure(run, "logit_diff", target=second)).against == first and made.target == second
    assert make_measure(run, "logit_diff", target=first, against=third).against == third
    assert make_measure(run, "probability", target=third).against is None
    with pytest.raises(TokenError):
        make_measure(run, "probability", target=10**6)


def test_defaults_are_the_clean_run_s_also_where_heads_are_off(run):
    first = run.logits_at().argmax().item()
    ablated = run.ablate([(layer, head) for layer in range(3) for head in range(4)])
    assert ablated.logits_at().argmax().item() != first, "or this proves nothing"
    assert make_measure(ablated, "logit_diff").target == first
    assert torch.equal(make_measure(ablated, "kl").before[0], ablated.logits_at())


def test_of_equal_logits_the_lowest_id_comes_first():
    """The induction model ties on a prompt without a repeat."""
    run = load_model(induction_model()).run(induction_prompt()[:5])
    row = run.logits_at().tolist()
    ordered = sorted(range(len(row)), key=lambda i: (-row[i], i))
    assert row.count(row[ordered[0]]) + row.count(row[ordered[1]]) > 2, "or nothing ties"
    measure = make_measure(run, "logit_diff")
    assert [measure.target, measure.against] == ordered[:2]
    panel = outcome(run.ablate([]))
    assert [panel.target.id, panel.against.id] == ordered[:2] and [choice.id for choice in panel.rows] == ordered[: len(panel.rows)]


def test_a_classifier_is_asked_without_a_position():
    run = subject("bert-classifier").model.run(IDS)
    measure = make_measure(run, "kl")
    assert (measure.position, measure.positions) == (None, ())
    ablated = run.ablate(HEADS)
    assert measure.effect(ablated.logits_at()[None]).tolist() == pytest.approx([ablated.kl()])


def test_one_output_has_nothing_to_be_compared_with():
    tiny = {"num_hidden_layers": 1, "num_attention_heads": 2, "hidden_size": 8, "intermediate_size": 8, "vocab_size": 20}
    model = load_model(BertForSequenceClassification(BertConfig(num_labels=1, **tiny)).eval())
    with pytest.raises(AttnWidgetError, match="has one output"):
        make_measure(model.run([1, 2, 3]), "logit_diff")


def test_what_cannot_be_asked(run):
    with pytest.raises(AttnWidgetError, match=r"No metric 'rank': there are kl, logit_diff"):
        make_measure(run, "rank")
    with pytest.raises(PositionError, match="No position 99"):
        make_measure(run, "kl", position=99)
    encoder = subject("bert").model.run(IDS)
    with pytest.raises(ModelError, match="Perplexity is defined for models that predict the next token"):
        make_measure(encoder, "perplexity")
    with pytest.raises(AttnWidgetError, match="perplexity of one token is undefined"):
        make_measure(run.model.run(IDS[:1]), "perplexity")
