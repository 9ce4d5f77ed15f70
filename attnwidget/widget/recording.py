"""A widget's state as a recording: what a page without a kernel opens the panels on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from importlib import metadata

from ..engine.interrupt import interruptible
from ..errors import AttnWidgetError
from ..heads import Head
from .jobs import Job
from .misnamed import misnamed
from .recordable import PARTS, base
from .recorder import Recorder
from .wire import pack

Progress = Callable[[int, int, str], None]
"""`progress(done, total, text)`; what it raises ends the recording."""
_NOT_KEPT = ("scored", "kept", "widget_id", "error")
_FIGURES = 9  # with which a float32 is written to the bit


def record(widget: object, parts: Iterable[str], heads: Sequence[Head] | None = None, job: Job | None = None) -> tuple[dict, list[bytes]]:
    """The header (`BundleHeader` of js/src/source/container.ts) and the buffers of a recording of `widget` as it is now.

    Args:
        parts: names of `PARTS`. The prompt, and what it is answered with the heads that are ablated now, are always in.
        heads: those whose patterns are recorded, in the place of the parts "patterns".
        job: whose `chunk` is told of progress and may end it; by default nobody's.

    Nothing in the widget changes but for what it keeps computed. The same parts of the same prompt give the same recording.
    """
    of = Recorder(widget, job or unqueued())
    if not of.key or not of.asking.tokens:
        raise AttnWidgetError("There is no prompt to record: set w.prompt.")
    names = checked(of, parts)
    with interruptible(of.job.check):
        base(of)
        if heads is not None:
            names = [name for name in names if not name.startswith("patterns")]
            of.keep_patterns(list(heads))
            of.try_ask("thumbnails", {})
        outer = of.job
        for i, name in enumerate(names):
            of.job = _share(outer, i, len(names), PARTS[name].label)
            PARTS[name].record(of)
            outer.chunk(1000 * (i + 1), 1000 * len(names), PARTS[name].label)
    return packed(of)


def packed(of: Recorder) -> tuple[dict, list[bytes]]:
    """What a recorder has so far."""
    state = {name: value for name, value in of.asking.state.items() if name not in _NOT_KEPT}
    header, buffers = pack(bundle(of, {**state, "run_key": "recorded", "scored": {}, "error": ""}))
    return _short(header), buffers


def bundle(of: Recorder, state: dict) -> dict:
    """What a recorder has so far as a `BundleHeader`, whose arrays are still in it; `state` are the traits that it carries."""
    chosen = of.asking.state
    return {
        "kind": "run",
        "state": state,
        "answers": of.answers,
        "patterns": of.patterns,
        "misnamed": misnamed(of.model, of.answers),
        "about": {"model": chosen["model_name"], "prompt": chosen["prompt"], "attnwidget": metadata.version("attnwidget")},
    }


def title_of(widget: object) -> str:
    """Of a page: the model and the beginning of the prompt."""
    text = " ".join(widget.prompt.split())
    return f"{widget.model_name}: {text if len(text) <= 80 else text[:79] + '…'}"


def checked(of: Recorder, parts: Iterable[str]) -> list[str]:
    """The parts, each once, in the order of `PARTS`; refused where there is no such part, or nothing for it."""
    given = [parts] if isinstance(parts, str) else list(parts)
    for name in given:
        if name not in PARTS:
            raise AttnWidgetError(f"A page has no part {name!r}: there are {', '.join(map(repr, PARTS))}.")
        if (reason := PARTS[name].refused(of)) is not None:
            raise AttnWidgetError(f"A page of this widget cannot have the part {name!r}: {reason.rstrip('.')}.")
    return [name for name in PARTS if name in given]


def unqueued(progress: Progress | None = None) -> Job:
    """A job that no worker runs."""
    told = (lambda done, total, text, partial: progress(done, total, text)) if progress else lambda *step: None
    return Job("", None, "", lambda job: None, lambda result: None, lambda error: None, told)


class _Share(Job):
    """One part's share of a job: its progress is that of the whole."""

    outer: Job
    turn: tuple[int, int, str]
    reached: int = 0

    def chunk(self, done: int, total: int, text: str = "", partial: object = None) -> None:
        i, n, label = self.turn
        # A part asks several questions, each of which begins at nothing.
        self.reached = max(self.reached, round(1000 * (i + done / max(1, total))))
        self.outer.chunk(self.reached, 1000 * n, f"{label}: {text[:1].lower()}{text[1:]}" if text else label)

    def check(self) -> None:
        self.outer.check()


def _share(outer: Job, i: int, n: int, label: str) -> _Share:
    share = _Share("", None, "", outer.work, outer.done, outer.failed, priority=outer.priority)
    share.outer, share.turn = outer, (i, n, label)
    return share


def _short(value: object) -> object:
    if isinstance(value, float):
        return float(f"{value:.{_FIGURES}g}")
    if isinstance(value, dict):
        return {name: _short(item) for name, item in value.items()}
    return [_short(item) for item in value] if isinstance(value, list) else value
