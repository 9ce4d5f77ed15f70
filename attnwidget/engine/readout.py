"""How the end of the residual stream is read: the final norm with its scale frozen, and the unembedding, found by watching the tail run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor, nn

from ..errors import ModelError
from .anatomy import here
from .offloaded import at_hand
from .writes import Stream, probed, wide

_REFUSED = (
    "Between the last block and the logits of this model there is more than a norm and a matrix, "
    "so heads have no direct contribution to the answer: ask for 'ablation' or 'attribution'."
)


@dataclass(frozen=True)
class Readout:
    """The difference of two logits at one position, as a linear function of what the last block returned, in float64, on the CPU."""

    direction: Tensor
    """[d_model]: `w · direction` is what a vector `w` in the stream adds to the difference, the final norm's scale being frozen."""
    constant: float
    """What the biases of the final norm and of the unembedding add."""
    value: float
    """The difference itself, as the model computed it."""
    capped: bool
    """Whether the model bends its logits after that (a soft-cap); `value` is from before."""


@dataclass
class _Call:
    """One module of the tail, and what went in and out of it at one position."""

    module: nn.Module
    given: Tensor | None
    returned: Tensor | None = None


@dataclass(frozen=True)
class _Norm:
    """`y = gain · P x + bias` with the scale of one position in `gain`; `P` takes the mean off where `centred`."""

    gain: Tensor
    bias: Tensor
    centred: bool

    def direction(self, towards: Tensor) -> Tensor:
        """What a vector in the stream must be multiplied by, to give what `towards` gives of the normed one."""
        back = self.gain * towards
        return back - back.mean() if self.centred else back


def readout(stream: Stream, position: int, target: int, against: int) -> Readout:
    """How `logit(target) - logit(against)` at `position` is read. `ModelError` where that is not done by a norm and a matrix.

    Which norm it is (centred or not, multiplied by its weight or by one more than that), and its scale, are found from what it returned.
    """
    calls, logits = _watched(stream, position)
    x, pair = stream.resid[-1][0, position], [target, against]
    for before, unembedding in _ways(calls, x, len(logits)):
        y = wide(x if before is None else before.returned)
        norm = _Norm(torch.ones_like(y), torch.zeros_like(y), False) if before is None else _norm(before.module, wide(x), y, stream.slack)
        rows = None if norm is None else _rows(unembedding, y, pair, stream)
        if rows is None:
            continue
        weight, bias = rows
        raw = wide(unembedding.returned)
        factor, capped = _after(raw, logits, stream.slack)
        towards = factor * (weight[0] - weight[1])
        constant = factor * (bias[0] - bias[1]) + norm.bias @ towards
        return Readout(norm.direction(towards).cpu(), constant.item(), factor * (raw[target] - raw[against]).item(), capped)
    raise ModelError(_REFUSED)


def _watched(stream: Stream, position: int) -> tuple[list[_Call], Tensor]:
    """Every call of a module outside the blocks while the tail runs, in the order they began, and the logits at `position`."""
    engine = stream.engine
    anatomy = engine.anatomy
    inside = {part for block in anatomy.blocks for part in block.modules()}
    # A bridge may run parts of its original model that it does not count as its own.
    wholes = [anatomy.model, getattr(anatomy.model, "original_model", None)]
    outside = {part for whole in wholes if isinstance(whole, nn.Module) for part in whole.modules()} - inside - set(wholes)
    at = 0 if engine.tail_by_position else position
    calls: list[_Call] = []
    under_way: list[_Call] = []

    def row(values: object) -> Tensor | None:
        first = values[0] if isinstance(values, tuple) and values else values
        if not isinstance(first, Tensor) or first.dim() < 2 or not first.is_floating_point():
            return None
        rows = first.detach().reshape(-1, first.shape[-1])
        return rows[at].clone() if at < len(rows) else None

    def begins(module: nn.Module, args: tuple, kwargs: dict) -> None:
        calls.append(_Call(module, row(args or tuple(kwargs.values()))))
        under_way.append(calls[-1])

    def ends(_module: nn.Module, _args: tuple, output: object) -> None:
        under_way.pop().returned = row(output)

    with ExitStack() as hooks:
        for part in outside:
            hooks.callback(part.register_forward_pre_hook(here(begins), with_kwargs=True).remove)
            hooks.callback(part.register_forward_hook(here(ends)).remove)
        logits = engine.logits(stream.recording, stream.resid[-1], [position])
    if logits.dim() != 3:
        raise ModelError("Direct contributions are to the logits of tokens, which this model does not give: ask for 'ablation'.")
    return calls, wide(logits[0, 0])


def _ways(calls: list[_Call], x: Tensor, n_logits: int) -> Iterator[tuple[_Call | None, _Call]]:
    """A module that makes something else of `x` (or none), and one that makes logits of that, the innermost first."""
    norms = [c for c in calls if _same(c.given, x) and c.returned is not None and c.returned.shape == x.shape and not _same(c.returned, x)]
    for norm in [*norms, None]:
        y = x if norm is None else norm.returned
        for call in reversed(calls):
            if _same(call.given, y) and call.returned is not None and len(call.returned) == n_logits:
                yield norm, call


def _same(a: Tensor | None, b: Tensor) -> bool:
    return a is not None and a.shape == b.shape and bool((a.to(b) == b).all())


def _norm(module: nn.Module, x: Tensor, y: Tensor, slack: float) -> _Norm | None:
    """The norm, with its scale of this position frozen, that makes `y` of `x`; None where it is not one."""
    with at_hand(module):
        vectors = [wide(p).flatten().to(x.device) for p in module.parameters() if p.numel() == len(x)]
    gains = [torch.ones_like(x), *vectors, *(1 + vector for vector in vectors)]
    for centred, gain, bias in product((False, True), gains, [torch.zeros_like(x), *vectors]):
        mean = x.mean() if centred else torch.zeros_like(x.mean())
        base = (x - mean) * gain
        scale = (y - bias) @ base / (base @ base)
        bound = slack * (y.abs() + bias.abs() + (scale * gain).abs() * (x.abs() + mean.abs()))
        if bool(((y - bias - scale * base).abs() <= bound).all()):
            return _Norm(scale * gain, bias, centred)
    return None


def _rows(call: _Call, y: Tensor, ids: list[int], stream: Stream) -> tuple[Tensor, Tensor] | None:
    """`W_U` [id, d_model] and bias [id] of some tokens, seen to make of `y` what the unembedding returned; None where they do not."""
    returned = wide(call.returned)[ids].to(y.device)
    for read in (_read, _probed):
        found = read(call.module, len(y), ids, stream)
        if found is None or found[0].shape != (len(ids), len(y)):
            continue
        weight, bias = (part.to(y.device) for part in found)
        bound = stream.slack * (weight.abs() @ y.abs() + bias.abs() + returned.abs())
        if bool(((weight @ y + bias - returned).abs() <= bound).all()):
            return weight, bias
    return None


def _read(module: nn.Module, _width: int, ids: list[int], _stream: Stream) -> tuple[Tensor, Tensor] | None:
    with at_hand(module):
        if type(module) is nn.Linear:
            weight, bias = wide(module.weight[ids]), module.bias
        elif isinstance(getattr(module, "W_U", None), Tensor):
            weight, bias = wide(module.W_U[:, ids]).T, getattr(module, "b_U", None)
        else:
            return None
        return weight, weight.new_zeros(len(ids)) if bias is None else wide(bias[ids])


def _probed(module: nn.Module, width: int, ids: list[int], stream: Stream) -> tuple[Tensor, Tensor] | None:
    found = probed(module, width, stream, ids)
    return None if found is None else (found[0].T, found[1])


def _after(raw: Tensor, logits: Tensor, slack: float) -> tuple[float, bool]:
    """What becomes of the unembedding's output: a constant times it (Cohere, Granite), or something that keeps its order (a soft-cap)."""
    factor = (raw @ logits / (raw @ raw)).item() if raw.any() else 1.0
    if bool(((logits - factor * raw).abs() <= slack * (logits.abs() + (factor * raw).abs())).all()):
        return (1.0 if torch.equal(raw, logits) else factor), False
    steps = logits[raw.argsort()].diff()
    if bool((steps >= -slack * logits.abs().max()).all()):
        return 1.0, True
    raise ModelError(_REFUSED)
