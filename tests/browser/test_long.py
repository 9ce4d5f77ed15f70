"""Thousands of tokens and thousands of heads: what a gesture touches is counted, since a time on a shared machine says nothing."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from attnwidget.widget.state import TABS

from .lab import Notebook
from .test_widget import cell

TOKENS = 2040
LONG = f"from tests.small import small_model\nlong = small_model(n_ctx=2048)\ntext = 'the cat sat on the mat ' * {TOKENS // 6}"
# The statistic is read off the clean run; a sweep of ablations would go on beside the gestures.
LOOK = "score='output_norm', cell_view='patterns'"
ASK = f"v = AttentionWidget(long, text, selected=['L0H1', 'L1H2', 'L3H3'], shown=['L1H2'], tab='', {LOOK})\nv"

# What a gesture touched: pictures drawn by class of their canvas, changes of the page by section, messages to the kernel.
COUNT = """() => {
  const seen = window.seen = { drawn: {}, changed: {}, sent: 0 };
  const proto = CanvasRenderingContext2D.prototype, clear = proto.clearRect, put = proto.putImageData, send = WebSocket.prototype.send;
  const drawn = ({ canvas }) => {
    if (canvas.closest('.attnwidget')) seen.drawn[canvas.className] = (seen.drawn[canvas.className] ?? 0) + 1;
  };
  proto.clearRect = function (...a) { drawn(this); return clear.apply(this, a); };
  proto.putImageData = function (...a) { drawn(this); return put.apply(this, a); };
  WebSocket.prototype.send = function (data) {
    const text = typeof data === 'string' ? data : new TextDecoder().decode(data);
    if (text.includes('comm_msg')) seen.sent += 1;
    return send.call(this, data);
  };
  const parts = ['aw-tokens', 'aw-gridpanel', 'aw-answer', 'aw-small-pic', 'aw-most', 'aw-readout', 'aw-att'];
  new MutationObserver((records) => {
    for (const { target, type, addedNodes } of records) {
      const of = target.nodeType === 3 ? target.parentElement : target;
      const part = parts.find((name) => of?.closest('.' + name)) ?? 'other';
      seen.changed[part] = (seen.changed[part] ?? 0) + 1;
      const made = [...addedNodes].filter((node) => node.nodeType === 1).length;
      if (made) seen.changed[part + ' made'] = (seen.changed[part + ' made'] ?? 0) + made;
    }
  }).observe(document.querySelector('.attnwidget'), { subtree: true, childList: true, attributes: true, characterData: true });
}"""


def counted(book: Notebook) -> dict:
    """What was touched since the last time."""
    book.page.wait_for_timeout(250)
    return book.page.evaluate(
        "() => { const was = structuredClone(seen); Object.assign(seen, {drawn: {}, changed: {}, sent: 0}); return was; }"
    )


def nodes(book: Notebook, selector: str) -> int:
    return book.page.evaluate("s => document.querySelectorAll(s).length", selector)


def test_two_thousand_tokens(notebook, loaded):
    loaded.do(LONG)
    book = notebook(ASK, kernel=loaded, height=1700)
    view, page = book.widget, book.page
    expect(view.locator(".aw-att[data-ready=true] .aw-most li").first).to_be_visible(timeout=60_000)
    book.do("v.wait()")
    expect(view.get_by_role("progressbar")).to_have_count(0, timeout=60_000)
    assert book.read("len(v.run.tokens)") == TOKENS
    page.evaluate(COUNT)

    # the pointer moves over the large map: the picture under it is not drawn again, nothing outside the section changes, nobody is asked
    large = view.get_by_role("application")
    large.scroll_into_view_if_needed()
    box = large.bounding_box()
    counted(book)
    for step in range(40):
        at = (step + 1) / 42
        page.mouse.move(box["x"] + box["width"] * at * 0.5, box["y"] + box["height"] * at)
    found = counted(book)
    assert found["drawn"].get("aw-map-over", 0) > 10, found
    assert set(found["drawn"]) <= {"aw-map-over", "aw-magnifier"}, found
    assert not set(found["changed"]) & {"aw-tokens", "aw-gridpanel", "aw-answer", "aw-small-pic", "other"}, found
    assert found["sent"] == 0

    # the text: each token once and hardly anything else, by keyboard to both ends
    strip = view.get_by_role("listbox", name=re.compile("^Tokens"))
    strip.scroll_into_view_if_needed()
    assert nodes(book, ".aw-long [role=option]") == TOKENS
    assert nodes(book, ".aw-long *") <= TOKENS + TOKENS // 90
    strip.focus()
    page.mouse.move(1, 1)
    for key, at in (("Home", 0), ("End", TOKENS - 1), ("ArrowLeft", TOKENS - 2)):
        counted(book)
        page.keyboard.press(key)
        book.soon("v.query", at)
        option = strip.get_by_role("option", selected=True)
        expect(option).to_have_attribute("data-i", str(at))
        assert strip.get_attribute("aria-activedescendant") == option.get_attribute("id")
        frame, spot = strip.bounding_box(), option.bounding_box()
        assert frame["y"] <= spot["y"] and spot["y"] + spot["height"] <= frame["y"] + frame["height"], "the query is out of sight"
        found = counted(book)
        assert found["changed"].get("aw-tokens made", 0) == 0
        assert found["sent"] > 0, "messages are not counted"
    expect(strip.get_by_role("option", selected=True)).to_have_text("the")

    # and a saved notebook stays small, though one of these maps alone is 16 MB
    assert book.read("len(__import__('json').dumps(v.get_state(), default=lambda b: 'x' * (4 * len(b) // 3)))") < 2e6


def test_five_thousand_heads(notebook, loaded):
    loaded.do("from tests.small import small_model\ndeep = small_model(n_ctx=64, layers=80, heads=64, width=128)")
    book = notebook(f"d = AttentionWidget(deep, 'the cat sat on ' * 10, tab='lens', {LOOK})\nd", kernel=loaded)
    view, page = book.widget, book.page
    grid = view.get_by_role("grid", name=re.compile("^Heads, 80 layers by 64"))
    expect(grid.get_by_role("gridcell")).to_have_count(5120, timeout=60_000)
    assert nodes(book, ".aw-gridbox canvas") == 2

    # by keyboard to the last head and back to the first; what has the focus is in sight
    cell(view, "L0H0").focus()
    for keys, name in ((("End", "PageDown"), "L79H63"), (("Home", "PageUp"), "L0H0")):
        for key in keys:
            page.keyboard.press(key)
        expect(cell(view, name)).to_be_focused()
        expect(cell(view, name)).to_be_in_viewport()
    page.keyboard.press("Enter")
    book.soon("list(map(list, d.selected))", [[0, 0]])

    # the lens: 81 points by 40 tokens, of which what is on screen is written, wherever that is
    table = view.get_by_role("grid", name=re.compile("^First choice"))
    expect(table).to_be_visible(timeout=60_000)
    assert nodes(book, ".aw-lens-sheet td:not(.aw-lens-impact)") == 81 * 40
    first = "tbody tr:nth-child({}) td:nth-of-type({})"
    written = "() => [...document.querySelectorAll('.aw-lens-sheet td')].filter(e => e.textContent).length"
    assert page.evaluate(written) < 81 * 40 * 0.75
    table.locator("[tabindex='0']").focus()
    for keys, place in ((("PageUp", "ArrowDown", "Home"), (1, 1)), (("End",), (1, 40)), (("PageDown", "ArrowUp"), (80, 40))):
        for key in keys:
            page.keyboard.press(key)
        spot = table.locator(first.format(*place))
        expect(spot).to_be_focused()
        expect(spot).not_to_be_empty()
        expect(spot).to_be_in_viewport()

    # and every other tab says something, and rests once what takes long is cancelled
    panel = view.get_by_role("tabpanel")
    busy = panel.locator("[role=progressbar], [aria-busy=true]")
    for tab in TABS:
        book.do(f"d.tab = {tab!r}")
        expect(panel).to_have_text(re.compile(".{10}", re.S), timeout=60_000)
        for _ in range(100):
            if not busy.count():
                break
            book.do("d.cancel()")
            page.wait_for_timeout(300)
        expect(busy).to_have_count(0)
        assert nodes(book, ".aw-tabpanel *") < 30_000, tab
