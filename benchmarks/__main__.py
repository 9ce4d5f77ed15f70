"""`make bench`: the budgets of the design, measured on this machine. Never a test: a number here depends on who else is busy.

    python -m benchmarks [name ...]        all of them, or those named

Prints a table and writes `benchmarks/results/latest.json`, with the machine's description beside the numbers.
"""

from __future__ import annotations

import json
import sys
import traceback
from datetime import datetime, timezone
from pathlib import Path

from .figures import Figure, table
from .machine import describe
from .registry import BENCHMARKS, measure

RESULTS = Path(__file__).parent / "results"


def main(names: list[str]) -> int:
    if unknown := sorted(set(names) - set(BENCHMARKS)):
        print(f"No benchmark {unknown[0]!r}; there are {', '.join(BENCHMARKS)}.", file=sys.stderr)
        return 2
    machine = describe()
    print("\n".join(f"{key:12} {value}" for key, value in machine.items()), flush=True)
    figures: list[Figure] = []
    failed: list[str] = []
    # Some figures alone do not stand in for all.
    file = RESULTS / (f"{'-'.join(names)}.json" if names else "latest.json")
    RESULTS.mkdir(exist_ok=True)
    for name in names or BENCHMARKS:
        print(f"\nmeasuring {name} ...", flush=True)
        try:
            figures += measure(name)
        except Exception:  # the others took their time too
            traceback.print_exc()
            failed.append(name)
        when = datetime.now(timezone.utc).isoformat(timespec="seconds")
        body = {"when": when, "machine": machine, "failed": failed, "figures": [figure.__dict__ for figure in figures]}
        file.write_text(json.dumps(body, indent=2) + "\n", encoding="utf-8")
    print("\n" + table(figures) + f"\n\nwritten to {file}")
    if failed:
        print(f"\nFailed: {', '.join(failed)}; see above.", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
