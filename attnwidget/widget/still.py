"""The state of a widget as one picture, for where a saved notebook is read without a kernel and without widgets."""

from __future__ import annotations

import base64
import io
from dataclasses import replace

import numpy as np

from ..analysis import outcome
from ..analysis.headscores import HeadScores
from ..errors import AttnWidgetError
from ..markup import escaped
from . import figures
from .jobs import Job
from .question import question

MOST = 150_000
_DPI = (110.0, 84.0, 64.0)  # the first whose picture is small enough
_OF_A_RAMP = {"attention": 80, "effect": 44, "hurt": 36, "probability": 28}
_TOKENS_UP_TO = 160  # a longer prompt's strip would be the whole picture
_GAP = 20.0


def sheet_of(w, job: Job):
    """Tokens, grid, the large map and the prediction as far as these panels are shown; None where there is no prompt. Nothing that takes
    long is computed: scores are those that are there."""
    from ..export.figures.sheet import PAGE, Sheet

    if not w.tokens:
        return None
    page, y = Sheet(PAGE), 0.0
    wide = {"width": (PAGE + 6) / 72}
    half = {"width": ((PAGE - _GAP) / 2 + 6) / 72}
    if "tokens" in w.panels and len(w.tokens) <= _TOKENS_UP_TO:
        y = _put(page, y, lambda: w.figure("tokens", **wide)) + 6
    if "grid" in w.panels:
        job.chunk(0, 1)
        y = _put(page, y, lambda: _grid(w, **wide)) + 6
    job.chunk(0, 1)
    left = _drawn(lambda: w.figure("attention", view="large", **half)) if "attention" in w.panels and figures.looked_at(w) else None
    job.chunk(0, 1)
    right = _drawn(lambda: w.figure("outcome", **half)) if "outcome" in w.panels else None
    columns = [part for part in (left, right) if part is not None]
    for i, part in enumerate(columns):
        page.put(part, i * ((PAGE - _GAP) / 2 + _GAP), y)
    y += max((part.height for part in columns), default=0.0)
    return page.end(y)


def _drawn(make):
    try:
        return make()
    except AttnWidgetError:  # what this model, or this mode, does not have; the page says why
        return None


def _put(page, y: float, make) -> float:
    part = _drawn(make)
    if part is None:
        return y
    page.put(part, 0, y)
    return y + part.height


def _grid(w, width: float):
    from ..export.figures import grid, runs

    scores = _scores_there(w)
    marks = {"selected": w.selected, "shown": w.shown, "width": width}
    if scores is not None and w.cell_view == "scores":
        return grid.scores_grid(scores, ablated=w.ablated, **marks)
    asked = w._session.answer_like("thumbnails", {})
    maps = None if asked is None else asked["maps"].values.astype(np.float32) / 255
    return runs.patterns(w.run, maps=maps, hide_first=w.hide_first, scores=scores, **marks)


def _scores_there(w) -> HeadScores | None:
    """`w.scores` where they are measured already."""
    asked = question(w._session, w._scores_asked)
    if (found := w._session.recall(asked.run, asked.key)) is not None:
        return found.scores
    estimate = w._session.recall(asked.run, replace(asked, name="attribution").key) if asked.name == "ablation" else None
    return None if estimate is None else estimate.scores


def png(sheet) -> bytes:
    """At most `MOST` bytes, in few colours; drawn with matplotlib's settings as they are, since this is no thread to change them in."""
    for dpi in _DPI:
        out = io.BytesIO()
        _in_few_colours(sheet.pixels(dpi)).save(out, "PNG", optimize=True)
        if out.tell() <= MOST:
            break
    return out.getvalue()


def _in_few_colours(rgb: np.ndarray):
    """In the nearest of 256 colours: steps of the ramps, the inks, and their way to paper at the edges of letters. A palette made for each
    picture would turn orange into brown where most of it is blue."""
    from PIL import Image

    from ..export.figures import ink

    ramps = [ink.colours(ramp, np.linspace(0, 1, steps)) for ramp, steps in _OF_A_RAMP.items()]
    inks = [ink.FG2, ink.FG3, ink.RULE, ink.RULE2, ink.RAISE, ink.ACCENT, ink.EFFECT_BAR, ink.HURT_BAR, ink.CLEAN, ink.CLEAN2, ink.PAPER]
    letters = [ink.fade(colour, np.linspace(0, 1, steps)) for colour, steps in ((ink.FG, 24), (ink.EFFECT, 16), (ink.HURT, 8))]
    palette = np.concatenate([*ramps, [ink.channels(colour) for colour in inks], *letters]).round().astype(np.int32)
    # A picture has few colours of its own, so each is looked up once.
    packed = (rgb.astype(np.uint32) << np.array([16, 8, 0], np.uint32)).sum(-1)
    own, where = np.unique(packed, return_inverse=True)
    channels = np.stack([own >> 16, (own >> 8) & 255, own & 255], -1).astype(np.int32)
    nearest = np.concatenate(
        [((some[:, None] - palette) ** 2).sum(-1).argmin(-1) for some in np.array_split(channels, len(own) // 4096 + 1)]
    )
    picture = Image.fromarray(nearest.astype(np.uint8)[where].reshape(packed.shape), "P")
    picture.putpalette(palette.astype(np.uint8).tobytes())
    return picture


def alternative(w) -> str:
    """The picture in one sentence."""
    n = len(w.ablated)
    said = f"{type(w).__name__} of {w.model_name}: {len(w.tokens)} tokens, {n or 'no'} head{'' if n == 1 else 's'} ablated"
    if w.model.answer == "none":
        return said + "."
    try:
        found = outcome(w.run, None if w.position == -1 else w.position, k=1)
    except AttnWidgetError:
        return said + "."
    clean = f"{found.clean_top.token!r} {found.clean_top.clean.probability:.1%}"
    if found.ablated_top.ablated is None:
        return f"{said}; answer {clean}."
    return f"{said}; answer {clean} clean, {found.ablated_top.token!r} {found.ablated_top.ablated.probability:.1%} ablated."


def bundle(model_id: str, picture: bytes | None, said: str) -> dict[str, str]:
    """The output: as HTML, which the live view can hide by its class, and as PNG for what reads no HTML. Empty until there is a picture."""
    name = f"attnwidget-still attnwidget-still-{model_id}"
    if picture is None:
        return {"text/html": f'<div class="{name}"></div>', "text/plain": ""}
    data = base64.b64encode(picture).decode()
    image = f'<img alt="{escaped(said)}" style="max-width:100%;background:#fff" src="data:image/png;base64,{data}">'
    return {"text/html": f'<div class="{name}">{image}</div>', "image/png": data, "text/plain": said}
