"""How much memory there is for a batch of rows, what a row takes, what it looks like when that was too much, and what is done then."""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch

from ..errors import OutOfMemoryError

if TYPE_CHECKING:  # the engine says with what is here that a pass did not fit
    from .engine import Engine, Recording

Item = TypeVar("Item")
Result = TypeVar("Result")

CPU_BYTES = 2**30
GPU_SHARE = 0.5  # of the memory that is free
CPU_TOKENS = 1024
"""Tokens through the whole model, after which whoever waits for progress on a CPU should hear of it."""

# Bytes of the widest activation of a pass on a CPU: between its products a block does as much again in small operations, which are quick
# while this stays in the caches. Measured with 1 MB of L2 a core and 32 MB of L3. Fewer tokens than the second make slower products.
CACHED, LEAST_TOKENS = 2**22, 256


def free_bytes(engine: Engine) -> int:
    """What a batch may take: what the person has set; else a share of what is free on a GPU, a fixed sum elsewhere."""
    if engine.batch_budget is not None:
        return engine.batch_budget
    return usual_bytes(engine.anatomy.device)


def usual_bytes(device: torch.device) -> int:
    """What a batch may take where nobody has said otherwise."""
    if device.type != "cuda":
        return CPU_BYTES
    free, _ = torch.cuda.mem_get_info(device)
    # What PyTorch holds for later is free as well.
    return int(GPU_SHARE * (free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)))


def unused_bytes(device: torch.device) -> int | None:
    """All that could be had before there is none left: on a GPU, and on Linux, also in a container (cgroup v2); elsewhere not known."""
    if device.type == "cuda":
        return int(usual_bytes(device) / GPU_SHARE)
    if device.type != "cpu":
        return None
    known = [_number("/proc/meminfo", "MemAvailable:", 1024)]
    most, used = (_number(f"/sys/fs/cgroup/memory.{name}") for name in ("max", "current"))
    if most is not None and used is not None:
        # Files that were read are counted as used, and given up when there is need.
        known.append(most - used + (_number("/sys/fs/cgroup/memory.stat", "inactive_file") or 0))
    return min((some for some in known if some is not None), default=None)


def _number(path: str, name: str = "", unit: int = 1) -> int | None:
    """The number in a file, or in its line that begins with `name`; None where there is none ("max")."""
    try:
        lines = Path(path).read_text().splitlines()
        words = next(line.split() for line in lines if line.startswith(name))
        return int(words[1 if name else 0]) * unit
    except (OSError, StopIteration, ValueError, IndexError):
        return None


def pass_bytes(engine: Engine, recording: Recording) -> int:
    """What one row takes at the widest point of a block; like all of these an estimate, on the safe side."""
    resid, tokens = recording.resid[0], recording.ids.shape[1]
    return resid.element_size() * (tokens * (6 * resid.shape[-1] + 4 * widest(engine)) + 4 * engine.anatomy.n_heads * tokens**2)


def prompt_bytes(engine: Engine, tokens: int) -> int:
    """What one row of a prompt of so many tokens takes, before it was run: the widest point of a block, and the stream that is kept."""
    anatomy, wide = engine.anatomy, widest(engine)  # which is no less than the stream
    return anatomy.dtype.itemsize * (tokens * wide * (10 + anatomy.n_layers) + 4 * anatomy.n_heads * tokens**2)


def rows_together(engine: Engine, recording: Recording, max_bytes: int | None = None) -> int:
    """How many rows of the prompt go through a block at once: half of `max_bytes`, and on a CPU what its caches hold."""
    rows = [int((max_bytes or free_bytes(engine)) / 2 / pass_bytes(engine, recording))]
    if engine.anatomy.device.type == "cpu":
        cached = CACHED // (widest(engine) * recording.resid[0].element_size())
        rows.append(max(cached, LEAST_TOKENS) // recording.ids.shape[1])
    rows += [] if engine.max_rows is None else [engine.max_rows]
    return max(1, min(rows))


def read_bytes(engine: Engine, recording: Recording, positions: Sequence[int] | None = None) -> int:
    """What one row takes when its logits are there."""
    resid, tokens = recording.resid[0], recording.ids.shape[1]
    read = tokens if positions is None or not engine.tail_by_position else len(positions)
    # The longest side of any weight is the vocabulary's; a soft-cap makes copies.
    vocabulary = max(max(parameter.shape, default=1) for parameter in engine.anatomy.model.parameters())
    return resid.element_size() * (2 * tokens * resid.shape[-1] + 3 * read * vocabulary)


def widest(engine: Engine) -> int:
    """The widest activation of a block, by its weights; experts are stacked in a dimension before."""
    return max(max(parameter.shape[-2:]) for parameter in engine.anatomy.blocks[0].parameters())


def out_of_memory(error: BaseException) -> bool:
    """Ours, CUDA's own exception and MemoryError, or a RuntimeError that names memory: what PyTorch's other allocators raise."""
    if isinstance(error, (OutOfMemoryError, MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(
        said in str(error).lower() for said in ("out of memory", "not enough memory", "allocate memory", "alloc_failed")
    )


def if_it_fits(work: Callable[[], Result], *, smallest: bool) -> Result | None:
    """What `work` returns, or None where it does not fit the memory and there is less of it to be tried."""
    try:
        return work()
    except (RuntimeError, MemoryError, OutOfMemoryError) as error:
        if smallest or not out_of_memory(error):
            raise
    # Outside the handler: until it ends, the exception's frames hold the tensors that did not fit.
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    return None


def halving(work: Callable[[Sequence[Item]], Result], items: Sequence[Item], size: int) -> Iterator[Result]:
    """`work` of `size` items at a time, in their order; halved where they do not fit, down to one."""
    while len(items):
        some = items[:size]
        found = if_it_fits(lambda some=some: work(some), smallest=len(some) == 1)
        if found is None:
            size = math.ceil(len(some) / 2)
            continue
        items = items[size:]
        yield found
        del found  # what comes next may need its place


@contextmanager
def fitting(engine: Engine, tokens: int | None = None) -> Iterator[None]:
    """Inside, what the allocators raise becomes one `OutOfMemoryError`, which says what a row takes, and lets go of what did not fit."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        # A notebook keeps the last exception, and with its frames the very tensors that there is no place for.
        traceback.clear_frames(error.__traceback__)
        raise OutOfMemoryError(_too_large(engine, tokens)) from None


def require_row(engine: Engine, tokens: int) -> None:
    """`OutOfMemoryError` where even one row of a prompt takes more than the person allows, or on a CPU more than there is: the system would
    end the process, not the pass."""
    limits = [] if engine.batch_budget is None else [engine.batch_budget]
    if engine.anatomy.device.type == "cpu" and (unused := unused_bytes(engine.anatomy.device)) is not None:
        limits.append(unused)
    if limits and prompt_bytes(engine, tokens) > min(limits):
        raise OutOfMemoryError(_too_large(engine, tokens))


def _too_large(engine: Engine, tokens: int | None) -> str:
    device, budget, unused = engine.anatomy.device, engine.batch_budget, unused_bytes(engine.anatomy.device)
    takes, needed = "the smallest part of this", 0
    if tokens is not None:
        needed = prompt_bytes(engine, tokens)
        takes = f"one row of {tokens:,} tokens takes about {_mb(needed)} and"
    there, way_out = f"on {device}" if unused is None else f"{_mb(unused)} free on {device}", ""
    if budget is not None and budget < needed:
        there, way_out = f"model.batch_budget allows {_mb(budget)}", "raise the budget, "
    return (
        f"Not enough memory: {takes} does not fit ({there}): "
        f"{way_out}shorten the prompt, let go of what other cells hold, or load the model in half precision."
    )


def _mb(n: int) -> str:
    return f"{n / 1e6:,.0f} MB" if n >= 1e6 else f"{n / 1e6:.2g} MB"
