"""Pages of plain arrays in a real browser, opened from disk: nothing is fetched, what is shown is what was given, by mouse and by keys."""

import re

import numpy as np
import pytest
from playwright.sync_api import expect

from attnwidget import arrays

from ..export.arrays import patterns
from . import axe

TOKENS = ["When", " Mary", " and", " John", " went", " home"]
SOURCE, TARGET = ["The", "house", "is", "wonderful", "and", "old", "."], ["Das", " Haus", " ist", " alt", "."]


@pytest.fixture
def opened(disk, tmp_path):
    """`opened(page_of_arrays)`: the file in a tab of its own."""

    def make(made, **options):
        page = disk(made.save(tmp_path / f"{len(disk.contexts)}.html"), **options)
        expect(page.locator(".aw-att").first).to_be_visible()
        return page

    return make


def at(page, selector, x, y):
    """Moves the pointer to a point of an element, in CSS pixels from its corner."""
    box = page.locator(selector).bounding_box()
    page.mouse.move(box["x"] + x, box["y"] + y)


def test_heads_of_one_layer_as_circuitsvis_shows_them(opened, shots):
    given = patterns(4, 6, 6, causal=True)
    page = opened(arrays.attention_patterns(TOKENS, given))
    expect(page.locator(".aw-small-pic")).to_have_count(4)
    page.locator('.aw-small-pic[aria-label="head 2"]').click()
    expect(page.locator(".aw-large h3")).to_have_text("head 2")
    # 28 px a cell, no margin left of a causal map.
    at(page, ".aw-map", 28 * 1 + 14, 28 * 3 + 15)
    expect(page.locator(".aw-readout .aw-query")).to_have_text("John")
    expect(page.locator(".aw-readout .aw-key")).to_have_text("Mary")
    assert float(page.locator(".aw-big").get_attribute("title")) == np.float32(given[2, 3, 1])
    page.screenshot(path=shots / "arrays-heads.png", full_page=True)


def test_two_lists_of_tokens_by_keys_alone(opened, shots):
    given = patterns(5, 7)
    page = opened(arrays.cross_attention(given, TARGET, SOURCE))
    page.locator(".aw-map").focus()
    for key in ("ArrowUp", "ArrowUp", "Home", "ArrowRight"):
        page.keyboard.press(key)
    expect(page.locator(".aw-readout .aw-query")).to_have_text("ist")
    expect(page.locator(".aw-readout .aw-key")).to_have_text("house")
    assert float(page.locator(".aw-big").get_attribute("title")) == np.float32(given[2, 1])
    expect(page.locator("[aria-live=polite]").last).to_have_text(re.compile(r"^ist looks at house: 0\.\d+$"))
    page.get_by_role("button", name="lines").click()
    expect(page.get_by_role("application")).to_have_attribute("aria-roledescription", "attention lines")
    page.screenshot(path=shots / "arrays-cross.png", full_page=True)


def test_the_two_sentences_of_a_bert(opened, shots):
    pair = ["[CLS]", "the", "cat", "[SEP]", "it", "sat", "[SEP]"]
    given = patterns(4, 1, 6, 7, 7)
    page = opened(arrays.head_view(list(given), pair, sentence_b_start=4, layer=3, heads=[2, 5]))
    expect(page.locator(".aw-large h3")).to_have_text("L3H2")
    page.get_by_role("button", name="sentence B → A").click()
    page.get_by_role("button", name="maps").click()
    page.locator(".aw-map").focus()
    for key in ("Home", "ArrowUp", "ArrowUp", "ArrowRight"):
        page.keyboard.press(key)
    expect(page.locator(".aw-readout .aw-query")).to_have_text("it")
    expect(page.locator(".aw-readout .aw-key")).to_have_text("the")
    assert float(page.locator(".aw-big").get_attribute("title")) == np.float32(given[3, 0, 2, 4, 1])
    page.screenshot(path=shots / "arrays-sentences.png", full_page=True)


def test_patches_are_picked_in_the_picture(opened, shots):
    y, x = np.mgrid[0:96, 0:144]
    picture = np.stack([x, 255 - y, 128 + 0 * x], -1).astype(np.uint8)
    given = patterns(3, 8, 25, 25)  # CLS and 4 x 6 patches
    page = opened(arrays.attention_patches(given, (4, 6), picture))
    expect(page.locator(".aw-map")).to_have_attribute("data-loaded", "true")
    cell = page.locator(".aw-map").bounding_box()["width"] / 6
    at(page, ".aw-map", cell * 4.5, cell * 1.5)
    page.mouse.down()
    page.mouse.up()
    expect(page.locator(".aw-large .aw-query").first).to_have_text("patch 1,4")
    at(page, ".aw-map", cell * 0.5, cell * 3.5)
    expect(page.locator(".aw-readout .aw-key")).to_have_text("patch 3,0")
    wanted = given[2, 0, 1 + 6 + 4, 1 + 18]  # the last layer's first head
    assert abs(float(page.locator(".aw-big").get_attribute("title")) - wanted) < 1e-7
    # What lies under the strongest patch is blue: the picture itself has more green and red there.
    row = given[2, 0, 11, 1:]
    top = int(row.argmax())
    colour = page.evaluate(
        """([x, y]) => { const c = document.querySelector('.aw-map-base'); const s = c.width / c.clientWidth;
        return [...c.getContext('2d').getImageData(x * s, y * s, 1, 1).data].slice(0, 3); }""",
        [cell * (top % 6 + 0.5), cell * (top // 6 + 0.5)],
    )
    assert colour[2] > colour[0] + 40 and colour[2] > colour[1] + 20
    page.screenshot(path=shots / "arrays-patches.png", full_page=True)
    page.get_by_role("button", name="CLS").click()
    expect(page.locator(".aw-large .aw-query").first).to_have_text("CLS")
    page.get_by_role("checkbox", name="image").uncheck()
    page.screenshot(path=shots / "arrays-patches-bare.png", full_page=True)


def test_a_picture_in_a_cell_is_read_in_its_frame_of_another_origin(browser, tmp_path):
    made = arrays.attention_patches(patterns(3, 25, 25), (4, 6), np.full((8, 12, 3), [200, 40, 40], np.uint8))
    file = tmp_path / "cell.html"
    file.write_text(f"<!doctype html><body>{made._repr_html_()}</body>", encoding="utf-8")
    page = browser.new_page(viewport={"width": 1200, "height": 900})
    errors = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.goto(file.as_uri())
    frame = page.frame_locator("iframe")
    expect(frame.locator(".aw-map")).to_have_attribute("data-loaded", "true")
    # Grey, though the picture is red: its pixels could be read.
    query = "c => [...c.getContext('2d').getImageData(3, c.height - 3, 1, 1).data]"
    red, green, blue, _ = frame.locator(".aw-map-base").evaluate(query)
    assert max(red, green, blue) > 0 and red <= blue + 12
    page.close()
    assert errors == []


def test_all_layers_are_the_widget_without_what_needs_a_model(opened, shots):
    given = patterns(6, 4, 6, 6, causal=True)
    page = opened(arrays.attention_layers(TOKENS, given))
    expect(page.locator(".aw-tok")).to_have_count(6)
    page.get_by_role("gridcell", name=re.compile("^L4H2")).click()
    expect(page.locator(".aw-large h3")).to_have_text("L4H2")
    page.locator(".aw-map").focus()
    page.keyboard.press("Home")
    # The last query and the first key, to 8 bits.
    assert abs(float(page.locator(".aw-big").get_attribute("title")) - given[4, 2, 5, 0]) <= 0.5 / 255 + 1e-6
    expect(page.get_by_text("recorded to 8 bits, ± 0.002")).to_be_visible()
    for gone in ("Ablate", "Scores", "signed", "Select"):
        expect(page.get_by_role("button", name=gone, exact=True)).to_have_count(0)
    # The keys that ablate do nothing.
    page.keyboard.press("a")
    expect(page.locator(".aw-off")).to_have_count(0)
    page.get_by_label("What is drawn large").select_option("layer")
    expect(page.locator(".aw-large h3")).to_have_text("mean of layer 4")
    mean = float(page.locator(".aw-big").get_attribute("title"))
    assert abs(mean - given[4, :, 5, 0].mean()) <= 0.5 / 255 + 1e-6
    page.screenshot(path=shots / "arrays-layers.png", full_page=True)


HOSTILE = ["</script><img src=x onerror=document.title='hit'>", "\u202eabc", "a\u200bb", "👩‍🚀", "<b>bold</b>", "&amp;"]


def test_hostile_tokens_are_inert_and_visible(opened):
    page = opened(arrays.cross_attention(patterns(6, 6), HOSTILE, HOSTILE))
    page.get_by_role("button", name="as table").click()
    assert page.locator(".aw-map-table tbody th").all_text_contents()[0] == HOSTILE[0]
    assert page.locator(".attnwidget img, .attnwidget table b").count() == 0 and page.title() != "hit"
    page = opened(arrays.attention_layers(HOSTILE, patterns(2, 2, 6, 6)))
    assert page.locator(".attnwidget img").count() == 0 and page.title() != "hit"


PAGES = {
    "maps": lambda: arrays.cross_attention(patterns(6, 4, 5, 7), TARGET, SOURCE),
    "signs": lambda: arrays.attention_heads(patterns(3, 6, 6) - patterns(3, 6, 6, seed=1), TOKENS, ["one", "two", "three"]),
    "patches": lambda: arrays.attention_patches(patterns(3, 8, 25, 25), (4, 6), np.full((8, 12, 3), 90, np.uint8)),
    "words": lambda: arrays.attention_patches(patterns(3, 5, 25), (4, 6), tokens=TARGET),
    "layers": lambda: arrays.attention_layers(TOKENS, patterns(6, 4, 6, 6)),
}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("what", PAGES)
def test_axe_finds_nothing_grave(opened, what, scheme, shots):
    page = opened(PAGES[what](), color_scheme=scheme)
    page.locator(".aw-map").focus()
    page.screenshot(path=shots / f"arrays-{what}-{scheme}.png", full_page=True)
    assert axe.violations(page, "body") == []


@pytest.mark.parametrize("width", [600, 760, 1080, 1600])
@pytest.mark.parametrize("what", PAGES)
def test_nothing_scrolls_sideways(opened, what, width):
    page = opened(PAGES[what](), viewport={"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
