"""Text of tokens and names where nothing may hide in it."""

from __future__ import annotations

import unicodedata

_KEPT = "\n"


def visible(text: str) -> str:
    """`text` with what has no look of its own, or changes the order of what follows (control, format and surrogate characters), written as
    `<U+202E>`."""
    return "".join(c if c in _KEPT or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co") else f"<U+{ord(c):04X}>" for c in text)
