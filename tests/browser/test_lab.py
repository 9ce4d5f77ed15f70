"""The harness itself: what it promises to notice, it notices."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

TINY = '''
import anywidget, traitlets

class Tiny(anywidget.AnyWidget):
    n = traitlets.Int(0).tag(sync=True)
    _esm = """export default { render({ model, el }) {
        const button = document.createElement("button");
        const paint = () => { button.textContent = `n ${model.get("n")}`; };
        button.onclick = () => { model.set("n", model.get("n") + 1); model.save_changes(); };
        model.on("change:n", paint);
        paint();
        el.classList.add("attnwidget");
        el.append(button);
    } }"""

w = Tiny()
w
'''


def test_both_sides_of_a_widget_can_be_reached(notebook):
    book = notebook("import sys", TINY)
    book.widget.get_by_role("button").click()
    book.soon("w.n", 1)
    book.do("w.n = 7")
    expect(book.widget.get_by_role("button")).to_have_text("n 7")
    book.resize_widget(640)
    assert book.widget.evaluate("e => e.getBoundingClientRect().width") == pytest.approx(640, abs=1)
    import sys

    assert book.read("sys.prefix") == sys.prefix, "the kernel is not the Python under test"


def test_requests_and_errors_are_noticed(notebook):
    book = notebook("1 + 1")
    # An address that is reserved for documents like this one, and leads nowhere.
    book.page.evaluate("() => { fetch('http://192.0.2.1/x').catch(() => {}); setTimeout(() => { throw Error('boom') }) }")
    book.page.wait_for_timeout(300)
    assert book.outside == ["http://192.0.2.1/x"]
    assert any("boom" in error for error in book.errors)
    book.outside.clear()
    book.errors.clear()


def test_a_cell_that_raises_is_an_error(notebook):
    with pytest.raises(AssertionError, match="no such thing"):
        notebook("raise ValueError('no such thing')")
