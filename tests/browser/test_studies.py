"""Which set of heads does it, as a person finds it out on the real model in a real JupyterLab: asked, watched, stopped, ablated."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, expect

from ..conftest import PROMPT
from .test_scores import MEASURED, tab
from .test_widget import cell, expect_clean, headline, off_cells

WHICH = "Which set does it"
ASK = f"w = AttentionWidget(model, {PROMPT!r}, tab='')\nw"
# Logit of John less the largest other one, without `heads`: by a run of its own, and not by the study.
MARGIN = (
    "def margin(heads):\n"
    "    logits = (w.run.clean.ablate(heads) if heads else w.run.clean).logits_at().double()\n"
    "    others = logits.clone()\n"
    "    others[model.token_id(' John')] = -float('inf')\n"
    "    return float((logits - others.max())[model.token_id(' John')])"
)


def chips(panel: Locator) -> list[str]:
    """The heads of the set that is shown."""
    return panel.get_by_label("The set", exact=True).locator(".aw-headchip").all_inner_texts()


def press(panel: Locator, name: str) -> None:
    panel.get_by_role("button", name=name, exact=True).click()


def choose(panel: Locator, token: str) -> None:
    field = panel.get_by_label("Another token")
    field.fill(token)
    field.press("Enter")


def test_a_set_is_found_with_its_certificate_and_becomes_what_is_ablated(notebook, loaded, shots):
    book = notebook(ASK, kernel=loaded, width=1800)
    view = book.widget
    expect_clean(view)
    panel = tab(view, WHICH)
    expect(panel).to_contain_text("zero ablation at all positions")
    choose(panel, "John")
    expect(panel.get_by_role("button", name="Run", exact=True)).to_be_enabled()
    press(panel, "Run")
    proof = panel.get_by_role("list", name="What is proved")
    expect(proof).to_be_visible(timeout=MEASURED)
    expect(panel.get_by_role("heading")).to_have_text(re.compile("set that makes “John” the answer$"))
    heads = chips(panel)
    assert heads

    # What the page says is what the session holds, and is so in runs of their own.
    assert book.read("[str(head) for head in w.study.heads]") == heads
    book.do(MARGIN)
    found = book.read("w.study.found.margin")
    assert found > 0
    assert book.read(f"margin({heads!r})") == pytest.approx(found, abs=1e-3)
    expect(panel.get_by_label("The set", exact=True)).to_contain_text(f"→ {found:.2f}")
    for head in heads:
        assert book.read(f"margin({[one for one in heads if one != head]!r})") <= 0, f"{head} is not needed"
    said = book.read("[(one.proved, one.text) for one in w.study.certificate]")
    shown = proof.get_by_role("listitem")
    expect(shown).to_have_count(len(said))
    for i, (proved, text) in enumerate(said):
        expect(shown.nth(i)).to_have_text(f"{'Proved' if proved else 'Not proved'}: {text}")
    expect(panel.get_by_role("img")).to_have_accessible_name(re.compile(f"the found set has {len(heads)} head"))
    for theme in ("dark", "light"):
        book.set_theme(theme == "dark")
        for width in (1400, 640):
            book.resize_widget(width)
            assert view.evaluate("e => e.scrollWidth - e.clientWidth") <= 1, "the widget scrolls sideways"
            chosen, bar = view.get_by_role("tab", name=WHICH).bounding_box(), view.get_by_role("tablist").bounding_box()
            assert bar["x"] <= chosen["x"] and chosen["x"] + chosen["width"] <= bar["x"] + bar["width"] + 1, "the open tab is out of sight"
            book.shoot(shots / f"study-{theme}-{width}.png")
        book.resize_widget(1400)
        book.shoot(shots / f"study-panel-{theme}.png", panel)

    press(panel, "Show these heads")
    book.soon("set(map(str, w.selected)) >= set(map(str, w.study.heads))", True)
    press(panel, "Ablate this set")
    expect(headline(view)).to_have_text(re.compile(r"^\s*Mary 92%\s*→\s*John \d+%\s*$"))
    expect(off_cells(view)).to_have_count(len(heads))
    book.soon("[sorted(map(str, w.ablated)), w.run.top(1).token.tolist()]", [sorted(heads), [" John"]])
    expect(panel).to_contain_text("This set is ablated now.")
    expect(panel.locator(".aw-stale")).to_have_count(0)
    expect(panel.get_by_role("button", name="Run", exact=True)).to_be_disabled()
    # One step, with the keyboard where it is.
    book.page.keyboard.press("Control+z")
    expect_clean(view)
    expect(panel.get_by_role("button", name="Run", exact=True)).to_be_enabled()
    # Another intervention: the answer stays, and says what it is for.
    cell(view, next(one for one in (f"L0H{i}" for i in range(9)) if one not in heads)).click(modifiers=["Alt"])
    expect(panel).to_contain_text("Computed with no head off before.")
    expect(panel.locator(".aw-stale")).to_have_count(1)
    assert chips(panel) == heads


def test_a_study_is_stopped_with_what_it_has_and_clicks_are_answered_meanwhile(notebook, loaded):
    book = notebook(ASK, kernel=loaded)
    view = book.widget
    expect_clean(view)
    panel = tab(view, WHICH)
    press(panel, "whatever moves it most")
    press(panel, "Run")
    points = panel.locator(".aw-point")
    expect(points.nth(1)).to_be_visible(timeout=MEASURED)
    cell(view, "L23H3").click(modifiers=["Alt"])
    expect(headline(view)).to_have_text(re.compile("→ Mary"))
    cell(view, "L23H3").click(modifiers=["Alt"])
    expect_clean(view)
    press(panel, "Cancel")
    expect(panel).to_contain_text("Stopped")
    book.soon("w.busy", False)
    had = points.count()
    assert had >= 2
    assert book.read("[w.study.verdict, len(w.study.sizes) + 1 >= 2]") == [None, True]
    assert chips(panel)
    # Nothing was lost, and the next one runs.
    view.get_by_role("tab", name="What it says").click()
    expect(tab(view, WHICH).locator(".aw-point")).to_have_count(had)
    choose(panel, "Mary")
    expect(panel).to_contain_text("“Mary” is the answer now")
    expect(panel.get_by_role("button", name="Run", exact=True)).to_be_disabled()


def test_a_model_that_predicts_nothing_says_why_there_is_no_study(notebook, loaded):
    book = notebook("e = AttentionWidget(load_model('minilm'), 'The river bank', tab='study')\ne", kernel=loaded)
    expect(book.widget.get_by_role("tabpanel", name=WHICH)).to_contain_text("no head that predicts")
