"""Attribution of the answer to every edge between components, by gradients: EAP and EAP-IG."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from numbers import Integral
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ..engine.components import Components
from ..engine.memory import CPU_TOKENS, free_bytes, halving, out_of_memory, pass_bytes
from ..errors import AttnWidgetError
from .edgegraph import Destination
from .edgeruns import columns, differences
from .gradients import differentiating, require_differentiable
from .method import Progress
from .patching import Pair

METHODS = ("eap", "eap_ig")
_SHARE = 0.25  # of the memory that is free, for slopes that are differentiated together


def edge_attribution(
    pair: Pair,
    method: Literal["eap", "eap_ig"] = "eap_ig",
    *,
    steps: int = 5,
    progress: Progress | None = None,
) -> np.ndarray:
    """[edge] in float64: an estimate of `patching.edge_effects` for all edges at once.

    `score(u → d) = Σ_position (u's output in the counterfactual - in the clean run) · g_d`, with `g_d` the gradient of the drop of the
    metric with respect to the stream that d reads. Positive: the edge helps, as in `edge_effects`. (The published code of EAP-IG has
    the drop the other way round, so there negative scores help.) Scores of edges into keys or values that several heads share are of
    all of these together. One forward and one backward a step, and for each layer a backward through its queries, keys and values for
    each of them.

    Args:
        method: "eap" takes the gradients at the clean run (Syed et al. 2023), "eap_ig" their mean over `steps` runs whose stream
            entering the first block is `counterfactual + k / steps · (clean - counterfactual)`, k = 1 ... steps (Hanna et al. 2024,
            "inputs").
        steps: 1 or more; "eap" takes none.

    Raises:
        AttnWidgetError: an unknown method, steps that are none, or "eap" of KL, whose slope at the clean run is zero.
    """
    if method not in METHODS:
        raise AttnWidgetError(f"No method {method!r} for edges: there are {', '.join(map(repr, METHODS))}.")
    if isinstance(steps, bool) or not isinstance(steps, Integral) or steps < 1:
        raise AttnWidgetError(f"steps must be a whole number, 1 or more, not {steps!r}.")
    if method == "eap" and pair.measure.metric.name == "kl":
        raise AttnWidgetError(
            "KL has no slope at the clean run, so 'eap' of it would be 0 for every edge: ask for 'eap_ig', or for metric='logit_diff'."
        )
    for run in (pair.clean, pair.counterfactual):
        require_differentiable(run)
    clean, other = (run._recording.resid[0] for run in (pair.clean, pair.counterfactual))
    shares = [1.0] if method == "eap" else [k / steps for k in range(1, steps + 1)]
    # The last is the clean run itself, to the bit.
    points = torch.cat([clean if share == 1 else other + share * (clean - other) for share in shares])
    progress = progress or (lambda done, total, text: None)
    attribution = _Attribution(pair)
    total = len(points) * pair.clean.model.n_layers
    told = partial(attribution.add, lambda blocks: progress(blocks, total, "Attributing edges"))
    for _ in halving(told, points, _at_once(pair)):
        pass
    progress(total, total, "")
    return attribution.scores / len(points)


def _at_once(pair: Pair) -> int:
    """Points differentiated together."""
    engine, recording = pair.clean.model.engine, pair.clean._recording
    rows = [int(free_bytes(engine) / 4 / pass_bytes(engine, recording))]
    rows += [] if engine.max_rows is None else [engine.max_rows]
    rows += [CPU_TOKENS // len(pair.clean)] if engine.anatomy.device.type == "cpu" else []
    return max(1, min(rows))


class _Attribution:
    """Sums scores over points. The way back goes from block to block, each computed again, differentiated and forgotten."""

    def __init__(self, pair: Pair):
        self.pair, self.graph = pair, pair.graph
        clean, other = pair.traces
        self.parts: Components = clean.parts
        self.changes = differences(pair.graph, clean, other, range(len(pair.graph.nodes) - 1)).flatten(1)
        self.scores = np.zeros(len(pair.graph))
        self.blocks = 0
        self.by_layer: list[list[int]] = [[] for _ in range(pair.clean.model.n_layers + 1)]
        for i, destination in enumerate(pair.graph.destinations):
            self.by_layer[destination.layer].append(i)

    def add(self, told: Callable[[int], None], points: Tensor) -> int:
        """Adds the scores at `points` [point, position, d_model], streams that enter the first block; to `told` goes how many blocks of
        how many points are done."""
        before = self.scores.copy()
        try:
            self._add(lambda layers: told(self.blocks + layers * len(points)), points)
        except BaseException:  # what did not fit is done again
            self.scores = before
            raise
        self.blocks += len(points) * (len(self.by_layer) - 1)
        return len(points)

    def _add(self, after_layer: Callable[[int], None], points: Tensor) -> None:
        engine, recording, measure = self.pair.clean.model.engine, self.pair.clean._recording, self.pair.measure
        layers = engine.anatomy.n_layers
        resid = engine.resume(recording, start=0, resid=points, rows=len(points)).resid
        with differentiating(self.pair.clean):
            final = resid[-1].detach().requires_grad_()
            effects = measure.effect(engine.logits(recording, final, measure.positions or None, grad=True))
            (back,) = torch.autograd.grad(effects.sum(), final)
        self._score(self.by_layer[layers], back[None])
        for done, layer in enumerate(reversed(range(layers))):
            after_layer(done)
            back = self.block(layer, resid[layer].detach(), back)

    def block(self, layer: int, stream: Tensor, back: Tensor) -> Tensor:
        """Scores the edges into one layer, from `back`, the slope in the stream that leaves it, [point, position, d_model]; the slope in
        the stream that enters it, which is `back` and those of all that read it."""
        parts, here = self.parts, self.by_layer[layer]
        with parts.passing(grad=True):
            stream = stream.requires_grad_()
            states = parts.inputs(layer, stream)
            leaves = [of.detach().requires_grad_() for of in states]
            z = parts.attention(layer, *leaves)
            below = back
            if self.graph.has_mlp:
                mid = stream.detach() if parts.parallel else (stream.detach() + parts.said(layer, z.detach())).to(stream)
                mid.requires_grad_()
                written = parts.mlp(layer, mid)
                (slope,) = torch.autograd.grad(written, mid, back.to(written))
                self._score(here[-1:], slope[None])
                below = back + slope.to(back)
            weight = parts.layers[layer].weight
            heads = torch.einsum("rpd,hid->rphi", (back if parts.parallel else below).to(weight), weight)
            slopes = torch.autograd.grad(z, leaves, heads.to(z))
            for site, state, slope in zip("qkv", states, slopes, strict=True):
                reading = [i for i in here if self.graph.destinations[i].input == site]

                def read(some: Sequence[int], state: Tensor = state, slope: Tensor = slope) -> tuple[Sequence[int], Tensor]:
                    return some, _slopes(state, stream, self._apart([self.graph.destinations[i] for i in some], slope))

                for some, found in halving(read, reading, self._together(stream, state)):
                    self._score(some, found)
                    below = below + found.sum(0).to(below)
        return below.detach()

    def _apart(self, destinations: Sequence[Destination], slope: Tensor) -> Tensor:
        """[destination, point, position, head, d_head]: of `slope`, what is the destination's own, and zeros."""
        own = slope.new_zeros(len(destinations), *slope.shape)
        for row, destination in zip(own, destinations, strict=True):
            at = columns(self.parts, destination, slope)
            row[:, :, at] = slope[:, :, at]
        return own

    def _together(self, stream: Tensor, state: Tensor) -> int:
        each = 4 * stream.element_size() * (stream.numel() + state.numel())
        return max(1, int(_SHARE * free_bytes(self.parts.engine) / each))

    def _score(self, destinations: Sequence[int], slopes: Tensor) -> None:
        """From `slopes` [destination, point, position, d_model], of destinations with the same sources that follow each other."""
        start, stop = self.graph.starts[destinations[0]], self.graph.starts[destinations[-1] + 1]
        sources = (stop - start) // len(destinations)
        summed = slopes.to(self.changes).sum(1).flatten(1)
        self.scores[start:stop] += (summed @ self.changes[:sources].T).flatten().cpu().double().numpy()


def _slopes(output: Tensor, stream: Tensor, back: Tensor) -> Tensor:
    """`∂/∂stream` for each of several slopes `back` [destination, ...] in `output`."""
    if len(back) > 1:
        try:
            return torch.autograd.grad(output, stream, back, retain_graph=True, is_grads_batched=True)[0]
        except RuntimeError as error:
            # A backward written by hand may not be made for batches.
            if out_of_memory(error):
                raise
    return torch.stack([torch.autograd.grad(output, stream, one, retain_graph=True)[0] for one in back])
