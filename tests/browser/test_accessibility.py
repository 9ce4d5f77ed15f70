"""Without a mouse, without sight, without colours or motion: the quickstart by keyboard, and what names say. axe-core: `test_axe.py`."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, expect

from ..conftest import PROMPT
from .lab import Notebook
from .test_widget import cell, expect_clean, headline, off_cells

# Random weights, so that every tab's work is done at once; what is shown has the same form as with a real model.
SMALL = "from tests.small import small_model\nfrom tests.models import subject\nsmall = small_model(n_ctx=400)"
LOOKED_AT = "ablated=['L1H1', 'L2H0'], selected=['L1H1', 'L2H0'], shown=['L1H1'], tab=''"
ASK = f"s = AttentionWidget(small, 'the cat sat on the mat', {LOOKED_AT})\ns"
TABS = {
    "overview": "What stands out",
    "ranking": "Which heads matter",
    "kinds": "Kinds of head",
    "lens": "Layer by layer",
    "generation": "What it says",
    "study": "Which set does it",
    "circuit": "Circuit",
    "compare": "Two prompts",
    "inside": "Inside a head",
}


# -- by keyboard alone ----------------------------------------------------------------------------------------------------


def focused(book: Notebook) -> str:
    """What is said of what has the focus."""
    name = "e => e.getAttribute('aria-label') ?? e.querySelector('.aw-vh')?.textContent ?? e.textContent"
    return book.page.evaluate(f"({name})(document.activeElement)")


def tab_to(book: Notebook, name: str) -> None:
    """The Tab key until what has the focus is named so; each stop must be seen, and lie within the widget."""
    passed = []
    for _ in range(60):
        book.page.keyboard.press("Tab")
        passed.append(focused(book))
        inside, ring = book.page.evaluate(
            "(e => [Boolean(e.closest('.attnwidget')), getComputedStyle(e).outlineStyle !== 'none' || e.matches('[role=listbox]')])"
            "(document.activeElement)"
        )
        assert inside, f"the focus left the widget before {name}: {passed}"
        assert ring, f"nothing shows that {passed[-1]!r} has the focus"
        if re.search(name, passed[-1]):
            return
    pytest.fail(f"60 times Tab does not lead to {name!r}: {passed}")


def test_the_quickstart_by_keyboard_alone(notebook, loaded):
    book = notebook("q = AttentionWidget(model)\nq", kernel=loaded)
    view, keys = book.widget, book.page.keyboard
    expect(view.get_by_role("note")).to_contain_text("Type a prompt")
    view.get_by_role("textbox", name="Prompt").focus()  # by Tab from the cell above in a real notebook
    keys.type(PROMPT)
    keys.press("Enter")
    expect_clean(view)
    said = headline(view)
    expect(said).to_have_attribute("aria-live", "polite")
    expect(said).to_have_attribute("aria-atomic", "true")

    # a head is reached, looked at, and switched off; the answer is said
    tab_to(book, "^L0H0")
    keys.press("End")
    for key, times in (("ArrowLeft", 6), ("ArrowDown", 3)):
        for _ in range(times):
            keys.press(key)
    assert focused(book).startswith("L23H3")
    keys.press("Enter")
    book.soon("list(map(list, q.selected))", [[23, 3]])
    expect(cell(view, "L23H3")).to_have_attribute("aria-selected", "true")
    keys.press("a")
    book.soon("list(map(list, q.ablated))", [[23, 3]])
    after = book.read("f\"{100 * float(q.run.probability(' Mary')):.0f}%\"")
    expect(said).to_have_text(re.compile(rf"^\s*Mary 92%\s*→\s*Mary {after}\s*same answer"))
    assert focused(book).startswith("L23H3") and focused(book).endswith("ablated")

    # another answer is asked about, by a candidate's row
    tab_to(book, '^" Mary",')
    keys.press("ArrowDown")
    assert re.search('" John"', focused(book))
    keys.press("Enter")
    book.soon("q.target", " John")
    expect(view.get_by_role("button", name=re.compile('^" John", target,'))).to_be_focused()

    # a tab is reached and opened; the arrows move along the bar and open nothing
    tab_to(book, f"^({'|'.join(TABS.values())})$")
    keys.press("Home")
    for _ in range(3):
        keys.press("ArrowRight")
    assert focused(book) == "Layer by layer"
    assert book.read("q.tab") == "ranking"
    keys.press("Enter")
    book.soon("q.tab", "lens")
    expect(view.get_by_role("tabpanel", name="Layer by layer").get_by_role("grid")).to_be_visible(timeout=60_000)

    # what was done to the model is undone; what is looked at stays
    keys.press("Control+z")
    book.soon("[len(q.ablated), q.target, q.tab]", [0, " John", "lens"])
    expect_clean(view)


def test_no_tab_holds_the_focus_for_ever(notebook, loaded):
    loaded.do(SMALL)
    book = notebook(ASK, "1", kernel=loaded)
    expect(book.widget.get_by_role("gridcell")).to_have_count(16)
    for name, label in TABS.items():
        book.do(f"s.tab = {name!r}; s.wait()")
        book.widget.get_by_role("tab", name=label).focus()
        for _ in range(80):
            book.page.keyboard.press("Tab")
            if not book.page.evaluate("Boolean(document.activeElement.closest('.attnwidget'))"):
                break
        else:
            pytest.fail(f"Tab does not lead out of {label!r}; the focus is on {focused(book)!r}")


# -- what is said ----------------------------------------------------------------------------------------------------------


NAMED = "textbox, button, checkbox, combobox, spinbutton, slider, option, gridcell, tab, progressbar, listbox, grid, img, application"


def test_regions_and_controls_say_what_they_are(notebook, loaded):
    loaded.do(SMALL)
    book = notebook(ASK, kernel=loaded)
    view = book.widget
    expect(off_cells(view)).to_have_count(2)
    regions = ["Prompt", "Tokens", "Heads", "Ablation and prediction", "Attention", "Maps of 2 selected heads", "Findings"]
    assert [r.get_attribute("aria-label") for r in view.locator("section").all() if r.is_visible()] == regions
    expect(view.get_by_role("listbox", name=re.compile("^Tokens")).get_by_role("option", name="mat", selected=True)).to_have_count(1)
    expect(view.get_by_role("grid", name=re.compile("^Heads, 4 layers by 4"))).to_be_visible()
    expect(cell(view, "L1H1")).to_have_accessible_name(re.compile("^L1H1, .*shown large, selected, ablated$"))
    expect(view.get_by_role("group", name=re.compile("most probable tokens"))).to_be_visible()
    expect(view.get_by_role("application", name=re.compile("L1H1.*mat.*looks"))).to_be_visible()
    expect(view.get_by_role("tablist", name="Findings")).to_be_visible()
    for name, label in TABS.items():
        book.do(f"s.tab = {name!r}; s.wait()")
        expect(view.get_by_role("tabpanel", name=label)).to_be_visible()
        snapshot = view.aria_snapshot()
        nameless = [line.strip() for line in snapshot.splitlines() if re.match(rf"\s*- ({NAMED.replace(', ', '|')})( \[|:?$)", line)]
        assert not nameless, f"{label}: {nameless}"


# -- without motion, without colours -----------------------------------------------------------------------------------------


def moving(view: Locator) -> list[str]:
    """Elements that would move: their animations, and transitions of more than the theme probe's millisecond."""
    return view.evaluate(
        """root => [...root.querySelectorAll("*")].filter(e => {
            const style = getComputedStyle(e);
            return style.animationName !== "none" || style.transitionDuration.split(",").some(t => parseFloat(t) > 0.001);
        }).map(e => e.className)"""
    )


def test_nothing_moves_where_motion_is_not_wanted(notebook, loaded):
    loaded.do(SMALL)
    book = notebook(ASK, kernel=loaded)
    view = book.widget
    expect(off_cells(view)).to_have_count(2)
    book.do("s.lock.acquire()")
    try:
        cell(view, "L0H0").click(modifiers=["Alt"])
        expect(view.get_by_role("progressbar").first).to_be_visible()
        assert moving(view), "bars and the open progress line move where nobody minds"
        book.page.emulate_media(reduced_motion="reduce")
        assert moving(view) == []
    finally:
        book.do("s.lock.release()")


def test_what_colours_say_is_there_where_colours_are_forced(notebook, loaded, shots):
    loaded.do(SMALL)
    book = notebook(ASK, kernel=loaded)
    view = book.widget
    expect(off_cells(view)).to_have_count(2)
    book.do("s.wait()")
    book.page.emulate_media(forced_colors="active")
    try:
        book.shoot(shots / "forced-colors.png")
        # each of these is a colour elsewhere: what is off, selected, shown, pressed, open, focused
        cell(view, "L1H1").focus()
        marks = {
            "an ablated head": view.locator(".aw-off").first.evaluate("e => getComputedStyle(e, '::before').borderTopStyle"),
            "a focused head": cell(view, "L1H1").evaluate("e => getComputedStyle(e).outlineStyle"),
            "the open tab": view.get_by_role("tab", name="Which heads matter").evaluate("e => getComputedStyle(e).borderBottomStyle"),
        }
        assert {what for what, style in marks.items() if style == "none"} == set()
        assert view.locator("canvas.aw-cells").evaluate("e => getComputedStyle(e).forcedColorAdjust") == "none"
    finally:
        book.page.emulate_media(forced_colors="none")
