"""The exported page as a reader meets it: opened from disk, with no kernel, no network, and a policy that forbids both."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from playwright.sync_api import Page, expect
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from attnwidget import AttentionWidget, Model, load_model
from attnwidget.analysis import outcome
from attnwidget.export.figures.wording import percent, signed

from ..conftest import PROMPT
from ..small import small_model
from .axe import violations
from .disk import Disk
from .lab import Kernel
from .test_widget import candidate, cell, headline, off_cells

CHANGED = ["L23H3", "L1H5", "L0H0", "L29H1", "L12H4"]
TABS = ["What stands out", "Which heads matter", "Kinds of head", "Layer by layer", "What it says", "Inside a head"]


@pytest.fixture
def opened(disk: Disk) -> Callable[..., Page]:
    """`opened(file)`: an exported page, once it is there."""

    def make(file: Path, **options) -> Page:
        page = disk(file, **options)
        expect(page.locator(".aw-pagebar")).to_be_visible()
        return page

    return make


@pytest.fixture(scope="module")
def smollm() -> Model:
    return load_model("smollm2-135m")


@pytest.fixture(scope="module")
def real(smollm: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SmolLM2 with every single ablation."""
    w = AttentionWidget(smollm, PROMPT, selected=["L23H3", "L19H2"], shown=["L23H3"])
    return w.to_html(tmp_path_factory.mktemp("page") / "smollm2.html", include=["patterns", "ablations", "lens"])


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights with all parts, and what is asked on a button."""
    chosen = {"selected": ["L1H1", "L2H0"], "shown": ["L1H1"], "ablated": ["L0H2"], "other": "the dog sat on the mat"}
    w = AttentionWidget(small_model(), "the cat sat on the mat", **chosen)
    parts = [part.name for part in w.page_parts().parts]
    return w.to_html(tmp_path_factory.mktemp("page") / "small.html", include=parts)


# -- a head is clicked off ----------------------------------------------------------------------------------------------


def test_a_head_clicked_off_shows_what_the_kernel_says(real, smollm, opened):
    page = opened(real)
    run = smollm.run(PROMPT)
    clean = outcome(run.ablate([]))
    expect(headline(page)).to_have_text(re.compile(rf"^\s*Mary {percent(clean.clean_top.clean.probability)}\s*$"))
    for head in CHANGED:
        cell(page, head).click(modifiers=["Alt"])
        said = outcome(run.ablate([head]))
        before, after = said.clean_top, said.ablated_top
        answers = [
            f"{before.token.strip()} {percent(before.clean.probability)}",
            f"{after.token.strip()} {percent(after.ablated.probability)}",
        ]
        expect(headline(page)).to_have_text(re.compile(rf"^\s*{answers[0]}\s*→\s*{answers[1]}"))
        expect(off_cells(page)).to_have_count(1)
        for row in said.rows[:4]:
            sides = [f"{side} {percent(o.probability)}, rank {o.rank}" for side, o in (("clean", row.clean), ("ablated", row.ablated))]
            expect(candidate(page, re.escape(row.token))).to_have_accessible_name(re.compile(re.escape(", ".join(sides))))
        table = page.locator("table.aw-tab")
        diff, entropy = said.logit_diff, said.entropy
        for name, values in {
            "logit ◎ − ○": [signed(diff.clean, 2), signed(diff.ablated, 2), signed(diff.clean - diff.ablated, 2)],
            "KL(clean ‖ ablated)": ["", f"{signed(said.kl, 2)} nats", ""],
            "entropy, nats": [signed(entropy.clean, 2), signed(entropy.ablated, 2), signed(entropy.clean - entropy.ablated, 2)],
        }.items():
            row = table.get_by_role("row").filter(has=page.get_by_role("rowheader", name=name, exact=True))
            expect(row.get_by_role("cell")).to_have_text(values)
        cell(page, head).click(modifiers=["Alt"])
        expect(off_cells(page)).to_have_count(0)


def test_what_was_not_recorded_says_so_and_leads_back(real, opened):
    page = opened(real)
    for head in ("L23H3", "L1H5"):
        cell(page, head).click(modifiers=["Alt"])
    lacking = page.get_by_label("Ablation and prediction").get_by_text("This set of heads was not recorded in this page.")
    expect(lacking).to_be_visible()
    page.get_by_role("button", name="Ablate L1H5 alone").click()
    expect(lacking).to_have_count(0)
    expect(off_cells(page)).to_have_count(1)
    page.get_by_role("tab", name="Circuit").click()
    expect(page.get_by_role("tabpanel")).to_contain_text("No circuit was recorded in this page")


def test_maps_and_lens_are_those_of_the_run(real, smollm, opened):
    page = opened(real)
    wanted = smollm.run(PROMPT).pattern("L23H3")[-1].max().item()
    said = float(page.locator(".aw-big").first.inner_text())
    assert said == pytest.approx(wanted, abs=0.5 / 255 + 0.005)
    expect(page.get_by_text("recorded to 8 bits, ± 0.002").first).to_be_visible()
    page.get_by_role("tab", name="Layer by layer").click()
    expect(page.get_by_role("tabpanel").get_by_role("grid")).to_be_visible()
    expect(page.get_by_role("tabpanel")).not_to_contain_text("Needs a kernel")


# -- all of it ----------------------------------------------------------------------------------------------------------


def test_every_tab_of_a_page_with_all_parts(small, opened, shots):
    page = opened(small)
    for name in TABS:
        page.get_by_role("tab", name=name).click()
        panel = page.get_by_role("tabpanel")
        expect(panel).to_be_visible()
        page.wait_for_timeout(300)
        if name == "What stands out":  # was recorded of the clean run
            panel.get_by_role("button", name="Restore L0H2").click()
            expect(panel.get_by_role("listitem").first).to_be_visible()
            page.get_by_role("button", name="Undo").click()
            continue
        expect(panel).not_to_contain_text("Needs a kernel")
    page.get_by_role("tab", name="Two prompts").click()
    expect(page.get_by_role("tabpanel")).to_contain_text("the dog sat on the mat")
    expect(page.get_by_role("tabpanel").get_by_role("table").first).to_be_visible()
    page.screenshot(path=shots / "page-small.png", full_page=True)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [640, 1400])
def test_axe_finds_nothing_serious(small, opened, scheme, width, shots):
    page = opened(small, color_scheme=scheme, viewport={"width": width, "height": 1000})
    expect(page.locator(".attnwidget[data-aw-theme]").last).to_have_attribute("data-aw-theme", scheme)
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.title().startswith("LlamaForCausalLM: the cat")
    assert violations(page, "body") == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for name in TABS:
        page.get_by_role("tab", name=name).click()
        page.wait_for_timeout(300)
        assert violations(page, "[role=tabpanel]") == []
    page.screenshot(path=shots / f"page-{scheme}-{width}.png", full_page=True)


def test_light_and_dark_are_chosen_in_the_page(small, opened):
    page = opened(small, color_scheme="light")
    background = "() => getComputedStyle(document.documentElement).backgroundColor"
    assert page.evaluate(background) == "rgb(255, 255, 255)"
    page.get_by_role("button", name="dark", exact=True).click()
    assert page.evaluate(background) == "rgb(17, 17, 17)"
    expect(page.locator(".attnwidget").last).to_have_attribute("data-aw-theme", "dark")


def test_without_scripts_there_is_a_summary(small, browser):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(small.as_uri())
    expect(page.get_by_role("heading", level=1)).to_contain_text("the cat sat on the mat")
    expect(page.get_by_role("listitem")).to_have_count(5)
    context.close()


# -- hostile tokens -----------------------------------------------------------------------------------------------------

HOSTILE = [
    "</script>",
    "<img/src=x/onerror=alert(1)>",
    "\u202eevil",
    "a\u200bb",
    "😀👩🏽",
    "<!--",
    "\ufffd",
    "]]>",
    "&lt;b&gt;",
    "\\u003c",
    "${alert(1)}",
]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    shape = {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 16, "intermediate_size": 16, "initializer_range": 0.3}
    words = ["<unk>", *HOSTILE]
    cutter = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    cutter.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=cutter, unk_token="<unk>")
    model = load_model(LlamaForCausalLM(LlamaConfig(**shape, vocab_size=len(words))).eval(), tokenizer=tokenizer)
    model.name = "</title></script><img src=x onerror=alert(2)>\u202e"
    w = AttentionWidget(model, " ".join(HOSTILE), selected=["L1H1"], shown=["L1H1"])
    assert w.tokens == HOSTILE
    return w.to_html(tmp_path_factory.mktemp("page") / "hostile.html")


def test_hostile_tokens_are_inert_and_visible(hostile, opened, shots):
    page = opened(hostile)
    expect(page.locator(".aw-pagebar h1")).to_have_text("</title></script><img src=x onerror=alert(2)>⟨U+202E⟩")
    assert page.title().startswith("</title></script><img src=x onerror=alert(2)>⟨U+202E⟩: </script> <img/src=x")
    strip = page.get_by_label("Tokens", exact=True)
    for token in HOSTILE:
        shown = token.replace("\u202e", "⟨U+202E⟩").replace("\u200b", "⟨U+200B⟩")
        expect(strip.get_by_text(shown, exact=True).first).to_be_visible()
    for name in [*TABS, "Two prompts", "Circuit", "Which set does it"]:
        page.get_by_role("tab", name=name).click()
        page.wait_for_timeout(200)
    text = page.evaluate("document.body.innerText")
    assert "\u202e" not in text and "\u200b" not in text
    assert page.locator("img, iframe, object, embed, link, a[href^='javascript']").count() == 0
    assert page.locator("script").count() == 4  # three of them data
    cell(page, "L0H1").click(modifiers=["Alt"])
    expect(off_cells(page)).to_have_count(1)
    page.screenshot(path=shots / "page-hostile.png", full_page=True)


# -- in a notebook ------------------------------------------------------------------------------------------------------


def test_a_cell_shows_the_page_in_a_frame(notebook, loaded: Kernel):
    chosen = "'the cat sat on the mat', selected=['L1H1'], shown=['L1H1']"
    made = f"from tests.small import small_model\npage = AttentionWidget(small_model(), {chosen}).page()\npage"
    book = notebook(made, kernel=loaded)
    frame = book.page.frame_locator("iframe[title^='LlamaForCausalLM']")
    expect(frame.locator(".aw-pagebar")).to_be_visible()
    cell(frame, "L0H1").click(modifiers=["Alt"])
    expect(off_cells(frame)).to_have_count(1)
    expect(headline(frame)).to_contain_text("→")
    box = book.page.locator("iframe[title^='LlamaForCausalLM']").bounding_box()
    assert box["height"] > 500 and box["width"] > 500
    # Of an origin of its own: it reads nothing of the notebook.
    inner = next(frame for frame in book.page.frames if frame.url == "about:srcdoc")
    assert inner.evaluate("() => self.origin") == "null"


def test_a_page_is_saved_from_the_widget(notebook, loaded: Kernel, opened, tmp_path):
    made = "from tests.small import small_model\nw = AttentionWidget(small_model(), 'the cat sat on the mat', selected=['L1H1'])\nw"
    book = notebook(made, kernel=loaded)
    view = book.page.locator(".attnwidget").first
    view.get_by_role("button", name="Export", exact=True).click()
    section = view.get_by_role("region", name="Export")
    section.get_by_role("checkbox", name="the logit lens").uncheck()
    with book.page.expect_download() as waiting:
        section.get_by_role("button", name="Save page").click()
    assert waiting.value.suggested_filename == "attnwidget-LlamaForCausalLM.html"
    file = tmp_path / "saved.html"
    waiting.value.save_as(file)
    names = "[part.name for part in w.page_parts().parts if part.chosen and part.name != 'lens']"
    assert file.read_text(encoding="utf-8") == book.read(f"w.page({names}).html()")
    page = opened(file)
    cell(page, "L0H1").click(modifiers=["Alt"])
    expect(headline(page)).to_contain_text("→")
    page.get_by_role("tab", name="Layer by layer").click()
    expect(page.get_by_role("tabpanel")).to_contain_text("Needs a kernel")
