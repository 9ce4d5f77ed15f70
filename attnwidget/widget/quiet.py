"""Something to be done a moment after the last change, and not often."""

from __future__ import annotations

import contextvars
import logging
import threading
import time
from collections.abc import Callable

_IDLE = 20.0  # seconds after which an idle thread ends; the next touch starts another

_log = logging.getLogger(__name__)


class Quiet:
    """`call()` in a thread of its own, `after` seconds after the last `touch()`, `apart` seconds after the last call at least. While `call`
    returns False it was not the moment, and it is tried again."""

    def __init__(self, call: Callable[[], bool], after: float = 0.8, apart: float = 4.0):
        self._call, self._after, self._apart = call, after, apart
        self._changed = threading.Condition()
        self._due: float | None = None
        self._earliest = 0.0
        self._thread: threading.Thread | None = None
        self._ended = False

    def touch(self) -> None:
        with self._changed:
            if self._ended:
                return
            self._due = time.monotonic() + self._after
            if self._thread is None:
                # In the context of who touched it: ipykernel 7.0 sends nothing from a thread without one.
                context = contextvars.copy_context()
                self._thread = threading.Thread(target=context.run, args=(self._run,), name="attnwidget-quiet", daemon=True)
                self._thread.start()
            self._changed.notify()

    def end(self) -> None:
        with self._changed:
            self._ended, self._due = True, None
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                if self._due is None and (self._ended or not self._changed.wait_for(lambda: self._due is not None or self._ended, _IDLE)):
                    self._thread = None
                    return
                if self._due is None:
                    continue
                left = max(self._due, self._earliest) - time.monotonic()
                if left > 0:
                    self._changed.wait(left)
                    continue
                self._due = None
            try:
                done = self._call()
            except Exception:
                _log.exception("what was to be done in a quiet moment failed")
                done = True
            with self._changed:
                self._earliest = time.monotonic() + (self._apart if done else self._after)
                if not done and self._due is None and not self._ended:
                    self._due = self._earliest
