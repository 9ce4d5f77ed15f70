"""What a head does from the inside, and what the attention section shows beside attention: on the real model in a real JupyterLab."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, expect

from ..conftest import PROMPT
from .lab import wait_until
from .test_scores import tab
from .test_widget import cell, expect_clean

INSIDE = "Inside a head"
SHOW = f"w = AttentionWidget(model, {PROMPT!r}, tab='', selected=['L23H3', 'L20H0'], shown=['L23H3'])\nw"
# The whole vocabulary is read: seconds on an idle machine, and many times that on one that is not.
SLOW = 300_000
TO, JOHN = 13, 3


def number(text: str) -> float:
    """The first signed number of a text, as it is written: "+1.25", "−0.31"."""
    return float(re.search(r"[+−-]?\d+(\.\d+)?(e−?\d+)?", text)[0].replace("−", "-"))


def near(value: float) -> object:
    """What three figures of it may have rounded to."""
    return pytest.approx(value, rel=6e-3, abs=6e-4)


def drawn(value: float) -> object:
    """What the two decimals of a map may have rounded to."""
    return pytest.approx(value, abs=0.0051)


def inner_map(panel: Locator, part: str) -> Locator:
    return panel.get_by_label(part, exact=True).get_by_role("application")


def go(place: Locator, row: int, column: int) -> None:
    """The cross-hair of a causal map, by keys, to a cell."""
    place.focus()
    for key, times in (("ArrowUp", 14), ("ArrowDown", row), ("Home", 1), ("ArrowRight", column)):
        for _ in range(times):
            place.press(key)


def large(view: Locator) -> Locator:
    return view.get_by_label("Attention", exact=True).locator(".aw-large [role=application]")


# -- inside a head ----------------------------------------------------------------------------------------------------------


def test_scores_and_what_made_them_are_the_kernels_and_a_locked_cell_is_taken_apart(notebook, loaded, shots):
    book = notebook(SHOW, kernel=loaded, width=1800)
    view = book.widget
    expect_clean(view)
    panel = tab(view, INSIDE)
    matched = panel.get_by_label("What it matched", exact=True)
    place = inner_map(panel, "What it matched")
    expect(place).to_have_accessible_name(re.compile("^score of L23H3, less the mean of its row"), timeout=60_000)
    book.do(
        "from attnwidget.analysis.qkscores import qk\nfrom attnwidget.analysis.sources import attention_sources\ns = qk(w.run, 'L23H3')"
    )
    go(place, TO, JOHN)
    read = matched.locator(".aw-inside-read")
    expect(read).to_contain_text("to₂ asks, John offers")
    assert number(read.locator("b").nth(2).inner_text()) == near(book.read(f"float(s.scores[{TO}, {JOHN}] - s.scores[{TO}].mean())"))

    place.press("Enter")
    why = matched.locator(".aw-inside-why")
    expect(why.get_by_role("heading", name="Why did to₂ look at John?")).to_be_visible()
    book.do(f"r = attention_sources(w.run, 'L23H3', {TO}, {JOHN})")
    assert number(why.locator(".aw-inside-sum b").first.inner_text()) == near(book.read("r.score"))
    for i, side in enumerate(("query_side", "key_side")):
        rows = why.locator(".aw-inside-side").nth(i).get_by_role("listitem")
        expect(rows).to_have_count(9)
        first = book.read(f"[(r.components[i], float(r.{side}[i])) for i in [int(abs(r.{side}).argmax())]]")[0]
        name, value = rows.first.locator(".aw-inside-name").inner_text().strip(), rows.first.locator(".aw-inside-value").inner_text()
        assert (name, number(value)) == (first[0], near(first[1]))
        assert sum(number(text) for text in rows.locator(".aw-inside-value").all_inner_texts()) == pytest.approx(
            book.read("r.score"), abs=0.1
        )
    book.shoot(shots / "inside-why.png", matched)

    # The attention map's own lock asks the same question.
    place.press("Enter")
    go(large(view), TO, 4)
    large(view).press("Enter")
    expect(why.get_by_role("heading", name="Why did to₂ look at went?")).to_be_visible()
    large(view).press("Enter")

    # A head that made the score is one click away, and the whole tab is of that one then.
    chip = why.locator(".aw-headchip").first
    other = chip.inner_text().strip()
    chip.click()
    expect(place).to_have_accessible_name(re.compile(f"^score of {other},"), timeout=60_000)
    book.soon("[str(h) for h in w.shown]", [other])

    # With heads off, the scores are of that run.
    cell(view, "L23H3").click()
    expect(place).to_have_accessible_name(re.compile("^score of L23H3,"), timeout=60_000)
    book.do("w.ablated = ['L1H5']")
    expect(matched.locator(".aw-inside-plot .aw-foot")).to_contain_text("With L1H5 ablated", timeout=60_000)
    go(place, TO, JOHN)
    book.do("s = qk(w.run, 'L23H3')")
    assert number(read.locator("b").nth(2).inner_text()) == near(book.read(f"float(s.scores[{TO}, {JOHN}] - s.scores[{TO}].mean())"))


def test_what_the_weights_say(notebook, loaded, shots):
    book = notebook(SHOW, kernel=loaded, width=1800)
    view = book.widget
    expect_clean(view)
    panel = tab(view, INSIDE)
    written = panel.get_by_label("What it then writes", exact=True)
    place = inner_map(panel, "What it then writes")
    expect(place).to_have_accessible_name(re.compile("^What L23H3 writes"), timeout=SLOW)
    book.do(
        "from attnwidget.analysis.ovcircuit import ov\n"
        "o = ov(model, 'L23H3', [int(i) for i in dict.fromkeys(w.run.ids)], less_mean=True, k=5)"
    )
    assert number(written.locator(".aw-inside-copying").inner_text().removeprefix("Copying score")) == near(book.read("o.copying"))
    rows = written.get_by_role("row")
    expect(rows).to_have_count(13)  # 12 different tokens, and the head
    assert rows.nth(4).get_by_role("rowheader").inner_text() == "·John"
    token, _, value = book.read("[[t, i, v] for t, i, v in o.promoted[3]]")[0]
    first = rows.nth(4).locator(".aw-inside-tokens").first.locator("> span").first.inner_text()
    assert first.replace("·", " ").startswith(token) and number(first[len(token) :]) == near(value)
    written.get_by_role("button", name="as table").click()
    table = written.get_by_role("region", name=re.compile("as table$")).get_by_role("table")
    assert number(table.locator("tbody tr").nth(3).locator("td").nth(3).inner_text()) == drawn(book.read("float(o.block[3, 3])"))
    written.get_by_role("button", name="as table").click()

    panel.get_by_text("Which heads feed it, and which it feeds").click()
    feeds = panel.locator("details").first
    expect(feeds.get_by_role("listitem")).to_have_count(18, timeout=SLOW)
    layers = {int(name[1 : name.index("H")]) for name in feeds.locator(".aw-headchip").all_inner_texts()}
    assert max(layers) < 23
    feeds.get_by_role("button", name="who reads L23H3").click()
    layers = {int(name[1 : name.index("H")]) for name in feeds.locator(".aw-headchip").all_inner_texts()}
    assert min(layers) > 23

    panel.get_by_text("What it looks for, whatever the prompt").click()
    weights = panel.locator("details").nth(1)
    expect(weights.locator(".aw-inside-pairs tbody tr")).to_have_count(8, timeout=SLOW)
    expect(weights.get_by_role("img", name=re.compile("distances 0 to 16"))).to_be_visible()
    expect(weights.get_by_role("slider", name="Tokens between query and key")).to_be_visible()
    for theme in ("dark", "light"):
        book.set_theme(theme == "dark")
        for width in (1400, 640):
            book.resize_widget(width)
            assert view.evaluate("e => e.scrollWidth - e.clientWidth") <= 1, "the widget scrolls sideways"
            book.shoot(shots / f"inside-{theme}-{width}.png", panel)


# -- the attention section ----------------------------------------------------------------------------------------------------


def most(view: Locator) -> tuple[str, float]:
    """What the large map says of its query: the key it is largest at, and the value."""
    label = large(view).get_attribute("aria-label")
    found = re.search(r"to₂ (?:looks most at|is largest at) (\S+), (.*)\.$", label)
    if found is None:  # not there yet
        return "", float("nan")
    return found[1].rstrip("₂"), number(found[2])


def test_attention_weighted_by_what_is_moved_as_lines_and_made_of_many(notebook, loaded, shots):
    book = notebook(SHOW, kernel=loaded, width=1800)
    view = book.widget
    expect_clean(view)
    section = view.get_by_label("Attention", exact=True)
    expect(large(view)).to_have_accessible_name(re.compile("^Attention of L23H3 over 14 tokens"), timeout=60_000)
    book.do(
        "from attnwidget.analysis.valueweights import value_weighted\nfrom attnwidget.analysis.aggregates import *\n"
        "from attnwidget.analysis.score import score"
    )
    quantity = section.get_by_role("group", name="Quantity")
    expected = {
        "A·‖v‖": ("Attention × ‖v‖", "value_weighted(w.run, 'L23H3', 'v_norm').values[0][13]"),
        "A·‖v W_O‖": ("Attention × ‖v W_O‖", "value_weighted(w.run, 'L23H3').values[0][13]"),
        "signed": ("Signed contribution", "value_weighted(w.run, 'L23H3', 'signed').values[0][13]"),
    }
    for button, (name, row) in expected.items():
        quantity.get_by_role("button", name=button, exact=True).click()
        expect(large(view)).to_have_accessible_name(re.compile(f"^{re.escape(name)} of L23H3 over 14 tokens.*largest at"), timeout=60_000)
        key, value = most(view)
        best = book.read(f"int(abs({row}).argmax())")
        assert (key, value) == (book.read(f"w.tokens[{best}].strip()"), drawn(book.read(f"float({row}[{best}])")))
    direct = book.read("float(score(w.run, 'direct_logit').values[23, 3])")
    assert number(section.locator(".aw-large .aw-made b").first.inner_text()) == near(direct)
    book.shoot(shots / "attention-signed.png", section)
    quantity.get_by_role("button", name="cos z", exact=True).click()
    expect(large(view)).to_have_accessible_name(re.compile("^Cosine of z of L23H3"), timeout=60_000)

    # An ablated head moves nothing that could be weighed; the others still do.
    quantity.get_by_role("button", name="A·‖v W_O‖", exact=True).click()
    book.do("w.ablated = ['L20H0']")
    without = book.read("float(value_weighted(w.run, 'L23H3').values[0][13].max())")
    wait_until(lambda: most(view)[1] == drawn(without), 60, f"the map of the run without L20H0 has {without}", lambda: str(most(view)))
    expect(section.get_by_role("alert")).to_have_count(0)
    book.do("w.ablated = []")

    section.get_by_role("button", name="lines", exact=True).click()
    book.soon("w.attention_view", "lines")
    expect(section.locator(".aw-large canvas").first).to_be_visible()
    expect(section.locator("[data-stale=true]")).to_have_count(0, timeout=60_000)
    book.shoot(shots / "attention-lines.png", section)
    section.get_by_role("button", name="maps", exact=True).click()

    for choice, label, made in (
        ("attention rollout", "attention rollout, layers 0 to 29", "attention_rollout(w.run)"),
        ("mean of the layer shown", "mean of layer 23", "mean_attention(w.run, layers=23)"),
        ("mean of the selected heads", "mean of 2 selected heads", "mean_attention(w.run, ['L23H3', 'L20H0'])"),
    ):
        section.get_by_label("What is drawn large").select_option(choice)
        expect(large(view)).to_have_accessible_name(re.compile(f"^{label} over 14 tokens.*looks most at"), timeout=60_000)
        assert most(view)[1] == drawn(book.read(f"float({made}.values[13].max())"))
        expect(section).to_contain_text(book.read(f"{made}.caution"))
    book.shoot(shots / "attention-mean.png", section)
