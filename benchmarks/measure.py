"""The live widget in JupyterLab, and what it weighs. Each function returns figures; a figure is a median of repeats with its range."""

from __future__ import annotations

import contextlib
import gzip
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import nbformat

from tests.browser import chromium
from tests.browser.lab import CHROMIUM_FLAGS, Kernel, Notebook, Server, open_notebook, serve
from tests.conftest import PROMPT

from .figures import Figure, figure
from .hovering import FRAME, hovered, told

STATIC = Path(__file__).resolve().parents[1] / "attnwidget" / "static"
KB, MB = 1024, 1024 * 1024
CLICKS = 20

LOAD = "from attnwidget import AttentionWidget, load_model\nmodel = load_model('smollm2-135m')"
SHOW = f"w = AttentionWidget(model, {PROMPT!r})\nw"

# One plain forward of the same prompt, in the same kernel, with nothing of ours in the way.
FORWARD = f"""
import time, torch
_ids = torch.tensor([list(model.run({PROMPT!r}).ids)])
def _forward():
    with torch.inference_mode(), model.lock:
        start = time.perf_counter()
        model.source(_ids, use_cache=False)
        return 1000 * (time.perf_counter() - start)
[_forward() for _ in range(5)]
_forwards = [_forward() for _ in range({CLICKS})]
"""

# From the event that the browser hands to the page, to the frame after the one in which the headline shows another answer:
# requestAnimationFrame runs before a paint, so the second one runs after it.
CLICK = """
(name) => new Promise((resolve, reject) => {
  const view = document.querySelector('.jp-Notebook .attnwidget');
  const cell = [...view.querySelectorAll('[role=gridcell]')].find((c) => c.getAttribute('aria-label').split(',')[0] === name);
  const answer = () => [...view.querySelectorAll('.aw-outcome')].map((e) => e.textContent).join();
  const before = answer();
  const start = performance.now();
  const timer = setTimeout(() => { watch.disconnect(); reject(new Error(`no answer to ${name}`)); }, 20000);
  const watch = new MutationObserver(() => {
    if (answer() === before || view.querySelector('.aw-outcome .aw-stale')) return;
    watch.disconnect();
    clearTimeout(timer);
    requestAnimationFrame(() => requestAnimationFrame(() => resolve(performance.now() - start)));
  });
  watch.observe(view, { subtree: true, childList: true, characterData: true, attributes: true });
  const box = cell.getBoundingClientRect();
  const at = { bubbles: true, cancelable: true, composed: true, altKey: true, button: 0, pointerType: 'mouse', isPrimary: true,
    clientX: box.x + box.width / 2, clientY: box.y + box.height / 2 };
  cell.dispatchEvent(new PointerEvent('pointerdown', { ...at, buttons: 1 }));
  cell.dispatchEvent(new PointerEvent('pointerup', at));
  cell.dispatchEvent(new MouseEvent('click', at));
})
"""

# From asking JupyterLab to run the cell, to the frame after the answer and the thumbnails are there.
FIRST_PAINT = """
() => new Promise((resolve, reject) => {
  const start = performance.now();
  const timer = setTimeout(() => reject(new Error('nothing painted')), 60000);
  const painted = () => {
    const view = document.querySelector('.jp-Notebook .attnwidget');
    if (!view || !view.querySelector('[aria-live=polite]')?.textContent.includes('%')) return false;
    const canvas = view.querySelector('.aw-gridpanel canvas');
    return canvas && canvas.width > 100;
  };
  const look = () => {
    if (!painted()) return requestAnimationFrame(look);
    clearTimeout(timer);
    requestAnimationFrame(() => resolve(performance.now() - start));
  };
  requestAnimationFrame(look);
  window.jupyterapp.commands.execute('notebook:run-all-cells');
})
"""


def bundle() -> list[Figure]:
    """What each widget brings along, and each saved notebook keeps."""
    files = {name: (STATIC / f"widget.{name}").read_bytes() for name in ("js", "css")}
    sizes = {name: len(gzip.compress(body, 9)) / KB for name, body in files.items()}
    budget = {"js": 130, "css": 13}
    return [figure(f"bundle, {name}, gzip", "kB", [size], budget[name]) for name, size in sizes.items()]


def click() -> list[Figure]:
    """Alt-click on a head to a painted prediction, in JupyterLab, beside one plain forward."""
    with _lab() as lab, lab.notebook(SHOW) as book:
        book.run_all()
        book.widget.locator("[aria-live=polite]", has_text="%").first.wait_for(timeout=30_000)
        book.page.wait_for_timeout(1500)
        book.do(FORWARD)
        forwards = book.read("_forwards")
        # Over the depth of the model: the work is that of the layers above the head.
        names = [f"L{round(index * 29 / (CLICKS - 1))}H{index % 9}" for index in range(CLICKS)]
        times = []
        for name in ["L0H8", *names]:
            times.append(book.page.evaluate(CLICK, name))
            book.page.wait_for_timeout(200)  # apart, as hands are; closer together, Nagle's algorithm is measured
            book.do("w.ablated = []; w.wait()")
            book.page.wait_for_timeout(400)
        first_layer = [book.page.evaluate(CLICK, f"L0H{head}") for head in _apart(book, range(8))]
    forward = figure("one plain forward, 14 tokens", "ms", forwards)
    return [
        forward,
        figure("click to painted prediction, heads of all layers", "ms", times[1:], forward.median + 50),
        figure("click to painted prediction, heads of layer 0", "ms", first_layer, forward.median + 50),
    ]


def _apart(book: Notebook, heads: range) -> Iterator[int]:
    for head in heads:
        yield head
        book.page.wait_for_timeout(200)
        book.do("w.ablated = []; w.wait()")
        book.page.wait_for_timeout(400)


def first_paint() -> list[Figure]:
    """The quickstart's cell, run with its model already loaded."""
    times = []
    with _lab() as lab:
        for _ in range(6):
            with lab.notebook(SHOW) as book:
                times.append(book.page.evaluate(FIRST_PAINT))
    return [
        figure("first paint after the cell runs, first widget of a kernel", "ms", times[:1], 1000),
        figure("first paint after the cell runs, later widgets", "ms", times[1:], 1000),
    ]


def hover() -> list[Figure]:
    """The pointer over a head's map of 1,024 tokens, which fills the attention panel, in JupyterLab."""
    show = "w = AttentionWidget(model, 'the' + ' dog' * 1023, panels=['attention'], selected=['L20H0'], shown=['L20H0'])\nw"
    with _lab() as lab, lab.notebook(show) as book:
        book.run_all()
        book.do("w.wait()")
        book.widget.locator("section[aria-label=Attention] canvas").first.wait_for(timeout=60_000)
        frames = hovered(book.page, ".attnwidget section[aria-label=Attention] canvas")
        tokens = book.read("len(w.tokens)")
    return told(f"hover over a map of {tokens:,} × {tokens:,} in JupyterLab, ", frames, FRAME)


def saved_state() -> list[Figure]:
    """What `w` adds to a notebook that is saved with its widgets: the state as JupyterLab writes it, after some use."""
    with _lab(save_widgets=True) as lab, lab.notebook(SHOW) as book:
        book.run_all()
        book.widget.locator("[aria-live=polite]", has_text="%").first.wait_for(timeout=30_000)
        book.do("w.selected = [(layer, 0) for layer in range(12)]; w.shown = ['L5H0']; w.ablated = ['L23H3', 'L1H5', 'L1H7']; w.wait()")
        book.page.wait_for_timeout(1500)
        book.page.evaluate("() => { window.jupyterapp.commands.execute('docmanager:save') }")
        book.page.wait_for_function("!window.jupyterapp.shell.currentWidget.context.model.dirty")
        saved = nbformat.read(book.server.folder / book.name, as_version=4)
    states = saved.metadata.get("widgets")
    if not states:
        raise SystemExit("JupyterLab saved no widget state: the setting for it has another name in this version.")
    return [figure("widget state in the saved notebook", "MB", [len(json.dumps(states).encode()) / MB], 2)]


# -- JupyterLab with a kernel in which the model is loaded ------------------------------------------------------------


class _Lab:
    def __init__(self, browser, server: Server, kernel: Kernel):
        self.browser, self.server, self.kernel = browser, server, kernel

    @contextlib.contextmanager
    def notebook(self, *cells: str) -> Iterator[Notebook]:
        book = open_notebook(self.browser, self.server, list(cells), kernel=self.kernel)
        try:
            yield book
        finally:
            book.close()


@contextlib.contextmanager
def _lab(*, save_widgets: bool = False) -> Iterator[_Lab]:
    from playwright.sync_api import sync_playwright

    program = chromium.find()
    if program is None:
        raise SystemExit(chromium.MISSING)
    with tempfile.TemporaryDirectory() as folder, serve(Path(folder), save_widgets=save_widgets) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=CHROMIUM_FLAGS)
        kernel = Kernel.start(server)
        try:
            kernel.do(LOAD, timeout=300)
            yield _Lab(browser, server, kernel)
        finally:
            kernel.stop()
            browser.close()
