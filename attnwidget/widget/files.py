"""The front end's files, as a widget class names them."""

from __future__ import annotations

from pathlib import Path


class Text:
    """A file's text, read where a widget is made.

    Of a path anywidget makes an object that is told how to renew each widget when the file changes, and so keeps every widget that was ever
    made, closed or not.
    """

    def __init__(self, path: Path):
        self.path = path

    def __str__(self) -> str:
        return self.path.read_text(encoding="utf-8")
