"""The circuit of an answer, as a person finds it: a second prompt, the graph and its curve, a head of it, its ablation and its files."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree
from pathlib import Path

import networkx
from playwright.sync_api import Locator, expect

from ..conftest import PROMPT
from .lab import Notebook
from .test_scores import tab
from .test_widget import expect_clean, headline

TAB = "Circuit"
ASK = f"w = AttentionWidget(model, {PROMPT!r}, tab='')\nw"
# Every edge and every circuit is a pass of the model, and the machine may be busy with others.
FOUND = 400_000
SVG = "{http://www.w3.org/2000/svg}"


def swap(panel: Locator, word: str, by: str) -> None:
    for label, text in (("Word to swap", word), ("Word to swap it with", by)):
        field = panel.get_by_label(label, exact=True)
        field.fill(text)
        field.press("Enter")


def setting(panel: Locator, name: str, value: int) -> None:
    field = panel.get_by_role("spinbutton", name=name, exact=True)
    field.fill(str(value))
    field.press("Enter")


def saved(book: Notebook, panel: Locator, name: str) -> str:
    with book.page.expect_download() as waiting:
        panel.get_by_role("button", name=name, exact=True).click()
    return Path(waiting.value.path()).read_text()


def test_a_circuit_is_found_looked_at_ablated_and_exported(notebook, loaded, shots):
    book = notebook(ASK, kernel=loaded, width=1800)
    view = book.widget
    expect_clean(view)
    panel = tab(view, TAB)
    run = panel.get_by_role("button", name="Run", exact=True)
    expect(run).to_be_disabled()

    # What cannot be is refused where it was typed.
    swap(panel, "Bob", "Alice")
    expect(panel.get_by_role("alert")).to_contain_text("Bob")
    expect(run).to_be_disabled()
    swap(panel, "John", "Mary")
    expect(panel.locator(".aw-circuit-changed")).to_have_count(1)
    expect(panel.locator(".aw-circuit-changed")).to_have_text(re.compile("John.*Mary", re.DOTALL))
    expect(panel).to_contain_text("logit Mary − John")
    book.do("from attnwidget import counterfactual\nother = counterfactual(w.run.clean, swap=('John', 'Mary'))")
    for value in ("other.logit_diff.clean", "other.logit_diff.counterfactual"):
        shown = f"{abs(book.read(value)):.2f}"
        expect(panel.locator(".aw-circuit-diff")).to_contain_text(shown)

    setting(panel, "Top edges", 40)
    panel.get_by_text("Details", exact=True).click()
    setting(panel, "Random circuits", 2)
    run.click()
    nodes = panel.get_by_role("toolbar", name=re.compile("^Circuit:"))
    expect(nodes.get_by_role("button", name=re.compile("^logits"))).to_be_visible(timeout=FOUND)  # long before all is measured
    expect(panel.get_by_role("region", name="Minimality")).to_be_visible(timeout=FOUND)
    expect(run).to_be_visible(timeout=FOUND)
    expect(panel.get_by_role("region", name="Completeness")).to_be_visible()
    book.soon("w.busy", False)

    # The same circuit, with the same numbers, as in the kernel.
    book.do("c = w.circuit")
    edges = book.read("[[e.label, e.effect] for e in c.edges]")
    assert edges, "no edge leads from the embedding to the answer"
    expect(panel.locator(".aw-circuit-f b")).to_have_text(f"{book.read('c.faithfulness'):.2f}".replace("-", "−"))
    expect(panel.locator(".aw-cc-dot")).to_have_count(book.read("len(c.curve)"))
    expect(panel).to_contain_text(f"{len(edges)} edges shown, 0 hidden. Every edge drawn was run.")
    assert nodes.get_by_role("button").count() == book.read("len(c.nodes)")
    panel.get_by_role("button", name="as table").click()
    table = panel.get_by_role("region", name="Edges")
    assert [row.split("\t")[0] for row in table.locator("tbody tr").all_inner_texts()] == [label for label, _ in edges]
    panel.get_by_role("button", name="as table").click()

    for theme in ("dark", "light"):
        book.set_theme(theme == "dark")
        for width in (1400, 640):
            book.resize_widget(width)
            assert view.evaluate("e => e.scrollWidth - e.clientWidth") <= 1, "the widget scrolls sideways"
            book.shoot(shots / f"circuit-{theme}-{width}.png", panel)
    book.resize_widget(1400)
    panel.get_by_role("button", name="as in the grid").click()
    book.shoot(shots / "circuit-grid.png", panel)
    panel.get_by_role("button", name="compact").click()

    # A node is its head in the grid.
    name = book.read("str(c.heads[0])")
    node = nodes.get_by_role("button", name=re.compile(rf"^{name},"))
    node.hover()
    expect(panel.locator(".aw-tip")).to_contain_text(name)
    node.click()
    book.soon("[list(h) for h in w.shown]", [book.read("list(c.heads[0])")])
    expect(node).to_have_attribute("aria-pressed", "true")

    # Its heads off, in one step; and all the others.
    book.do("w.ablated = []")
    panel.get_by_role("button", name="Ablate this circuit").click()
    book.soon("sorted(list(h) for h in w.ablated)", book.read("sorted(list(h) for h in c.heads)"))
    expect(headline(view)).to_have_text(re.compile("→"))
    view.get_by_role("button", name="Undo").click()
    book.soon("len(w.ablated)", 0)
    panel.get_by_role("button", name="Ablate everything else").click()
    book.soon("sorted(list(h) for h in w.ablated)", book.read("sorted(list(h) for h in c.others)"))
    view.get_by_role("button", name="Undo").click()
    book.soon("len(w.ablated)", 0)

    # Files that others can read.
    root = xml.etree.ElementTree.fromstring(saved(book, panel, "SVG"))
    assert root.tag == f"{SVG}svg"
    assert len(root.findall(f".//{SVG}path[@stroke-width]")) >= len(edges)
    data = json.loads(saved(book, panel, "JSON"))
    assert [[one["label"], one["effect"]] for one in data["edges"]] == edges
    graph = networkx.node_link_graph(json.loads(saved(book, panel, "networkx")))
    assert graph.is_directed() and sorted(graph) == sorted(book.read("[n.name for n in c.nodes]"))
    assert {data["label"] for *_, data in graph.edges(data=True)} == {label for label, _ in edges}
    assert networkx.has_path(graph, "embed", "logits")

    # Another question makes it an old one.
    book.do("w.target = ' the'")
    expect(panel).to_contain_text("Computed for another position, target or foil.")
    expect(panel.locator(".aw-circuit > .aw-stale")).to_have_count(1)
    book.do("w.target = ''")
    expect(panel.locator(".aw-circuit > .aw-stale")).to_have_count(0)


def test_a_search_is_stopped_and_keeps_what_it_has(notebook, loaded):
    book = notebook(ASK, kernel=loaded)
    expect_clean(book.widget)
    panel = tab(book.widget, TAB)
    panel.get_by_label("Method", exact=True).select_option("eap")
    swap(panel, "John", "Mary")
    setting(panel, "Top edges", 400)
    panel.get_by_role("button", name="Run", exact=True).click()
    expect(panel.get_by_text(re.compile("by themselves so far"))).to_be_visible(timeout=FOUND)
    panel.get_by_role("button", name="Cancel", exact=True).click()
    expect(panel.get_by_role("button", name="Run", exact=True)).to_be_visible()
    book.soon("w.busy", False)
    expect(panel).to_contain_text("the others are the method’s estimates")
    expect(panel).not_to_contain_text("so far")


def test_information_flow_needs_no_second_prompt(notebook, loaded):
    book = notebook(ASK, kernel=loaded)
    expect_clean(book.widget)
    panel = tab(book.widget, TAB)
    panel.get_by_label("Method", exact=True).select_option("information_flow")
    expect(panel).to_contain_text("not specific to this task")
    panel.get_by_role("button", name="Run", exact=True).click()
    nodes = panel.get_by_role("toolbar", name=re.compile("^Circuit:"))
    expect(nodes.get_by_role("button", name=re.compile("^logits"))).to_be_visible(timeout=FOUND)
    expect(panel.get_by_role("button", name="Run", exact=True)).to_be_visible(timeout=FOUND)
    book.soon("w.busy", False)
    expect(panel).not_to_contain_text("Every edge drawn was run")
    expect(panel.locator(".aw-cc-dot")).to_have_count(0)
