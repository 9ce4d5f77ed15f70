"""The widget's panels as pictures for papers: what is chosen is drawn, from results and never from the browser."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..analysis import embedding_change, generate, logit_lens, outcome, ov, overview, qk, value_weighted
from ..analysis.aggregates import attention_rollout, mean_attention
from ..analysis.headscores import HeadScores
from ..errors import AttnWidgetError
from ..heads import Head, HeadsLike
from .kinds import detected

if TYPE_CHECKING:
    from ..export.figures import Sheet

_LENS_POSITIONS = 40  # a wider table cannot be read on paper
_MADE_IN_A_CELL = "There is no {what} of this prompt yet: ask for one in its tab, or draw one that a cell made, {call}.to_svg(path)."


class Figures:
    """The part of `AttentionWidget` that draws itself. Each panel is a method `_{name}`, whose options are those of `figure`."""

    def figure(self, panel: str = "attention", **options: object) -> Sheet:
        """A panel as it is chosen now, in the light theme, with a caption that says how its numbers were made.

        Args:
            panel: grid, tokens, outcome, attention, ranking, overview, kinds, lens, generation, study, circuit, compare or inside.
            **options: `width` for all: inches as a number, or a text such as "84mm". The others are listed in docs/pictures.md:
                `heads=` and `view="large" | "small" | "lines"` of attention, `cells="patterns" | "scores"` of the grid,
                `part="qk" | "ov"` of inside, and so on.

        What has not been computed yet is computed here: for the grid's scores that is a sweep over every head.
        """
        drawn = PANELS.get(panel)
        if drawn is None:
            raise AttnWidgetError(f"No picture of a panel {panel!r}: there are {', '.join(PANELS)}.")
        return drawn(self, **options)

    def to_svg(self, path: str | Path, panel: str = "attention", **options: object) -> Path:
        """Writes a panel (see `figure`) as SVG with real text, the same bytes each time, and returns where."""
        return self.figure(panel, **options).to_svg(path)

    def to_png(self, path: str | Path, panel: str = "attention", *, dpi: float = 300, **options: object) -> Path:
        """Writes a panel (see `figure`) as PNG and returns where."""
        return self.figure(panel, **options).to_png(path, dpi=dpi)

    def to_pdf(self, path: str | Path, panel: str = "attention", **options: object) -> Path:
        """Writes a panel (see `figure`) as PDF with its fonts embedded and returns where."""
        return self.figure(panel, **options).to_pdf(path)


def looked_at(w) -> list[Head]:
    """The heads whose maps are on screen: the large one first."""
    return list(dict.fromkeys((*w.shown, *w.selected)))


def at_query(w) -> int:
    return w.query % len(w.tokens)


def _about(w) -> dict:
    """`position`, `target` and `against` as functions of `analysis` take them."""
    return {"position": None if w.position == -1 else w.position, "target": w.target or None, "against": w.against or None}


def _grid(w, *, cells: str | None = None, bars: bool = False, width: float | str | None = None) -> Sheet:
    """`bars`: with patterns, each head's score under its cell."""
    from ..export.figures import grid, runs

    cells = cells or w.cell_view
    if cells not in ("patterns", "scores"):
        raise AttnWidgetError(f'cells must be "patterns" or "scores", not {cells!r}.')
    marks = {"selected": w.selected, "shown": w.shown, "width": width}
    if cells == "scores":
        return grid.scores_grid(w.scores, ablated=w.ablated, **marks)
    return runs.patterns(w.run, hide_first=w.hide_first, scores=w.scores if bars else None, **marks)


def strip_weights(w) -> tuple[np.ndarray | None, str]:
    """What the query looks at, [key]: the mean over the selected heads that are on; and of whom that is."""
    run, query = w.run, at_query(w)
    picked = list(w.selected or w.shown)
    live = [head for head in picked if head not in w.ablated] or picked
    if not live:
        return None, "no head selected"
    rows = np.stack([(run.clean if head in w.ablated else run).pattern(head)[query].double().cpu().numpy() for head in live])
    if w.hide_first:
        rows[:, 0] = np.nan
    names = ", ".join(map(str, live[:6])) + (f" and {len(live) - 6} more" if len(live) > 6 else "")
    return rows.mean(0), (names if len(live) == 1 else f"mean of {names}") + (", first key hidden" if w.hide_first else "")


def _tokens(w, *, width: float | str | None = None) -> Sheet:
    from ..export.figures.runs import made_of
    from ..export.figures.tokens import token_strip

    weights, whose = strip_weights(w)
    return token_strip(w.tokens, weights, at_query(w), f"{whose}; {made_of(w.run)}", width=width)


def _outcome(w, *, rows: int = 10, width: float | str | None = None) -> Sheet:
    from ..export.figures.outcome import embedding_table, outcome_bars

    if w.model.answer != "none":
        return outcome_bars(outcome(w.run, **_about(w), k=rows), rows=rows, width=width)
    if not w.ablated:
        raise AttnWidgetError(
            f"{w.model.name} has no head that answers, so its outcome is how far an ablation moves its embedding: ablate."
        )
    return embedding_table([embedding_change(w.run, pooling=pooling) for pooling in ("mean", "cls")], width=width)


def _attention(
    w,
    *,
    heads: HeadsLike | None = None,
    view: str | None = None,
    kind: str | None = None,
    aggregate: str | None = None,
    width: float | str | None = None,
) -> Sheet:
    """`kind` is what `w.attention_kind` may be; `aggregate` "mean" (of `heads`), "layer" (of the first of them) or "rollout"."""
    from ..export.figures import runs

    wanted = looked_at(w) if heads is None else heads
    if aggregate is not None:
        return runs.aggregate_of(_aggregate(w, aggregate, wanted), width=width)
    if heads is None and not wanted:
        raise AttnWidgetError("No head is selected: name some, heads=['L0H0'], or set w.selected.")
    if heads is None and view is None:
        view = "lines" if w.attention_view == "lines" else None
    if heads is None and view in (None, "large", "lines"):
        wanted = wanted[:1]  # the one that is drawn large
    kind = kind or w.attention_kind
    if kind in ("raw", "change"):
        left = {"hide_first": w.hide_first, "renormalise": w.renormalise}
        return runs.attention_of(w.run, wanted, view=view, change=kind == "change", query=at_query(w), width=width, **left)
    about = _about(w) if kind == "signed" else {}
    found = value_weighted(w.run, wanted, kind, normalise=w.row_normalised and kind in ("v_norm", "vo_norm"), **about)
    return runs.weighted_of(found, view=view, causal=w.model.causal and kind != "z_cosine", width=width)


def _aggregate(w, how: str, heads: Sequence[Head]):
    first = "keep" if not w.hide_first else "renormalise" if w.renormalise else "hide"
    if how == "rollout":
        return attention_rollout(w.run)
    if how not in ("mean", "layer"):
        raise AttnWidgetError(f'aggregate must be "mean", "layer" or "rollout", not {how!r}.')
    if not heads:
        raise AttnWidgetError("No head is selected: name some, heads=['L0H0'], or set w.selected.")
    return mean_attention(w.run, heads, first=first) if how == "mean" else mean_attention(w.run, layers=Head(*heads[0]).layer, first=first)


def _ranking(w, *, estimate: HeadScores | None = None, k: int = 16, width: float | str | None = None) -> Sheet:
    from ..export.figures.ranking import ranking_bars

    return ranking_bars(w.scores, estimate=estimate, k=k, ablated=w.ablated, width=width)


def _overview(w, *, width: float | str | None = None) -> Sheet:
    return overview(w.run, **_about(w)).figure(width=width)


def _kinds(w, *, rule: str = "fixed", width: float | str | None = None) -> Sheet:
    return detected(w.model).figure(rule=rule, width=width)


def _lens(
    w, *, positions: Sequence[int] | None = None, middle: bool = False, ink_of: str = "probability", width: float | str | None = None
):
    """`positions`: by default all, or the last 40."""
    n = len(w.tokens)
    at = range(max(0, n - _LENS_POSITIONS), n) if positions is None else positions
    return logit_lens(w.run, list(at), target=w.target or None, middle=middle).figure(ink_of=ink_of, middle=middle, width=width)


def _generation(w, *, max_new_tokens: int = 20, step: int | None = None, width: float | str | None = None, **how: object) -> Sheet:
    """`how`: as `generate` takes it (temperature, seed ...)."""
    return generate(w.run, max_new_tokens, **how).figure(step=step, width=width)


def _study(w, *, width: float | str | None = None) -> Sheet:
    if w.study is None:
        raise AttnWidgetError(_MADE_IN_A_CELL.format(what="study", call="study(w.run)"))
    return w.study.figure(width=width)


def _circuit(w, *, edges: int | None = None, width: float | str | None = None) -> Sheet:
    if w.circuit is None:
        raise AttnWidgetError(_MADE_IN_A_CELL.format(what="circuit", call="discover_circuit(w.run.clean, counterfactual)"))
    return w.circuit.figure(edges=edges, width=width)


def _compare(w, *, head: Head | None = None, by: str = "js", k: int = 8, width: float | str | None = None) -> Sheet:
    if w.comparison is None:
        raise AttnWidgetError(_MADE_IN_A_CELL.format(what="comparison", call="compare(w.run.clean, model.run(w.other))"))
    return w.comparison.figure(head=head or next(iter(w.shown), None), by=by, k=k, width=width)


def _inside(w, *, part: str = "qk", head: Head | None = None, width: float | str | None = None) -> Sheet:
    if part not in ("qk", "ov"):
        raise AttnWidgetError(f'part must be "qk" or "ov", not {part!r}.')
    chosen = head if head is not None else next(iter(looked_at(w)), None)
    if chosen is None:
        raise AttnWidgetError("No head is selected: name one, head='L0H0', or set w.shown.")
    if part == "qk":
        return qk(w.run, chosen).figure(width=width)
    return ov(w.model, chosen, list(w.run.ids)).figure(width=width)


PANELS: dict[str, Callable[..., Sheet]] = {
    "grid": _grid,
    "tokens": _tokens,
    "outcome": _outcome,
    "attention": _attention,
    "ranking": _ranking,
    "overview": _overview,
    "kinds": _kinds,
    "lens": _lens,
    "generation": _generation,
    "study": _study,
    "circuit": _circuit,
    "compare": _compare,
    "inside": _inside,
}
