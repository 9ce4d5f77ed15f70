"""The command `attnwidget`. Each subcommand is a file with `add`, which says what it takes, and a function that does it.

Nothing here imports PyTorch before a subcommand needs it.
"""

from __future__ import annotations

import argparse
import sys
from importlib import metadata

from ..errors import AttnWidgetError
from . import demo, doctor, export

_ABOUT = "The attention heads of a transformer, live in a notebook cell."


def main(arguments: list[str] | None = None) -> int:
    """Does what the command line asks. 0: done; 1: it could not be, and one sentence on stderr says why; 2: it was not understood."""
    parser = argparse.ArgumentParser(prog="attnwidget", description=_ABOUT)
    parser.add_argument("--version", action="version", version=f"attnwidget {_version()}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in (demo, export, doctor):
        command.add(commands)
    given = parser.parse_args(arguments)
    try:
        return given.run(given)
    except (AttnWidgetError, OSError) as error:
        print(f"attnwidget: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("attnwidget: stopped.", file=sys.stderr)
        return 130


def _version() -> str:
    try:
        return metadata.version("attnwidget")
    except metadata.PackageNotFoundError:
        return "(not installed: run from its source)"
