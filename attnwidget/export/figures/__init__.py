"""Pictures for papers: each result as a sheet in the light theme, with a caption that says how its numbers were made.

`figure_of(result, ...)` draws any result of `attnwidget`; its options are those of the function of this folder that draws its kind.
"""

from __future__ import annotations

from collections.abc import Callable

from ...analysis.aggregates import AttentionAggregate
from ...analysis.circuit import Circuit
from ...analysis.comparison import Comparison
from ...analysis.embedding import EmbeddingChange
from ...analysis.generation import Generation
from ...analysis.headkinds import HeadKinds
from ...analysis.headscores import HeadScores
from ...analysis.lens import LogitLens
from ...analysis.outcome import Outcome
from ...analysis.overview import Overview
from ...analysis.ovresult import OVCircuit
from ...analysis.qkresult import QKCircuit
from ...analysis.qkscores import QKScores
from ...analysis.studied import Study
from ...analysis.weighted import ValueWeighted
from ...errors import AttnWidgetError
from ...many import DatasetKinds, DatasetScores, DatasetStudy
from ...run import Run
from .circuit import circuit_graph
from .compare import compared
from .generation import generation_texts
from .grid import scores_grid
from .inside import ov_map, qk_map, qk_pairs
from .kinds import kinds_dots
from .lens import lens_table
from .outcome import embedding_table, outcome_bars
from .ranking import ranking_bars, scatter
from .runs import aggregate_of, attention_of, patterns, weighted_of
from .said import overview_list
from .sheet import Sheet
from .study import study_curve

__all__ = ["Sheet", "figure_of"]


def _scores(scores: HeadScores, *, as_: str = "grid", estimate: HeadScores | None = None, **options: object) -> Sheet:
    """`as_`: "grid", "ranking", or "scatter" against an `estimate`."""
    if as_ == "grid":
        return scores_grid(scores, **options)
    if as_ == "ranking":
        return ranking_bars(scores, estimate=estimate, **options)
    if as_ == "scatter" and estimate is not None:
        return scatter(scores, estimate, **options)
    raise AttnWidgetError(f'as_ must be "grid", "ranking" or, with estimate=, "scatter", not {as_!r}.')


def _run(run: Run, *, heads: object = None, **options: object) -> Sheet:
    return patterns(run, **options) if heads is None else attention_of(run, heads, **options)


_DRAWN: dict[type, Callable[..., Sheet]] = {
    AttentionAggregate: aggregate_of,
    Circuit: circuit_graph,
    Comparison: compared,
    DatasetKinds: lambda found, **options: kinds_dots(found.kinds, **options),
    DatasetScores: lambda found, *, part="mean", **options: _scores(found.scores(part), **options),
    DatasetStudy: lambda found, *, part="share", **options: _scores(found.scores(part), **options),
    EmbeddingChange: lambda change, **options: embedding_table([change], **options),
    Generation: generation_texts,
    HeadKinds: kinds_dots,
    HeadScores: _scores,
    LogitLens: lens_table,
    OVCircuit: ov_map,
    Outcome: outcome_bars,
    Overview: overview_list,
    QKCircuit: qk_pairs,
    QKScores: qk_map,
    Run: _run,
    Study: study_curve,
    ValueWeighted: weighted_of,
}


def figure_of(result: object, **options: object) -> Sheet:
    """The picture of a result. `width` is common to all: inches, or a text such as "84mm"."""
    for kind in type(result).__mro__:
        if kind in _DRAWN:
            return _DRAWN[kind](result, **options)
    known = ", ".join(kind.__name__ for kind in _DRAWN)
    raise AttnWidgetError(f"There is no picture of a {type(result).__name__}: there are those of {known}.")
