"""Scores as the front end gets them, `Scores` of js/src/source/ops.ts, and as they are saved with the notebook."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from ..analysis.correlation import pearson, spearman
from ..analysis.headscores import HeadScores
from ..analysis.score import METHODS
from .wire import Array, floats

_SAVED_IN_FULL = 2000  # heads; larger models are saved with as many figures as are shown, three, and without the estimate

_QUESTION = ("run_key", "method", "metric", "target", "against", "position", "ablation", "conditional", "compared", "leaving")


def painted(
    scores: HeadScores,
    kind: str,
    known: np.ndarray,
    exact: bool,
    seconds: float,
    remaining: float | None = None,
    estimate: dict | None = None,
) -> dict:
    """`Scores` of js/src/source/ops.ts."""
    values = floats(scores.values)
    return {
        "method": scores.method,
        "label": scores.label,
        "formula": scores.formula,
        "describe": _described(scores),
        "unit": scores.unit,
        "exact": exact,
        "signed": scores.signed,
        "kind": kind,
        "metric": scores.metric,
        "target": scores.target,
        "against": scores.against,
        "position": scores.position,
        "mode": scores.mode,
        "conditional": [list(head) for head in scores.conditional],
        "values": values,
        "known": Array(np.where(np.isnan(values.values), 0, known).astype(np.uint8)),
        "parts": [{"name": name, "value": float(value)} for name, value in scores.parts.items()],
        "estimate": estimate,
        "seconds": seconds,
        "remaining": remaining,
    }


def _described(scores: HeadScores) -> str:
    """With how far integrated gradients are off, which is what they are to be judged by."""
    off = scores.extra.get("completeness_error")
    if off is None or np.isnan(off).all():
        return scores.describe()
    worst = np.unravel_index(np.nanargmax(np.abs(off)), off.shape)
    return f"{scores.describe()}; completeness error up to {abs(off[worst]):.3g} (L{worst[0]}H{worst[1]})"


def together(
    measured: HeadScores | None,
    where: np.ndarray,
    estimate: HeadScores | None,
    *,
    finished: bool,
    seconds: float,
    remaining: float | None = None,
) -> dict:
    """An ablation on its way: the exact values `where` they are measured [layer, head], the estimate elsewhere."""
    if measured is None:
        whole = replace(estimate, method="ablation", formula=METHODS["ablation"].formula)
        values, describe = estimate.values, estimate.describe()
    else:
        whole, describe = measured, measured.describe()
        values = measured.values if estimate is None else np.where(where, measured.values, estimate.values)
        if not finished:
            # What is measured is exact, the whole is not.
            rest = "not yet" if estimate is None else f"estimated: {estimate.formula}"
            describe = f"{describe.removesuffix('; exact')}; unfinished: {int(where.sum())} heads measured, the others {rest}"
    known = np.where(np.isnan(values), 0, np.where(where, 2, 1))
    beside = None
    if estimate is not None:
        beside = {
            "values": floats(estimate.values),
            "formula": estimate.formula,
            "pearson": pearson(measured.values, estimate.values) if finished else None,
            "spearman": spearman(measured.values, estimate.values) if finished else None,
        }
    exact = finished and whole.exact
    answer = painted(replace(whole, values=values), "effect", known, exact, seconds, None if finished else remaining, beside)
    return answer | {"describe": describe}


def saved(answer: dict, asked: dict) -> dict:
    """A reply as the trait `scored` has it: lists for arrays, null for what is undefined, and under `question` what was `asked` in the
    page's own words, so that it is shown for no other question."""
    heads = answer["values"].values.size
    if heads > _SAVED_IN_FULL:
        answer = answer | {"estimate": None}
    question = {name: asked[name] for name in _QUESTION if name in asked}
    return {**_plain(answer, 6 if heads <= _SAVED_IN_FULL else 3), "question": question}


def _plain(value: object, digits: int) -> object:
    if isinstance(value, Array):
        return _plain(value.values.tolist(), digits)
    if isinstance(value, dict):
        return {name: _plain(item, digits) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, digits) for item in value]
    if isinstance(value, float):
        return float(f"{value:.{digits}g}") if math.isfinite(value) else None
    return value
