"""The logit lens: the first choice after each layer, at each position; ink is its probability."""

from __future__ import annotations

import numpy as np

from ...analysis.lens import LogitLens
from ...errors import AttnWidgetError
from . import fonts, ink, parts
from .sheet import PAGE, SMALL, Sheet, fitted, points
from .wording import clip, compact, labels, sentence, visible

_ROW = 10.5
_LOOKS = {
    "probability": ("probability of the first choice", "top_probabilities"),
    "target": ("probability of the target", "target_probability"),
    "rank": ("rank of the target, log scale", "target_rank"),
    "entropy": ("entropy, nats", "entropy"),
    "kl": ("KL to what this run answers in the end, nats", "kl"),
}
_FAR = 10_000  # a rank from here on is as pale as can be


def lens_table(lens: LogitLens, *, ink_of: str = "probability", middle: bool = False, width: float | str | None = None) -> Sheet:
    """`ink_of`: what the grey of a cell is: probability, target, rank, entropy or kl. `middle`: also the points after attention."""
    if ink_of not in _LOOKS:
        raise AttnWidgetError(f"ink_of must be one of {', '.join(map(repr, _LOOKS))}, not {ink_of!r}.")
    sheet = Sheet(points(width, PAGE))
    words, name = _LOOKS[ink_of]
    values = getattr(lens, name)
    values = values[:, :, 0] if values.ndim == 3 else values
    share, scale = _shares(ink_of, values)
    rows = [i for i, point in enumerate(lens.points) if middle or point.site != "attn"]
    y = parts.title(sheet, 0, "Logit lens", "what the model would answer if it ended after each layer")
    left = parts.column([lens.points[i].label for i in rows], SMALL) + 6
    pitch = min(60.0, (sheet.width - left) / len(lens.positions))
    size = min(SMALL, max(3.0, pitch * 0.3))
    names = labels(lens.tokens)
    tilted = any(fonts.width(name, size, mono=True) > pitch - 2 for name in names)
    y += 34 if tilted else SMALL + 4
    for j, name in enumerate(names):
        x = left + j * pitch
        sheet.text(x + (pitch / 2 if tilted else 2), y - 3, clip(name, 12), size, ink.FG2, mono=True, angle=45 if tilted else 0)
    for i in rows:
        sheet.text(left - 4, y + _ROW * 0.72, lens.points[i].label, SMALL, ink.FG3, anchor="end")
        for j in range(len(lens.positions)):
            x, fill = left + j * pitch, ink.colour("probability", float(share[i, j]))
            sheet.rect(x, y, pitch - 0.6, _ROW - 0.6, fill, id=f"{lens.points[i].label.replace(' ', '-')}-p{lens.positions[j]}")
            token = visible(lens.top_tokens[int(lens.top_ids[i, j, 0])]).removeprefix("·")
            sheet.text(x + 2, y + _ROW * 0.7, fitted(token, pitch - 3, size, mono=True), size, ink.ink_on(fill), mono=True)
        y += _ROW
    parts.scale(sheet, left, y + 5, "probability", scale, words)
    target = "" if ink_of not in ("target", "rank") else f"target: {', '.join(dict.fromkeys(map(visible, lens.target_tokens)))}"
    said = [lens.note, target, "cells: the first choice", "exact", "early layers were not trained to be read this way"]
    return sheet.end(y + 18, sentence(said))


def _shares(look: str, values: np.ndarray) -> tuple[np.ndarray, tuple[str, str, str]]:
    if look == "rank":
        return np.clip(1 - np.log(np.maximum(values, 1)) / np.log(_FAR), 0, 1), ("10,000+", "100", "1")
    if look in ("probability", "target"):
        return np.nan_to_num(values), ("0", "0.5", "1")
    most = ink.largest(values) or 1.0
    return np.nan_to_num(values) / most, ("0", compact(most / 2), compact(most))
