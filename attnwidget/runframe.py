"""A run as a table: a row for each token."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pandas as pd

if TYPE_CHECKING:
    from .run import Run


def run_frame(run: Run) -> pd.DataFrame:
    """See `Run.to_frame`."""
    n, model = len(run.ids), run.model
    columns: dict[str, list] = {"position": list(range(n)), "token": run.tokens, "id": list(run.ids)}
    if model.answer in ("next", "mask"):
        columns |= _answers(run, "")
        if run.ablation.heads:
            columns |= _answers(run.clean, "clean_")
    frame = pd.DataFrame(columns)
    frame.attrs = {"model": model.name, "processing": model.processing, "ablation": run.ablation.describe() if run.ablation.heads else ""}
    if run.ablation.heads:
        frame.attrs["ablated"] = ", ".join(map(str, run.ablation.heads))
    return frame


def _answers(run: Run, prefix: str) -> dict[str, list]:
    followed, first = run._teacher_forced
    answers = {f"{prefix}first_choice": [run.model.token(i) for i in first.tolist()]}
    if run.model.answer == "next":
        answers[f"{prefix}next_log_probability"] = [*followed.tolist(), math.nan]
    return answers
