"""What stands out in one run: a few ranked sentences, each with its number, its method and the heads it is about.

Nothing here is a new measurement. The sentences put the exact sweep, the attention patterns, the kinds of heads, the logit lens and the
direct logit attribution of one prompt side by side, and say of each number what it is. Attention says where a head looks and never what
it matters; that a head matters is said only with what removing it was measured to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import pandas as pd

from ..drawable import Drawable
from ..errors import AttnWidgetError, PositionError, TokenError
from ..markup import escaped
from ..run import Run
from .headscores import HeadScores
from .method import Progress
from .reading import Reading
from .sentences import PARTS, Sentence
from .wording import half, listed


@dataclass(frozen=True)
class Overview(Drawable):
    """The sentences: the answer, what removing heads does to it, the depth at which it appears, kinds of heads, each by its largest number
    first, and last what was looked for and not found. `note` says what they are all relative to, and what could not be said."""

    sentences: tuple[Sentence, ...]
    note: str
    dtype: str = ""

    def to_frame(self) -> pd.DataFrame:
        """One row per sentence: text, value, unit, method, kind, heads (their names), query, key."""
        rows = [asdict(one) | {"heads": ", ".join(map(str, one.heads))} for one in self.sentences]
        frame = pd.DataFrame(rows, columns=["text", "value", "unit", "method", "kind", "heads", "query", "key"])
        frame = frame.astype({"query": "Int64", "key": "Int64"})
        frame.attrs = {"note": self.note, "dtype": self.dtype}
        return frame

    def __repr__(self) -> str:
        lines = [f"{i}. {one.text}" for i, one in enumerate(self.sentences, 1)]
        return "\n".join([f"Overview({len(lines)} sentences{half(self.dtype)})", *lines, *filter(None, [self.note])])

    def _repr_html_(self) -> str:
        items = (f"<li>{escaped(one.text)}<br><small>{escaped(one.method)}</small></li>" for one in self.sentences)
        return f"<ol>{''.join(items)}</ol><p><small>{escaped(self.note)}</small></p>"


def overview(
    run: Run,
    *,
    position: int | None = None,
    target: str | int | None = None,
    against: str | int | None = None,
    progress: Progress | None = None,
    scores: Mapping[str, HeadScores] | None = None,
) -> Overview:
    """The shortest honest reading of `run` in ranked sentences.

    One sweep zeroes each head alone, at all positions, and measures what that does to the answer at `position`. Those that do most are
    named, with where they look from there. Beside that stand the heads that change the first choice, those whose direct and total
    effects disagree, the depth at which a logit lens finds the answer, and the kinds of heads that this prompt shows. What is named by a
    rule carries that rule in its `method`.

    Args:
        run: with an ablated run, everything is read off that run, and effects are what one more head does to it.
        position: where the answer is read; by default the last token, or the first mask.
        target, against: tokens; by default the clean run's first choice and the best other token.
        progress: `progress(done, total, text)`; what it raises ends the computation.
        scores: finished `score`s of this same run, used instead of computing them again: `kl` and `logit_diff` of the exact sweep with z
            set to zero, and `direct_logit`. What was measured under other settings, or of another prompt or
            ablation, is computed anew.
    """
    reading = Reading(run, position, target, against, progress or (lambda done, total, text: None), scores or {})
    sentences: list[Sentence] = []
    for about, part in PARTS.items():
        try:
            sentences += part(reading)
        except (TokenError, PositionError):  # what was asked is wrong, not the model
            raise
        except AttnWidgetError as reason:
            reading.left_out.setdefault(str(reason), []).append(about)
    notes = [_relative_to(run), *(f"Left out, {listed(parts)}: {reason}" for reason, parts in reading.left_out.items())]
    return Overview(tuple(sorted(sentences, key=_found_nothing)), " ".join(filter(None, notes)), run.model.precision)


def _found_nothing(one: Sentence) -> bool:
    """Whether a sentence says that there is none of what it is about."""
    return not one.heads and not one.value and one.kind in ("effect", "first_choice", "direct")


def _relative_to(run: Run) -> str:
    if not run.ablation.heads:
        return ""
    return (
        f"All of it is about the run with {listed(run.ablation.heads)} ablated ({run.ablation.describe()}): "
        "effects are what one more head does to that run."
    )
