"""Weighted maps and maps made of many as requests."""

from __future__ import annotations

import numpy as np

from ..analysis.aggregates import AttentionAggregate, attention_rollout, mean_attention
from ..analysis.valueweights import KINDS, value_weighted
from ..analysis.weighted import ValueWeighted
from ..errors import AttnWidgetError, ModelError
from ..heads import Head
from ..run import AblatedRun
from . import arguments
from .jobs import Job
from .wire import Array

WEIGHTED = tuple(kind for kind in KINDS if kind != "raw")
"""The pattern itself is the request `patterns`."""
AGGREGATES = ("mean", "layer", "rollout")


def weighted(run: AblatedRun, args: dict, job: Job) -> dict:
    """`Weighted` in js/src/source/ops.ts. An ablated head whose z is no longer its pattern times its values has a map of NaN."""
    model = run.model
    kind = arguments.choice(args, "kind", WEIGHTED)
    heads = arguments.maps(args, run, least=1)
    question = {}
    if kind == "signed":
        names = {name: arguments.text(args, name) or None for name in ("target", "against")}
        question = {**names, "position": arguments.position(args)}
    off = set(run.ablation.heads)
    # One that is not ablated is always among those asked: whether this kind reaches the model at all must not hang on an ablation.
    found = value_weighted(run, [head for head in heads if head not in off] or _spare(run), kind, progress=job.chunk, **question)
    maps = dict(zip(found.heads, found.values, strict=True))
    unknown = []
    for head in heads:
        if head in off:
            try:
                maps[head] = value_weighted(run, [head], kind, **question).values[0]
            except ModelError:
                maps[head] = np.full(found.values.shape[1:], np.nan)
                unknown.append(head)
    return {
        "heads": heads,
        "kind": kind,
        "maps": Array(np.stack([maps[head] for head in heads]).astype(np.float32)),
        "label": found.label,
        "formula": found.formula,
        "unit": found.unit,
        "signed": found.signed,
        "causal": model.causal and kind != "z_cosine",
        "row": found.position,
        "sums": [float(maps[head][found.position].sum()) for head in heads] if kind == "signed" else None,
        "note": _note(found, unknown, [head for head in heads if head in off and _nowhere(kind, maps[head])]),
    }


def aggregate(run: AblatedRun, args: dict, job: Job) -> dict:
    """`Aggregate` in js/src/source/ops.ts."""
    kind = arguments.choice(args, "kind", AGGREGATES)
    if kind == "rollout":
        made, label = attention_rollout(run, progress=job.chunk), f"attention rollout, layers 0 to {run.model.n_layers - 1}"
    else:
        heads = arguments.heads(args, run.model)
        if kind == "layer":
            layers = {head.layer for head in heads}
            if len(layers) > 1:
                raise AttnWidgetError(f"Heads of {len(layers)} layers were given, and one layer is to be averaged: name heads of one.")
            made, label = mean_attention(run, layers=heads[0].layer, progress=job.chunk), f"mean of layer {heads[0].layer}"
        else:
            made = mean_attention(run, heads, progress=job.chunk)
            label = f"mean of {len(heads)} selected heads" if len(heads) > 1 else f"mean of one head, {heads[0]}"
    return {
        "kind": kind,
        "map": Array(made.values.astype(np.float32)),
        "label": label,
        "formula": _made(made),
        "caution": made.caution,
    }


def _spare(run: AblatedRun) -> list[Head]:
    off = set(run.ablation.heads)
    everyone = (Head(layer, head) for layer in range(run.model.n_layers) for head in range(run.model.n_heads))
    spare = next((head for head in everyone if head not in off), None)
    if spare is None:
        raise AttnWidgetError("Every head is ablated, so there is nothing that patterns could be weighted by: restore one.")
    return [spare]


def _nowhere(kind: str, map_: np.ndarray) -> bool:
    return kind == "z_cosine" and bool(np.isnan(map_).all())


def _note(found: ValueWeighted, unknown: list[Head], nowhere: list[Head]) -> str:
    said = [f"{found.processing}, {found.dtype}."]
    if nowhere:
        said.append(f"Undefined for {', '.join(map(str, nowhere))}: an ablated head's z is zero, so it has no direction.")
    if unknown:
        names = ", ".join(map(str, unknown))
        said.append(f"Undefined for {names}: ablated, what such a head says is not its pattern times its values.")
    return " ".join(said)


def _made(made: AttentionAggregate) -> str:
    off = f"; with {', '.join(map(str, made.conditional))} ablated" if made.conditional else ""
    return f"{made.formula}{off}; {made.processing}, {made.dtype}"
