"""What a page hears where memory is short: the same numbers a few rows at a time; below one row a sentence, and then it goes on."""

import pytest

from attnwidget import AttentionWidget, AttnWidgetError, load_model, score_dataset
from tests.models import IDS, OTHER_IDS, fresh, tokenizer
from tests.room import room_for

from .front import CLEAN, Front, array

TEXT = "Alice and Bob went home."
ABOUT = {"position": -1, "target": "", "against": ""}
SCORES = {"method": "ablation", "metric": "kl", **ABOUT, "ablation": CLEAN, "conditional": False, "patience": None}


@pytest.fixture
def source():
    return fresh("gpt2").source


def scores(source):
    front = Front(AttentionWidget(load_model(source, tokenizer=tokenizer()), TEXT))
    result, buffers = front.result("scores", run_key=front.widget.run_key, **SCORES)
    return array(result["values"], buffers)


def test_with_room_for_one_row_the_grid_has_the_same_numbers(source):
    usual = scores(source)
    with room_for(source, 1) as room:
        found = scores(source)
    assert room.refused and found == pytest.approx(usual, abs=1e-5)


def test_with_room_for_none_it_is_a_sentence_and_the_next_request_is_answered(source):
    front = Front(AttentionWidget(load_model(source, tokenizer=tokenizer()), TEXT))
    about = {"run_key": front.widget.run_key, "ablation": {**CLEAN, "heads": [[1, 1]]}, **ABOUT}
    with room_for(source, 0):
        error = front.error("outcome", **about)
    assert error["kind"] == "refused" and "memory" in error["message"] and "MB" in error["message"]
    result, _ = front.result("outcome", **about)
    assert result["kl"] > 0


def test_of_a_data_set_the_prompt_that_has_no_room_fails_alone(source):
    model = load_model(source, tokenizer=tokenizer())
    usual = score_dataset(model, [IDS[:3], OTHER_IDS])
    with room_for(source, 1) as room:
        found = score_dataset(model, [IDS[:3], OTHER_IDS])
    assert room.refused and found.samples == pytest.approx(usual.samples, abs=1e-5)
    with room_for(source, 0), pytest.raises(AttnWidgetError, match="None of the 2 prompts could be answered; the first: .*memory"):
        score_dataset(model, [IDS[:3], OTHER_IDS])
    long = [5 + i % 7 for i in range(24)]
    for budget in (2**k for k in range(8, 30)):
        model.batch_budget = budget
        try:
            found = score_dataset(model, [IDS[:3], long])
        except AttnWidgetError:
            continue
        if found.failures:
            break
    assert [(one.index, "memory" in one.reason) for one in found.failures] == [(1, True)]
