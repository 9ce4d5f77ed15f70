"""What each head writes into the residual stream, and what that adds to a logit difference on its way straight to the end."""

from __future__ import annotations

import torch

from ..engine.readout import Readout, readout
from ..engine.writes import Stream, Writes, block_writes, head_writes, wide
from ..errors import ModelError
from ..run import Run
from .method import Asked, Found

_FORMULA = "z W_O · (W_U[{target}] − W_U[{against}]), final norm's scale frozen"


def direct_logit(asked: Asked) -> Found:
    """Direct logit attribution (Elhage et al. 2021): `z_h W_O^h · g`, `g` the direction in which the final norm, its scale frozen at that
    of this run, and the unembedding read `logit(target) - logit(against)`.

    `parts` has what is not a head: with it, values sum to the run's logit difference (before a soft-cap, where there is one). What a
    head does by way of other heads and MLPs is not in it. `ModelError` where heads do not write into the stream by addition.
    """
    run, measure, layers = asked.run, asked.measure, asked.run.model.n_layers
    if measure.position is None:
        raise ModelError("Direct contributions are to the logits of tokens, and this model answers with classes: ask for 'ablation'.")
    stream, writes = _stream(run), []
    for layer in range(layers):
        asked.progress(layer, layers, "Reading what heads write")
        writes.append(block_writes(stream, layer, measure.position))
    read = readout(stream, measure.position, measure.target, measure.against)
    by_head = torch.stack([write.heads @ read.direction for write in writes])
    parts = _parts(stream, measure.position, writes, read)
    _must_sum(by_head.sum().item() + sum(parts.values()), read, by_head.abs().sum().item() + sum(map(abs, parts.values())), stream.slack)
    values = asked.empty()
    for head in asked.heads:
        values[head] = by_head[head].item()
    asked.progress(layers, layers, "")
    formula = _FORMULA.format(target=run.model.token(measure.target), against=run.model.token(measure.against))
    return Found(values, parts=parts, formula=f"{formula}; before the final soft-cap" if read.capped else formula)


def output_norm(asked: Asked) -> Found:
    """`‖z_h W_O^h‖₂` at one position: how much a head writes, before any norm that its block may have for it (Gemma 2)."""
    run, layers = asked.run, asked.run.model.n_layers
    position, stream, values = run.position(asked.position), _stream(run), asked.empty()
    for layer in range(layers):
        asked.progress(layer, layers, "Reading what heads write")
        norms = head_writes(stream, layer, position).norm(dim=-1)
        for head in asked.heads:
            if head.layer == layer:
                values[head] = norms[head.head].item()
    asked.progress(layers, layers, "")
    return Found(values)


def _stream(run: Run) -> Stream:
    return Stream(run.model.engine, run._recording, tuple(run._resid), tuple(run._edits))


def _parts(stream: Stream, position: int, writes: list[Writes], read: Readout) -> dict[str, float]:
    entered = wide(stream.resid[0][0, position]).cpu()
    mlps = {f"MLP {layer}": write.mlp for layer, write in enumerate(writes) if write.mlp is not None}
    return {
        "embedding": (entered @ read.direction).item(),
        "attention biases": sum((write.bias @ read.direction).item() for write in writes),
        **{name: (mlp @ read.direction).item() for name, mlp in mlps.items()},
        "final norm bias / unembedding bias": read.constant,
    }


def _must_sum(total: float, read: Readout, size: float, slack: float) -> None:
    if abs(total - read.value) > slack * (size + abs(read.value)):
        raise ModelError(
            f"What heads, MLPs and embedding write adds up to {total:.6g} and not to the logit difference {read.value:.6g} in this model, "
            "so direct contributions would mislead: ask for 'ablation' or 'attribution'."
        )
