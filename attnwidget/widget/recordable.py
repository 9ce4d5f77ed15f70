"""What a recording can hold, part by part: which answers belong to it, and whether there are any."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..analysis.kinds import KINDS
from ..analysis.lens import refused_lens
from ..analysis.overview import overview
from ..analysis.singles import Singles
from . import arguments, compared, embedding, lens
from .asking import CHOICES, CLEAN, LIFTS, TOP_K
from .comparing import WAYS
from .question import question
from .recorder import Recorder

LENS_MOST = 512
"""Positions of the lens: of a longer prompt the last ones."""
_GENERATE = {"max_new_tokens": 40, "temperature": 0.0, "top_k": 0, "top_p": 1, "seed": 0, "forced_on": "control"}
_SLOW = ("attribution_qkfix", "integrated_gradients", "gradient", "gradient_activation")
"""Scores that are recorded where they were asked for, or are on screen: each costs many forwards."""


@dataclass(frozen=True)
class Part:
    """`record` keeps the answers; `refused` says why there is nothing to keep; `there` whether nothing has to be computed."""

    label: str
    record: Callable[[Recorder], None]
    refused: Callable[[Recorder], str | None]
    there: Callable[[Recorder], bool] = lambda of: False


# -- always -------------------------------------------------------------------------------------------------------------


def base(of: Recorder) -> None:
    """The answer, with nothing ablated and with what is ablated now, and where the heads on screen look then."""
    asking = of.asking
    for ablation in asking.ablations:
        answered(of, ablation)
    if asking.state["ablated"] and asking.heads and of.model.selftest.reads_patterns:
        most = max(1, 2_000_000 // asking.tokens**2)
        of.attempt(lambda: of.keep_present_patterns(asking.heads[:most]))


def answered(of: Recorder, ablation: dict) -> None:
    """What the model answers with this ablation, where it has an answer."""
    if of.model.answer == "none":
        if ablation["heads"]:
            of.try_ask("embedding", {"ablation": ablation})
        return
    of.try_ask("outcome", {"ablation": ablation, **of.asking.about, "k": TOP_K})
    if of.model.answer in ("next", "mask"):
        of.try_ask("whole_prompt", {"ablation": ablation})


# -- the parts ----------------------------------------------------------------------------------------------------------


def _patterns(of: Recorder) -> None:
    of.keep_patterns(of.every_head)


def _some_patterns(of: Recorder) -> None:
    if of.patterns is None:
        of.keep_patterns(of.asking.heads)
        of.try_ask("thumbnails", {})


def _no_patterns(of: Recorder) -> str | None:
    return None if of.model.selftest.reads_patterns else "attention patterns cannot be read from this model"


def _no_heads(of: Recorder) -> str | None:
    return _no_patterns(of) or (None if of.asking.heads else "no head is selected")


def _ablations(of: Recorder) -> None:
    keep_singles(of, of.singles())


def keep_singles(of: Recorder, singles: Singles) -> None:
    how, about = of.asking.how, of.asking.about
    for head, outcome in singles.outcomes.items():
        of.keep("outcome", {"ablation": {**how, "heads": [head]}, **about, "k": TOP_K}, outcome)
    for head, changes in singles.changes.items():
        of.keep("embedding", {"ablation": {**how, "heads": [head]}}, embedding.packed(changes))


def _scores(of: Recorder) -> None:
    asking = of.asking
    shown = asking.fact(asking.state["score"])
    for fact in asking.facts["scores"]:
        if fact["refused"] is not None or fact.get("compared") or fact["kind"] == "kind":
            continue
        for metric in asking.metrics(fact):
            on_screen = fact is shown and metric == asking.metric(fact)
            for conditional in (False, True) if on_screen and asking.state["conditional"] else (False,):
                args = asking.scores(fact, metric, conditional=conditional)
                if fact["name"] != "ablation":
                    if fact["name"] not in _SLOW or on_screen or _kept(of, args):
                        of.try_ask("scores", args)
                elif metric != "perplexity" or on_screen:  # which needs the logits of every position
                    of.attempt(lambda args=args: of.measure(args))


def _kept(of: Recorder, args: dict) -> bool:
    asked = question(of.session, args)
    try:
        return of.session.recall(asked.run, asked.key) is not None
    except ValueError:
        return False


def _lens(of: Recorder) -> None:
    asking = of.asking
    start = max(0, asking.tokens - LENS_MOST)
    for ablation in asking.ablations:
        for first in range(start, asking.tokens, lens.MOST):
            positions = list(range(first, min(first + lens.MOST, asking.tokens)))
            keep_lens(of, ablation, positions)


def keep_lens(of: Recorder, ablation: dict, positions: list[int]) -> None:
    how = arguments.ablating(of.model, ablation)
    run, target = of.session.ablated(list(how.heads), how.mode, **how.parameters), of.asking.state["target"]
    table, columns = lens.everywhere(run, positions, target, CHOICES, of.job)
    of.keep("lens", {"ablation": ablation, "positions": positions, "target": target, "middle": True}, table)
    for column in columns:
        of.keep("lens_column", {"ablation": ablation, "position": column["position"], "middle": True, "k": CHOICES}, column)


def _overview(of: Recorder) -> None:
    asking, given = of.asking, {}
    if of.singles_refused is None and of.single.how.key == arguments.ZEROED.key:
        given = {name: of.singles().scores[name] for name in ("kl", "logit_diff") if name in of.singles().scores}
    about = {**asking.about, "position": arguments.position(asking.about)}
    of.keep("overview", {"ablation": CLEAN, **asking.about}, overview(of.clean, **about, progress=of.job.chunk, scores=given))
    if (noted := of.noted("overview")) is not None and noted[0]["ablation"]["heads"]:
        of.keep("overview", *noted)


def _kinds(of: Recorder) -> None:
    for own in (False, True):
        of.try_ask("kinds", {"own": own})
    for name in KINDS:
        if (fact := of.asking.fact(name)) is not None and fact["refused"] is None:
            of.try_ask("scores", of.asking.scores(fact, None))


def _weighted(of: Recorder) -> None:
    for ablation in of.asking.ablations:
        for args in of.asking.weighted():
            of.try_ask("weighted", {"ablation": ablation, **args})
        of.try_ask("aggregate", {"ablation": ablation, "kind": "rollout", "heads": []})


def _inside(of: Recorder) -> None:
    asking, head = of.asking, of.asking.head
    for ablation in asking.ablations:
        if (qk := of.try_ask("qk", {"ablation": ablation, "head": head})) is None:
            continue
        row = qk["scores"].values[asking.query]
        if not np.isnan(row).all():
            cell = {"query": asking.query, "key": int(np.nanargmax(row))}
            of.try_ask("why", {"ablation": ablation, "head": head, **cell})
    for stands in ("tokens", "first MLP") if head.layer > 0 else ("tokens",):
        of.try_ask("ov", {"head": head, "positions": asking.around(), "embedding": stands, "k": LIFTS})
    for op in ("why", "ov", "qk_circuit", "composition"):
        if (noted := of.noted(op)) is not None:
            of.keep(op, *noted)


def _comparison(of: Recorder) -> None:
    asking = of.asking
    args = asking.comparison
    result = compared.whole(of.session, args, of.job)
    of.keep("compare", args, result)
    for fact in asking.facts["scores"]:
        if fact.get("compared") and (fact["name"] not in WAYS or result["effects"] is not None):
            of.try_ask("scores", asking.scores(fact, asking.metric(fact)))
    if asking.heads:
        of.try_ask("compared_patterns", {**asking.compared, "heads": asking.heads[: arguments.room(asking.tokens, len(compared.MAPS))]})


def _generation(of: Recorder) -> None:
    noted = of.noted("generate")
    if noted is not None:
        of.keep("generate", *noted)
    else:
        of.ask("generate", {"ablation": of.asking.ablations[-1], **_GENERATE})


def _last(*ops: str) -> Callable[[Recorder], None]:
    def record(of: Recorder) -> None:
        for op in ops:
            if (noted := of.noted(op)) is not None:
                of.keep(op, *noted)

    return record


def _none_yet(op: str, way: str) -> Callable[[Recorder], str | None]:
    return lambda of: None if of.noted(op) is not None else f"none was asked for of this prompt in a view of the widget ({way})"


PARTS: dict[str, Part] = {
    "patterns": Part("where every head looks", _patterns, _no_patterns),
    "patterns of selected heads": Part("where the selected heads look", _some_patterns, _no_heads),
    "ablations": Part(
        "the answer with each single head ablated",
        _ablations,
        lambda of: of.singles_refused,
        lambda of: of.session.has_singles(of.singles_key),
    ),
    "scores": Part("scores of every head", _scores, lambda of: None),
    "lens": Part("the logit lens", _lens, lambda of: None if refused_lens(of.model.answer) is None else "this model has no logit lens"),
    "overview": Part("what stands out", _overview, lambda of: None),
    "kinds": Part("kinds of heads", _kinds, _no_patterns),
    "weighted maps": Part("what the selected heads move, and rollout", _weighted, _no_heads),
    "inside": Part("the shown head from the inside", _inside, lambda of: None if of.asking.head else "no head is shown"),
    "comparison": Part(
        "the prompt beside the second one",
        _comparison,
        lambda of: None if of.asking.state["other"] else "there is no second prompt: set w.other",
    ),
    "generation": Part(
        "what the model writes on",
        _generation,
        lambda of: None if of.model.answer == "next" else "this model does not write on",
        lambda of: of.noted("generate") is not None,
    ),
    "study": Part("which set of heads does it", _last("study"), _none_yet("study", "“Which set does it”"), lambda of: True),
    "circuit": Part(
        "the circuit, with its second prompt", _last("counterfactual", "circuit"), _none_yet("circuit", "“Circuit”"), lambda of: True
    ),
}
