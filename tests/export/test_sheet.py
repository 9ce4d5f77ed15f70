"""The sheet that pictures are drawn on: text stays text, whatever stands in it; the same bytes; nothing of matplotlib's is changed."""

from __future__ import annotations

import io
import subprocess
import sys
import warnings

import numpy as np
import pytest
from PIL import Image

from attnwidget import AttnWidgetError
from attnwidget.export.figures import fonts, ink
from attnwidget.export.figures.sheet import Sheet, fitted, points, wrapped
from attnwidget.export.figures.wording import bare, cell_number, compact, labels, percent, sentence, signed, visible

from .svg import Picture

HOSTILE = [
    "$x^2$",
    r"\frac{a}{b}",
    "</text><script>alert(1)</script>",
    "&amp; <b>",
    "🙂",
    "中文",
    "שלום",
    "a\u202eb",
    "zero\u200bwidth",
    "nul\x00bell\x07",
    "\ud800",
    "line\nbreak\ttab",
    "soft\u00adhyphen",
    "\uffff",
    "_^{}%#~",
]


def drawn(texts) -> Sheet:
    sheet = Sheet(300)
    for i, text in enumerate(texts):
        sheet.text(5, 12 * (i + 1), visible(text), id=f"t{i}")
    return sheet.end(12 * len(texts) + 4, "A caption.")


def test_hostile_text_is_drawn_as_it_is():
    picture = Picture(drawn(HOSTILE).svg())
    assert picture.words[: len(HOSTILE)] == [visible(text) for text in HOSTILE]
    assert "$x^2$" in picture.words and "</text><script>alert(1)</script>" in picture.words
    assert "a⟨U+202E⟩b" in picture.words and "zero⟨U+200B⟩width" in picture.words and "nul⟨U+0⟩bell⟨U+7⟩" in picture.words
    assert not list(picture.root.iter("{http://www.w3.org/2000/svg}script"))


@pytest.mark.parametrize("kind", ["svg", "png", "pdf"])
def test_the_same_picture_is_the_same_bytes(kind):
    first, second = (getattr(drawn(HOSTILE), kind)() for _ in range(2))
    assert first == second


def test_nobody_hears_of_glyphs_that_no_font_has():
    import logging

    heard = []
    handler = logging.Handler()
    handler.emit = lambda record: heard.append(record.getMessage())
    logging.getLogger("matplotlib").addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            drawn(HOSTILE).svg()
            drawn(HOSTILE).png(72)
            drawn(HOSTILE).pdf()
            drawn(HOSTILE).pixels(72)
    finally:
        logging.getLogger("matplotlib").removeHandler(handler)
    assert heard == []


def test_settings_of_matplotlib_play_no_part_and_stay_as_they_are():
    import matplotlib

    plain = {kind: getattr(drawn(["a", "b"]), kind)() for kind in ("svg", "png")}
    before = dict(matplotlib.rcParams)
    with matplotlib.rc_context(
        {"font.size": 30, "svg.fonttype": "path", "text.usetex": True, "path.sketch": (1, 100, 2), "lines.linewidth": 9}
    ):
        inside = dict(matplotlib.rcParams)
        for kind, data in plain.items():
            assert getattr(drawn(["a", "b"]), kind)() == data
        assert dict(matplotlib.rcParams) == inside
    assert dict(matplotlib.rcParams) == before


def test_matplotlib_is_not_imported_with_attnwidget_nor_pyplot_ever():
    code = (
        "import sys, attnwidget.public; assert 'matplotlib' not in sys.modules; import attnwidget.export.figures; "
        "assert 'matplotlib' not in sys.modules; from attnwidget.export.figures.sheet import Sheet; s = Sheet(200); s.text(1, 9, 'a'); "
        "s.end(20).svg(); assert 'matplotlib' in sys.modules; assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)


def test_widths_and_sizes(tmp_path):
    for width in (3.5, "3.5in", "88.9mm", "8.89 cm", "252pt"):
        assert Sheet(points(width, 0)).end(50).svg().split('width="')[1].startswith("252pt")
    for bad in (0, 90, "3 miles", "mm", True, "1.2.3in"):
        with pytest.raises(AttnWidgetError, match="width must be"):
            points(bad, 100)
    sheet = drawn(["a"])
    path = sheet.to_png(tmp_path / "x", dpi=200)
    assert path.name == "x.png"
    assert Image.open(path).size == (850, int((sheet.height + 6) / 72 * 200))
    for bad in (0, 10_000, "300", True):
        with pytest.raises(AttnWidgetError, match="dpi must be"):
            sheet.png(bad)
    with pytest.raises(AttnWidgetError, match=r"name it x\.svg"):
        sheet.to_svg(tmp_path / "x.png")
    assert sheet.to_pdf(tmp_path / "y.pdf").read_bytes().startswith(b"%PDF")


def test_pixels_are_the_picture():
    sheet = Sheet(100)
    sheet.rect(10, 10, 20, 20, "#2b6cb0")
    sheet.end(50)
    dots = sheet.pixels(72)
    assert dots.dtype == np.uint8 and dots.shape == (57, 106, 3)
    assert tuple(dots[23, 23]) == (0x2B, 0x6C, 0xB0) and tuple(dots[2, 2]) == (255, 255, 255)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(sheet.png(72))).convert("RGB")), dots)


def test_a_picture_of_cells_keeps_them():
    sheet = Sheet(100)
    cells = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [9, 9, 9]]], np.uint8)
    sheet.picture(0, 0, 80, 80, cells)
    sheet.end(90)
    dots = sheet.pixels(72)
    assert [tuple(int(c) for c in dots[y, x]) for y, x in ((20, 20), (20, 60), (60, 20), (60, 60))] == [
        tuple(c) for c in cells.reshape(4, 3).tolist()
    ]


def test_text_is_measured_as_it_is_drawn():
    """The page is set by `fonts.width`; matplotlib's own measure of the same font is the oracle."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    for mono in (False, True):
        text = "Attention of L9H6"
        family = "DejaVu Sans Mono" if mono else "DejaVu Sans"
        path = TextPath((0, 0), text, size=40, prop=FontProperties(family=family))
        assert fonts.width(text, 40, mono=mono) == pytest.approx(path.get_extents().width, rel=0.05)


def test_wrapping_and_fitting():
    lines = wrapped("one two three four five six seven", 60, 7)
    assert " ".join(lines) == "one two three four five six seven" and len(lines) > 1
    assert all(fonts.width(line, 7) <= 60 for line in lines)
    assert "".join(wrapped("x" * 60, 60, 7)) == "x" * 60
    assert wrapped("", 60, 7) == []
    assert fitted("abc", 100, 7) == "abc" and fitted("abcdefghijkl" * 3, 50, 7).endswith("…")


def test_ramps_are_the_page_s():
    # js/src/draw/ramps.ts
    assert ink.colour("attention", 0) == "#f1f4f8" and ink.colour("attention", 1) == "#123f7a" and ink.colour("effect", 0.4) == "#f6b97a"
    assert ink.colour("attention", 0.1) == "#e0eaf4"
    assert ink.ink_on("#123f7a") == "#ffffff" and ink.ink_on("#cfdff0") == "#000000"
    assert ink.tone(0.25, 1, False) == ("attention", 0.5) and ink.tone(-0.25, 1, True) == ("hurt", 0.5)


def test_ramps_are_those_of_the_front_end(root):
    text = (root / "js/src/draw/ramps.ts").read_text()
    light = text[text.index("light: {") : text.index("dark: {")]
    for name, stops in ink.RAMPS.items():
        assert f'{name}: "{stops}"' in light


@pytest.mark.parametrize(
    ("token", "shown", "alone"),
    [
        (" Mary", "·Mary", "Mary"),
        ("  Mary", "··Mary", "··Mary"),
        ("", "∅", "∅"),
        ("  ", "␣␣", "␣␣"),
        ("\n\n", "↵↵", "↵↵"),
        ("a\u00a0b", "a⍽b", "a⍽b"),
        ("\u00ad", "⟨U+AD⟩", "⟨U+AD⟩"),
        ("é", "é", "é"),
    ],
)
def test_tokens_are_visible(token, shown, alone):
    assert visible(token) == shown and bare(token) == alone


def test_numbers_are_written_as_on_the_page():
    assert labels([" John", "a", " John", " John"]) == ["John", "a", "John₂", "John₃"]
    assert [percent(p) for p in (0, 0.0004, 0.0512, 0.42, 0.996, 0.9999, 1, None)] == [
        "0%",
        "<0.1%",
        "5.1%",
        "42%",
        "99.6%",
        ">99.9%",
        "100%",
        "–",
    ]
    assert [compact(x) for x in (0, 1.234, -12.34, 0.1234, 123.4, 1e-5, None, float("nan"), 0.9996)] == [
        "0",
        "1.23",
        "−12.3",
        "0.123",
        "123",
        "1.0e−5",
        "–",
        "–",
        "1.00",
    ]
    assert [cell_number(x) for x in (0.78, 1, 0.999, -0.12, 2.4, 31.2)] == [".78", "1", "1", "−.12", "2.4", "31"]
    assert signed(-0.001) == "0.00" and signed(-1.5) == "−1.50"
    assert sentence(["z set to zero", "exact", "", "exact", "A note.", "more"]) == "z set to zero; exact; A note. More."
