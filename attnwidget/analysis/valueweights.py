"""Attention weighted by what is moved: how long the value a head takes from a key is, or what it adds to a logit difference."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..engine.out_matrix import out_matrix
from ..engine.readout import readout
from ..engine.writes import Stream, block_writes, wide
from ..errors import AttnWidgetError, ModelError
from ..heads import Head, HeadsLike, parse_heads
from ..run import Run
from .checked import a_run, current, switch
from .measure import make_measure
from .method import Progress
from .valuenorms import written_norms
from .weighted import ValueWeighted


@dataclass(frozen=True)
class Kind:
    """One way of weighting a pattern. `function(layer)` gives [head, query, key] of the layer's asked heads."""

    label: str
    formula: str
    unit: str
    signed: bool
    function: Callable[[_Layer], Tensor]


class _Layer:
    """What one layer of a run offers; heads are those asked for. All in float64."""

    def __init__(self, run: Run, layer: int, heads: list[int], asked: _Asked):
        self.run, self.layer, self.heads, self.asked = run, layer, heads, asked
        self.stream = asked.stream

    @property
    def pattern(self) -> Tensor:
        """`A` [head, query, key]."""
        return wide(self.run._patterns_of(self.layer)[self.heads])

    @property
    def z(self) -> Tensor:
        """[head, position, d_head]"""
        return wide(self.run.z(self.layer)).transpose(0, 1)[self.heads]

    @property
    def values(self) -> Tensor:
        """`x_j W_V^h + b_V` [head, key, d_head], each head with the values of its group."""
        if not self.run.model.engine.anatomy.taps["v"]:
            raise ModelError(
                f"Values cannot be reached in {self.run.model.name}, so its patterns cannot be weighted by them: "
                "hand it in as a TransformerBridge, or ask for 'raw' or 'z_cosine'."
            )
        grouped = wide(self.run._capture("v", self.layer))
        shared = self.run.model.n_heads // grouped.shape[1]
        return grouped[:, [head // shared for head in self.heads]].transpose(0, 1)

    @property
    def out(self) -> Tensor:
        """`W_O` [head, d_head, d_model]."""
        return out_matrix(self.stream, self.layer)[self.heads]

    def checked(self) -> tuple[Tensor, Tensor]:
        """Pattern and values, where the one times the other is what the heads say in this run."""
        pattern, values, z = self.pattern, self.values, self.z
        size = pattern @ values.abs()
        off = (pattern @ values - z).abs() > self.stream.slack * size + torch.finfo(self.run.model.dtype).tiny
        for i in off.flatten(1).any(-1).nonzero().flatten().tolist():
            head = Head(self.layer, self.heads[i])
            why = "it is ablated in this run" if head in self.run.ablation.heads else "the model does something more to it"
            raise ModelError(f"What {head} says is not its pattern times its values ({why}), so these have no weights: leave it out.")
        return pattern, values


def _raw(at: _Layer) -> Tensor:
    return at.pattern


def _v_norm(at: _Layer) -> Tensor:
    pattern, values = at.checked()
    return pattern * values.norm(dim=-1)[:, None, :]


def _vo_norm(at: _Layer) -> Tensor:
    pattern, values = at.checked()
    return pattern * written_norms(values, at.out)[:, None, :]


def _signed(at: _Layer) -> Tensor:
    pattern, values = at.checked()
    position, direction = at.asked.position, at.asked.direction
    out = at.out
    wrote = block_writes(at.stream, at.layer, position).heads[at.heads]
    said = torch.einsum("hi,hid->hd", at.z[:, position], out).cpu()
    # A constant that the model multiplies all its heads' outputs by (Granite): 1 nearly always.
    square = (said * said).sum()
    factor = ((wrote * said).sum() / square).item() if square > 0 else 1.0
    towards = factor * torch.einsum("hid,d->hi", out, direction.to(out.device))
    table = torch.full_like(pattern, torch.nan)
    table[:, position] = pattern[:, position] * torch.einsum("hki,hi->hk", values, towards)
    return table


def _z_cosine(at: _Layer) -> Tensor:
    z = at.z
    length = z.norm(dim=-1)
    # 0/0 where a head says nothing at a position.
    return (z @ z.transpose(1, 2)) / (length[:, :, None] * length[:, None, :])


KINDS: dict[str, Kind] = {
    "raw": Kind("attention", "A[q, k]", "", False, _raw),
    "v_norm": Kind("attention × length of the value", "A[q, k] · ‖v_k‖₂", "", False, _v_norm),
    "vo_norm": Kind("attention × length of what is written", "A[q, k] · ‖v_k W_O‖₂", "", False, _vo_norm),
    "signed": Kind("contribution to the logit difference, by key", "A[q, k] · v_k W_O · direction", "logits", True, _signed),
    "z_cosine": Kind("cosine of what two positions get", "z_q · z_k / (‖z_q‖ ‖z_k‖)", "", True, _z_cosine),
}


class _Asked:
    """What the kinds share: the stream, and for `signed` the position and the direction it is read in."""

    def __init__(
        self,
        run: Run,
        kind: str,
        target: str | int | None,
        against: str | int | None,
        position: int | None,
        progress: Progress,
    ):
        self.stream = Stream(run.model.engine, run._recording, tuple(run._resid), tuple(run._edits))
        self.position: int | None = None
        self.direction: Tensor | None = None
        self.formula, self.target, self.against = KINDS[kind].formula, None, None
        if kind != "signed":
            given = [name for name, value in (("target", target), ("against", against), ("position", position)) if value is not None]
            if given:
                raise AttnWidgetError(f"{given[0]}= plays no part in kind={kind!r}: leave it out, or ask for kind='signed'.")
            return
        if run.model.answer in ("class", "none"):
            raise ModelError("Signed contributions are to the logits of tokens, which this model does not answer with: ask for 'vo_norm'.")
        measure = make_measure(run, "logit_diff", target=target, against=against, position=position)
        self.position = measure.position
        for layer in range(run.model.n_layers):
            progress(layer, run.model.n_layers, "Seeing what heads write")
            try:
                block_writes(self.stream, layer, self.position)
            except ModelError as error:
                raise ModelError(
                    f"What heads write in layer {layer} of {run.model.name} is not just added to the residual stream (a norm stands in its "
                    "way, as in BERT or Gemma 2), so it has no direct contribution to the logits: ask for 'vo_norm'."
                ) from error
        read = readout(self.stream, self.position, measure.target, measure.against)
        self.direction = read.direction
        self.target, self.against = run.model.token(measure.target), run.model.token(measure.against)
        said = f"A[q, k] · v_k W_O · (W_U[{self.target}] − W_U[{self.against}]), final norm's scale frozen"
        self.formula = f"{said}; before the final soft-cap" if read.capped else said


def value_weighted(
    run: Run,
    heads: HeadsLike | None = None,
    kind: str = "vo_norm",
    *,
    target: str | int | None = None,
    against: str | int | None = None,
    position: int | None = None,
    normalise: bool = False,
    progress: Progress | None = None,
) -> ValueWeighted:
    """The patterns of `heads` (default: all) in `run`, weighted by what each key gives: [head, query, key].

    With `v_k = x_k W_V + b_V` the value of key k (the normed stream; b_V in it, b_O not), of the key-value group of the head:

    - `raw`: `A[q, k]`.
    - `v_norm`: `A[q, k] ‖v_k‖`.
    - `vo_norm`: `A[q, k] ‖v_k W_O^h‖`, the length of what the head writes at q because of k, before any norm behind it (Kobayashi et al.
      2020, "Attention is not only a weight").
    - `signed`: `A[q, k] (v_k W_O^h) · u` at `position` (default: where the model answers) and NaN at other queries; `u` reads
      `logit(target) − logit(against)` with the final norm's scale frozen at that of this run. Summed over keys it is the head's direct
      logit attribution, `score(run, "direct_logit")`.
    - `z_cosine`: the cosine of z at two positions, which stands where others plot attention; NaN where z is 0.

    `normalise` divides each row by the sum of its absolute values (NaN where that is 0). `A` is the pattern as it acts in `run`. A cell
    takes 8 bytes, so of a long prompt ask for a few heads. Raises `ModelError` where a head's z is not pattern times values (it is
    ablated), where values cannot be reached, and for `signed` where heads do not write into the stream by addition.
    """
    model = run.model
    a_run("run", run)
    if not isinstance(kind, str) or kind not in KINDS:
        raise AttnWidgetError(f"kind must be one of {', '.join(map(repr, KINDS))}, not {kind!r}.")
    normalise = switch("normalise", normalise)
    current(run)
    if normalise and kind == "z_cosine":
        raise AttnWidgetError("normalise= is for weights that share a row out, and cosines do not: leave it out.")
    everyone = [(layer, head) for layer in range(model.n_layers) for head in range(model.n_heads)]
    wanted = parse_heads(everyone if heads is None else heads, model.n_layers, model.n_heads)
    if not wanted:
        raise AttnWidgetError("No heads were given: name at least one, or leave heads=None for all.")
    asked = _Asked(run, kind, target, against, position, progress or (lambda done, total, text: None))
    values = np.empty((len(wanted), len(run.ids), len(run.ids)))
    layers = sorted({head.layer for head in wanted})
    for done, layer in enumerate(layers):
        if progress is not None:
            progress(done, len(layers), "Weighting patterns by values")
        rows = [i for i, head in enumerate(wanted) if head.layer == layer]
        table = KINDS[kind].function(_Layer(run, layer, [wanted[i].head for i in rows], asked))
        values[rows] = (_normalised(table) if normalise else table).cpu().numpy()
    return ValueWeighted(
        heads=tuple(wanted),
        values=values,
        tokens=tuple(run.tokens),
        kind=kind,
        label=KINDS[kind].label,
        formula=f"{asked.formula}, each row divided by Σ |·|" if normalise else asked.formula,
        unit="" if normalise else KINDS[kind].unit,
        signed=KINDS[kind].signed,
        normalised=normalise,
        position=asked.position,
        target=asked.target,
        against=asked.against,
        conditional=run.ablation.heads,
        processing=model.processing,
        dtype=model.precision,
    )


def _normalised(table: Tensor) -> Tensor:
    return table / table.abs().sum(-1, keepdim=True)
