"""Many variants of one recording in one pass: each row joins the batch at its own lowest layer.

All of them share the layers below with the recording, so a sweep over every head runs half of the blocks that as many forwards
would; the last block and the tail are worked out at the positions that are asked for, no others. How many rows go together follows
from a budget of bytes and, on a CPU, of tokens.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import pairwise

import torch
from torch import Tensor

from .engine import Call, Edit, Engine, Recording
from .interrupt import checkpoint
from .memory import CPU_TOKENS, free_bytes, if_it_fits, read_bytes, require_row, rows_together
from .narrow import after_z, narrow_call, z_of


@dataclass(frozen=True)
class Entering:
    """A variant that is a residual stream of its own, from one layer up."""

    layer: int
    """The block it enters; the number of layers for what the last block returned."""
    resid: Tensor
    """[1, position, d_model]"""


Variant = Sequence[Edit] | Entering


def wavefront(
    engine: Engine,
    recording: Recording,
    variants: Iterable[Variant],
    positions: Sequence[int] | None = None,
    *,
    base: Sequence[Edit] = (),
    resid: Sequence[Tensor] | None = None,
    max_rows: int | None = None,
    max_bytes: int | None = None,
) -> Iterator[tuple[list[int], Tensor]]:
    """The logits of each variant, a chunk at a time: (indices into `variants`, [row, position, vocabulary] at `positions`), or
    (indices, [row, class]) for a classifier.

    A variant is one row: edits in any layers, whose functions get that row alone, [1, ...], or a stream that enters a layer. Variants are
    taken from the iterable as they are needed, so they may be made one by one; those of like depth should follow each other, since a batch
    is as wide as what has joined it.

    Args:
        base: edits that every row shares, below its own; `resid` is then the residual stream of a run with `base` alone, as long as
            the recording's.
        max_rows: at most as many rows a chunk; fewer where `max_bytes`, the model or, on a CPU, `CPU_TOKENS` ask for fewer.
        max_bytes: by default what `free_bytes` says. What does not fit all the same is halved.
    """
    front = _Front(engine, recording, positions, base, recording.resid if resid is None else resid)
    limits = _limits(engine, recording, positions, max_rows, max_bytes)
    source, waiting = enumerate(variants), deque[_Row]()
    while chunk := _take(source, waiting, limits, engine.anatomy.n_layers):
        found = if_it_fits(partial(front.logits, chunk, limits.together), smallest=len(chunk) == 1)
        if found is None:
            waiting.extendleft(reversed(chunk))
            limits = _Limits(math.ceil(len(chunk) / 2), limits.blocks, math.ceil(min(len(chunk), limits.together) / 2))
        else:
            yield found
            del found  # the logits of a chunk are not kept while the next is computed


@dataclass(frozen=True)
class _Row:
    start: int
    """The lowest layer that is edited, or the one that is entered; the number of layers for a row without edits."""
    index: int
    edits: Sequence[Edit]
    resid: Tensor | None
    """What enters that layer, where it is not the stream that all rows share."""


@dataclass(frozen=True)
class _Limits:
    rows: int
    """Of a chunk, whose logits are read together."""
    blocks: float
    """Of a chunk, over its rows."""
    together: int
    """Rows of one pass."""


def _take(source: Iterator[tuple[int, Variant]], waiting: deque[_Row], limits: _Limits, n_layers: int) -> list[_Row]:
    """The next chunk: first what was given back, then what comes from the source."""
    chunk, blocks = [], 0
    while len(chunk) < limits.rows and blocks < limits.blocks:
        if not waiting:
            index, variant = next(source, (None, None))
            if index is None:
                break
            waiting.append(_row(index, variant, n_layers))
        chunk.append(waiting.popleft())
        blocks += n_layers - chunk[-1].start
    return chunk


def _row(index: int, variant: Variant, n_layers: int) -> _Row:
    if isinstance(variant, Entering):
        return _Row(variant.layer, index, (), variant.resid)
    return _Row(min((edit.layer for edit in variant), default=n_layers), index, variant, None)


@dataclass
class _Front:
    """What all chunks of a wavefront share."""

    engine: Engine
    recording: Recording
    positions: Sequence[int] | None
    base: Sequence[Edit]
    resid: Sequence[Tensor]

    @cached_property
    def narrow(self) -> Call | None:
        """How the last block is called for `positions` alone, where it can be."""
        return narrow_call(self.engine, self.recording, self.positions)

    def logits(self, chunk: Sequence[_Row], together: int) -> tuple[list[int], Tensor]:
        """One chunk, in as many passes of at most `together` rows as it takes."""
        engine, recording = self.engine, self.recording
        if not engine.resumes:
            # Full forwards, in which every edit takes part.
            (row,) = chunk
            final, start = row.resid, 0 if row.resid is None else row.start
            if final is None or start < engine.anatomy.n_layers:
                final = engine.resume(recording, [*self.base, *row.edits], start=start, resid=final, keep="last").resid[-1]
            return [row.index], engine.logits(recording, final, self.positions)
        rows = sorted(chunk, key=lambda row: (row.start, row.index))
        passes = math.ceil(len(rows) / together)
        cuts = [len(rows) * i // passes for i in range(passes + 1)]
        final = torch.cat([self._climb(rows[a:b]) for a, b in pairwise(cuts)])
        # After a narrow block the positions asked for are all there are.
        positions = self.positions if self.narrow is None else range(len(self.positions))
        return [row.index for row in rows], engine.logits(recording, final, positions)

    def _climb(self, rows: Sequence[_Row]) -> Tensor:
        """What the last block returns, [row, position, d_model], at `positions` if it is narrow; each row joins at its own layer, and
        those ascend."""
        engine, recording, resid = self.engine, self.recording, self.resid
        engine._same_weights(recording)
        narrow, at = self.narrow, list(self.positions or ())
        last = engine.anatomy.n_layers - 1
        stream, z, calls = None, None, recording.calls
        # One pass for all layers: on a bridge, entering one costs as much as a block.
        with engine._pass(tokens=recording.ids.shape[1]):
            with ExitStack() as hooks:
                engine._edit(hooks, [*self.base, *_by_layer([row.edits for row in rows])])
                for layer in range(rows[0].start, last + 1):
                    checkpoint()
                    if new := [row for row in rows if row.start == layer]:
                        stream = _joined(stream, resid[layer], new)
                        if not engine.broadcasts and len(stream) > 1:
                            calls = engine._calls_for(recording, len(stream))
                    if narrow is not None and layer == last:
                        z = z_of(engine, layer, stream, calls[layer])
                    else:
                        stream = engine._block(layer, stream, calls[layer])
            if z is not None:
                if not engine.broadcasts and len(stream) > 1:
                    narrow = engine._calls_for(recording, len(stream), len(at))[last]
                stream = after_z(engine, last, stream[:, at], z[:, at], narrow)
            if new := [row for row in rows if row.start > last]:
                stream = _joined(stream, resid[-1], new, slice(None) if narrow is None else at)
        return stream


def _joined(stream: Tensor | None, shared: Tensor, new: Sequence[_Row], at: slice | list[int] = slice(None)) -> Tensor:
    """`stream` with the rows that join it, at some positions."""
    if all(row.resid is None for row in new):
        entering = shared[:, at].expand(len(new), -1, -1)
    else:
        entering = torch.cat([(shared if row.resid is None else row.resid.to(shared))[:, at] for row in new])
    return entering if stream is None else torch.cat([stream, entering])


def _by_layer(variants: Sequence[Sequence[Edit]]) -> list[Edit]:
    """The edits of all rows as edits of the whole batch: one for each layer and site, and each row's in its own order."""
    functions: dict[tuple[int, int, str], dict[int, Callable]] = {}
    for row, variant in enumerate(variants):
        taken: dict[int, int] = {}
        for edit in variant:
            nth = taken[edit.layer] = taken.get(edit.layer, -1) + 1
            functions.setdefault((edit.layer, nth, edit.site), {})[row] = edit.function
    return [Edit(layer, site, _each(of)) for (layer, _, site), of in sorted(functions.items(), key=lambda item: item[0])]


def _each(functions: dict[int, Callable[[Tensor], Tensor]]) -> Callable[[Tensor], Tensor]:
    """Applies to each row what is its own, and copies the others as they lie."""
    ordered = sorted(functions.items())

    def function(value: Tensor) -> Tensor:
        pieces, done = [], 0
        for row, own in ordered:
            if row > done:
                pieces.append(value[done:row])
            pieces.append(own(value[row : row + 1]))
            done = row + 1
        if done < len(value):
            pieces.append(value[done:])
        return torch.cat(pieces)

    return function


# -- how many rows ----------------------------------------------------------------------------------------------------


def _limits(engine: Engine, recording: Recording, positions: Sequence[int] | None, max_rows: int | None, max_bytes: int | None) -> _Limits:
    require_row(engine, recording.ids.shape[1])
    if not engine.resumes:  # whether a full forward takes several prompts was never found out
        return _Limits(1, math.inf, 1)
    anatomy, tokens = engine.anatomy, recording.ids.shape[1]
    bytes_ = max_bytes or free_bytes(engine)
    rows, blocks = [int(bytes_ / 2 / read_bytes(engine, recording, positions))], math.inf
    for limit in (engine.max_rows, max_rows):
        rows += [] if limit is None else [limit]
    if anatomy.device.type == "cpu":
        # Not fewer: reading the unembedding takes as long for one row as for many.
        blocks = CPU_TOKENS * anatomy.n_layers / tokens
    return _Limits(max(1, min(rows)), blocks, rows_together(engine, recording, bytes_))
