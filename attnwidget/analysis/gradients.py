"""One differentiable pass: the gradient of what is asked of the answer with respect to every head's output, one block at a time.

A run has kept what enters each block. So the way back goes from block to block: a block is computed again, differentiated and
forgotten. That costs one forward and one backward, as keeping everything would, but takes the memory of one block whatever the depth,
and can be stopped between blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from ..engine import Edit
from ..engine.memory import fitting, halving, out_of_memory
from ..errors import ModelError
from ..run import Run
from .measure import Measure

# Of what several numbers that are differentiated together may take in a block.
_BYTES = 2**30
# Of those numbers that go through the unembedding together.
_TAIL_ROWS = 64


@dataclass(frozen=True)
class Gradient:
    """What is known of one layer, as it acts in the run; positions are those of the prompt."""

    layer: int
    z: Tensor
    """The heads' outputs, [position, head, d_head]."""
    slope: Tensor
    """`∂number/∂z`, [number, position, head, d_head]."""
    pattern: Tensor | None = None
    """[head, query, key], where it was asked for."""
    values: Tensor | None = None
    """[position, head, d_head], grouped values repeated; where the pattern was asked for."""

    def pattern_slope(self) -> Tensor:
        """`∂number/∂A[h, q, k] = Σ_d ∂number/∂z[q, h, d] · v[k, h, d]` for the first number, [head, query, key]."""
        return torch.einsum("qhd,khd->hqk", float32(self.slope[0]), float32(self.values))


def gradients(
    run: Run,
    numbers: Callable[[Tensor], Tensor],
    measure: Measure,
    *,
    lowest: int = 0,
    patterns: bool = False,
) -> Iterator[Gradient]:
    """The layers of `run` from the last down to `lowest`, each with the gradients of `numbers(logits)`.

    `numbers` maps logits [1, position, vocabulary] at `measure.positions` (or [1, class]) to [number]. An ablated run is differentiated
    as it is: `∂/∂z` of a head that is off is that of what it puts out instead.
    """
    require_differentiable(run)
    if patterns:
        _require_patterns(run)
    sites = ("pattern", "v") if patterns else ()
    if run.model.engine.resumes:
        yield from _by_block(run, numbers, measure.positions, lowest, sites)
    else:
        yield from _at_once(run, numbers, measure.positions, lowest, sites)


def require_differentiable(run: Run) -> None:
    """`ModelError` where PyTorch would refuse, in words that do not say what to do."""
    if torch.is_inference_mode_enabled():
        raise ModelError("Nothing can be differentiated inside torch.inference_mode(): leave it, or use torch.no_grad().")
    if run._recording.resid[0].is_inference() or run._resid[-1].is_inference():
        raise ModelError("This prompt was run inside torch.inference_mode(), so nothing can be differentiated: run it again outside.")


@contextmanager
def differentiating(run: Run) -> Iterator[None]:
    """Gradients on, whatever the caller's mode, and the model's lock held: a weight must not change between forward and backward."""
    with run.model.lock, torch.enable_grad(), fitting(run.model.engine, len(run.ids)):
        yield


def _require_patterns(run: Run) -> None:
    model = run.model
    if not model.selftest.reads_patterns:
        raise ModelError(f"{model.name} does not show its attention patterns: hand it in as a TransformerBridge.")
    if not model.selftest.proved:
        raise ModelError(
            f"That a head's output is pattern times values was not proved for {model.name}, so no gradient of a pattern can be had: "
            "hand it in as a TransformerBridge, or ask for 'gradient_activation', which needs none."
        )


def _by_block(run: Run, numbers: Callable, positions: Sequence[int], lowest: int, sites: Sequence[str]) -> Iterator[Gradient]:
    back = _tail_slopes(run, numbers, positions)
    for layer in reversed(range(lowest, run.model.n_layers)):
        found, back = _block(run, layer, back, sites, layer > lowest)
        yield found


def _tail_slopes(run: Run, numbers: Callable, positions: Sequence[int]) -> Tensor:
    """`∂number/∂` what the last block returned, [number, 1, position, d_model]."""
    final = run._resid[-1].detach().requires_grad_()
    with differentiating(run):
        asked = numbers(run.model.engine.logits(run._recording, final, positions or None, grad=True))
        return _slopes(asked, [final], torch.eye(len(asked)).to(asked), _TAIL_ROWS)[0]


def _block(run: Run, layer: int, back: Tensor, sites: Sequence[str], further: bool) -> tuple[Gradient, Tensor | None]:
    """One block, differentiated: the gradient of its heads, and of what entered it where that is needed `further` down."""
    leaf = _Leaf()
    resid = run._resid[layer].detach().requires_grad_(further)
    with differentiating(run):
        passed = run.model.engine.resume(
            run._recording,
            [*(edit for edit in run._edits if edit.layer == layer), Edit(layer, "z", leaf)],
            start=layer,
            stop=layer + 1,
            resid=resid,
            capture=[(site, layer) for site in sites],
            grad=True,
        )
        slopes = _slopes(passed.resid[-1], [leaf.added, resid] if further else [leaf.added], back, _at_a_time(run))
    return _gradient(run, layer, leaf, slopes[0], passed.captured, sites), slopes[1] if further else None


def _at_once(run: Run, numbers: Callable, positions: Sequence[int], lowest: int, sites: Sequence[str]) -> Iterator[Gradient]:
    """Where a model cannot be resumed: one full forward, differentiated as a whole."""
    layers = range(lowest, run.model.n_layers)
    leaves = {layer: _Leaf() for layer in layers}
    with differentiating(run):
        passed = run.model.engine.resume(
            run._recording,
            [*run._edits, *(Edit(layer, "z", leaf) for layer, leaf in leaves.items())],
            start=0,
            capture=[(site, layer) for layer in layers for site in sites],
            keep="last",
            grad=True,
        )
        asked = numbers(run.model.engine.logits(run._recording, passed.resid[-1], positions or None, grad=True))
        slopes = _slopes(asked, [leaf.added for leaf in leaves.values()], torch.eye(len(asked)).to(asked), 1)
    found = [_gradient(run, layer, leaves[layer], of, passed.captured, sites) for layer, of in zip(layers, slopes, strict=True)]
    return iter(found[::-1])


class _Leaf:
    """An edit that adds zeros to `z`: the gradient with respect to them is the one with respect to `z`, whatever came before."""

    def __call__(self, z: Tensor) -> Tensor:
        self.z, self.added = z.detach(), torch.zeros_like(z).requires_grad_()
        return z + self.added


def _slopes(output: Tensor, inputs: list[Tensor], back: Tensor, at_a_time: int) -> list[Tensor]:
    """`∂number/∂input` of each input, [number, ...], from `∂number/∂output`, [number, ...]."""
    parts = list(halving(partial(_some_slopes, output, inputs), back, at_a_time))
    return [torch.cat(of) for of in zip(*parts, strict=True)]


def _some_slopes(output: Tensor, inputs: list[Tensor], back: Tensor) -> Sequence[Tensor]:
    if len(back) > 1:
        try:
            # One backward for all: on a CPU this takes two thirds of the time of one after another.
            return torch.autograd.grad(output, inputs, back, retain_graph=True, is_grads_batched=True)
        except RuntimeError as error:
            # A backward written by hand may not be made for batches.
            if out_of_memory(error):
                raise
    rows = [torch.autograd.grad(output, inputs, one, retain_graph=True) for one in back]
    return [torch.stack(of) for of in zip(*rows, strict=True)]


def _at_a_time(run: Run) -> int:
    n, resid = len(run.ids), run._resid[0]
    of_one = resid.element_size() * n * (4 * run.model.n_heads * n + 32 * resid.shape[-1])
    return max(1, _BYTES // of_one)


def _gradient(run: Run, layer: int, leaf: _Leaf, slope: Tensor, captured: dict, sites: Sequence[str]) -> Gradient:
    if not sites:
        return Gradient(layer, leaf.z[0], slope[:, 0])
    pattern, v = (captured[site, layer][0].detach() for site in sites)
    values = v.repeat_interleave(run.model.n_heads // v.shape[1], dim=1)
    return Gradient(layer, leaf.z[0], slope[:, 0], pattern, values)


def float32(tensor: Tensor) -> Tensor:
    """In single precision at least: for patterns, which in double precision would be the largest thing there is."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
