"""What the front end can ask, one function per request. The TypeScript side of this contract is js/src/source/ops.ts.

Arguments come from a browser and are not trusted: whatever is wrong with them (`arguments.py`) ends in one error reply, never in the model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..analysis import outcome, whole_prompt
from ..analysis.overview import overview
from ..model import Model
from ..run import AblatedRun, Run
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


def ablated_run(session: Session, ablation: object) -> AblatedRun:
    """The run that an `Ablation` message means."""
    how = arguments.ablating(session.model, ablation)
    return session.ablated(list(how.heads), how.mode, **how.parameters)


def _session(session: Session, _args: dict) -> Session:
    return session


def _run(session: Session, args: dict) -> AblatedRun:
    return ablated_run(session, args.get("ablation"))


def _clean(session: Session, _args: dict) -> Run:
    return session.clean


def _model(session: Session, _args: dict) -> Model:
    return session.model


@dataclass(frozen=True)
class Op:
    """`compute(of(session, args), args, job)` gives the result; `priority` says whether it may overtake others."""

    compute: Callable[[Any, dict, Job], object]
    priority: int = URGENT
    of: Callable[[Session, dict], Any] = _run
    """What it is about."""
    any_prompt: bool = False
    """Whether it may be asked beside the prompt that is studied now."""

    def answer(self, session: Session, args: dict, job: Job) -> object:
        """The result; `Stale` where the page still asks about an earlier prompt."""
        if not self.any_prompt and args.get("run_key") != session.key:
            raise Stale
        return self.compute(self.of(session, args), args, job)


def _outcome(run: AblatedRun, args: dict, job: Job) -> object:
    k = max(1, min(50, arguments.integer(args.get("k", 10))))
    return outcome(run, arguments.position(args), target=arguments.text(args, "target"), against=arguments.text(args, "against"), k=k)


def _embedding(run: AblatedRun, args: dict, job: Job) -> object:
    return embedding.answer(run)


def _whole_prompt(run: AblatedRun, args: dict, job: Job) -> object:
    if run.model.answer == "next":
        run.clean.perplexity()  # kept by the run; a chunk of its own, so that a click need not wait for both
    job.chunk(1, 2, "Reading every position")
    return whole_prompt(run)


def _thumbnails(run: Run, args: dict, job: Job) -> object:
    block = -(-len(run.ids) // THUMBNAIL)
    layers = []
    for layer in range(run.model.n_layers):
        job.chunk(layer, run.model.n_layers, "Reading the patterns")
        layers.append(pooled(run._patterns_of(layer), block))
    maps = (torch.stack(layers) * 255).round().to(torch.uint8)
    return {"maps": Array(maps.cpu().numpy()), "block": block}


def _patterns(run: AblatedRun, args: dict, job: Job) -> object:
    heads, n = arguments.maps(args, run), len(run.ids)
    off = set(run.ablation.heads)
    now = np.empty((len(heads), n, n), np.float32)
    change = np.empty_like(now) if off else None
    # Layer by layer: of a long prompt a run keeps the patterns of one.
    for i in sorted(range(len(heads)), key=heads.__getitem__):
        pattern = run.pattern(heads[i])
        if change is not None:
            clean = run.clean.pattern(heads[i])
            change[i] = (pattern - clean).float().cpu().numpy()
            pattern = clean if heads[i] in off else pattern
        now[i] = pattern.float().cpu().numpy()
    return {"heads": heads, "maps": Array(now), "change": None if change is None else Array(change)}


def _scores(session: Session, args: dict, job: Job) -> object:
    return scores.answer(question(session, args), job, arguments.seconds(args, "patience", PATIENCE))


def _kinds(session: Session, args: dict, job: Job) -> object:
    return kinds(session.clean if arguments.switch(args, "own") else session.model, job.chunk)


def _overview(session: Session, args: dict, job: Job) -> object:
    run = ablated_run(session, args.get("ablation"))
    about = {"position": arguments.position(args), "target": arguments.text(args, "target"), "against": arguments.text(args, "against")}
    return overview(run, **about, progress=job.chunk, scores=scores.zeroing(session, args, job))


def _other(session: Session, args: dict, job: Job) -> object:
    begins = session.clean.prepend_bos
    return {"tokens": [session.model.vocabulary.text(i) for i in session.model.encode(arguments.text(args, "text"), begins)]}


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
    "token": Op(_token, of=_session, any_prompt=True),
    "patterns": Op(_patterns),
    "thumbnails": Op(_thumbnails, SOON, _clean),
    # Every position's logits: for a long prompt that is longer than the click's own forward, so the answer is painted before it.
    "whole_prompt": Op(_whole_prompt, SOON),
    "weighted": Op(weighted.weighted, SOON),
    "aggregate": Op(weighted.aggregate, SOON),
    "lens": Op(lens.table, SOON),
    "lens_column": Op(lens.column, SOON),
    "kinds": Op(_kinds, SOON, _session),
    "counterfactual": Op(circuits.second, SOON, _session),
    "qk": Op(inside.scores, SOON),
    # Asked by a click, but seconds of a deep head: what a click changes elsewhere overtakes it between layers.
    "why": Op(inside.sources, SOON),
    # Of the weights alone: what is asked of the run meanwhile goes first, and a sweep of the heads after.
    "ov": Op(inside.circuit_ov, LATER, _clean),
    "qk_circuit": Op(inside.circuit_qk, LATER, _model),
    "composition": Op(inside.composed, LATER, _model),
    # "compare" is SOON until what differs is said; its effects are LAST.
    "other": Op(_other, of=_session),
    "compare": Op(compared.answer, SOON, _session),
    "compared_patterns": Op(compared.patterns, SOON, _session),
    "compare_many": Op(pairs.answer, LAST, _session),
    "scores": Op(_scores, BACKGROUND, _session),
    "generate": Op(generation.answer, BACKGROUND),
    "study": Op(studies.answer, BACKGROUND, _session),
    "circuit": Op(circuits.answer, BACKGROUND, _session),
    # After the scores, whose sweep it goes on with.
    "overview": Op(_overview, BACKGROUND, _session),
}


def pooled(pattern: Tensor, block: int) -> Tensor:
    """[head, query, key] with each `block` x `block` square replaced by its maximum: a mean would erase sparse heads."""
    if block == 1:
        return pattern.float()
    return torch.nn.functional.max_pool2d(pattern.float(), block, ceil_mode=True)
