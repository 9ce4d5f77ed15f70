"""`compare`: two prompts through one model, head by head. Where heads look, what they say, and what that does to the answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from ..engine.interrupt import checkpoint
from ..engine.writes import wide
from ..errors import AttnWidgetError, ModelError
from ..run import Run
from .alignment import Alignment, make_alignment
from .asking import ask_both
from .checked import a_run, current, switch
from .compared import COMPARED
from .comparison import Comparison
from .correlation import pearson
from .exchange import both_ways, cost
from .method import Progress
from .patterns import in_parts
from .rowdistance import TwoPatterns, cosine_of, pattern_numbers
from .specials import check_special, special_positions
from .statistics import seen_cells
from .valuenorms import value_norms

_WHOLE = 0.99  # of a row; half precision rounds sums by less


def compare(
    run: Run,
    other: Run,
    *,
    alignment: object = None,
    renormalise: bool = False,
    special: str = "keep",
    effects: bool = True,
    metric: str | None = None,
    target: str | int | None = None,
    against: str | int | None = None,
    position: int | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Every head of `run` against the same head in `other`; differences are `run` less `other`. `docs/comparing.md` has the formulas.

    Patterns and z are those that act in the two runs, so either may be ablated. Cells are pairs of aligned positions that can be non-zero
    in one of the runs: the lower triangle of a causal model (a layer's window of it), all of an encoder. Queries with one such cell are in
    no number.

    Args:
        alignment: None for prompts of one length, position by position; `"tokens"` for the longest common subsequence of token ids; pairs
            of positions; or an `Alignment`. Unaligned positions are left out, as queries and as keys, and nothing takes their place.
        renormalise: whether the rows of both patterns are made to sum to 1 over the aligned keys. Without, what is on other keys is
            missing from a row (`aligned_share` says how much is not). For the Jensen-Shannon divergence, which is of distributions, rows
            are renormalised in any case.
        special: `discount` leaves special tokens ([CLS], [SEP], <s>, padding) out, as if they were unaligned.
        effects: whether `noising` and `denoising` are measured: for each head alone, its z of `other` put into `run` and the other way,
            at all positions. Exact, two sweeps. Undefined unless the prompts are aligned position by position.
        metric: of these, one of `METRICS`; by default the logit difference (KL for a model with one output, `embedding_cosine` for one
            without a head). `noising` is the drop in `run`; `denoising` is what `other` gets back. The KL has no sign: both say how far the
            prediction moves.
        target, against: tokens of the logit difference; by default the first choices of the two clean prompts, or where they are the same
            that and the other token with the largest sum of both prompts' logits.
        position: where the answer is read in `run`; in `other` it is the position that stands for it. By default where the model answers.
        progress: `progress(done, total, text)`; what it raises ends the computation.

    Raises `PromptError` for prompts of unequal length without an alignment, `ModelError` for runs of two models or outdated ones.
    """
    a_run("run", run)
    a_run("other", other)
    model = run.model
    if other.model.engine is not model.engine:
        raise ModelError("These are runs of two models: make both with the same one.")
    current(run, other)
    check_special(special)
    renormalise, effects = switch("renormalise", renormalise), switch("effects", effects)
    aligned = make_alignment(run, other, alignment)
    pairs = _pairs(run, other, aligned, special)
    asked = ask_both(run, other, aligned, metric, target, against, position, effects)
    notes = _notes(aligned, pairs, renormalise, special)
    total = model.n_layers + (2 * cost(run) if asked.reason is None else 0)

    def say(done: int, _total: int, text: str) -> None:
        if progress is not None:
            progress(done, total, text)

    tables = _tables(run, other, pairs, renormalise, say)
    undefined = dict(tables.undefined)
    if aligned.complete and len(pairs) == len(aligned.pairs) and np.nanmin(tables.values["aligned_share"], initial=1) < _WHOLE:
        notes = (*notes, "the model's own sinks take a share of each row, which the Jensen-Shannon divergence leaves out")
    if asked.reason is None:
        tables.values.update(both_ways(run, other, asked.measures, _counting(say, model.n_layers, cost(run))))
    else:
        undefined |= dict.fromkeys(("noising", "denoising"), asked.reason)
    say(total, total, "Compared")
    return Comparison(
        values={name: tables.values[name] for name in COMPARED},
        places=tables.places,
        cosines=tables.cosines,
        pairs=tuple(pairs),
        alignment=aligned,
        answers=asked.answers,
        measure=asked.measures[0] if asked.measures else None,
        notes=notes,
        undefined=undefined,
        renormalised=renormalise,
        processing=model.processing,
        dtype=model.precision,
        run=run,
        other=other,
    )


def _pairs(run: Run, other: Run, alignment: Alignment, special: str) -> list[tuple[int, int]]:
    if special == "keep":
        return list(alignment.pairs)
    marks, others = set(special_positions(run)), set(special_positions(other))
    pairs = [(a, b) for a, b in alignment.pairs if a not in marks and b not in others]
    if not pairs:
        raise AttnWidgetError("All aligned tokens are special ones, so nothing is left to compare: use special='keep'.")
    return pairs


def _notes(alignment: Alignment, pairs: list[tuple[int, int]], renormalise: bool, special: str) -> tuple[str, ...]:
    notes = [alignment.describe()]
    if special == "discount":
        notes.append(f"special tokens left out as queries and keys, {len(pairs)} pairs left")
    if renormalise:
        notes.append("rows renormalised over these keys")
    elif len(pairs) < max(len(alignment.tokens), len(alignment.other_tokens)):
        notes.append("rows not renormalised (but for the Jensen-Shannon divergence): attention on other keys is missing from them")
    return tuple(notes)


# -- where heads look, and what they say -----------------------------------------------------------------------------


@dataclass
class _Tables:
    values: dict[str, np.ndarray]
    cosines: np.ndarray
    places: dict[str, np.ndarray] = field(default_factory=dict)
    undefined: dict[str, str] = field(default_factory=dict)


def _tables(run: Run, other: Run, pairs: list[tuple[int, int]], renormalise: bool, say: Progress) -> _Tables:
    model = run.model
    shape = model.n_layers, model.n_heads
    tables = _Tables({name: np.full(shape, np.nan) for name in COMPARED}, np.full((*shape, len(pairs)), np.nan))
    at, others = ([pair[side] for pair in pairs] for side in (0, 1))
    of_first = torch.tensor([0 in pair for pair in pairs])
    with_first = of_first[:, None] | of_first
    ablated = {*run.ablation.heads, *other.ablation.heads}
    for layer in range(model.n_layers):
        checkpoint()
        say(layer, model.n_layers, f"Comparing layer {layer}")
        norms = _norms(run, other, at, others, layer, tables)
        first, second = (of._patterns_of(layer) for of in (run, other))
        seen = _cut(seen_cells(first, model.causal), at).cpu() | _cut(seen_cells(second, model.causal), others).cpu()
        for heads, some in in_parts(first):
            # A few heads at a time: what is cut out is a copy.
            two = TwoPatterns(_cut(some, at).cpu(), wide(_cut(second[heads], others)).cpu(), seen)
            distributions = two.renormalised()
            two_ways = distributions if renormalise else two
            numbers, places = pattern_numbers(two_ways, distributions, with_first)
            numbers |= {"aligned_share": two.share(two.first), "other_aligned_share": two.share(two.second)}
            if norms is not None:
                numbers["map_cosine"] = two_ways.cosine(norms[0][heads], norms[1][heads])
            for name, found in numbers.items():
                tables.values[name][layer, heads] = found
            for name, found in places.items():
                tables.places.setdefault(name, np.full(shape, np.nan))[layer, heads] = _positions(found, at)
        for head in ablated:
            if head.layer == layer:  # what it says is not its pattern times its values
                tables.values["map_cosine"][head] = np.nan
        z, other_z = (wide(of.z(layer))[some].transpose(0, 1).cpu() for of, some in ((run, at), (other, others)))
        tables.cosines[layer] = cosine_of(z, other_z).numpy()
        tables.values["z_cosine"][layer] = cosine_of(z, other_z).nanmean(-1).numpy()
        correlations = [pearson(a, b) for a, b in zip(z.numpy(), other_z.numpy(), strict=True)]
        tables.values["output_correlation"][layer] = [np.nan if c is None else c for c in correlations]
    return tables


def _norms(run: Run, other: Run, at: list[int], others: list[int], layer: int, tables: _Tables) -> tuple[Tensor, Tensor] | None:
    if "map_cosine" in tables.undefined:
        return None
    try:
        norms, other_norms = value_norms((run, other), layer)
    except ModelError as error:
        tables.undefined["map_cosine"] = str(error)
        tables.values["map_cosine"][:] = np.nan
        return None
    return norms[:, at], other_norms[:, others]


def _cut(cells: Tensor, at: list[int]) -> Tensor:
    """[..., query, key] at some positions."""
    return cells[..., at, :][..., at]


def _positions(indices: np.ndarray, at: list[int]) -> np.ndarray:
    known = np.isfinite(indices)
    found = np.full(indices.shape, np.nan)
    found[known] = np.asarray(at)[indices[known].astype(int)]
    return found


def _counting(say: Progress, start: int, one_way: int) -> Callable[[int, int, str], None]:
    """Progress of two sweeps after `start` layers: the second begins where the first ended."""
    before = [0, 0]  # blocks of sweeps that have ended, and of the one that runs

    def progress(done: int, total: int, text: str) -> None:
        if done < before[1]:
            before[0] += one_way
        before[1] = done
        say(start + before[0] + done, total, f"{'Noising' if before[0] == 0 else 'Denoising'}: {text}")

    return progress
