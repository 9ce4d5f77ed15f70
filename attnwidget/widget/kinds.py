"""The request `kinds`: which heads look where heads of a known kind look, on generated repeats or on the prompt's own."""

from __future__ import annotations

import threading
import weakref

import numpy as np

from ..analysis.headkinds import HeadKinds, KindScores
from ..analysis.kinds import detect_heads
from ..analysis.method import Progress
from ..engine import Engine
from ..heads import Head
from ..model import Model
from ..run import Run
from .wire import Array

_DYNAMIC = ("mean_sd", "variance")  # thresholds taken from the heads themselves

_detected: weakref.WeakKeyDictionary[Engine, tuple[int, HeadKinds]] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def detected(model: Model, progress: Progress | None = None) -> HeadKinds:
    """The kinds of heads on generated repeats: once per model, for they do not depend on any prompt; again when its weights changed."""
    weights = model.engine.weights()
    with _lock:
        of, kinds = _detected.get(model.engine, (None, None))
    if kinds is None or of != weights:
        kinds = detect_heads(model, progress=progress)
        with _lock:
            _detected[model.engine] = weights, kinds
    return kinds


def kinds(subject: Model | Run, progress: Progress) -> dict:
    """`Kinds` of js/src/source/ops.ts: of a model on generated repeats, of a run on its own tokens."""
    found = detect_heads(subject, progress=progress) if isinstance(subject, Run) else detected(subject, progress)
    return {"kinds": [_kind(found, name) for name in found], "setting": found.setting, "note": found.describe()}


def _kind(found: HeadKinds, name: str) -> dict:
    one = found[name]
    return {
        "name": name,
        "label": one.label,
        "formula": f"{one.formula}; {one.reason}" if one.reason else one.formula,
        "threshold": found.threshold(name),
        "chance": one.chance,
        # By the rules of `HeadKinds.heads`, which the page could only repeat in other words.
        "found": {rule: [_head(one, head) for head in found.heads(name, rule)] for rule in ("fixed", *_DYNAMIC)},
        "dynamic": {rule: found.threshold(name, rule) for rule in _DYNAMIC},
        "values": Array(one.values.astype(np.float32)),
    }


def _head(one: KindScores, head: Head) -> dict:
    return {"head": list(head), "score": float(one.values[head]), "low": float(one.low[head]), "high": float(one.high[head])}
