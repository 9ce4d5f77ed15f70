"""Attention from one list of tokens to another: what a decoder's heads look at in the source."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..export.page import Page
from .given import layers, texts
from .maps import Maps, limits, maps_page


def cross_attention(
    attention: object, target_tokens: Sequence[str], source_tokens: Sequence[str], *, max_value: float | None = None, lines: bool = False
) -> Page:
    """Rectangular maps, rows are the tokens that look (target), columns those that are looked at (source).

    Args:
        attention: [query, key], [head, query, key], [layer, head, query, key] or a list of layers, a batch of one dropped. Values need not
            sum to 1, may be negative, and NaN is "undefined".
        max_value: where the colours end. None: 1 for what lies in [0, 1], else the largest size there is.
        lines: lines between two columns of tokens at first, instead of a map.
    """
    values = layers(attention)
    n_layers, n_heads, queries, keys = values.shape
    rows = texts(target_tokens, queries, "target_tokens", "queries")
    columns = texts(source_tokens, keys, "source_tokens", "keys")
    maps = every_head("cross-attention", values, rows, columns, limit=limits(max_value, None)[0])
    return maps_page(f"Cross-attention of {n_layers} × {n_heads} heads", [maps], list(range(min(n_heads, 12))), lines=lines)


def every_head(
    name: str,
    values: np.ndarray,
    rows: list[str],
    columns: list[str],
    *,
    numbers: Sequence[int] | None = None,
    heads: Sequence[int] | None = None,
    limit: float | None = None,
    causal: bool = False,
) -> Maps:
    """`values` [layer, head, query, key] under the heads' names; `numbers`, `heads`: what the layers and heads were numbered before.

    The heads of one layer alone are named without it, unless its number is known.
    """
    n_layers, n_heads, queries, keys = values.shape
    names = [(layer, head) for layer in numbers or range(n_layers) for head in heads or range(n_heads)]
    grid = [(layer, head) for layer in range(n_layers) for head in range(n_heads)]
    known = numbers is not None or n_layers > 1
    flat = values.reshape(n_layers * n_heads, queries, keys)
    return Maps(
        name, flat, rows, columns, grid, [f"L{layer}H{head}" if known else f"head {head}" for layer, head in names], limit, causal=causal
    )
