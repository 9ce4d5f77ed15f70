"""Two prompts, as a person compares them, on the real model in a real JupyterLab."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, expect

from ..conftest import PROMPT
from .lab import wait_until
from .test_scores import tab
from .test_widget import HEADS, expect_clean

TWO = "Two prompts"
OTHER = PROMPT.replace("John gave", "Mary gave")
LONGER = PROMPT.replace("the store", "the big store")
ASK = f"w = AttentionWidget(model, {PROMPT!r}, tab='', metric='logit_diff')\nw"


def cell(view: Locator, head: str) -> Locator:
    """Of the grid: the table has cells of that name too."""
    return view.locator(f".aw-cell[aria-label^='{head},']")


def measured_to_the_end(panel: Locator) -> None:
    """On a machine that is slow, or busy, the rest waits for the button."""
    left, rest = panel.get_by_text(re.compile("exchanges of a head")), panel.get_by_role("button", name=re.compile("^Measure the rest"))
    wait_until(lambda: left.count() == 0 or rest.count() > 0, 200, "both sweeps have ended or stopped")
    if rest.count():
        rest.click()
    expect(left).to_have_count(0, timeout=300_000)


def test_two_prompts_are_compared_and_the_grid_takes_the_colour(notebook, loaded, shots):
    book = notebook(ASK, kernel=loaded, width=1800)
    view = book.widget
    expect_clean(view)
    panel = tab(view, TWO)
    # words of the first prompt are exchanged: the second " John" for the first " Mary"
    panel.get_by_role("button", name="Swap two words").click()
    words = panel.get_by_role("group", name="Words of A").get_by_role("button")
    words.filter(has_text="John").nth(1).click()
    words.filter(has_text="Mary").first.click()
    swapped = PROMPT.replace("Mary", "@").replace("John gave", "Mary gave").replace("@", "John")
    book.soon("w.other", swapped)
    # or one is written
    panel.get_by_label("Second prompt").fill(OTHER)
    panel.get_by_role("button", name="Compare", exact=True).click()
    book.soon("w.other", OTHER)
    expect(panel).to_contain_text("A answers Mary 92%, B John 75%.", timeout=60_000)
    expect(panel.locator(".aw-two-new")).to_have_text([re.compile("John"), re.compile("Mary")])

    # what is shown are the library's numbers
    book.do(
        f"from attnwidget import compare\nexpected = compare(w.run.clean, model.run({OTHER!r}), metric='logit_diff')\nimport numpy as np"
    )
    table = panel.get_by_role("grid", name=re.compile("Every head"))
    first = book.read("str(expected.scores('max_difference').top(1)[0])")
    expect(table.locator("tbody tr").first).to_contain_text(first)
    largest = book.read("float(np.nanmax(expected.values['max_difference']))")
    expect(table.locator("tbody tr").first).to_contain_text(f"{largest:.3f}")
    # the effects are measured by themselves, and told apart
    measured_to_the_end(panel)
    expect(table).to_contain_text("effect on the answer")
    panel.get_by_label("Heads by").select_option("noising")
    best = book.read("str(expected.scores('noising').top(1)[0])")
    assert best == "L23H3"
    expect(table.locator("tbody tr").first).to_contain_text(best)
    for name in ("noising", "denoising", "js", "z_cosine"):
        gap = f"float(np.nanmax(np.abs(w.comparison.values[{name!r}] - expected.values[{name!r}])))"
        assert book.read(gap) < 2e-3, name

    # a row is a head: it is selected, shown, and its maps are drawn
    table.locator("tbody tr").first.click()
    book.soon("[str(head) for head in w.shown]", [best])
    expect(panel.get_by_role("region", name=f"Maps of {best} in both prompts").locator("canvas")).to_have_count(5)
    expect(panel.locator(".aw-two-read")).to_contain_text(f"{best} differs most at")

    panel.get_by_role("button", name="Colour the grid by this").click()
    book.soon("[w.score, w.cell_view]", ["noising", "scores"])
    expect(cell(view, "L23H3")).to_have_attribute("aria-label", re.compile(r"L23H3, [\d.]+.*exact"), timeout=60_000)
    assert book.read("str(w.scores.top(1)[0])") == best and book.read("w.scores.method") == "noising"

    for theme in ("dark", "light"):
        book.set_theme(theme == "dark")
        for width in (1400, 640):
            book.resize_widget(width)
            assert view.evaluate("e => e.scrollWidth - e.clientWidth") <= 1, "the widget scrolls sideways"
            book.shoot(shots / f"compare-{theme}-{width}.png")
        book.resize_widget(1400)
        book.shoot(shots / f"compare-panel-{theme}.png", panel)


def test_prompts_of_unequal_length_are_aligned_and_their_effects_refused_in_place(notebook, loaded, shots):
    book = notebook(ASK.replace("tab=''", f"tab='compare', other={LONGER!r}"), kernel=loaded, width=1800)
    panel = book.widget.get_by_role("tabpanel", name=TWO)
    expect(panel).to_contain_text("14 tokens aligned by equal tokens · 1 put in · A has 14, B 15", timeout=60_000)
    expect(panel.locator(".aw-two-gap")).to_have_count(1)
    expect(panel).to_contain_text("Noising and denoising are undefined here")
    book.shoot(shots / "compare-unequal.png", panel)
    # too long a text is refused where it was written, and the comparison stays
    panel.get_by_label("Second prompt").fill("word " * 9000)
    panel.get_by_role("button", name="Compare", exact=True).click()
    expect(panel.get_by_role("alert")).to_contain_text("Too long", timeout=60_000)
    assert book.read("w.other") == LONGER
    expect(panel.locator(".aw-two-gap")).to_have_count(1)
    # and the grid says what a score of two prompts needs
    book.do("w.score = 'js'; w.other = ''; w.cell_view = 'scores'")
    expect(book.widget).to_contain_text("There is no second prompt to compare with: set w.other")


def test_a_click_overtakes_the_effects_and_a_cancel_keeps_them(notebook, loaded):
    long, other = (f"{'It was a long day. ' * 12}{text}" for text in (PROMPT, OTHER))  # long enough that a person has time to stop it
    ask = f"w = AttentionWidget(model, {long!r}, tab='compare', other={other!r}, score='output_norm')\nw"
    book = notebook(ask, kernel=loaded, width=1800)
    panel = book.widget.get_by_role("tabpanel", name=TWO)
    rest = panel.get_by_role("button", name=re.compile("^Measure the rest"))
    expect(rest).to_be_visible(timeout=120_000)  # it would take longer than a person is asked to wait unasked
    rest.click()
    expect(panel).to_contain_text(re.compile(r"measuring [1-9]\d* of 540"))
    cell(book.widget, HEADS[0]).click(modifiers=["Alt"])
    expect(book.widget.locator(".aw-headline .aw-after")).to_be_visible(timeout=10_000)
    panel.locator(".aw-two-heads").get_by_role("button", name="Cancel").click()
    expect(panel).to_contain_text(re.compile(r"measured [1-9]\d* of 540"))
    book.soon("w.busy", False)
    book.do(
        "import numpy as np\n"
        "def measured(): return sum(int(np.isfinite(w.comparison.values[way]).sum()) for way in ('noising', 'denoising'))\n"
        "done = measured()"
    )
    assert 0 < book.read("done") < 540
    assert "so far" in book.read("w.comparison.undefined['denoising']")
    rest.click()
    wait_until(lambda: book.read("measured() > done"), 60, "it goes on from where it was")
    assert int(re.search(r"measuring (\d+) of 540", panel.inner_text())[1]) >= book.read("done")
    book.do("w.cancel()")
    book.soon("w.busy", False)


def test_pairs_and_an_encoder_without_a_head(notebook, loaded, shots):
    texts = "The film was good.", "The film was bad."
    book = notebook(
        f"e = AttentionWidget(load_model('minilm'), {texts[0]!r}, tab='compare', other={texts[1]!r})\ne", kernel=loaded, width=1800
    )
    view = book.widget
    panel = view.get_by_role("tabpanel", name=TWO)
    expect(panel).to_contain_text("Mean-pooled embeddings: cosine distance", timeout=60_000)
    panel.get_by_role("checkbox", name="discount special tokens").check()
    expect(panel).to_contain_text("2 special tokens discounted", timeout=60_000)
    book.soon("e.comparison.pairs == tuple((i, i) for i in range(1, 6))", True)
    # the grid is coloured by what each head does to the embedding, and the ablation says how far it moves
    assert book.read("[e.score, e.metric]") == ["ablation", "embedding_cosine"]
    expect(view).to_contain_text("Ablate a head to see how far that moves the embedding")
    best = book.read("str(e.scores.top(1)[0])")
    cell(view, best).click(modifiers=["Alt"])
    expect(view.locator(".aw-headline")).to_contain_text("cosine distance of the embedding", timeout=30_000)
    book.do("from attnwidget.analysis import embedding_change\nmoved = embedding_change(e.run)")
    expect(view.locator(".aw-headline")).to_contain_text(f"{book.read('moved.cosine_distance'):.3f}")
    # a kind of change, over pairs
    panel.get_by_text("Many pairs").click()
    pairs = ["The film was good. | The film was bad.", "The door is open. | The door is shut.", "He is tall. | He is very tall."]
    panel.get_by_label("Pairs of prompts").fill("\n".join(pairs))
    panel.get_by_role("button", name="Compare 3 pairs").click()
    expect(panel).to_contain_text("mean over 3 pairs, 95% t interval", timeout=60_000)
    book.shoot(shots / "compare-encoder.png")
