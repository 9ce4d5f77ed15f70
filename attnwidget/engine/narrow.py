"""The last block, at a few positions only.

Behind a block's attention each position goes its own way: what the block returns at some positions follows from the residual stream
and from `z` at these positions. So the last block is run up to `z` for all positions, and the rest of it (out-projection, MLP) for the
positions that were asked for. No model's code is known here: the block is left when its `z` is there, and called again on the few
positions as if they were the whole prompt, with `z` put in. Whatever positions and mask it is then told go into a pattern that is not
used. That this is so is proved on a clean run, which knows what its last block returned.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from ..errors import OutOfMemoryError
from .engine import Call, Engine, Reached, Recording
from .interrupt import Cancelled

_proved: WeakKeyDictionary[Engine, tuple[int, dict[int, Call | None]]] = WeakKeyDictionary()


def narrow_call(engine: Engine, recording: Recording, positions: Sequence[int] | None) -> Call | None:
    """How the last block is to be called for `positions` alone; None where that is not the same, or saves little.

    Found out once for each number of positions and each state of the weights.
    """
    if positions is None or not engine.tail_by_position or 2 * len(positions) > recording.ids.shape[1]:
        return None
    mark, calls = _proved.get(engine, (None, {}))
    if mark != recording.weights:
        calls = {}
        _proved[engine] = recording.weights, calls
    if len(positions) not in calls:
        calls[len(positions)] = _proof(engine, recording, len(positions))
    return calls[len(positions)]


def _proof(engine: Engine, recording: Recording, few: int) -> Call | None:
    """At the last positions, and at as many before them: at the first, to be called as if it were the first would prove little."""
    last, stream, tokens = engine.anatomy.n_layers - 1, recording.resid, recording.ids.shape[1]
    try:
        with engine._pass():
            call = engine._calls_for(recording, 1, few)[last]
            z = z_of(engine, last, stream[last], recording.calls[last])
            for at in (slice(tokens - few, tokens), slice(tokens - 2 * few, tokens - few)):
                if not _same(after_z(engine, last, stream[last][:, at], z[:, at], call), stream[-1][:, at], stream[last][:, at]):
                    return None
    except (Cancelled, OutOfMemoryError):
        raise
    except Exception:  # whatever a model says to a prompt of another length
        return None
    return call


def _same(narrow: Tensor, whole: Tensor, before: Tensor) -> bool:
    """Equal up to rounding at each position: the same sums, in products of another size. Judged by what the block adds: beside the few
    very large numbers that a residual stream may carry, a wrong one would not show."""
    if narrow.shape != whole.shape:
        return False
    eps = torch.finfo(whole.dtype).eps
    # In half precision sums are rounded once, at their end, and come out the same but for a few.
    slack = eps * (64 if eps < 1e-6 else 1)
    off, added = ((a.float() - b.float()).norm(dim=-1) for a, b in ((narrow, whole), (whole, before)))
    return bool((off <= slack * added).all())


def z_of(engine: Engine, layer: int, stream: Tensor, call: Call) -> Tensor:
    """`z` of a block, as the hooks that are attached leave it. The block goes no further."""
    seen: list[Tensor] = []

    def reached(z: Tensor) -> None:
        seen.append(z)
        raise Reached

    with ExitStack() as hooks, suppress(Reached):
        engine._attach(hooks, "z", layer, reached)
        engine._block(layer, stream, call)
    return seen[0]


def after_z(engine: Engine, layer: int, stream: Tensor, z: Tensor, call: Call) -> Tensor:
    """What a block returns for the residual stream and `z` at a few positions, [row, position, ...] both. To be called with no
    edits attached: they are in `z`."""
    with ExitStack() as hooks:
        engine._attach(hooks, "z", layer, lambda _: z)
        return engine._block(layer, stream, call)
