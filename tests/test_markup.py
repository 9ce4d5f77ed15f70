"""No text of a model, a tokenizer or a person is ever markup, in whatever a result can be shown as."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

import attnwidget as aw
from attnwidget import AttnWidgetError
from attnwidget.markup import escaped, html_table

from .conftest import ROOT
from .hostile import NAME, TEXTS, hostile_classifier, hostile_model
from .properties.questions import QUESTIONS

TABLES = {
    "table": {"class"},
    **{tag: {"style", "colspan", "halign", "rowspan", "valign"} for tag in ("tr", "th", "td")},
    **{tag: set() for tag in ("thead", "tbody", "p", "ol", "li", "small", "br", "b")},
    "ul": {"style"},
}
"""All that we write as HTML for a result, each element with its attributes."""


class Seen(HTMLParser):
    """Elements, attributes and text, as a browser would read them."""

    def __init__(self, allowed: dict[str, set[str]]):
        super().__init__(convert_charrefs=True)
        self.allowed, self.wrong, self.text = allowed, [], []

    def handle_starttag(self, tag, attrs):
        if tag not in self.allowed or {name for name, _ in attrs} - self.allowed[tag]:
            self.wrong.append((tag, attrs))

    def handle_data(self, data):
        self.text.append(data)

    def handle_comment(self, data):
        self.wrong.append(("comment", data))

    def handle_decl(self, decl):
        if decl.lower() != "doctype html":
            self.wrong.append(("declaration", decl))

    unknown_decl = handle_pi = handle_comment


def read(page: str, allowed: dict[str, set[str]] = TABLES) -> str:
    """The text of a page that has only what is allowed."""
    seen = Seen(allowed)
    seen.feed(page)
    seen.close()
    assert not seen.wrong, seen.wrong[:3]
    page.encode()
    return "".join(seen.text)


@pytest.fixture(scope="module")
def run():
    model = hostile_model()
    return model.run([*range(1, len(TEXTS) + 1), 1, 2, 3])


def test_what_reads_pages_is_not_blind():
    for text in TEXTS:
        if re.search(r"<[a-z!]", text) and "pwned" in text:
            with pytest.raises(AssertionError):
                read(f"<p>{text}</p>")
    assert read(f"<p>{escaped(TEXTS[0])}</p>") == TEXTS[0]


def test_what_is_undefined_is_blank():
    """In whatever way pandas has it, and beside what is not."""
    whole = pd.array([1, None], dtype="Int64")
    frame = pd.DataFrame({"a": [0.5, np.nan], "b": whole, "c": ["x", None], "d": [pd.NaT, pd.NaT], "e": [7, 8]}, index=["y", "z"])
    text = html_table(frame)
    assert not re.search("None|NA|NaT|nan", text)
    assert re.findall("<td>(.*?)</td>", text) == ["0.5000", "1", "x", "", "7", "", "", "", "", "8"]


@pytest.fixture(scope="module")
def results(run):
    """Every result that there is of this model, found once; what refuses does so in a sentence."""
    found = {}
    for name, question in QUESTIONS.items():
        try:
            found[name] = question(run)
        except AttnWidgetError as error:
            found[name] = error
    return found


@pytest.mark.parametrize("name", sorted(QUESTIONS))
def test_a_result_is_shown_as_text(name, results):
    result = results[name]
    if isinstance(result, AttnWidgetError):
        pytest.skip(f"refused: {str(result)[:100]!r}")
    repr(result).encode()
    if not isinstance(result, pd.DataFrame) and hasattr(result, "_repr_html_"):
        assert read(result._repr_html_())
    for table in (result, *(getattr(result, part)() for part in ("to_frame", "table") if callable(getattr(result, part, None)))):
        if isinstance(table, pd.DataFrame):
            read(html_table(table))


PICTURES = ("kinds", "lens", "text", "study", "circuit", "comparison", "mean", "value weighted", "qk scores", "ov circuit", "overview")


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_well_formed_and_has_no_script(name, results):
    result = results[name]
    if isinstance(result, AttnWidgetError):
        pytest.skip(str(result)[:200])
    look_at(result.figure().svg())


def look_at(svg: str | bytes) -> None:
    root = ElementTree.fromstring(svg)
    for element in root.iter():
        tag = str(element.tag).rpartition("}")[2].lower()
        assert tag not in ("script", "foreignobject", "iframe", "a", "pwned-element", "img", "base", "link"), tag
        for key, value in element.attrib.items():
            assert not key.rpartition("}")[2].lower().startswith("on"), key
            assert "javascript:" not in value.lower() and (not key.endswith("href") or value.startswith(("#", "data:"))), value


@pytest.fixture(scope="module")
def widget(run):
    prompt = " ".join(text for text in TEXTS if not re.search(r"\s", text))
    return aw.AttentionWidget(run.model, prompt, ablated=["L1H1"], selected=["L1H1", "L2H0"])


@pytest.mark.parametrize("panel", ["tokens", "attention", "outcome", "grid", "overview"])
def test_a_picture_of_a_panel(panel, widget):
    look_at(widget.figure(panel).svg())


def test_a_run_elsewhere(run):
    short = run.model.run([1, 2, 3, 6, 7, 8, 12, 31])
    read(html_table(short.to_frame()))
    for kind in ("attention_heads", "attention_patterns", "colored_tokens", "token_log_probs"):
        options = {"heads": ["L1H1", "L0H2"]} if kind != "token_log_probs" else {"top_k": 3}
        rendered = short.to_circuitsvis(kind, **options)
        for source in (rendered.local_src, rendered.cdn_src):
            arguments = source.rpartition("render(\n")[2]
            assert arguments.count("<") == arguments.count("</script>") + arguments.count("</div>") <= 2


PAGE = {
    "html": {"lang"},
    "meta": {"charset", "http-equiv", "content", "name"},
    "main": {"id"},
    "script": {"type", "id"},
    **{tag: set() for tag in ("head", "title", "style", "body", "noscript", "h1", "p", "bdi", "ol", "li")},
}
FRAME = {"div": {"style"}, "iframe": {"title", "sandbox", "referrerpolicy", "style", "srcdoc"}}


def test_a_page(widget):
    page = widget.page()
    text = read(page.html(), PAGE)
    assert NAME in text, "the name stands there as text"
    assert page.html().count("<script") == 4
    read(page._repr_html_(), FRAME)


def test_views_of_arrays(run):
    tokens = run.tokens[:9]
    attention = run.patterns(1)[:, :9, :9]
    for made in (aw.attention_heads(attention, tokens), aw.attention_pattern(tokens, attention[0])):
        page = made.page if hasattr(made, "page") else made
        read(made._repr_html_(), FRAME)
        read((page() if callable(page) else page).html(), PAGE)


def test_names_of_classes():
    model = hostile_classifier()
    run = model.run([3, 4, 5])
    assert read(html_table(run.top(3)))
    shown = aw.analysis.outcome(run.ablate("L1H1"))._repr_html_()
    assert "�" in read(shown) or "?" in read(shown)
    w = aw.AttentionWidget(model, "x y")
    read(w.page().html(), PAGE)


def test_a_saved_picture_s_words(widget):
    from attnwidget.widget.still import alternative, bundle

    shown = bundle("0" * 32, b"png", alternative(widget))
    read(shown["text/html"], {"div": {"class"}, "img": {"alt", "style", "src"}})
    assert escaped(NAME) in shown["text/html"]


def test_tables_are_made_in_one_place():
    """pandas' styled tables take cells for markup, so none of ours is made with them."""
    for file in (ROOT / "attnwidget").rglob("*.py"):
        source = file.read_text(encoding="utf-8")
        assert ".style." not in source and (file.name == "markup.py" or ".to_html(" not in source.replace("w.to_html(", "")), file


def test_the_front_end_writes_no_markup():
    wrong = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|dangerouslySetInnerHTML|srcdoc|document\.write|createContextualFragment|DOMParser"
        r"|\beval\(|new Function|javascript:|setTimeout\(\s*[\"'`]"
    )
    files = [file for file in (ROOT / "js" / "src").rglob("*") if file.suffix in (".ts", ".tsx")]
    files.append(ROOT / "attnwidget" / "export" / "page.js")
    assert len(files) > 100
    for file in files:
        assert not (found := wrong.search(file.read_text(encoding="utf-8"))), (file, found)
