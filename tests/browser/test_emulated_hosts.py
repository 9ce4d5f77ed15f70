"""VS Code and Colab, by emulation (`emulated_host.py`): the widget stays right under their constraints, and says what it cannot have."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from ..conftest import PROMPT
from .axe import violations
from .emulated_host import Bridge, Host, serve
from .lab import Kernel
from .test_widget import HEADS, PAIRS, cell, expect_clean, expect_john, headline, off_cells

W = f"w = AttentionWidget(model, {PROMPT!r})"
# What VS Code gives a webview; its own style sheet makes the background of widgets white in every theme.
VSCODE = Host(
    body='class="vscode-dark" data-vscode-theme-kind="vscode-dark"',
    css=":root { --vscode-editor-background: #1f1f1f; --vscode-notebook-editorBackground: #1f1f1f; --vscode-editor-foreground: #cccccc;"
    " --vscode-font-family: sans-serif; --vscode-editor-font-family: monospace } body { background: #1f1f1f; color: #cccccc }"
    " .cell-output-ipywidget-background { background: white !important }",
)
# High contrast has no colour of its own for a notebook's background.
VSCODE_CONTRAST = Host(
    body='class="vscode-high-contrast" data-vscode-theme-kind="vscode-high-contrast"',
    css=":root { --vscode-editor-background: #000000; --vscode-editor-foreground: #ffffff } body { background: #000; color: #fff }",
    form="ArrayBuffer",
)
COLAB = Host(
    html="theme=dark",
    css="html { --colab-primary-surface-color: #383838; --colab-primary-text-color: #d5d5d5; background: #383838; color: #d5d5d5 }",
    script="globalThis.google = { colab: {} }",
    form="base64",
    most_up=1_000_000,
    most_down=1_000_000,
)
PLAIN = Host(form="ArrayBuffer", buffer_delay=0.4)


@pytest.fixture
def host(loaded: Kernel, browser: Browser) -> Iterator[Callable[..., tuple[Locator, Bridge, Page]]]:
    """`host(HOST, cell)` gives the view, the bridge and the page; fails where anything but the bridge was asked for, where the policy
    forbade something, or where the page reported an error."""
    outside, errors, pages = [], [], []
    with ExitStack() as stack:

        def make(host: Host, code: str = W) -> tuple[Locator, Bridge, Page]:
            address, bridge = stack.enter_context(serve(loaded, host, code))
            page = browser.new_context(viewport={"width": 1400, "height": 1200}).new_page()
            pages.append(page)
            here = urlsplit(address).netloc
            page.on("request", lambda r: None if urlsplit(r.url).netloc in (here, "") or r.url[:5] == "blob:" else outside.append(r.url))
            page.on("pageerror", lambda error: errors.append(str(error)))
            page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
            page.goto(address)
            return page.frame_locator("iframe").locator(".attnwidget"), bridge, page

        yield make
        forbidden = [page.frames[1].evaluate("violations") for page in pages]
        for page in pages:
            page.context.close()
    assert (outside, errors, forbidden) == ([], [], [[]] * len(pages))


@pytest.mark.parametrize(
    ("of", "dark"), [(VSCODE, True), (VSCODE_CONTRAST, True), (COLAB, True), (PLAIN, False)], ids=["vscode", "contrast", "colab", "plain"]
)
def test_three_heads_off_one_message_at_a_time(of, dark, host, loaded, shots, request):
    view, bridge, page = host(of)
    expect_clean(view)
    expect(view.get_by_role("gridcell")).to_have_count(270)
    expect(view).to_have_attribute("data-aw-theme", "dark" if dark else "light")
    ink = view.evaluate("e => [getComputedStyle(e).color, getComputedStyle(e).backgroundColor]")
    assert ink[0] != ink[1]
    assert violations(page.frames[1]) == [], "what is faint cannot be read on this host's ground"
    for head in HEADS:  # faster than the kernel answers
        cell(view, head).click(modifiers=["Alt"])
    expect_john(view)
    loaded.soon("sorted(map(list, w.ablated))", sorted(PAIRS))
    # float32 buffers, late and in this host's form
    cell(view, "L23H3").click()
    expect(view.get_by_label("Attention", exact=True)).to_contain_text("0.74")
    painted = "c => new Set(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).size > 20"
    assert view.locator("canvas.aw-cells").evaluate(painted)
    assert bridge.dropped == []
    page.screenshot(path=shots / f"emulated-{request.node.callspec.id}.png")


def test_clicks_wait_for_a_cell_and_the_page_says_so(host, loaded):
    view, bridge, _ = host(VSCODE)
    expect_clean(view)
    loaded.do("import time; w.wait()")
    busy = loaded.client.execute("time.sleep(3); ended = time.time()")
    for head in HEADS:
        cell(view, head).click(modifiers=["Alt"])
    expect(off_cells(view)).to_have_count(3)
    expect(view.get_by_role("progressbar").first).to_be_visible()
    assert not re.search("John", headline(view).inner_text()), "an answer before it was asked"
    assert bridge.waited >= 3, "nothing waited, so this test is about nothing"
    expect_john(view)
    loaded.client.get_shell_msg(timeout=30)
    assert busy
    loaded.soon("sorted(map(list, w.ablated))", sorted(PAIRS))


def test_long_answers_come_through_where_messages_of_a_megabyte_do_not(host, loaded):
    loaded.do("from tests.small import small_model\nsmall = small_model(n_ctx=400)")
    heads = "['L0H1', 'L1H1', 'L2H0', 'L3H3']"
    long = f"w = AttentionWidget(small, 'the cat sat on the mat ' * 60, selected={heads}, shown=['L1H1'], ablated=['L3H3'])"
    view, bridge, _ = host(COLAB, long)
    expect(headline(view)).to_have_text(re.compile("→"))
    most = loaded.read("float(w.run.pattern('L1H1')[-1].max())")
    expect(view.get_by_label("Attention", exact=True)).to_contain_text(f"{most:.2f}")
    loaded.do("w.wait()")
    whole = 4 * 360 * 360 * 4
    assert whole > COLAB.most_down
    assert 500_000 < bridge.longest_down < COLAB.most_down
    assert bridge.dropped == []


def test_a_prompt_that_the_host_would_drop_is_refused_and_says_why(host, loaded):
    view, bridge, _ = host(COLAB)
    expect_clean(view)
    prompt = view.get_by_role("textbox", name="Prompt")
    prompt.evaluate(
        "(e, text) => { e.value = text; e.dispatchEvent(new Event('input', { bubbles: true })) }",
        "word " * 300_000,
    )
    view.get_by_role("button", name="Run", exact=True).click()
    alert = view.get_by_label("Prompt", exact=True).get_by_role("alert")
    expect(alert).to_contain_text("Colab takes 0.9 MB")
    expect(alert).to_contain_text("set them in a cell")
    assert bridge.dropped == [] and bridge.longest_up < 100_000
    expect_clean(view)
    assert loaded.read("w.prompt") == PROMPT
