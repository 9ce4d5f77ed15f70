"""`study_dataset`: `study` for every prompt of a data set, and how often each head is in the set that does it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from os import PathLike

import numpy as np

from ..ablation import MODES
from ..analysis.method import Progress
from ..analysis.studying import study
from ..errors import ModeError
from ..run import Run
from .plain import plain, plain_reference
from .prompts import read_prompts
from .results import Setting, gather
from .spec import Loaded
from .studiedset import EACH, DatasetStudy
from .task import Answer

OWN = ("target", "position", "positions", "reference")


def study_dataset(
    model: object,
    prompts: Iterable,
    target: str | int | None = None,
    *,
    mode: str = "zero",
    positions: Sequence[int] | int | None = None,
    reference: object = None,
    scale: float = 0.0,
    threshold: float = 0.1,
    seed: int = 0,
    beam: int = 4,
    max_heads: int = 8,
    candidates: int = 16,
    budget: int = 4000,
    position: int | None = None,
    random: int = 16,
    level: float = 0.95,
    prepend_bos: bool | None = None,
    executor: Executor | None = None,
    checkpoint: str | PathLike | None = None,
    progress: Progress | None = None,
    threads: int | None = None,
    device: object = None,
    dtype: object = None,
) -> DatasetStudy:
    """`study(model.run(prompt), target, ...)` for each prompt; over prompts how often each head is in the set that was found, the share of
    prompts whose first choice it changes, and the mean size of the sets.

    Args:
        target: a token for all prompts, or of its own in each, `{"prompt": ..., "target": ...}`; None for the set that moves the answer
            most. A prompt whose first choice it is already fails, and says so.
        mode to random: as in `study`. `position`, `positions` and `reference` may be a prompt's own too.
        model, prompts, level to dtype: as in `score_dataset`.

    What was found of a prompt need not be the only set that does it, so a head that is in no set may still take part: see `docs/studies.md`
    for what each verdict means. Failures and errors are those of `score_dataset`.
    """
    if mode not in MODES:
        raise ModeError(f"No mode {mode!r}: there are {', '.join(MODES)}.")
    question = {
        "target": plain("target", target),
        "mode": mode,
        "positions": plain("positions", positions),
        "reference": plain_reference(reference),
        "position": plain("position", position),
    }
    numbers = {"scale": scale, "threshold": threshold, "seed": seed, "beam": beam, "max_heads": max_heads, "candidates": candidates}
    numbers |= {"budget": budget, "random": random}
    question |= {name: plain(name, value) for name, value in numbers.items()}
    setting = Setting(level, prepend_bos, executor, checkpoint, threads, device, dtype, progress)
    return DatasetStudy(gather(model, read_prompts(prompts, OWN), studied, question, EACH, setting))


def studied(run: Run, question: Mapping[str, object], loaded: Loaded) -> Answer:
    """One prompt's study."""
    given = {key: list(value) if isinstance(value, tuple) else value for key, value in question.items()}
    found = study(run, **{**given, "reference": loaded.reference(run, question["reference"])})
    member = np.zeros((run.model.n_layers, run.model.n_heads))
    for head in found.heads:
        member[head] = 1
    best = next((one for one in found.sizes if one.heads == found.heads), found.before) if found.found is None else found.found
    facts = {
        "text": run.text,
        "tokens": len(run),
        "position": found.position,
        "target": None if found.target is None else found.target.token,
        "verdict": found.verdict,
        "heads": [str(head) for head in found.heads],
        "margin_before": found.before.margin,
        "margin": best.margin if found.heads else None,
        "kl": best.kl if found.heads else None,
        "first_before": found.before.first.token,
        "first": best.first.token if found.heads else None,
        "flipped": bool(found.heads) and best.first.id != found.before.first.id,
        "sets": found.sets,
        "forwards": found.forwards,
        "baseline": found.baseline,
        "targeted": found.target is not None,
        "processing": found.processing,
        "dtype": found.dtype,
        "model": run.model.name,
        "device": run.model.device.type,
    }
    return Answer({"member": member}, facts)
