"""What heads and MLPs write into the residual stream, proved on the run at hand.

A head's output is `z_h W_O^h`. That it enters the residual stream by addition, so that the stream is the sum of what was written
into it, holds for pre-norm blocks, sequential or parallel, and not where a norm follows the sum (BERT) or the heads' output (Gemma 2).
It is not read off the architecture's name: every block is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..errors import ModelError
from .anatomy import here
from .engine import Edit, Engine, Recording
from .memory import out_of_memory
from .offloaded import at_hand

_PLACES = 16  # positions at which a block is asked, besides the one that was asked for
_PROBES = 256  # unit vectors put through a matrix at once


@dataclass(frozen=True)
class Stream:
    """The residual stream of one pass over one prompt: `resid[l]` enters block `l` [1, position, d_model], as `edits` made it."""

    engine: Engine
    recording: Recording
    resid: tuple[Tensor, ...]
    edits: tuple[Edit, ...] = ()

    @property
    def length(self) -> int:
        return self.resid[0].shape[1]

    @property
    def slack(self) -> float:
        """Largest relative difference that rounding in the model can make."""
        return rounding(self.resid[0].dtype)

    def block(self, layer: int, *more: Edit) -> tuple[Tensor, Tensor]:
        """What block `layer` returns [row, position, d_model] and its z, with `more` edits after those of the stream."""
        edits = [edit for edit in self.edits if edit.layer <= layer] + list(more)
        passed = self.engine.resume(self.recording, edits, start=layer, stop=layer + 1, resid=self.resid[layer], capture=[("z", layer)])
        return passed.resid[-1], passed.captured["z", layer]


@dataclass(frozen=True)
class Writes:
    """What one block adds to the stream at one position, in float64, on the CPU: layers may lie on several devices."""

    heads: Tensor
    """[head, d_model]"""
    bias: Tensor
    """[d_model]: the out-projection's; value biases are in the heads."""
    mlp: Tensor | None
    """[d_model], or None for a block without an MLP."""


def head_writes(stream: Stream, layer: int, position: int) -> Tensor:
    """`z_h W_O^h` [head, d_model] at one position, in float64 on the CPU. Summed over heads, with the bias, it was seen to be what the
    out-projection returns; whether it reaches the residual stream as it is, is another question."""
    said: list[Tensor] = []
    with hooked([stream.engine.anatomy.out[layer]], lambda _, output: said.append(output)):
        _, z = stream.block(layer)
    return _Out(stream, layer, wide(z[0, [position]]), wide(said[-1].reshape(stream.length, -1)[[position]])).heads[0].cpu()


def block_writes(stream: Stream, layer: int, position: int) -> Writes:
    """What block `layer` adds to the stream at one position. `ModelError` where heads do not write by addition (see `_apart`)."""
    apart = _apart(stream, layer, position)
    if apart is None:
        raise ModelError(f"{not_added(layer)}, so they have no direct contribution to the answer: ask for 'ablation' or 'attribution'.")
    heads, bias = apart.said.heads[0] * apart.factor, apart.said.bias * apart.factor
    rest = apart.after[0] - apart.before[0] - heads.sum(0) - bias
    return Writes(heads.cpu(), bias.cpu(), None if apart.mlp is None else rest.cpu())


@dataclass(frozen=True)
class Addends:
    """How a block writes into the stream: what leaves it is what entered, plus `Σ_h z_h weight[h] + bias`, plus the MLP's output."""

    weight: Tensor
    """[head, d_head, d_model], the out-projection's times what the block multiplies it by; in float64."""
    bias: Tensor
    """[d_model]"""
    mlp: nn.Module | None
    """The module whose output, times `factor`, is added; None for a block that has none."""
    factor: float


def block_addends(stream: Stream, layer: int) -> Addends | None:
    """How block `layer` writes into the stream; None where heads do not write by addition (see `_apart`)."""
    apart = _apart(stream, layer, stream.length - 1)
    if apart is None:
        return None
    return Addends(apart.said.weight * apart.factor, apart.said.bias * apart.factor, apart.mlp, apart.mlp_factor)


@dataclass(frozen=True)
class _Apart:
    """A block taken apart at some places; `before` and `after` are the stream there, [place, d_model]."""

    before: Tensor
    after: Tensor
    said: _Out
    factor: float
    mlp: nn.Module | None
    mlp_factor: float


def _apart(stream: Stream, layer: int, position: int) -> _Apart | None:
    """A block taken apart, at `position` and some more; None where heads do not write by addition.

    Two things are compared. What the block returned less what entered it must be the out-projection's output and one other module's, the
    MLP's, both times a constant that is nearly always 1 (or the heads' alone). And with that module's output frozen and each head's
    z shrunk by a share of its own, the block must return less by just that share of each `z_h W_O^h`.
    """
    block, out = stream.engine.anatomy.blocks[layer], stream.engine.anatomy.out[layer]
    at = _places(stream.length, position)
    parts = [part for part in block.modules() if part is not block]
    seen: dict[nn.Module, list[Tensor]] = {part: [] for part in [*parts, out]}
    shape = stream.length, stream.resid[layer].shape[-1]

    def keep(part: nn.Module, output: Tensor) -> None:
        if output.numel() == shape[0] * shape[1]:
            # At once: a parallel block may add the attention's output to this very tensor.
            seen[part].append(wide(output.reshape(shape)[at]))

    with hooked(list(seen), keep):
        returned, z = stream.block(layer)
    before, after = wide(stream.resid[layer][0, at]), wide(returned[0, at])
    if len(seen[out]) != 1:
        return None
    said = _Out(stream, layer, wide(z[0, at]), seen[out][0])
    once = {part: outputs[0] for part, outputs in seen.items() if len(outputs) == 1}
    found = _addends(before, after, said.total, once, stream.slack)
    if found is None:
        return None
    mlp, factor, mlp_factor = found
    if not _moves(stream, layer, mlp, at, before, said.heads * factor):
        return None
    return _Apart(before, after, said, factor, mlp, mlp_factor)


def _addends(
    before: Tensor, after: Tensor, attention: Tensor, others: dict[nn.Module, Tensor], slack: float
) -> tuple[nn.Module | None, float, float] | None:
    """The module whose output, with the heads', makes up `after - before` [place, d_model], and what the heads' and its are multiplied by.

    None for the module where the heads' output is all there is. Factors of 1 are tried first, then whatever fits (Granite multiplies
    both by one constant). Of several that fit the closest is taken, and of those the outermost.
    """
    size = before.abs() + after.abs() + attention.abs().amax(-1, keepdim=True)
    candidates = [(None, torch.zeros_like(attention)), *others.items()]
    for factors in (_of_one, _fitted):
        best: tuple[float, nn.Module | None, float, float] | None = None
        for part, output in candidates:
            first, second = factors(after - before, attention, output)
            bound = slack * (size + output.abs()) + torch.finfo(size.dtype).tiny
            off = (after - before - first * attention - second * output).abs() / bound
            if bool((off <= 1).all()) and (best is None or off.mean().item() < best[0]):
                best = off.mean().item(), part, first, second
        if best is not None:
            return best[1:]
    return None


def _of_one(_total: Tensor, _attention: Tensor, _output: Tensor) -> tuple[float, float]:
    return 1.0, 1.0


def _fitted(total: Tensor, attention: Tensor, output: Tensor) -> tuple[float, float]:
    """Least squares; the smallest solution where one of the two is zero."""
    both = torch.stack([attention.flatten(), output.flatten()])
    first, second = (torch.linalg.pinv(both @ both.T, hermitian=True) @ (both @ total.flatten())).tolist()
    return first, second


def not_added(layer: int) -> str:
    """The beginning of a sentence that says why a block cannot be taken apart."""
    return (
        f"What heads write in layer {layer} of this model is not just added to the residual stream and left there (a norm stands in its "
        "way, as in BERT or Gemma 2)"
    )


def _moves(stream: Stream, layer: int, mlp: nn.Module | None, at: list[int], before: Tensor, heads: Tensor) -> bool:
    """Whether shrinking each head's z, with the MLP's output frozen, moves what the block returns by what `heads` [place, head, d_model]
    lose. The block is called as it is, and again with the MLP's output that it had: row by row, since not every model takes two."""
    n_heads = heads.shape[1]
    share = torch.rand(n_heads, generator=torch.Generator().manual_seed(layer)).to(heads.device)

    written: list[Tensor] = []

    def shrink(z: Tensor) -> Tensor:
        return z * (1 - share).to(z)[:, None]

    def freeze(_part: nn.Module, output: Tensor) -> Tensor:
        written.append(output.clone())
        return written[0].clone()  # the block may add to this very tensor

    with hooked([] if mlp is None else [mlp], freeze):
        left, right = (wide(stream.block(layer, *more)[0][0, at]) for more in ((), (Edit(layer, "z", shrink),)))
    lost = torch.einsum("phd,h->pd", heads, share.to(heads))
    # What entered, too: where an MLP takes back what stood in the stream, rounding is that of the larger numbers in between.
    bound = stream.slack * (before.abs() + left.abs() + right.abs() + heads.abs().sum(1).amax(-1, keepdim=True))
    return bool(((left - right - lost).abs() <= bound).all())


class _Out:
    """The out-projection of a layer, split by heads: `weight` [head, d_head, d_model], `heads` = `z_h weight[h]` [place, head, d_model],
    `bias` [d_model], `total` what it returned."""

    def __init__(self, stream: Stream, layer: int, z: Tensor, total: Tensor):
        module, (_, n_heads, d_head) = stream.engine.anatomy.out[layer], z.shape
        self.total = total
        for read in (_read, probed):
            found = read(module, n_heads * d_head, stream)
            if found is None or found[0].shape != (n_heads * d_head, total.shape[-1]):
                continue
            weight, self.bias = found
            self.weight = weight.reshape(n_heads, d_head, -1)
            self.heads = torch.einsum("phi,hid->phd", z, self.weight)
            bound = stream.slack * (self.heads.abs().sum(1).amax(-1, keepdim=True) + self.bias.abs() + total.abs())
            if bool(((self.heads.sum(1) + self.bias - total).abs() <= bound).all()):
                return
        raise ModelError(f"The out-projection of layer {layer} is not a matrix that can be read, so what single heads write is not known.")


def _read(module: nn.Module, width: int, _stream: Stream) -> tuple[Tensor, Tensor] | None:
    """Weight [in, out] and bias [out] of a module that keeps them in a form we know."""
    module = getattr(module, "original_component", None) or module
    with at_hand(module):
        if isinstance(getattr(module, "W_O", None), Tensor):
            weight, bias = module.W_O.reshape(-1, module.W_O.shape[-1]), module.b_O
        elif type(module) is nn.Linear:
            weight, bias = module.weight.T, module.bias
        elif type(module).__name__ == "Conv1D":
            weight, bias = module.weight, module.bias
        else:
            return None
        weight = wide(weight)
        return weight, weight.new_zeros(weight.shape[-1]) if bias is None else wide(bias)


def probed(module: nn.Module, width: int, stream: Stream, columns: Sequence[int] | None = None) -> tuple[Tensor, Tensor] | None:
    """Weight [in, out] and bias [out] of whatever maps [..., in] to [..., out] linearly (quantised weights, weights with adapters),
    by putting unit vectors through it; `columns` are the outputs that are wanted, or all."""
    wanted = slice(None) if columns is None else list(columns)
    units = torch.eye(width, device=stream.resid[0].device, dtype=stream.resid[0].dtype)
    rows: list[Tensor] = []
    with stream.engine._pass():
        try:
            bias = wide(module(torch.zeros_like(units[None, :1]))[0, 0, wanted])
            for some in units.split(_PROBES):
                rows.append(wide(module(some[None])[0][:, wanted]) - bias)
        except (RuntimeError, TypeError, ValueError, IndexError, AttributeError) as error:
            if out_of_memory(error):  # says nothing of the module
                raise
            return None
    return torch.cat(rows), bias


def rounding(dtype: torch.dtype) -> float:
    """Largest relative difference that rounding can make in sums of one block."""
    eps = torch.finfo(dtype).eps
    return eps * (200 if eps < 1e-6 else 2)


def wide(tensor: Tensor) -> Tensor:
    """In float64, which Apple's GPUs do not have."""
    tensor = tensor.detach()
    return (tensor.cpu() if tensor.device.type == "mps" else tensor).double()


def _places(length: int, position: int) -> list[int]:
    step = max(1, length // _PLACES)
    return [position, *(place for place in range(0, length, step) if place != position)]


@contextmanager
def hooked(modules: Sequence[nn.Module], hook: Callable[[nn.Module, Tensor], Tensor | None]) -> Iterator[None]:
    """`hook(module, output)` on each module's output, or on the first of several; what it returns replaces it."""

    def after(module: nn.Module, _args: tuple, output: object) -> object:
        first = output[0] if isinstance(output, tuple) and output else output
        if not isinstance(first, Tensor):
            return None
        new = hook(module, first)
        if not isinstance(new, Tensor):
            return None
        return (new, *output[1:]) if isinstance(output, tuple) else new

    with ExitStack() as hooks:
        for module in modules:
            hooks.callback(module.register_forward_hook(here(after)).remove)
        yield
