"""How well the heads that were found agree with the heads that should have been."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pandas as pd

from ..heads import Head


@dataclass(frozen=True)
class Agreement:
    """Heads found against heads that are so, by labels or by another test. None where a number is 0/0 or was not measured."""

    precision: float | None
    """The share of the found that are so."""
    recall: float | None
    """The share of those that are so that were found."""
    f1: float | None
    """`2 TP / (2 TP + FP + FN)`."""
    hits: tuple[Head, ...]
    """Found, and so."""
    extra: tuple[Head, ...]
    """Found, and not so."""
    missed: tuple[Head, ...]
    """So, and not found."""
    against: str
    """What says which heads are so."""
    untested: str = ""
    """What could not be said, and why."""

    def to_frame(self) -> pd.DataFrame:
        """One row per head that was found or should have been: head, layer, index, result ("hit", "extra", "missed")."""
        rows = [(head, name) for name in ("hits", "extra", "missed") for head in getattr(self, name)]
        return pd.DataFrame(
            {
                "head": [str(head) for head, _ in rows],
                "layer": [head.layer for head, _ in rows],
                "index": [head.head for head, _ in rows],
                "result": [name.removesuffix("s") for _, name in rows],
            }
        )

    def __repr__(self) -> str:
        numbers = {"precision": self.precision, "recall": self.recall, "F1": self.f1}
        said = ", ".join(f"{name} {'undefined' if value is None else f'{value:.3g}'}" for name, value in numbers.items())
        return f"Agreement({said}; against {self.against}{f'; {self.untested}' if self.untested else ''})"


def agreement(found: Iterable[Head], labels: Iterable[Head], against: str, tested: Iterable[Head] | None = None) -> Agreement:
    """`tested` are the heads of which it is known whether they are so, None for all. Precision needs all that were found to be among
    them, recall and F1 need every head to be."""
    found, labels = list(dict.fromkeys(found)), set(labels)
    hits = tuple(head for head in found if head in labels)
    known = None if tested is None else set(tested)
    unknown = [head for head in found if known is not None and head not in known]
    extra = tuple(head for head in found if head not in labels and head not in unknown)
    missed = tuple(sorted(labels.difference(found)))
    right, wrong, lost = len(hits), len(extra), len(missed)
    whole = known is None
    untested = "" if whole else "recall and F1 need every head tested"
    if unknown:
        untested = f"{', '.join(map(str, unknown))} not tested, so precision is not known either; {untested}"
    return Agreement(
        precision=None if unknown else _ratio(right, right + wrong),
        recall=_ratio(right, right + lost) if whole else None,
        f1=_ratio(2 * right, 2 * right + wrong + lost) if whole else None,
        hits=hits,
        extra=extra,
        missed=missed,
        against=against,
        untested=untested,
    )


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None
