"""The widget as a person meets it: JupyterLab, a real model, a mouse, a keyboard, and the next cell."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, expect

from ..conftest import PROMPT
from .lab import Notebook, wait_for_kernel

HEADS = ["L23H3", "L1H5", "L1H7"]
PAIRS = [[23, 3], [1, 5], [1, 7]]
LOAD = "from attnwidget import AttentionWidget, load_model\nmodel = load_model('smollm2-135m')"
SHOW = f"w = AttentionWidget(model, {PROMPT!r})\nw"


# -- how a person finds things in a view --------------------------------------------------------------------------------


def cell(view: Locator, head: str) -> Locator:
    return view.get_by_role("gridcell", name=re.compile(rf"^{head}(,|$)"))


def headline(view: Locator) -> Locator:
    return view.get_by_label("Ablation and prediction").locator("[aria-live=polite]").first


def candidate(view: Locator, token: str) -> Locator:
    return view.get_by_role("button", name=re.compile(rf'^"{token}",'))


def off_cells(view: Locator) -> Locator:
    return view.get_by_role("gridcell", name=re.compile(r", ablated$"))


def expect_clean(view: Locator) -> None:
    expect(headline(view)).to_have_text(re.compile(r"^\s*Mary 92%\s*$"))
    expect(off_cells(view)).to_have_count(0)


def expect_john(view: Locator) -> None:
    """The answer without the three heads, as the design states it."""
    expect(headline(view)).to_have_text(re.compile(r"^\s*Mary 92%\s*→\s*John 38%\s*$"))
    expect(candidate(view, " Mary")).to_have_accessible_name(re.compile(r"clean 92%, rank 1, ablated 11%, rank 2"))
    expect(candidate(view, " John")).to_have_accessible_name(re.compile(r"ablated 38%, rank 1"))
    expect(view.get_by_role("row", name=re.compile(r"^KL\(clean ‖ ablated\)"))).to_contain_text("1.85 nats")
    expect(off_cells(view)).to_have_count(3)
    for head in HEADS:
        expect(cell(view, head)).to_have_accessible_name(re.compile("ablated$"))


def expect_john_in_kernel(book: Notebook, w: str = "w") -> None:
    book.soon(f"sorted(map(list, {w}.ablated))", sorted(PAIRS))
    assert book.read(f"float({w}.run.kl())") == pytest.approx(1.85, abs=0.01)
    assert book.read(f"float({w}.run.probability(' John'))") == pytest.approx(0.38, abs=0.005)
    assert book.read(f"float({w}.run.probability(' Mary'))") == pytest.approx(0.11, abs=0.005)
    assert book.read(f"float({w}.run.clean.probability(' Mary'))") == pytest.approx(0.92, abs=0.005)
    assert book.read(f"{w}.run.top(2).token.tolist()") == [" John", " Mary"]


# -- "Done means" ---------------------------------------------------------------------------------------------------


def test_three_heads_off_by_mouse(notebook):
    book = notebook(LOAD, SHOW)
    view = book.widget
    expect_clean(view)
    expect(view.get_by_role("gridcell")).to_have_count(30 * 9)
    expect(view.locator(".aw-brow").first).to_have_accessible_name(re.compile('^" Mary".*clean 92%, rank 1$'))
    assert book.read("len(w.tokens)") == 14
    assert book.read("w.tokens[0]") == "When"

    for number, head in enumerate(HEADS, 1):
        cell(view, head).click(modifiers=["Alt"])
        expect(off_cells(view)).to_have_count(number)
        if number < 3:
            expect(headline(view)).to_have_text(re.compile("→ Mary"))
    expect_john(view)
    expect_john_in_kernel(book)

    # and back on, the same way
    for head in HEADS:
        cell(view, head).click(modifiers=["Alt"])
    expect_clean(view)
    book.soon("w.ablated", [])
    assert book.read("float(w.run.kl())") == 0


def test_three_heads_off_by_trait(notebook, loaded):
    book = notebook(SHOW, kernel=loaded)
    view = book.widget
    expect_clean(view)
    for head in HEADS:
        book.do(f"w.ablated = ['{head}']")
        expect(off_cells(view)).to_have_count(1)
        expect(headline(view)).to_have_text(re.compile("→ Mary"))  # no single head does it
    book.do("w.ablated = ['L23H3', (1, 5), '1.7']")
    expect_john(view)
    expect_john_in_kernel(book)
    book.do("w.mode = 'mean'")
    expect(headline(view)).to_have_text(re.compile(r"→ Mary 86%"))
    book.do("w.mode = 'zero'; w.ablated = []")
    expect_clean(view)


def test_pictures_in_light_and_dark_narrow_and_wide(notebook, loaded, shots):
    cells = SHOW.replace(f"{PROMPT!r}", f"{PROMPT!r}, ablated={HEADS}, selected={[*HEADS, 'L20H0', 'L29H1']}, shown=['L20H0']")
    book = notebook(cells, kernel=loaded, width=1800)
    view = book.widget
    expect_john(view)
    for theme in ("dark", "light"):  # the server remembers the last
        book.set_theme(theme == "dark")
        expect(view).to_have_attribute("data-aw-theme", theme)
        for width in (1400, 640):
            book.resize_widget(width)
            assert view.evaluate("e => e.clientWidth") == pytest.approx(width, abs=1)
            assert view.evaluate("e => e.scrollWidth - e.clientWidth") <= 1, "the widget scrolls sideways"
            expect_john(view)
            expect(view.locator(".aw-stale")).to_have_count(0)
            book.shoot(shots / f"lab-{theme}-{width}.png")


# -- Python and the page are one ------------------------------------------------------------------------------------


def test_what_is_clicked_is_read_and_what_is_set_is_shown(notebook, loaded):
    book = notebook(SHOW, kernel=loaded)
    view = book.widget
    expect_clean(view)
    cell(view, "L23H3").click()
    expect(cell(view, "L23H3")).to_have_attribute("aria-selected", "true")
    book.soon("list(map(list, w.selected))", [[23, 3]])
    book.soon("list(map(list, w.shown))", [[23, 3]])
    # its attention from the last token: the second " John", 0.74
    assert book.read("float(w.run.pattern('L23H3')[-1, 9])") == pytest.approx(0.74, abs=0.005)
    expect(view.get_by_label("Attention", exact=True)).to_contain_text("0.74")

    book.do("w.selected = ['L20H0', 'L29H1']; w.shown = ['L29H1']; w.query = 3")
    expect(cell(view, "L20H0")).to_have_attribute("aria-selected", "true")
    expect(cell(view, "L23H3")).to_have_attribute("aria-selected", "false")
    expect(cell(view, "L29H1")).to_have_accessible_name(re.compile("shown large"))
    book.do("w.target = ' the'; w.against = ' his'")
    expect(candidate(view, " the")).to_have_accessible_name(re.compile("target"))
    expect(candidate(view, " his")).to_have_accessible_name(re.compile("foil"))


def test_a_wrong_value_raises_in_python_and_changes_nothing(notebook, loaded):
    book = notebook(SHOW, kernel=loaded)
    expect_clean(book.widget)
    book.do("w.ablated = ['L1H5']")
    expect(off_cells(book.widget)).to_have_count(1)
    for wrong in ("w.ablated = ['L99H0']", "w.mode = 'off'", "w.position = 14", "w.prompt = ''", "w.target = ' no such token'"):
        book.do(f"try:\n    {wrong}\n    said = None\nexcept ValueError as error:\n    said = str(error)")
        assert book.read("said"), wrong
    assert book.read("[list(map(list, w.ablated)), w.mode, w.position, w.prompt, w.target]") == [[[1, 5]], "zero", -1, PROMPT, ""]
    expect(headline(book.widget)).to_have_text(re.compile("→ Mary 65%"))


def test_two_widgets_on_one_model_are_apart(notebook, loaded):
    book = notebook(
        f"a = AttentionWidget(model, {PROMPT!r})\na",
        "b = AttentionWidget(model, 'The capital of France is')\nb",
        kernel=loaded,
    )
    expect(book.widgets).to_have_count(2)
    first, second = book.widgets.nth(0), book.widgets.nth(1)
    expect_clean(first)
    expect(headline(second)).to_have_text(re.compile("Paris"))
    before = headline(second).inner_text()
    book.do(f"a.ablated = {HEADS}")
    cell(second, "L0H0").click(modifiers=["Alt"])
    expect_john(first)
    expect(headline(second)).to_contain_text("→")
    expect(off_cells(second)).to_have_count(1)
    expect_john_in_kernel(book, "a")
    book.soon("list(map(list, b.ablated))", [[0, 0]])
    book.do("b.ablated = []")
    expect(headline(second)).to_have_text(before.strip())
    expect_john(first)


def test_two_views_of_one_widget_stay_in_step(notebook, loaded):
    book = notebook(SHOW, "w", kernel=loaded)
    first, second = book.widgets.nth(0), book.widgets.nth(1)
    expect_clean(first)
    expect_clean(second)
    for head in HEADS:
        cell(second, head).click(modifiers=["Alt"])
    expect_john(first)
    expect_john(second)
    # undo is the widget's, whichever view it is asked in
    first.get_by_role("button", name="Undo", exact=True).click()
    expect(off_cells(second)).to_have_count(2)
    expect(off_cells(first)).to_have_count(2)
    # one view goes away, the other lives on
    book.page.locator(".jp-Notebook .jp-CodeCell").nth(0).click(position={"x": 150, "y": 12})
    book.page.evaluate("() => { window.jupyterapp.commands.execute('notebook:clear-cell-output') }")
    expect(book.widgets).to_have_count(1)
    first.get_by_role("button", name="Redo", exact=True).click()
    expect_john(book.widget)


def test_linked_widgets_ablate_together(notebook, loaded):
    book = notebook(
        f"import ipywidgets\na = AttentionWidget(model, {PROMPT!r})\nb = AttentionWidget(model, {PROMPT!r})\n"
        "link = ipywidgets.link((a, 'ablated'), (b, 'ablated'))\na",
        "b",
        kernel=loaded,
    )
    first, second = book.widgets.nth(0), book.widgets.nth(1)
    expect_clean(second)
    for head in HEADS:
        cell(first, head).click(modifiers=["Alt"])
    expect_john(first)
    expect_john(second)
    second.get_by_role("button", name="Clear", exact=True).click()
    expect_clean(first)
    book.soon("[a.ablated, b.ablated]", [[], []])


def test_a_reloaded_page_shows_what_was_there(notebook, loaded):
    book = notebook(SHOW, kernel=loaded)
    book.do(f"w.ablated = {HEADS[1:]}; w.selected = ['L20H0']; w.shown = ['L20H0']")
    expect(headline(book.widget)).to_contain_text("→")
    # by a click, so that what the kernel said last on this comm was said for a page that goes
    cell(book.widget, HEADS[0]).click(modifiers=["Alt"])
    expect_john(book.widget)
    book.page.evaluate("() => { window.jupyterapp.commands.execute('docmanager:save') }")
    book.page.wait_for_function("!window.jupyterapp.shell.currentWidget.context.model.dirty")
    book.page.reload()
    wait_for_kernel(book.page)
    expect_john(book.widget)
    expect(cell(book.widget, "L20H0")).to_have_attribute("aria-selected", "true")
    for head in HEADS:
        cell(book.widget, head).click(modifiers=["Alt"])
    expect_clean(book.widget)


def test_clicks_are_answered_while_a_cell_runs(notebook, loaded):
    book = notebook(SHOW, "import time\ndef wait(): time.sleep(6)", kernel=loaded)
    expect_clean(book.widget)
    cell(book.widget, "L0H0").click()  # the first message of all may be taken by the main thread
    book.soon("list(map(list, w.selected))", [[0, 0]])
    book.do("w.wait()")  # clicks during a sweep have a test of their own, in test_scores.py
    busy = book.kernel.client.execute("wait(); ended = time.time()")
    for head in HEADS:
        cell(book.widget, head).click(modifiers=["Alt"])
    expect_john(book.widget)
    answered = book.page.evaluate("Date.now() / 1000")
    book.kernel.client.get_shell_msg(timeout=30)
    assert busy
    assert answered < book.read("ended"), "the answer came only after the cell had ended"


# -- the prompt -------------------------------------------------------------------------------------------------------


def test_a_new_prompt_is_typed_and_run(notebook, loaded):
    book = notebook(SHOW, kernel=loaded)
    view = book.widget
    expect_clean(view)
    book.do(f"w.ablated = {HEADS}")
    expect_john(view)
    prompt = view.get_by_role("textbox", name="Prompt")
    prompt.fill("The capital of France is")
    prompt.press("Enter")
    expect(headline(view)).to_have_text(re.compile("Paris .*→"))
    expect(off_cells(view)).to_have_count(3)
    assert book.read("w.prompt") == "The capital of France is"
    assert book.read("w.tokens") == ["The", " capital", " of", " France", " is"]
    tokens = view.get_by_label("Tokens", exact=True)
    expect(tokens).to_contain_text("France")
    expect(tokens).not_to_contain_text("Mary")


@pytest.mark.parametrize(("text", "said"), [("", "prompt"), ("word " * 9000, "8,192")], ids=["empty", "too long"])
def test_a_prompt_that_cannot_be_run_says_so_and_keeps_everything(text, said, notebook, loaded):
    book = notebook(SHOW, kernel=loaded)
    view = book.widget
    book.do(f"w.ablated = {HEADS}")
    expect_john(view)
    prompt = view.get_by_role("textbox", name="Prompt")
    prompt.fill(text)
    view.get_by_role("button", name="Run", exact=True).click()
    alert = view.get_by_label("Prompt", exact=True).get_by_role("alert")
    expect(alert).to_contain_text(re.compile(said, re.IGNORECASE))
    expect_john(view)
    expect(prompt).to_have_value(text)
    assert book.read("w.prompt") == PROMPT
    expect_john_in_kernel(book)
    # and the way out is open
    prompt.fill("The capital of France is")
    view.get_by_role("button", name="Run", exact=True).click()
    expect(headline(view)).to_contain_text("Paris")
    expect(alert).to_have_count(0)


def test_tokens_are_visible_repeats_are_numbered_and_a_click_asks(notebook, loaded):
    book = notebook("w = AttentionWidget(model, 'to be or not\\n to be', selected=['L5H6'], shown=['L5H6'])\nw", kernel=loaded)
    view = book.widget
    strip = view.get_by_label("Tokens", exact=True)
    expect(strip).to_contain_text("↵")
    expect(strip).to_contain_text("·be2")
    strip.get_by_text("or", exact=False).first.click()
    book.soon("w.tokens[w.query]", " or")


# -- hands ------------------------------------------------------------------------------------------------------------


def test_by_keyboard_alone(notebook, loaded):
    book = notebook(SHOW, "1", kernel=loaded)
    view, keys = book.widget, book.page.keyboard
    expect_clean(view)
    cells = book.page.locator(".jp-Notebook .jp-Cell").count()
    view.get_by_role("textbox", name="Prompt").focus()
    for _ in range(25):
        keys.press("Tab")
        if book.page.evaluate("document.activeElement.getAttribute('role')") == "gridcell":
            break
    else:
        pytest.fail("25 times Tab does not lead from the prompt into the grid")

    def focused() -> str:
        return book.page.evaluate("document.activeElement.getAttribute('aria-label') ?? ''")

    def go(layer: int, head: int) -> None:
        keys.press("Home")
        keys.press("PageUp")
        for _ in range(layer):
            keys.press("ArrowRight")
        for _ in range(head):
            keys.press("ArrowDown")
        assert focused().startswith(f"L{layer}H{head}")

    for layer, head in PAIRS:
        go(layer, head)
        keys.press("a")
        expect(cell(view, f"L{layer}H{head}")).to_have_accessible_name(re.compile("ablated$"))
    expect_john(view)
    expect_john_in_kernel(book)
    keys.press("Control+z")
    expect(off_cells(view)).to_have_count(2)
    keys.press("Control+Shift+z")
    expect_john(view)
    keys.press("c")
    expect_clean(view)
    keys.press("Enter")
    book.soon("list(map(list, w.selected))", [[1, 7]])
    keys.press("[")
    book.soon("w.query % len(w.tokens)", 12)
    # JupyterLab has other plans for these keys; none of them may have reached it
    assert book.page.locator(".jp-Notebook .jp-Cell").count() == cells
    assert focused().startswith("L1H7")


def test_headers_act_on_rows_and_columns(notebook, loaded):
    book = notebook(SHOW, kernel=loaded)
    view = book.widget
    expect_clean(view)
    view.get_by_role("columnheader", name="Layer 5", exact=True).click(modifiers=["Alt"])
    expect(off_cells(view)).to_have_count(9)
    book.soon("sorted(map(list, w.ablated))", [[5, head] for head in range(9)])
    view.get_by_role("rowheader", name="Head 2", exact=True).click(modifiers=["Alt"])
    expect(off_cells(view)).to_have_count(9 + 29)
    view.get_by_role("button", name="Clear", exact=True).click()
    view.get_by_role("columnheader", name="Layer 7", exact=True).click()
    book.soon("sorted(map(list, w.selected))", [[7, head] for head in range(9)])


def test_a_drag_selects_a_rectangle(notebook, loaded):
    book = notebook(SHOW, kernel=loaded)
    view = book.widget
    expect_clean(view)
    start, end = cell(view, "L3H1").bounding_box(), cell(view, "L5H2").bounding_box()
    mouse = book.page.mouse
    mouse.move(start["x"] + 5, start["y"] + 5)
    mouse.down()
    mouse.move(end["x"] + 5, end["y"] + 5, steps=8)
    mouse.up()
    book.soon("sorted(map(list, w.selected))", [[layer, head] for layer in (3, 4, 5) for head in (1, 2)])
    expect_clean(view)


def test_mode_chosen_in_the_view_is_undone_and_redone(notebook, loaded):
    book = notebook(SHOW, kernel=loaded)
    view = book.widget
    book.do(f"w.ablated = {HEADS}")
    expect_john(view)
    view.get_by_role("combobox", name="Ablation mode").select_option("uniform")
    expect(headline(view)).to_have_text(re.compile("→ Mary 84%"))
    book.soon("w.mode", "uniform")
    view.get_by_role("button", name="Undo", exact=True).click()
    expect_john(view)
    view.get_by_role("button", name="Redo", exact=True).click()
    book.soon("w.mode", "uniform")
    assert book.read("float(w.run.kl())") == pytest.approx(0.0574, abs=0.0005)


def test_any_token_can_be_asked_for(notebook, loaded):
    book = notebook(SHOW, kernel=loaded)
    view = book.widget
    expect_clean(view)
    target = view.get_by_role("textbox", name="Target token").or_(view.get_by_role("combobox", name="Target token"))
    target.fill(" Elizabeth")
    target.press("Enter")
    book.soon("w.target", " Elizabeth")
    target.fill("no such token at all")
    target.press("Enter")
    expect(view.get_by_role("alert")).to_contain_text("no such token at all")
    assert book.read("w.target") == " Elizabeth"


# -- another kind of model --------------------------------------------------------------------------------------------


def test_an_encoder_shows_its_attention_and_says_that_it_predicts_nothing(notebook, loaded):
    book = notebook("e = AttentionWidget(load_model('minilm'), 'The river bank', selected=['L2H3'], shown=['L2H3'])\ne", kernel=loaded)
    view = book.widget
    expect(view.get_by_role("gridcell")).to_have_count(6 * 12)
    expect(view).to_contain_text("no head that predicts")
    cell(view, "L0H0").click(modifiers=["Alt"])
    book.soon("list(map(list, e.ablated))", [[0, 0]])
    expect(cell(view, "L0H0")).to_have_accessible_name(re.compile("ablated$"))
