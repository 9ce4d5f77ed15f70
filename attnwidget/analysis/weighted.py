"""`ValueWeighted`: patterns weighted by values, as they were computed, with what was asked."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..drawable import Drawable
from ..errors import AttnWidgetError
from ..heads import Head, HeadLike, parse_head


@dataclass(frozen=True)
class ValueWeighted(Drawable):
    """`values` [head, query, key] in float64, heads in the order of `heads`; NaN where undefined (0/0, or a query that was not asked)."""

    heads: tuple[Head, ...]
    values: np.ndarray
    tokens: tuple[str, ...]
    kind: str
    label: str
    formula: str
    unit: str
    signed: bool
    normalised: bool
    position: int | None
    """The only query there is for `signed`; None where there are all."""
    target: str | None
    against: str | None
    conditional: tuple[Head, ...]
    """Heads that were ablated in the run."""
    processing: str
    dtype: str
    exact: bool = True

    def __post_init__(self) -> None:
        self.values.setflags(write=False)

    def of(self, head: HeadLike) -> np.ndarray:
        """[query, key] of one head."""
        wanted = parse_head(head, 10**6, 10**6)
        if wanted not in self.heads:
            raise AttnWidgetError(f"No {wanted} in this result: it has {', '.join(map(str, self.heads[:20]))}.")
        return self.values[self.heads.index(wanted)]

    def to_frame(self) -> pd.DataFrame:
        """One row per head, query and key where there is a number: head, query, query_token, key, key_token, and the kind's own column.

        `attrs` says how it was made."""
        which, query, key = np.nonzero(~np.isnan(self.values))
        frame = pd.DataFrame(
            {
                "head": [str(self.heads[i]) for i in which],
                "query": query,
                "query_token": [self.tokens[i] for i in query],
                "key": key,
                "key_token": [self.tokens[i] for i in key],
                self.kind: self.values[which, query, key],
            }
        )
        told = ("kind", "label", "formula", "unit", "normalised", "position", "target", "against", "processing", "dtype", "exact")
        frame.attrs = {name: getattr(self, name) for name in told}
        return frame

    def __repr__(self) -> str:
        where = "" if self.position is None else f", query {self.position}"
        off = f", with {', '.join(map(str, self.conditional))} ablated" if self.conditional else ""
        few = ", ".join(map(str, self.heads[:3])) + (", …" if len(self.heads) > 3 else "")
        return f"ValueWeighted({few}: {self.formula}; {len(self.tokens)} tokens{where}{off}; {self.processing}, {self.dtype})"
