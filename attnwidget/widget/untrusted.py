"""What a page sends may be anything: what is looked at before anyone reads it, and how much of it an error may quote."""

from __future__ import annotations

from ..errors import AttnWidgetError

MOST_TEXT = 2_000_000
"""Characters of all texts of one message: some books, and more than any model takes."""
MOST_VALUES = 500_000
DEEPEST = 16
LARGEST = 2**53
"""Beyond which a browser has no whole numbers."""
LARGEST_FLOAT = 3.4e38
"""Of single precision, about."""
MOST_SAID = 2000
"""Characters of an error, which may quote what it is about."""


def require_plain(message: object) -> None:
    """Refuses what no page of ours sends, whatever it is asked for: texts, lists and objects without end, numbers that are none or too
    large, and texts that cannot be written down. What comes after it may take and quote what is left."""
    text, values, level = 0, 0, [message]
    for _ in range(DEEPEST):
        below: list[object] = []
        for value in level:
            if isinstance(value, str):
                text += len(value)
                if text > MOST_TEXT:
                    raise AttnWidgetError(f"A message of more than {MOST_TEXT:,} characters is not read: shorten the text.")
                if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
                    raise AttnWidgetError("A text has half of a surrogate pair in it, which no encoding can write: remove it.")
            elif isinstance(value, dict):
                below += value
                below += value.values()
            elif isinstance(value, list):
                below += value
            elif isinstance(value, (int, float)):
                most = LARGEST_FLOAT if isinstance(value, float) else LARGEST
                if not abs(value) <= most:  # nor is NaN
                    raise AttnWidgetError(f"A number of a message must be within ±{most:,}.")
            elif value is not None:
                raise AttnWidgetError(f"A message has texts, numbers, lists and objects, no {type(value).__name__}.")
        values += len(below)
        if values > MOST_VALUES:
            raise AttnWidgetError(f"A message of more than {MOST_VALUES:,} values is not read.")
        if not below:
            return
        level = below
    raise AttnWidgetError(f"A message nested more than {DEEPEST} deep is not read.")


def clipped(text: str, most: int = MOST_SAID) -> str:
    """A text that is to be said, without the middle of a very long one."""
    return text if len(text) <= most else f"{text[: most // 2]} … {text[-(most // 2) :]}"
