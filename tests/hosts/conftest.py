"""A kernel of this very Python, once a module."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from jupyter_client import KernelManager
from jupyter_client.kernelspec import KernelSpec

from .page import Page

ROOT = Path(__file__).resolve().parents[2]
PROMPT = "the cat sat on the mat"
LOAD = "from attnwidget import AttentionWidget, AttentionView\nfrom tests.small import small_model\nmodel = small_model()"


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    manager = KernelManager()
    # This very Python, whatever kernels are installed.
    manager._kernel_spec = KernelSpec(argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"])
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    manager.start_kernel(env=os.environ | {"PYTHONPATH": path, "HF_HUB_OFFLINE": "1"})
    client = manager.blocking_client()
    client.start_channels()
    try:
        client.wait_for_ready(timeout=60)
        page = Page(manager, client)
        page.run(LOAD)
        yield page
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@pytest.fixture
def opened(page: Page) -> Page:
    page.run("import ipywidgets\nipywidgets.Widget.close_all()")
    page.shown = page.run(f"w = AttentionWidget(model, {PROMPT!r})\nw")
    return page
