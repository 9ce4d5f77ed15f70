"""Many variants of one recording in one pass: each row joins the batch at its own lowest layer.

All of them share the layers below with the recording, so a sweep over every head runs half of the blocks that as many forwards
would; the last block and the tail are worked out at the positions that are asked for, no others. How many rows go together follows
from a budget of bytes and, on a CPU, of tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import torch
from torch import Tensor

from .engine import Call, Edit, Engine, Recording
from .interrupt import checkpoint
from .narrow import after_z, narrow_call, z_of

Variant = Sequence[Edit]

CPU_BYTES = 2**30
GPU_SHARE = 0.5  # of the memory that is free
# Products gain nothing from more tokens than this, while what lies between them no longer fits the caches; and whoever waits for
# progress, or to cancel, waits for a chunk.
CPU_TOKENS = 1024


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

    A variant is one row: edits in any layers, whose functions get that row alone, [1, ...]. Variants are taken from the iterable as
    they are needed, so they may be made one by one; those of like depth should follow each other, since a chunk is as wide as what has
    joined it.

    Args:
        base: edits that every row shares, below its own; `resid` is then the residual stream of a run with `base` alone, as long as
            the recording's.
        max_rows: at most as many rows a chunk; fewer where `max_bytes`, the model or, on a CPU, `CPU_TOKENS` ask for fewer.
        max_bytes: by default `CPU_BYTES`, or `GPU_SHARE` of what is free on a GPU. What does not fit all the same is halved.
    """
    front = _Front(engine, recording, positions, base, recording.resid if resid is None else resid)
    rows = _rows(engine, recording, positions, max_rows, max_bytes)
    source, waiting = enumerate(variants), []
    while True:
        waiting += islice(source, max(0, rows - len(waiting)))
        if not waiting:
            return
        chunk, found = waiting[:rows], None
        try:
            found = front.logits(chunk)
        except (RuntimeError, MemoryError) as error:
            if len(chunk) == 1 or not _out_of_memory(error):
                raise
        # Outside the handler: until it ends, the exception's frames hold the tensors that did not fit.
        if found is None:
            rows = math.ceil(len(chunk) / 2)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            continue
        waiting = waiting[len(chunk) :]
        yield found


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

    def logits(self, chunk: Sequence[tuple[int, Variant]]) -> tuple[list[int], Tensor]:
        """One pass."""
        engine, recording = self.engine, self.recording
        if not engine.resumes:
            # Full forwards, in which every edit takes part.
            ((index, variant),) = chunk
            final = engine.resume(recording, [*self.base, *variant], start=0, keep="last").resid[-1]
            return [index], engine.logits(recording, final, self.positions)
        n_layers = engine.anatomy.n_layers
        joined = sorted((min((edit.layer for edit in variant), default=n_layers), index, variant) for index, variant in chunk)
        final = self._climb([at for at, _, _ in joined], [variant for _, _, variant in joined])
        # After a narrow block the positions asked for are all there are.
        positions = self.positions if self.narrow is None else range(len(self.positions))
        return [index for _, index, _ in joined], engine.logits(recording, final, positions)

    def _climb(self, joins: Sequence[int], variants: Sequence[Variant]) -> Tensor:
        """What the last block returns, [row, position, d_model]; row i joins at layer `joins[i]`, which ascend."""
        engine, recording, resid = self.engine, self.recording, self.resid
        engine._same_weights(recording)
        narrow, at = self.narrow, list(self.positions or ())
        last = engine.anatomy.n_layers - 1
        stream, z, calls = None, None, recording.calls
        # One pass for all layers: on a bridge, entering one costs as much as a block.
        with engine._pass():
            with ExitStack() as hooks:
                engine._edit(hooks, [*self.base, *_by_layer(variants)])
                for layer in range(joins[0], last + 1):
                    checkpoint()
                    if new := joins.count(layer):
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
            if new := joins.count(last + 1):
                stream = _joined(stream, resid[-1] if narrow is None else resid[-1][:, at], new)
        return stream


def _joined(stream: Tensor | None, clean: Tensor, rows: int) -> Tensor:
    new = clean.expand(rows, -1, -1)
    return new if stream is None else torch.cat([stream, new])


def _by_layer(variants: Sequence[Variant]) -> list[Edit]:
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


def _rows(engine: Engine, recording: Recording, positions: Sequence[int] | None, max_rows: int | None, max_bytes: int | None) -> int:
    if not engine.resumes:  # whether a full forward takes several prompts was never found out
        return 1
    device = engine.anatomy.device
    limits = [limit for limit in (engine.max_rows, max_rows) if limit is not None]
    limits.append(int((max_bytes or _free(device)) / row_bytes(engine, recording, positions)))
    if device.type == "cpu":
        limits.append(CPU_TOKENS // recording.ids.shape[1])
    return max(1, min(limits))


def _free(device: torch.device) -> int:
    if device.type != "cuda":
        return CPU_BYTES
    free, _ = torch.cuda.mem_get_info(device)
    # What PyTorch holds for later is free as well.
    return int(GPU_SHARE * (free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)))


def row_bytes(engine: Engine, recording: Recording, positions: Sequence[int] | None = None) -> int:
    """What one row takes at the widest point of a block, or when its logits are there: an estimate, on the safe side."""
    anatomy, tokens = engine.anatomy, recording.ids.shape[1]
    width, size = recording.resid[0].shape[-1], recording.resid[0].element_size()
    weights = [parameter.shape for block in anatomy.blocks[:1] for parameter in block.parameters()]
    widest = max(max(shape[-2:]) for shape in weights)  # experts are stacked in a dimension before
    block = tokens * (6 * width + 4 * widest) + 4 * anatomy.n_heads * tokens**2
    read = tokens if positions is None or not engine.tail_by_position else len(positions)
    # The longest side of any weight is the vocabulary's; a soft-cap makes copies.
    vocabulary = max(max(parameter.shape, default=1) for parameter in anatomy.model.parameters())
    return size * max(block, 2 * tokens * width + 3 * read * vocabulary)


def _out_of_memory(error: BaseException) -> bool:
    """CUDA's own exception and MemoryError, or a RuntimeError that names memory: what PyTorch's other allocators raise."""
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    return any(said in str(error).lower() for said in ("out of memory", "not enough memory", "allocate memory", "alloc_failed"))
