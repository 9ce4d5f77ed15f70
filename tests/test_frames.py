"""Every public result is a table when asked, and says what it is in a few lines."""

import inspect
from functools import cache

import numpy as np
import pandas as pd
import pytest

import attnwidget
from attnwidget import analysis
from attnwidget.widget import AttentionWidget
from tests.models import IDS, subject
from tests.small import small_model

TEXT, OTHER = "the cat sat on the mat", "the dog sat on the mat"


@cache
def model():
    return small_model()


@cache
def run():
    return model().run(TEXT)


@cache
def other():
    return model().run(OTHER)


# One of each, made as a person makes it.
MADE = {
    "Run": run,
    "AblatedRun": lambda: run().ablate(["L1H1", "L2H0"]),
    "Agreement": lambda: attnwidget.detect_heads(run()).against(["L1H1"], "previous_token"),
    "Alignment": lambda: attnwidget.compare(run(), other()).alignment,
    "AttentionAggregate": lambda: attnwidget.attention_rollout(run()),
    "AttentionSources": lambda: attnwidget.attention_sources(run(), "L2H1", query=-1, key=1),
    "CausalGain": lambda: attnwidget.causal_gain(model()),
    "Circuit": lambda: attnwidget.discover_circuit(run(), OTHER, target="cat", against="dog"),
    "Comparison": lambda: attnwidget.compare(run(), other()),
    "ComparisonSet": lambda: attnwidget.compare_many(model(), [(TEXT, OTHER), ("a cat sat", "a dog sat")]),
    "Composition": lambda: attnwidget.composition(model()),
    "Counterfactual": lambda: attnwidget.counterfactual(run(), text=OTHER),
    "DatasetKinds": lambda: attnwidget.detect_dataset(model(), [TEXT, OTHER]),
    "DatasetScores": lambda: attnwidget.score_dataset(model(), [TEXT, OTHER]),
    "DatasetStudy": lambda: attnwidget.study_dataset(model(), [TEXT, OTHER]),
    "EmbeddingChange": lambda: attnwidget.embedding_change(subject("bert-base").model.run(IDS).ablate("L1H0")),
    "Generation": lambda: attnwidget.generate(run(), max_new_tokens=3),
    "HeadKinds": lambda: attnwidget.detect_heads(run()),
    "HeadScores": lambda: attnwidget.score(run(), "ablation"),
    "HeadStatistics": lambda: attnwidget.head_statistics(run()),
    "KindScores": lambda: attnwidget.detect_heads(run())["previous_token"],
    "LayerImpact": lambda: attnwidget.layer_impact(run().ablate("L1H1")),
    "LogitLens": lambda: attnwidget.logit_lens(run()),
    "OVCircuit": lambda: attnwidget.ov(model(), "L2H1", ["the", "cat"]),
    "Outcome": lambda: analysis.outcome(run().ablate("L1H1")),
    "Overview": lambda: attnwidget.overview(run()),
    "PatternDifference": lambda: attnwidget.compare(run(), other()).pattern_difference("L1H1"),
    "QKCircuit": lambda: attnwidget.qk_circuit(model(), "L2H1"),
    "QKScores": lambda: attnwidget.qk(run(), "L2H1"),
    "SelfTest": lambda: model().selftest,
    "Study": lambda: attnwidget.study(run()),
    "ValueWeighted": lambda: attnwidget.value_weighted(run(), "L2H1"),
    "WholePrompt": lambda: analysis.whole_prompt(run().ablate("L1H1")),
}

# What is no result: what is asked with, and what shows results.
OTHERS = {"Ablation", "Head", "Model", "LensPoint"}


def test_every_public_result_is_in_the_list():
    public = {name: getattr(module, name) for module in (attnwidget, analysis) for name in module.__all__}
    results = {
        name
        for name, one in public.items()
        if inspect.isclass(one) and not issubclass(one, (Exception, AttentionWidget)) and name not in OTHERS
    }
    assert results <= set(MADE), f"without a table: {sorted(results - set(MADE))}"


@pytest.mark.parametrize("name", MADE)
def test_a_public_result_is_a_table_and_says_what_it_is(name):
    result = MADE[name]()
    assert type(result).__name__ == name
    frame = result.to_frame()
    assert isinstance(frame, pd.DataFrame) and len(frame.columns) > 0 and len(frame) > 0
    assert frame.columns.is_unique
    text = repr(result)
    # A line or a few, never the arrays; an overview is its sentences.
    assert (
        name in text
        and len(text) < (4000 if name == "Overview" else 1200)
        and "array(" not in text
        and "tensor(" not in text
        and "object at" not in text
    )


def test_a_run_is_a_row_for_each_token():
    frame = run().to_frame()
    assert list(frame) == ["position", "token", "id", "first_choice", "next_log_probability"]
    assert frame.token.tolist() == run().tokens and frame.id.tolist() == list(run().ids)
    log_probs = run().logits.double().log_softmax(-1)
    wanted = [log_probs[i, run().ids[i + 1]].item() for i in range(len(run()) - 1)]
    assert frame.next_log_probability[:-1].tolist() == pytest.approx(wanted, abs=1e-5) and np.isnan(frame.next_log_probability.iloc[-1])
    assert frame.first_choice.tolist() == [model().token(i) for i in log_probs.argmax(-1).tolist()]
    assert np.exp(-frame.next_log_probability.mean()) == pytest.approx(run().perplexity())


def test_an_ablated_run_has_the_clean_run_beside_it():
    ablated = run().ablate(["L1H1", "L2H0"])
    frame, clean = ablated.to_frame(), run().to_frame()
    assert frame.clean_first_choice.equals(clean.first_choice) and frame.clean_next_log_probability.equals(clean.next_log_probability)
    assert (frame.first_choice != frame.clean_first_choice).mean() == pytest.approx(ablated.top1_changed())
    assert np.exp(-frame.next_log_probability.mean()) == pytest.approx(ablated.perplexity())
    assert frame.attrs["ablated"] == "L1H1, L2H0"


def test_what_predicts_no_next_token_has_no_such_column():
    assert list(subject("bert").model.run(IDS).to_frame()) == ["position", "token", "id", "first_choice"]
    assert list(subject("bert-base").model.run(IDS).to_frame()) == ["position", "token", "id"]


def test_the_scores_of_a_kind_are_a_row_for_each_head():
    found = MADE["KindScores"]()
    frame = found.to_frame()
    assert len(frame) == found.values.size and frame.score.to_numpy().reshape(found.values.shape) == pytest.approx(
        found.values, nan_ok=True
    )
    assert frame.set_index("head").score["L2H1"] == found.values[2, 1]
    assert frame.excess.tolist() == pytest.approx((frame.score - found.chance).tolist(), nan_ok=True)


def test_the_selftest_is_a_row_for_each_check():
    frame = model().selftest.to_frame()
    assert list(frame["name"]) == [check.name for check in model().selftest.checks]
    assert frame.passed.all() and frame.attrs["head"] == str(model().selftest.head)


def test_the_whole_prompt_in_one_row():
    ablated = run().ablate("L1H1")
    frame = analysis.whole_prompt(ablated).to_frame()
    assert frame.iloc[0].tolist() == pytest.approx([run().perplexity(), ablated.perplexity(), ablated.top1_changed()])
