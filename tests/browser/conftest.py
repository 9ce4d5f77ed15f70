"""One JupyterLab and one browser for all browser tests; a fresh notebook and browser profile for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from attnwidget.demo import load_demo

from ..conftest import PROMPT
from . import chromium
from .disk import Disk
from .lab import CHROMIUM_FLAGS, Kernel, Notebook, Server, open_notebook, serve

ROOT = Path(__file__).resolve().parents[2]
SHOTS = ROOT / "shots"

expect.set_options(timeout=20_000)  # a forward may be slow on a shared machine; what is right comes much sooner


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    load_demo("smollm2-135m")  # makes the copy, so that no test has to wait for it in a kernel
    with serve(tmp_path_factory.mktemp("lab")) as running:
        yield running


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = chromium.get()
    if program is None:
        pytest.fail(chromium.MISSING, pytrace=False)  # never a skip: an untested widget is not a passed test
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=CHROMIUM_FLAGS)
        yield running
        running.close()


@pytest.fixture(scope="session")
def loaded(server: Server) -> Iterator[Kernel]:
    """A kernel in which `model` is SmolLM2-135M, for the many tests that are not about loading it."""
    kernel = Kernel.start(server)
    kernel.do(f"from attnwidget import AttentionWidget, load_model\nmodel = load_model('smollm2-135m')\nPROMPT = {PROMPT!r}")
    yield kernel
    kernel.stop()


@pytest.fixture
def notebook(server: Server, browser: Browser, request: pytest.FixtureRequest) -> Iterator[Callable[..., Notebook]]:
    """Opens notebooks: `notebook(cell, cell, ...)` returns one with all its cells run.

    Whatever else a test is about, it fails if a request left the machine or the page reported an error.
    """
    opened: list[Notebook] = []
    failed = request.session.testsfailed

    def make(*cells: str, run: bool = True, **options: Any) -> Notebook:
        book = open_notebook(browser, server, list(cells), **options)
        opened.append(book)
        if run:
            book.run_all()
        return book

    yield make
    for index, book in enumerate(opened):
        try:
            if request.session.testsfailed > failed or book.outside or book.errors:
                SHOTS.mkdir(exist_ok=True)
                book.page.screenshot(path=SHOTS / f"failed-{request.node.name}-{index}.png")
        finally:
            book.close()
    assert [book.outside for book in opened] == [[]] * len(opened), "a request left the machine"
    assert [book.errors for book in opened] == [[]] * len(opened), "the page reported errors"


@pytest.fixture
def disk(browser: Browser) -> Iterator[Disk]:
    """Opens files with no kernel and no network; fails if a request was attempted, or anything went wrong."""
    opening = Disk(browser)
    yield opening
    opening.close()


@pytest.fixture
def shots() -> Path:
    """Where pictures go; a person looks at them, git does not keep them."""
    SHOTS.mkdir(exist_ok=True)
    return SHOTS
