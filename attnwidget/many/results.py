"""What the answers about many prompts have in common: which prompts, which failed, mean and interval of each head."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from numbers import Real
from os import PathLike

import numpy as np
import pandas as pd

from ..analysis.checked import switch
from ..analysis.intervals import summarised
from ..analysis.method import Progress
from ..drawable import Drawable
from ..errors import AttnWidgetError, ModelError
from ..heads import Head
from .driver import Drive, check_executor, elsewhere, threads_for
from .fingerprint import fingerprint
from .parts import Parts
from .prompts import Prompt
from .spec import require_unchanged, spec_of
from .task import Answer, Compute, Failed, Task

PARTS = {"mean": "mean over prompts", "low": "lower end of the interval", "high": "upper end of the interval", "n": "prompts"}


@dataclass(frozen=True)
class PromptFailure:
    """A prompt that could not be answered, and why."""

    index: int
    """Which of the prompts that were given."""
    prompt: str
    reason: str


@dataclass(frozen=True)
class Setting:
    """How a data set is run, the same for all its functions."""

    level: float
    prepend_bos: bool | None
    executor: Executor | None
    checkpoint: str | PathLike | None
    threads: int | None
    device: object
    dtype: object
    progress: Progress | None


@dataclass(frozen=True)
class Gathered:
    """The answers, in the order of the prompts. Of the facts those that `each` names are kept prompt by prompt, of the others the
    different values that there are: a fact that is the same for 100,000 prompts is kept once."""

    arrays: Mapping[str, np.ndarray]
    """[prompt, layer, head], NaN where a prompt failed: 8 bytes a number, 216 MB for 100,000 prompts of 270 heads."""
    prompts: tuple[str, ...]
    each: Mapping[str, tuple]
    shared: Mapping[str, tuple]
    failures: tuple[PromptFailure, ...]
    level: float
    threads: str

    @property
    def answered(self) -> int:
        return len(self.prompts) - len(self.failures)

    def one(self, fact: str, apart: str = "") -> object:
        """A fact that prompts have in common, `apart` where they have not."""
        values = self.shared[fact]
        return values[0] if len(values) == 1 else apart


@dataclass(frozen=True)
class OverPrompts(Drawable):
    """What the results about many prompts have in common: which prompts there were, and which of them failed."""

    found: Gathered

    @property
    def prompts(self) -> tuple[str, ...]:
        return self.found.prompts

    @property
    def failures(self) -> tuple[PromptFailure, ...]:
        return self.found.failures


def gather(
    model: object,
    prompts: Sequence[Prompt],
    compute: Compute,
    question: Mapping[str, object],
    each: Sequence[str],
    setting: Setting,
) -> Gathered:
    """`compute` for every prompt, each as a task of its own; `AttnWidgetError` where none could be answered."""
    if not isinstance(setting.level, Real) or isinstance(setting.level, bool) or not 0 < setting.level < 1:
        raise AttnWidgetError(f"level must be above 0 and below 1, not {setting.level!r}.")
    bos = None if setting.prepend_bos is None else switch("prepend_bos", setting.prepend_bos)
    spec = spec_of(model, setting.device, setting.dtype)
    check_executor(setting.executor, spec)
    threads = threads_for(setting.executor, setting.threads)
    stamp = spec.stamp
    parts = None
    if setting.checkpoint is not None:
        parts = Parts(setting.checkpoint, fingerprint(spec, elsewhere=elsewhere(setting.executor)))
    arrays: dict[str, np.ndarray] = {}
    facts: dict[str, list] = {name: [None] * len(prompts) for name in each}
    shared: dict[str, dict] = {}
    failures: list[PromptFailure] = []
    texts = [prompt.text for prompt in prompts]

    def take(index: int, outcome: Answer | Failed) -> None:
        if isinstance(outcome, Failed):
            failures.append(PromptFailure(index, texts[index], outcome.reason))
            return
        for name, values in outcome.arrays.items():
            if name not in arrays:
                arrays[name] = np.full((len(prompts), *values.shape), np.nan)
            elif arrays[name].shape[1:] != values.shape:
                raise ModelError(f"Two processes loaded different models: {arrays[name].shape[1:]} and {values.shape} layers and heads.")
            arrays[name][index] = values
        for name, value in outcome.facts.items():
            if name == "text":
                texts[index] = value
            elif name in facts:
                facts[name][index] = value
            else:
                shared.setdefault(name, {})[value] = None

    def task(index: int) -> Task:
        one = prompts[index]
        return Task(spec, compute, one.content, {**question, **one.own}, bos, threads)

    Drive(len(prompts), task, setting.executor, parts, setting.progress, take, lambda: require_unchanged(spec, stamp)).run()
    failures.sort(key=lambda one: one.index)
    if not arrays:
        raise AttnWidgetError(f"None of the {len(prompts)} prompts could be answered; the first: {failures[0].reason}")
    return Gathered(
        sealed(arrays),
        tuple(texts),
        {name: tuple(values) for name, values in facts.items()},
        {name: tuple(sorted(values, key=str)) for name, values in shared.items()},
        tuple(failures),
        float(setting.level),
        "" if threads is None else f"{threads} thread{'s' if threads > 1 else ''} a task",
    )


def over_prompts(samples: np.ndarray, level: float) -> dict[str, np.ndarray]:
    """`summarised`, a layer at a time: of 100,000 prompts what is computed on the way would take several times their memory."""
    layers = [summarised(samples[:, layer : layer + 1], level) for layer in range(samples.shape[1])]
    return sealed({part: np.concatenate([one[part] for one in layers]) for part in PARTS})


def sealed(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same arrays, to be read and not written to: a result is what was found."""
    for values in arrays.values():
        values.setflags(write=False)
    return arrays


def check_part(part: str) -> None:
    if part not in PARTS:
        raise AttnWidgetError(f"No part {part!r}: there are {', '.join(PARTS)}.")


def head_columns(shape: tuple[int, int]) -> dict[str, object]:
    """head, layer, index of every head, layer by layer."""
    layers, heads = (axis.ravel() for axis in np.indices(shape))
    names = [str(Head(int(layer), int(head))) for layer, head in zip(layers, heads, strict=True)]
    return {"head": names, "layer": layers, "index": heads}


def prompts_frame(found: Gathered) -> pd.DataFrame:
    """A row per prompt that was given: prompt, its own facts, and why it failed where it did (else empty)."""
    reasons = {one.index: one.reason for one in found.failures}
    columns = {"prompt": found.prompts, **found.each, "failed": [reasons.get(index, "") for index in range(len(found.prompts))]}
    return pd.DataFrame(columns)


def counted(found: Gathered) -> list[str]:
    """How many prompts, and how many of them failed, in words."""
    failed = f"{len(found.failures)} of {len(found.prompts)} prompts failed" if found.failures else ""
    n = found.answered
    return [part for part in (f"{n:,} prompt{'s' if n != 1 else ''}", failed) if part]
