"""Arguments that go to other processes and into the names of parts: plain data and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral, Real

from ..errors import AttnWidgetError
from ..heads import HeadsLike, parse_heads
from ..run import AblatedRun, Run

Plain = None | bool | int | float | str | tuple | dict
_NO_BOUND = 10**6  # of the heads that can be written at all; the model has its own


def plain(name: str, value: object) -> Plain:
    """`value` of argument `name` as numbers, texts, tuples and dicts: NumPy's and PyTorch's numbers and arrays become Python's."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if hasattr(value, "tolist"):
        return plain(name, value.tolist())
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real):
        return float(value)
    if isinstance(value, Mapping):
        return {str(key): plain(name, one) for key, one in value.items()}
    if isinstance(value, (list, tuple, range)):
        return tuple(plain(name, one) for one in value)
    raise AttnWidgetError(f"{name} must be plain data (numbers, texts, lists of them), not {type(value).__name__}.")


def plain_heads(heads: HeadsLike | None) -> tuple[str, ...] | None:
    """Heads by name; which of them there are the model says."""
    return None if heads is None else tuple(map(str, parse_heads(heads, _NO_BOUND, _NO_BOUND)))


def plain_reference(reference: object) -> tuple | None:
    """What `mean` and `resample` take z from, as texts and ids."""
    if reference is None:
        return None
    if isinstance(reference, (str, Run)):
        reference = [reference]
    items = plain("reference", [_ids(item) for item in reference]) if isinstance(reference, (list, tuple)) else None
    if not items or not all(isinstance(item, (str, tuple)) for item in items):
        raise AttnWidgetError(f"reference= takes a text, or a list of texts, of lists of ids or of clean runs, not {reference!r}.")
    return items


def _ids(item: object) -> object:
    if isinstance(item, AblatedRun) and item.heads:
        raise AttnWidgetError("reference= takes clean runs, and this one has heads ablated: give its .clean, or the prompt's text.")
    return item.ids if isinstance(item, Run) else item
