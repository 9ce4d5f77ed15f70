"""Which heads matter, as a person finds it out: estimates that become exact, a ranked list, findings, and a notebook that was saved."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from ..conftest import PROMPT
from .lab import Notebook, wait_for_kernel
from .test_widget import SHOW, cell, headline, off_cells

# Of " Mary" against " John": what the numbers of this model that are printed elsewhere are about.
NAMES = "target=' Mary', against=' John'"
ASK = f"w = AttentionWidget(model, {PROMPT!r}, {NAMES})\nw"
LARGEST = ["L23H3", "L1H5", "L29H1"]
ALL = 30 * 9
# Passes that were made to measure heads, by sweep.
SWEPT = "[sweep._steps for sweep in w._session._sweeps.values()]"
# A sweep of every head takes seconds on an idle machine, and many times that on one that is not.
MEASURED = 120_000


# -- how a person finds things ------------------------------------------------------------------------------------------


def heads(view: Locator) -> Locator:
    """The section over the tabs, with the grid and the line that says how far the measuring has come."""
    return view.get_by_label("Heads", exact=True)


def more(view: Locator) -> Locator:
    return heads(view).get_by_role("button", name=re.compile("^Measure all exactly"))


def said(view: Locator, text: str) -> Locator:
    return heads(view).locator(".aw-badge").get_by_text(re.compile(text))


def expect_measured(view: Locator, count: int = ALL) -> None:
    """Every head measured. A slow machine gives up after a while and offers to go on, so that is asked for there."""
    done = said(view, rf"^exact · {count} of {count}\b")
    expect(done.or_(more(view)).first).to_be_visible(timeout=MEASURED)
    if more(view).is_visible():
        more(view).click()
    expect(done).to_be_visible(timeout=MEASURED)
    expect(view.locator(".aw-stale")).to_have_count(0)


def tab(view: Locator, name: str) -> Locator:
    """Opens a tab, and gives what is in it."""
    button = view.get_by_role("tab", name=name)
    if button.get_attribute("aria-selected") != "true":
        button.click()
    return view.get_by_role("tabpanel", name=name)


def rows(view: Locator) -> Locator:
    return tab(view, "Which heads matter").get_by_role("listbox").get_by_role("option")


def named(text: str) -> re.Pattern[str]:
    return re.compile(rf"^{text}(,|$)")


def lightness(view: Locator, head: str) -> float:
    """Mean over the picture of one head in the grid."""
    return cell(view, head).evaluate(
        """element => {
            const canvas = element.closest(".aw-grid").querySelector("canvas.aw-cells");
            const [frame, box] = [canvas.getBoundingClientRect(), element.getBoundingClientRect()];
            const dpr = canvas.width / frame.width;
            const at = [box.left - frame.left, box.top - frame.top, box.width, box.height].map(x => Math.round(x * dpr));
            const { data } = canvas.getContext("2d").getImageData(...at);
            return data.reduce((sum, x) => sum + x, 0) / data.length;
        }"""
    )


# -- measured ------------------------------------------------------------------------------------------------------------


def test_choosing_nothing_every_head_is_estimated_at_once_measured_soon_and_saved(notebook, loaded):
    book = notebook(SHOW, kernel=loaded, run=False)
    # Every state that is ever on screen, since the first may be gone before anyone can ask for it.
    book.page.evaluate(
        """() => {
            window.seen = [];
            new MutationObserver(() => {
                const badge = document.querySelector('[aria-label="Heads"] .aw-badge')?.textContent;
                const head = document.querySelector('[data-spot="1,5"]')?.getAttribute("aria-label");
                if (badge && head) window.seen.push([badge, head]);
            }).observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true });
        }"""
    )
    book.run_all()
    view = book.widget
    expect_measured(view)
    expect_kl(view)
    cell(view, "L1H5").hover()
    expect(heads(view).locator(".aw-tip")).to_contain_text(re.compile(r"^L1H5.*KL.*0\.243 nats exact · ≈ 0\.\d+"))

    seen = book.page.evaluate("window.seen")
    counted = [int(found[1]) for badge, _ in seen if (found := re.search(r"(\d+) of 270", badge))]
    assert counted == sorted(counted)
    assert counted[0] < ALL == counted[-1]
    assert all(badge.startswith("≈ estimate") for badge, _ in seen if re.search(r"\b(?!270)\d+ of 270", badge)), "a guess looks exact"
    assert any(re.fullmatch(r"L1H5, 0\.\d+ nats, approximate", name) for _, name in seen)

    book.do("from attnwidget import score\nimport numpy as np\nplain, mine = score(w.run.clean), w.scores")
    told = "[[s.method, s.metric, s.mode, s.exact, list(map(str, s.top(3)))] for s in (plain, mine)]"
    assert book.read(told) == [["ablation", "kl", "zero", True, ["L1H5", "L1H3", "L29H1"]]] * 2
    assert book.read("float(np.abs(mine.values - plain.values).max())") < 1e-5
    assert book.read("[round(float(mine.values[at]), 3) for at in [(1, 5), (1, 3), (29, 1)]]") == [0.243, 0.146, 0.128]

    save_with_widgets(book)
    # the next day: another kernel, which knows of no widget
    shutil.copy(book.server.folder / book.name, book.server.folder / f"later-{book.name}")
    book.page.goto(f"{book.server.url}/lab/tree/later-{book.name}?token={book.server.token}&reset")
    wait_for_kernel(book.page)
    expect(said(view, r"^exact · 270 of 270\b.*· as saved$")).to_be_visible(timeout=MEASURED)
    expect_kl(view)
    expect(rows(view).first).to_have_accessible_name(re.compile(r"^L1H5, 0\.243 nats, exact"))
    expect(tab(view, "Which heads matter")).to_contain_text("over 270 heads")
    expect(view.get_by_role("alert")).to_have_count(0)


def expect_kl(view: Locator) -> None:
    expect(cell(view, "L1H5")).to_have_accessible_name(re.compile(r"^L1H5, 0\.243 nats, exact, estimated 0\.\d+$"))
    expect(cell(view, "L1H3")).to_have_accessible_name(re.compile(r"^L1H3, 0\.146 nats, exact"))
    expect(cell(view, "L29H1")).to_have_accessible_name(re.compile(r"^L29H1, 0\.128 nats, exact"))


def save_with_widgets(book: Notebook) -> None:
    """With "Save Widget State Automatically" on, which JupyterLab leaves off."""
    setting = "@jupyter-widgets/jupyterlab-manager:saveWidgetState"
    run = "command => { window.jupyterapp.commands.execute(command) }"
    on = f"window.jupyterapp.commands.isToggled('{setting}')"
    book.page.evaluate(run, setting)
    try:
        book.page.wait_for_function(on)
        book.page.evaluate(run, "docmanager:save")
        book.page.wait_for_function("!window.jupyterapp.shell.currentWidget.context.model.dirty")
    finally:  # the server keeps it for every page
        book.page.evaluate(run, setting)
        book.page.wait_for_function(f"!{on}")


# -- one sweep, and all that is read off it ---------------------------------------------------------------------------------


def test_one_sweep_answers_another_metric_the_list_the_findings_and_the_pictures(notebook, loaded, shots):
    book = notebook(ASK, kernel=loaded, width=1800)
    view = book.widget
    expect_measured(view)
    expect_kl(view)
    book.soon("w.scored.get('metric')", "kl")
    before = book.read(SWEPT)
    assert len(before) == 1
    heads(view).get_by_role("combobox", name="Metric").select_option(label="logit difference")
    expect(cell(view, "L23H3")).to_have_accessible_name(re.compile(r"^L23H3, 3\.04, exact, estimated 2\.60$"))
    expect(cell(view, "L29H0")).to_have_accessible_name(re.compile(r"^L29H0, −1\.28, exact"))
    expect_measured(view)
    book.soon("[w.metric, w.scored['metric']]", ["logit_diff", "logit_diff"])

    _ranked(book)
    _act_on_the_list(book)
    _what_stands_out(book)
    _kinds(book)
    assert book.read(SWEPT) == before
    _pictures(book, shots)


def _ranked(book: Notebook) -> None:
    view = book.widget
    ranking = tab(view, "Which heads matter")
    expect(ranking).to_contain_text("single heads, zero ablation, last token; orange helped, purple hurt")
    expect(rows(view)).to_have_count(16)
    largest = book.read("[str(head) for head in w.scores.top(16, by='size')]")
    for place, head in enumerate(largest):
        expect(rows(view).nth(place)).to_have_accessible_name(named(head))
    assert largest[:3] == LARGEST
    expect(rows(view).first).to_have_accessible_name(re.compile(r"^L23H3, 3\.04, exact, estimated 2\.60$"))
    expect(rows(view).first.locator("i")).to_have_class("aw-effect")
    expect(rows(view).nth(largest.index("L29H0")).locator("i")).to_have_class("aw-hurt")
    expect(ranking.get_by_role("img")).to_have_accessible_name(re.compile(r"270 heads\. Pearson 0\.83, Spearman 0\.91 over 270 heads\."))
    expect(ranking).to_contain_text("Furthest off: L0H8, L0H6 and L0H2.")


def _act_on_the_list(book: Notebook) -> None:
    """A row is the head's cell; the largest few go at once, and come back in one step."""
    view = book.widget
    rows(view).first.click()
    expect(cell(view, "L23H3")).to_have_accessible_name(re.compile("shown large"))
    expect(view.get_by_label("Attention", exact=True)).to_contain_text("0.74")
    book.soon("[list(map(list, w.shown)), list(map(list, w.selected))]", [[[23, 3]], [[23, 3]]])
    rows(view).nth(1).click(modifiers=["Alt"])
    expect(cell(view, "L1H5")).to_have_accessible_name(re.compile("ablated$"))
    expect(headline(view)).to_have_text(re.compile("→ Mary 65%"))
    book.soon("list(map(list, w.ablated))", [[1, 5]])
    expect_measured(view)  # what a head does alone has not changed
    view.get_by_role("button", name="Clear", exact=True).click()
    expect(off_cells(view)).to_have_count(0)

    ranking = tab(view, "Which heads matter")
    ranking.get_by_role("spinbutton", name="How many heads").fill("3")
    ranking.get_by_role("button", name="Ablate", exact=True).click()
    book.soon("sorted(str(head) for head in w.run.ablation.heads)", sorted(LARGEST))
    expect(off_cells(view)).to_have_count(3)
    expect(headline(view)).to_contain_text("→")
    view.get_by_role("button", name="Undo", exact=True).click()
    expect(off_cells(view)).to_have_count(0)
    book.soon("w.ablated", [])


def _what_stands_out(book: Notebook) -> None:
    view = book.widget
    found = tab(view, "What stands out").get_by_role("listitem")
    most = found.filter(has_text="0.243").filter(has_text="L1H5").first
    expect(most).to_contain_text(re.compile(r"“Mary” falls from 92% to 65%"), timeout=MEASURED)
    none = found.filter(has_text="0 of 270 heads")
    expect(none).to_contain_text("“Mary” stays first whichever one is removed alone")
    chip = most.get_by_role("button", name="L1H5", exact=True)
    chip.click()
    expect(chip).to_have_attribute("aria-pressed", "true")
    expect(cell(view, "L1H5")).to_have_accessible_name(re.compile("shown large"))
    book.soon("[list(map(list, w.shown)), list(map(list, w.selected))]", [[[1, 5]], [[23, 3], [1, 5]]])


def _kinds(book: Notebook) -> None:
    view = book.widget
    induction = tab(view, "Kinds of head").get_by_role("region", name="induction", exact=True)
    expect(induction.get_by_role("button", name="L18H6", exact=True)).to_be_visible(timeout=MEASURED)
    expect(induction.get_by_role("list")).to_have_accessible_name(re.compile(r"highest L18H6 with 0\.8\d"))
    induction.get_by_role("button", name="Colour the grid by this").click()
    expect(cell(view, "L18H6")).to_have_accessible_name(re.compile(r"^L18H6, 0\.8\d"), timeout=MEASURED)
    expect(induction.get_by_role("button", name="Colours the grid")).to_have_attribute("aria-pressed", "true")
    book.soon("[w.tab, w.score]", ["kinds", "induction"])
    assert book.read("[str(w.scores.top(1)[0]), w.scores.method]") == ["L18H6", "induction"]
    book.do("w.score = 'ablation'")
    expect(cell(view, "L23H3")).to_have_accessible_name(re.compile(r"^L23H3, 3\.04, exact"))


def _pictures(book: Notebook, shots: Path) -> None:
    """Of every tab, in light and dark, narrow and wide."""
    view = book.widget
    tabs = {"overview": "What stands out", "ranking": "Which heads matter", "kinds": "Kinds of head"}
    for name, label in tabs.items():
        panel = tab(view, label)
        expect(panel.get_by_role("listbox" if name == "ranking" else "listitem").first).to_be_visible(timeout=MEASURED)
        for theme in ("dark", "light"):  # the server remembers the last
            book.set_theme(theme == "dark")
            expect(view).to_have_attribute("data-aw-theme", theme)
            for width in (1400, 640) if theme == "dark" else (640, 1400):
                book.resize_widget(width)
                assert view.evaluate("e => e.clientWidth") == pytest.approx(width, abs=1)
                expect(view.locator(".aw-progress")).to_have_count(0, timeout=MEASURED)
                expect_measured(view)
                assert view.evaluate("e => e.scrollWidth - e.clientWidth") <= 1, f"{label}: the widget scrolls sideways"
                book.shoot(shots / f"scores-{name}-{theme}-{width}.png")
        if name == "overview":  # with heads off it would be about another run, and measured anew
            book.do("w.ablated = ['L23H3', 'L1H5']")
            expect(off_cells(view)).to_have_count(2)


def test_a_filter_cuts_the_list_and_dims_the_others(notebook, loaded):
    book = notebook(ASK.replace(NAMES, "score='output_norm'"), kernel=loaded)
    view = book.widget
    expect(rows(view)).to_have_count(16)
    book.do("norm = w.scores")
    first = book.read("str(norm.top(1)[0])")
    expect(rows(view).first).to_have_accessible_name(named(first))
    expect(heads(view).locator(".aw-progress")).to_have_count(0)  # every picture is there
    last = book.read("str(norm.top(270)[-1])")
    kept, dimmed = lightness(view, first), lightness(view, last)
    ranking = tab(view, "Which heads matter")
    count = book.read("int((norm.values >= 60).sum())")
    assert 1 < count < 16
    least = ranking.get_by_role("textbox", name="at least")
    least.fill("60")
    least.press("Enter")
    expect(rows(view)).to_have_count(count)
    expect(heads(view)).to_contain_text(f"{count} heads of 270: the others are dimmed by the filter.")
    assert lightness(view, first) == pytest.approx(kept, abs=0.5)
    assert lightness(view, last) > dimmed + 2
    heads(view).get_by_role("button", name="Show all").click()
    expect(rows(view)).to_have_count(16)
    assert lightness(view, last) == pytest.approx(dimmed, abs=0.5)


# -- other questions, and a long one ---------------------------------------------------------------------------------------


def test_given_heads_that_are_off_already(notebook, loaded):
    book = notebook(ASK.replace(NAMES, f"{NAMES}, metric='logit_diff', ablated=['L23H3']"), kernel=loaded)
    view = book.widget
    expect(headline(view)).to_have_text(re.compile("→ Mary 87%"))
    heads(view).get_by_role("checkbox", name="given the ablated heads").check()
    book.soon("w.conditional", True)
    expect_measured(view, ALL - 1)
    expect(cell(view, "L1H5")).to_have_accessible_name(re.compile(r"^L1H5, 2\.8\d, exact"))
    expect(cell(view, "L23H3")).to_have_accessible_name("L23H3, undefined, ablated")
    expect(tab(view, "Which heads matter")).to_contain_text("with L23H3 ablated already")
    given = "(w.run.logit_diff(' Mary', ' John') - w.run.clean.ablate(['L23H3', 'L1H5']).logit_diff(' Mary', ' John'))"
    value = book.read(f"float({given})")
    assert value == pytest.approx(2.83, abs=0.01)
    assert book.read("float(w.scores.values[1, 5])") == pytest.approx(value, abs=1e-3)
    assert book.read("[str(w.scores.values[23, 3]), [str(h) for h in w.scores.conditional]]") == ["nan", ["L23H3"]]

    view.get_by_role("button", name="Clear", exact=True).click()
    expect(heads(view).get_by_role("checkbox", name="given the ablated heads")).to_be_disabled()


def test_clicks_are_answered_while_heads_are_measured_and_esc_ends_it(notebook, loaded):
    # Long enough that it is still measured when the last click has been answered, on a fast machine too.
    book = notebook(f"w = AttentionWidget(model, {' '.join([PROMPT] * 10)!r})\nw", kernel=loaded)
    view = book.widget
    measuring = said(view, r"^≈ estimate · measuring \d+ of 270")
    expect(more(view).or_(measuring).first).to_be_visible(timeout=MEASURED)
    # Whether it was still trying or had seen that it would take too long: from here on it takes as long as it takes.
    cell(view, "L1H5").focus()
    book.page.keyboard.press("Escape")
    more(view).click()
    expect(measuring).to_be_visible(timeout=MEASURED)
    before = headline(view).inner_text()
    cell(view, "L23H3").click(modifiers=["Alt"])
    expect(headline(view)).to_have_text(re.compile("→"), timeout=MEASURED)
    cell(view, "L1H5").click()
    expect(view.get_by_label("Attention", exact=True)).to_contain_text("L1H5")
    expect(said(view, r"^≈ estimate · measuring [1-9]\d* of 270")).to_be_visible(timeout=MEASURED)

    book.page.keyboard.press("Escape")
    expect(measuring).to_have_count(0)
    expect(said(view, r"^≈ estimate · [1-9]\d* of 270")).to_be_visible()
    expect(more(view)).to_be_visible()
    book.soon("w.busy", False)
    # what was measured stays, what was not is still estimated, and the rest of the widget lives
    expect(cell(view, "L0H0")).to_have_accessible_name(re.compile(r"^L0H0, [\d.e−]+ nats, exact, estimated"))
    expect(cell(view, "L29H8")).to_have_accessible_name(re.compile(r"^L29H8, [\d.e−]+ nats, approximate"))
    expect(view.get_by_role("alert")).to_have_count(0)
    cell(view, "L23H3").click(modifiers=["Alt"])
    expect(headline(view)).to_have_text(before.strip(), timeout=MEASURED)
    expect(said(view, r"^≈ estimate · \d+ of 270")).to_be_visible()
