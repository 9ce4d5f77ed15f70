"""`score`: every head of a run, by the method, metric and ablation asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Integral

import numpy as np

from ..ablation import MODES, Ablation, make_ablation
from ..errors import AttnWidgetError, ModeError
from ..heads import Head, HeadsLike, parse_heads
from ..run import Run
from .attribution import attribution, gradient, gradient_activation
from .direct import direct_logit, output_norm
from .headscores import HeadScores
from .integrated import integrated_gradients
from .measure import EMBEDDING_METRICS, METRICS, Measure, make_measure, named
from .method import Asked, Found, Method, Partial, Progress, Rows
from .origin import origin
from .qkfix import attribution_qkfix
from .sweep import ablation

_UNGIVEN = {"mode": "zero", "reference": None, "positions": None, "scale": 0.0, "threshold": 0.1, "seed": 0}
_ALL = tuple(METRICS)
_KNOWN = {**METRICS, **EMBEDDING_METRICS}
_SMOOTH = tuple(name for name in METRICS if name != "kl")
_SMOOTH_FIRST = ("logit_diff", *(name for name in _SMOOTH if name != "logit_diff"))

METHODS: dict[str, Method] = {
    m.name: m
    for m in (
        Method("ablation", "ablation", "each head ablated alone, measured", True, None, "effect", ablation, _ALL, None),
        Method(
            "attribution",
            "attribution",
            "Σ (z* − z) · ∂effect/∂z, first order",
            False,
            None,
            "effect",
            attribution,
            _ALL,
            None,
            {"top_tokens": 8},
        ),
        Method(
            "attribution_qkfix",
            "attribution, softmax recomputed",
            "Σ (A* − A) · ∂effect/∂A, A* the pattern with {node} replaced",
            False,
            None,
            "effect",
            attribution_qkfix,
            _SMOOTH_FIRST,
            ("zero", "resample"),
            {"node": "k"},
        ),
        Method(
            "integrated_gradients",
            "integrated gradients",
            "Σ (z* − z) · mean of ∂effect/∂z on the way from z* to z, {steps} midpoints",
            False,
            None,
            "effect",
            integrated_gradients,
            _ALL,
            tuple(name for name, mode in MODES.items() if mode.acts_on == "z"),
            {"steps": 10},
        ),
        Method(
            "gradient",
            "|attention × gradient|",
            "Σ |A · ∂effect/∂A|, a slope and no effect",
            False,
            False,
            "effect",
            gradient,
            _SMOOTH_FIRST,
        ),
        Method(
            "gradient_activation",
            "gradient × activation",
            "−Σ z · ∂effect/∂z, first order",
            False,
            True,
            "effect",
            gradient_activation,
            _SMOOTH_FIRST,
        ),
        Method(
            "direct_logit",
            "direct logit attribution",
            "z W_O · (W_U[target] − W_U[against]), final norm frozen",
            True,
            True,
            "effect",
            direct_logit,
            ("logit_diff",),
        ),
        Method("output_norm", "output norm", "‖z W_O‖ at one position", True, False, "statistic", output_norm),
    )
}


def score(
    run: Run,
    method: str = "ablation",
    *,
    metric: str | None = None,
    target: str | int | None = None,
    against: str | int | None = None,
    mode: str = "zero",
    position: int | None = None,
    heads: HeadsLike | None = None,
    positions: Sequence[int] | int | None = None,
    reference: object = None,
    scale: float = 0.0,
    threshold: float = 0.1,
    seed: int = 0,
    chunk: int | None = None,
    progress: Progress | None = None,
    partial: Partial | None = None,
    **options: object,
) -> HeadScores:
    """One number for every head of `run`, by one of `METHODS`; `docs/scores.md` has the formulas, costs and sources.

    Args:
        run: what effects are measured from. With an ablated run they are conditional: what each further head adds to it.
        method: `ablation` is measured, one forward a head; `attribution`, `attribution_qkfix` and `integrated_gradients` estimate it;
            `gradient`, `gradient_activation`, `direct_logit` and `output_norm` are what they say.
        metric: one of `METRICS`, where the method asks something of the answer; by default KL for what can measure it,
            else the logit difference. Of a model without a head, `ablation` takes one of `EMBEDDING_METRICS`.
        target, against: tokens; by default the clean run's first choice and the best other token.
        mode, positions, reference, scale, threshold, seed: what is done to a head, as in `Run.ablate`.
        position: where the answer is read; by default the last token, or the first mask.
        heads: which heads are scored; by default all. The others are NaN.
        chunk: heads a chunk; by default as many as the memory budget allows. Smaller chunks mean earlier progress, and more work.
        progress: `progress(done, total, text)` between chunks; what it raises ends the computation.
        partial: `partial(values, known)` after each chunk.
        **options: `steps` (integrated gradients), `node` "q" or "k" (attribution_qkfix), `top_tokens` (attribution of KL).

    Heads that the mode is undefined for are NaN, and so are those that are ablated in `run` already, but for `direct_logit` and
    `output_norm`: those say what such a head puts out as it is, and the sum needs it.
    """
    _refuse_unused(method, metric, target=target, against=against)
    _refuse_position(run, method, metric, position)
    asked = {"target": target, "against": against, "mode": mode, "position": position, "positions": positions, "reference": reference}
    asked |= {
        "heads": heads,
        "scale": scale,
        "threshold": threshold,
        "seed": seed,
        "chunk": chunk,
        "progress": progress,
        "partial": partial,
    }
    (found,) = score_each(run, method, (metric,), **asked, **options).values()
    return found


def score_each(
    run: Run,
    method: str = "ablation",
    metrics: Sequence[str | None] = ("kl",),
    *,
    target: str | int | None = None,
    against: str | int | None = None,
    mode: str = "zero",
    position: int | None = None,
    heads: HeadsLike | None = None,
    positions: Sequence[int] | int | None = None,
    reference: object = None,
    scale: float = 0.0,
    threshold: float = 0.1,
    seed: int = 0,
    chunk: int | None = None,
    progress: Progress | None = None,
    partial: Partial | None = None,
    rows: Rows | None = None,
    **options: object,
) -> dict[str | None, HeadScores]:
    """`score` for several metrics at one position, by name. A sweep answers all of them in the passes of one, and gives `rows` the answers
    themselves."""
    if method not in METHODS:
        raise AttnWidgetError(f"No method {method!r}: there are {', '.join(METHODS)}.")
    chosen = METHODS[method]
    if unknown := sorted(set(options) - set(chosen.options)):
        takes = f"it takes {', '.join(chosen.options)}" if chosen.options else "it takes none"
        raise AttnWidgetError(f"{method!r} has no option {unknown[0]!r}: {takes}.")
    if chunk is not None and (isinstance(chunk, bool) or not isinstance(chunk, Integral) or chunk < 1):
        raise AttnWidgetError(f"chunk must be a whole number of heads, 1 or more, not {chunk!r}; leave it out for as many as fit.")
    names = [_metric(chosen, metric) for metric in metrics]
    if "top_tokens" in options and "kl" not in names:
        raise AttnWidgetError("top_tokens is about the attribution of KL: leave it out, or ask for metric='kl'.")
    measures = [make_measure(run, name, target=target, against=against, position=position) for name in names if name is not None]
    parameters = {"positions": positions, "scale": scale, "threshold": threshold, "seed": seed}
    ablate = _ablating(run, chosen, mode, parameters, run._references(reference))
    every = scorable(run, chosen, mode)
    wanted = set(every if heads is None else parse_heads(heads, run.model.n_layers, run.model.n_heads))
    baseline = ablate(every[:1]).describe() if chosen.modes != () and every else ""

    def ask(*some: Measure) -> Found:
        return chosen.compute(
            Asked(
                run=run,
                measures=some,
                ablate=ablate,
                heads=tuple(head for head in every if head in wanted),
                options={**chosen.options, **options},
                chunk=chunk,
                progress=progress or (lambda done, total, text: None),
                partial=partial or (lambda values, known: None),
                position=position,
                rows=rows,
            )
        )

    def result(found: Found, values: np.ndarray, measure: Measure | None) -> HeadScores:
        model = run.model
        asks = measure is not None
        formula = found.formula or chosen.formula.format(**{**chosen.options, **options})
        if asks and chosen.signed is not None and method != "direct_logit":
            formula += f"; effect: {measure.label}"  # which the label does not say
        return HeadScores(
            # An overflow of half precision is undefined, as 0/0 is.
            values=np.where(np.isfinite(values), values, np.nan),
            method=method,
            label=measure.label if asks and chosen.signed is None else chosen.label,
            formula=formula,
            unit=measure.metric.unit if asks else chosen.unit,
            exact=chosen.exact if found.exact is None else found.exact,
            signed=measure.metric.signed if chosen.signed is None else chosen.signed,
            kind=chosen.kind,
            metric=measure.metric.name if asks else None,
            target=model.token(measure.target) if asks and measure.target is not None else None,
            against=model.token(measure.against) if asks and measure.against is not None else None,
            position=measure.position if asks else run.position(position),
            mode=mode if chosen.modes != () else None,
            baseline=baseline if found.baseline is None else found.baseline,
            processing=model.processing,
            dtype=model.precision,
            conditional=run.ablation.heads,
            condition=run.ablation.describe() if run.ablation.heads else "",
            extra=found.extra,
            parts=found.parts,
            origin=origin(run),
        )

    if not measures:
        found = ask()
        return {None: result(found, found.values, None)}
    if method == "ablation":
        found = ask(*measures)
        return {m.metric.name: result(found, v, m) for m, v in zip(measures, (found.values, *found.others), strict=True)}
    return {m.metric.name: result(found := ask(m), found.values, m) for m in measures}


def _metric(method: Method, metric: str | None) -> str | None:
    if not method.metrics:
        if metric is not None:
            raise AttnWidgetError(f"{method.name!r} asks nothing of the answer, so it takes no metric: leave metric= out.")
        return None
    name = method.metrics[0] if metric is None else metric
    if not isinstance(name, str):
        raise AttnWidgetError(f"metric must be the name of one ({', '.join(METRICS)}), not {name!r}: score_each takes several.")
    if name in EMBEDDING_METRICS:
        if method.name != "ablation":
            raise AttnWidgetError(f"The change of an embedding is measured, by 'ablation', and not estimated by {method.name!r}.")
        return name
    if name in METRICS and name not in method.metrics:
        raise AttnWidgetError(_refused(method, name))
    return name


def _refuse_unused(method: str, metric: str | None, **tokens: object) -> None:
    """A token that plays no part in the answer was meant for another metric. Several metrics may each need their own."""
    if method not in METHODS:
        return  # which `score_each` says
    name = _metric(METHODS[method], metric)
    needs = _KNOWN[name].needs if name in _KNOWN else ()
    for token, value in tokens.items():
        if named(value) and token not in needs and (name is None or name in _KNOWN):
            asks, way = (f"metric {name!r}", ", or ask for metric='logit_diff'") if name else (f"{method!r}", "")
            raise AttnWidgetError(f"{asks} takes no {token}: leave {token}= out{way}.")


def _refuse_position(run: Run, method: str, metric: str | None, position: int | None) -> None:
    """As with tokens; `score_each` may be asked about a position and, beside that, for a number of the whole prompt."""
    name = _metric(METHODS[method], metric) if method in METHODS else None
    if position is None or name not in _KNOWN:
        return
    if _KNOWN[name].whole:
        raise AttnWidgetError(f"metric {name!r} is about the whole prompt, so it takes no position: leave position={position!r} out.")
    if run.model.answer == "class":
        raise AttnWidgetError(
            f"{run.model.name} answers once for the whole text, so there is no position: leave position={position!r} out."
        )


def _refused(method: Method, metric: str) -> str:
    if metric == "kl":
        return (
            f"KL has no gradient at the run it is measured from, so {method.name!r} of it would be 0 for every head: "
            f"ask for {', '.join(map(repr, method.metrics[:3]))}, or for 'attribution', which takes the KL of linearised logits."
        )
    return f"{method.name!r} is defined for {', '.join(map(repr, method.metrics))}, not for {metric!r}."


def _ablating(
    run: Run, method: Method, mode: str, parameters: dict, reference: tuple[Run, ...] | None
) -> Callable[[Sequence[Head]], Ablation]:
    if method.modes == ():
        given = {"mode": mode, "reference": reference, **parameters}
        if unused := [name for name, value in given.items() if value != _UNGIVEN[name]]:
            raise ModeError(f"{method.name!r} ablates nothing, so it takes no {unused[0]}: leave {unused[0]}= out.")
    elif mode in MODES and method.modes is not None and mode not in method.modes:
        raise ModeError(f"{method.name!r} can speak of the modes {', '.join(map(repr, method.modes))}, not of {mode!r}.")

    def ablate(heads: Sequence[Head]) -> Ablation:
        return make_ablation(run.clean, list(heads), mode, reference=reference, **parameters)

    return ablate


def scorable(run: Run, method: Method, mode: str) -> tuple[Head, ...]:
    """The heads that have a score: all but those that are ablated in `run` already, and those that the mode is undefined for."""
    off = set(run.ablation.heads) if method.modes != () else set()
    lowest = 1 if mode == "previous" and method.modes != () else 0
    every = (Head(layer, head) for layer in range(lowest, run.model.n_layers) for head in range(run.model.n_heads))
    return tuple(head for head in every if head not in off)
