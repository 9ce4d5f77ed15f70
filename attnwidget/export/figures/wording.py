"""How tokens, heads and numbers are written in pictures: as the page writes them (js/src/labels.ts)."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence

from ...analysis import wording

UNDEFINED = "–"
_BLANK = {" ": "·", "\n": "↵", "\r": "␍", "\t": "⇥", "\u00a0": "⍽"}
_DIGITS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def visible(token: str) -> str:
    """The token with its white space made visible: "·Mary", "↵↵", "␣" for a token that is only spaces. What cannot be seen, turns the line
    round (a bidirectional control) or may not stand in XML is written as its code point, ⟨U+202E⟩."""
    if token == "":
        return "∅"
    if re.fullmatch(" +", token):
        return "␣" * len(token)
    text = re.sub(r"^ +| +$|[\n\r\t\u00a0]", lambda blank: "".join(_BLANK.get(c, c) for c in blank[0]), token)
    return "".join(_code_point(c) if _unseen(c) else c for c in text)


def bare(token: str) -> str:
    """As `visible`, without the mark of one leading space."""
    return visible(token[1:] if re.match(r" [^ ]", token) else token)


def labels(tokens: Sequence[str]) -> list[str]:
    """Each token as it stands at a map: without the mark of a leading space, a repeat with its number, "John₂"."""
    seen: dict[str, int] = {}
    written = []
    for token in tokens:
        seen[token] = n = seen.get(token, 0) + 1
        written.append(bare(token) + (str(n).translate(_DIGITS) if n > 1 else ""))
    return written


def clip(text: str, most: int = 14) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _unseen(c: str) -> bool:
    # Surrogates and what Unicode reserves have no place in a file; line separators would break the line.
    return unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") or (ord(c) & 0xFFFE) == 0xFFFE


def _code_point(c: str) -> str:
    return f"⟨U+{ord(c):X}⟩"


def percent(p: float | None) -> str:
    """Two figures, and never a false 0 % or 100 %."""
    return UNDEFINED if p is None else wording.percent(p)


def signed(x: float | None, digits: int = 2) -> str:
    """Fixed digits with a real minus; no sign on a rounded zero."""
    if x is None or not math.isfinite(x):
        return UNDEFINED
    text = f"{abs(x):.{digits}f}"
    return f"−{text}" if x < 0 and float(text) != 0 else text


def compact(x: float | None) -> str:
    """Three significant figures, for values whose size is not known beforehand."""
    if x is None or not math.isfinite(x):
        return UNDEFINED
    return wording.number(x)


def cell_number(value: float) -> str:
    """A number inside a cell: ".78", "1", "−.12", "2.4", "31"; two figures are what fits."""
    size = abs(value)
    if size >= 0.995:
        text = f"{size:.1f}".removesuffix(".0") if size < 9.95 else f"{size:.0f}"
    else:
        text = f"{size:.2f}"[1:]
    return ("−" if value < 0 else "") + text


def is_numbered(value: float, most: float) -> bool:
    """Whether a cell gets its number: over a tenth of its scale."""
    return abs(value) > max(0.005, 0.1 * most)


def sentence(parts: Sequence[str]) -> str:
    """The parts of a caption, each once: what ends with a full stop is a sentence of its own, the others are strung together."""
    said = ""
    for part in dict.fromkeys(part.strip() for part in parts if part and part.strip()):
        begins = not said or said.endswith(".")
        # "z set to zero": a symbol stays as it is.
        first = part if not begins or part[1:2] == " " else part[0].upper() + part[1:]
        said += (" " if said and begins else "; " if said else "") + first
    return said if not said or said.endswith(".") else f"{said}."
