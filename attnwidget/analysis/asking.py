"""What is asked of the answers of two runs: where they are read, of which tokens, by which metric, and what forbids effects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .. import metrics
from ..errors import AttnWidgetError, PositionError
from ..run import Run
from .alignment import Alignment
from .answers import Answers, answers, embeddings
from .measure import EMBEDDING_METRICS, METRICS, Measure, make_measure


@dataclass(frozen=True)
class AskedOfBoth:
    """The answers, the measures of both runs, and why there are no effects to be measured, where there are none."""

    answers: Answers
    measures: tuple[Measure, Measure] | None
    reason: str | None
    tokens: Mapping[str, int | None]
    """The ids of `target` and `against`; None where there is none."""


def ask_both(
    run: Run,
    other: Run,
    alignment: Alignment,
    metric: str | None,
    target: str | int | None,
    against: str | int | None,
    position: int | None,
    effects: bool,
) -> AskedOfBoth:
    """Checks what was asked of `compare` about the answers, reads them, and makes the measure of each run."""
    model = run.model
    if metric is not None and not isinstance(metric, str):
        raise AttnWidgetError(f"metric must be one of {', '.join((*METRICS, *EMBEDDING_METRICS))}, not {metric!r}.")
    at = other_at = pair = None
    if model.answer in ("next", "mask"):
        at, other_at = _places(run, other, alignment, position)
    elif position is not None:
        raise AttnWidgetError(f"{model.name} answers once for the whole text, or not at all: leave position={position!r} out.")
    tokens = _tokens(run, other, at, other_at, target, against)
    if model.answer == "none":
        if given := [name for name, value in (("target", target), ("against", against)) if value not in (None, "")]:
            raise AttnWidgetError(f"{model.name} has no head that answers, so it takes no {given[0]}: leave {given[0]}= out.")
        found = embeddings(run, other)
    else:
        pair = None if tokens["against"] is None else make_measure(run, "logit_diff", position=at, **tokens)
        found = answers(run, other, at, other_at, pair)
    name = metric or ("embedding_cosine" if model.answer == "none" else "kl" if pair is None else "logit_diff")
    if not effects:
        if metric is not None:
            raise AttnWidgetError("metric= is what noising and denoising are effects on, and effects=False asks for none: leave it out.")
        return AskedOfBoth(found, None, "not asked for", tokens)
    known = {**METRICS, **EMBEDDING_METRICS}.get(name)
    about = {key: value for key, value in tokens.items() if known is not None and key in known.needs}
    where = {} if known is not None and known.whole else {"position": at}
    elsewhere = {} if known is not None and known.whole else {"position": other_at}
    measures = make_measure(run, name, **about, **where), make_measure(other, name, **about, **elsewhere)
    reason = None
    if not alignment.complete:
        reason = "a head's output is exchanged position by position, which needs prompts that are aligned so"
    elif not model.selftest.passed:
        reason = f"nothing can be exchanged in {model.name}: its self-test failed"
    return AskedOfBoth(found, measures, reason, tokens)


def _places(run: Run, other: Run, alignment: Alignment, position: int | None) -> tuple[int, int]:
    if position is None:
        return run.position(None), other.position(None)
    at = run.position(position)
    there = alignment.partner(at)
    if there is None:
        raise PositionError(f"Position {at} of the first prompt stands for none of the other: name an aligned one, or leave position= out.")
    return at, there


def _tokens(
    run: Run, other: Run, at: int | None, other_at: int | None, target: str | int | None, against: str | int | None
) -> dict[str, int | None]:
    """The two tokens of the logit difference as ids; None for `against` where there is no second one."""
    model = run.model
    if model.answer == "none":
        return {"target": None, "against": None}
    row = run.clean.logits_at(at)
    first = metrics.best(row)[0] if target in (None, "") else model.token_id(target)
    if against not in (None, ""):
        return {"target": first, "against": model.token_id(against)}
    other_row = other.clean.logits_at(other_at)
    # Where one token comes first in both, the next best of both together: the same two tokens whichever prompt is named first.
    together = row.double() + other_row.double()
    candidates = [*metrics.best(other_row), *metrics.best(row), *metrics.best(together, 2)]
    return {"target": first, "against": next((i for i in candidates if i != first), None)}
