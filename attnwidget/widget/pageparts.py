"""What a page can hold, and what each part of it takes: measured where it is there, estimated from a few heads and positions elsewhere."""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import partial

import pandas as pd

from ..errors import AttnWidgetError
from ..export.container import container
from ..export.page import Page
from ..heads import Head
from ..markup import html_table
from .asking import CLEAN
from .jobs import Job
from .recordable import LENS_MOST, PARTS, base, keep_lens, keep_singles
from .recorder import Recorder
from .recording import packed, title_of
from .sweep import TOKENS

_LARGE = 8_000_000  # bytes of patterns beyond which those of the selected heads are chosen
_AT_ONCE = 4_000_000  # cells of patterns that are read to be measured
_AS_TEXT = 4 / 3  # base64
_POSITIONS = 16  # of the lens that are read to be measured


@dataclass(frozen=True)
class PagePart:
    """One part: `bytes` of the file that it adds, `exact` where that was measured, `seconds` that computing it takes (None where nothing is
    to be computed, or there is no telling), `chosen` where it is in unless a person says otherwise."""

    name: str
    label: str
    bytes: int
    exact: bool
    seconds: float | None
    chosen: bool


@dataclass(frozen=True)
class PageParts:
    """The parts that a page of a widget can have; `base` is the size of the file with none of them."""

    parts: tuple[PagePart, ...]
    base: int
    note: str

    def to_frame(self) -> pd.DataFrame:
        """One row per part: name, label, bytes, exact, seconds, chosen."""
        return pd.DataFrame([asdict(part) for part in self.parts])

    @property
    def chosen(self) -> int:
        """Bytes of the file with the chosen parts."""
        return self.base + sum(part.bytes for part in self.parts if part.chosen)

    def __repr__(self) -> str:
        lines = [f"PageParts(about {self.chosen / 1e6:.2f} MB with the chosen parts, {self.base / 1e6:.2f} MB with none)"]
        for part in self.parts:
            about = "" if part.exact else "about "
            seconds = "" if part.seconds is None else f", {part.seconds:.0f} s" if part.seconds >= 1 else ", under 1 s"
            lines.append(f"{'✓' if part.chosen else ' '} {part.name}: {about}{part.bytes / 1e3:.0f} kB{seconds} ({part.label})")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return html_table(self.to_frame(), index=False)


def page_parts(widget: object, job: Job) -> PageParts:
    """What `widget` as it is now can be saved with."""
    of = Recorder(widget, job)
    if not of.key or not of.asking.tokens:
        raise AttnWidgetError("There is no prompt to save: set w.prompt.")
    base(of)
    size = Page(title_of(widget), *packed(of)).nbytes
    found: list[PagePart] = []
    for i, (name, part) in enumerate(PARTS.items()):
        job.chunk(i, len(PARTS), "Looking what there is")
        if part.refused(of) is not None:
            continue
        scratch = Recorder(widget, job)
        estimate = None if part.there(of) and name != "ablations" else _ESTIMATES.get(name)
        if estimate is None:
            part.record(scratch)
            found.append(PagePart(name, part.label, _bytes(scratch), True, None, True))
        else:
            made = partial(estimate, scratch, PagePart(name, part.label, 0, False, None, True))
            # What is on screen changes with each click, and these would be measured again after each.
            depends = _DEPENDS.get(name)
            found.append(made() if depends is None else of.session.estimate((name, depends(of)), made))
    return PageParts(tuple(_choose(found)), size, "Of the file; what is not measured is estimated from a few heads and positions.")


def _choose(parts: list[PagePart]) -> list[PagePart]:
    # By sizes alone: what is in a page by default must not hang on how busy the machine is.
    every = next((part for part in parts if part.name == "patterns"), None)
    large = every is not None and every.bytes > _LARGE
    chosen = []
    for part in parts:
        if part.name == "patterns":
            part = replace(part, chosen=not large)
        elif part.name == "patterns of selected heads":
            part = replace(part, chosen=large or every is None)
        chosen.append(part)
    return chosen


def _bytes(of: Recorder, scale: float = 1.0) -> int:
    """What the answers of a recorder add to a file."""
    header, buffers = packed(of)
    empty = {"kind": "run", "state": {}, "answers": [], "patterns": None, "about": {}}
    whole = {**empty, "answers": header["answers"], "patterns": header["patterns"]}
    return round(scale * _AS_TEXT * (len(container(whole, buffers)) - len(container(empty, []))))


# -- estimates ----------------------------------------------------------------------------------------------------------


def _spread(of: Recorder, count: int) -> list[Head]:
    """Heads of layers all over the model."""
    every = of.every_head
    return every if len(every) <= count else [every[i * len(every) // count] for i in range(count)]


def _patterns(of: Recorder, part: PagePart) -> PagePart:
    some = _spread(of, max(4, _AT_ONCE // of.asking.tokens**2))
    cells = of.eight_bit(some)
    packed_cells = len(zlib.compress(cells.tobytes(), 9))
    scale = len(of.every_head) / len(some)
    return replace(part, bytes=round(scale * _AS_TEXT * packed_cells), exact=scale == 1)


def _ablations(of: Recorder, part: PagePart) -> PagePart:
    every = of.every_head
    some = _spread(of, max(4, -(-TOKENS // of.asking.tokens)))
    of.sample(some[:1])  # with what is computed once, whatever the number of heads
    start = time.monotonic()
    singles = of.sample(some)
    seconds = time.monotonic() - start
    keep_singles(of, singles)
    n_layers = of.model.n_layers
    work = sum(n_layers - head.layer for head in every) / max(1, sum(n_layers - head.layer for head in some))
    there = of.session.has_singles(of.singles_key)
    return replace(part, bytes=_bytes(of, len(every) / len(some)), seconds=None if there else seconds * work)


def _scores(of: Recorder, part: PagePart) -> PagePart:
    heads, answers = len(of.every_head), 0
    for fact in of.asking.facts["scores"]:
        if fact["refused"] is None and not fact.get("compared") and fact["kind"] != "kind":
            answers += len(of.asking.metrics(fact)) * (2 if fact["name"] == "ablation" else 1)
    return replace(part, bytes=round(_AS_TEXT * answers * (4 * heads + 50)))


def _lens(of: Recorder, part: PagePart) -> PagePart:
    positions, n = min(of.asking.tokens, LENS_MOST), of.asking.tokens
    # Not fewer: a handful of positions takes as long as it takes to read the unembedding, which says nothing of many.
    some = sorted({n - 1 - i * positions // _POSITIONS for i in range(_POSITIONS)})
    start = time.monotonic()
    keep_lens(of, CLEAN, some)
    seconds = time.monotonic() - start
    scale = positions / len(some) * len(of.asking.ablations)
    return replace(part, bytes=_bytes(of, scale), seconds=seconds * scale)


def _overview(of: Recorder, part: PagePart) -> PagePart:
    return replace(part, bytes=3000)


def _kinds(of: Recorder, part: PagePart) -> PagePart:
    kinds = sum(fact["kind"] == "kind" for fact in of.asking.facts["scores"])
    return replace(part, bytes=round(_AS_TEXT * kinds * (3 * 4 * len(of.every_head) + 400)))


def _weighted(of: Recorder, part: PagePart) -> PagePart:
    cells = of.asking.tokens**2 / (2 if of.model.causal else 1)
    return replace(part, bytes=round(_AS_TEXT * 3.6 * len(of.asking.ablations) * cells * (4 * len(of.asking.heads) + 1)))


def _inside(of: Recorder, part: PagePart) -> PagePart:
    cells = of.asking.tokens**2 / (2 if of.model.causal else 1)
    return replace(part, bytes=round(_AS_TEXT * (3.6 * len(of.asking.ablations) * cells * 2 + 8000)))


def _comparison(of: Recorder, part: PagePart) -> PagePart:
    compared = sum(bool(fact.get("compared")) for fact in of.asking.facts["scores"])
    maps = 5 * len(of.asking.heads) * of.asking.tokens**2
    return replace(part, bytes=round(_AS_TEXT * 3.6 * (3 * compared * len(of.every_head) + maps)))


def _generation(of: Recorder, part: PagePart) -> PagePart:
    # It is not on screen: made only where it is asked for.
    return replace(part, bytes=round(_AS_TEXT * 40 * 100 * len(of.asking.ablations)), chosen=False)


_DEPENDS: dict[str, Callable[[Recorder], tuple]] = {
    "patterns": lambda of: (of.key,),
    "ablations": lambda of: (of.singles_key, of.session.has_singles(of.singles_key)),
    "lens": lambda of: (of.asking.state["target"], len(of.asking.ablations)),
}
_ESTIMATES: dict[str, Callable[[Recorder, PagePart], PagePart]] = {
    "patterns": _patterns,
    "ablations": _ablations,
    "scores": _scores,
    "lens": _lens,
    "overview": _overview,
    "kinds": _kinds,
    "weighted maps": _weighted,
    "inside": _inside,
    "comparison": _comparison,
    "generation": _generation,
}
