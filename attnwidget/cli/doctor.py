"""`attnwidget doctor`: what is here, what is broken, and what to do about it."""

from __future__ import annotations

import argparse

from ..health import doctor as examine


def add(commands: argparse._SubParsersAction) -> None:
    about = "Says which versions are here, whether the front end is found and a model's heads are reached. 1 if something is broken."
    parser = commands.add_parser("doctor", help="what is installed, and whether it works", description=about)
    parser.add_argument("--model", metavar="NAME", help="whose self-test is run (default: a tiny model with random weights)")
    parser.add_argument("--json", action="store_true", help="the same as JSON")
    parser.set_defaults(run=doctor)


def doctor(given: argparse.Namespace) -> int:
    report = examine(given.model)
    print(report.to_json() if given.json else report)
    return 1 if report.broken else 0
