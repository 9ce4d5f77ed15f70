"""A figure is a median of repeats with its range; a table of them says what was measured and what it is held against."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """One row of the table. A budget is an upper bound in the same unit."""

    what: str
    unit: str
    median: float
    low: float
    high: float
    n: int
    budget: float | None = None


def figure(what: str, unit: str, values: Sequence[float], budget: float | None = None) -> Figure:
    return Figure(what, unit, statistics.median(values), min(values), max(values), len(values), budget)


def table(figures: Sequence[Figure]) -> str:
    """What was measured, its median and spread, and the budget it is held against."""
    rows = [("what", "median", "range", "n", "budget", "")]
    for figure in figures:
        budget = "" if figure.budget is None else f"{figure.budget:,.4g} {figure.unit}"
        verdict = "" if figure.budget is None else ("within" if figure.median <= figure.budget else "OVER")
        spread = f"{figure.low:,.4g} to {figure.high:,.4g}" if figure.n > 1 else ""
        rows.append((figure.what, f"{figure.median:,.4g} {figure.unit}", spread, str(figure.n), budget, verdict))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
