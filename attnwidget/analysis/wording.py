"""Numbers and tokens as they stand in sentences; the same forms as `js/src/labels.ts` gives them."""

from __future__ import annotations

import math
from collections.abc import Sequence

_BLANKS = {"\n": "↵", "\r": "␍", "\t": "⇥", "\u00a0": "⍽"}


def percent(share: float) -> str:
    """Two figures, and never a false 0 % or 100 %."""
    x = 100 * share
    if math.isnan(x):
        return "–"
    if x == 0:
        return "0%"
    if x < 0.1:
        return "<0.1%"
    if x < 9.95:
        return f"{x:.1f}%"
    if x < 99.5:
        return f"{x:.0f}%"
    return ">99.9%" if 99.95 <= x < 100 else f"{x:.1f}%" if x < 100 else "100%"


def number(x: float) -> str:
    """Three significant figures, with a real minus."""
    size = abs(x)
    if math.isnan(x):
        return "–"
    if size == 0:
        return "0"
    if size < 0.0005 or size >= 100_000:
        mantissa, exponent = f"{x:.1e}".split("e")
        return f"{mantissa}e{int(exponent)}".replace("-", "−")
    rounded = float(f"{size:.3g}")
    digits = 0 if rounded >= 100 else 1 if rounded >= 10 else 2 if rounded >= 1 else 3
    text = f"{size:.{digits}f}"
    return f"−{text}" if x < 0 and float(text) != 0 else text


def token(text: str) -> str:
    """A token in quotes, less one leading space: “Mary”; white space is made visible."""
    bare = text[1:] if len(text) > 1 and text[0] == " " and text[1] != " " else text
    if bare == "":
        return "“∅”"
    if not bare.strip(" "):
        return f"“{'␣' * len(bare)}”"
    return f"“{''.join(_BLANKS.get(c) or _control(c) for c in bare)}”"


def _control(c: str) -> str:
    """Control characters have pictures: ␄."""
    return chr(0x2400 + ord(c)) if ord(c) < 32 else "␡" if c == "\x7f" else c


def listed(things: Sequence[object], most: int = 5) -> str:
    """ "L1H5, L2H0 and L3H1"; beyond `most`, "L1H5, L2H0 and 7 more"."""
    names = [str(thing) for thing in things]
    if len(names) > most:
        names = [*names[:most], f"{len(names) - most} more"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def half(dtype: str) -> str:
    """ "; bfloat16" for half precision, whose numbers have two or three figures; nothing for any other."""
    return f"; {dtype}" if dtype in ("float16", "bfloat16") else ""
