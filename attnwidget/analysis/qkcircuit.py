"""Which tokens a head would attend to from which, read from the weights, in factors of rank d_head."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from ..engine.attention_input import attention_input
from ..engine.projections import short_stream
from ..engine.rotation import rotations
from ..engine.score_law import ScoreLaw, head_scores, turn_of
from ..errors import AttnWidgetError
from ..heads import Head, HeadLike, parse_head
from ..model import Model
from .checked import count, one_of
from .method import Progress
from .modelweights import EMBEDDINGS, SCALES, ModelWeights, asked_tokens
from .qkresult import Direction, QKCircuit
from .toppairs import top_pairs

_FEW = 16  # positions that scores are looked at on
_EXACT = 2**23  # numbers of a factor that are decomposed in float64


def qk_circuit(
    model: Model,
    head: HeadLike,
    *,
    offset: int = 0,
    tokens: Sequence[str | int] | str | int | None = None,
    embedding: str = "tokens",
    scale: str = "own",
    k: int = 10,
    directions: int = 3,
    max_offset: int = 16,
    progress: Progress | None = None,
) -> QKCircuit:
    """The QK circuit `W_E W_Q R_Δ W_Kᵀ W_Eᵀ · scale` of `head` (Elhage et al. 2021); [vocabulary, vocabulary] is never whole in memory.

    The score of a query token s that stands `offset` Δ behind a key token t: `scale · ((norm(e_s) W_Q + b_Q) R_Δ) · (norm(e_t) W_K)`,
    before a soft-cap, mask and biases by position. `e` is a token's embedding without position, or with `embedding="first MLP"` what leaves
    the first block for it alone with its heads silent. `norm` is the one before the head, with the token's own scale, so that at layer 0
    of a rotary model these are `content + query_bias` of `qk(run, head)`; `scale="none"` leaves its scale and all biases out, which is the
    bilinear form of the weights alone. What all keys have in common (the biases of the norm and of the projection) is left out of the key:
    for one query it is the same for every key at that distance, and no softmax sees it. `R_Δ` is measured on the model, rotary or none, and
    the scores of a run were seen to give the model's pattern by the same law.

    Found: the `k` pairs of tokens with the largest scores (looking for them takes longest; `k=0` does not look), the table among `tokens`,
    `directions` largest singular directions with the tokens at their ends, and for rotary models the mean score of all pairs of tokens at
    each distance up to `max_offset`, what keys have in common included. Grouped heads share keys. `ModelError` for post-norm models, where
    queries or keys are normed (Qwen 3, Gemma 3), and where queries and keys cannot be reached; `AttnWidgetError` for an offset in a model
    whose positions do not turn them.
    """
    asked = parse_head(head, model.n_layers, model.n_heads)
    one_of("embedding", embedding, EMBEDDINGS)
    one_of("scale", scale, SCALES)
    if embedding == "first MLP" and asked.layer == 0:
        raise AttnWidgetError(f"{asked} comes before the first MLP: ask with embedding='tokens', or about a later layer.")
    furthest = 10**6 if model.n_ctx is None else model.n_ctx - 2
    offset = count("offset", offset, 0 if model.causal else -furthest, furthest)
    max_offset = count("max_offset", max_offset, 0, 10**6)
    ids = [] if tokens is None else asked_tokens(model, tokens)
    distances = sorted({*range(min(max_offset, furthest) + 1), abs(offset)})
    weights = ModelWeights(model, max(8, min(distances[-1], _FEW) + 2))
    k, directions = count("k", k, 0, weights.size), count("directions", directions, 0, model.d_head)
    layer = weights.layer(asked.layer)
    law = _law(weights, asked)
    turned = _rotations(weights, asked.layer, law, distances)
    if turned is None and offset:
        where = "in its stream" if weights.embedding.learned_positions else "a bias of its scores, or nowhere"
        raise AttnWidgetError(f"offset={offset} plays no part: positions of {model.name} do not turn queries and keys (they are {where}).")
    group = layer.group(asked.head)
    w_q, w_k, b_q, b_k = layer.q[asked.head], layer.k[group], layer.q_bias[asked.head], layer.k_bias[group]
    shift = layer.norm.bias.to(w_q)

    def factors(some: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Queries, scaled and not turned, and keys [token, d_head] in float64."""
        vectors = weights.embedded(some, embedding)
        if scale == "none":
            y = layer.norm.linear(vectors).to(w_q)
            return law.scale * (y @ w_q), y @ w_k
        y = layer.norm(vectors).to(w_q)
        return law.scale * (y @ w_q + b_q), (y - shift) @ w_k

    queries, keys = (torch.cat(parts) for parts in zip(*map(_single, _each(weights, factors, progress)), strict=True))
    turn = None if turned is None else turned[distances.index(abs(offset))]
    turn = turn.T if turn is not None and offset < 0 else turn
    at_offset = queries if turn is None else (queries.double() @ turn.to(w_q)).float()
    pairs = top_pairs(at_offset, keys, k, progress) if k else []
    block = None
    if ids:
        q, key = factors(ids)
        block = ((q if turn is None else q @ turn.to(q)) @ key.T).cpu().numpy()
    kernel = None
    if turned is not None:
        bias = shift @ w_k + b_k if scale == "own" else torch.zeros_like(b_k)
        q_mean, k_mean = queries.double().mean(0), keys.double().mean(0) + bias
        kernel = torch.einsum("d,pde,e->p", q_mean, turned.to(q_mean), k_mean)
        kernel = kernel[: min(max_offset, furthest) + 1].cpu().numpy()
    values, ends = _directions(model, at_offset, keys, directions, k)
    return QKCircuit(
        head=asked,
        offset=offset,
        ids=tuple(ids),
        tokens=tuple(model.token(i) for i in ids),
        block=block,
        pairs=tuple((model.token(q), q, model.token(t), t, score) for q, t, score in pairs),
        singular_values=values,
        directions=ends,
        kernel=kernel,
        scale=law.scale,
        cap=law.cap,
        norm_scale=scale,
        embedding=embedding,
        rotary=turned is not None,
        shares_keys_with=tuple(Head(asked.layer, h) for h in range(model.n_heads) if layer.group(h) == group and h != asked.head),
        note=_note(weights, law, turned is not None),
        processing=model.processing,
        dtype=model.precision,
    )


def _law(weights: ModelWeights, head: Head) -> ScoreLaw:
    return head_scores(weights.stream, head.layer, head.head).law


def _rotations(weights: ModelWeights, layer: int, law: ScoreLaw, distances: Sequence[int]) -> Tensor | None:
    """By `distances`, in order. The law was seen on a short prompt; a far one needs a longer prompt, but no scores of it."""
    stream, turn, length = weights.stream, law.turn, distances[-1] + 2
    if length > stream.length:
        size = weights.size
        stream = short_stream(weights.engine, [size * (2 * i + 1) // (2 * length) for i in range(length)])
        turn = None if turn is None else turn_of(stream, layer)
    return rotations(attention_input(stream, layer), turn, distances)


def _each(
    weights: ModelWeights, factors: Callable[[Sequence[int]], tuple[Tensor, Tensor]], progress: Progress | None
) -> Iterator[tuple[Tensor, Tensor]]:
    for part in weights.each_chunk("Reading the vocabulary", progress):
        yield factors(part)


def _single(pair: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    return pair[0].float(), pair[1].float()


def _directions(model: Model, queries: Tensor, keys: Tensor, n: int, k: int) -> tuple[np.ndarray, tuple[Direction, ...]]:
    """All singular values of `queries keysᵀ`, by QR of both and the SVD of a [d_head, d_head], and the tokens at the ends of the first
    few pairs of directions. The sign is chosen so that the longest end of the query's side is the positive one."""
    exact = queries.numel() <= _EXACT
    (q_basis, q_part), (k_basis, k_part) = (torch.linalg.qr(part.double() if exact else part) for part in (queries, keys))
    left, values, right = torch.linalg.svd(q_part @ k_part.T)
    found = []
    for i in range(min(n, len(values))):
        ends = [q_basis @ left[:, i], k_basis @ right[i]]
        sign = 1.0 if ends[0].max() >= -ends[0].min() else -1.0
        sides = [_ends(model, sign * side, k) for side in ends]
        found.append(Direction(values[i].item(), *sides[0], *sides[1]))
    return values.double().cpu().numpy(), tuple(found)


def _ends(model: Model, side: Tensor, k: int) -> tuple[tuple[tuple[str, int, float], ...], tuple[tuple[str, int, float], ...]]:
    """The tokens with the largest and with the lowest numbers."""
    return tuple(
        tuple((model.token(i), i, v) for v, i in zip(*(part.tolist() for part in side.topk(k, largest=largest)), strict=True))
        for largest in (True, False)
    )


def _note(weights: ModelWeights, law: ScoreLaw, rotary: bool) -> str:
    said = []
    if weights.embedding.learned_positions:
        said.append("Learned positions are in the stream beside the tokens and are left out.")
    elif rotary:
        said.append("Rotary positions: the query stands `offset` behind the key.")
    if law.cap is not None:
        said.append(f"Before the soft-cap, {law.cap:g} · tanh(· / {law.cap:g}).")
    return " ".join(said)
