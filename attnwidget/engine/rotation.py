"""How a layer turns queries and keys by position, measured."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..errors import ModelError
from .attention_input import AttentionInput
from .norms import inner_rounding
from .score_law import Turn
from .writes import wide


def rotations(given: AttentionInput, turn: Turn | None, distances: Sequence[int]) -> Tensor | None:
    """`R` [distance, d_head, d_head] in float64, for each of `distances` Δ ≥ 0: the score of a query `q` that stands Δ behind a key `k`,
    both as they are at position 0, is `scale · (q R_Δ) · k`. None where positions do not turn queries and keys.

    Random inputs, the same at every position, are put through the layer: `R` is what turns the queries and keys of position 0 into those of
    position Δ, the rotation nearest to the least-squares one. `given` has more positions than the largest distance. `ModelError` where it
    is no rotation, not the same for queries and keys or for all heads, or does not depend on the distance alone.
    """
    width, length, d_head = given.given.shape[-1], len(given.given), given.stream.engine.anatomy.d_head
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(8 + d_head, width, generator=generator).to(given.given) * given.given.std()
    states = given.states(inputs[:, None].expand(-1, length, -1), ("q", "k"))
    # Position 0, those asked for, the last (whether there is any turning), and each one further on.
    asked = [0, *distances, length - 1]
    at = [*asked, *(min(position + 1, length - 1) for position in asked)]
    q, k = (wide(states[site][:, at]).transpose(1, 2) for site in ("q", "k"))  # [sample, head, position, d_head]
    if turn is not None:
        q, k = turn(q, at), turn(k, at)
    rows = torch.cat([q.flatten(0, 1), k.flatten(0, 1)])
    slack = 20 * inner_rounding(given.given.dtype) * rows.abs().amax()
    if bool(((rows - rows[:, :1]).abs() <= slack).all()):
        return None
    left, _, right = torch.linalg.svd(torch.einsum("sd,spe->pde", rows[:, 0], rows))
    found = left @ right  # the rotation nearest to what takes position 0 to each other: orthogonal Procrustes
    moved = torch.einsum("sd,pde->spe", rows[:, 0], found)
    inside = [i for i, position in enumerate(asked) if position + 1 < length]
    if not bool(((moved - rows).abs() <= slack).all()) or not _by_distance(q, k, len(asked), inside, slack):
        raise ModelError(
            f"Positions do more to queries and keys of layer {given.layer} than turn them by their distance, so the circuit cannot be read "
            "from weights alone: ask about a run with qk(run, head)."
        )
    return found[1 : 1 + len(distances)]


def _by_distance(q: Tensor, k: Tensor, n: int, inside: list[int], slack: Tensor) -> bool:
    """Whether the products of queries and keys [sample, head, position, d_head] are the same one position further on; the first `n`
    positions have, in the same order, those further on behind them, as far as they are `inside` the prompt."""
    k = k.repeat_interleave(q.shape[1] // k.shape[1], 1)
    near, further = ((q[:, :, [at + i for i in inside]] * k[:, :, at : at + 1]).sum(-1) for at in (0, n))
    return bool(((near - further).abs() <= slack * q.shape[-1] * (q.abs().amax() + k.abs().amax())).all())
