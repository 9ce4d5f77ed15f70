"""Integrated gradients of each head: the effect of replacing its output, summed up along the way there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from numbers import Integral

import numpy as np
import torch
from torch import Tensor

from ..engine import Edit
from ..engine.memory import free_bytes, halving, pass_bytes, read_bytes
from ..engine.writes import wide
from ..errors import AttnWidgetError
from ..heads import Head
from .gradients import differentiating, require_differentiable
from .method import Asked, Found

MAX_STEPS = 1000
# Products gain nothing from more tokens than this on a CPU, while what lies between them no longer fits the caches.
_CPU_TOKENS = 1024


def integrated_gradients(asked: Asked) -> Found:
    """`(z* − z) · (1/n) Σ_k ∂effect/∂z` at `z* + α_k (z − z*)`, `α_k = (k + ½)/n`: midpoints of the way from `z*` to z, one head at
    a time (Sundararajan et al., 2017).

    As n grows this becomes the exact effect. One row more, at α = 0, says what that is: `extra` has the `exact` effect and the
    `completeness_error`, estimate minus exact. n forwards and n backwards a head, in batches of rows from the head's own layer up.
    """
    steps = asked.options["steps"]
    if isinstance(steps, bool) or not isinstance(steps, Integral) or not 1 <= steps <= MAX_STEPS:
        raise AttnWidgetError(f"steps must be a whole number from 1 to {MAX_STEPS}, not {steps!r}.")
    require_differentiable(asked.run)
    alphas = [0.0, *((k + 0.5) / int(steps) for k in range(int(steps)))]
    values, exact = asked.empty(), asked.empty()
    by_layer: dict[int, list[Head]] = defaultdict(list)
    for head in asked.heads:
        by_layer[head.layer].append(head)
    done = 0
    # From the top: what is cheap comes first.
    for layer, heads in sorted(by_layer.items(), reverse=True):
        rows = _rows(asked, layer)
        together = asked.chunk or max(1, rows // len(alphas))
        for some in (heads[i : i + together] for i in range(0, len(heads), together)):
            points = _along(asked, layer, [(head, alpha) for head in some for alpha in alphas], rows)
            for head in some:
                exact[head], _ = next(points)
                values[head] = np.mean([next(points)[1] for _ in alphas[1:]])
            done += len(some)
            asked.partial(values.copy(), ~np.isnan(values))
            asked.progress(done, len(asked.heads), f"{done} of {len(asked.heads)} heads integrated")
    values[~np.isfinite(values)] = np.nan  # an overflow of half precision
    exact[~np.isfinite(exact)] = np.nan
    return Found(values, extra={"exact": exact, "completeness_error": values - exact})


Point = tuple[Head, float]
"""A head, and where on its way it is: α."""


def _along(asked: Asked, layer: int, points: Sequence[Point], rows: int) -> Iterator[tuple[float, float]]:
    """For each point: the effect there, and `(z* − z) · ∂effect/∂z` there. `rows` at a time, halved where they do not fit."""
    for found in halving(partial(_at, asked, layer), points, rows):
        yield from found


def _at(asked: Asked, layer: int, points: Sequence[Point]) -> list[tuple[float, float]]:
    run, engine = asked.run, asked.run.model.engine
    (ablated,) = asked.ablate(sorted({head for head, _ in points})).edits(run.clean)
    of, rows = [head.head for head, _ in points], list(range(len(points)))
    ways: list[Tensor] = []

    def move(z: Tensor) -> Tensor:
        clean = z[:1].detach()
        change = (ablated.function(clean) - clean)[0].transpose(0, 1)[of]
        left = torch.tensor([1 - alpha for _, alpha in points], device=z.device, dtype=z.dtype)
        path = (clean[0].transpose(0, 1)[of] + left[:, None, None] * change).requires_grad_()
        ways[:] = [path, change]
        new = z.detach().clone()
        new[rows, :, of] = path
        return new

    with differentiating(run):
        passed = engine.resume(
            run._recording,
            [*run._edits, Edit(layer, "z", move)],
            start=layer,
            resid=run._resid[layer],
            rows=len(points),
            keep="last",
            grad=True,
        )
        logits = engine.logits(run._recording, passed.resid[-1], asked.measure.positions or None, grad=True)
        effects = asked.measure.effect(logits)
        path, change = ways
        (slopes,) = torch.autograd.grad(effects.sum(), path)
    along = torch.einsum("rqd,rqd->r", wide(change), wide(slopes))
    return list(zip(effects.tolist(), along.tolist(), strict=True))


def _rows(asked: Asked, layer: int) -> int:
    """How many points go together: what a backward keeps of every block above must fit, and on a CPU the caches should hold it."""
    run, engine = asked.run, asked.run.model.engine
    if not engine.resumes:
        return 1
    anatomy, n, resid = engine.anatomy, len(run.ids), run._resid[0]
    # A block's weights over the stream's width: what its projections put out for a token. Measured on SmolLM2, twice that is kept.
    width = sum(parameter.numel() for parameter in anatomy.blocks[layer].parameters()) // resid.shape[-1]
    kept = (anatomy.n_layers - layer) * n * (3 * width + 4 * anatomy.n_heads * n) * resid.element_size()
    taken = pass_bytes(engine, run._recording) + read_bytes(engine, run._recording, asked.measure.positions or None)
    fit = free_bytes(engine) // (kept + 2 * taken)
    limits = [fit, *([] if engine.max_rows is None else [engine.max_rows]), *([_CPU_TOKENS // n] if anatomy.device.type == "cpu" else [])]
    return max(1, min(limits))
