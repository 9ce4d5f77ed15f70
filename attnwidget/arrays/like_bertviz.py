"""BertViz's two views by its names and arguments: `from attnwidget.arrays import head_view` in place of `from bertviz import head_view`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..errors import ArrayError
from ..export.page import Page
from .crossed import every_head
from .given import chosen, is_causal, layers, texts
from .maps import Maps, end_of_colours, maps_page

_MARKS = (("Ġ", " "), ("▁", " "), ("</w>", ""))


class ViewPage(Page):
    """A page whose `data` is its HTML, as that of what BertViz returns with html_action="return"."""

    @property
    def data(self) -> str:
        return self.html()


_LISTS = ("tokens", "encoder_tokens", "decoder_tokens")
# Whose tokens ask, and whose are looked at.
_SIDES = {
    "attention": ("tokens", "tokens"),
    "encoder_attention": ("encoder_tokens", "encoder_tokens"),
    "decoder_attention": ("decoder_tokens", "decoder_tokens"),
    "cross_attention": ("decoder_tokens", "encoder_tokens"),
}


def head_view(
    attention: object = None,
    tokens: Sequence[str] | None = None,
    sentence_b_start: int | None = None,
    prettify_tokens: bool = True,
    layer: int | None = None,
    heads: Sequence[int] | None = None,
    encoder_attention: object = None,
    decoder_attention: object = None,
    cross_attention: object = None,
    encoder_tokens: Sequence[str] | None = None,
    decoder_tokens: Sequence[str] | None = None,
    include_layers: Sequence[int] | None = None,
    html_action: str = "view",
) -> ViewPage:
    """Lines between two columns of tokens, for the heads of one layer at first; every other head is a click away.

    Args:
        attention, tokens: of a model with one stack: a list of layers, each [1, head, query, key]. Or of an encoder with a decoder:
            `encoder_attention` with `encoder_tokens`, `decoder_attention` with `decoder_tokens`, `cross_attention` with both.
        sentence_b_start: where the second of two sentences starts; the four parts between them can then be looked at alone.
        prettify_tokens: "Ġ" and "▁" of a tokenizer are written as the space they stand for, "</w>" is left out.
        layer, heads: which are selected at first, by the model's own numbers; None: the first layer, all its heads.
        include_layers: the layers that are kept; None: all.
        html_action: "view" and "return" give the page; in a loop it is shown by `display(...)`. Its `data` is its HTML.
    """
    parts, numbers = _parts(
        (attention, encoder_attention, decoder_attention, cross_attention),
        (tokens, encoder_tokens, decoder_tokens),
        prettify_tokens,
        sentence_b_start,
        include_layers,
        None,
    )
    first = _first(layer, numbers)
    n_heads = sum(1 for at in parts[0].heads if at[0] == 0)
    picked = [first * n_heads + head for head in chosen(heads, n_heads, "head")]
    return _page(parts, picked, html_action, lines=True)


def model_view(
    attention: object = None,
    tokens: Sequence[str] | None = None,
    sentence_b_start: int | None = None,
    prettify_tokens: bool = True,
    display_mode: str | None = None,
    encoder_attention: object = None,
    decoder_attention: object = None,
    cross_attention: object = None,
    encoder_tokens: Sequence[str] | None = None,
    decoder_tokens: Sequence[str] | None = None,
    include_layers: Sequence[int] | None = None,
    include_heads: Sequence[int] | None = None,
    html_action: str = "view",
) -> ViewPage:
    """Every head of every layer in one grid, and the heads picked there as maps; arguments as of `head_view`.

    Args:
        display_mode: "dark" or "light"; None follows where the page is shown, where BertViz is dark.
        include_heads: the heads that are kept of each layer; None: all.
    """
    if display_mode not in (None, "dark", "light"):
        raise ArrayError(f'display_mode must be "dark", "light" or None, not {display_mode!r}.')
    parts, _ = _parts(
        (attention, encoder_attention, decoder_attention, cross_attention),
        (tokens, encoder_tokens, decoder_tokens),
        prettify_tokens,
        sentence_b_start,
        include_layers,
        include_heads,
    )
    n_heads = sum(1 for at in parts[0].heads if at[0] == 0)
    return _page(parts, list(range(min(n_heads, 12))), html_action, theme=display_mode or "")


def _parts(
    attentions: Sequence[object],
    token_lists: Sequence[Sequence[str] | None],
    prettify: bool,
    sentence_b_start: int | None,
    include_layers: Sequence[int] | None,
    include_heads: Sequence[int] | None,
) -> tuple[list[Maps], list[int]]:
    """What was given, in the order of `_SIDES` and `_LISTS`, each with its tokens, and the numbers of the layers that are kept."""
    given, tokens = dict(zip(_SIDES, attentions, strict=True)), dict(zip(_LISTS, token_lists, strict=True))
    found = [name for name in given if given[name] is not None]
    if not found:
        raise ArrayError("There is no attention: give attention with tokens, or encoder_, decoder_ and cross_attention with theirs.")
    if "attention" in found and len(found) > 1:
        raise ArrayError(f"attention is of a model with one stack, and {found[1]} is of two: give one or the other.")
    for name in sorted(set(tokens) - {side for one in found for side in _SIDES[one]}):
        if tokens[name] is not None:
            raise ArrayError(f"{name} was given, and none of {', '.join(found)} has them: leave it out, or give the attention it names.")
    parts, numbers = [], []
    for name in found:
        values = layers(given[name], name)
        rows, columns = (
            _texts(tokens, side, values.shape[axis], of, prettify)
            for side, axis, of in zip(_SIDES[name], (2, 3), ("queries", "keys"), strict=True)
        )
        numbers = chosen(include_layers, len(values), "layer")
        kept = chosen(include_heads, values.shape[1], "head")
        maps = every_head(
            name.replace("_", "-").removesuffix("-attention"),
            values[numbers][:, kept],
            rows,
            columns,
            numbers=numbers,
            heads=kept,
            causal=name != "cross_attention" and is_causal(values),
        )
        parts.extend(_sentences(maps, sentence_b_start) if name == "attention" else [maps])
    if sentence_b_start is not None and "attention" not in found:
        raise ArrayError("sentence_b_start parts the tokens of attention, and what was given has an encoder and a decoder: leave it out.")
    return parts, numbers


def _texts(given: dict[str, Sequence[str] | None], name: str, count: int, of: str, prettify: bool) -> list[str]:
    if given[name] is None:
        raise ArrayError(f"{name} is missing: attention has {count} {of}, and a text is needed for each.")
    tokens = texts(given[name], count, name, of)
    if not prettify:
        return tokens
    for mark, meant in _MARKS:
        tokens = [token.replace(mark, meant) for token in tokens]
    return tokens


def _sentences(maps: Maps, start: int | None) -> list[Maps]:
    """The whole, and the four parts between two sentences."""
    if start is None:
        return [maps]
    n = len(maps.rows)
    if isinstance(start, bool) or not isinstance(start, (int, np.integer)) or not 0 < start < n:
        raise ArrayError(f"sentence_b_start must be a position from 1 to {n - 1}, not {start!r}.")
    side = {"A": slice(0, int(start)), "B": slice(int(start), n)}
    # One scale for all five, so that a part looks as it looks in the whole.
    whole = replace(maps, name="both sentences", limit=end_of_colours(maps.values), signed=bool((maps.values < 0).any()))
    parts = [
        replace(
            whole,
            name=f"sentence {a} → {b}",
            values=maps.values[:, side[a], side[b]],
            rows=maps.rows[side[a]],
            columns=maps.columns[side[b]],
            causal=maps.causal and a == b,
        )
        for a in "AB"
        for b in "AB"
    ]
    return [whole, *parts]


def _first(layer: int | None, numbers: list[int]) -> int:
    if layer is None:
        return 0
    if isinstance(layer, bool) or layer not in numbers:
        raise ArrayError(f"No layer {layer!r} to start with: the layers shown are {', '.join(map(str, numbers))}.")
    return numbers.index(layer)


def _page(parts: list[Maps], picked: list[int], html_action: str, *, lines: bool = False, theme: str = "") -> ViewPage:
    if html_action not in ("view", "return"):
        raise ArrayError(f'html_action must be "view" or "return", not {html_action!r}: page.save(path) writes a file.')
    first = parts[0]
    title = f"Attention of {len(first.heads)} heads over {len(first.rows)} tokens"
    page = maps_page(title, parts, picked, lines=lines, theme=theme)
    return ViewPage(page.title, page.header, page.buffers)
