"""What a person hands in, as numbers and texts: checked, and refused in a sentence that has both numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import ArrayError

_FORMS = "[query, key], [head, query, key], [layer, head, query, key], or a list of layers"


def numbers(given: object, name: str = "attention") -> np.ndarray:
    """`given` as float64: numpy, torch and JAX arrays, nested lists, and lists of these. NaN stays, and means "undefined"."""
    if given is None:
        raise ArrayError(
            f"{name} is None: a transformers model returns its patterns with output_attentions=True, loaded with "
            "attn_implementation='eager'."
        )
    if hasattr(given, "detach"):  # a tensor of torch: off its graph and its device, and out of bfloat16, which numpy has not
        given = given.detach().cpu().double().numpy()
    elif isinstance(given, (list, tuple)) and any(item is None or hasattr(item, "__array__") for item in given):
        parts = [numbers(item, f"{name}[{i}]") for i, item in enumerate(given)]
        shapes = {part.shape for part in parts}
        if len(shapes) > 1:
            raise ArrayError(
                f"The arrays in {name} differ in shape, {' and '.join(map(str, sorted(shapes)[:2]))}: give those of one shape."
            )
        given = np.stack(parts)
    try:
        values = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise ArrayError(
            f"{name} cannot be read as an array of numbers, {_FORMS}: its rows differ in length, or hold something else."
        ) from None
    # A part at a time: of many heads over long texts a second array of this size would not fit.
    beyond = sum(int((np.abs(part) > np.finfo(np.float32).max).sum()) for part in (values if values.ndim > 2 else [values]))
    if beyond:
        raise ArrayError(f"{name} has {beyond} values that are infinite or beyond float32: use NaN where a value is undefined.")
    return values


def layers(attention: object, name: str = "attention") -> np.ndarray:
    """[layer, head, query, key] from any of the forms, a batch of one dropped."""
    values = numbers(attention, name)
    shape = values.shape
    if values.ndim == 5:
        if shape[1] != 1:
            raise ArrayError(
                f"{name} holds a batch of {shape[1]}, and one text is shown: give [layer[:1] for layer in {name}] for the first."
            )
        values = values[:, 0]
    elif not 2 <= values.ndim <= 4:
        raise ArrayError(f"{name} has {values.ndim} dimension{'' if values.ndim == 1 else 's'}: it takes {_FORMS}.")
    values = values.reshape((1,) * (4 - values.ndim) + values.shape)
    if 0 in values.shape:
        raise ArrayError(f"{name} is empty, of shape {shape}: it takes {_FORMS}.")
    return values


def texts(tokens: object, count: int, name: str = "tokens", of: str = "queries and keys") -> list[str]:
    """Tokens as a list of strings, as many as there are `of`."""
    if isinstance(tokens, str) or not isinstance(tokens, (Sequence, np.ndarray)):
        raise ArrayError(f"{name} must be a list of strings, not {tokens!r:.60}.")
    for token in tokens:
        if not isinstance(token, str):
            raise ArrayError(
                f"{name} must be strings, and {token!r:.40} is not one: decode ids first, tokenizer.convert_ids_to_tokens(ids)."
            )
    if len(tokens) != count:
        raise ArrayError(f"{name} has {len(tokens)} texts, and attention has {count} {of}: one text is needed for each.")
    return [str(token) for token in tokens]


def is_causal(values: np.ndarray) -> bool:
    """Whether nothing looks ahead: every value above the diagonal is 0 or undefined, in square maps of more than one token."""
    queries, keys = values.shape[-2:]
    if queries != keys or queries < 2:
        return False
    ahead = np.triu(np.ones((queries, keys), bool), 1)
    # NaN compares as false, so it counts with the zeros.
    return not any((np.abs(one[ahead]) > 0).any() for one in values.reshape(-1, queries, keys))


def chosen(given: object, count: int, what: str) -> list[int]:
    """Indices of layers or heads, in the order given, each once; None is all."""
    if given is None:
        return list(range(count))
    items = [given] if isinstance(given, (int, np.integer)) and not isinstance(given, bool) else given
    try:
        items = list(items)
    except TypeError:
        raise ArrayError(f"{what}s are chosen by a list of numbers from 0 to {count - 1}, not {given!r}.") from None
    for item in items:
        if isinstance(item, bool) or not isinstance(item, (int, np.integer)) or not 0 <= item < count:
            raise ArrayError(f"No {what} {item!r}: {what}s run from 0 to {count - 1}.")
    if not items:
        raise ArrayError(f"No {what} was chosen: {what}s run from 0 to {count - 1}; leave the choice out for all.")
    return list(dict.fromkeys(int(item) for item in items))
