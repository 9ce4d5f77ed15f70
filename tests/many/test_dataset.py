"""Scores over prompts are those of `score` prompt by prompt, with the interval of their mean; failures are named."""

import numpy as np
import pandas as pd
import pytest

from attnwidget import AttnWidgetError, detect_dataset, score, score_dataset, study_dataset
from attnwidget.analysis.intervals import t_quantile

from ..models import IDS, N_CTX, OTHER_IDS, subject, unchanged
from ..small import small_model

PROMPTS = [IDS, OTHER_IDS, IDS[:4], [5, 5, 9]]


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("llama", {}),
        ("gpt2", {"metric": "logit_diff", "target": 5, "against": 6, "position": -2, "heads": ["L1H1", "L2H0"]}),
        ("llama", {"method": "integrated_gradients", "metric": "entropy", "steps": 3}),
        ("llama", {"method": "direct_logit"}),
        ("bert", {"mode": "mean", "reference": [IDS, OTHER_IDS], "metric": "probability"}),
        ("bert-classifier", {"method": "output_norm"}),
        ("bert-base", {"metric": "embedding_cosine"}),
    ],
)
def test_samples_are_the_scores_of_each_prompt_to_the_bit(name, asked):
    model = subject(name).model
    with unchanged(model.source):
        found = score_dataset(model, PROMPTS, **asked)
    each = [score(model.run(ids), **asked) for ids in PROMPTS]
    np.testing.assert_array_equal(found.samples, np.stack([one.values for one in each]))
    assert found.per_prompt().position.tolist() == [one.position for one in each]
    assert found.per_prompt().target.tolist() == [one.target for one in each]
    assert (found.scores().exact, found.scores().unit, found.scores().baseline) == (each[0].exact, each[0].unit, each[0].baseline)
    assert not any(values.flags.writeable for values in (found.samples, found.mean, *found.interval, found.n, found.scores().values))


def test_a_head_has_the_t_interval_of_its_mean_and_blanks_are_left_out():
    model = subject("llama").model
    prompts = [{"prompt": IDS}, {"prompt": OTHER_IDS}, {"prompt": IDS[:5]}]
    found = score_dataset(model, prompts, level=0.9)
    of_one = found.samples[:, 1, 2]
    half = t_quantile(2, 0.9) * of_one.std(ddof=1) / np.sqrt(3)
    low, high = found.interval
    assert (found.mean[1, 2], low[1, 2], high[1, 2], found.n[1, 2]) == pytest.approx(
        (of_one.mean(), of_one.mean() - half, of_one.mean() + half, 3), abs=1e-15
    )
    # Undefined in layer 0, for every prompt: blank, and no 0.
    previous = score_dataset(model, prompts, mode="previous")
    assert np.isnan(previous.mean[0]).all() and (previous.n[0] == 0).all() and (previous.n[1:] == 3).all()
    assert {head.layer for head in previous.top(50)} == {1, 2}
    frame = previous.to_frame()
    assert frame["head"][0] == str(previous.top(1)[0]) and frame["mean"].iloc[-4:].isna().all()
    assert score_dataset(model, [IDS]).to_frame()[["low", "high"]].isna().all(axis=None), "of one prompt there is no interval"


def test_prompts_have_tokens_of_their_own():
    model = subject("llama").model
    other = {"prompt": OTHER_IDS, "target": 9, "against": 8, "position": 3, "reference": [IDS]}
    found = score_dataset(model, [IDS, other], metric="logit_diff", target=5, against=6, mode="resample", reference=[OTHER_IDS])
    first = score(model.run(IDS), metric="logit_diff", target=5, against=6, mode="resample", reference=[OTHER_IDS])
    asked = {"metric": "logit_diff", "target": 9, "against": 8, "position": 3}
    second = score(model.run(OTHER_IDS), mode="resample", reference=[IDS], **asked)
    np.testing.assert_array_equal(found.samples, np.stack([first.values, second.values]))
    assert found.scores().label == "mean over prompts, logit diff, tokens of each prompt"


def test_texts_chats_and_bos_are_as_in_a_run():
    model = small_model()
    found = score_dataset(model, ["the cat sat", "a dog"], prepend_bos=True)
    each = [score(model.run(text, prepend_bos=True)).values for text in ("the cat sat", "a dog")]
    np.testing.assert_array_equal(found.samples, np.stack(each))
    assert found.prompts == ("the cat sat", "a dog") and found.per_prompt().tokens.tolist() == [4, 3]
    np.testing.assert_array_equal(score_dataset(model, "a dog").samples[0], score(model.run("a dog")).values)


def test_a_prompt_that_cannot_be_run_is_named_and_in_no_mean():
    model = subject("llama").model
    prompts = [IDS, [3] * (N_CTX + 1), [], [9999], OTHER_IDS, {"prompt": IDS, "target": "no such token"}]
    told = []
    found = score_dataset(model, prompts, metric="logit_diff", progress=lambda *step: told.append(step))
    assert [one.index for one in found.failures] == [1, 2, 3, 5]
    reasons = [one.reason for one in found.failures]
    for words, reason in zip(("Too long: 65 tokens", "empty", "No token 9999", "is 6 tokens"), reasons, strict=True):
        assert words in reason or "no such token" in reason
    assert np.isnan(found.samples[[1, 2, 3, 5]]).all() and (found.n == 2).all()
    np.testing.assert_array_equal(found.mean, score_dataset(model, [IDS, OTHER_IDS], metric="logit_diff").mean)
    assert told[-1] == (6, 6, "6 of 6 prompts, 4 failed")
    assert "4 of 6 prompts failed" in repr(found)
    assert found.per_prompt().failed[1].startswith("Too long")
    with pytest.raises(AttnWidgetError, match="None of the 2 prompts could be answered; the first: Too long"):
        score_dataset(model, [[3] * (N_CTX + 1), []])


def test_results_are_drawn_and_shown():
    found = score_dataset(subject("llama").model, PROMPTS)
    assert "Mean over prompts" in found.figure().svg() and "mean over prompts" in found.figure(as_="ranking").svg()
    assert found.figure(part="low").svg() != found.figure().svg()
    assert "<table" in found._repr_html_() and "4 prompts" in repr(found)
    with pytest.raises(AttnWidgetError, match="No part 'median'"):
        found.scores("median")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"method": "guess"}, "No method 'guess'"),
        ({"metric": "loss"}, "No metric 'loss'"),
        ({"mode": "off"}, "No mode 'off'"),
        ({"steps": 3}, "has no option 'steps'"),
        ({"level": 1}, "level must be above 0 and below 1"),
        ({"threads": 0}, "threads must be a whole number from 1"),
        ({"executor": "threads"}, "executor must be a concurrent.futures.Executor"),
        ({"device": "cpu"}, "A model handed in is used as it is"),
        ({"reference": [3.5]}, "reference= takes a text"),
        ({"target": object()}, "target must be plain data"),
    ],
)
def test_what_is_wrong_for_all_is_said_before_a_prompt_is_run(asked, said):
    model = subject("llama").model
    with pytest.raises(AttnWidgetError, match=said):
        score_dataset(model, PROMPTS, progress=lambda *_: pytest.fail("a prompt was run"), **asked)


@pytest.mark.parametrize(
    ("prompts", "said"),
    [
        ([], "No prompts were given"),
        ({"input_ids": []}, "No prompts were given"),
        (pd.DataFrame({"prompt": ["a"], "target": ["b"]}), r"a table with 'prompt', 'target': give its rows, \.to_dict"),
        (7, "prompts must be a list"),
        ([7], "Prompt 0 is 7"),
        ([{"prompt": IDS, "traget": 3}], "Prompt 0 has 'prompt', 'traget'"),
        ([{"target": 3}], "it takes 'prompt'"),
    ],
)
def test_prompts_in_a_form_that_is_none_are_refused(prompts, said):
    with pytest.raises(AttnWidgetError, match=said):
        score_dataset(subject("llama").model, prompts)


def test_a_model_in_half_precision_says_so():
    import copy

    import torch

    from attnwidget import load_model

    model = load_model(copy.deepcopy(subject("llama").twin).to(torch.bfloat16))
    detected = detect_dataset(model, [IDS, OTHER_IDS], ["induction"])
    studied = study_dataset(model, [IDS, OTHER_IDS], random=2, budget=20, max_heads=1)
    for found in (detected, studied):
        assert "bfloat16" in repr(found) and found.to_frame().attrs["dtype"] == "bfloat16"
    found = score_dataset(model, [IDS, OTHER_IDS])
    assert "bfloat16" in found.describe() and found.scores().dtype == "bfloat16" and found.to_frame().attrs["dtype"] == "bfloat16"
