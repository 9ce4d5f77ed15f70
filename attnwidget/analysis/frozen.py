"""The arrays of a frozen result are its own, and cannot be written to."""

from __future__ import annotations

import numpy as np


def read_only(array: np.ndarray) -> np.ndarray:
    """A copy that cannot be written to: what was handed in may go on being written to."""
    own = np.array(array)
    own.setflags(write=False)
    return own


def freeze(result: object, *names: str) -> None:
    """Puts read-only copies in the place of the arrays with these names; for `__post_init__` of a frozen dataclass."""
    for name in names:
        object.__setattr__(result, name, read_only(getattr(result, name)))
