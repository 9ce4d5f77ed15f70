"""Two prompts as the page gets them: `Comparison` and `ComparedPatterns` of js/src/source/ops.ts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..analysis.alignment import Alignment
from ..analysis.answers import Answers
from ..analysis.compared import COMPARED
from ..analysis.comparison import Comparison, PatternDifference
from ..analysis.specials import special_positions
from ..analysis.valuenorms import value_norms
from ..errors import ModelError
from ..run import Run
from . import arguments
from .comparing import WAYS, Compared, pair, pictures
from .facts import EVERY_METRIC, default_metric, refused_metric
from .jobs import LAST, Job
from .pacing import PATIENCE, steps
from .session import Session
from .wire import Array, floats

# By number, what of `Comparison.places` says where it is largest.
_PLACES = {"max_difference": "max_query", "js_worst": "js_query", "tv_worst": "tv_query"}


def answer(session: Session, args: dict, job: Job) -> dict:
    """The pictures and the answers first, then the effects, each way measured for as long as `patience` allows."""
    compared = _compared(session, args, job)
    session.compared = compared
    if arguments.switch(args, "causal") and compared.refused is None:
        # What was waited for is there; the sweeps may take long, and let all go first that is waited for.
        job.priority = LAST
        _measure(compared, job, arguments.seconds(args, "patience", PATIENCE))
    return _painted(compared)


def whole(session: Session, args: dict, job: Job) -> dict:
    """`answer` with all effects, measured in one go and beside what is on screen."""
    compared = _compared(session, args, job)
    for sweep in compared.sweeps.values() if compared.refused is None else ():
        sweep.finish(job.chunk)
    return _painted(compared)


def _compared(session: Session, args: dict, job: Job) -> Compared:
    asked, metric = pair(args), arguments.text(args, "metric")
    if metric not in EVERY_METRIC or refused_metric(session.model, metric) is not None:
        metric = default_metric(session.model)
    about = {"position": arguments.position(args), "target": arguments.text(args, "target"), "against": arguments.text(args, "against")}
    return Compared(session, asked, metric, about, job.chunk)


def _measure(compared: Compared, job: Job, patience: float | None) -> None:
    def say() -> None:
        done, total, words = 0, 0, ""
        for way, sweep in compared.sweeps.items():
            now = sweep.progress
            done, total = done + now[0], total + now[1]
            words = words or ("" if sweep.finished else f"{way}: {now[2]}")
        job.chunk(done, total, words, _painted(compared))

    say()
    for _ in _both(compared, job, patience):
        say()


def _both(compared: Compared, job: Job, patience: float | None) -> Iterator[None]:
    """Steps the sweeps one after the other, each for as long as `patience` allows; one that does not come to its end ends it."""
    for sweep in compared.sweeps.values():
        for _ in steps(sweep, job, patience):
            yield
        if not sweep.finished:
            return
        yield


def _painted(compared: Compared) -> dict:
    now = compared.now
    run, other, found = now.run, now.other, now.answers
    return {
        "a": _side(run, found.position),
        "b": _side(other, found.other_position),
        "aligned": _aligned(now.alignment),
        "same_length": len(run.ids) == len(other.ids),
        "compared": len(now.pairs),
        "answers": _answers(found),
        "embedding": {"cosine": found.embedding_cosine, "l2": found.embedding_l2} if run.model.answer == "none" else None,
        "effects": _effects(compared),
        "scores": [_score(compared, now, name) for name in COMPARED],
        "renormalised": now.renormalised,
        "note": now.describe(),
    }


def _side(run: Run, position: int | None) -> dict:
    marks = special_positions(run) if run.model.vocabulary.tokenizer is not None else ()
    return {"text": run.text, "tokens": run.tokens, "special": marks, "position": position}


def _aligned(alignment: Alignment) -> list[dict]:
    table = alignment.to_frame()
    places = [[None if side != side else int(side) for side in table[name].astype(float)] for name in ("position", "other_position")]
    return [{"a": a, "b": b, "same": kind == "same"} for a, b, kind in zip(*places, table["kind"], strict=True)]


def _answers(found: Answers) -> dict | None:
    if not found.rows:
        return None
    named = found.against is not None
    return {
        "rows": [{"id": row.id, "token": row.token, "a": row.run, "b": row.other} for row in found.rows],
        "kl": {"ab": found.kl, "ba": found.kl_back},
        "js": found.js,
        "target": found.target,
        "against": found.against,
        "logit_diff": {"a": found.logit_diff, "b": found.other_logit_diff} if named else None,
    }


def _effects(compared: Compared) -> dict | None:
    if compared.refused is not None:
        return None
    measured = [compared.effects(way)[1] for way in WAYS]
    left = compared.remaining
    done, total = sum(int(way.sum()) for way in measured), sum(way.size for way in measured)
    return {"done": done, "total": total, "remaining": None if done == total else left}


def _score(compared: Compared, now: Comparison, name: str) -> dict:
    known, scores = COMPARED[name], now.scores(name)
    place = _PLACES.get(name)
    return {
        "name": name,
        "label": scores.label,
        "formula": scores.formula,
        "unit": scores.unit,
        "signed": scores.signed,
        "causal": known.causal,
        "values": floats(scores.values),
        "measured": Array(compared.effects(name)[1].astype(np.uint8)) if known.causal and compared.refused is None else None,
        "query": None if place is None else floats(now.places[place]),
        "key": floats(now.places["max_key"]) if name == "max_difference" else None,
        "refused": compared.refused if known.causal else now.undefined.get(name),
    }


# -- the maps of some heads -------------------------------------------------------------------------------------------


MAPS = ("a", "b", "difference", "a_weighted", "b_weighted")


def patterns(session: Session, args: dict, job: Job) -> dict:
    """`ComparedPatterns`: what the numbers of these heads are read off."""
    heads = arguments.maps(args, session.clean, each=len(MAPS))
    comparison = pictures(session, pair(args), job.chunk)
    n, refused = len(comparison.pairs), None
    maps = {name: np.empty((len(heads), n, n), np.float32) for name in MAPS}
    # Head by head: what they are made from is in double precision.
    for i, head in enumerate(heads):
        job.chunk(i, len(heads), f"Comparing {head}")
        found = comparison.pattern_difference(head)
        maps["a"][i], maps["b"][i], maps["difference"][i] = found.first, found.other, -found.values
        if refused is None:
            try:
                maps["a_weighted"][i], maps["b_weighted"][i] = _weighted(comparison, found)
            except ModelError as error:
                refused = str(error)
    return {
        "heads": heads,
        "positions": [{"a": a, "b": b} for a, b in comparison.pairs],
        **{name: None if refused and name.endswith("_weighted") else floats(values) for name, values in maps.items()},
        "weighted_refused": refused,
    }


def _weighted(comparison: Comparison, found: PatternDifference) -> Iterator[np.ndarray]:
    """`A · ‖v W_O‖` of a head in both runs; `ModelError` where there is none."""
    head = found.head
    norms = value_norms((comparison.run, comparison.other), head.layer)
    two = (found.first, found.positions), (found.other, found.other_positions)
    return (map_ * of[head.head].numpy()[list(at)] for (map_, at), of in zip(two, norms, strict=True))
