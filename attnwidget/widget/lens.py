"""The logit lens as a request: one table of every point and position, and one column of a position with its first few tokens."""

from __future__ import annotations

import numpy as np

from ..analysis.impact import layer_impact
from ..analysis.lens import LogitLens, logit_lens
from ..run import AblatedRun
from . import arguments
from .jobs import Job
from .wire import Array

MOST = 128  # positions of one table: what a page asks for is a window of the prompt


def table(run: AblatedRun, args: dict, job: Job) -> dict:
    """`Lens` in js/src/source/ops.ts."""
    positions, middle = arguments.positions(args, MOST), arguments.switch(args, "middle")
    return _together(run, _both(run, positions, arguments.text(args, "target"), 1, middle, job))


def everywhere(run: AblatedRun, positions: list[int], target: str, k: int, job: Job) -> tuple[dict, list[dict]]:
    """The table, and the column of each position, from one reading of the stream at all points."""
    lenses = _both(run, positions, target, k, True, job)
    return _together(run, lenses), [_column(lenses, i) for i in range(len(positions))]


def _both(run: AblatedRun, positions: list[int], target: str, k: int, middle: bool, job: Job) -> list[LogitLens]:
    """Of the clean run, and of the ablated one where there is one."""
    sides = [run.clean, run] if run.ablation.heads else [run.clean]
    lenses: list[LogitLens] = []
    for i, side in enumerate(sides):

        def chunk(done: int, total: int, text: str, part: int = i) -> None:
            job.chunk(part * total + done, len(sides) * total, text)

        lenses.append(logit_lens(side, positions, target=target, k=k, middle=middle, progress=chunk))
    return lenses


def _together(run: AblatedRun, lenses: list[LogitLens]) -> dict:
    clean = lenses[0]
    return {
        "points": clean.points,
        "positions": clean.positions,
        "targets": [{"id": int(i), "token": token} for i, token in zip(clean.target_ids, clean.target_tokens, strict=True)],
        "clean": _table(clean),
        "ablated": _table(lenses[1]) if len(lenses) > 1 else None,
        "impact": _impact(run, clean) if len(lenses) > 1 else None,
        "texts": _texts(lenses, [lens.top_ids[:, :, 0] for lens in lenses]),
        "note": lenses[-1].note,
    }


def column(run: AblatedRun, args: dict, job: Job) -> dict:
    """`LensColumn` in js/src/source/ops.ts."""
    position = run.position(arguments.position(args))
    k, middle = max(1, min(20, arguments.integer(args.get("k", 5)))), arguments.switch(args, "middle")
    clean = logit_lens(run.clean, position, k=k, middle=middle)
    ablated = logit_lens(run, position, k=k, middle=middle) if run.ablation.heads else None
    return _column([lens for lens in (clean, ablated) if lens is not None], 0)


def _column(lenses: list[LogitLens], i: int) -> dict:
    clean, ablated = lenses[0], lenses[1] if len(lenses) > 1 else None
    return {
        "points": clean.points,
        "position": clean.positions[i],
        "clean": _choices(clean, i),
        "ablated": _choices(ablated, i) if ablated else None,
        "texts": _texts(lenses, [lens.top_ids[:, i] for lens in lenses]),
    }


def _texts(lenses: list[LogitLens], ids: list[np.ndarray]) -> dict[str, str]:
    return {str(i): lens.top_tokens[i] for lens, some in zip(lenses, ids, strict=True) for i in np.unique(some).tolist()}


def _table(lens: LogitLens) -> dict:
    return {
        "top": _floats(lens.top_ids[:, :, 0]),
        "probability": _floats(lens.top_probabilities[:, :, 0]),
        "target_probability": _floats(lens.target_probability),
        "target_rank": _floats(lens.target_rank),
        "entropy": _floats(lens.entropy),
        "kl": _floats(lens.kl),
    }


def _choices(lens: LogitLens, i: int) -> dict:
    return {"top": _floats(lens.top_ids[:, i]), "probability": _floats(lens.top_probabilities[:, i])}


def _impact(run: AblatedRun, lens: LogitLens) -> Array:
    """By point; undefined after an attention, whose stream is not kept."""
    moved = layer_impact(run).total
    return _floats(np.array([np.nan if point.site == "attn" else moved[point.layer + 1] for point in lens.points]))


def _floats(values: np.ndarray) -> Array:
    # Ids and ranks are below 2^24, up to which float32 has every whole number.
    return Array(np.ascontiguousarray(values, dtype=np.float32))
