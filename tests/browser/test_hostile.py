"""Hostile names, tokens and messages in a real page: they are there to be read, and nothing of them acts."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect

from attnwidget import AttentionWidget
from attnwidget.widget.state import TABS

from ..conftest import ROOT
from ..hostile import NAME, TEXTS, hostile_model

PROMPT = " ".join(text for text in TEXTS if not re.search(r"\s", text))
ERROR = "<img src=x onerror=window.__pwned=1> is no head: <pwned-element>"
LOAD = f"""
import sys
sys.path.insert(0, {str(ROOT)!r})
from IPython.display import display
from attnwidget import AttentionWidget, logit_lens
from attnwidget.analysis import outcome
from tests.hostile import TEXTS, hostile_model
w = AttentionWidget(hostile_model(), {PROMPT!r}, ablated=["L1H1"], selected=["L2H0"])
w
"""
SHOW = "display(outcome(w.run), logit_lens(w.run, k=2), w.run.to_frame(), w.scores)"


def nothing_acted(page: Page) -> None:
    assert page.evaluate("window.__pwned") is None
    for wrong in (
        "pwned-element",
        "img[src=x]",
        "svg[onload]",
        "[onerror]",
        "[onmouseover]",
        "[onfocus]",
        "iframe[src^=javascript]",
        "base",
    ):
        assert page.locator(wrong).count() == 0, wrong


def every_panel(view: Locator, page: Page) -> None:
    """Opens each, waits for what it shows, and looks at what the pointer brings up."""
    tabs = view.locator(".aw-tabbar").get_by_role("tab")
    expect(tabs).to_have_count(len(TABS))
    for i in range(tabs.count()):
        tabs.nth(i).click()
        panel = view.get_by_role("tabpanel")
        expect(panel).to_be_visible()
        expect(panel.locator("[role=progressbar], [aria-busy=true]")).to_have_count(0, timeout=30_000)
        nothing_acted(page)
    for over in (".aw-tokens [role=option]", "section[aria-label=Attention] canvas", ".aw-gridbox [role=gridcell]"):
        view.locator(over).first.hover()
        nothing_acted(page)


def test_in_a_notebook(notebook):
    book = notebook(LOAD, SHOW)
    expect(book.widget.get_by_role("gridcell", name=re.compile("^L1H1"))).to_have_accessible_name(re.compile("ablated$"))
    expect(book.widget).to_contain_text(NAME)
    for text in ("<pwned-element>", "&lt;pwned-element&gt;", "&#60;pwned-element&#62;", "{{constructor", "${window.__pwned=1}"):
        assert text in book.page.locator(".jp-Notebook").inner_text(), text
    nothing_acted(book.page)
    book.do(f"w.error = {ERROR!r}")
    expect(book.widget).to_contain_text(ERROR)
    every_panel(book.widget, book.page)
    book.widget.get_by_role("button", name="Export", exact=True).click()
    expect(book.widget.get_by_label("Export", exact=True)).to_be_visible()
    nothing_acted(book.page)


def test_on_a_page(disk, tmp_path):
    w = AttentionWidget(hostile_model(), PROMPT, ablated=["L1H1"], selected=["L2H0"])
    page = disk(w.to_html(tmp_path / "hostile.html"))
    expect(page.locator(".attnwidget").first).to_contain_text(NAME)
    assert NAME in page.title(), "the name is text, all of it"
    nothing_acted(page)
    every_panel(page.locator("body"), page)
