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
from .interrupt import checkpoint
from .writes import Stream, wide

_CAPS = ("attn_logit_softcapping", "attn_scores_soft_cap")
_SCALES = ("scaling", "scale_attn", "attn_scale", "scale")
_QUERIES = 256  # by which laws are told apart
CLOSE = 1e-5  # of a probability; in half precision 2 %
_AS_GOOD = 1.2  # times the error of what fits best: by which a scale that the model names is taken for that one
_APART = 2.0  # times the error: by which a law is worse that is surely another


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
    looked = _Looked(pattern, empty)
    rounded = torch.finfo(anatomy.dtype).eps / 4 * math.sqrt(sum(rows.square().sum().item() for rows, _ in looked) / looked.cells)
    best, others = _best(_trials(stream, layer, q, k, looked), rounded)
    scores = best.law.scores(best.q[head], best.k[head])
    pattern, empty = wide(pattern[head]), wide(empty[head])
    off = (_softmax(scores, empty) - pattern).abs().max().item()
    if not off <= tolerance(anatomy.dtype):
        raise ModelError(
            f"Softmax of query times key is not the pattern of L{layer}H{head} in this model (they differ by {off:.2g}): "
            "it does something to its scores, or turns its queries and keys, out of reach, so they are not shown."
        )
    if any(_differ(best, other, looked) for other in others):
        raise ModelError(
            f"Scores of layer {layer} are so small here, beside the rounding of its patterns, that these do not tell how they are made "
            "(by which scale, with positions turned or not): give a longer prompt, or load the model in float32."
        )
    added = empty.log()
    top = added.amax(-1, keepdim=True)
    share = 1 - empty.sum(-1)
    # Less than what rounding leaves of a row that sums to 1 is no sink.
    sink = torch.where(share > 1e-4, share.clamp_min(1e-12).log() - top[:, 0], -math.inf)
    return Scores(best.law, best.q[head], best.k[head], scores, added - top, pattern, sink)


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
    """Queries and keys [head, position, d_head] in float64, and the pattern in the model's precision, of the layer as it is without edits
    of its own."""
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
    return q, k, None if pattern is None else pattern[0]


def _emptied(stream: Stream, layer: int) -> Tensor | None:
    """The pattern with all queries zero."""
    return _seen(stream, layer, Edit(layer, "q", torch.zeros_like))[2]


class _Looked:
    """A layer's patterns [head, query, key] and those with all queries zero, at the queries by which laws are judged: of a long prompt
    some, spread over it. In float64 a head at a time, for those of a layer are gigabytes."""

    def __init__(self, pattern: Tensor, empty: Tensor):
        self._pattern, self._empty, n = pattern, empty, pattern.shape[1]
        self.at = [n - 1 - i * (n - 1) // max(1, min(n, _QUERIES) - 1) for i in range(min(n, _QUERIES))][::-1]
        self.cells = int((empty[:, self.at] > 0).sum())

    def __len__(self) -> int:
        return len(self._pattern)

    def __getitem__(self, head: int) -> tuple[Tensor, Tensor]:
        """[query, key] each."""
        return wide(self._pattern[head, self.at]), wide(self._empty[head, self.at])

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for head in range(len(self)):
            checkpoint()
            yield self[head]


@dataclass(frozen=True)
class _Trial:
    """What a law gives of a layer. `error` is the root of the mean square of what its pattern is off by, over heads and visible cells."""

    law: ScoreLaw
    named: bool
    """Whether the model names its scale; if not, it is what fits best."""
    q: Tensor
    k: Tensor
    """[head, position, d_head] as they enter the product."""
    error: float


def _best(tried: Iterator[_Trial], rounded: float) -> tuple[_Trial, list[_Trial]]:
    """The law that gives the patterns of all heads best, and those that do nearly as well. Errors below `rounded`, what rounding a pattern
    makes of it, tell nothing."""
    trials = list(tried)
    least = max(rounded, min(trial.error for trial in trials))
    # A fitted scale follows the rounding of the pattern, so that it is a little better than the true one.
    best = next((trial for trial in trials if trial.named and trial.error <= _AS_GOOD * least), None)
    best = best or min(trials, key=lambda trial: trial.error)
    return best, [trial for trial in trials if trial.named and trial is not best and trial.error <= _APART * max(rounded, best.error)]


def _differ(a: _Trial, b: _Trial, looked: _Looked) -> bool:
    """Whether the scores of two laws are apart by more than a fiftieth, as far as a softmax sees them."""
    apart = size = 0.0
    for head, (_, some) in enumerate(looked):
        first, second = (_centred(trial.law.scores(trial.q[head, looked.at], trial.k[head]), some > 0) for trial in (a, b))
        apart += (first - second).square().sum().item()
        size += first.square().sum().item()
    return apart > 0.02**2 * size


def _centred(values: Tensor, known: Tensor) -> Tensor:
    """[..., query, key] less the mean of each row's known cells; 0 elsewhere."""
    count = known.sum(-1, keepdim=True).clamp_min(1)
    values = torch.where(known, values, 0)
    return torch.where(known, values - values.sum(-1, keepdim=True) / count, 0)


def _trials(stream: Stream, layer: int, q: Tensor, k: Tensor, looked: _Looked) -> Iterator[_Trial]:
    """What the law may be, the likeliest first."""
    block, turn = stream.engine.anatomy.blocks[layer], turn_of(stream, layer)
    named = list(dict.fromkeys([q.shape[-1] ** -0.5, 1.0, *_named(block, _SCALES)]))
    for turning in (None, turn) if turn is not None and turn.cos.shape[-1] <= q.shape[-1] else (None,):
        turned_q, turned_k = (states if turning is None else turning(states) for states in (q, k))
        laws = [ScoreLaw(scale, None, turning) for scale in named]
        laws += [ScoreLaw(scale, cap, turning) for cap in _caps(stream) for scale in named]
        fitted = _fitted(turned_q[:, looked.at], turned_k, looked)
        for law in laws if fitted is None else [*laws, ScoreLaw(fitted, None, turning)]:
            squares = sum(
                (_softmax(law.scores(turned_q[head, looked.at], turned_k[head]), empty) - pattern).square().sum().item()
                for head, (pattern, empty) in enumerate(looked)
            )
            yield _Trial(law, law.scale in named, turned_q, turned_k, math.sqrt(squares / looked.cells))


def _fitted(q: Tensor, k: Tensor, looked: _Looked) -> float | None:
    """By what queries times keys are multiplied before the softmax, by least squares, in the head whose products are farthest apart;
    None where nothing shows."""
    spread = [_centred(q[head] @ k[head].T, empty > 0).square().sum().item() for head, (_, empty) in enumerate(looked)]
    at = max(range(len(q)), key=spread.__getitem__)
    pattern, empty = looked[at]
    known = (pattern > 0) & (empty > 0)
    x = _centred(q[at] @ k[at].T, known)
    y = _centred(pattern.log() - empty.log(), known)
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


def turn_of(stream: Stream, layer: int) -> Turn | None:
    """What the model gave this block to turn queries and keys by, over the positions of `stream`; None where it gave nothing."""
    given = stream.recording.calls[layer].kwargs.get("position_embeddings")
    if not isinstance(given, tuple) or len(given) != 2 or not all(isinstance(part, Tensor) and part.dim() == 3 for part in given):
        return None
    return Turn(wide(given[0][0]), wide(given[1][0]))
