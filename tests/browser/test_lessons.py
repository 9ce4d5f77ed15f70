"""The lessons as pages, opened from disk with every request blocked: what they show is there, and heads can be switched off in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Frame, Page, expect

from attnwidget.export.lesson import read_notebook
from scripts.lessons import contents, order, page

from ..lessons import FOLDER, LESSONS, executed
from .axe import violations
from .disk import Disk
from .test_widget import cell, off_cells

# The colours of every canvas in a frame: one that was not painted has a single one.
COLOURS = """() => [...document.querySelectorAll("canvas")].filter(c => c.width && c.height).map(c =>
    new Set(new Uint32Array(c.getContext("2d").getImageData(0, 0, c.width, c.height).data.buffer)).size)"""

# CircuitsVis's script tries whether it may compile WebAssembly. It may not, and does without.
PROBED = "policy: script-src wasm-eval"


@pytest.fixture
def opened(disk: Disk) -> Callable[..., Page]:
    return partial(disk, allowed=(PROBED,))


@pytest.fixture(params=LESSONS, ids=lambda path: path.stem)
def lesson(request, tmp_path: Path) -> Path:
    name = request.param.stem
    file = tmp_path / f"{name}.html"
    file.write_bytes(page(name, executed(request.param)).encode())
    return file


def frames(tab: Page) -> Iterator[Frame]:
    """The frames of a page, one after the other: each is in sight while it is the one that is looked at, since a frame out of sight is not
    painted."""
    for element in tab.locator("iframe").all():
        element.scroll_into_view_if_needed()
        yield element.element_handle().content_frame()


def painted(frame: Frame) -> None:
    frame.wait_for_function(f"() => ({COLOURS})().some(count => count > 3)", timeout=60_000)


def test_a_lesson_without_kernel_and_network(lesson, opened, shots):
    tab = opened(lesson)
    live = 0
    for frame in frames(tab):
        painted(frame)
        if cell(frame, "L1H0").count():  # of a model: a page of plain arrays has no heads to switch off
            expect(frame.get_by_label("Ablation and prediction")).to_be_visible()
            switch_off(frame)
            live += 1
    notebook = read_notebook(FOLDER / f"{lesson.stem}.ipynb")
    assert live == sum(code.source.count("AttentionWidget(") for code in notebook.cells if code.cell_type == "code") > 0
    tab.screenshot(path=shots / f"lesson-{lesson.stem}.png")
    # CircuitsVis's script alone is 1.3 MB.
    assert lesson.stat().st_size < (2_200_000 if lesson.stem == "reading_attention" else 1_000_000)


def test_a_view_of_circuitsvis_is_in_its_lesson(tmp_path, opened):
    file = tmp_path / "reading_attention.html"
    file.write_bytes(page("reading_attention", executed(FOLDER / "reading_attention.ipynb")).encode())
    *_, theirs = frames(opened(file))
    expect(theirs.get_by_text("Head Selector")).to_be_visible()
    expect(theirs.get_by_text("L18H8")).to_be_visible()


def test_its_words_meet_the_guidelines(lesson, opened):
    for scheme in ("light", "dark"):
        assert violations(opened(lesson, color_scheme=scheme), "main") == []


def switch_off(frame: Frame) -> None:
    """A head that was on goes off, and the answer beside it is another one, that was recorded."""
    answer = frame.get_by_label("Ablation and prediction")
    if off_cells(frame).count():
        answer.get_by_role("button", name="Clear").click()
        expect(off_cells(frame)).to_have_count(0)
    before = answer.inner_text()
    cell(frame, "L1H0").click(modifiers=["Alt"])
    expect(off_cells(frame)).to_have_count(1)
    expect(answer).to_contain_text("L1H0")
    expect(answer).not_to_contain_text("Needs a kernel")
    assert answer.inner_text() != before
    cell(frame, "L1H0").click(modifiers=["Alt"])
    expect(off_cells(frame)).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_of_contents_leads_to_each_lesson(tmp_path, opened, scheme):
    file = tmp_path / "index.html"
    file.write_bytes(contents().encode())
    tab = opened(file, color_scheme=scheme)
    links = [link.get_attribute("href") for link in tab.locator("td a").all()]
    assert links == [f"{name}.html" for name in order()]
    assert violations(tab, "main") == []
