"""A notebook as a page: what is run, what it is refused for, and what of its outputs may run in the page."""

from __future__ import annotations

import base64
import hashlib
import html
import re
from pathlib import Path

import nbformat
import pytest

from attnwidget.errors import AttnWidgetError
from attnwidget.export.container import opened
from attnwidget.export.lesson import export_lesson, framed, lesson_page, linked, read_notebook, run_notebook, shell

TEXT = """# What < is shown?

<!-- nobody sees this -->See [this](other.ipynb).

<details><summary>Answer</summary>

It is **so**.

</details>"""
ARRAY = """from attnwidget.arrays import attention_patterns
print(open('beside.txt').read())
attention_patterns(['a', 'b'], [[[1, 0], [0.5, 0.5]]])"""
SCRIPT = """from IPython.display import HTML
HTML('<div id=x></div><script>document.title = 1 &amp;&amp; 2</script>')"""

ROOT = Path(__file__).resolve().parents[2]
MARKDOWN, CODE = nbformat.v4.new_markdown_cell, nbformat.v4.new_code_cell


def policy(page: str) -> str:
    return re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)[1]


def hashed(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lesson")
    (folder / "beside.txt").write_text("found it")
    book = nbformat.v4.new_notebook(
        cells=[
            MARKDOWN(TEXT),
            CODE(ARRAY),
            CODE(SCRIPT),
            CODE("from ipywidgets import IntSlider\nIntSlider(description='not ours')"),
        ]
    )
    nbformat.write(book, folder / "small.ipynb")
    before = (folder / "small.ipynb").read_bytes()
    said = []
    written = export_lesson(folder / "small.ipynb", progress=lambda done, total, text: said.append((done, total)))
    assert (folder / "small.ipynb").read_bytes() == before
    assert written == folder / "small.html" and said == [(i, 4) for i in range(4)]
    return written.read_text(encoding="utf-8")


def test_words_code_and_outputs_are_in_it(page):
    assert "<title>What &lt; is shown?</title>" in page
    assert "nobody sees this" not in page and 'href="other.html"' in page
    assert "<strong>so</strong>" in page and "<summary>Answer</summary>" in page
    assert "found it" in page
    assert "IntSlider" in page  # what is not ours is left as its text
    assert page.count("<iframe") == 2


def test_it_asks_for_nothing(page):
    outside = [url for url in re.findall(r'(?:src|href)="([^"]+)"', page) if re.match(r"(https?:)?//", url)]
    assert outside == []
    assert "<script" not in re.sub(r'srcdoc="[^"]*"', "", page)
    assert policy(page).startswith("default-src 'none'; ")
    assert "connect-src" not in policy(page) and "unsafe-inline'; img" in policy(page) and "unsafe-eval" not in policy(page)


def test_scripts_are_allowed_by_their_hashes_and_only_in_frames():
    inside = framed("<p>a</p><script>go('&amp;')</script><script type='application/json'>{}</script>")
    assert inside.startswith("<iframe ") and 'sandbox="allow-scripts"' in inside
    allowed = re.search(r"script-src ([^;]*);", policy(shell("t", inside)))[1]
    script = "go('&amp;')"
    assert allowed == f"{hashed(script)} blob:"
    assert framed("<p>no scripts</p>") == "<p>no scripts</p>"
    assert "script-src" not in policy(shell("t", "<p>no scripts</p>"))


def test_links_lead_to_pages_and_comments_are_left_out():
    assert (
        linked("[a](one.ipynb) <!-- [b](two.ipynb)\n -->[c](https://x.org/three.ipynb)") == "[a](one.html) [c](https://x.org/three.ipynb)"
    )


def test_a_notebook_that_was_run_is_not_changed_by_its_page():
    book = nbformat.v4.new_notebook(cells=[MARKDOWN("# One?\n\n<!-- kept -->"), CODE("1")])
    before = nbformat.writes(book)
    assert lesson_page(book) == lesson_page(book)
    assert nbformat.writes(book) == before


def test_what_is_wrong_is_said_in_one_sentence(tmp_path):
    with pytest.raises(AttnWidgetError, match="cannot be read"):
        read_notebook(tmp_path / "none.ipynb")
    (tmp_path / "text.ipynb").write_text("no notebook")
    with pytest.raises(AttnWidgetError, match="is no notebook"):
        read_notebook(tmp_path / "text.ipynb")
    nbformat.write(nbformat.v4.new_notebook(cells=[CODE("1"), CODE("1 / 0")]), tmp_path / "wrong.ipynb")
    with pytest.raises(AttnWidgetError, match="no folder"):
        export_lesson(tmp_path / "wrong.ipynb", tmp_path / "none" / "page.html")
    with pytest.raises(AttnWidgetError, match="Cell 2 of the notebook raised ZeroDivisionError: division by zero"):
        export_lesson(tmp_path / "wrong.ipynb")
    assert not (tmp_path / "wrong.html").exists()


def test_what_runs_aside_leaves_no_trace(tmp_path):
    book = nbformat.v4.new_notebook(cells=[CODE("import ipywidgets\nipywidgets.IntSlider()"), CODE("In, _oh, 'show_page' in globals()")])
    run_notebook(book, tmp_path)
    assert len(book.cells) == 2
    assert [cell.execution_count for cell in book.cells] == [1, 2]


def test_a_widget_is_shown_as_it_was_when_its_cell_had_run(tmp_path):
    first = f"import sys\nsys.path.insert(0, {str(ROOT)!r})\nfrom tests.small import small_model\nfrom attnwidget import AttentionWidget"
    shown = "w = AttentionWidget(small_model(), 'the cat sat on the mat', tab='')\nw"
    book = nbformat.v4.new_notebook(cells=[CODE(first), CODE(shown), CODE("w.ablated = ['L1H0']")])
    run_notebook(book, tmp_path)
    (output,) = book.cells[1].outputs
    (frame,) = re.findall(r'srcdoc="([^"]*)"', output.data["text/html"])
    packed = re.search(r'id="attnwidget-recording">([^<]*)<', html.unescape(frame))[1]
    header, _ = opened(base64.b64decode(packed))
    assert header["state"]["ablated"] == []
    singles = [answer["args"]["ablation"]["heads"] for answer in header["answers"] if answer["op"] == "outcome"]
    assert len([heads for heads in singles if len(heads) == 1]) == header["state"]["n_layers"] * header["state"]["n_heads"]
