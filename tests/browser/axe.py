"""Accessibility as axe-core judges it: what a page does that a person without a mouse, or without sight, would be stopped by."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Frame, Page

SCRIPT = Path(__file__).resolve().parents[2] / "js/node_modules/axe-core/axe.min.js"
GRAVE = ("serious", "critical")


def violations(page: Page | Frame, selector: str = ".attnwidget") -> list[str]:
    """What axe-core finds serious or critical within `selector`, a line each: rule, impact, what it says, where, and why there.

    The script is evaluated, not added as an element, so that a page under a strict policy can be asked too. A selector that
    matches nothing is an error: an empty list would read as a clean page.
    """
    if not page.locator(selector).count():
        raise AssertionError(f"axe-core has nothing to judge: no {selector!r} on this page")
    if not page.evaluate("() => typeof window.axe === 'object'"):
        page.evaluate(SCRIPT.read_text(encoding="utf-8") + ";undefined")
    found = page.evaluate(
        "selector => axe.run({ include: [[selector]] }, { resultTypes: ['violations'], elementRef: false })"
        ".then(result => result.violations.map(v => ({ id: v.id, impact: v.impact, help: v.help,"
        " nodes: v.nodes.map(n => ({ at: n.target.flat().join(' '), html: n.html, why: n.failureSummary, impact: n.impact })) })))",
        selector,
    )
    return [_line(rule, node) for rule in found for node in rule["nodes"] if (node["impact"] or rule["impact"]) in GRAVE]


def _line(rule: dict, node: dict) -> str:
    why = " ".join((node["why"] or "").split())
    return f"{rule['id']} ({node['impact'] or rule['impact']}): {rule['help']} | {node['at']} | {node['html'][:160]} | {why}"
