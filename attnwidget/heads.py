"""Names of heads: one head, a list of heads, and the forms in which people write them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from numbers import Integral
from typing import NamedTuple, TypeAlias

from .errors import HeadError

_NAMES = (re.compile(r"[Ll]([0-9]{1,6})[Hh]([0-9]{1,6})"), re.compile(r"([0-9]{1,6})\.([0-9]{1,6})"))
_FORMS = "'L9H6', '9.6' or (9, 6)"


class Head(NamedTuple):
    """Head `head` of layer `layer`, both counted from 0; written `L9H6`. It is a tuple, so `Head(9, 6) == (9, 6)`."""

    layer: int
    head: int

    def __str__(self) -> str:
        return f"L{self.layer}H{self.head}"

    __repr__ = __str__


HeadLike: TypeAlias = "Head | str | tuple[int, int] | list[int]"
HeadsLike: TypeAlias = "HeadLike | Iterable[HeadLike]"


def parse_head(value: HeadLike, n_layers: int, n_heads: int) -> Head:
    """The `Head` meant by `value`, one of `"L9H6"`, `"9.6"`, `(9, 6)` or a `Head`.

    Raises `HeadError` for any other form, and for a head outside `n_layers` x `n_heads`.
    """
    head = _read(value)
    if not (0 <= head.layer < n_layers and 0 <= head.head < n_heads):
        raise HeadError(
            f"No head {head} in this model: layers run from 0 to {n_layers - 1} and heads from 0 to {n_heads - 1}, "
            f"so the last one is {Head(n_layers - 1, n_heads - 1)}."
        )
    return head


def parse_heads(values: HeadsLike, n_layers: int, n_heads: int) -> list[Head]:
    """The heads meant by `values`, in the order given and each once; a single head may be given alone."""
    if isinstance(values, (str, Head)) or _is_pair(values):
        values = [values]
    try:
        items = list(values)
    except TypeError:
        raise HeadError(f"Heads cannot be read from {values!r}: write a list of {_FORMS}.") from None
    return list(dict.fromkeys(parse_head(item, n_layers, n_heads) for item in items))


def _is_pair(value: object) -> bool:
    return isinstance(value, (tuple, list)) and len(value) == 2 and all(_is_index(part) for part in value)


def _is_index(value: object) -> bool:
    # bool is an int in Python; (True, False) is a mistake, not head L1H0.
    return isinstance(value, Integral) and not isinstance(value, bool)


def _read(value: object) -> Head:
    if isinstance(value, str):
        for name in _NAMES:
            if match := name.fullmatch(value.strip()):
                return Head(int(match[1]), int(match[2]))
    elif _is_pair(value):
        layer, head = value
        return Head(int(layer), int(head))
    raise HeadError(f"{value!r} does not name a head: write {_FORMS}.")
