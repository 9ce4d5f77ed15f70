"""What the front end can ask, one function per request. The TypeScript side of this contract is js/src/source/ops.ts.

Arguments come from a browser and are not trusted: whatever is wrong with them (`arguments.py`) ends in one error reply, never in the model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..analysis import outcome, whole_prompt
from ..analysis.overview import overview
from ..heads import parse_heads
from ..run import AblatedRun
from . import arguments, circuits, compared, embedding, generation, inside, lens, pairs, scores, studies, weighted
from .jobs import BACKGROUND, LAST, LATER, SOON, URGENT, Job
from .kinds import kinds
from .pacing import PATIENCE
from .question import question
from .session import Session
from .wire import Array

THUMBNAIL = 24  # cells a side: what fits in a 28-pixel cell of the grid


class Stale(Exception):
    """The request is about a prompt that has been replaced meanwhile."""


@dataclass(frozen=True)
class Op:
    """`answer(session, args, job)` gives the result; `priority` says whether it may overtake others."""

    answer: Callable[[Session, dict, Job], object]
    priority: int = URGENT


def ablated_run(session: Session, ablation: object) -> AblatedRun:
    """The run that an `Ablation` message means."""
    how = arguments.ablating(session.model, ablation)
    return session.ablated(list(how.heads), how.mode, **how.parameters)


def _outcome(session: Session, args: dict, job: Job) -> object:
    _current(session, args)
    run = ablated_run(session, args.get("ablation"))
    k = max(1, min(50, arguments.integer(args.get("k", 10))))
    return outcome(run, arguments.position(args), target=arguments.text(args, "target"), against=arguments.text(args, "against"), k=k)


def _embedding(session: Session, args: dict, job: Job) -> object:
    _current(session, args)
    return embedding.answer(ablated_run(session, args.get("ablation")))


def _whole_prompt(session: Session, args: dict, job: Job) -> object:
    _current(session, args)
    run = ablated_run(session, args.get("ablation"))
    if run.model.answer == "next":
        run.clean.perplexity()  # kept by the run; a chunk of its own, so that a click need not wait for both
    job.chunk(1, 2, "Reading every position")
    return whole_prompt(run)


def _thumbnails(session: Session, args: dict, job: Job) -> object:
    _current(session, args)
    run, model = session.clean, session.model
    block = -(-len(run.ids) // THUMBNAIL)
    layers = []
    for layer in range(model.n_layers):
        job.chunk(layer, model.n_layers, "Reading the patterns")
        layers.append(pooled(run.patterns(layer), block))
    maps = (torch.stack(layers) * 255).round().to(torch.uint8)
    return {"maps": Array(maps.cpu().numpy()), "block": block}


def _patterns(session: Session, args: dict, job: Job) -> object:
    _current(session, args)
    run = ablated_run(session, args.get("ablation"))
    heads = parse_heads(args.get("heads") or [], session.model.n_layers, session.model.n_heads)
    off = set(run.ablation.heads)
    n = len(run.ids)
    now = [(run.clean if head in off else run).pattern(head) for head in heads]
    change = [run.pattern(head) - run.clean.pattern(head) for head in heads] if off else None
    return {
        "heads": heads,
        "maps": Array(_stacked(now, n)),
        "change": None if change is None else Array(_stacked(change, n)),
    }


def _scores(session: Session, args: dict, job: Job) -> object:
    _current(session, args)
    return scores.answer(question(session, args), job, arguments.seconds(args, "patience", PATIENCE))


def _kinds(session: Session, args: dict, job: Job) -> object:
    _current(session, args)
    return kinds(session.clean if arguments.switch(args, "own") else session.model, job.chunk)


def _overview(session: Session, args: dict, job: Job) -> object:
    _current(session, args)
    run = ablated_run(session, args.get("ablation"))
    about = {"position": arguments.position(args), "target": arguments.text(args, "target"), "against": arguments.text(args, "against")}
    return overview(run, **about, progress=job.chunk, scores=scores.zeroing(session, args, job))


def _lens(session: Session, args: dict, job: Job) -> object:
    _current(session, args)
    return lens.table(ablated_run(session, args.get("ablation")), args, job)


def _lens_column(session: Session, args: dict, job: Job) -> object:
    _current(session, args)
    return lens.column(ablated_run(session, args.get("ablation")), args, job)


def _generate(session: Session, args: dict, job: Job) -> object:
    _current(session, args)
    return generation.answer(ablated_run(session, args.get("ablation")), args, job)


def _study(session: Session, args: dict, job: Job) -> object:
    _current(session, args)
    return studies.answer(session, args, job)


def _counterfactual(session: Session, args: dict, job: Job) -> object:
    _current(session, args)
    return circuits.second(session, args, job)


def _circuit(session: Session, args: dict, job: Job) -> object:
    _current(session, args)
    return circuits.answer(session, args, job)


def _weighted(session: Session, args: dict, job: Job) -> object:
    _current(session, args)
    return weighted.weighted(ablated_run(session, args.get("ablation")), args, job)


def _aggregate(session: Session, args: dict, job: Job) -> object:
    _current(session, args)
    return weighted.aggregate(ablated_run(session, args.get("ablation")), args, job)


def _qk(session: Session, args: dict, job: Job) -> object:
    _current(session, args)
    return inside.scores(ablated_run(session, args.get("ablation")), args, job)


def _why(session: Session, args: dict, job: Job) -> object:
    _current(session, args)
    return inside.sources(ablated_run(session, args.get("ablation")), args, job)


def _ov(session: Session, args: dict, job: Job) -> object:
    _current(session, args)
    return inside.circuit_ov(session.clean, args, job)


def _qk_circuit(session: Session, args: dict, job: Job) -> object:
    _current(session, args)
    return inside.circuit_qk(session.model, args, job)


def _composition(session: Session, args: dict, job: Job) -> object:
    _current(session, args)
    return inside.composed(session.model, args, job)


def _other(session: Session, args: dict, job: Job) -> object:
    _current(session, args)
    begins = session.clean.prepend_bos
    return {"tokens": [session.model.vocabulary.text(i) for i in session.model.encode(arguments.text(args, "text"), begins)]}


def _compare(session: Session, args: dict, job: Job) -> object:
    _current(session, args)
    return compared.answer(session, args, job)


def _compared_patterns(session: Session, args: dict, job: Job) -> object:
    _current(session, args)
    return compared.patterns(session, args, job)


def _compare_many(session: Session, args: dict, job: Job) -> object:
    _current(session, args)
    return pairs.answer(session, args, job)


def _token(session: Session, args: dict, job: Job) -> object:
    model, typed = session.model, arguments.text(args, "text")
    if model.labels is not None:
        return {"id": model.token_id(typed), "token": typed}
    found = model.vocabulary.find(typed)
    if len(found) > 1 and session.key and model.answer != "none":
        # "Mary" and " Mary" are both tokens; the one the model gives more to is meant.
        row = session.clean.logits_at()
        found.sort(key=lambda i: -row[i].item())
    return {"id": found[0], "token": model.token(found[0])}


OPS: dict[str, Op] = {
    "outcome": Op(_outcome),
    "embedding": Op(_embedding),
    "token": Op(_token),
    "patterns": Op(_patterns),
    "thumbnails": Op(_thumbnails, SOON),
    # Every position's logits: for a long prompt that is longer than the click's own forward, so the answer is painted before it.
    "whole_prompt": Op(_whole_prompt, SOON),
    "weighted": Op(_weighted, SOON),
    "aggregate": Op(_aggregate, SOON),
    "lens": Op(_lens, SOON),
    "lens_column": Op(_lens_column, SOON),
    "kinds": Op(_kinds, SOON),
    "counterfactual": Op(_counterfactual, SOON),
    "qk": Op(_qk, SOON),
    # Asked by a click, but seconds of a deep head: what a click changes elsewhere overtakes it between layers.
    "why": Op(_why, SOON),
    # Of the weights alone: what is asked of the run meanwhile goes first, and a sweep of the heads after.
    "ov": Op(_ov, LATER),
    "qk_circuit": Op(_qk_circuit, LATER),
    "composition": Op(_composition, LATER),
    # "compare" is SOON until what differs is said; its effects are LAST.
    "other": Op(_other),
    "compare": Op(_compare, SOON),
    "compared_patterns": Op(_compared_patterns, SOON),
    "compare_many": Op(_compare_many, LAST),
    "scores": Op(_scores, BACKGROUND),
    "generate": Op(_generate, BACKGROUND),
    "study": Op(_study, BACKGROUND),
    "circuit": Op(_circuit, BACKGROUND),
    # After the scores, whose sweep it goes on with.
    "overview": Op(_overview, BACKGROUND),
}


def pooled(pattern: Tensor, block: int) -> Tensor:
    """[head, query, key] with each `block` x `block` square replaced by its maximum: a mean would erase sparse heads."""
    if block == 1:
        return pattern.float()
    return torch.nn.functional.max_pool2d(pattern.float(), block, ceil_mode=True)


def _stacked(patterns: list[Tensor], n: int) -> np.ndarray:
    if not patterns:
        return np.zeros((0, n, n), np.float32)
    return torch.stack(patterns).float().cpu().numpy()


def _current(session: Session, args: dict) -> None:
    if args.get("run_key") != session.key:
        raise Stale
