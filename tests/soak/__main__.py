"""`make soak`: random actions on SmolLM2-135M in a real JupyterLab and browser; what must hold after each, and whether memory levels off.

    python -m tests.soak [--actions 500] [--seed 1] [--every 20] [--out benchmarks/results/soak.json] [--show]

Ends with 1 where anything broke, or something grows. The same seed gives the same order of actions.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path
from random import Random

from playwright.sync_api import Error, sync_playwright

from benchmarks.machine import describe

from ..browser import chromium
from ..browser.lab import CHROMIUM_FLAGS, ROOT, open_notebook, serve
from ..conftest import PROMPT
from .actions import ACTIONS
from .levels import HEAD
from .memory import Memory
from .stage import AGAIN, LOAD, SHOW, Broken, Stage

RESULTS = ROOT / "benchmarks/results/soak.json"
# JupyterLab makes a toolbar each time another cell becomes the active one, and keeps it: 258 nodes and 810 listeners in a notebook of three
# numbers. Without it, what is left is the widget's.
TOOLBARS = "@jupyterlab/cell-toolbar-extension:plugin"


def main() -> int:
    asked = _arguments()
    program = chromium.get()
    if program is None:
        print(chromium.MISSING, file=sys.stderr)
        return 2
    machine = describe()
    print("\n".join(f"{key:12} {value}" for key, value in machine.items()), f"{'seed':12} {asked.seed}", sep="\n", flush=True)
    began = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="attnwidget-soak-") as folder,
        serve(Path(folder), without=[TOOLBARS]) as server,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=program, args=CHROMIUM_FLAGS)
        book = open_notebook(browser, server, [LOAD, SHOW, AGAIN])
        try:
            broken, soaked = _soak(book, asked)
        finally:
            book.close()
            browser.close()
    minutes = (time.monotonic() - began) / 60
    levels = soaked.memory.levels()
    print("\n" + HEAD, *(level.line() for level in levels), sep="\n")
    print(
        f"\n{soaked.done} actions in {minutes:.1f} min, seed {asked.seed}; {soaked.passed_over} came too late for what they were about;"
        f" {soaked.stage.cancelled} times something took long and was cancelled."
    )
    grows = [level.name for level in levels if not level.level]
    body = {
        "when": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": machine,
        "seed": asked.seed,
        "actions": soaked.done,
        "minutes": round(minutes, 1),
        "passed_over": soaked.passed_over,
        "cancelled": soaked.stage.cancelled,
        "broken": broken,
        "counts": dict(soaked.counts.most_common()),
        "measured_after": soaked.memory.at,
        "levels": {level.name: level.record() for level in levels},
    }
    asked.out.write_text(json.dumps(body, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"written to {asked.out}")
    if broken:
        print(f"\nBROKEN after {soaked.done} actions: {broken}", file=sys.stderr)
    if grows:
        print(f"\nGROWS: {', '.join(grows)}", file=sys.stderr)
    return 1 if broken or grows else 0


class Soaked:
    """What a soak has done so far."""

    def __init__(self, stage: Stage, memory: Memory):
        self.stage, self.memory = stage, memory
        self.done = self.passed_over = 0
        self.counts: Counter[str] = Counter()


def _soak(book, asked: argparse.Namespace) -> tuple[str, Soaked]:
    book.run_all()
    stage = Stage(book)
    soaked = Soaked(stage, Memory(book))
    names = list(ACTIONS)
    weights = [often for _, often in ACTIONS.values()]
    last = ""
    try:
        stage.settle()
        book.do(ASIDE)
        _measure(soaked)
        while soaked.done < asked.actions:
            # Of its own for each action: how much one draws depends on what it finds, and the next must not.
            stage.chance = Random(f"{asked.seed} {soaked.done}")
            last, rests = stage.chance.choices(names, weights)[0], stage.chance.random() < 0.4
            _act(soaked, last, asked.show)
            if rests:
                stage.settle()
            stage.check()
            if soaked.done % 5 == 0:
                stage.check_kernel()
            if soaked.done % 10 == 0:
                stage.settle()
                stage.check_agreement()
            if soaked.done % asked.every == 0:
                _measure(soaked)
        stage.check_model()
        stage.check_kernel()
    except (Broken, Error, AssertionError, RuntimeError, KeyboardInterrupt) as error:
        (ROOT / "shots").mkdir(exist_ok=True)
        book.page.screenshot(path=ROOT / "shots/soak-broken.png")
        return f"{last}: {type(error).__name__}: {error}", soaked
    return "", soaked


def _act(soaked: Soaked, name: str, show: bool) -> None:
    stage = soaked.stage
    soaked.done += 1
    soaked.counts[name] += 1
    began = time.monotonic()
    try:
        ACTIONS[name][0](stage)
        late = ""
    except Error as error:  # what it was about has gone meanwhile, or something lies over it
        soaked.passed_over += 1
        late = f"  (too late: {str(error).splitlines()[0][:90]})"
    if show:
        print(f"{soaked.done:4} {time.monotonic() - began:5.1f} s  {name}{late}", flush=True)


# What is on screen decides how many nodes and listeners there are: it is put aside for the measurement, and comes back after it.
ASIDE = f"""
def _aside():
    kept = {{name: getattr(w, name) for name in STATE}}
    w.panels, w.tab, w.positions, w.position, w.query, w.other, w.target, w.against = PANELS, '', [], -1, -1, '', '', ''
    w.ablated, w.mode, w.reference, w.attention_view, w.attention_kind, w.aggregate = [], 'zero', [], 'maps', 'raw', ''
    w.cell_view = 'patterns'
    w.prompt, w.selected, w.shown, w.score = {PROMPT!r}, ['L20H0'], ['L20H0'], 'output_norm'
    return kept
PANELS = list(w.panels)
STATE = ['panels', 'tab', 'prompt', 'positions', 'position', 'query', 'other', 'target', 'against', 'mode', 'reference', 'cell_view',
         'attention_view', 'attention_kind', 'aggregate', 'ablated', 'selected', 'shown', 'score']
def _back(kept):
    for name, value in kept.items():
        setattr(w, name, value)
"""


def _measure(soaked: Soaked) -> None:
    """In the same state each time: this prompt, no head ablated, no tab, no dialog, no second view, as wide as at first, at rest."""
    stage = soaked.stage
    size = stage.page.viewport_size
    stage.page.set_viewport_size({"width": 1400, "height": 1000})
    export = stage.view.get_by_label("Export", exact=True)
    if export.count():
        export.get_by_role("button", name="Close").click()
    shown_again = stage.page.locator(".jp-Notebook .jp-CodeCell").nth(2)
    if shown_again.locator(".attnwidget").count():
        shown_again.locator(".jp-InputArea").click(position={"x": 150, "y": 12})
        stage.page.evaluate("() => { window.jupyterapp.commands.execute('notebook:clear-cell-output') }")
        stage.page.wait_for_timeout(300)
    stage.book.do("w.cancel(); _kept = _aside()")
    stage.settle()
    stage.book.do("w.wait()")
    now = soaked.memory.measure(soaked.done)
    stage.book.do("_back(_kept)")
    stage.page.set_viewport_size(size)
    figures = ", ".join(f"{name} {value:,.1f}" for name, value in now.items())
    print(f"{soaked.done:4} actions: {figures}", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--actions", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every", type=int, default=20, help="actions between two measurements")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--show", action="store_true", help="say each action")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
