"""Square maps of every head in [0, 1]: the page of a run without a model behind it, with the grid, the tokens and the attention panel."""

from __future__ import annotations

from importlib.metadata import version

import numpy as np

from ..errors import ArrayError
from ..export.page import Page
from ..widget.state import State
from ..widget.wire import Array, pack
from .given import is_causal
from .maps import OVER

# Values of a page of every head: 144 heads over 1,024 tokens are fewer. Below the diagonal and in 8 bits they are 0.5 byte each.
LARGEST = 200_000_000

FACTS = {
    "dtype": "8 bit",
    "device": "",
    "n_ctx": None,
    "processing": "arrays as given",
    "bos": "",
    "bos_switch": False,
    "answer": "none",
    "special": [],
    "selftest": {"passed": True, "notes": []},
    "modes": [],
    "scores": [],
    "metrics": [],
    # There is no model, so nothing can be ablated, scored or weighed by values: what asks for that is not offered.
    "plain": True,
}


def fits(values: np.ndarray, causal: bool) -> bool:
    """Whether 8 bits hold the maps: square, in [0, 1], and defined but above the diagonal."""
    queries, keys = values.shape[-2:]
    if queries != keys:
        return False
    drawn = np.tril(np.ones((queries, keys), bool)) if causal else np.ones((queries, keys), bool)
    # Comparisons with NaN are false.
    return all(bool((one[drawn] >= 0).all() and (one[drawn] <= 1 + OVER).all()) for one in values.reshape(-1, queries, keys))


def run_page(title: str, values: np.ndarray, tokens: list[str], causal: bool | None = None) -> Page:
    """A page of [layer, head, query, key]; `causal` None: where nothing looks ahead."""
    causal = is_causal(values) if causal is None else causal
    if values.size > LARGEST:
        raise ArrayError(f"attention has {values.size:,} values, and a page takes up to {LARGEST:,}: choose layers or heads first.")
    layers, heads, n, _ = values.shape
    kept = np.tril(np.ones((n, n), bool)) if causal else np.ones((n, n), bool)
    maps = np.empty((layers * heads, int(kept.sum())), np.uint8)
    for row, one in zip(maps, values.reshape(-1, n, n), strict=True):
        row[:] = np.rint(np.clip(np.nan_to_num(one[kept]), 0, 1) * 255)
    header, buffers = pack(
        {
            "kind": "run",
            "state": _state(tokens, layers, heads, causal),
            "answers": [],
            "patterns": {
                "heads": [(layer, head) for layer in range(layers) for head in range(heads)],
                "queries": n,
                "keys": n,
                "causal": causal,
                "maps": Array(maps),
            },
            "title": title,
            "about": {"model": "", "prompt": "", "attnwidget": version("attnwidget")},
        }
    )
    return Page(title, header, buffers)


def _state(tokens: list[str], layers: int, heads: int, causal: bool) -> dict:
    first = [(0, head) for head in range(min(heads, 6))]
    traits = {name: trait.default() for name, trait in sorted(State.class_traits(sync=True).items())}
    return {
        # What is kept as bytes is a recording of another kind.
        **{name: value for name, value in traits.items() if not isinstance(value, bytes)},
        "tokens": tokens,
        "n_layers": layers,
        "n_heads": heads,
        "n_kv_heads": heads,
        "causal": causal,
        "run_key": "recorded",
        "panels": ["tokens", "grid", "attention"],
        "tab": "",
        "selected": first,
        "shown": first[:1],
        "facts": FACTS,
    }
