"""What a head writes for a token that it attends to, read from the weights: which tokens it promotes, and whether it copies."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from ..errors import AttnWidgetError
from ..heads import HeadLike, parse_head
from ..model import Model
from . import checked
from .checked import count, one_of
from .method import Progress
from .modelweights import EMBEDDINGS, ModelWeights, asked_tokens
from .ovresult import OVCircuit

_CELLS = 2**24  # of [source token, output token] in memory at once
_DEAD = 1e-10


def ov(
    model: Model,
    head: HeadLike,
    tokens: Sequence[str | int] | str | int | None = None,
    *,
    embedding: str = "tokens",
    less_mean: bool = False,
    k: int = 10,
    sample: int = 512,
    seed: int = 0,
    progress: Progress | None = None,
) -> OVCircuit:
    """The OV circuit `W_E W_V W_O W_U` of `head` (Elhage et al. 2021), from its factors of rank d_head.

    What the head writes for a token t: `f(t) = (norm(e_t) W_V + b_V) W_O · P diag(γ) W_U`, in logits before the final norm's scale, which
    a run would multiply all of it by. `e_t` is the token's embedding, without position, or with `embedding="first MLP"` what leaves the
    first block for that token alone with its heads silent; `norm` is the one before the head, with the token's own scale; γ and the
    centring P are the final norm's. For each of `tokens`: the `k` tokens it promotes and suppresses most, and the table among `tokens`;
    with `less_mean`, less the mean of each output over the whole vocabulary. [vocabulary, vocabulary] is never made.

    Also, whatever is asked: the copying score `Σ Re λ / Σ |λ|` of the eigenvalues of the linear circuit (norms folded, scales and biases
    out), from the d_head x d_head matrix `W_O W_U · W_E W_V` with the same ones; 1 where every direction adds to itself, −1 where every
    one takes from itself, NaN for 0/0. And the rank of a token itself among what it promotes, for `sample` tokens drawn with `seed` (all,
    where there are no more). `ModelError` for post-norm models, and where values, the embedding or the unembedding cannot be read.
    """
    asked = parse_head(head, model.n_layers, model.n_heads)
    one_of("embedding", embedding, EMBEDDINGS)
    less_mean, seed = checked.switch("less_mean", less_mean), checked.seed(seed)
    if embedding == "first MLP" and asked.layer == 0:
        raise AttnWidgetError(f"{asked} comes before the first MLP: ask with embedding='tokens', or about a later layer.")
    ids = [] if tokens is None else asked_tokens(model, tokens)
    weights = ModelWeights(model)
    k, sample = count("k", k, 1, weights.size), min(count("sample", sample, 0, 10**9), weights.size)
    outward = weights.unembedding
    layer = weights.layer(asked.layer)
    group = layer.group(asked.head)
    value, bias, out = layer.v[group], layer.v_bias[group], layer.out[asked.head]

    def values(vectors: Tensor) -> Tensor:
        return layer.norm(vectors).to(value) @ value + bias

    def source(some: Sequence[int]) -> Tensor:
        return values(weights.embedded(some, embedding))

    outputs, total, square = [], torch.zeros_like(bias), torch.zeros(len(bias), len(bias), dtype=bias.dtype, device=bias.device)
    sizes = [0.0, 0.0]
    for part in weights.each_chunk("Reading the vocabulary", progress):
        read = outward.of(part).to(out) @ out.T  # [token, d_head]
        outputs.append(read.float())
        vectors = weights.embedded(part, embedding)
        total += values(vectors).sum(0)
        linear = layer.norm.linear(vectors).to(value) @ value
        square += read.T @ linear
        sizes = [sizes[0] + read.square().sum().item(), sizes[1] + linear.square().sum().item()]
    promoted = torch.cat(outputs)
    mean = total / weights.size if less_mean else torch.zeros_like(total)
    eigenvalues = torch.linalg.eigvals(square.cpu())
    # What is nothing but rounding has eigenvalues, too.
    dead = square.norm().item() <= _DEAD * (sizes[0] * sizes[1]) ** 0.5
    best, worst, block = _tables(source(ids) - mean, promoted, ids, k) if ids else (None, None, None)
    drawn = _drawn(weights.size, sample, seed)
    return OVCircuit(
        head=asked,
        copying=float("nan") if dead else (eigenvalues.real.sum() / eigenvalues.abs().sum()).item(),
        eigenvalues=np.full(len(eigenvalues), np.nan + 0j) if dead else eigenvalues.numpy(),
        ids=tuple(ids),
        tokens=tuple(model.token(i) for i in ids),
        promoted=_named(model, best),
        suppressed=_named(model, worst),
        block=block,
        rank_ids=tuple(drawn),
        ranks=_ranks(source, promoted, drawn, mean),
        vocabulary=weights.size,
        embedding=embedding,
        less_mean=less_mean,
        seed=seed,
        shares_values_with=tuple(type(asked)(asked.layer, h) for h in range(model.n_heads) if layer.group(h) == group and h != asked.head),
        processing=model.processing,
        dtype=model.precision,
    )


def _tables(source: Tensor, promoted: Tensor, ids: list[int], k: int) -> tuple[tuple, tuple, np.ndarray]:
    """The highest and the lowest `k` outputs of each source token, (ids, values) [token, k], and the table of the tokens themselves."""
    best, worst = [], []
    for part in source.split(max(1, _CELLS // len(promoted))):
        scores = part.float() @ promoted.T
        for kept, largest in ((best, True), (worst, False)):
            values, found = scores.topk(k, largest=largest)
            kept.append((found.cpu().numpy(), values.double().cpu().numpy()))
    block = (source @ promoted[ids].to(source).T).cpu().numpy()
    joined = [tuple(np.concatenate([pair[i] for pair in kept]) for i in (0, 1)) for kept in (best, worst)]
    return joined[0], joined[1], block


def _named(model: Model, found: tuple | None) -> tuple[tuple[tuple[str, int, float], ...], ...]:
    if found is None:
        return ()
    ids, values = found
    return tuple(
        tuple((model.token(int(i)), int(i), float(v)) for i, v in zip(row, numbers, strict=True))
        for row, numbers in zip(ids, values, strict=True)
    )


def _drawn(size: int, sample: int, seed: int) -> list[int]:
    if sample >= size:
        return list(range(size))
    return sorted(torch.randperm(size, generator=torch.Generator().manual_seed(seed))[:sample].tolist())


def _ranks(source: Callable[[Sequence[int]], Tensor], promoted: Tensor, drawn: list[int], mean: Tensor) -> np.ndarray:
    """1 where a token promotes none more than itself; NaN where it promotes all alike (the head writes nothing for it)."""
    step, found = max(1, _CELLS // len(promoted)), []
    for start in range(0, len(drawn), step):
        some = drawn[start : start + step]
        scores = (source(some) - mean).float() @ promoted.T
        own = scores[torch.arange(len(some)), some]
        rank = (scores > own[:, None]).sum(1).double() + 1
        found.append(torch.where(scores.amax(1) > scores.amin(1), rank, torch.nan).cpu().numpy())
    return np.concatenate(found) if found else np.empty(0)
