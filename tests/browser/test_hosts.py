"""Hosts other than JupyterLab that can be had here: Notebook 7, marimo, and JupyterLab whose messages wait for the cell to end."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from . import marimo_app
from .lab import Server, wait_until
from .test_widget import HEADS, SHOW, cell, expect_clean, expect_john, expect_john_in_kernel, headline, off_cells

SUBSHELLS = "@jupyterlab/apputils-extension:kernels-settings"


# -- Notebook 7 -----------------------------------------------------------------------------------------------------------


def test_notebook_7(notebook, loaded, shots):
    book = notebook(SHOW, "1", kernel=loaded, front="notebooks")
    assert book.page.evaluate("window.jupyterapp.name") == "Jupyter Notebook"
    view = book.widget
    expect_clean(view)
    for head in HEADS:
        cell(view, head).click(modifiers=["Alt"])
    expect_john(view)
    expect_john_in_kernel(book)
    # a float32 buffer: where the head looks
    cell(view, "L23H3").click()
    expect(view.get_by_label("Attention", exact=True)).to_contain_text("0.74")
    book.do("w.ablated = []")
    expect_clean(view)
    # its single letters are the notebook's own commands outside the widget
    cells = book.page.locator(".jp-Notebook .jp-Cell").count()
    cell(view, "L23H3").focus()
    for key in ("a", "b", "d", "d", "x"):
        book.page.keyboard.press(key)
    book.soon("list(map(list, w.ablated))", [[23, 3]])
    assert book.page.locator(".jp-Notebook .jp-Cell").count() == cells
    for theme in ("dark", "light"):
        book.set_theme(theme == "dark")
        expect(view).to_have_attribute("data-aw-theme", theme)
        book.shoot(shots / f"notebook7-{theme}.png")


# -- messages that wait for the cell ----------------------------------------------------------------------------------------


def setting(server: Server, raw: str) -> None:
    """Sets the kernels' settings as a person does in the settings editor."""
    request = urllib.request.Request(
        f"{server.url}/lab/api/settings/{SUBSHELLS}",
        json.dumps({"raw": raw}).encode(),
        {"Content-Type": "application/json", "Authorization": f"token {server.token}"},
        method="PUT",
    )
    with urllib.request.urlopen(request, timeout=30):
        pass


@pytest.fixture
def without_subshells(server: Server) -> Iterator[None]:
    setting(server, json.dumps({"commsOverSubshells": "disabled"}))
    yield
    setting(server, "{}")


def test_without_subshells_clicks_wait_for_the_cell_and_none_is_lost(notebook, loaded, without_subshells):
    heard = "import threading\nheard = []\nw.on_msg(lambda *_: heard.append(threading.current_thread().name))"
    book = notebook(SHOW, heard, "import time\ndef wait(): time.sleep(3)", kernel=loaded)
    view = book.widget
    expect_clean(view)
    cell(view, "L0H0").click()
    book.soon("list(map(list, w.selected))", [[0, 0]])
    book.do("w.wait()")
    busy = book.kernel.client.execute("wait(); ended = time.time()")
    for head in HEADS:
        cell(view, head).click(modifiers=["Alt"])
    expect(off_cells(view)).to_have_count(3)  # the page shows at once what was chosen
    expect_john(view)
    answered = book.page.evaluate("Date.now() / 1000")
    book.kernel.client.get_shell_msg(timeout=30)
    assert busy
    assert answered > book.read("ended"), "there was a subshell after all, so this test is about nothing"
    assert set(book.read("heard")) == {"MainThread"}
    expect_john_in_kernel(book)


# -- marimo -----------------------------------------------------------------------------------------------------------------

MODEL = """import marimo as mo
from attnwidget import AttentionWidget
from tests.small import small_model
raw = AttentionWidget(small_model(), "the cat sat on the mat")
w = mo.ui.anywidget(raw)"""
APP = marimo_app.app(
    ("", MODEL, "mo, raw, w"),
    ("w", "w", ""),
    ("mo, w", "mo.md(f'ablated {list(map(str, w.widget.ablated))}, KL {w.widget.run.kl():.2f}, tab {w.widget.tab}.')", ""),
    ("mo, w", "mo.md(f'L1H1 looks {float(w.widget.run.clean.pattern(\"L1H1\")[-1, -1]):.2f} at {w.widget.tokens[-1]}.')", ""),
)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with marimo_app.serve(tmp_path_factory.mktemp("marimo"), APP, theme="system") as url:
        yield url


@pytest.fixture
def app(address: str, browser: Browser) -> Iterator[Page]:
    """The app in a fresh browser profile; fails where a request left the machine or the page reported an error."""
    page = browser.new_context(viewport={"width": 1400, "height": 1400}).new_page()
    outside, errors = [], []
    here = urlsplit(address).netloc
    page.on("request", lambda r: None if urlsplit(r.url).netloc in (here, "") or r.url.startswith("blob:") else outside.append(r.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.goto(address)
    yield page
    page.context.close()
    assert (outside, errors) == ([], [])


def test_marimo(app: Page, shots: Path):
    view: Locator = app.locator(".attnwidget")
    expect(view.get_by_role("gridcell")).to_have_count(16, timeout=60_000)
    expect(headline(view)).to_have_text(re.compile("^mat 48%"))

    # a click goes to the kernel, whose other cells see it, and the answer is another
    cell(view, "L1H1").click(modifiers=["Alt"])
    expect(headline(view)).to_have_text(re.compile(r"^mat 48%\s*→\s*mat 35%"))
    said = app.get_by_text(re.compile(r"^ablated \["))
    expect(said).to_have_text(re.compile(r"^ablated \['L1H1'\], KL 0\.06"))
    expect(view.get_by_role("row", name=re.compile("^KL"))).to_contain_text("0.06 nats")

    # buffers: the grid's thumbnails are painted (8 bit), and the map says what the kernel's pattern holds (float32)
    painted = "c => new Set(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).size"
    wait_until(lambda: view.locator("canvas.aw-cells").evaluate(painted) > 20, 20, "the thumbnails are painted")
    cell(view, "L1H1").click()
    looks = re.search(r"looks (0\.\d+) at mat", app.get_by_text(re.compile("^L1H1 looks")).inner_text())[1]
    expect(view.get_by_label("Attention", exact=True)).to_contain_text(looks)

    # a request with progress and a long answer, and one that is refused
    view.get_by_role("tab", name="Layer by layer").click()
    expect(said).to_contain_text("tab lens")
    expect(view.get_by_role("tabpanel").get_by_role("grid").locator("tbody tr")).to_have_count(5, timeout=60_000)
    target = view.get_by_label("Target token")
    target.fill("no such token at all")
    target.press("Enter")
    expect(view.get_by_role("alert")).to_contain_text("no such token at all")

    for theme in ("dark", "light"):
        app.emulate_media(color_scheme=theme)
        expect(view).to_have_attribute("data-aw-theme", theme)
        app.wait_for_timeout(300)
        app.screenshot(path=shots / f"marimo-{theme}.png")


def test_marimo_undo_and_a_new_prompt(app: Page):
    view = app.locator(".attnwidget")
    expect(view.get_by_role("gridcell")).to_have_count(16, timeout=60_000)
    cell(view, "L2H2").click(modifiers=["Alt"])
    expect(off_cells(view)).to_have_count(1)
    view.get_by_role("button", name="Undo", exact=True).click()
    expect(off_cells(view)).to_have_count(0)
    prompt = view.get_by_role("textbox", name="Prompt")
    prompt.fill("a dog sat")
    prompt.press("Enter")
    expect(view.get_by_label("Tokens", exact=True)).to_contain_text("dog")
    expect(app.get_by_text(re.compile("^L1H1 looks"))).to_contain_text("at sat")
