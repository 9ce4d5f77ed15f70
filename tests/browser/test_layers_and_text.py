"""The logit lens and the two texts, as a person uses them, on the real model in a real JupyterLab."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, expect

from ..conftest import PROMPT
from .lab import wait_until
from .test_scores import tab
from .test_widget import HEADS, cell, expect_clean, expect_john, headline

LENS, TEXT = "Layer by layer", "What it says"
ASK = f"w = AttentionWidget(model, {PROMPT!r}, tab='')\nw"


def stream(panel: Locator, name: str) -> Locator:
    return panel.get_by_label(f"{name} text", exact=True)


def words(panel: Locator, name: str) -> list[str]:
    return stream(panel, name).get_by_role("button").all_inner_texts()


def test_the_lens_ends_in_the_answer_and_follows_query_and_ablation(notebook, loaded, shots):
    book = notebook(ASK, kernel=loaded, width=1800)
    view = book.widget
    expect_clean(view)
    panel = tab(view, LENS)
    grid = panel.get_by_role("grid")
    expect(grid.locator("tbody tr")).to_have_count(31, timeout=60_000)
    last = grid.locator("tbody tr").last
    expect(last.locator("td").last).to_have_text("·Mary")
    # the same numbers as in the kernel
    book.do("from attnwidget import logit_lens\nlens = logit_lens(w.run, middle=False)")
    assert last.locator("td").all_inner_texts()[13] == "·Mary"
    assert book.read("lens.top_tokens[int(lens.top_ids[-1, -1, 0])]") == " Mary"
    # a click on a cell asks about that position, and the column beside the table is that position's
    grid.locator("tbody tr").nth(20).locator("td").nth(3).click()
    book.soon("w.query", 3)
    expect(panel.get_by_label("First choices at the query")).to_contain_text("John")
    # so does a click on a token of the prompt
    view.get_by_label("Tokens", exact=True).get_by_role("option").nth(13).click()
    book.soon("w.query", 13)
    panel.get_by_role("checkbox", name="after attention").check()
    expect(grid.locator("tbody tr")).to_have_count(61, timeout=60_000)

    book.do(f"w.ablated = {HEADS}")
    expect_john(view)
    panel.get_by_text("Ablated", exact=True).click()
    expect(grid.locator("tbody tr").last.locator("td").nth(13)).to_have_text("·John", timeout=60_000)
    panel.get_by_text("Difference", exact=True).click()
    expect(grid.locator("tbody tr").last.locator("td").nth(13)).to_have_text(re.compile("Mary.*→.*John"))
    expect(grid).to_contain_text("impact")
    for theme in ("dark", "light"):
        book.set_theme(theme == "dark")
        for width in (1400, 640):
            book.resize_widget(width)
            assert view.evaluate("e => e.scrollWidth - e.clientWidth") <= 1, "the widget scrolls sideways"
            book.shoot(shots / f"lens-{theme}-{width}.png")
        book.resize_widget(1400)
        box, seen = (panel.locator(it).first.bounding_box() for it in (".aw-lens-query", ".aw-lens-scroll"))
        assert box["x"] >= seen["x"] and box["x"] + box["width"] <= seen["x"] + seen["width"] + 1, "the query's column is out of sight"
        book.shoot(shots / f"lens-panel-{theme}.png", panel)


def test_both_texts_come_token_by_token_and_a_token_can_be_opened(notebook, loaded, shots):
    book = notebook(ASK, kernel=loaded, width=1800)
    view = book.widget
    book.do(f"w.ablated = {HEADS}")
    expect_john(view)
    panel = tab(view, TEXT)
    expect(stream(panel, "Control")).to_have_count(0)  # nothing before it is asked for
    panel.get_by_role("spinbutton", name=re.compile("tokens", re.IGNORECASE)).fill("12")
    panel.get_by_role("button", name="Generate", exact=True).click()
    expect(stream(panel, "Control").get_by_role("button")).to_have_count(12, timeout=60_000)
    expect(stream(panel, "Ablated").get_by_role("button")).to_have_count(12, timeout=60_000)
    expect(panel).to_contain_text("diverges here")
    expect(panel).to_contain_text(re.compile("KL"), timeout=60_000)
    book.do("from attnwidget import generate\nsaid = generate(w.run, 12)")
    for side, label in (("control", "Control"), ("ablated", "Ablated")):
        tokens = book.read(f"[step.token for step in said.{side}.steps]")
        shown = words(panel, label)
        assert len(shown) == len(tokens)
        assert all(token.strip() in text for token, text in zip(tokens, shown, strict=True) if token.strip()), (tokens, shown)
    for theme in ("dark", "light"):
        book.set_theme(theme == "dark")
        for width in (1400, 640):
            book.resize_widget(width)
            assert view.evaluate("e => e.scrollWidth - e.clientWidth") <= 1, "the widget scrolls sideways"
            book.shoot(shots / f"text-{theme}-{width}.png")
        book.resize_widget(1400)
        book.shoot(shots / f"text-panel-{theme}.png", panel)
    # a token of the control's text: prompt and text become the prompt, and the lens stands at that token
    ids = book.read("said.ids('control')")
    stream(panel, "Control").get_by_role("button").nth(4).click()
    wait_until(lambda: book.read("list(w.run.ids)") == ids, 30, "prompt and text are the prompt")
    book.soon("[w.query % len(w.tokens), w.tab]", [14 + 4, "lens"])
    expect(view.get_by_role("tabpanel", name=LENS).get_by_role("grid").locator("tbody tr").first).to_be_visible(timeout=60_000)
    view.get_by_role("button", name="Back to the prompt").first.click()
    book.soon("w.prompt", PROMPT)
    expect_john(view)
    assert len(words(tab(view, TEXT), "Ablated")) == 12, "the texts are still there"


def test_a_generation_is_stopped_and_everything_goes_on(notebook, loaded):
    book = notebook(ASK, kernel=loaded)
    view = book.widget
    book.do(f"w.ablated = {HEADS}")
    expect_john(view)
    panel = tab(view, TEXT)
    panel.get_by_role("spinbutton", name=re.compile("tokens", re.IGNORECASE)).fill("400")
    panel.get_by_role("button", name="Generate", exact=True).click()
    expect(stream(panel, "Ablated").get_by_role("button").nth(2)).to_be_visible(timeout=60_000)
    # a click is answered between two tokens
    cell(view, HEADS[0]).click(modifiers=["Alt"])
    expect(headline(view)).to_have_text(re.compile("→ Mary"))
    cell(view, HEADS[0]).click(modifiers=["Alt"])
    expect_john(view)
    panel.get_by_role("button", name="Stop", exact=True).click()
    expect(panel).to_contain_text("stopped")
    book.soon("w.busy", False)
    assert 2 < len(words(panel, "Ablated")) < 400
    panel.get_by_role("spinbutton", name=re.compile("tokens", re.IGNORECASE)).fill("3")
    panel.get_by_role("button", name="Generate", exact=True).click()
    expect(stream(panel, "Ablated").get_by_role("button")).to_have_count(3, timeout=60_000)


def test_messages_are_shown_as_their_template_writes_them(notebook, loaded):
    asked = "[{'role': 'user', 'content': 'Name three fruits.'}]"
    book = notebook(f"w = AttentionWidget(model, {asked}, tab='')\nw", kernel=loaded)
    strip = book.widget.get_by_label("Tokens", exact=True)
    expect(strip).to_contain_text("<|im_start|>")
    expect(strip.locator(".aw-special").first).to_have_attribute("title", re.compile("a special token"))
    assert book.read("w.prompt").endswith("<|im_start|>assistant\n")


def test_a_model_that_predicts_nothing_says_why_there_is_no_lens_and_no_text(notebook, loaded):
    book = notebook("e = AttentionWidget(load_model('minilm'), 'The river bank', tab='lens')\ne", kernel=loaded)
    expect(book.widget.get_by_role("tabpanel", name=LENS)).to_contain_text(re.compile("no unembedding|head"))
    expect(tab(book.widget, TEXT)).to_contain_text("chooses no tokens")
