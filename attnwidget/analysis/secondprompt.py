"""`counterfactual`: a second prompt of as many tokens, in which what the answer hangs on is another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from numbers import Integral
from typing import Literal

import pandas as pd

from .. import metrics
from ..errors import AttnWidgetError, ModelError
from ..markup import html_table
from ..run import Run
from .measure import named
from .shuffling import shuffled
from .swapping import swapped

Which = Literal["last", "all"]


@dataclass(frozen=True)
class Token:
    """A token by id and text."""

    id: int
    token: str


@dataclass(frozen=True)
class Likely:
    """A token, and the probability that it has."""

    id: int
    token: str
    probability: float


@dataclass(frozen=True)
class Contrast:
    """One number of the clean run and of the counterfactual."""

    clean: float
    counterfactual: float


@dataclass(frozen=True, eq=False)
class Counterfactual:
    """A prompt as long as that of `clean`, run: what it carries stands in for what a circuit leaves out.

    `changed` are the positions at which its `ids` differ. `first` is its first choice at `position`; `target` and `against` are what a
    circuit is asked about by default, and `logit_diff` is `logit(target) - logit(against)` there, of both runs. `against` is None, and
    `logit_diff` with it, for a model that has one output. `note` says how it was made.
    """

    run: Run
    clean: Run
    ids: tuple[int, ...]
    tokens: tuple[str, ...]
    text: str
    changed: tuple[int, ...]
    position: int
    first: Likely
    target: Token
    against: Token | None
    logit_diff: Contrast | None
    note: str

    def to_frame(self) -> pd.DataFrame:
        """The two prompts side by side, one row per position: token, counterfactual, changed."""
        changed = set(self.changed)
        rows = zip(self.clean.tokens, self.tokens, strict=True)
        frame = pd.DataFrame([{"token": a, "counterfactual": b, "changed": i in changed} for i, (a, b) in enumerate(rows)])
        return frame.rename_axis("position")

    def __repr__(self) -> str:
        what = ", ".join(f"{self.clean.tokens[i]!r} → {self.tokens[i]!r}" for i in self.changed[:3])
        more = f", … {len(self.changed)} in all" if len(self.changed) > 3 else ""
        diff = "" if self.logit_diff is None else f"; {self._question} {self.logit_diff.clean:.4g} → {self.logit_diff.counterfactual:.4g}"
        return f"Counterfactual({what}{more}{diff})"

    @property
    def _question(self) -> str:
        return f"logit({self.target.token.strip()}) − logit({self.against.token.strip()})"

    def _repr_html_(self) -> str:
        return html_table(self.to_frame())


def counterfactual(
    run: Run,
    *,
    text: str | None = None,
    swap: Sequence[str | int] | None = None,
    which: Which = "last",
    shuffle: bool = False,
    seed: int = 0,
    target: str | int | None = None,
    against: str | int | None = None,
    position: int | None = None,
) -> Counterfactual:
    """A counterfactual of the prompt of `run`, made in one of three ways and run.

    Args:
        run: a clean run.
        text: your own, with BOS as `run` has it. It must have as many tokens; the error says where the two come apart.
        swap: two words, or two token ids. A word is found with or without a leading space, as one token or several, and becomes the other
            in the same form, so the two must have as many tokens each.
        which: "last": the last of the two words' occurrences becomes the other word. "all": each becomes the other wherever it stands.
        shuffle: True for a prompt that ends in a block and its repetition (BOS + r + r): the first copy is permuted so that no token stays
            where it was and, where that can be had, no token is followed by the one that followed it; the last copy stays.
        seed: of the permutation.
        target: what a circuit is to be asked about; by default the first choice of `run`.
        against: what it is compared with; by default the counterfactual's first choice if that is not `target`, else the best other
            token of `run`.
        position: where the answer is read; by default where the model answers.

    Raises `AttnWidgetError` where not just one way is named, where a word does not occur or nothing repeats, where the lengths differ, and
    where the outcome is the prompt itself.
    """
    ways = [name for name, given in (("text", text is not None), ("swap", swap is not None), ("shuffle", shuffle is not False)) if given]
    if len(ways) != 1:
        found = "none was" if not ways else f"{' and '.join(ways)} were"
        raise AttnWidgetError(f"A counterfactual is made in one way, text=, swap= or shuffle=True, and {found} given.")
    if not isinstance(run, Run):
        raise AttnWidgetError(f"counterfactual takes a run, model.run(prompt), not {type(run).__name__}.")
    if run.ablation.heads:
        raise AttnWidgetError("A counterfactual is of a clean run, and this one has heads ablated: give its .clean.")
    if text is not None:
        if not isinstance(text, str):
            raise AttnWidgetError(f"text must be a text, not {type(text).__name__}.")
        ids, note = _typed(run, text), "your own text"
    elif swap is not None:
        ids, note = swapped(run, swap, which)
    else:
        if shuffle is not True or isinstance(seed, bool) or not isinstance(seed, Integral):
            raise AttnWidgetError(f"shuffle must be True and seed a whole number, not {shuffle!r} and {seed!r}.")
        ids, note = shuffled(run, int(seed))
    return beside(run, ids, note, text=text, target=target, against=against, position=position)


def beside(
    run: Run,
    ids: Sequence[int],
    note: str,
    *,
    text: str | None = None,
    target: str | int | None = None,
    against: str | int | None = None,
    position: int | None = None,
) -> Counterfactual:
    """The counterfactual of given ids, run, and what the two runs answer."""
    model = run.model
    if tuple(ids) == run.ids:
        raise AttnWidgetError("This is the prompt itself, so nothing would be replaced: change a token that the answer hangs on.")
    if len(ids) != len(run.ids):
        raise AttnWidgetError(_lengths(run, ids))
    if run.outdated:
        raise ModelError("The model's weights have changed since this prompt was run: run it again with model.run(...).")
    other, at = model.run(list(ids)), run.position(position)
    clean, changed = run.logits_at(at), other.logits_at(at)
    first = metrics.best(changed)[0]
    chosen = model.token_id(target) if named(target) else metrics.best(clean)[0]
    best = (first, *metrics.best(clean, 2))
    foil = model.token_id(against) if named(against) else next((i for i in best if i != chosen), None)
    if foil == chosen:
        raise AttnWidgetError(f"target and against are both {model.token(chosen)!r}, and a logit less itself is 0: name another token.")
    return Counterfactual(
        run=other,
        clean=run,
        ids=other.ids,
        tokens=tuple(other.tokens),
        text=text if text is not None else model.vocabulary.spelled(list(ids), bool(run.prepend_bos))[0],
        changed=tuple(i for i, (a, b) in enumerate(zip(run.ids, other.ids, strict=True)) if a != b),
        position=at,
        first=Likely(first, model.token(first), metrics.probability(changed, first)),
        target=Token(chosen, model.token(chosen)),
        against=None if foil is None else Token(foil, model.token(foil)),
        logit_diff=None if foil is None else Contrast(*((row[chosen] - row[foil]).item() for row in (clean.double(), changed.double()))),
        note=note,
    )


def _typed(run: Run, text: str) -> list[int]:
    return run.model.encode(text, run.prepend_bos)


def _lengths(run: Run, ids: Sequence[int]) -> str:
    """What to change where the lengths differ: the first place at which so many tokens stand for another number of them."""
    token = run.model.vocabulary.text
    told = f"A counterfactual must have as many tokens as the prompt: this one has {len(ids)}, the prompt {len(run.ids)}"
    before, after = [token(i) for i in run.ids], [token(i) for i in ids]
    for tag, a, b, c, d in SequenceMatcher(None, run.ids, list(ids), autojunk=False).get_opcodes():
        if tag == "equal" or b - a == d - c:
            continue
        while a and c and (_inside(before, a) or _inside(after, c)):  # of a word that differs in its end, all is shown
            a, c = a - 1, c - 1
        while b < len(before) and d < len(after) and (_inside(before, b) or _inside(after, d)):
            b, d = b + 1, d + 1
        old, new = "".join(before[a:b]), "".join(after[c:d])
        if a == b:
            what = f"{new!r} is {_tokens(d - c)} where the prompt has none: leave it out, or shorten something else by as many"
        elif c == d:
            what = f"{old!r}, {_tokens(b - a)}, is missing: put something of {_tokens(b - a)} in its place"
        else:
            what = f"{new!r} is {_tokens(d - c)} where {old!r} is {b - a}: choose words of {_tokens(b - a)} there"
        return f"{told}. They come apart at token {a}: {what}."
    return f"{told}."


def _inside(tokens: Sequence[str], at: int) -> bool:
    """Whether no word begins at this token."""
    return 0 < at < len(tokens) and tokens[at][:1].isalnum() and tokens[at - 1][-1:].isalnum()


def _tokens(n: int) -> str:
    return f"{n} token{'' if n == 1 else 's'}"
