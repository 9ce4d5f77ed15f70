"""A figure is a median of repeats with its range; a table of them says what was measured and what it is held against."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One row of the table. A budget is an upper bound in the same unit; without a value, `note` says why there is none."""

    what: str
    unit: str
    median: float | None
    low: float | None
    high: float | None
    n: int
    budget: float | None = None
    note: str = ""


def figure(what: str, unit: str, values: Sequence[float], budget: float | None = None, note: str = "") -> Figure:
    if not values:
        return Figure(what, unit, None, None, None, 0, budget, note)
    return Figure(what, unit, statistics.median(values), min(values), max(values), len(values), budget, note)


def table(figures: Sequence[Figure]) -> str:
    """What was measured, its median and spread, and the budget it is held against."""
    rows = [("what", "median", "range", "n", "budget", "")]
    for figure in figures:
        budget = "" if figure.budget is None else f"{figure.budget:,.4g} {figure.unit}"
        verdict = "" if figure.budget is None or figure.median is None else ("within" if figure.median <= figure.budget else "OVER")
        median = "none" if figure.median is None else f"{figure.median:,.4g} {figure.unit}"
        spread = f"{figure.low:,.4g} to {figure.high:,.4g}" if figure.n > 1 else ""
        rows.append((figure.what, median, spread, str(figure.n), budget, "; ".join(filter(None, (verdict, figure.note)))))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
