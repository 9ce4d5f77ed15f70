"""One text that grows by a token at a time, with edits on `z`: steps on a key-value cache, or whole passes where there is none.

Each step is a pass of its own, under the model's lock with hooks that are gone after it, so that others may use the model between two
tokens; the cache is an object of the text's own. Keys and values that are in a cache were computed under the edits of their own step. So
an edit must be local to its position: what it writes there may not depend on the tokens that come later.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack

import torch
from torch import Tensor

from ..errors import ModelError, OutOfMemoryError
from .anatomy import here
from .engine import Edit, Engine, _removing
from .interrupt import checkpoint
from .selftest import slack

N_TOKENS = 8  # of the proof: more than the sliding windows of the models in the tests, short enough not to be noticed
_STEPS = 3

EditsFrom = Callable[[int], Sequence[Edit]]
"""The edits of a pass over the positions from `start` on; `start` is 0 in whole passes and in the first one on a cache."""


class Decoder:
    """Predictions for one growing text. `cached` keeps keys and values between steps; else each step is a forward of the whole text."""

    def __init__(self, engine: Engine, edits_from: EditsFrom, cached: bool):
        self.engine, self.edits_from, self.cached = engine, edits_from, cached
        self._weights = engine.weights()
        self._cache: object | None = None
        self._seen: list[int] = []

    def logits(self, ids: Sequence[int]) -> Tensor:
        """What is predicted after `ids`, [vocabulary]. Fast where they are those of the last call and some more."""
        ids = list(ids)
        if self.engine.weights() != self._weights:
            raise ModelError("The model's weights have changed while it was generating: run the prompt again with model.run(...).")
        go_on = self.cached and 0 < len(self._seen) < len(ids) and ids[: len(self._seen)] == self._seen
        cache, start = (self._cache, len(self._seen)) if go_on else (None, 0)
        # A step that is stopped half-way has written to some layers of the cache and not to others.
        self._cache, self._seen = None, []
        logits, cache = self._pass(ids[start:], start, cache)
        if self.cached:
            self._cache, self._seen = cache, ids
        return logits

    def _pass(self, ids: list[int], start: int, cache: object | None) -> tuple[Tensor, object | None]:
        engine, anatomy = self.engine, self.engine.anatomy
        with engine._pass(tokens=start + len(ids)), ExitStack() as hooks:
            checkpoint()
            if len(ids) > 1:  # a single token is soon done
                for block in anatomy.blocks:
                    hooks.enter_context(_removing(block.register_forward_pre_hook(here(_between_blocks))))
            engine._edit(hooks, self.edits_from(start))
            batch = torch.tensor([ids], device=anatomy.device)
            if self.cached:
                return anatomy.step(batch, cache)
            return anatomy.forward(batch)[0, -1], None


def cache_proved(engine: Engine, ids: Sequence[int]) -> bool:
    """Whether steps on a cache give what a whole pass gives, with a head ablated in both. Tried on the beginning of `ids`, once, and again
    when the weights have changed."""
    weights = engine.weights()
    if engine.cache_proof is None or engine.cache_proof[0] != weights:
        engine.cache_proof = (weights, engine.anatomy.step is not None and _prove(engine, ids))
    return engine.cache_proof[1]


def _prove(engine: Engine, ids: Sequence[int]) -> bool:
    anatomy = engine.anatomy
    # Filled up with tokens that differ: among equal ones attention makes no difference, and so no error either.
    ids = [*ids[: N_TOKENS - _STEPS], *range(N_TOKENS)][: min(N_TOKENS, anatomy.n_ctx or N_TOKENS)]
    edit = Edit(anatomy.n_layers // 2, "z", _without(anatomy.n_heads // 2))
    whole, stepwise = (Decoder(engine, lambda _start: [edit], cached) for cached in (False, True))
    try:
        expected = whole.logits(ids)
        for end in range(len(ids) - _STEPS, len(ids) + 1):
            found = stepwise.logits(ids[:end])
    except OutOfMemoryError:  # says nothing of the cache
        raise
    except (RuntimeError, TypeError, ValueError, IndexError, AttributeError, KeyError):  # whatever a model does that takes no cache
        return False
    largest = max(1.0, expected.abs().max().item())
    return stepwise._cache is not None and (found - expected).abs().max().item() <= slack(expected.dtype) * largest


def _without(head: int) -> Callable[[Tensor], Tensor]:
    def function(z: Tensor) -> Tensor:
        z = z.clone()
        z[:, :, head] = 0
        return z

    return function


def _between_blocks(*_: object) -> None:
    checkpoint()
