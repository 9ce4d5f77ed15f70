"""`score_dataset`: `score` for every prompt of a data set, and of each head the mean with its interval."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Executor
from os import PathLike

from ..ablation import MODES
from ..analysis.measure import EMBEDDING_METRICS, METRICS
from ..analysis.method import Progress
from ..analysis.score import METHODS, score
from ..errors import AttnWidgetError, ModeError
from ..heads import HeadsLike
from ..run import Run
from .plain import plain, plain_heads, plain_reference
from .prompts import read_prompts
from .results import Setting, gather
from .scored import EACH, DatasetScores
from .spec import Loaded
from .task import Answer

OWN = ("target", "against", "position", "positions", "reference")
_EFFECT = "; effect: "  # what `score` adds to a formula, of which the label says as much


def score_dataset(
    model: object,
    prompts: Iterable,
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
    level: float = 0.95,
    prepend_bos: bool | None = None,
    executor: Executor | None = None,
    checkpoint: str | PathLike | None = None,
    progress: Progress | None = None,
    threads: int | None = None,
    device: object = None,
    dtype: object = None,
    **options: object,
) -> DatasetScores:
    """`score(model.run(prompt), method, ...)` for each prompt, to the bit; over prompts the mean of each head, `mean ± t · s / √n`, s with
    n − 1, over the n prompts in which it is defined. `docs/many-prompts.md` says more.

    Args:
        model: a name or a folder, which each process loads once; or a model that is here, for this process and its threads.
        prompts: texts, lists of ids, chats, or `{"prompt": ...}` with `target`, `against`, `position`, `positions` or `reference` of its
            own, which take the place of those given for all; or a tokenizer's batch (`{"input_ids", "attention_mask"}`, padded on either
            side), whose padding is cut off, so that positions are those of the prompt alone.
        method to chunk, options: as in `score`. Without `target` and `against`, the first choice of each prompt and the next best.
        level: of the intervals, above 0 and below 1.
        executor: where prompts are run, one task each: None for this process, or any `concurrent.futures.Executor`.
        checkpoint: a folder for the answers, a parquet file each. What is there already for the same weights, prompt, arguments, versions
            and threads is not computed again.
        progress: `progress(done, prompts, text)` after each; what it raises ends it, and what is finished stays in `checkpoint`.
        threads: of PyTorch in each task; by default what this process has, or in others cores over workers. Give it for the same last bits
            on every executor.
        device, dtype: of a model given by name.

    A prompt that cannot be run (too long, a token that is none) is in `failures` with its reason, and in no mean. `AttnWidgetError` where
    none can, `ExecutorError` where the executor gave up: the same call goes on from `checkpoint`.
    """
    _check(method, metric, mode, options)
    question = {
        "method": method,
        "metric": metric,
        "target": plain("target", target),
        "against": plain("against", against),
        "mode": mode,
        "position": plain("position", position),
        "heads": plain_heads(heads),
        "positions": plain("positions", positions),
        "reference": plain_reference(reference),
        "scale": plain("scale", scale),
        "threshold": plain("threshold", threshold),
        "seed": plain("seed", seed),
        "chunk": plain("chunk", chunk),
        **plain("options", options),
    }
    setting = Setting(level, prepend_bos, executor, checkpoint, threads, device, dtype, progress)
    return DatasetScores(gather(model, read_prompts(prompts, OWN), scored, question, EACH, setting), method)


def scored(run: Run, question: Mapping[str, object], loaded: Loaded) -> Answer:
    """One prompt's scores."""
    given = {key: list(value) if isinstance(value, tuple) else value for key, value in question.items()}
    found = score(run, **{**given, "reference": loaded.reference(run, question["reference"])})
    facts = {
        "text": run.text,
        "tokens": len(run),
        **{name: getattr(found, name) for name in ("position", "target", "against", "label", "unit", "exact", "signed", "kind", "metric")},
        **{name: getattr(found, name) for name in ("mode", "baseline", "processing", "dtype")},
        "formula": found.formula.split(_EFFECT)[0],
        "model": run.model.name,
        "device": run.model.device.type,
    }
    # A first choice is an id, of which there is no mean.
    return Answer({"values": found.values, **{name: some for name, some in found.extra.items() if name != "first_choice"}}, facts)


def _check(method: str, metric: str | None, mode: str, options: Mapping[str, object]) -> None:
    """What is wrong for all prompts, as far as it shows without a model; the rest each prompt says."""
    if method not in METHODS:
        raise AttnWidgetError(f"No method {method!r}: there are {', '.join(METHODS)}.")
    known = {**METRICS, **EMBEDDING_METRICS}
    if metric is not None and metric not in known:
        raise AttnWidgetError(f"No metric {metric!r}: there are {', '.join(known)}.")
    if mode not in MODES:
        raise ModeError(f"No mode {mode!r}: there are {', '.join(MODES)}.")
    takes = METHODS[method].options
    if unknown := sorted(set(options) - set(takes)):
        raise AttnWidgetError(f"{method!r} has no option {unknown[0]!r}: it takes {', '.join(takes) if takes else 'none'}.")
