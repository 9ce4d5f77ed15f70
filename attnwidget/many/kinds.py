"""`detect_dataset`: where each head looks, over the prompts of a data set."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from numbers import Real
from os import PathLike

from ..analysis.kinds import KINDS, detect_heads
from ..analysis.method import Progress
from ..analysis.sinks import check_first
from ..analysis.specials import check_special
from ..analysis.statistics import STATISTICS, head_statistics
from ..errors import AttnWidgetError
from ..run import Run
from .kindsfound import EACH, DatasetKinds
from .prompts import read_prompts
from .results import Setting, gather
from .spec import Loaded
from .task import Answer


def detect_dataset(
    model: object,
    prompts: Iterable,
    kinds: Iterable[str] | str | None = None,
    *,
    threshold: float = 0.4,
    first: str = "keep",
    special: str = "keep",
    level: float = 0.95,
    prepend_bos: bool | None = None,
    executor: Executor | None = None,
    checkpoint: str | PathLike | None = None,
    progress: Progress | None = None,
    threads: int | None = None,
    device: object = None,
    dtype: object = None,
) -> DatasetKinds:
    """`detect_heads(model.run(prompt))` and `head_statistics(model.run(prompt))` for each prompt, to the bit; over prompts the mean of each
    head, `mean ± t · s / √n`, and which heads are of a kind: mean at the threshold or above, lower end of its interval above chance (the
    mean over the same prompts of what even attention gives).

    Unlike `detect_heads(model)`, which makes prompts of random tokens, this reads the prompts as they are: a prompt in which no token comes
    again says nothing about induction and duplicates, and is in no mean of theirs.

    Args:
        kinds: some of `KINDS` and `STATISTICS`; by default all kinds.
        threshold: what the rule "fixed" asks of a mean, a share of attention. `HeadKinds.heads` has two rules that follow the model.
        first, special: for the statistics, as in `head_statistics`.
        model, prompts, level to dtype: as in `score_dataset`; a prompt has no tokens of its own.

    Prompts are taken to be drawn independently. Failures and errors are those of `score_dataset`.
    """
    known = (*KINDS, *STATISTICS)
    names = list(KINDS) if kinds is None else [kinds] if isinstance(kinds, str) else list(dict.fromkeys(kinds))
    if unknown := [name for name in names if name not in known]:
        raise AttnWidgetError(f"No kind of head or pattern statistic {unknown[0]!r}: there are {', '.join(known)}.")
    if not names:
        raise AttnWidgetError(f"No kinds were given: leave kinds= out for all, or name some of {', '.join(known)}.")
    if not isinstance(threshold, Real) or isinstance(threshold, bool) or not 0 <= threshold <= 1:
        raise AttnWidgetError(f"threshold must be a share of attention from 0 to 1, not {threshold!r}.")
    check_first(first)
    check_special(special)
    question = {"names": tuple(names), "first": first, "special": special}
    setting = Setting(level, prepend_bos, executor, checkpoint, threads, device, dtype, progress)
    return DatasetKinds(gather(model, read_prompts(prompts), looked, question, EACH, setting), tuple(names), float(threshold))


def looked(run: Run, question: Mapping[str, object], loaded: Loaded) -> Answer:
    """Where one prompt's heads look."""
    names = question["names"]
    kinds, statistics = ([name for name in names if name in some] for some in (KINDS, STATISTICS))
    found = {name: one.values for name, one in read.kinds.items()} if kinds and (read := detect_heads(run, kinds)) else {}
    chances = [read[name].chance for name in kinds]
    note = ""
    if statistics:
        measured = head_statistics(run, first=question["first"], special=question["special"])
        found |= {name: measured.values[name] for name in statistics}
        note = measured.note
    model = run.model
    facts = {"text": run.text, "tokens": len(run), "chances": chances, "note": note, "model": model.name, "device": model.device.type}
    facts |= {"processing": model.processing, "dtype": model.precision}
    return Answer({name: found[name] for name in names}, facts)
