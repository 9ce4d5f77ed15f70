"""A circuit in words: how it was found, and the cell that finds it again."""

from __future__ import annotations

from .. import metrics
from ..model import Model
from ..run import Run
from .discoveryquestion import CircuitQuestion
from .measure import Measure
from .recipe import run_code


def value_of(measure: Measure, run: Run) -> float:
    """The metric itself of a run's answer, of which `Measure.effect` is a difference; of KL, that from the clean answer."""
    name, row = measure.metric.name, run.logits_at(measure.position)
    if name == "logit_diff":
        return (row[measure.target].double() - row[measure.against].double()).item()
    if name == "probability":
        return metrics.probability(row, measure.target)
    if name == "log_probability":
        return metrics.log_probabilities(row)[measure.target].item()
    return metrics.entropy(row) if name == "entropy" else metrics.kl(measure.row(measure.before), row)


def note(asked: CircuitQuestion, taken: int, kept: int) -> str:
    """One line: what was asked, what stands in for what is left out, on which weights."""
    run, measure, pair = asked.run, asked.measure, asked.pair
    at = "last token" if measure.position == len(run.ids) - 1 else f"token {measure.position}"
    at = at if measure.position is not None else "the model's one answer"
    parts = []
    if pair is None:
        parts.append(f"where the answer's stream at the {at} was written, whatever is asked of it: not about a task")
        parts.append("no counterfactual, so neither edges nor circuit were measured")
    else:
        changed = sum(a != b for a, b in zip(run.ids, pair.counterfactual.ids, strict=True))
        tokens = f"{changed} token{'' if changed == 1 else 's'}"
        parts.append(f"{measure.label}, {at}")
        parts.append(f"m(M) − m(∅) = {pair.effect_of_all:.4g}")
        parts.append(f"what is left out carries what it carries in a prompt with {tokens} changed")
        if asked.method == "information_flow":
            parts.append("ranked by flow, which is not about a task")
    if taken == 0:
        exact = asked.method == "exact"
        parts.append(f"no edge's effect exceeds rounding, {pair.rounding:.2g}" if exact else "no edge has a score other than 0")
    elif kept == 0:
        top = "the top edge does not lie" if taken == 1 else f"none of the top {taken} edges lies"
        parts.append(f"{top} on a path from embed to logits within them: take more")
    parts += [run.model.processing, run.model.precision]
    line = "; ".join(parts)
    return f"{line[0].upper()}{line[1:]}."


def python(asked: CircuitQuestion) -> str:
    """The cell that computes the same; `model` is what `load_model` returned."""
    run, measure, pair = asked.run, asked.measure, asked.pair
    given = [] if pair is None else [_prompt(run, pair.counterfactual)]
    given.append(f'method="{asked.method}"')
    given += [f"steps={asked.steps}"] if asked.method == "eap_ig" else []
    if pair is not None:
        tokens = {name: token for name in ("target", "against") if (token := getattr(measure, name)) is not None}
        given += [f'metric="{measure.metric.name}"', *(f"{name}={_token(run.model, token)}" for name, token in tokens.items())]
    given += [] if measure.position is None else [f"position={measure.position}"]
    given.append(f"edges={asked.edges}")
    if pair is not None:
        given += [f"random={asked.random}", f"seed={asked.seed}"] + ([] if asked.checks else ["checks=False"])
        given += [] if asked.sizes is None else [f"sizes={list(asked.sizes)}"]
        given += [f"limit={asked.limit}"] if asked.method == "exact" else []
    return f"from attnwidget import discover_circuit\nrun = {run_code(run)}\ncircuit = discover_circuit(run, {', '.join(given)})"


def _prompt(run: Run, other: Run) -> str:
    """The text of a prompt where it gives these ids, else the ids; BOS as `run` has it."""
    model = other.model
    if model.vocabulary.tokenizer is None:
        return repr(list(other.ids))
    text, _ = model.vocabulary.spelled(list(other.ids), bool(run.prepend_bos))
    try:
        same = tuple(model.encode(text, run.prepend_bos)) == other.ids
    except ValueError:
        same = False
    return repr(text) if same else repr(list(other.ids))


def _token(model: Model, token_id: int) -> str:
    text = model.token(token_id)
    try:
        same = model.token_id(text) == token_id
    except ValueError:
        same = False
    return repr(text) if same else str(token_id)
