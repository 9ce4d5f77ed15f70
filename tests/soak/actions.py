"""What a person does to a widget, at random. An action is a function of the stage; what it is called stands in the report."""

from __future__ import annotations

from collections.abc import Callable

from ..conftest import PROMPT
from .stage import AGAIN, Stage

Action = Callable[[Stage], None]
#: Each with how often it comes, beside the others.
ACTIONS: dict[str, tuple[Action, int]] = {}

PROMPTS = [
    PROMPT,
    "The capital of France is",
    "When Mary and John went to the store, Mary gave a drink to",
    "to be or not\n to be",
    "def add(a, b):\n    return a +",
    "one two three one two three one two",
    "Ünïcödé 日本語 🙂 <b>bold</b> & \u202eright",
    "The quick brown fox jumps over the lazy dog. " * 6,
    "a",
    "",
]
TOKENS = [" Mary", " John", " the", " Paris", "", "no such token at all"]
PANELS = ["prompt", "tokens", "grid", "outcome", "attention", "tabs"]
MAPS = [".aw-gridbox", ".aw-strip", "section[aria-label=Attention] canvas", ".aw-tabpanel canvas"]
HEADS = ["L23H3", "L1H5", "L1H7", "L0H0", "L29H8", "L12H4"]


def action(often: int) -> Callable[[Action], Action]:
    def add(act: Action) -> Action:
        ACTIONS[act.__name__.replace("_", " ")] = act, often
        return act

    return add


# -- the grid ---------------------------------------------------------------------------------------------------------


def _cell(stage: Stage):
    return stage.view.locator(f'[data-spot="{stage.chance.randrange(30)},{stage.chance.randrange(9)}"]')


@action(10)
def click_a_head(stage: Stage) -> None:
    _cell(stage).click(timeout=3000)


@action(10)
def ablate_a_head(stage: Stage) -> None:
    _cell(stage).click(modifiers=["Alt"], timeout=3000)


@action(2)
def ablate_a_layer(stage: Stage) -> None:
    stage.view.get_by_role("columnheader").nth(stage.chance.randrange(30)).click(modifiers=["Alt"], timeout=3000)


@action(2)
def draw_a_rectangle(stage: Stage) -> None:
    ends = [_cell(stage), _cell(stage)]
    ends[0].scroll_into_view_if_needed(timeout=3000)
    boxes = [end.bounding_box(timeout=3000) for end in ends]
    mouse = stage.page.mouse
    mouse.move(boxes[0]["x"] + 4, boxes[0]["y"] + 4)
    mouse.down()
    mouse.move(boxes[1]["x"] + 4, boxes[1]["y"] + 4, steps=6)
    mouse.up()


@action(6)
def keys_in_the_grid(stage: Stage) -> None:
    _cell(stage).focus(timeout=3000)
    keys = ["ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp", "Home", "End", "PageUp", "PageDown", "a", "Enter", "[", "]", "Control+z"]
    for key in stage.chance.choices(keys, k=8):
        stage.page.keyboard.press(key)


@action(3)
def ten_clicks_at_once(stage: Stage) -> None:
    spots = [f"{stage.chance.randrange(30)},{stage.chance.randrange(9)}" for _ in range(10)]
    stage.view.evaluate(
        "(view, spots) => spots.forEach(spot => view.querySelector(`[data-spot='${spot}']`)"
        ".dispatchEvent(new MouseEvent('click', { bubbles: true, altKey: true })))",
        spots,
    )


@action(3)
def clear(stage: Stage) -> None:
    button = stage.view.get_by_role("button", name="Clear", exact=True)
    if button.is_enabled():
        button.click(timeout=3000)


@action(5)
def undo_and_redo(stage: Stage) -> None:
    for name in stage.chance.choices(["Undo", "Redo"], k=3):
        button = stage.view.get_by_role("button", name=name, exact=True)
        if button.is_enabled():
            button.click(timeout=3000)


@action(2)
def escape(stage: Stage) -> None:
    _cell(stage).focus(timeout=3000)
    stage.page.keyboard.press("Escape")


# -- prompt and question ------------------------------------------------------------------------------------------------


@action(4)
def edit_the_prompt(stage: Stage) -> None:
    field = stage.view.get_by_role("textbox", name="Prompt", exact=True)
    field.fill(stage.chance.choice(PROMPTS), timeout=3000)
    field.press("Enter")


@action(3)
def ask_for_a_token(stage: Stage) -> None:
    label = stage.chance.choice(["Target token", "Foil token"])
    field = stage.view.get_by_label(label, exact=True)
    field.fill(stage.chance.choice(TOKENS), timeout=3000)
    field.press("Enter")


@action(5)
def choose_from_a_list(stage: Stage) -> None:
    """Mode, positions, score, metric, the position that is predicted from, and the lists of whatever tab is open."""
    _fiddle(stage, "select:not([disabled])")


@action(3)
def click_a_token(stage: Stage) -> None:
    tokens = stage.view.locator(".aw-tokens [role=option]")
    tokens.nth(stage.chance.randrange(max(1, tokens.count()))).click(timeout=3000)


# -- tabs and panels ------------------------------------------------------------------------------------------------------


@action(10)
def open_a_tab(stage: Stage) -> None:
    stage.view.get_by_role("tab").nth(stage.chance.randrange(9)).click(timeout=3000)


@action(14)
def use_what_is_there(stage: Stage) -> None:
    """A control of the open tab: the settings of a text, a study, a circuit, its start and its cancel, the lens, the inside of a head."""
    _fiddle(stage, ".aw-tabpanel :is(button, select, input, summary, [role=option], [role=gridcell])")


@action(8)
def use_anything(stage: Stage) -> None:
    _fiddle(stage, ":is(button, select, input, summary):not([role=gridcell], [role=columnheader], [role=rowheader], [role=tab])")


def _fiddle(stage: Stage, selector: str) -> None:
    controls = stage.view.locator(selector)
    fit = controls.evaluate_all(
        "all => all.map((e, i) => [e, i]).filter(([e]) => e.offsetParent !== null && !e.disabled"
        " && !/^(Save page|Cancel)$/.test(e.textContent.trim())).map(([, i]) => i)"
    )
    if not fit:
        return
    control = controls.nth(stage.chance.choice(fit))
    kind = control.evaluate("e => e.tagName === 'INPUT' ? e.type : e.tagName.toLowerCase()", timeout=3000)
    if kind == "select":
        options = control.evaluate("e => [...e.options].filter(o => !o.disabled).map(o => o.value)", timeout=3000)
        control.select_option(stage.chance.choice(options), timeout=3000)
    elif kind == "range":
        control.focus(timeout=3000)
        for _ in range(stage.chance.randrange(1, 6)):
            stage.page.keyboard.press("ArrowRight")
    elif kind == "number":
        low, high = control.evaluate("e => [Number(e.min || 0), Math.min(Number(e.max || 40), 40)]", timeout=3000)
        control.fill(f"{stage.chance.uniform(low, max(low, high)):.0f}", timeout=3000)
        control.press("Enter")
    elif kind == "text":
        control.fill(stage.chance.choice(["John", "Mary", *TOKENS, "3, 5-7"]), timeout=3000)
        control.press("Enter")
    else:
        control.click(timeout=3000)


@action(3)
def start_and_stop(stage: Stage) -> None:
    """What takes long, begun and cancelled: a text, a study, a circuit."""
    name, go = stage.chance.choice([("What it says", "Generate"), ("Which set does it", "Run"), ("Circuit", "Run")])
    tab = stage.view.get_by_role("tab", name=name)
    if tab.get_attribute("aria-selected", timeout=3000) != "true":
        tab.click(timeout=3000)
    panel = stage.view.get_by_role("tabpanel")
    if name == "Circuit":
        panel.get_by_role("button", name="shuffle repeat").click(timeout=3000)
    if name == "Which set does it":
        panel.get_by_role("button", name="whatever moves it most").click(timeout=3000)
    panel.get_by_role("button", name=go, exact=True).click(timeout=3000)
    stage.page.wait_for_timeout(stage.chance.choice([0, 200, 800, 2500]))
    stop = panel.get_by_role("button", name="Stop" if go == "Generate" else "Cancel", exact=True)
    if stage.chance.random() < 0.7 and stop.count():
        stop.first.click(timeout=3000)


@action(3)
def a_second_prompt(stage: Stage) -> None:
    tab = stage.view.get_by_role("tab", name="Two prompts")
    if tab.get_attribute("aria-selected", timeout=3000) != "true":
        tab.click(timeout=3000)
    remove = stage.view.get_by_role("button", name="Remove B")
    if remove.count() and stage.chance.random() < 0.4:
        remove.click(timeout=3000)
        return
    field = stage.view.get_by_role("textbox", name="Second prompt", exact=True)
    field.fill(stage.chance.choice(PROMPTS[:7]), timeout=3000)
    field.press("Enter")


@action(2)
def the_export_dialog(stage: Stage) -> None:
    stage.view.get_by_role("button", name="Export", exact=True).click(timeout=3000)
    panel = stage.view.get_by_label("Export", exact=True)
    boxes = panel.get_by_role("checkbox")
    if boxes.count():
        boxes.nth(stage.chance.randrange(boxes.count())).click(timeout=3000)
    save = panel.get_by_role("button", name="Save page")
    if stage.chance.random() < 0.3 and save.count() and save.is_enabled():
        save.click(timeout=3000)
        stage.page.wait_for_timeout(500)
        stop = panel.get_by_role("button", name="Cancel", exact=True)
        if stop.count():
            stop.click(timeout=3000)


# -- the page -------------------------------------------------------------------------------------------------------------


@action(8)
def hover(stage: Stage) -> None:
    """A sweep of the pointer over the grid, a map or the tokens."""
    over = stage.view.locator(stage.chance.choice(MAPS))
    if not over.count():
        return
    over.first.scroll_into_view_if_needed(timeout=3000)
    box = over.first.bounding_box(timeout=3000)
    if box is None:
        return
    at = lambda: (box["x"] + stage.chance.random() * box["width"], box["y"] + stage.chance.random() * box["height"])  # noqa: E731
    stage.page.mouse.move(*at())
    for _ in range(3):
        stage.page.mouse.move(*at(), steps=12)


@action(2)
def click_a_map(stage: Stage) -> None:
    maps = stage.view.locator("section[aria-label=Attention] canvas")
    maps.nth(stage.chance.randrange(max(1, maps.count()))).click(timeout=3000)


@action(2)
def resize(stage: Stage) -> None:
    stage.page.set_viewport_size({"width": stage.chance.choice([700, 900, 1400, 1800]), "height": stage.chance.choice([700, 1000])})


@action(1)
def change_the_theme(stage: Stage) -> None:
    stage.book.set_theme(dark=stage.chance.random() < 0.5)


@action(3)
def scroll(stage: Stage) -> None:
    stage.page.mouse.move(600, 500)
    stage.page.mouse.wheel(0, stage.chance.choice([-2000, -400, 400, 2000]))


@action(2)
def show_it_again(stage: Stage) -> None:
    """Runs the cell that shows the widget a second time, or clears that view."""
    cells = stage.page.locator(".jp-Notebook .jp-CodeCell")
    cells.nth(2).locator(".jp-InputArea").click(position={"x": 150, "y": 12}, timeout=5000)
    command = stage.chance.choice(["notebook:run-cell", "notebook:clear-cell-output"])
    stage.page.evaluate("name => { window.jupyterapp.commands.execute(name) }", command)
    assert AGAIN
    stage.page.wait_for_timeout(300)


# -- cells ------------------------------------------------------------------------------------------------------------------


@action(6)
def set_from_a_cell(stage: Stage) -> None:
    chance = stage.chance
    heads = chance.sample(HEADS, chance.randrange(0, 4))
    lines = [
        f"w.ablated = {heads}",
        f"w.selected = {heads}; w.shown = {heads[:1]}",
        f"w.mode = {chance.choice(['zero', 'mean', 'uniform', 'first', 'previous'])!r}",
        f"w.query = {chance.choice([0, -1])}",
        "w.positions = []; w.position = -1; w.target = w.against = ''",
        f"w.score = {chance.choice(['ablation', 'attribution', 'output_norm', 'direct_logit'])!r}",
        f"w.cell_view = {chance.choice(['patterns', 'scores'])!r}",
        f"w.attention_view = {chance.choice(['maps', 'lines'])!r}",
        f"w.panels = {chance.choice([PANELS, [one for one in PANELS if one != 'attention']])}",
        "w.run; w.prediction",
        "w.cancel()",
    ]
    stage.book.do(f"try:\n    {chance.choice(lines)}\nexcept ValueError:\n    pass")


@action(2)
def use_the_model_in_a_cell(stage: Stage) -> None:
    stage.book.do("run = model.run('The capital of France is').ablate(['L1H5']); run.kl(); del run")
