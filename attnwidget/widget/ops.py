"""What the front end can ask, one function per request. The TypeScript side of this contract is js/src/source/ops.ts.

Arguments come from a browser and are not trusted: whatever is wrong with them ends in one error reply, never in the model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..ablation import MODES
from ..analysis import STATISTICS, head_statistic, outcome, whole_prompt
from ..errors import AttnWidgetError
from ..heads import parse_heads
from ..model import Model
from ..run import AblatedRun
from .jobs import BACKGROUND, URGENT, Job
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


def facts(model: Model) -> dict:
    """What is true of the model whatever the prompt: the trait `facts`."""
    return {
        "dtype": str(model.dtype).removeprefix("torch."),
        "device": str(model.device),
        "n_ctx": model.n_ctx,
        "processing": model.processing,
        "bos": model.vocabulary.special,
        "bos_switch": model.vocabulary.bos_id is not None and model.causal,
        "answer": model.answer,
        "selftest": {"passed": model.selftest.passed, "notes": list(model.selftest.notes)},
        "modes": [
            {
                "name": mode.name,
                "label": mode.label,
                "acts_on": mode.acts_on,
                "formula": mode.formula,
                "params": list(mode.params),
                "refused": model.refuses(mode.name),
            }
            for mode in MODES.values()
        ],
        "scores": [
            {"name": name, "label": s.label, "unit": s.unit, "signed": False, "kind": "statistic"} for name, s in STATISTICS.items()
        ],
    }


def ablated_run(session: Session, ablation: dict) -> AblatedRun:
    """The run an `Ablation` message means; parameters its mode does not take are left out, as they only wait for another mode."""
    if not isinstance(ablation, dict):
        raise AttnWidgetError("ablation must be an object with heads and mode.")
    mode = _text(ablation, "mode")
    params = MODES[mode].params if mode in MODES else ()
    given = {name: ablation.get(name) for name in params}
    reference = given.pop("reference", None)
    if reference is not None:
        given["reference"] = _texts(reference) or None
        if mode == "resample" and given["reference"]:
            given["reference"] = given["reference"][-1]
    positions = [_integer(p) for p in ablation.get("positions") or []]
    heads = parse_heads(ablation.get("heads") or [], session.model.n_layers, session.model.n_heads)
    return session.ablated(heads, mode, positions=positions or None, **given)


def _outcome(session: Session, args: dict, job: Job) -> object:
    _current(session, args)
    run = ablated_run(session, args.get("ablation"))
    position = _integer(args.get("position", -1))
    k = max(1, min(50, _integer(args.get("k", 10))))
    at = None if position == -1 else position
    return outcome(run, at, target=_text(args, "target"), against=_text(args, "against"), k=k)


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
    scores = head_statistic(session.clean, _text(args, "name"), job.chunk)
    return {
        "name": scores.name,
        "label": scores.label,
        "unit": scores.unit,
        "method": scores.method,
        "exact": scores.exact,
        "signed": scores.signed,
        "values": Array(scores.values.astype(np.float32)),
    }


def _token(session: Session, args: dict, job: Job) -> object:
    model, typed = session.model, _text(args, "text")
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
    "token": Op(_token),
    "patterns": Op(_patterns),
    "scores": Op(_scores, BACKGROUND),
    "thumbnails": Op(_thumbnails, BACKGROUND),
    # Every position's logits: for a long prompt that is longer than the click's own forward, so the answer is painted before it.
    "whole_prompt": Op(_whole_prompt, BACKGROUND),
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


def _text(args: dict, name: str) -> str:
    value = args.get(name, "")
    if not isinstance(value, str):
        raise AttnWidgetError(f"{name} must be a text, not {type(value).__name__}.")
    return value


def _texts(value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise AttnWidgetError("reference must be a list of texts.")
    return [item for item in value if item]


def _integer(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise AttnWidgetError(f"{value!r} is not a whole number.")
    return value
