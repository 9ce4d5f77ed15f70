"""How far it is, on stderr: one line that is written over on a screen, one line for each thing that is begun elsewhere."""

from __future__ import annotations

import sys
import time


class Progress:
    """`progress("loading the model")` says what is begun, `progress.step(done, total, text)` how far it is, ten times a second at most."""

    def __init__(self) -> None:
        self._screen = sys.stderr.isatty()
        self._last, self._stage, self._width = 0.0, "", 0

    def __call__(self, text: str) -> None:
        if text != self._stage:
            self._stage = text
            self._say(text) if self._screen else print(text, file=sys.stderr, flush=True)

    def step(self, done: float, total: float, text: str) -> None:
        if self._screen and time.monotonic() - self._last > 0.1:
            self._last = time.monotonic()
            self._say(f"{text} ({done / total:.0%})" if total else text)

    def done(self) -> None:
        """Takes the line away."""
        if self._screen and self._width:
            self._say("")
            print(end="\r", file=sys.stderr, flush=True)
            self._width = 0

    def _say(self, text: str) -> None:
        print(f"\r{text:<{self._width}}", end="", file=sys.stderr, flush=True)
        self._width = len(text)

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.done()
