"""axe-core on every state of the widget: nothing serious or critical, light and dark, narrow and wide."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from playwright.sync_api import Locator, expect

from .axe import violations
from .lab import Notebook
from .test_accessibility import ASK, LOOKED_AT, SMALL, TABS
from .test_widget import cell


def press(within: Locator, name: str) -> None:
    within.get_by_role("button", name=name, exact=True).click()


def entered(field: Locator, text: str) -> None:
    field.fill(text)
    field.press("Enter")


def generated(panel: Locator) -> None:
    press(panel, "Generate")
    expect(panel.get_by_label("Ablated text", exact=True).get_by_role("button").first).to_be_visible()
    expect(panel.get_by_role("button", name="Generate", exact=True)).to_be_visible(timeout=60_000)


def studied(panel: Locator) -> None:
    entered(panel.get_by_label("Another token"), "zebra")
    press(panel, "Run")
    expect(panel.get_by_role("img").or_(panel.get_by_role("list", name="What is proved")).first).to_be_visible(timeout=60_000)


def circuited(panel: Locator) -> None:
    for label, word in (("Word to swap", "cat"), ("Word to swap it with", "dog")):
        entered(panel.get_by_label(label, exact=True), word)
    press(panel, "Run")
    expect(panel.get_by_role("toolbar", name=re.compile("^Circuit:"))).to_be_visible(timeout=60_000)
    expect(panel.get_by_role("button", name="Run", exact=True)).to_be_visible(timeout=60_000)
    press(panel, "as table")


def compared(panel: Locator) -> None:
    panel.get_by_label("Second prompt").fill("the dog sat on the mat")
    press(panel, "Compare")
    row = panel.get_by_role("grid", name=re.compile("Every head")).locator("tbody tr").first
    expect(row).to_be_visible(timeout=60_000)
    row.click()


DONE: dict[str, Callable[[Locator], None]] = {"generation": generated, "study": studied, "circuit": circuited, "compare": compared}
OTHER_LOOKS = {
    "lines": "s.attention_view = 'lines'",
    "change": "s.attention_view, s.attention_kind, s.aggregate = 'maps', 'change', 'mean'",
}


def states(book: Notebook, work: bool) -> Iterator[str]:
    """Puts the widget into one state after another, and names it; `work`: what is done on a button is done, else it is there already."""
    yield "all tabs closed"
    for name, label in TABS.items():
        book.do(f"s.tab = {name!r}")
        panel = book.widget.get_by_role("tabpanel", name=label)
        expect(panel).to_be_visible()
        if work:
            if name in DONE:
                yield f"{label}, before it is asked"
                DONE[name](panel)
            book.do("s.wait()")
        yield label
    for look, code in OTHER_LOOKS.items():
        book.do(code)
        yield f"attention, {look}"
    book.do("s.attention_kind, s.aggregate, s.tab = 'raw', '', ''")


def found_in(book: Notebook, states: Iterator[str]) -> dict[str, list[str]]:
    found = {}
    for state in states:
        expect(book.widget.locator(".aw-progress")).to_have_count(0, timeout=60_000)
        if grave := violations(book.page):
            found[state] = grave
    return found


def test_nothing_grave_in_any_tab_light_or_dark_narrow_or_wide(notebook, loaded):
    loaded.do(SMALL)
    book = notebook(ASK, kernel=loaded, width=1800)
    expect(book.widget.get_by_role("gridcell")).to_have_count(16)
    found, work = {}, True
    for theme in ("dark", "light"):
        book.set_theme(theme == "dark")
        for width in (1400, 640):
            book.resize_widget(width)
            found |= {f"{theme}, {width} px, {state}": grave for state, grave in found_in(book, states(book, work)).items()}
            work = False
    assert found == {}


def test_nothing_grave_in_errors_progress_and_other_models(notebook, loaded):
    loaded.do(SMALL)
    long = "the cat sat on the mat " * 50
    book = notebook(
        ASK,
        "e = AttentionWidget(subject('bert-base').model, 'the cat sat', shown=['L1H1'])\ne",
        f"b = AttentionWidget(subject('bert-classifier').model, 'the cat sat', {LOOKED_AT})\nb",
        f"l = AttentionWidget(small, {long!r}, {LOOKED_AT})\nl",
        "n = AttentionWidget(small)\nn",
        kernel=loaded,
    )
    expect(book.widgets).to_have_count(5)
    view, page = book.widget, book.page
    for one in ("s", "e", "b", "l"):
        book.do(f"{one}.wait()")
    page.wait_for_timeout(500)
    found = {"other models, long and empty prompts": violations(page)}

    entered(view.get_by_label("Target token"), "no such token at all")
    view.get_by_role("textbox", name="Prompt").fill("cat " * 500)
    press(view, "Run")
    book.do("s.set_state({'mode': 'nonsense'})")
    expect(view.get_by_role("alert")).to_have_count(3)
    found["errors"] = violations(page)

    book.do("s.lock.acquire()")  # the worker waits, as it does for a forward of many seconds
    try:
        cell(view, "L0H0").click(modifiers=["Alt"])
        expect(view.get_by_role("progressbar").first).to_be_visible()
        found["progress"] = violations(page)
    finally:
        book.do("s.lock.release()")
    expect(view.get_by_role("progressbar")).to_have_count(0)
    assert {state: grave for state, grave in found.items() if grave} == {}
