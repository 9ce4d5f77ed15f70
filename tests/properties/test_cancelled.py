"""Every question, ended at its first check, in the middle and at its last: nothing is left of it, and it can be asked again."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from attnwidget.engine.interrupt import Cancelled, interruptible

from ..models import Subject, subject
from .marks import of_answer, of_module, of_run
from .questions import QUESTIONS

PROMPT = [5, 6, 7, 8, 5, 6]


def counting(at: int) -> tuple[Callable[[], None], list[None]]:
    """A check that ends what asks it for the `at`th time, and a list that has an item for each time."""
    asked: list[None] = []

    def check() -> None:
        asked.append(None)
        if len(asked) == at:
            raise Cancelled

    return check, asked


def answer(s: Subject, name: str) -> object:
    """Of a run of its own, which has kept nothing yet."""
    return of_answer(QUESTIONS[name](s.model.run(PROMPT)))


@pytest.mark.parametrize("name", sorted(QUESTIONS))
def test_a_question_that_is_cancelled_leaves_nothing(name):
    s = subject("bert-base" if name == "embedding" else "gpt2")
    answer(s, name)  # what is computed once of a model is there now
    check, asked = counting(0)
    with interruptible(check):
        before = answer(s, name)
    assert asked, "it cannot be cancelled"
    model, kept = of_module(s.source), s.model.run(PROMPT)
    mark = of_run(kept)
    for at in sorted({1, (len(asked) + 1) // 2, len(asked)}):
        check, again = counting(at)
        with interruptible(check), pytest.raises(Cancelled):
            answer(s, name)
        assert len(again) == at
        assert of_module(s.source) == model and of_run(kept) == mark
        assert s.model.lock.acquire(blocking=False)
        s.model.lock.release()
    assert answer(s, name) == before
