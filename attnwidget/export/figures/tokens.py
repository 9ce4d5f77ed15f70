"""The prompt as the model reads it, with bars over the tokens that a query looks at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from . import fonts, ink
from .sheet import BODY, PAGE, SMALL, Sheet, points
from .wording import cell_number, labels, sentence, visible

_BAR = 20.0
_NAMED = 0.045  # below this a bar has no number
_BARS_UP_TO, _GAP, _PAD = 40, 3.0, 3.0


def token_strip(tokens: Sequence[str], weights: np.ndarray | None, query: int, caption: str, *, width: float | str | None = None) -> Sheet:
    """Chips in lines. `weights` [key], NaN where undefined: up to 40 tokens a bar over each, on one linear scale; beyond, the chips are
    shaded on the square-root scale. The query is inverted."""
    sheet = Sheet(points(width, PAGE))
    names = labels(tokens)
    texts = [name if not token.startswith(" ") or name.startswith("␣") else f"·{name}" for token, name in zip(tokens, names, strict=True)]
    shown = np.zeros(len(tokens)) if weights is None else np.nan_to_num(weights)
    bars = weights is not None and len(tokens) <= _BARS_UP_TO
    largest = max(0.3, float(shown.max(initial=0)))
    line = (_BAR + 8 if bars else 0) + BODY + 2 * _PAD + 4
    x, y = 0.0, 0.0
    for i, text in enumerate(texts):
        wide = max(fonts.width(text, BODY, mono=True) + 2 * _PAD, 14 if bars else 0)
        if x and x + wide > sheet.width:
            x, y = 0.0, y + line
        top = y + (_BAR + 8 if bars else 0)
        fill, colour = ink.RAISE, ink.FG
        if bars and shown[i] > 0:
            high = _BAR * shown[i] / largest
            sheet.rect(x, top - high - 1, wide, high, ink.colour("attention", 0.6), id=f"bar-k{i}")
            if shown[i] > _NAMED:
                sheet.text(x + wide / 2, top - high - 3, cell_number(float(shown[i])), SMALL, ink.FG2, anchor="middle")
        elif weights is not None and shown[i] >= 0.004:
            fill = ink.colour("attention", float(ink.root_share(shown[i], 1.0)))
            colour = ink.ink_on(fill)
        if i == query:
            fill, colour = ink.FG, ink.PAPER
        sheet.rect(x, top, wide, BODY + 2 * _PAD - 1, fill, id=f"token-{i}")
        sheet.text(x + _PAD, top + BODY + _PAD - 2, text, BODY, colour, mono=True)
        x += wide + _GAP
    how = "" if weights is None else f"{'bars' if bars else 'shade, √ scale'}: where {visible(tokens[query])} (token {query}) looks"
    return sheet.end(y + line - 4, sentence([how, caption]))
