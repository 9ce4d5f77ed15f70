"""Many pairs of prompts as a request: of each number and head the mean over the pairs, with its interval."""

from __future__ import annotations

import numpy as np

from ..analysis.compared import COMPARED
from ..analysis.distribution import ComparisonSet, Failure
from ..analysis.manypairs import compare_many
from ..errors import AttnWidgetError
from ..model import Model
from . import arguments
from .comparing import NOTHING_SHARED
from .facts import EVERY_METRIC, default_metric, refused_metric
from .jobs import Job
from .session import Session
from .wire import floats

MOST = 500  # pairs of one request; a cell has no such limit


def answer(session: Session, args: dict, job: Job) -> dict:
    """`ComparedMany` in js/src/source/ops.ts."""
    given = _pairs(args.get("pairs"))
    begins = session.clean.prepend_bos
    causal, metric = arguments.switch(args, "causal"), arguments.text(args, "metric")
    if metric not in EVERY_METRIC or refused_metric(session.model, metric) is not None:
        metric = default_metric(session.model)
    found = compare_many(
        session.model,
        [{"prompt": a, "other": b, "alignment": _alignment(session.model, a, b, begins)} for a, b in given],
        renormalise=arguments.switch(args, "renormalise"),
        special="discount" if arguments.switch(args, "discount_special") else "keep",
        effects=causal,
        metric=metric if causal else None,
        prepend_bos=begins,
        progress=job.chunk,
    )
    return {
        "pairs": len(found.indices),
        "given": len(given),
        "level": found.level,
        "scores": [_score(found, name, causal) for name in COMPARED],
        "failures": [
            {"index": one.index, "prompt": one.prompt, "other": one.other, "reason": _reason(session.model, one, begins)}
            for one in found.failures
        ],
        "note": found.describe(),
    }


def _pairs(given: object) -> list[tuple[str, str]]:
    form = "pairs must be a list of two texts each"
    if not isinstance(given, list) or not all(isinstance(one, list) and len(one) == 2 for one in given):
        raise AttnWidgetError(f"{form}.")
    if not all(isinstance(text, str) for one in given for text in one):
        raise AttnWidgetError(f"{form}.")
    if not 1 <= len(given) <= MOST:
        raise AttnWidgetError(f"1 to {MOST} pairs can be compared here, not {len(given)}: compare_many(model, pairs) in a cell takes any.")
    return [tuple(one) for one in given]


def _alignment(model: Model, prompt: str, other: str, prepend_bos: bool | None) -> str:
    """As for two prompts on show; what cannot be run is said by the comparison itself."""
    try:
        lengths = {len(model.vocabulary.encode(text, prepend_bos)) for text in (prompt, other)}
    except AttnWidgetError:
        return "positions"
    return "positions" if len(lengths) == 1 else "tokens"


def _reason(model: Model, failure: Failure, prepend_bos: bool | None) -> str:
    """The library's, unless its way out is one that a page does not have."""
    try:
        one, two = (model.vocabulary.encode(text, prepend_bos) for text in (failure.prompt, failure.other))
    except AttnWidgetError:
        return failure.reason
    return NOTHING_SHARED if len(one) != len(two) and set(one).isdisjoint(two) else failure.reason


def _score(found: ComparisonSet, name: str, causal: bool) -> dict:
    scores = found.scores(name)
    low, high = found.interval(name)
    reasons = found.undefined.get(name, ())
    none = not np.isfinite(scores.values).any()
    return {
        "name": name,
        "label": COMPARED[name].label if not COMPARED[name].causal or not found.effect else f"{COMPARED[name].label}: {found.effect}",
        "formula": scores.formula,
        "unit": scores.unit,
        "signed": scores.signed,
        "causal": COMPARED[name].causal,
        "mean": floats(found.mean(name)),
        "low": floats(low),
        "high": floats(high),
        "n": floats(found.n(name)),
        "refused": ("; ".join(reasons) or "undefined in every pair") if none else None,
    }
