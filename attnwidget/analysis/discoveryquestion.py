"""What is asked when a circuit is asked for, checked; and the ways of ranking edges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral

from ..errors import AttnWidgetError
from ..run import Run
from .circuitruns import require_memory
from .edgegraph import EdgeGraph, edge_graph
from .headkinds import HeadKinds
from .measure import Measure, make_measure, named
from .patching import Pair, make_pair
from .secondprompt import Counterfactual

LIMIT = 5_000
"""Edges that "exact" patches unless told to patch more."""


@dataclass(frozen=True)
class EdgeMethod:
    """A way of giving every edge a score; label and formula have {steps} to be filled in."""

    name: str
    label: str
    formula: str
    exact: bool
    needs_counterfactual: bool = True


METHODS: dict[str, EdgeMethod] = {
    method.name: method
    for method in (
        EdgeMethod(
            "eap_ig",
            "EAP-IG, {steps}",
            "Σ_position (counterfactual output − clean) · mean of ∂drop/∂input at {steps} from the counterfactual embeddings to the clean",
            False,
        ),
        EdgeMethod("eap", "EAP", "Σ_position (counterfactual output − clean) · ∂drop/∂input at the clean run", False),
        EdgeMethod("exact", "every edge patched", "drop of the metric with this edge alone carrying the counterfactual's output", True),
        EdgeMethod(
            "information_flow",
            "information flow",
            "flow from the answer, shared as relu(‖y‖₁ − ‖y − x‖₁) among all x that y is the sum of; through values, not queries and keys",
            False,
            False,
        ),
    )
}


@dataclass(frozen=True)
class CircuitQuestion:
    """A checked question; `pair` where there is a counterfactual. The rest is as `discover_circuit` takes it."""

    run: Run
    graph: EdgeGraph
    measure: Measure
    pair: Pair | None
    method: str
    steps: int
    edges: int
    random: int
    seed: int
    checks: bool
    sizes: tuple[int, ...] | None
    limit: int

    def words(self, name: str) -> str:
        """Label or formula of the method."""
        return getattr(METHODS[self.method], name).format(steps=f"{self.steps} step{'' if self.steps == 1 else 's'}")


def ask(
    run: object, counterfactual: object, method: object, about: Mapping[str, object], how: Mapping[str, object], kinds: object = None
) -> CircuitQuestion:
    """Checks a question. `about` is metric, target, against and position; `how` steps, edges, random, seed, checks, sizes and limit;
    `kinds` is what `detect_heads` found, or None."""
    if not isinstance(run, Run):
        raise AttnWidgetError(f"discover_circuit takes a run, model.run(prompt), not {type(run).__name__}.")
    if not isinstance(method, str) or method not in METHODS:
        raise AttnWidgetError(f"No method {method!r}: there are {', '.join(METHODS)}.")
    if isinstance(about["metric"], str) and about["metric"] == "perplexity":
        raise AttnWidgetError("A circuit is of an answer at one position, and 'perplexity' is of all: ask for 'logit_diff' or 'kl'.")
    if run.ablation.heads:
        raise AttnWidgetError("A circuit is of a clean run, and this one has heads ablated: give its .clean.")
    if counterfactual is None and METHODS[method].needs_counterfactual:
        raise AttnWidgetError(
            f"Method {method!r} needs a counterfactual, whose activations stand in for what a circuit leaves out: give one, as in "
            "discover_circuit(run, counterfactual(run, swap=('John', 'Mary'))), or ask for 'information_flow', which is not about a task."
        )
    numbers = {name: _whole(name, how[name], least) for name, least in _LEAST.items()}
    if not isinstance(how["checks"], bool):
        raise AttnWidgetError(f"checks must be True or False, not {how['checks']!r}.")
    sizes = None if how["sizes"] is None else tuple(_whole("sizes", size, 1) for size in _several("sizes", how["sizes"]))
    if kinds is not None and not isinstance(kinds, HeadKinds):
        raise AttnWidgetError(f"kinds must be what detect_heads(model) returned, or None to have that asked for, not {_said(kinds)}.")
    graph, measure, pair = _compared(run, counterfactual, about)
    if method == "information_flow" and measure.position is None:
        raise AttnWidgetError(
            f"Information flow starts at the position of the answer, and {run.model.name} gives one answer for the whole prompt: "
            "ask for 'eap_ig' with a counterfactual."
        )
    return CircuitQuestion(run, graph, measure, pair, str(method), checks=how["checks"], sizes=sizes, **numbers)


_LEAST = {"steps": 1, "edges": 1, "random": 0, "seed": None, "limit": 1}


def _whole(name: str, value: object, least: int | None) -> int:
    if isinstance(value, bool) or not isinstance(value, Integral) or (least is not None and value < least):
        raise AttnWidgetError(f"{name} must be a whole number{'' if least is None else f' of {least} or more'}, not {value!r}.")
    return int(value)


def _several(name: str, value: object) -> list[object]:
    try:
        return list(value)
    except TypeError:
        raise AttnWidgetError(f"{name} must be a list of whole numbers of 1 or more, as in [1, 10, 100], not {_said(value)}.") from None


def _said(value: object) -> str:
    """A value as an error shows it, not at length."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _compared(run: Run, other: object, about: Mapping[str, object]) -> tuple[EdgeGraph, Measure, Pair | None]:
    if other is None:
        metric, tokens = about["metric"], {name: value for name, value in about.items() if name != "metric"}
        return edge_graph(run), make_measure(run, metric, **tokens), None
    if isinstance(other, Counterfactual):
        about, other = _as_made(run, other, about), other.run
    elif not isinstance(other, Run):
        if not hasattr(other, "__iter__"):
            raise AttnWidgetError(
                "The counterfactual must be what counterfactual(run, ...) returned, a run, a text or a list of token ids, not "
                f"{_said(other)}: make one with counterfactual(run, ...)."
            )
        other = run.model.run(other, prepend_bos=run.prepend_bos)
    pair = make_pair(run, other, **about)
    require_memory(pair.graph, run.model.engine, run._recording)
    if abs(pair.effect_of_all) <= pair.rounding:
        raise AttnWidgetError(
            f"Both prompts give the same answer but for rounding ({pair.measure.label} between them is {pair.effect_of_all:.2g}, and "
            f"rounding alone makes up to {pair.rounding:.2g}), so there is nothing to explain: change a word that the answer depends on, "
            "or ask for another metric, target or position."
        )
    return pair.graph, pair.measure, pair


def _as_made(run: Run, other: Counterfactual, about: Mapping[str, object]) -> dict[str, object]:
    """The question that a counterfactual was made for, where nothing else was said."""
    if other.clean.ids != run.ids:
        raise AttnWidgetError("This counterfactual was made for another prompt: make one with counterfactual(run, ...).")
    about = dict(about)
    if about["position"] is None:
        about["position"] = other.position
    if run.position(about["position"]) != other.position:
        return about
    if not named(about["target"]):
        about["target"] = other.target.id
    if not named(about["against"]) and other.against is not None and run.model.token_id(about["target"]) == other.target.id:
        about["against"] = other.against.id
    return about
