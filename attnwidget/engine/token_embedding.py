"""What a token puts into the stream at its start, apart from where it stands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..errors import ModelError
from .anatomy import here
from .engine import Engine, Reached
from .writes import rounding, wide


@dataclass(frozen=True)
class TokenEmbedding:
    """`of(ids)` is what tokens put into the stream, [token, d_model] in float64; `learned_positions` says whether positions do, too."""

    of: Callable[[Sequence[int]], Tensor]
    learned_positions: bool


def token_embedding(engine: Engine, ids: Sequence[int]) -> TokenEmbedding:
    """The embedding of `engine`'s model, found with a few `ids`. `ModelError` where what enters the first block is not a token's vector (or
    a constant times it) and a position's.

    Some module that is given token ids gives the vectors; or, where there are no positions in the stream, all that stands before the first
    block does (Bloom norms its embeddings there).
    """
    ids = list(ids)
    first, second = ids, [*ids[1:], ids[0]]
    entered, given = _entered(engine, torch.tensor([first]))
    entered_too, given_too = _entered(engine, torch.tensor([second]))
    moved, slack = entered[0] - entered_too[0], rounding(engine.anatomy.dtype)
    size = (entered.abs() + entered_too.abs()).amax()
    for module, vectors in given.items():
        if module not in given_too or vectors.shape != entered.shape:
            continue
        if not torch.equal(given_too[module][0], vectors[0].roll(-1, 0)):  # it is about positions, too
            continue
        change = vectors[0] - given_too[module][0]
        square = change.square().sum()
        factor = ((moved * change).sum() / square).item() if square > 0 else 0.0
        factor = 1.0 if abs(factor - 1) < 1e-5 else factor
        if factor and bool(((moved - factor * change).abs() <= slack * size).all()):
            rest = entered[0] - factor * vectors[0]
            return TokenEmbedding(_by(engine, module, factor), bool((rest.abs() > slack * size).any()))
    same = torch.tensor([[ids[0], ids[0]]])
    twice, _ = _entered(engine, same)
    if bool(((twice[0, 0] - twice[0, 1]).abs() <= slack * size).all()):
        return TokenEmbedding(lambda some: _entered(engine, torch.tensor(list(some))[:, None])[0][:, 0], False)
    raise ModelError(
        "What enters the first block of this model is not the sum of a token's vector and a position's (a norm stands behind it, as in "
        "BERT), so its circuits cannot be read from weights alone: ask about a run."
    )


def _by(engine: Engine, module: nn.Module, factor: float) -> Callable[[Sequence[int]], Tensor]:
    def of(ids: Sequence[int]) -> Tensor:
        with engine._pass():
            vectors = module(torch.tensor([list(ids)], device=engine.anatomy.device))
        return factor * wide(vectors[0])

    return of


def _entered(engine: Engine, ids: Tensor) -> tuple[Tensor, dict[nn.Module, Tensor]]:
    """What enters the first block [row, position, d_model], and what each module outside the blocks returned that was given `ids`."""
    anatomy = engine.anatomy
    ids = ids.to(anatomy.device)
    inside = {part for block in anatomy.blocks for part in block.modules()}
    wholes = [anatomy.model, getattr(anatomy.model, "original_model", None)]
    outside = {part for whole in wholes if isinstance(whole, nn.Module) for part in whole.modules()} - inside - set(wholes)
    given: dict[nn.Module, Tensor] = {}
    entered: list[Tensor] = []

    def after(module: nn.Module, args: tuple, kwargs: dict, output: object) -> None:
        values = [*args, *kwargs.values()]
        asked = values and isinstance(values[0], Tensor) and values[0].shape == ids.shape and torch.equal(values[0], ids)
        if asked and isinstance(output, Tensor) and output.is_floating_point():
            given[module] = wide(output)

    def reached(_block: nn.Module, args: tuple, kwargs: dict) -> None:
        entered.append(wide(args[0] if args else kwargs["hidden_states"]))
        raise Reached

    with engine._pass(), ExitStack() as hooks, suppress(Reached):
        for part in outside:
            hooks.callback(part.register_forward_hook(here(after), with_kwargs=True).remove)
        hooks.callback(anatomy.blocks[0].register_forward_pre_hook(here(reached), with_kwargs=True).remove)
        anatomy.forward(ids)
    return entered[0], given
