"""Attention over the patches of an image: where a patch, a class token or a word looks in the picture."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import ArrayError
from ..export.page import Page
from .crossed import every_head
from .given import layers, texts
from .maps import maps_page
from .png import data_url


def attention_patches(
    attention: object,
    grid: tuple[int, int] = (14, 14),
    image: object = None,
    tokens: Sequence[str] | None = None,
    *,
    prefix: Sequence[str] | int | None = None,
    layer: int | None = None,
) -> Page:
    """Where a query looks in an image: keys are the patches of `grid`, row by row, after those of `prefix`.

    Args:
        attention: [query, key], [head, query, key], [layer, head, query, key] or a list of layers, a batch of one dropped. With `tokens`
            the queries are texts; without, they are the keys: the prefix and the patches.
        grid: rows and columns of patches.
        image: what was looked at, as the model saw it (cropped and scaled as its processor does): an array [height, width, 3] of 0 to 255
            or of fractions from 0 to 1, a PIL image, or the bytes of a PNG or JPEG. It is drawn over the whole grid. None: no picture.
        tokens: the texts that look at the image, one for each query.
        prefix: names of the keys before the first patch, or how many there are. None: what is left of the keys, "CLS" where it is one.
        layer: the layer whose heads are shown at first; None: the last, where a list of layers was given.

    Values need not sum to 1, may be negative, and NaN is "undefined".
    """
    values = layers(attention)
    n_layers, n_heads, queries, keys = values.shape
    down, across = _grid(grid)
    before = _prefix(prefix, keys, down, across)
    columns = [*before, *(f"patch {row},{column}" for row in range(down) for column in range(across))]
    if tokens is None and queries != keys:
        raise ArrayError(
            f"attention has {queries} queries and {keys} keys: queries that are no patches need tokens, a text for each of them."
        )
    rows = columns if tokens is None else texts(tokens, queries, "tokens", "queries")
    if layer is not None and (isinstance(layer, bool) or not 0 <= layer < n_layers):
        raise ArrayError(f"No layer {layer!r}: layers run from 0 to {n_layers - 1}.")
    first = n_layers - 1 if layer is None else layer
    maps = every_head("attention", values, rows, columns)
    picked = [first * n_heads + head for head in range(n_heads)]
    patches = {"grid": [down, across], "prefix": len(before), "self": tokens is None, "image": None if image is None else data_url(image)}
    title = f"Attention of {n_layers} × {n_heads} heads over {down} × {across} patches"
    return maps_page(title, [maps], picked, view={"view": "patches", "patches": patches})


def _grid(grid: tuple[int, int]) -> tuple[int, int]:
    try:
        down, across = (int(side) for side in grid)
    except (TypeError, ValueError):
        raise ArrayError(f"grid must be two numbers, rows and columns of patches, not {grid!r}.") from None
    if down < 1 or across < 1:
        raise ArrayError(f"grid must have at least one row and one column of patches, not {grid!r}.")
    return down, across


def _prefix(prefix: Sequence[str] | int | None, keys: int, down: int, across: int) -> list[str]:
    left = keys - down * across
    if left < 0:
        raise ArrayError(
            f"grid has {down} × {across} = {down * across} patches, and attention has {keys} keys: give the grid of the model."
        )
    if isinstance(prefix, (list, tuple)):
        names = texts(prefix, len(prefix), "prefix")
    else:
        count = left if prefix is None else prefix
        names = ["CLS"] if count == 1 else [f"prefix {i}" for i in range(count)]
    if len(names) != left:
        raise ArrayError(
            f"attention has {keys} keys: {down} × {across} patches leave {left} before them, and prefix has {len(names)}: give as many."
        )
    return names
