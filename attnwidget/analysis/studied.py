"""`Study`: which set of heads makes a token the first choice, or moves the answer most, and how far that is proved."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from ..drawable import Drawable
from ..heads import Head
from ..markup import escaped, html_table
from .wording import listed, number, token


@dataclass(frozen=True)
class Token:
    id: int
    token: str
    """Its text, or the name of a class."""


@dataclass(frozen=True)
class FirstChoice:
    id: int
    token: str
    probability: float


@dataclass(frozen=True)
class StudySet:
    """A set of heads, and what the model answers with it ablated."""

    heads: tuple[Head, ...]
    margin: float | None
    """`logit(target) - largest other logit`: above 0 the target is the first choice. None without a target."""
    kl: float
    """`KL(answer the study starts from || answer with the set ablated)`, nats; NaN where it is undefined."""
    first: FirstChoice
    target_probability: float | None
    """None without a target."""


@dataclass(frozen=True)
class RandomSets:
    """Of `sets` different random sets of `size` heads, those for which it is defined: the lowest, median and highest margin, or KL without
    a target."""

    size: int
    sets: int
    low: float
    median: float
    high: float


@dataclass(frozen=True)
class Restored:
    """One head of the set that was found, put back."""

    head: Head
    margin: float
    """With the others still ablated. 0 or below: without this head the set does not do it. NaN: that is not known."""


@dataclass(frozen=True)
class Tried:
    """How many sets of a size were run, of how many there are."""

    size: int
    sets: int
    of: int
    undefined: int
    """Of those that were run: how many gave no margin (no KL, without a target). Of these nothing is known."""


@dataclass(frozen=True)
class Statement:
    """What is shown (`proved`), or what is not."""

    proved: bool
    text: str


@dataclass(frozen=True)
class Study(Drawable):
    """What `attnwidget.study` found. Every set in it was run; `docs/studies.md` has the algorithm and what each verdict means."""

    target: Token | None
    position: int
    before: StudySet
    """The answer the study starts from."""
    sizes: tuple[StudySet, ...]
    """By size, ascending: the set of that size with the largest margin (KL without a target) of those tried. A size of which no tried
    set gave a number is left out."""
    random: tuple[RandomSets, ...]
    """What as many random sets of each size do."""
    found: StudySet | None
    """The smallest set found that makes `target` the first choice, on top of `conditional`. None where none was, and without a target."""
    restored: tuple[Restored, ...]
    """Of each head of `found`: the margin when it alone is put back."""
    tried: tuple[Tried, ...]
    verdict: str | None
    """`minimum`: no smaller set does it, all were tried. `1-minimal`: no head of it can be put back. `found`: the set does it, and the
    margin with some head put back is undefined. `none found`. `best found`: without a target. None while the study runs, and for one that
    was cancelled."""
    certificate: tuple[Statement, ...]
    sets: int
    """Different sets run in all."""
    forwards: float
    """What that cost: blocks run over the model's number of blocks; one that is differentiated counts as 3."""
    note: str
    """One line: mode, position, where candidates came from, weights, dtype."""
    python: str
    """The cell that computes the same; `model` is what `load_model` returned."""
    rerun: str | None
    """The expression that ablates `heads` as they were measured, with what was off already; `run` is any run of the prompt. None where
    there is no set, and where heads were off in another way: `run.ablate` does one thing to all heads."""
    baseline: str
    """What heads were replaced by, in words: "z set to zero at all positions"."""
    conditional: tuple[Head, ...]
    """Heads that were ablated already, in the run the study starts from. They are in no set: all that is said of a set holds with them off,
    and `run.ablate(found.heads)`, which starts from the clean run, is something else; see `rerun`."""
    processing: str
    dtype: str

    @property
    def heads(self) -> tuple[Head, ...]:
        """The set that was found, on top of `conditional`; without a target, the one with the largest KL; () where no set was found."""
        if self.target is not None:
            return self.found.heads if self.found is not None else ()
        return max(self.sizes, key=lambda one: one.kl).heads if self.sizes else ()

    def to_frame(self) -> pd.DataFrame:
        """One row per size: the best set of those tried, what the model answers with it ablated, and what random sets of that size do.

        Columns: size, heads, margin, kl, first, probability, target_probability, random_low, random_median, random_high, tried, of,
        undefined (of those tried).
        `attrs` says how it was made.
        """
        random, tried = {one.size: one for one in self.random}, {one.size: one for one in self.tried}
        rows = []
        for one in self.sizes:
            size = len(one.heads)
            drawn = random.get(size, RandomSets(size, 0, math.nan, math.nan, math.nan))
            rows.append(
                {
                    "size": size,
                    "heads": " ".join(map(str, one.heads)),
                    "margin": math.nan if one.margin is None else one.margin,
                    "kl": one.kl,
                    "first": one.first.token,
                    "probability": one.first.probability,
                    "target_probability": math.nan if one.target_probability is None else one.target_probability,
                    "random_low": drawn.low,
                    "random_median": drawn.median,
                    "random_high": drawn.high,
                    "tried": tried[size].sets,
                    "of": tried[size].of,
                    "undefined": tried[size].undefined,
                }
            )
        frame = pd.DataFrame(rows)
        frame.attrs = {
            name: getattr(self, name) for name in ("position", "verdict", "baseline", "conditional", "processing", "dtype", "note")
        }
        frame.attrs["target"] = None if self.target is None else self.target.token
        return frame

    def __repr__(self) -> str:
        how = f"{self.verdict or 'unfinished'}; {self.sets:,} sets run; {self.note}"
        names = ", ".join(map(str, self.heads))
        off = f", with {listed(self.conditional)} off already" if self.conditional else ""
        if self.target is None:
            best = max(self.sizes, key=lambda one: one.kl) if self.sizes else None
            return f"Study(KL {number(best.kl)} nats without {names}{off}; {how})" if best else f"Study({how})"
        if self.found is None:
            return f"Study(no set found that makes {token(self.target.token)} the first choice{off}; {how})"
        return f"Study({token(self.target.token)} is the first choice without {names}{off}: margin {number(self.found.margin)}; {how})"

    def _repr_html_(self) -> str:
        shown = "".join(f"<li>{'✓' if one.proved else '–'} {escaped(one.text)}</li>" for one in self.certificate)
        table = html_table(self.to_frame(), index=False) if self.sizes else ""
        return f"<p>{escaped(repr(self))}</p><ul style='list-style: none'>{shown}</ul>{table}"
