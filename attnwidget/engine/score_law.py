"""How a layer makes its pattern of queries and keys: scale, soft-cap, mask, biases, sinks; proved on the run at hand.

`A = softmax(cap(scale · q·k) + added)`, with a share left to a sink where there is one. What is added, by position or as a mask, is seen
with all queries set to zero, where nothing else is left in the pattern. The pattern that follows must be the model's own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..errors import ModelError
from .engine import Edit
from .writes import Stream, wide

_CAPS = ("attn_logit_softcapping", "attn_scores_soft_cap")
_SCALES = ("scaling", "scale_attn", "attn_scale", "scale")
CLOSE = 1e-5  # of a probability; in half precision 2 %


@dataclass(frozen=True)
class Turn:
    """Rotary positions, where the taps give queries and keys from before them: by the cosines and sines that the model gave its block."""

    cos: Tensor
    sin: Tensor

    def __call__(self, states: Tensor, at: Sequence[int] | None = None) -> Tensor:
        """`states` [..., position, d_head] as they enter the product, of all positions or of those `at`."""
        where = slice(None) if at is None else list(at)
        cos, sin = self.cos[where].to(states), self.sin[where].to(states)
        turned, rest = states[..., : cos.shape[-1]], states[..., cos.shape[-1] :]
        left, right = turned.chunk(2, -1)
        return torch.cat([turned * cos + torch.cat([-right, left], -1) * sin, rest], -1)


@dataclass(frozen=True)
class ScoreLaw:
    """Of one layer. `turn` is None where the taps give queries and keys as they enter the product."""

    scale: float
    cap: float | None
    turn: Turn | None

    def scores(self, q: Tensor, k: Tensor) -> Tensor:
        """[..., query, key] of queries and keys [..., position, d_head] as they enter the product: before mask and biases of position."""
        raw = self.scale * (q @ k.transpose(-1, -2))
        return raw if self.cap is None else self.cap * torch.tanh(raw / self.cap)


@dataclass(frozen=True)
class Scores:
    """Queries, keys and scores of one head in one run, in float64, and what the model makes of them."""

    law: ScoreLaw
    q: Tensor
    k: Tensor
    """[position, d_head] as they enter the product."""
    scores: Tensor
    """[query, key]: after scale and soft-cap, before mask and biases of position."""
    added: Tensor
    """[query, key]: biases of position, less the largest of each query; -inf where masked."""
    pattern: Tensor
    """[query, key]: the model's own."""
    sink: Tensor
    """[query]: the score of the sink, in the same units as `scores + added`; -inf where there is none."""


def head_scores(stream: Stream, layer: int, head: int) -> Scores:
    """The scores of one head. `ModelError` where softmax of them is not the model's own pattern."""
    anatomy = stream.engine.anatomy
    if not anatomy.taps["q"] or not anatomy.taps["k"]:
        raise ModelError("Queries and keys cannot be reached in this model: hand it in as a TransformerBridge.")
    q, k, pattern = _seen(stream, layer)
    empty = _emptied(stream, layer)
    if pattern is None or empty is None:
        raise ModelError("Attention patterns cannot be read from this model, so its scores cannot be checked: hand it in as a bridge.")
    if len(q) != len(pattern) or len(q) % len(k):
        raise ModelError(f"Queries and keys of layer {layer} are not laid out by heads in this model, so scores cannot be made of them.")
    k = k.repeat_interleave(len(q) // len(k), 0)
    off = math.inf
    for law in _laws(stream, layer, q, k, pattern, empty):
        turned_q, turned_k = (states[head] if law.turn is None else law.turn(states[head]) for states in (q, k))
        scores = law.scores(turned_q, turned_k)
        distance = (_softmax(scores, empty[head]) - pattern[head]).abs().max().item()
        if distance <= tolerance(anatomy.dtype):
            added = empty[head].log()
            top = added.amax(-1, keepdim=True)
            share = 1 - empty[head].sum(-1)
            # Less than what rounding leaves of a row that sums to 1 is no sink.
            sink = torch.where(share > 1e-4, share.clamp_min(1e-12).log() - top[:, 0], -math.inf)
            return Scores(law, turned_q, turned_k, scores, added - top, pattern[head], sink)
        off = min(off, distance)
    raise ModelError(
        f"Softmax of query times key is not the pattern of L{layer}H{head} in this model (they differ by {off:.2g}): "
        "it does something to its scores, or turns its queries and keys, out of reach, so they are not shown."
    )


def tolerance(dtype: torch.dtype) -> float:
    return CLOSE if torch.finfo(dtype).eps < 1e-6 else 0.02


def _softmax(scores: Tensor, empty: Tensor) -> Tensor:
    """The pattern [..., query, key] that scores give, where `empty` is the one that they give when all are zero: a row of that which does
    not sum to 1 leaves the rest to a sink."""
    top = scores.amax(-1, keepdim=True)
    weights = empty * (scores - top).exp()
    left = (1 - empty.sum(-1, keepdim=True)).clamp_min(0)
    left = torch.where(left > 1e-4, left, 0)
    return weights / (weights.sum(-1, keepdim=True) + left * (-top).exp())


def _seen(stream: Stream, layer: int, *edits: Edit) -> tuple[Tensor, Tensor, Tensor | None]:
    """Queries and keys [head, position, d_head] and the pattern, of the layer as it is without edits of its own."""
    below = [edit for edit in stream.edits if edit.layer < layer]
    passed = stream.engine.resume(
        stream.recording,
        [*below, *edits],
        start=layer,
        stop=layer + 1,
        resid=stream.resid[layer],
        capture=[(site, layer) for site in ("q", "k", "pattern")],
    )
    q, k = (wide(passed.captured[site, layer][0]).transpose(0, 1) for site in ("q", "k"))
    pattern = passed.captured.get(("pattern", layer))
    return q, k, None if pattern is None else wide(pattern[0])


def _emptied(stream: Stream, layer: int) -> Tensor | None:
    """The pattern with all queries zero."""
    return _seen(stream, layer, Edit(layer, "q", torch.zeros_like))[2]


def _laws(stream: Stream, layer: int, q: Tensor, k: Tensor, pattern: Tensor, empty: Tensor) -> Iterator[ScoreLaw]:
    """What the law may be, the likeliest first, by the head whose scores are farthest apart."""
    block = stream.engine.anatomy.blocks[layer]
    for turn in (None, _turn(stream, layer)):
        if turn is None:
            turned_q, turned_k = q, k
        elif turn.cos.shape[-1] <= q.shape[-1]:
            turned_q, turned_k = turn(q), turn(k)
        else:
            continue
        raw = turned_q @ turned_k.transpose(1, 2)
        spread = torch.where(empty > 0, raw, 0).flatten(1).std(-1)
        at = int(spread.argmax())
        named = list(dict.fromkeys([q.shape[-1] ** -0.5, 1.0, *_named(block, _SCALES)]))
        fitted = _fitted(raw[at], pattern[at], empty[at])
        near = [scale for scale in named if fitted is not None and abs(fitted / scale - 1) < 1e-3]
        plain = near[:1] or named[:1] if fitted is None or near else [fitted]
        options = [ScoreLaw(scale, None, turn) for scale in plain]
        options += [ScoreLaw(scale, cap, turn) for cap in _caps(stream) for scale in named]

        def off(law: ScoreLaw, q: Tensor = turned_q[at], k: Tensor = turned_k[at], at: int = at) -> float:
            return (_softmax(law.scores(q, k), empty[at]) - pattern[at]).abs().max().item()

        yield min(options, key=off)
        if turn is None and _turn(stream, layer) is None:
            return


def _fitted(raw: Tensor, pattern: Tensor, empty: Tensor) -> float | None:
    """By what `raw` [query, key] is multiplied before the softmax, by least squares; None where nothing shows."""
    known = (pattern > 0) & (empty > 0)
    gain = torch.where(known, pattern.log() - empty.log(), 0)
    count = known.sum(-1, keepdim=True).clamp_min(1)
    x, y = (torch.where(known, t - torch.where(known, t, 0).sum(-1, keepdim=True) / count, 0) for t in (raw, gain))
    square = x.square().sum()
    return ((x * y).sum() / square).item() if square > 0 else None


def _named(block: nn.Module, names: tuple[str, ...]) -> list[float]:
    found = [getattr(part, name, None) for part in block.modules() for name in names]
    return list(dict.fromkeys(float(value) for value in found if isinstance(value, (int, float)) and not isinstance(value, bool) and value))


def _caps(stream: Stream) -> list[float]:
    model = stream.engine.anatomy.model
    wholes = (model, getattr(model, "original_model", None))
    settings = [getattr(whole, name, None) for whole in wholes for name in ("config", "cfg")]
    settings += [config.get_text_config() for config in settings if hasattr(config, "get_text_config")]
    found = [getattr(config, name, None) for config in settings for name in _CAPS]
    return list(dict.fromkeys(float(cap) for cap in found if isinstance(cap, (int, float)) and cap > 0))


def _turn(stream: Stream, layer: int) -> Turn | None:
    given = stream.recording.calls[layer].kwargs.get("position_embeddings")
    if not isinstance(given, tuple) or len(given) != 2 or not all(isinstance(part, Tensor) and part.dim() == 3 for part in given):
        return None
    return Turn(wide(given[0][0]), wide(given[1][0]))
