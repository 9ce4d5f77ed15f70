"""`attnwidget demo`: the lessons, in a folder of one's own, open in JupyterLab."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from pathlib import Path

from ..demo import demo_copy, demo_file, demo_models, load_demo
from ..errors import ModelError
from .lab import open_in_lab
from .lessons import FIRST, copy_lessons, shipped

_FOLDER = "attnwidget-lessons"


def add(commands: argparse._SubParsersAction) -> None:
    about = "Copies the lessons into a folder, leaving alone what is changed there, and opens the first one in JupyterLab."
    parser = commands.add_parser("demo", help="the lessons, in JupyterLab", description=about)
    parser.add_argument("folder", nargs="?", default=_FOLDER, metavar="FOLDER", help=f"where the copies go (default: {_FOLDER})")
    parser.add_argument("--no-browser", action="store_true", help="print the address instead of opening a browser window")
    parser.set_defaults(run=demo)


def demo(given: argparse.Namespace) -> int:
    folder = Path(given.folder)
    source = shipped()
    if not (folder.exists() and folder.samefile(source)):
        _copy(source, folder)
    if lacking := missing():
        print("Before they can be opened:\n" + "\n".join(f"  {sentence}" for sentence in lacking), file=sys.stderr)
        return 1
    if demo_copy("smollm2-135m") is None:
        print("Making the copy of SmolLM2-135M that later sessions read at once; half a minute.", flush=True)
        load_demo("smollm2-135m")
    return open_in_lab(folder / FIRST, browser=not given.no_browser)


def missing() -> list[str]:
    """What the lessons need and this environment lacks, a sentence each, with the command that gets it."""
    lacking = []
    if importlib.util.find_spec("jupyterlab") is None:
        lacking.append("JupyterLab is not in this environment; run `pip install jupyterlab` to get it.")
    for name in demo_models():
        try:
            demo_file(name)
        except ModelError as error:
            lacking.append(str(error))
    return lacking


def _copy(source: Path, folder: Path) -> None:
    done = copy_lessons(source, folder)
    if done.new:
        print(f"Copied to {folder}: {', '.join(map(str, done.new))}.")
    if done.same:
        print(f"There already: {', '.join(map(str, done.same))}.")
    if done.kept:
        print(f"Changed there, so left alone: {', '.join(map(str, done.kept))}. Name another folder to have them as they were.")
