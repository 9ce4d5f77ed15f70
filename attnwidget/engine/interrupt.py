"""Stopping a pass between two blocks: whoever runs a job says how to ask "shall I go on?", the engine asks it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_local = threading.local()


class Cancelled(Exception):
    """Raised out of the engine when the job that runs in this thread has been cancelled."""


@contextmanager
def interruptible(check: Callable[[], None]) -> Iterator[None]:
    """Inside, `check` is called in this thread before each block; what it raises ends the pass."""
    outer = getattr(_local, "check", None)
    _local.check = check
    try:
        yield
    finally:
        _local.check = outer


def checkpoint() -> None:
    """Called by the engine before each block."""
    check = getattr(_local, "check", None)
    if check is not None:
        check()
