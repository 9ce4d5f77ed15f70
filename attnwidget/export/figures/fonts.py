"""Which fonts a picture is set in, how wide a text is in them, and which characters they have. matplotlib brings the first two."""

from __future__ import annotations

import logging
from functools import cache
from pathlib import Path

# For scripts that DejaVu lacks, where such a font is installed.
_OTHERS = (
    *("Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans SC", "WenQuanYi Micro Hei", "PingFang SC", "Hiragino Sans", "Microsoft YaHei"),
    *("Noto Sans Devanagari", "Noto Sans Thai", "Noto Sans Symbols 2", "Noto Emoji", "Segoe UI Symbol", "Apple Symbols"),
)
BOX = "□"


@cache
def families(mono: bool = False) -> tuple[str, ...]:
    """DejaVu, which is the same on every machine, and what is installed of the others."""
    from matplotlib.font_manager import fontManager

    installed = {entry.name for entry in fontManager.ttflist}
    return ("DejaVu Sans Mono" if mono else "DejaVu Sans", *(("DejaVu Sans",) if mono else ()), *(n for n in _OTHERS if n in installed))


@cache
def _files(mono: bool, bold: bool) -> tuple[Path, ...]:
    from matplotlib.font_manager import FontProperties, fontManager

    # What findfont says of a weight that a family lacks is no news to anyone.
    logger = logging.getLogger("matplotlib.font_manager")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        weight = "bold" if bold else "normal"
        return tuple(Path(fontManager.findfont(FontProperties(family=[name], weight=weight))) for name in families(mono))
    finally:
        logger.setLevel(level)


@cache
def _advance(c: str, mono: bool, bold: bool) -> float | None:
    """Of one character at size 1; None where no font has it."""
    from matplotlib.font_manager import get_font

    for file in _files(mono, bold):
        font = get_font(str(file))
        if font.get_char_index(ord(c)):
            font.set_size(100, 72)
            return font.load_char(ord(c)).linearHoriAdvance / 65536 / 100
    return None


def has(c: str, mono: bool = False, bold: bool = False) -> bool:
    return _advance(c, mono, bold) is not None


def width(text: str, size: float, *, mono: bool = False, bold: bool = False) -> float:
    """In points. A character that no font has counts as a box."""
    return size * sum(_advance(c, mono, bold) or 0.75 for c in text)


def boxed(text: str, *, mono: bool = False, bold: bool = False) -> str:
    """`text` with a box in the place of each character that no font has."""
    return "".join(c if has(c, mono, bold) else BOX for c in text)
