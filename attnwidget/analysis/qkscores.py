"""The scores behind one head's pattern in one run, split into what makes them up, and checked against the pattern."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ..drawable import Drawable
from ..engine.attention_input import AttentionInput, attention_input
from ..engine.score_law import Scores, Turn, head_scores
from ..engine.writes import Stream, rounding, wide
from ..errors import ModelError
from ..heads import Head, HeadLike
from ..run import Run

_PARTS = ("content", "query_bias", "key_bias", "both_biases")


@dataclass(frozen=True)
class QKScores(Drawable):
    """One head's queries, keys and scores, float64. `q` and `k` are [position, d_head] as they enter the product, rotated where the model
    rotates; what is [query, key] is listed below. With `scaled = scale · q·k`:

    `scores = cap · tanh(scaled / cap)`, or `scaled` where there is no soft-cap; `pattern = softmax(scores + position_bias)` over the keys
    that are `visible`, with the share of a sink left out where there is one (`sink` [query], −inf where there is none).

    `parts` splits `scaled` exactly, where queries and keys are linear in the norm's output: `content` is what the normed stream gives on
    both sides, `query_bias` the bias of the query with the content of the key, `key_bias` the other way round, and `both_biases`. The last
    two are the same for every key of a query, so that no softmax sees them, unless a rotation or a soft-cap makes them differ. A bias is
    the projection's with what the norm's own bias gives; rotated as the rest. `parts` is empty where queries and keys are not linear (they
    are normed, as in Qwen 3), and `note` says so.
    """

    head: Head
    tokens: tuple[str, ...]
    q: np.ndarray
    k: np.ndarray
    scaled: np.ndarray
    scores: np.ndarray
    parts: dict[str, np.ndarray]
    position_bias: np.ndarray
    """Biases by position (ALiBi) [query, key], less the largest of each query: 0 where the model has none, −inf where masked."""
    visible: np.ndarray
    sink: np.ndarray
    pattern: np.ndarray
    """The model's own, which the scores were seen to give."""
    scale: float
    cap: float | None
    off: float
    """How far softmax of the scores is from the model's pattern, at most."""
    rotary: bool
    note: str
    conditional: tuple[Head, ...]
    """Heads that were ablated in the run."""
    processing: str
    dtype: str
    exact: bool = True

    def __post_init__(self) -> None:
        arrays = (self.q, self.k, self.scaled, self.scores, self.position_bias, self.visible, self.sink, self.pattern)
        for array in (*arrays, *self.parts.values()):
            array.setflags(write=False)

    def to_frame(self) -> pd.DataFrame:
        """One row per query and key that it may see: query, query_token, key, key_token, each of `parts`, scaled, score, position_bias,
        attention. `attrs` says how it was made."""
        query, key = np.nonzero(self.visible)
        frame = pd.DataFrame(
            {
                "query": query,
                "query_token": [self.tokens[i] for i in query],
                "key": key,
                "key_token": [self.tokens[i] for i in key],
                **{name: part[query, key] for name, part in self.parts.items()},
                "scaled": self.scaled[query, key],
                "score": self.scores[query, key],
                "position_bias": self.position_bias[query, key],
                "attention": self.pattern[query, key],
            }
        )
        told = ("scale", "cap", "rotary", "note", "processing", "dtype", "exact")
        frame.attrs = {"head": str(self.head), **{name: getattr(self, name) for name in told}}
        return frame

    def __repr__(self) -> str:
        cap = "" if self.cap is None else f", soft-cap {self.cap:g}"
        parts = ", ".join(self.parts) or "not split"
        off = f", with {', '.join(map(str, self.conditional))} ablated" if self.conditional else ""
        return (
            f"QKScores({self.head}: {len(self.tokens)} tokens, scale {self.scale:.4g}{cap}; {parts}; softmax of them is the pattern to "
            f"{self.off:.1g}{off}; {self.processing}, {self.dtype})"
        )


def qk(run: Run, head: HeadLike) -> QKScores:
    """The scores of `head` in `run` before the softmax, and the queries and keys they are products of.

    They are checked: softmax of them must be the model's own pattern within 1e-5 of a probability (2 % in half precision), else
    `ModelError`. In a run with heads of this very layer ablated, the scores are those that the layer would have without that. Positions
    that are learned are in the stream before the norm and cannot be told from content; rotary ones are in `q` and `k`.
    """
    asked = run._head(head)
    if len(run.ids) < 2:
        raise ModelError(
            "One token has one key to look at, so its pattern proves nothing of its score: give a prompt of two tokens or more."
        )
    stream = Stream(run.model.engine, run._recording, tuple(run._resid), tuple(run._edits))
    found = head_scores(stream, asked.layer, asked.head)
    scaled = found.law.scale * (found.q @ found.k.T)
    given = attention_input(stream, asked.layer)
    biases = _biases(given, found, asked.head)
    rotary = _rotates(given, found.law.turn)
    weights = _softmax(found)
    return QKScores(
        head=asked,
        tokens=tuple(run.tokens),
        q=found.q.cpu().numpy(),
        k=found.k.cpu().numpy(),
        scaled=scaled.cpu().numpy(),
        scores=found.scores.cpu().numpy(),
        parts={} if biases is None else _split(found, *biases),
        position_bias=found.added.cpu().numpy(),
        visible=(found.added > -torch.inf).cpu().numpy(),
        sink=found.sink.cpu().numpy(),
        pattern=found.pattern.cpu().numpy(),
        scale=found.law.scale,
        cap=found.law.cap,
        off=(weights - found.pattern).abs().max().item(),
        rotary=rotary,
        note=_note(run, given, found, biases is not None, rotary),
        conditional=run.ablation.heads,
        processing=run.model.processing,
        dtype=run.model.precision,
    )


def _softmax(found: Scores) -> Tensor:
    every = torch.cat([found.scores + found.added, found.sink[:, None]], -1)
    return every.softmax(-1)[:, :-1]


def _biases(given: AttentionInput, found: Scores, head: int) -> tuple[Tensor, Tensor] | None:
    """What of a head's queries and of its keys is there without content [position, d_head]; None where they are not linear in the input."""
    bias = given.given.new_zeros(given.given.shape) if given.norm is None else given.norm.bias.to(given.given).expand_as(given.given)
    states = given.states(torch.stack([bias, (bias + given.given) / 2, given.given]), ("q", "k"))
    alone: list[Tensor] = []
    for site in ("q", "k"):
        none, half, whole = (_of_head(part, head, states["q"].shape[2], found.law.turn) for part in states[site])
        size = (none.abs() + whole.abs()).amax()
        if bool(((none + whole) / 2 - half).abs().amax() > 4 * rounding(given.given.dtype) * size):
            return None
        alone.append(none)
    return alone[0], alone[1]


def _of_head(states: Tensor, head: int, n_heads: int, turn: Turn | None) -> Tensor:
    """[position, d_head] of a query head, of states [position, head, d_head]."""
    own = wide(states[:, head // (n_heads // states.shape[1])])
    return own if turn is None else turn(own)


def _split(found: Scores, query_bias: Tensor, key_bias: Tensor) -> dict[str, np.ndarray]:
    query, key = found.q - query_bias, found.k - key_bias
    pairs = ((query, key), (query_bias, key), (query, key_bias), (query_bias, key_bias))
    return {name: (found.law.scale * (q @ k.T)).cpu().numpy() for name, (q, k) in zip(_PARTS, pairs, strict=True)}


def _rotates(given: AttentionInput, turn: Turn | None) -> bool:
    """Whether one input gives another query at another position."""
    same = given.given[:1].expand_as(given.given)
    q = given.states(same[None], ("q",))["q"][0].transpose(0, 1)
    q = wide(q) if turn is None else turn(wide(q))
    return bool((q - q[:, :1]).abs().amax() > 1e-3 * q.abs().amax())


def _note(run: Run, given: AttentionInput, found: Scores, split: bool, rotary: bool) -> str:
    said: list[str] = []
    if not split:
        said.append(
            "Queries and keys of this layer are not linear in its input (they are normed, or heads have inputs of their own), "
            "so scores are not split."
        )
    if rotary:
        said.append("Positions are rotary: each term is the product after the rotation.")
    elif _in_the_stream(run):
        said.append("Learned positions are added to the stream before the norm, so they are inside content and cannot be split off.")
    if given.norm is None:
        said.append("What stands before the projections is no norm that could be told apart, so a bias it may have is in content.")
    if bool((found.added[found.added > -torch.inf] < -1e-4).any()):
        said.append("Biases by position are a term of their own.")
    if found.law.cap is not None:
        said.append(f"Terms are before the soft-cap, {found.law.cap:g} · tanh(· / {found.law.cap:g}).")
    if bool((found.sink > -torch.inf).any()):
        said.append("A sink takes a share of each row.")
    return " ".join(said)


def _in_the_stream(run: Run) -> bool:
    """Whether one token enters the first block otherwise at another position."""
    if len(run.ids) < 2:
        return False
    twice = torch.tensor([[run.ids[0]] * 2], device=run.model.device)
    first, second = run.model.engine.record(twice).resid[0][0]
    return not torch.equal(first, second)
