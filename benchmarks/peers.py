"""Attention as CircuitsVis, BertViz and we show it: the same numbers, each as the one HTML file that its own function makes.

BertViz's files load three scripts from a network; they are answered from copies that npm brings (jQuery in the next version it has), so
that what is measured is BertViz and not a line.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from attnwidget import attention_layers

LAYER = 12
"""Heads of a layer, as in GPT-2 small."""

CACHE = Path(__file__).resolve().parents[1] / ".cache" / "peers"
_SCRIPTS = {
    "require.js/2.3.6/require.min.js": ("requirejs@2.3.6", "requirejs/require.js"),
    "d3/5.7.0/d3.min.js": ("d3@5.7.0", "d3/dist/d3.min.js"),
    "jquery/2.0.0/jquery.min.js": ("jquery@2.2.4", "jquery/dist/jquery.min.js"),
}


def attention(heads: int, tokens: int) -> np.ndarray:
    """[layer, head, query, key]: softmax of normal scores, causal, in float32."""
    random = np.random.default_rng(0)
    values = np.empty((-(-heads // LAYER), min(heads, LAYER), tokens, tokens), np.float32)
    allowed = np.tril(np.ones((tokens, tokens), bool))
    for layer in values:
        scores = np.where(allowed, 2 * random.standard_normal(layer.shape, np.float32), -np.inf)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        layer[:] = weights / weights.sum(-1, keepdims=True)
    return values


def words(tokens: int) -> list[str]:
    return [f" token{i}" for i in range(tokens)]


@dataclass(frozen=True)
class Peer:
    name: str
    make: Callable[[np.ndarray, Sequence[str]], str]
    painted: str
    """JavaScript: whether its picture is there."""
    target: str
    """Where the pointer moves: the largest element of this selector."""
    text: bool = True
    """Values are text, so that the file of many heads is that many times the file of one."""


def _ours(values: np.ndarray, tokens: Sequence[str]) -> str:
    return attention_layers(tokens, values).html()


def _circuitsvis(values: np.ndarray, tokens: Sequence[str]) -> str:
    from circuitsvis.attention import attention_heads

    heads = torch.from_numpy(values.reshape(-1, *values.shape[2:]))
    return _document(attention_heads(attention=heads, tokens=list(tokens), mask_upper_tri=True).local_src)


def _bertviz(values: np.ndarray, tokens: Sequence[str]) -> str:
    from bertviz import head_view

    return _document(head_view([torch.from_numpy(layer[None]) for layer in values], list(tokens), html_action="return").data)


def _document(body: str) -> str:
    return f"<!doctype html><html><head><meta charset='utf-8'><title>attention</title></head><body>{body}</body></html>"


# A canvas may be there and blank: one that has a pixel counts.
_INKED = """[...document.querySelectorAll('canvas')].some((canvas) => {
    if (canvas.width < 8 || canvas.height < 8) return false;
    const seen = canvas.getContext('2d')?.getImageData(0, 0, canvas.width, canvas.height).data;
    return seen?.some((value) => value !== 0);
})"""

PEERS = (
    Peer("ours", _ours, f"document.querySelector('.aw-gridpanel canvas') && {_INKED}", "canvas", text=False),
    Peer("CircuitsVis", _circuitsvis, _INKED, "canvas"),
    Peer("BertViz", _bertviz, "document.querySelectorAll('svg line').length > 0", "svg"),
)


def served(url: str) -> Path | None:
    """The copy of a script that BertViz loads."""
    for end, (_, file) in _SCRIPTS.items():
        # BertViz names two of them without their ending.
        if url.endswith((end, end.removesuffix(".js"))):
            return CACHE / "node_modules" / file
    return None


def missing() -> str | None:
    """Why BertViz cannot be measured here; fetches its scripts where they are not there yet."""
    try:
        import bertviz  # noqa: F401
    except ImportError:
        return "bertviz is not installed: pip install --no-deps bertviz"
    if all((CACHE / "node_modules" / file).exists() for _, file in _SCRIPTS.values()):
        return None
    CACHE.mkdir(parents=True, exist_ok=True)
    (CACHE / "package.json").write_text(json.dumps({"private": True}))
    command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", *(package for package, _ in _SCRIPTS.values())]
    done = subprocess.run(command, cwd=CACHE, capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else f"npm did not bring its scripts: {done.stderr.strip().splitlines()[-1:]}"
