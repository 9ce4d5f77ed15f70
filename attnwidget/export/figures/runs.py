"""Pictures of a run: its heads' patterns as one grid, a few heads' maps, lines."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

import numpy as np
from torch.nn.functional import max_pool2d

from ...ablation import MODES
from ...analysis.aggregates import AttentionAggregate
from ...analysis.headscores import HeadScores
from ...analysis.sinks import rows_to_one
from ...analysis.weighted import ValueWeighted
from ...errors import AttnWidgetError
from ...heads import Head, HeadsLike, parse_heads
from ...run import Run
from . import attention, grid
from .maps import Map, on_one_scale, prepared
from .parts import heads_named
from .sheet import Sheet
from .wording import sentence

_THUMBNAIL = 24  # cells a side
VIEWS = ("large", "small", "lines")


def made_of(run: Run, *, patterns: bool = False) -> str:
    """What a picture of this run says of where it is from: ablation, weights, dtype."""
    model, off = run.model, run.ablation.heads
    how = f"run with {heads_named(off)} ablated ({run.ablation.describe()})" if off else "clean run"
    kept = "an ablated head's map is its clean pattern" if patterns and off and MODES[run.ablation.mode].acts_on == "z" else ""
    return "; ".join(part for part in (model.name, how, kept, model.processing, model.precision, "exact") if part)


def thumbnails(run: Run, most: int = _THUMBNAIL) -> np.ndarray:
    """float32 [layer, head, n, n]: patterns of the clean run, each square of tokens its maximum, so that n is at most `most`."""
    block = math.ceil(len(run.ids) / most)
    pooled = [max_pool2d(run.clean.patterns(layer).float(), block, ceil_mode=True) for layer in range(run.model.n_layers)]
    return np.stack([layer.cpu().numpy() for layer in pooled])


def patterns(
    run: Run,
    *,
    maps: np.ndarray | None = None,
    hide_first: bool = False,
    scores: HeadScores | None = None,
    known: np.ndarray | None = None,
    selected: Collection[Head] = (),
    shown: Collection[Head] = (),
    width: float | str | None = None,
) -> Sheet:
    """The grid of all heads with their clean patterns, and the heads that are off in `run`."""
    found = thumbnails(run) if maps is None else maps
    block = math.ceil(len(run.ids) / found.shape[-1])
    pooled = f", each cell the maximum of {block} × {block} tokens" if block > 1 else ""
    caption = f"Attention A[query, key] of every head{pooled}; {made_of(run.clean)}"
    marks = {"ablated": run.ablation.heads, "selected": selected, "shown": shown}
    return grid.patterns_grid(
        found, caption, causal=run.model.causal, hide_first=hide_first, scores=scores, known=known, width=width, **marks
    )


def attention_of(
    run: Run,
    heads: HeadsLike,
    *,
    view: str | None = None,
    change: bool = False,
    hide_first: bool = False,
    renormalise: bool = False,
    query: int | None = None,
    width: float | str | None = None,
) -> Sheet:
    """Patterns of `heads` as they act in `run`; with `change`, less those of the clean run. `view`: "large" and "lines" draw one head,
    "small" several; by default what fits their number. `query` is framed in a large map."""
    model = run.model
    wanted = parse_heads(heads, model.n_layers, model.n_heads)
    off = set(run.ablation.heads)
    if change and not off:
        raise AttnWidgetError("Nothing is ablated in this run, so nothing has changed: draw one that run.ablate(heads) returned.")
    maps = []
    for head in wanted:
        shown = (run.clean if head in off and not change else run).pattern(head).double().cpu().numpy()
        values = shown - run.clean.pattern(head).double().cpu().numpy() if change else shown
        maps.append(Map(_left(values, model.causal, hide_first, renormalise and not change), str(head), signed=change, off=head in off))
    words, quantity = ("ablated − clean", "Change of attention") if change else ("attention", "Attention A[query, key]")
    left = ("first key hidden" + (", rows made to sum to 1 again" if renormalise and not change else "")) if hide_first else ""
    caption = sentence([f"{quantity} of {heads_named(wanted)}", left, made_of(run, patterns=not change)])
    maps = on_one_scale(maps) if change else maps
    return _viewed(maps, run.tokens, words, caption, view, causal=model.causal, query=query, width=width)


def weighted_of(found: ValueWeighted, *, view: str | None = None, causal: bool | None = None, width: float | str | None = None) -> Sheet:
    """Maps weighted by values, all on one scale. `causal`: whether the upper triangle is left out; by default where it is empty."""
    if causal is None:
        causal = found.kind != "z_cosine" and not np.nan_to_num(np.triu(found.values, 1)).any()
    maps = [
        Map(prepared(values, causal=causal), str(head), signed=found.signed, off=head in found.conditional)
        for head, values in zip(found.heads, found.values, strict=True)
    ]
    words = ", ".join(part for part in (found.label, found.unit) if part)
    off = f"with {heads_named(found.conditional)} ablated" if found.conditional else "clean run"
    about = "" if found.target is None else f"target {found.target!r} against {found.against!r}, query {found.position}"
    signs = "orange and purple are signs, no intervention" if found.kind == "z_cosine" else ""
    caption = sentence([f"{found.label}: {found.formula}", about, off, signs, found.processing, found.dtype, "exact"])
    return _viewed(on_one_scale(maps), found.tokens, words, caption, view, causal=causal, query=found.position, width=width)


def aggregate_of(found: AttentionAggregate, *, hide_first: bool = False, width: float | str | None = None) -> Sheet:
    """One map made of many."""
    causal = not np.nan_to_num(np.triu(found.values, 1)).any()
    of = Map(prepared(found.values, causal=causal, hide_first=hide_first), found.label)
    return attention.large(of, found.tokens, found.label, found.describe(), causal=causal, width=width)


def _left(values: np.ndarray, causal: bool, hide_first: bool, renormalise: bool) -> np.ndarray:
    shown = prepared(values, causal=causal, hide_first=hide_first)
    if not (hide_first and renormalise):
        return shown
    return np.where(np.isnan(shown), np.nan, rows_to_one(np.nan_to_num(shown)))


def _viewed(
    maps: Sequence[Map],
    tokens: Sequence[str],
    words: str,
    caption: str,
    view: str | None,
    *,
    causal: bool,
    query: int | None,
    width: object,
) -> Sheet:
    if view is not None and view not in VIEWS:
        raise AttnWidgetError(f"view must be one of {', '.join(map(repr, VIEWS))}, not {view!r}.")
    if not maps:
        raise AttnWidgetError("No heads were given: name at least one.")
    view = view or ("large" if len(maps) == 1 else "small")
    if view == "small":
        return attention.small(maps, words, caption, width=width)
    if len(maps) > 1:
        raise AttnWidgetError(f"view={view!r} draws one head, not {len(maps)}: name one, or draw them with view='small'.")
    if view == "large":
        return attention.large(maps[0], tokens, words, caption, causal=causal, query=query, width=width)
    if (reason := attention.refused_lines(len(tokens))) is not None:
        raise AttnWidgetError(reason)
    return attention.lines(maps[0], tokens, words, caption, width=width)
