"""Generation as a request, token by token, and generated tokens as the prompt under study."""

from __future__ import annotations

from ..analysis.generate import generate
from ..analysis.generation import Generation
from ..errors import AttnWidgetError
from ..model import Model
from ..run import AblatedRun
from . import arguments
from .jobs import Job

MOST = 512  # tokens of one request; a cell has no such limit


def answer(run: AblatedRun, args: dict, job: Job) -> Generation:
    """`Generation` in js/src/source/ops.ts; partial results come token by token. `top_k` 0 and `top_p` 1 leave nothing out."""
    most = arguments.integer(args.get("max_new_tokens", 40))
    if not 1 <= most <= MOST:
        raise AttnWidgetError(f"max_new_tokens must be 1 to {MOST} here, not {most}: generate(w.run, {max(1, most)}) in a cell takes any.")
    top_p = args.get("top_p", 1)
    return generate(
        run if run.ablation.heads else run.clean,
        most,
        temperature=args.get("temperature", 0.0),
        top_k=arguments.integer(args.get("top_k", 0)) or None,
        top_p=None if top_p == 1 and not isinstance(top_p, bool) else top_p,
        seed=arguments.integer(args.get("seed", 0)),
        forced_on=args.get("forced_on", "control"),
        progress=job.chunk,
    )


def studied(model: Model, args: dict) -> list[int]:
    """The ids of a `study_ids` request."""
    ids = args.get("ids")
    if not isinstance(ids, list) or not ids:
        raise AttnWidgetError("ids must be a list of one or more token ids.")
    return model.encode(ids)
