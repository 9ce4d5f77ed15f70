"""A notebook that was saved and is opened again: without its kernel, without widget state, after a restart."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter, MarkdownExporter
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from attnwidget.export.container import opened

from ..conftest import PROMPT
from .lab import Kernel, Notebook, Server, open_notebook, serve, wait_until

LOAD = f"from attnwidget import AttentionWidget, load_model\nmodel = load_model('smollm2-135m')\nPROMPT = {PROMPT!r}"
SHOW = "w = AttentionWidget(model, PROMPT, selected=['L23H3', 'L20H0'], shown=['L20H0'], ablated=['L23H3', 'L1H5', 'L1H7'], tab='')\nw"
STILL = ".attnwidget-still"


@pytest.fixture(scope="module")
def saving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("saving"), save_widgets=True) as running:
        yield running


@pytest.fixture(scope="module")
def kernel_of_saving(saving: Server) -> Iterator[Kernel]:
    kernel = Kernel.start(saving)
    kernel.do(LOAD)
    yield kernel
    kernel.stop()


def save(book: Notebook) -> nbformat.NotebookNode:
    """Saves the notebook in the browser and reads the file."""
    book.page.evaluate("() => { window.jupyterapp.commands.execute('docmanager:save') }")
    book.page.wait_for_function("window.jupyterapp.shell.currentWidget.context.model.dirty === false")
    book.page.wait_for_timeout(300)
    return nbformat.read(book.server.folder / book.name, as_version=4)


def stills(notebook: nbformat.NotebookNode) -> list[dict]:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return [output.data for output in outputs if STILL[1:] in output.get("data", {}).get("text/html", "")]


def picture(notebook: nbformat.NotebookNode) -> bytes:
    """The one still of the notebook; b"" while it is empty."""
    (data,) = stills(notebook)
    return base64.b64decode(data.get("image/png", ""))


def settled(book: Notebook, widget: str = "w") -> None:
    """Until what the widget shows has been saved: its answers are kept, and the picture names the ablated heads there are now."""
    count = book.read(f"len({widget}.ablated)")
    said = f"{count or 'no'} head{'' if count == 1 else 's'} ablated"
    text = "() => window.jupyterapp.shell.currentWidget.model.sharedModel.toJSON().cells.flatMap(c => c.outputs ?? [])"
    text += ".filter(o => String(o.data?.['text/html']).includes('attnwidget-still')).map(o => String(o.data['text/plain'])).join(' ')"
    wait_until(lambda: said in book.page.evaluate(text), 40, f"the picture says {said}")
    book.kernel.soon(f"len({widget}.kept) > 0", True)


def reopened(browser: Browser, server: Server, name: str) -> tuple[Page, list[str]]:
    """The notebook in a fresh browser profile, with the kernel that JupyterLab starts for it, in which nothing has run."""
    for session in server.api("sessions"):
        if session["path"] == name:  # its kernel serves other tests
            server.api(f"sessions/{session['id']}", "PATCH", {"path": f"elsewhere-{name}", "name": "", "type": "notebook"})
    page = browser.new_context(viewport={"width": 1400, "height": 1000}).new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{server.url}/lab/tree/{name}?token={server.token}&reset")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60_000)
    return page, errors


@pytest.fixture
def saved(saving: Server, browser: Browser, kernel_of_saving: Kernel) -> Iterator[Notebook]:
    """A notebook that was run, changed in the browser and saved with its widget state."""
    book = open_notebook(browser, saving, ["import attnwidget", SHOW], kernel=kernel_of_saving)
    book.run_all()
    expect(book.widget.locator(".aw-answer")).to_contain_text("38%")
    yield book
    book.close()


def test_the_picture_follows_the_state_and_is_hidden_by_the_live_view(saved: Notebook):
    settled(saved)
    first = picture(save(saved))
    assert saved.page.locator(STILL).count() == 1
    assert not saved.page.locator(STILL).is_visible()
    gap = saved.page.evaluate(
        "() => [...document.querySelectorAll('.jp-OutputArea-child')].filter(e => e.querySelector('.attnwidget-still'))"
        ".map(e => e.getBoundingClientRect().height)"
    )
    assert gap == [0], "the hidden picture takes room"
    saved.do("w.ablated = []")
    settled(saved)
    last = picture(save(saved))
    assert first != last and 5_000 < len(last) < 150_000
    assert Image.open(io.BytesIO(last)).size[0] > 700
    # Orange is what an ablation does to the answer, which stands in the lower half.
    below = [np.asarray(Image.open(io.BytesIO(one)).convert("RGB")).astype(int) for one in (first, last)]
    orange = [((one[int(0.55 * len(one)) :] - (0xD9, 0x73, 0x2A)) == 0).all(-1).sum() for one in below]
    assert orange[0] > 200 and orange[1] == 0


def test_widget_state_shows_the_view_without_its_kernel(saved: Notebook, saving: Server, browser: Browser, shots):
    settled(saved)
    before = saved.widget.locator(".aw-answer").inner_text()
    file = save(saved)
    size = (saving.folder / saved.name).stat().st_size
    assert size < 2_000_000, size
    state = file.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"]
    (own,) = [one for one in state.values() if one["model_name"] == "AnyModel"]
    (kept,) = [base64.b64decode(buffer["data"]) for buffer in own["buffers"] if buffer["path"] == ["kept"]]
    header, _ = opened(kept)
    assert header["run"] == own["state"]["run_key"]
    saved.page.context.close()

    page, errors = reopened(browser, saving, saved.name)
    try:
        view = page.locator(".jp-Notebook .attnwidget").first
        expect(view.get_by_text("No kernel: this is what was saved")).to_be_visible(timeout=30_000)
        expect(view.locator(".aw-answer")).to_contain_text("John")
        after = view.locator(".aw-answer").inner_text()
        for number in ("92%", "38%", "1.85", "7.34"):
            assert number in before and number in after
        assert not page.locator(STILL).is_visible()
        # Maps of the two heads that were selected, and colours in the grid.
        expect(view.locator(".aw-attention canvas, section[aria-label^=Attention] canvas").first).to_be_visible()
        assert coloured(page, ".attnwidget canvas") > 3
        page.screenshot(path=shots / "saved-no-kernel.png", full_page=True)
        view.screenshot(path=shots / "saved-view.png")
        # What was not saved says so, at once.
        page.evaluate("() => document.querySelector('.attnwidget [role=gridcell]')?.scrollIntoView()")
        cell = view.locator("[role=gridcell]").nth(40)
        cell.click(modifiers=["Alt"])
        expect(view.locator(".aw-answer")).to_contain_text("Run the cell again", timeout=5_000)
        view.screenshot(path=shots / "saved-needs-kernel.png")
        assert errors == []
    finally:
        page.context.close()


def coloured(page: Page, selector: str) -> int:
    """How many canvases have something other than one colour."""
    return page.evaluate(
        """selector => [...document.querySelectorAll(selector)].filter(canvas => {
            if (!canvas.width || !canvas.height) return false;
            const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
            const seen = new Set();
            for (let i = 0; i < data.length; i += 4) seen.add(data[i] * 65536 + data[i + 1] * 256 + data[i + 2] + data[i + 3] * 2 ** 24);
            return seen.size > 3;
        }).length""",
        selector,
    )


def test_without_widget_state_there_is_the_picture(notebook, loaded: Kernel, server: Server, browser: Browser, shots):
    book = notebook("import attnwidget", SHOW, kernel=loaded)
    expect(book.widget.locator(".aw-answer")).to_contain_text("38%")
    settled(book)
    file = save(book)
    assert "widgets" not in file.metadata
    assert (server.folder / book.name).stat().st_size < 500_000
    page, errors = reopened(browser, server, book.name)
    try:
        image = page.locator(f"{STILL} img")
        expect(image).to_be_visible(timeout=30_000)
        assert image.evaluate("e => e.naturalWidth") > 700
        assert "3 heads ablated" in image.get_attribute("alt")
        page.screenshot(path=shots / "saved-still.png")
        assert errors == []
    finally:
        page.context.close()


ENDS = {
    "restart": "sessionContext.restartKernel()",
    # Nothing of ours hears of this one but through the notebook's own status.
    "crash": "sessionContext.session.kernel.requestExecute({ code: 'import os; os._exit(1)' })",
}


@pytest.mark.parametrize("how", ENDS)
def test_the_end_of_a_kernel_is_said_and_what_is_here_stays(how, saving: Server, browser: Browser, shots):
    book = open_notebook(browser, saving, [LOAD, SHOW])
    try:
        book.run_all()
        expect(book.widget.locator(".aw-answer")).to_contain_text("38%")
        settled(book)
        expect(book.widget.get_by_text("The kernel is gone")).to_have_count(0)
        book.page.evaluate(f"() => {{ window.jupyterapp.shell.currentWidget.{ENDS[how]} }}")
        view = book.widget
        expect(view.get_by_text("The kernel is gone: what is here stays")).to_be_visible(timeout=30_000)
        expect(view.locator(".aw-answer")).to_contain_text("38%")
        if how == "crash":
            book.page.get_by_role("dialog").get_by_role("button", name="Ok").click()
        view.screenshot(path=shots / f"saved-{how}.png")
        cell = view.locator("[role=gridcell]").nth(40)
        cell.click(modifiers=["Alt"])
        expect(view.locator(".aw-answer")).to_contain_text("Run the cell again", timeout=5_000)
        book.set_theme(dark=True)
        book.resize_widget(640)
        view.screenshot(path=shots / f"saved-{how}-dark-640.png")
        assert book.errors == []
    finally:
        book.close()


def test_a_busy_kernel_is_no_dead_one(saved: Notebook):
    settled(saved)
    saved.page.evaluate(
        "() => { window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.requestExecute({code: 'import time; time.sleep(6)'}) }"
    )
    saved.page.wait_for_function("window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'busy'")
    saved.page.wait_for_timeout(4_000)
    expect(saved.widget.get_by_text("kernel is gone")).to_have_count(0)
    expect(saved.widget.get_by_text("No kernel")).to_have_count(0)


def test_many_displays_and_boxes_do_no_harm(notebook, loaded: Kernel):
    book = notebook(
        SHOW,
        "from IPython.display import display\ndisplay(w)",
        "import ipywidgets\nbox = ipywidgets.VBox([w])\nbox",
        "out = ipywidgets.Output()\nwith out:\n    display(w)\nout",
        kernel=loaded,
    )
    expect(book.widgets).to_have_count(4)
    settled(book)
    book.page.wait_for_timeout(500)
    assert not any(one.is_visible() for one in book.page.locator(STILL).all())
    data = [one.get("image/png") for one in stills(save(book))]
    # One for each display of its own; what stands in a box has none.
    assert len(data) == 2 and data[0] == data[1] and data[0]
    assert json.dumps(data)


EXECUTED = [
    "from tests.small import small_model\nfrom attnwidget import AttentionWidget\nmodel = small_model()",
    "w = AttentionWidget(model, 'the cat sat on the mat', selected=['L2H1'], shown=['L2H1'])\nw",
    "w.ablated = ['L1H2', 'L2H0']",
]


def test_a_notebook_that_was_executed_has_the_last_state_in_every_form(tmp_path, browser: Browser, root, shots, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(root))
    body = nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, EXECUTED)))
    NotebookClient(body, timeout=300, kernel_name="python3").execute()
    (data,) = stills(body)
    assert "2 heads ablated" in data["text/plain"], "the state that a later cell set"
    assert len(base64.b64decode(data["image/png"])) < 150_000
    page_html, _ = HTMLExporter().from_notebook_node(body)
    file = tmp_path / "executed.html"
    file.write_text(page_html, encoding="utf-8")
    assert file.stat().st_size < 2_000_000
    markdown, resources = MarkdownExporter().from_notebook_node(body)
    assert data["image/png"] in markdown or resources["outputs"]

    context = browser.new_context(viewport={"width": 1000, "height": 900})
    asked: list[str] = []
    context.route(
        "**/*",
        lambda route: route.continue_() if route.request.url.startswith("file:") else (asked.append(route.request.url), route.abort()),
    )
    page = context.new_page()
    page.goto(file.as_uri())
    image = page.locator(f"{STILL} img")
    expect(image).to_be_visible()
    assert image.evaluate("e => e.complete && e.naturalWidth") > 700
    assert "2 heads ablated" in image.get_attribute("alt")
    page.screenshot(path=shots / "saved-nbconvert.png")
    context.close()
    (own,) = [
        one
        for one in body.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"].values()
        if one["model_name"] == "AnyModel"
    ]
    assert any(buffer["path"] == ["kept"] for buffer in own["buffers"])
