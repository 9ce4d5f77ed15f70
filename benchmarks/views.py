"""Size, first paint and hover of one attention page, ours beside CircuitsVis's and BertViz's: `python -m benchmarks views`.

For each number of heads and tokens the same patterns are made into a file by each (`peers.py`), which Chromium opens from disk, in a
profile of its own.

- size: bytes of the file. That of text beyond `WHOLE` values is that of one head, times the heads;
- first paint: from the start of the navigation to the second frame after its picture is there, `PATIENCE` at most. Of ours also from when
  its data is unpacked;
- hover: the pointer goes over the largest picture (`hovering.py`).

A file of more than `OPENED` bytes is not opened: Chromium takes no script of over 512 MB.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from playwright.sync_api import Browser, Error, Page, TimeoutError, sync_playwright

from attnwidget import AttnWidgetError
from tests.browser import chromium
from tests.browser.lab import CHROMIUM_FLAGS

from . import peers
from .figures import Figure, figure
from .hovering import FRAME, hovered, told

LENGTHS = (32, 128, 512, 1024)
HEADS = (12, 144)
MB = 1e6
OPENED = 256 * MB
WHOLE = 13_000_000
PATIENCE = 60_000

_WATCH = """
const whole = Response.prototype.arrayBuffer;
Response.prototype.arrayBuffer = async function () {
  const bytes = await whole.call(this);
  window.__unpacked = performance.now();
  return bytes;
};
addEventListener("DOMContentLoaded", () => {
  const look = () => {
    if (!(%s)) return requestAnimationFrame(look);
    requestAnimationFrame(() => requestAnimationFrame(() => { window.__painted = performance.now(); }));
  };
  requestAnimationFrame(look);
});
"""


def views(lengths: tuple[int, ...] = LENGTHS, heads: tuple[int, ...] = HEADS) -> list[Figure]:
    found: list[Figure] = []
    absent = peers.missing()
    with tempfile.TemporaryDirectory() as folder, _browser() as browser:
        for count in heads:
            for length in lengths:
                values, tokens = peers.attention(count, length), peers.words(length)
                for peer in peers.PEERS:
                    where = f"{count} heads × {length} tokens: {peer.name}, "
                    if peer.name == "BertViz" and absent:
                        found.append(figure(where + "size", "MB", [], note=absent))
                        continue
                    found += _one(browser, Path(folder) / "page.html", where, peer, values, tokens)
    return found


def _one(browser: Browser, file: Path, where: str, peer: peers.Peer, values: np.ndarray, tokens: list[str]) -> list[Figure]:
    if peer.text and values.size > WHOLE:
        one = len(peer.make(values[:1, :1], tokens).encode()) * values.shape[0] * values.shape[1]
        return [figure(where + "size", "MB", [one / MB], note="from one head"), *_unopened(where, one)]
    try:
        text = peer.make(values, tokens)
    except AttnWidgetError as error:
        return [figure(where + "size", "MB", [], note=str(error))]
    file.write_text(text, encoding="utf-8")
    size = file.stat().st_size
    sizes = [figure(where + "size", "MB", [size / MB])]
    if size > OPENED:
        return [*sizes, *_unopened(where, size)]
    painted, drawn, frames, note = [], [], [], ""
    for _ in range(3):
        with _opened(browser, file, peer) as page:
            try:
                page.wait_for_function("() => window.__painted", timeout=PATIENCE)
            except TimeoutError:
                note = f"nothing painted within {PATIENCE // 1000} s"
                break
            except Error as error:
                note = f"the page failed: {error.message.splitlines()[0][:120]}"
                break
            painted.append(page.evaluate("window.__painted"))
            if peer.name == "ours":
                drawn.append(page.evaluate("window.__painted - window.__unpacked"))
            if not frames:
                frames = hovered(page, peer.target)
        if painted[-1] > 10_000:
            break  # once is enough
    found = [*sizes, figure(where + "first paint", "ms", painted, note=note)]
    if drawn:
        budget = 300 if values.shape[:3] == (12, 12, 512) else None
        found.append(figure(where + "first paint, from when the data is unpacked", "ms", drawn, budget))
    return found + told(where + "hover, ", frames, FRAME if peer.name == "ours" else None, note)


def _unopened(where: str, size: float) -> list[Figure]:
    return [figure(where + what, "ms", [], note=f"not opened: {size / MB:,.0f} MB") for what in ("first paint", "hover, frame to frame")]


@contextmanager
def _opened(browser: Browser, file: Path, peer: peers.Peer) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1400, "height": 1000})

    def answer(route) -> None:
        copy = peers.served(route.request.url)
        route.fulfill(path=copy, content_type="text/javascript") if copy else route.abort()

    try:
        context.route(lambda url: url.startswith("http"), answer)
        page = context.new_page()
        page.add_init_script(_WATCH % peer.painted)
        page.goto(file.as_uri(), wait_until="commit", timeout=PATIENCE)
        yield page
    finally:
        context.close()


@contextmanager
def _browser() -> Iterator[Browser]:
    program = chromium.find()
    if program is None:
        raise SystemExit(chromium.MISSING)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=CHROMIUM_FLAGS)
        try:
            yield browser
        finally:
            browser.close()
