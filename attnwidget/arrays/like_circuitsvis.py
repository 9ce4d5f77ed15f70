"""The views of attention that CircuitsVis has, by its names and its order of arguments: changing the import is enough."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import ArrayError
from ..export.page import Page
from .given import is_causal, layers, numbers, texts
from .maps import Maps, limits, maps_page
from .whole import fits, run_page

SMALL = 12  # heads selected at first


def attention_patterns(tokens: Sequence[str], attention: object, *, layer: int | None = None) -> Page:
    """The attention of one layer's heads, [head, query, key], or one map, [query, key]; [layer, head, query, key] as `attention_layers`.

    Args:
        tokens: a text for each query and key.
        attention: numpy, torch or JAX array, or nested lists. Values need not sum to 1, may be negative, and NaN is "undefined".
        layer: the number of the layer, for the names of its heads.

    Where nothing looks ahead, the triangle above the diagonal is left out.
    """
    values = layers(attention)
    if len(values) > 1:
        if layer is not None:
            raise ArrayError(f"layer={layer} names one layer, and attention has {len(values)}: leave it out, or give attention[{layer}].")
        return attention_layers(tokens, values)
    return _one_layer(tokens, values[0], None, layer=layer)


def attention_pattern(
    tokens: Sequence[str],
    attention: object,
    max_value: float | None = None,
    min_value: float | None = None,
    negative_color: str | None = None,
    show_axis_labels: bool | None = None,
    positive_color: str | None = None,
    mask_upper_tri: bool | None = None,
) -> Page:
    """One map, [query, key]; see `attention_heads` for the arguments."""
    values = numbers(attention)
    if values.ndim != 2:
        raise ArrayError(f"attention_pattern shows one map, [query, key], not {values.ndim} dimensions: use attention_patterns for heads.")
    if show_axis_labels is not None and not show_axis_labels:
        raise ArrayError("show_axis_labels=False is not offered: a map without its tokens cannot be read; leave it out.")
    _own_colours(negative_color, positive_color)
    return _one_layer(tokens, values[None], ["attention"], max_value, min_value, mask_upper_tri)


def attention_heads(
    attention: object,
    tokens: Sequence[str],
    attention_head_names: Sequence[str] | None = None,
    max_value: float | None = None,
    min_value: float | None = None,
    negative_color: str | None = None,
    positive_color: str | None = None,
    mask_upper_tri: bool | None = None,
) -> Page:
    """Heads of one layer or of any, [head, query, key], under names of their own.

    Args:
        attention_head_names: one for each head; "head 0", "head 1" ... where there are none.
        max_value, min_value: where the colours end. Both signs have one scale, to the larger size of the two, so that equal sizes look
            equal; values beyond it have the last colour, and that there are any is said. None: 1 for what lies in [0, 1], else the largest
            size there is.
        mask_upper_tri: whether what lies above the diagonal is left out. None: where it is all 0, which is not CircuitsVis's default: that
            hides what an encoder's heads look at.

    Colours cannot be chosen: blue is where a head looks, orange and purple are signs.
    """
    values = layers(attention)
    if len(values) > 1:
        raise ArrayError(f"attention_heads shows [head, query, key], and attention has {len(values)} layers: use attention_layers.")
    _own_colours(negative_color, positive_color)
    return _one_layer(tokens, values[0], attention_head_names, max_value, min_value, mask_upper_tri)


def attention_layers(tokens: Sequence[str], attention: object) -> Page:
    """Every head of every layer: [layer, head, query, key], or a list of layers as `transformers` returns it, a batch of one dropped.

    Square maps in [0, 1] are shown as a run's: the grid of all heads, the tokens with where a query looks, and the attention section, with
    values to 8 bits (± 0.002). Others (signed, undefined, larger) are shown as `attention_heads` shows them.
    """
    values = layers(attention)
    n_layers, n_heads, queries, keys = values.shape
    tokens = _square(tokens, queries, keys)
    causal = is_causal(values)
    title = f"Attention of {n_layers} × {n_heads} heads over {queries} tokens"
    if fits(values, causal):
        return run_page(title, values, tokens, causal)
    grid = [(layer, head) for layer in range(n_layers) for head in range(n_heads)]
    maps = Maps(
        "attention", values.reshape(-1, queries, keys), tokens, tokens, grid, [f"L{layer}H{head}" for layer, head in grid], causal=causal
    )
    return maps_page(title, [maps], list(range(min(SMALL, len(grid)))))


def _one_layer(
    tokens: Sequence[str],
    values: np.ndarray,
    names: Sequence[str] | None,
    most: float | None = None,
    least: float | None = None,
    mask: bool | None = None,
    layer: int | None = None,
) -> Page:
    heads, queries, keys = values.shape
    tokens = _square(tokens, queries, keys)
    if names is None:
        names = [f"head {head}" if layer is None else f"L{layer}H{head}" for head in range(heads)]
    names = texts(names, heads, "attention_head_names", "heads")
    causal = is_causal(values) if mask is None else bool(mask)
    limit, signed = limits(most, least)
    maps = Maps("attention", values, tokens, tokens, [(0, head) for head in range(heads)], names, limit, signed, causal)
    title = f"Attention of {heads} head{'s' if heads > 1 else ''} over {queries} tokens"
    return maps_page(title, [maps], list(range(min(SMALL, heads))))


def _square(tokens: Sequence[str], queries: int, keys: int) -> list[str]:
    if queries != keys:
        raise ArrayError(
            f"attention has {queries} queries and {keys} keys, and one list of tokens names both: use cross_attention for two lists."
        )
    return texts(tokens, queries)


def _own_colours(negative: str | None, positive: str | None) -> None:
    for name, value in (("negative_color", negative), ("positive_color", positive)):
        if value is not None:
            raise ArrayError(f"{name}={value!r} is not taken: blue is where a head looks, orange and purple are signs; leave it out.")
