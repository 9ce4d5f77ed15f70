"""Accessibility as axe-core judges it: what a page does that a person without a mouse, or without sight, would be stopped by."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import Frame, Page

SCRIPT = Path(__file__).resolve().parents[2] / "js/node_modules/axe-core/axe.min.js"
GRAVE = ("serious", "critical")
_JUDGE = """async selector => {
    const { violations, passes } = await axe.run({ include: [[selector]] }, { elementRef: false });
    const read = [...passes, ...violations].filter(rule => rule.id === "color-contrast").flatMap(rule => rule.nodes);
    return {
        texts: read.filter(node => !/^<(input|select|textarea)/.test(node.html)).length,
        found: violations.flatMap(rule => rule.nodes.map(node => ({
            id: rule.id, help: rule.help, impact: node.impact ?? rule.impact,
            at: node.target.flat().join(" "), html: node.html, why: node.failureSummary ?? "",
        }))),
    };
}"""


def violations(page: Page | Frame, selector: str = ".attnwidget") -> list[str]:
    """What axe-core finds serious or critical within `selector`, a line each: rule, impact, what it says, where, and why there.

    The script is evaluated, not added as an element, so that a page under a strict policy can be asked too. A selector that
    matches nothing, or text of which no contrast could be judged, is an error: an empty list would read as a clean page.
    """
    if not page.locator(selector).count():
        raise AssertionError(f"axe-core has nothing to judge: no {selector!r} on this page")
    if not page.evaluate("() => typeof window.axe === 'object'"):
        page.evaluate(SCRIPT.read_text(encoding="utf-8") + ";undefined")
    with _in_sight(page, selector):
        judged = page.evaluate(_JUDGE, selector)
    if not judged["texts"]:
        raise AssertionError(f"axe-core saw no text in {selector!r}: an element around it clips it away")
    return [_line(node) for node in judged["found"] if node["impact"] in GRAVE]


@contextlib.contextmanager
def _in_sight(page: Page | Frame, selector: str) -> Iterator[None]:
    """axe-core takes for invisible what an ancestor clips: all that is scrolled away, and in JupyterLab, whose body has no height, all."""
    window = page.page if isinstance(page, Frame) else page
    size = window.viewport_size or {"width": 1400, "height": 1000}
    top, height = page.locator(selector).first.evaluate("e => [e.getBoundingClientRect().top + scrollY, e.scrollHeight]")
    before = page.evaluate("() => [document.body.style.height, document.body.style.height = '100vh'][0]")
    window.set_viewport_size({"width": size["width"], "height": max(size["height"], round(max(0, top) + height) + 320)})
    page.locator(selector).first.scroll_into_view_if_needed()
    page.wait_for_timeout(250)
    try:
        yield
    finally:
        window.set_viewport_size(size)
        page.evaluate("height => { document.body.style.height = height }", before)


def _line(node: dict) -> str:
    why = " ".join(node["why"].split())
    return f"{node['id']} ({node['impact']}): {node['help']} | {node['at']} | {node['html'][:160]} | {why}"
