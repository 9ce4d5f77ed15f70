"""`compare_many`: what a kind of change (a negation, another name) does to each head, over many pairs of prompts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from numbers import Real

import numpy as np

from ..engine.interrupt import checkpoint
from ..errors import AttnWidgetError
from ..model import Model
from ..run import Run
from .checked import switch
from .compared import COMPARED
from .comparison import Comparison
from .contrast import compare
from .distribution import ComparisonSet, Failure
from .method import Progress
from .specials import check_special

_STEPS = 1000  # of one pair, in what progress is told
_OF_A_PAIR = ("alignment", "target", "against", "position")


def compare_many(
    model: Model,
    pairs: Iterable,
    *,
    alignment: object = None,
    renormalise: bool = False,
    special: str = "keep",
    effects: bool = True,
    metric: str | None = None,
    target: str | int | None = None,
    against: str | int | None = None,
    level: float = 0.95,
    prepend_bos: bool | None = None,
    progress: Progress | None = None,
) -> ComparisonSet:
    """`compare` for each of `pairs`, and of every number the mean over them with its t interval.

    Args:
        pairs: `(prompt, other)`, or `{"prompt": ..., "other": ...}` with `target`, `against`, `alignment` or `position` of its own, which
            take the place of those given for all.
        alignment: as in `compare`: None takes pairs of one length only, `"tokens"` all. `noising` and `denoising` are undefined for pairs
            that are not aligned position by position.
        effects, metric, target, against, renormalise, special: as in `compare`.
        level: of the intervals, above 0 and below 1.
        progress: `progress(done, total, text)`; what it raises ends the computation.

    A pair that cannot be compared (of unequal length without an alignment, too long, empty) is in `failures` with its reason, and in no
    mean. `AttnWidgetError` where no pair can, or where something else is wrong that is so for all.
    """
    try:
        asked = list(pairs) if not isinstance(pairs, (str, Mapping)) else [pairs]
    except TypeError:
        raise AttnWidgetError(f"pairs must be a list of pairs, [(prompt, other), ...], not {pairs!r}.") from None
    if not asked:
        raise AttnWidgetError("No pairs were given: name at least one, [(prompt, other), ...].")
    read = [_read(pair) for pair in asked]
    if not isinstance(level, Real) or isinstance(level, bool) or not 0 < level < 1:
        raise AttnWidgetError(f"level must be above 0 and below 1, not {level!r}.")
    # What is wrong for all pairs is said before any is run.
    check_special(special)
    renormalise, effects = switch("renormalise", renormalise), switch("effects", effects)
    if prepend_bos is not None:
        prepend_bos = switch("prepend_bos", prepend_bos)
    common = {"alignment": alignment, "target": target, "against": against}
    same = {"renormalise": renormalise, "special": special, "effects": effects, "metric": metric}
    found: list[_Numbers] = []
    indices: list[int] = []
    failures: list[Failure] = []
    total = _STEPS * len(read)
    for index, (prompt, other, own) in enumerate(read):
        checkpoint()

        def within(done: int, of: int, text: str, index: int = index) -> None:
            if progress is not None:
                progress(_STEPS * index + _STEPS * done // max(of, 1), total, f"Pair {index + 1} of {len(read)}: {text}")

        try:
            runs = [text if isinstance(text, Run) else model.run(text, prepend_bos=prepend_bos) for text in (prompt, other)]
            comparison = compare(*runs, **{**common, **own}, **same, progress=within)
        except AttnWidgetError as error:
            failures.append(Failure(index, _text(prompt), _text(other), str(error)))
            continue
        # Of each pair the numbers alone: runs hold tensors.
        found.append(_Numbers(comparison))
        indices.append(index)
    if progress is not None:
        progress(total, total, f"{len(found)} of {len(read)} pairs compared")
    if not found:
        raise AttnWidgetError(f"None of the {len(read)} pairs could be compared; the first: {failures[0].reason}")
    return _together(found, indices, failures, level, renormalise, special)


def _read(pair: object) -> tuple[object, object, dict]:
    form = "A pair is (prompt, other), or {'prompt': ..., 'other': ...} with target, against, alignment or position of its own"
    if isinstance(pair, Mapping):
        own = {key: value for key, value in pair.items() if key not in ("prompt", "other")}
        unknown = sorted(set(own) - set(_OF_A_PAIR), key=str)
        if unknown or not {"prompt", "other"} <= set(pair):
            raise AttnWidgetError(f"{form}, not one with {', '.join(map(repr, pair))}.")
        return pair["prompt"], pair["other"], own
    if isinstance(pair, str) or not isinstance(pair, Sequence) or len(pair) != 2:
        raise AttnWidgetError(f"{form}, not {pair!r}.")
    return pair[0], pair[1], {}


def _text(prompt: object) -> str:
    return prompt.text if isinstance(prompt, Run) else str(prompt)


class _Numbers:
    """What is kept of one comparison."""

    def __init__(self, comparison: Comparison):
        self.values = {name: np.array(values) for name, values in comparison.values.items()}
        self.prompts = comparison.run.text, comparison.other.text
        self.undefined = comparison.undefined
        self.complete = comparison.alignment.complete
        self.metric = None if comparison.measure is None else comparison.measure.metric
        self.label = "" if comparison.measure is None else comparison.measure.label
        self.processing, self.dtype = comparison.processing, comparison.dtype


def _together(
    found: list[_Numbers], indices: list[int], failures: list[Failure], level: float, renormalise: bool, special: str
) -> ComparisonSet:
    metric = found[0].metric
    labels = list(dict.fromkeys(one.label for one in found))
    # Tokens of their own in each pair: the metric's name says what they have in common.
    effect = "" if metric is None else labels[0] if len(labels) == 1 else f"{metric.name.replace('_', ' ')}, tokens of each pair"
    gaps = sum(not one.complete for one in found)
    notes = [f"{gaps} with gaps in their alignment, so without effects" if gaps else "", _rows(renormalise, gaps)]
    notes.append("special tokens left out as queries and keys" if special == "discount" else "")
    undefined = {name: tuple(dict.fromkeys(r for one in found if (r := one.undefined.get(name)) is not None)) for name in COMPARED}
    return ComparisonSet(
        samples={name: _sealed(np.stack([one.values[name] for one in found])) for name in COMPARED},
        indices=tuple(indices),
        prompts=tuple(one.prompts for one in found),
        failures=tuple(failures),
        level=float(level),
        effect=effect,
        notes=tuple(note for note in notes if note),
        undefined={name: reasons for name, reasons in undefined.items() if reasons},
        metric=None if metric is None else metric.name,
        unit="" if metric is None else metric.unit,
        signed=metric is not None and metric.signed,
        processing=found[0].processing,
        dtype=found[0].dtype,
    )


def _rows(renormalise: bool, gaps: int) -> str:
    if renormalise:
        return "rows renormalised over aligned keys"
    return "rows not renormalised (but for the Jensen-Shannon divergence)" if gaps else ""


def _sealed(values: np.ndarray) -> np.ndarray:
    values.setflags(write=False)
    return values
