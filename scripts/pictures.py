"""The pictures of the docs, taken anew from a real JupyterLab with a real model: `python -m scripts.pictures [name ...]`, in a clone.

Light theme; a name is that of a file in docs/images without its ending. Look at them before they are kept.
"""

from __future__ import annotations

import io
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from playwright.sync_api import Locator, expect, sync_playwright

from attnwidget.demo import load_demo
from tests.browser import chromium
from tests.browser.lab import CHROMIUM_FLAGS, Kernel, Notebook, open_notebook, serve
from tests.conftest import PROMPT, ROOT

IMAGES = ROOT / "docs" / "images"
WIDTH = 1080  # of what is read on a page of GitHub; the first picture has the whole cell
WIDE = 1400
MOST = 250_000  # bytes of a picture, beyond which it has 256 colours
LONG = 400_000  # ms: a search on two shared cores
HEADS = ["L23H3", "L1H5", "L1H7"]
SHOWN = [*HEADS, "L20H0", "L29H1", "L18H6"]
OTHER = "When Mary and John went to the store, Mary gave a drink to"


def live_cell(book: Notebook) -> Locator:
    return book.widget


def scores(book: Notebook) -> Locator:
    return _panel(book, "Which heads matter")


def overview(book: Notebook) -> Locator:
    panel = _panel(book, "What stands out")
    expect(panel.get_by_role("listitem").first).to_be_visible(timeout=LONG)
    return panel


def kinds(book: Notebook) -> Locator:
    panel = _panel(book, "Kinds of head")
    expect(panel.get_by_role("listitem").first).to_be_visible(timeout=LONG)
    return panel


def layer_by_layer(book: Notebook) -> Locator:
    panel = _panel(book, "Layer by layer")
    panel.get_by_text("Difference", exact=True).click()
    expect(panel).to_contain_text("impact", timeout=LONG)
    # The first choices at the query stand beside the table where there is room, and would be long below it.
    panel.get_by_label("First choices at the query").evaluate("e => e.remove()")
    return panel


def what_it_says(book: Notebook) -> Locator:
    panel = _panel(book, "What it says")
    panel.get_by_role("button", name="Generate", exact=True).click()
    expect(panel).to_contain_text(re.compile("KL"), timeout=LONG)
    return panel


def which_set(book: Notebook) -> Locator:
    panel = _panel(book, "Which set does it")
    _type(panel, "Another token", " John")
    panel.get_by_role("button", name="Run", exact=True).click()
    expect(panel.get_by_role("list", name="What is proved")).to_be_visible(timeout=LONG)
    return panel


def circuit(book: Notebook) -> Locator:
    panel = _panel(book, "Circuit")
    _type(panel, "Word to swap", "John")
    _type(panel, "Word to swap it with", "Mary")
    panel.get_by_role("button", name="Run", exact=True).click()
    expect(panel.get_by_role("region", name="Completeness")).to_be_visible(timeout=LONG)
    return panel


def inside_a_head(book: Notebook) -> Locator:
    panel = _panel(book, "Inside a head")
    expect(panel.locator("canvas").first).to_be_visible(timeout=LONG)
    return panel


def two_prompts(book: Notebook) -> Locator:
    panel = _panel(book, "Two prompts")
    expect(panel).to_contain_text("effect on the answer", timeout=LONG)
    book.kernel.soon("w.busy", False, timeout=LONG / 1000)
    rest = panel.get_by_role("button", name=re.compile("^Measure the rest"))
    if rest.count():  # on a slow machine it stops, so that nobody waits unasked
        rest.click()
        expect(rest).to_have_count(0, timeout=LONG)
    panel.get_by_label("Heads by").select_option("noising")
    expect(panel.locator("canvas").first).to_be_visible()
    return panel


# Each picture: what the widget is given, and what is done on the page until there is something to see.
PICTURES: dict[str, tuple[dict, Callable[[Notebook], Locator]]] = {
    "live-cell": ({"ablated": HEADS, "selected": SHOWN, "shown": ["L20H0"], "tab": "", "score": "previous_token"}, live_cell),
    "scores": ({"tab": "ranking", "metric": "logit_diff", "target": " Mary", "against": " John"}, scores),
    "overview": ({"tab": "overview"}, overview),
    "kinds": ({"tab": "kinds"}, kinds),
    "layer-by-layer": ({"tab": "lens", "ablated": HEADS}, layer_by_layer),
    "what-it-says": ({"tab": "generation", "ablated": HEADS}, what_it_says),
    "which-set": ({"tab": "study"}, which_set),
    "circuit": ({"tab": "circuit"}, circuit),
    "inside-a-head": ({"tab": "inside", "shown": ["L23H3"], "selected": ["L23H3"]}, inside_a_head),
    "two-prompts": ({"tab": "compare", "other": OTHER, "metric": "logit_diff", "selected": ["L23H3"], "shown": ["L23H3"]}, two_prompts),
}


def _panel(book: Notebook, name: str) -> Locator:
    return book.widget.get_by_role("tabpanel", name=name)


def _type(panel: Locator, label: str, text: str) -> None:
    field = panel.get_by_label(label, exact=True)
    field.fill(text)
    field.press("Enter")


def main(names: list[str]) -> None:
    expect.set_options(timeout=60_000)
    load_demo("smollm2-135m")
    with tempfile.TemporaryDirectory() as folder, serve(Path(folder)) as server, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium.get(), args=CHROMIUM_FLAGS)
        kernel = Kernel.start(server)
        kernel.do(f"from attnwidget import AttentionWidget, load_model\nmodel = load_model('smollm2-135m')\nPROMPT = {PROMPT!r}")
        for name in names or PICTURES:
            traits, act = PICTURES[name]
            given = "".join(f", {key}={value!r}" for key, value in traits.items())
            book = open_notebook(browser, server, [f"w = AttentionWidget(model, PROMPT{given})\nw"], kernel=kernel, width=1800)
            book.run_all()
            book.resize_widget(WIDE if name == "live-cell" else WIDTH)
            shown = act(book)
            kernel.soon("w.busy", False, timeout=LONG / 1000)
            _keep(book, shown, IMAGES / f"{name}.png")
            book.close()
        browser.close()


def _keep(book: Notebook, shown: Locator, file: Path) -> None:
    book.page.wait_for_timeout(600)
    book.shoot(file, shown)
    picture = Image.open(io.BytesIO(file.read_bytes())).convert("RGB")
    picture.save(file, optimize=True)
    if file.stat().st_size > MOST:
        picture.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(file, optimize=True)
    print(f"{file.relative_to(ROOT)}: {picture.width} × {picture.height}, {file.stat().st_size:,} bytes", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
