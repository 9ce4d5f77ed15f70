"""In the kernel of a notebook that becomes a page (`export/lesson.py`): what its widgets are shown as."""

from __future__ import annotations

from ..analysis.kinds import KINDS
from .pages import Pages
from .recordable import PARTS
from .recorder import Recorder
from .recording import unqueued

TABS = {
    "": (),
    "ranking": (),
    "overview": ("overview",),
    "kinds": ("kinds",),
    "lens": ("lens",),
    "generation": ("generation",),
    "study": ("study",),
    "circuit": ("circuit",),
    "compare": ("comparison",),
    "inside": ("inside",),
}
"""What is recorded for each tab that may be open, beside `ALWAYS`."""
ALWAYS = ("patterns", "ablations", "scores")


def prepare() -> None:
    """Before the first cell."""
    try:
        from circuitsvis.utils import render
    except ImportError:
        return
    # It asks a web site whether there is a network, and if so leaves its script there. A page has none.
    render.internet_on = lambda: False


def show_page(model_id: str) -> None:
    """Displays the page of a widget, as it is now, in its frame; nothing for a widget that is not ours."""
    from IPython.display import HTML, display

    widget = _widgets().get(model_id)
    if isinstance(widget, Pages):
        display(HTML(widget.page(_parts(widget))._repr_html_()))


def _parts(widget: Pages) -> list[str]:
    # What is on screen, and what a click on a head needs: everything else takes long, and a reader of the page has not asked for it.
    kind = ("kinds",) if widget.score in KINDS else ()
    weighted = ("weighted maps",) if widget.attention_kind not in ("raw", "change") or widget.aggregate == "rollout" else ()
    of = Recorder(widget, unqueued())
    return [name for name in (*ALWAYS, *TABS[widget.tab], *kind, *weighted) if PARTS[name].refused(of) is None]


def _widgets() -> dict:
    from ipywidgets import Widget
    from ipywidgets.widgets import widget

    return getattr(widget, "_instances", None) or Widget.widgets  # ipywidgets 8, and 7
