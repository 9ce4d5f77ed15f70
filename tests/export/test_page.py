"""The file itself: what is in it as text, what is allowed in it, and that it is the same each time."""

import base64
import hashlib
import html
import re
import zlib

import pytest

from attnwidget import AttnWidgetError
from attnwidget.export.container import opened
from attnwidget.export.page import Page, escaped

HOSTILE = "</script><img src=x onerror=alert(1)>\u202eevil\u200b\u2066 &amp; \"'`"
ROWS = [
    {"token": HOSTILE, "clean": {"rank": 2, "probability": 0.25}},
    {"token": "first", "clean": {"rank": 1, "probability": 0.5}},
]
HEADER = {
    "kind": "run",
    "state": {"tokens": [HOSTILE]},
    "answers": [{"op": "outcome", "args": {"ablation": {"heads": []}}, "result": {"rows": ROWS}}],
    "patterns": None,
    "about": {"model": HOSTILE, "prompt": HOSTILE, "attnwidget": "1"},
}


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(HOSTILE, HEADER, [b"\x00\xff" * 50])


def part(text: str, name: str) -> str:
    return re.search(f'id="attnwidget-{name}">([A-Za-z0-9+/=]*)</script>', text)[1]


def test_the_recording_comes_out_of_the_file_as_it_went_in(page):
    header, buffers = opened(base64.b64decode(part(page.html(), "recording")))
    assert {name: header[name] for name in HEADER} == HEADER
    assert buffers == [b"\x00\xff" * 50]


def test_the_front_end_in_it_is_the_one_that_is_installed(page, root):
    for name, file in (("front-end", "widget.js"), ("style", "widget.css")):
        assert zlib.decompress(base64.b64decode(part(page.html(), name))) == (root / "attnwidget/static" / file).read_bytes()


def test_nothing_of_the_recording_is_markup(page):
    text = page.html()
    scripts = re.findall(r"<script[^>]*>", text)
    assert scripts == [
        *(f'<script type="application/x-attnwidget" id="attnwidget-{n}">' for n in ("style", "front-end", "recording")),
        "<script>",
    ]
    assert "<img" not in text
    assert "onerror=alert" in text  # it is there as text, escaped
    assert not re.search("[\u200b-\u200f\u202a-\u202e\u2060-\u2069]", text)
    assert text.count("⟨U+202E⟩") == 5  # title, heading, model, prompt, and the second row of the answer


def test_the_policy_allows_this_loader_and_nothing_of_any_network(page):
    text = page.html()
    policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1])
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    loader = re.search(r"<script>(.*?)</script>", text, re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(loader.encode()).digest()).decode()
    assert rules["script-src"] == f"'sha256-{digest}' blob:"
    assert set(rules) == {"default-src", "script-src", "style-src", "img-src", "base-uri", "form-action"}
    assert not re.search(r"https?:", policy)


def test_without_scripts_it_says_what_it_is(page):
    said = re.search(r"<noscript>(.*?)</noscript>", page.html(), re.DOTALL)[1]
    items = re.findall(r"<li><bdi>(.*?)</bdi> (.*?)</li>", said)
    assert items[0] == ("first", "50.00%")
    assert items[1][1] == "25.00%"
    assert html.unescape(items[1][0]) == HOSTILE.replace("\u202e", "⟨U+202E⟩").replace("\u200b", "⟨U+200B⟩").replace("\u2066", "⟨U+2066⟩")


def test_it_is_the_same_each_time(page):
    again = Page(HOSTILE, dict(reversed(HEADER.items())), [b"\x00\xff" * 50])
    assert again.html() == page.html()
    assert again.nbytes == len(page.html().encode())


def test_it_is_saved_as_it_is(page, tmp_path):
    path = page.save(tmp_path / "page.html")
    assert path.read_bytes() == page.html().encode()
    assert page.save(str(path)) == path  # over the one that is there
    with pytest.raises(AttnWidgetError, match="no folder"):
        page.save(tmp_path / "nowhere" / "page.html")


def test_in_a_notebook_it_is_a_frame_of_its_own_origin(page):
    shown = page._repr_html_()
    assert shown.count("<iframe") == 1
    assert 'sandbox="allow-scripts allow-downloads"' in shown
    assert html.unescape(re.search(r'srcdoc="([^"]*)"', shown)[1]) == page.html()
    assert repr(page).startswith("Page(title=")
    assert len(repr(page)) < 200


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("plain ü 漢字 😀 שלום", "plain ü 漢字 😀 שלום"),
        ("a\nb\tc", "a↵b⇥c"),
        ("\ufeff\u00ad\u2028\x00", "⟨U+FEFF⟩⟨U+AD⟩⟨U+2028⟩⟨U+0⟩"),
        ("\ud83d", "⟨U+D83D⟩"),
        ("\u3164\U000e0041", "⟨U+3164⟩⟨U+E0041⟩"),
        ("<b>&\"'", "&lt;b&gt;&amp;&quot;&#x27;"),
    ],
)
def test_text_shows_what_it_is_made_of(given, shown):
    assert escaped(given) == shown
    escaped(given).encode()


def test_an_answer_that_is_undefined_is_not_in_the_words_for_readers_without_scripts():
    undefined = {"token": "nowhere", "clean": {"rank": 3, "probability": None}}
    answer = {**HEADER["answers"][0], "result": {"rows": [*ROWS, undefined]}}
    text = Page("t", {**HEADER, "answers": [answer]}).html()
    assert "50.00%" in text and "nowhere" not in text.partition("</h1>")[2].partition("</ol>")[0]
