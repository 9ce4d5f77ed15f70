"""How a layer turns queries and keys by position, measured."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import ModelError
from .attention_input import AttentionInput
from .score_law import Turn
from .writes import rounding, wide


def rotations(given: AttentionInput, turn: Turn | None, most: int) -> Tensor | None:
    """`R` [distance, d_head, d_head] in float64, for distances 0 to `most`: the score of a query `q` that stands Δ behind a key `k`, both
    as they are at position 0, is `scale · (q R_Δ) · k`. None where positions do not turn queries and keys.

    Random inputs, the same at every position, are put through the layer: `R` is what turns the queries and keys of position 0 into those of
    others, the rotation nearest to the least-squares one. `given` has at least `most + 2` positions. `ModelError` where it is no rotation,
    not the same for queries and keys or for all heads, or does not depend on the distance alone.
    """
    width, length = given.given.shape[-1], most + 2
    generator = torch.Generator().manual_seed(0)
    d_head = given.stream.engine.anatomy.d_head
    inputs = torch.randn(8 + 2 * d_head // 2, width, generator=generator).to(given.given) * given.given.std()
    states = given.states(inputs[:, None].expand(-1, given.given.shape[0], -1), ("q", "k"))
    rows = torch.cat([wide(states[site][:, :length]).transpose(1, 2).flatten(0, 1) for site in ("q", "k")])  # [sample, position, d_head]
    if turn is not None:
        rows = turn(torch.nn.functional.pad(rows, (0, 0, 0, len(turn.cos) - length)))[:, :length]
    slack = 20 * rounding(given.given.dtype) * rows.abs().amax()
    if bool(((rows - rows[:, :1]).abs() <= slack).all()):
        return None
    left, _, right = torch.linalg.svd(torch.einsum("sd,spe->pde", rows[:, 0], rows))
    found = left @ right  # the rotation nearest to what takes position 0 to each other: orthogonal Procrustes
    moved = torch.einsum("sd,pde->spe", rows[:, 0], found)
    further = found[1].T @ found[2:] if length > 2 else found[1:1]
    same = bool(((further - found[1 : length - 1]).abs() <= 1e-3).all())
    if not bool(((moved - rows).abs() <= slack).all()) or not same:
        raise ModelError(
            f"Positions do more to queries and keys of layer {given.layer} than turn them by their distance, so the circuit cannot be read "
            "from weights alone: ask about a run with qk(run, head)."
        )
    return found[: most + 1]
