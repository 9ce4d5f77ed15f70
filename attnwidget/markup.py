"""Text as HTML that shows it and does nothing else. Tokens, prompts, names of models and messages are whatever their makers wrote."""

from __future__ import annotations

import html
import unicodedata

import numpy as np
import pandas as pd


def escaped(text: str) -> str:
    """`text` as HTML that shows it and does nothing else: what would turn its direction, or cannot be seen, is written as ⟨U+202E⟩."""
    return html.escape(visible(text))


_LINES = {"\n": "↵", "\r": "␍", "\t": "⇥"}
# Format and control characters, line and paragraph separators, unpaired surrogates, and code points with no agreed look.
_UNSEEN = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs", "Co", "Cn"})
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Letters and marks that show nothing."""


def visible(text: str) -> str:
    """`text` with each character that shows nothing, or turns the direction of others, named."""
    return "".join(_LINES.get(c) or (f"⟨U+{ord(c):X}⟩" if unicodedata.category(c) in _UNSEEN or c in _BLANK else c) for c in text)


_LONGEST = 200  # characters of a text in a cell


def html_table(frame: pd.DataFrame, precision: int = 4, *, index: bool = True) -> str:
    """`frame` as an HTML table: texts escaped and cut at 200 characters, numbers with `precision` decimals, the undefined left blank."""

    def cell(value: object) -> str:
        if isinstance(value, (float, np.floating)):
            return "" if np.isnan(value) else f"{value:.{precision}f}"
        return _cut(str(value))

    # Undefined in one way: pandas writes None and NA out, whatever it is told.
    shown = frame.astype(object).where(frame.notna(), np.nan)
    for axis in ("index", "columns"):
        labels = getattr(shown, axis)
        names = [name if name is None else _cut(str(name)) for name in labels.names]
        setattr(shown, axis, labels.map(_label).set_names(names))
    # `to_html` escapes what a formatter gives.
    return shown.to_html(formatters=[cell] * shown.shape[1], na_rep="", index=index, justify="left", border=0, max_rows=None)


def _label(value: object) -> object:
    if isinstance(value, tuple):
        return tuple(map(_label, value))
    return _cut(value) if isinstance(value, str) else value


def _cut(text: str) -> str:
    return visible(text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…")
