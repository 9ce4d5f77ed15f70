"""The widget when everything happens at once: gestures faster than answers, cells that use the model, kernels and connections that go."""

from __future__ import annotations

import os
import re
import signal
from dataclasses import replace
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Locator, Page, expect

from ..conftest import PROMPT
from .lab import Kernel, Notebook, Server, open_notebook, wait_until
from .listening import heard, listen
from .relay import relay
from .test_scores import more, said
from .test_widget import HEADS, SHOW, cell, expect_clean, expect_john, headline, off_cells

LONG = " ".join([PROMPT] * 6)
# Scores of 270 heads of such a prompt take the better part of a minute: whatever happens, happens during a sweep.
SWEEP = f"w = AttentionWidget(model, {LONG!r}, selected=['L20H0'], shown=['L20H0'])\nw"
LOAD = "from attnwidget import AttentionWidget, load_model\nmodel = load_model('smollm2-135m')"
SESSION = "window.jupyterapp.shell.currentWidget.sessionContext"
MINUTES = 120_000
# What a person would wait for.
WAITING = ":is([role=progressbar], [aria-busy=true], .aw-said-empty):visible"


# -- how things are seen ----------------------------------------------------------------------------------------------


def measuring(view: Locator) -> Locator:
    return said(view, r"measuring \d+ of 270")


def sweep(view: Locator) -> None:
    """Has every head measured, for as long as it takes."""
    expect(more(view).or_(measuring(view)).first).to_be_visible(timeout=MINUTES)
    cell(view, "L1H5").focus()
    view.page.keyboard.press("Escape")
    more(view).click()
    expect(said(view, r"measuring [1-9]\d* of 270")).to_be_visible(timeout=MINUTES)


def do(page: Page, code: str) -> None:
    """JavaScript whose promise is not waited for."""
    page.evaluate(f"() => {{ {code} }}")


def nothing_raised(book: Notebook) -> None:
    assert heard(book.kernel) == []
    assert "Traceback" not in book.output_text()


def alert_on(view: Locator) -> Locator:
    return view.get_by_role("alert")


# -- faster than answers ----------------------------------------------------------------------------------------------

BURST = """heads => new Promise(done => {
    const began = performance.now();
    heads.forEach((head, i) => setTimeout(() => {
        const view = document.querySelector('.jp-Notebook .attnwidget');
        const [layer, number] = head.slice(1).split('H');
        const cell = view.querySelector(`[data-spot="${layer},${number}"]`);
        const what = { bubbles: true, cancelable: true, altKey: true, button: 0, pointerType: 'mouse' };
        for (const type of ['pointerdown', 'pointerup', 'click'])
            cell.dispatchEvent(new (type === 'click' ? MouseEvent : PointerEvent)(type, what));
        if (i === heads.length - 1) done(performance.now() - began);
    }, 9 * i));
})"""


def test_of_ten_clicks_at_once_the_last_state_is_shown_everywhere(notebook, loaded):
    book = notebook(SHOW, kernel=loaded)
    view = book.widget
    expect_clean(view)
    listen(book.kernel)
    off = [*HEADS, "L5H2", "L9H6", "L12H0", "L9H6", "L12H0", "L5H2", "L1H5"]  # three go on again, and one of the three asked for
    book.page.evaluate(BURST, off)
    left = [[1, 7], [23, 3]]
    expect(off_cells(view)).to_have_count(2)
    book.soon("sorted(map(list, w.ablated))", left)
    # A run of its own, made of the model alone, has the last word on what should stand there.
    book.do("plain = model.run(w.prompt).ablate(['L23H3', 'L1H7'])")
    probability = book.read("round(100 * float(plain.probability(plain.top(1).token[0])))")
    token = book.read("plain.top(1).token[0].strip()")
    expect(headline(view)).to_have_text(re.compile(rf"^\s*Mary 92%\s*→\s*{token} {probability}%"))
    kl = book.read("float(plain.kl())")
    expect(view.get_by_role("row", name=re.compile(r"^KL\(clean ‖ ablated\)"))).to_contain_text(f"{kl:.2f} nats")
    expect(view.locator(".aw-answer [aria-busy=true], .aw-answer .aw-stale")).to_have_count(0)
    assert book.read("[float(w.run.kl()) == float(plain.kl()), bool((w.run.logits == plain.logits).all())]") == [True, True]
    # And undo goes back through every one of them.
    for _ in range(10):
        view.get_by_role("button", name="Undo", exact=True).click()
    expect_clean(view)
    book.soon("w.ablated", [])
    nothing_raised(book)


# -- cells beside a sweep ---------------------------------------------------------------------------------------------

ALONE = """import torch
heads = ['L23H3', 'L1H5']
ids = torch.tensor([model.run(PROMPT).ids])
def mine():
    with w.lock, torch.no_grad():
        out = model.source(ids)
    return [getattr(out, 'logits', out), model.run(PROMPT).ablate(heads).logits.clone()]
alone = mine()"""


def test_cells_and_clicks_use_the_model_while_heads_are_measured(notebook, loaded, server):
    book = notebook(SWEEP, f"PROMPT = {PROMPT!r}\n{ALONE}", kernel=loaded)
    view = book.widget
    listen(book.kernel)
    sweep(view)
    before = headline(view).inner_text()
    # The user's own cell, for seconds, with clicks in the middle of it.
    book.kernel.client.execute("beside = [mine() for _ in range(5)]; measured_meanwhile = w.busy")
    cell(view, "L23H3").click(modifiers=["Alt"])
    expect(headline(view)).to_have_text(re.compile("→"), timeout=MINUTES)
    cell(view, "L23H3").click(modifiers=["Alt"])
    expect(headline(view)).to_have_text(before.strip(), timeout=MINUTES)
    assert book.kernel.read("len(beside)", timeout=300) == 5
    assert book.read("measured_meanwhile"), "the sweep had ended, so this test is about nothing"
    same = "all(bool((a == b).all()) for one in beside for a, b in zip(one, alone))"
    assert book.read(same), "a cell got other numbers beside a sweep than alone"
    # Interrupted from the menu while it waits, a cell ends, and the widget does not.
    expect(measuring(view)).to_be_visible()
    begun = server.folder / "begun"
    waiting = book.kernel.client.execute("open('begun', 'w').close(); w.wait()")
    wait_until(begun.exists, 60, "the cell runs")
    do(book.page, "window.jupyterapp.commands.execute('notebook:interrupt-kernel')")
    reply = {}
    while reply.get("parent_header", {}).get("msg_id") != waiting:
        reply = book.kernel.client.get_shell_msg(timeout=120)
    assert reply["content"]["ename"] == "KeyboardInterrupt"
    cell(view, "L1H5").click(modifiers=["Alt"])
    expect(off_cells(view)).to_have_count(1)
    expect(headline(view)).to_have_text(re.compile("→"), timeout=MINUTES)
    book.soon("list(map(list, w.ablated))", [[1, 5]])
    book.do("w.cancel(); w.wait()")
    expect(measuring(view)).to_have_count(0)
    expect(alert_on(view)).to_have_count(0)
    nothing_raised(book)


def test_widgets_are_closed_cleared_and_shown_again_while_heads_are_measured(notebook, loaded):
    book = notebook(SWEEP, f"v = AttentionWidget(model, {PROMPT!r}, tab='')\nv", kernel=loaded)
    expect(book.widgets).to_have_count(2)
    listen(book.kernel)
    first, second = book.widgets.nth(0), book.widgets.nth(1)
    sweep(first)
    # The other widget is answered meanwhile, and what it is told is about its own prompt.
    book.do(f"v.ablated = {HEADS}")
    expect_john(second)
    assert book.read("w.ablated") == []
    # The view goes, with its output, while its sweep runs; shown again, it has what was measured.
    book.page.locator(".jp-Notebook .jp-CodeCell").nth(0).click(position={"x": 150, "y": 12})
    do(book.page, "window.jupyterapp.commands.execute('notebook:clear-cell-output')")
    expect(book.widgets).to_have_count(1)
    do(book.page, "window.jupyterapp.commands.execute('notebook:run-cell')")
    expect(book.widgets).to_have_count(2)
    expect(book.widgets.nth(0).get_by_role("gridcell")).to_have_count(270)
    expect(headline(book.widgets.nth(0))).to_have_text(re.compile(r"\d+%"), timeout=MINUTES)
    sweep(book.widgets.nth(0))
    # Closed from a cell in the middle of it: the work ends, the view goes, the other widget lives.
    book.do("w.close()")
    book.soon("[v._worker.busy(id(w)), w._session.key]", [False, ""])
    expect(book.widgets).to_have_count(1)
    cell(book.widget, "L23H3").click(modifiers=["Alt"])
    expect(off_cells(book.widget)).to_have_count(2)
    expect(headline(book.widget)).to_have_text(re.compile("→"))
    expect(alert_on(book.widget)).to_have_count(0)
    nothing_raised(book)


# -- kernels and connections that go ------------------------------------------------------------------------------------

TABS = ["overview", "ranking", "kinds", "lens", "generation", "study", "circuit", "compare", "inside"]


def expect_gone(book: Notebook) -> None:
    """That the kernel is gone is said; the grid and the last answer are there; no panel waits for an answer that will not come."""
    view = book.widget
    expect(view.get_by_text("The kernel is gone: what is here stays")).to_be_visible(timeout=30_000)
    expect(view.get_by_role("gridcell")).to_have_count(270)
    expect(headline(view)).to_have_text(re.compile(r"\d+%"))
    expect(view.get_by_label("Attention", exact=True).locator("canvas").first).to_be_visible()
    for i in range(len(TABS)):
        tab = view.get_by_role("tab").nth(i)
        if tab.get_attribute("aria-selected") != "true":
            tab.click()
        panel = view.get_by_role("tabpanel")
        expect(panel).not_to_have_text("")
        book.page.wait_for_timeout(250)
        expect(view.locator(WAITING)).to_have_count(0, timeout=5_000)
        expect(panel.get_by_role("button", name=re.compile("^(Cancel|Stop)$"))).to_have_count(0)
    # A click says what it needs.
    cell(view, "L12H4").click(modifiers=["Alt"])
    expect(view.locator(".aw-answer")).to_contain_text("Run the cell again", timeout=5_000)
    expect(alert_on(view)).to_have_count(0)


def run_again(book: Notebook) -> None:
    wait_until(lambda: book.status() == "idle", 60, "the new kernel is there", book.status)
    book.page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells') }")
    expect(book.widget.get_by_text("The kernel is gone")).to_have_count(0, timeout=60_000)
    expect(book.widget.get_by_role("gridcell")).to_have_count(270, timeout=60_000)
    wait_until(lambda: book.status() == "idle", 60, "all cells have run", book.status)
    listen(book.kernel)


def test_a_kernel_that_is_restarted_or_killed_during_a_sweep(server: Server, browser: Browser, shots):
    book = open_notebook(browser, server, [LOAD, SWEEP])
    try:
        book.run_all()
        listen(book.kernel)
        view = book.widget
        sweep(view)
        do(book.page, f"{SESSION}.restartKernel()")
        expect_gone(book)
        view.screenshot(path=shots / "stress-restarted.png")

        run_again(book)
        sweep(book.widget)
        os.kill(book.read("__import__('os').getpid()"), signal.SIGKILL)
        book.page.get_by_role("dialog").get_by_role("button", name="Ok").click(timeout=30_000)
        expect_gone(book)
        book.widget.screenshot(path=shots / "stress-killed.png")

        run_again(book)
        cell(book.widget, "L12H4").click(modifiers=["Alt"])
        expect(headline(book.widget)).to_have_text(re.compile("→"), timeout=MINUTES)
        expect(alert_on(book.widget)).to_have_count(0)
        assert book.errors == []
        nothing_raised(book)
    finally:
        book.close()


# What a browser says of a server that it cannot reach, which here is no fault.
UNREACHABLE = re.compile(r"net::ERR_|WebSocket|Failed to fetch|Connection lost")


def test_a_connection_that_is_lost_and_comes_back(server: Server, browser: Browser, loaded: Kernel):
    with relay(urlsplit(server.url).port) as wire:
        book = open_notebook(browser, replace(server, url=f"http://127.0.0.1:{wire.port}"), [SHOW], kernel=loaded)
        try:
            book.run_all()
            listen(book.kernel)
            view = book.widget
            expect_clean(view)
            # JupyterLab says what has happened, over everything.
            dialog = book.page.get_by_role("dialog", name=re.compile("Connection Error"))
            book.page.add_locator_handler(dialog, lambda it: it.get_by_role("button", name="Close").click())
            wire.cut()
            connection = f"() => {SESSION}.session.kernel.connectionStatus"
            wait_until(lambda: book.page.evaluate(connection) != "connected", 20, "the page notices")
            for head in HEADS:
                cell(view, head).click(modifiers=["Alt"])
            expect(off_cells(view)).to_have_count(3)  # what was chosen is shown at once
            assert book.read("w.ablated") == []
            book.page.wait_for_timeout(1500)
            wire.mend()
            # What was chosen meanwhile arrives, and is answered.
            wait_until(lambda: book.page.evaluate(connection) == "connected", 60, "the page has its kernel again")
            expect_john(view)
            book.soon("len(w.ablated)", 3)
            # And a question whose answer was on its way when the wire was cut is answered too.
            book.do("w.mode = 'zero'; w.ablated = []")
            expect_clean(view)
            with_lock = book.kernel.client.execute("import time\nwith w.lock: time.sleep(2)")
            book.page.wait_for_timeout(500)
            for head in HEADS:
                cell(view, head).click(modifiers=["Alt"])
            book.page.wait_for_timeout(300)
            wire.cut()
            assert with_lock
            book.page.wait_for_timeout(2500)
            wire.mend()
            wait_until(lambda: book.page.evaluate(connection) == "connected", 60, "the page has its kernel again")
            expect_john(view)
            expect(view.locator(WAITING)).to_have_count(0)
            expect(alert_on(view)).to_have_count(0)
            nothing_raised(book)
            assert [one for one in book.errors if not UNREACHABLE.search(one)] == []
        finally:
            book.close()
