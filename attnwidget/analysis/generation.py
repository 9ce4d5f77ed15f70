"""What a model says, and what it says with heads ablated: the result of `generate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal

import pandas as pd

from ..drawable import Drawable
from ..errors import AttnWidgetError
from ..markup import html_table
from .outcome import Pair
from .wording import half

Side = Literal["control", "ablated"]
Ended = Literal["end of text", "length", "context"]


@dataclass(frozen=True)
class Alternative:
    """A token that could have been chosen, and its probability under the model itself."""

    id: int
    token: str
    probability: float


@dataclass(frozen=True)
class Step:
    """One generated token. `probability` is under the model itself (temperature 1, nothing left out), after what came before it in its own
    text; `special` says that it stands for no text; `alternatives` are the 5 most probable tokens, the chosen one among them or not."""

    id: int
    token: str
    probability: float
    special: bool
    alternatives: tuple[Alternative, ...]


@dataclass(frozen=True)
class Continuation:
    """One generated text, special tokens left out of `text`, and why it ended: at an end-of-text token, after as many tokens as were asked
    for ("length"), or where the model takes no more ("context"); None while it goes on."""

    steps: tuple[Step, ...]
    text: str
    ended: Ended | None


@dataclass(frozen=True)
class Forced:
    """Clean against ablated over the `tokens` generated tokens of one text, the one that `on` names, both predicting each of them after the
    same tokens (teacher-forced): `kl` is the mean of `KL(clean || ablated)` in nats, `perplexity` is `exp(-mean log p(token))`,
    `top1_changed` the share of them at which the first choice differs."""

    on: Side
    tokens: int
    kl: float
    perplexity: Pair
    top1_changed: float


@dataclass(frozen=True)
class Generation(Drawable):
    """The clean model's continuation of a prompt (`control`) beside the ablated one's (None where nothing is ablated).

    `diverges` is the first generated token in which they differ, counted from 0, or None. `forced` compares the two models on the same
    tokens; it is None where nothing is ablated, and until generation has ended. `cached` says whether the ablated side (the control where
    there is none) used a key-value cache. Numbers of different texts are never compared position by position.
    """

    prompt_length: int
    control: Continuation
    ablated: Continuation | None
    diverges: int | None
    forced: Forced | None
    cached: bool
    note: str
    prompt_ids: tuple[int, ...]
    dtype: str = ""

    def ids(self, which: Side = "control") -> list[int]:
        """Prompt and generated tokens of one side, for `model.run(...)`."""
        side = {"control": self.control, "ablated": self.ablated}.get(which)
        if side is None:
            reason = "nothing was ablated, so there is 'control' alone" if which == "ablated" else "there are 'control' and 'ablated'"
            raise AttnWidgetError(f"No side {which!r} of this generation: {reason}.")
        return [*self.prompt_ids, *(step.id for step in side.steps)]

    def to_frame(self) -> pd.DataFrame:
        """One row per generated token: id, token and probability of the control and, where heads are ablated, of the ablated side;
        `attrs` says how it was made."""
        sides = {"control": self.control.steps} | ({"ablated": self.ablated.steps} if self.ablated else {})
        columns = [f"{side}_{name}" for side in sides for name in ("id", "token", "probability")]
        rows = [
            [value for step in steps for value in ((step.id, step.token, step.probability) if step else (None, None, None))]
            for steps in zip_longest(*sides.values())
        ]
        frame = pd.DataFrame(rows, columns=columns)
        frame = frame.astype({name: "Int64" for name in columns if name.endswith("_id")}).rename_axis("step")
        frame.attrs = {"note": self.note, "dtype": self.dtype}
        return frame

    def __repr__(self) -> str:
        if self.ablated is None:
            return f"Generation({_short(self.control.text)}; nothing ablated{half(self.dtype)})"
        where = "the same tokens" if self.diverges is None else f"they differ from token {self.diverges}"
        kl = "" if self.forced is None else f"; KL {self.forced.kl:.4g} nats on the {self.forced.on} text"
        return f"Generation({_short(self.control.text)} → {_short(self.ablated.text)}; {where}{kl}{half(self.dtype)})"

    def _repr_html_(self) -> str:
        return html_table(self.to_frame())


def first_difference(control: Sequence[Step], ablated: Sequence[Step]) -> int | None:
    """The first step at which both have a token and not the same one."""
    return next((i for i, (a, b) in enumerate(zip(control, ablated, strict=False)) if a.id != b.id), None)


def _short(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "…")
