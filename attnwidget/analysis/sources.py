"""Why a head looks there: one score as a sum over what embedding, heads and MLPs below wrote at the query and at the key."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ..engine.attention_input import attention_input
from ..engine.interrupt import checkpoint
from ..engine.norms import Norm, inner_rounding
from ..engine.out_matrix import out_matrix
from ..engine.projections import projections, short_stream
from ..engine.rotation import rotations
from ..engine.score_law import head_scores
from ..engine.writes import Stream, block_writes, wide
from ..errors import ModelError, PositionError
from ..heads import Head, HeadLike
from ..run import Run
from .method import Progress


@dataclass(frozen=True)
class AttentionSources:
    """One score of one head, `scale · q·k` before mask, soft-cap and biases by position, as sums of exact terms, float64.

    `table` [component, component] has what each component of the query's stream (rows) gives with each of the key's (columns); all of it
    sums to `score`. `query_side` is its sum over columns: what is in the query, the key as it is; `key_side` its sum over rows. The norm
    before the head has its scale frozen at that of this run. The component "biases" is what the norm's and the projection's biases give,
    "attention biases" what all out-projections below add. `query_tokens` and `key_tokens` [component, position] say from which token a
    head brought its term: row i sums to `query_side[i]`; NaN for what is no head, and for heads whose z is not pattern times values.
    """

    head: Head
    query: int
    key: int
    tokens: tuple[str, ...]
    components: tuple[str, ...]
    table: np.ndarray
    query_tokens: np.ndarray
    key_tokens: np.ndarray
    score: float
    attention: float
    """What the pattern has there."""
    cap: float | None
    conditional: tuple[Head, ...]
    """Heads that were ablated in the run."""
    processing: str
    dtype: str
    exact: bool = True

    def __post_init__(self) -> None:
        for array in (self.table, self.query_tokens, self.key_tokens):
            array.setflags(write=False)

    @property
    def query_side(self) -> np.ndarray:
        return self.table.sum(1)

    @property
    def key_side(self) -> np.ndarray:
        return self.table.sum(0)

    def to_frame(self) -> pd.DataFrame:
        """One row per component: component, query_side, key_side, the largest key side first. `attrs` says how it was made."""
        frame = pd.DataFrame({"component": self.components, "query_side": self.query_side, "key_side": self.key_side})
        frame = frame.sort_values("key_side", key=np.abs, ascending=False, ignore_index=True, kind="stable")
        told = ("query", "key", "score", "attention", "cap", "processing", "dtype", "exact")
        frame.attrs = {"head": str(self.head), **{name: getattr(self, name) for name in told}}
        return frame

    def pairs(self, k: int = 10) -> pd.DataFrame:
        """The `k` largest terms of the table by size: query_component, key_component, term."""
        order = np.argsort(-np.abs(self.table), axis=None, kind="stable")[:k]
        rows, columns = np.unravel_index(order, self.table.shape)
        return pd.DataFrame(
            {
                "query_component": [self.components[i] for i in rows],
                "key_component": [self.components[i] for i in columns],
                "term": self.table[rows, columns],
            }
        )

    def __repr__(self) -> str:
        a, b = (self.components[int(np.abs(side).argmax())] for side in (self.query_side, self.key_side))
        return (
            f"AttentionSources({self.head} from {self.query} {self.tokens[self.query]!r} to {self.key} {self.tokens[self.key]!r}: score "
            f"{self.score:.4g}, attention {self.attention:.3g}; most by {a} at the query, {b} at the key; {len(self.components)} "
            f"components; {self.processing}, {self.dtype})"
        )


def attention_sources(run: Run, head: HeadLike, query: int, key: int, progress: Progress | None = None) -> AttentionSources:
    """What of the stream makes `head` look from position `query` to position `key` in `run`.

    The stream that enters the head's layer is the sum of what the embedding, and each head and MLP below, wrote; the norm, its scale
    frozen, the projections and the rotation are linear; so the score is a sum over pairs of components, one at each position, exactly.
    That it sums to the run's own score is checked. (Elhage et al. 2021; a softmax compares scores, so look at other keys of the same query,
    too.) `ModelError` where writes are not added to the stream (BERT, Gemma 2), where queries or keys are normed (Qwen 3), and where scores
    cannot be had, see `qk`; `PositionError` for a key that the query may not see.
    """
    asked, at = run._head(head), (run.position(query), run.position(key))
    if len(run.ids) < 2:
        raise ModelError(
            "One token has one key to look at, so its pattern proves nothing of its score: give a prompt of two tokens or more."
        )
    stream = Stream(run.model.engine, run._recording, tuple(run._resid), tuple(run._edits))
    found = head_scores(stream, asked.layer, asked.head)
    if found.added[at] == -torch.inf:
        raise PositionError(f"{asked} cannot look from position {at[0]} to position {at[1]}: that key is masked there.")
    layer = projections(stream, short_stream(run.model.engine, list(run.ids[:1])), asked.layer)
    turn = rotations(attention_input(stream, asked.layer), found.law.turn, [abs(at[0] - at[1])])
    behind = None if turn is None else turn[0] if at[0] >= at[1] else turn[0].T
    group = layer.group(asked.head)
    sides = (layer.q[asked.head], layer.q_bias[asked.head]), (layer.k[group], layer.k_bias[group])
    names: list[str] = []
    vectors: list[list[Tensor]] = [[], []]
    for side, position in enumerate(at):
        names, written = _components(run, stream, asked.layer, position, progress)
        vectors[side] = written
        _must_sum(stream, torch.stack(written), asked.layer, position)
    parts = [
        _projected(layer.norm, torch.stack(written), wide(stream.resid[asked.layer][0, position]), *side)
        for written, position, side in zip(vectors, at, sides, strict=True)
    ]
    # Turned, and scaled.
    queries = found.law.scale * (parts[0] if behind is None else parts[0] @ behind.to(parts[0]))
    table = queries @ parts[1].T
    score = found.law.scale * (found.q[at[0]] @ found.k[at[1]]).item()
    off = abs(table.sum().item() - score)
    if off > inner_rounding(run.model.dtype) * (table.abs().sum().item() + abs(score)):
        raise ModelError(
            f"What components give adds up to {table.sum().item():.6g} and not to the score {score:.6g} of {asked} in this model, so it is "
            "not shown where it comes from: ask for qk(run, head)."
        )
    # What a vector in the stream is multiplied by, the other side as it is.
    against = parts[1].sum(0) if behind is None else behind.to(queries) @ parts[1].sum(0), queries.sum(0)
    factors = found.law.scale, 1.0
    directions = []
    for side, position in enumerate(at):
        scale = layer.norm.scale(wide(stream.resid[asked.layer][0, position])).item()
        directions.append(layer.norm.folded(sides[side][0]) @ against[side] * (factors[side] * scale))
    tokens = _by_token(stream, names, vectors, at, directions)
    return AttentionSources(
        head=asked,
        query=at[0],
        key=at[1],
        tokens=tuple(run.tokens),
        components=(*names, "biases"),
        table=table.cpu().numpy(),
        query_tokens=tokens[0],
        key_tokens=tokens[1],
        score=score,
        attention=found.pattern[at].item(),
        cap=found.law.cap,
        conditional=run.ablation.heads,
        processing=run.model.processing,
        dtype=run.model.precision,
    )


def _components(run: Run, stream: Stream, layer: int, position: int, progress: Progress | None) -> tuple[list[str], list[Tensor]]:
    """Names and vectors [d_model] of what was written at one position below `layer`: embedding, biases, then heads and MLP by layer."""
    names, written = ["embedding", "attention biases"], [wide(stream.resid[0][0, position]).cpu()]
    written.append(torch.zeros_like(written[0]))
    for below in range(layer):
        checkpoint()
        if progress is not None:
            progress(below, layer, "Reading what was written below")
        try:
            writes = block_writes(stream, below, position)
        except ModelError as error:
            raise ModelError(
                f"What layer {below} of {run.model.name} writes is not just added to the residual stream (a norm stands in its way, as in "
                "BERT or Gemma 2), so the score is no sum over components: ask for qk(run, head)."
            ) from error
        written[1] = written[1] + writes.bias
        names += [str(Head(below, head)) for head in range(len(writes.heads))]
        written += list(writes.heads)
        if writes.mlp is not None:
            names.append(f"MLP {below}")
            written.append(writes.mlp)
    return names, written


def _must_sum(stream: Stream, written: Tensor, layer: int, position: int) -> None:
    entered = wide(stream.resid[layer][0, position]).cpu()
    bound = stream.slack * (written.abs().sum(0) + entered.abs())
    if not bool(((written.sum(0) - entered).abs() <= bound).all()):
        raise ModelError(f"What was written below layer {layer} does not add up to the stream that enters it: ask for qk(run, head).")


def _projected(norm: Norm, written: Tensor, entered: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """[component, d_head], the biases last: what each component gives of a query or key."""
    content = norm.linear(written).to(weight) * norm.scale(entered).to(weight) @ weight
    return torch.cat([content, (norm.bias.to(weight) @ weight + bias)[None]])


def _by_token(
    stream: Stream, names: list[str], written: list[list[Tensor]], at: tuple[int, int], directions: list[Tensor]
) -> list[np.ndarray]:
    """[component, source token] for the query and the key: what each head below brought there from each token, read in a direction."""
    tables = [np.full((len(names) + 1, stream.length), np.nan) for _ in at]
    first = {}  # by layer, the row of its first head
    for row, name in enumerate(names):
        if name.startswith("L"):
            first.setdefault(int(name[1 : name.index("H")]), row)
    for below, row in first.items():
        checkpoint()
        out = out_matrix(stream, below)
        passed = stream.engine.resume(
            stream.recording,
            [edit for edit in stream.edits if edit.layer <= below],
            start=below,
            stop=below + 1,
            resid=stream.resid[below],
            capture=[(site, below) for site in ("pattern", "v", "z")],
        )
        patterns, grouped, zs = (wide(passed.captured[site, below][0]) for site in ("pattern", "v", "z"))
        values = grouped.repeat_interleave(len(patterns) // grouped.shape[1], 1).transpose(0, 1)  # [head, key, d_head]
        for table, vectors, position, direction in zip(tables, written, at, directions, strict=True):
            pattern, z = patterns[:, position], zs[position]
            said, wrote = torch.einsum("hi,hid->hd", z, out).cpu(), torch.stack(vectors[row : row + len(z)])
            # A constant that the model multiplies all its heads' outputs by (Granite): 1 nearly always.
            square = (said * said).sum()
            factor = ((wrote * said).sum() / square).item() if square > 0 else 1.0
            read = torch.einsum("hki,hi->hk", values, torch.einsum("hid,d->hi", out, direction.to(out))) * pattern * factor
            made, size = (torch.einsum("hk,hki->hi", pattern, some) for some in (values, values.abs()))
            known = ((made - z).abs() <= stream.slack * size + torch.finfo(stream.resid[0].dtype).tiny).all(-1)
            table[row : row + len(read)] = torch.where(known[:, None], read, torch.nan).cpu().numpy()
    return tables
