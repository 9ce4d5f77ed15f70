"""`make bench`: the budgets of the design, measured on this machine. Never a test: a number here depends on who else is busy.

    python -m benchmarks [name ...]        all of them, or those named

Prints a table and writes `benchmarks/results/latest.json`, with the machine's description beside the numbers.
"""

from __future__ import annotations

import json
import sys
from datetime import datetime, timezone
from pathlib import Path

from .machine import describe
from .measure import BENCHMARKS, Figure

RESULTS = Path(__file__).parent / "results"


def main(names: list[str]) -> int:
    if unknown := sorted(set(names) - set(BENCHMARKS)):
        print(f"No benchmark {unknown[0]!r}; there are {', '.join(BENCHMARKS)}.", file=sys.stderr)
        return 2
    machine = describe()
    print("\n".join(f"{key:12} {value}" for key, value in machine.items()), flush=True)
    figures: list[Figure] = []
    for name in names or BENCHMARKS:
        print(f"\nmeasuring {name} ...", flush=True)
        figures += BENCHMARKS[name]()
    print("\n" + table(figures))
    RESULTS.mkdir(exist_ok=True)
    when = datetime.now(timezone.utc).isoformat(timespec="seconds")
    body = {"when": when, "machine": machine, "figures": [figure.__dict__ for figure in figures]}
    file = RESULTS / "latest.json"
    file.write_text(json.dumps(body, indent=2) + "\n", encoding="utf-8")
    print(f"\nwritten to {file}")
    return 0


def table(figures: list[Figure]) -> str:
    """What was measured, its median and spread, and the budget it is held against."""
    rows = [("what", "median", "range", "n", "budget", "")]
    for figure in figures:
        budget = "" if figure.budget is None else f"{figure.budget:,.4g} {figure.unit}"
        verdict = "" if figure.budget is None else ("within" if figure.median <= figure.budget else "OVER")
        spread = f"{figure.low:,.4g} to {figure.high:,.4g}" if figure.n > 1 else ""
        rows.append((figure.what, f"{figure.median:,.4g} {figure.unit}", spread, str(figure.n), budget, verdict))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
