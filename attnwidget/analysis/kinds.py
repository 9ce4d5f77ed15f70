"""`detect_heads`: heads of the kinds that people have names for, judged by where they look.

The kinds and their scores are those of C. Olsson et al., In-context Learning and Induction Heads (2022), and of K. Wang et al.,
Interpretability in the Wild (2022). The induction score counts the queries that can be induction and no others: the second copy, which is
T entries of the stripe.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real

import numpy as np
import torch
from torch import Tensor

from ..errors import AttnWidgetError
from ..model import Model
from ..run import Run
from .headkinds import HeadKinds, KindScores, undefined
from .intervals import mean_interval
from .method import Progress
from .patterns import in_parts
from .repeats import draw_repeats

NO_REPEATS = "no repeats in this prompt"


@dataclass(frozen=True)
class Kind:
    """A kind of head. `targets(ids)` [query, key] says which keys a head of this kind looks at; the score is the attention on them, a mean
    over the queries that have any and may see more than one key."""

    name: str
    label: str
    formula: str
    targets: Callable[[Tensor], Tensor]
    repeats: bool = False
    """Whether only queries whose token occurred before have targets."""


def _back(by: int) -> Callable[[Tensor], Tensor]:
    def targets(ids: Tensor) -> Tensor:
        return torch.eye(len(ids), dtype=torch.bool).roll(-by, 1).tril(-by)

    return targets


def _first(ids: Tensor) -> Tensor:
    at = torch.zeros(len(ids), len(ids), dtype=torch.bool)
    at[1:, 0] = True
    return at


def _earlier(ids: Tensor) -> Tensor:
    return (ids[:, None] == ids).tril(-1)


def _after_earlier(ids: Tensor) -> Tensor:
    # "the the": what followed the first is the query itself, and looking there is no sign of induction.
    return _earlier(ids).roll(1, 1).tril(-1)


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("induction", "induction", "mean of Σ A[q, k+1] over the k < q−1 that hold q's own token", _after_earlier, True),
        Kind("previous_token", "previous token", "mean over queries q ≥ 1 of A[q, q−1]", _back(1)),
        Kind("duplicate_token", "duplicate token", "mean of Σ A[q, k] over the k < q that hold q's own token", _earlier, True),
        Kind("current_token", "current token", "mean over queries of A[q, q]", _back(0)),
        Kind("first_token", "first token", "mean over queries q ≥ 1 of A[q, 0]", _first),
    )
}


def detect_heads(
    subject: Model | Run,
    kinds: Iterable[str] | str | None = None,
    *,
    length: int | None = None,
    sequences: int = 8,
    seed: int = 0,
    prefix: Sequence[int] | None = None,
    threshold: float = 0.4,
    progress: Progress | None = None,
) -> HeadKinds:
    """The heads of each kind, by their attention; `causal_gain` tests whether they matter.

    Args:
        subject: a `Model` is tried on prompts made for it, BOS + r + r with r random tokens, where induction is the stripe A[i, i−T+1]
            and duplicate tokens A[i, i−T], i in the second copy; what stands around r is what the tokenizer puts there ([CLS] and [SEP] for
            encoders, which are tried the same way). Cost: one forward of 2T + 1 tokens a prompt. A `Run` is asked about its own repeats:
            for each query whose token occurred before, the attention on the earlier occurrences (duplicate) and on the tokens that
            followed them (induction). No forward. Of an ablated run, the patterns as they act in it.
        kinds: some of `KINDS`; all by default.
        length, sequences, seed, prefix: how the prompts are made, see `draw_repeats`; for a model only. T = 25 where it fits.
        threshold: what the rule "fixed" asks of a score, 0.4 by custom. `HeadKinds.heads` has two rules that follow the model.
        progress: `progress(done, total, text)` before each layer; what it raises ends the computation.

    Intervals are over the prompts; for a run, or a single prompt, over its queries, which are not independent of each other.
    """
    chosen = _chosen(kinds)
    if not isinstance(threshold, Real) or isinstance(threshold, bool) or not 0 <= threshold <= 1:
        raise AttnWidgetError(f"threshold must be a share of attention from 0 to 1, not {threshold!r}.")
    model = subject.model if isinstance(subject, Run) else subject
    if not isinstance(model, Model):
        raise AttnWidgetError(f"detect_heads takes a Model or a Run, not {type(subject).__name__}: make one with load_model(...).")
    if isinstance(subject, Run):
        if (length, sequences, seed, prefix) != (None, 8, 0, None):
            raise AttnWidgetError(
                "A run is asked about its own tokens: leave length=, sequences=, seed= and prefix= out, or give its .model."
            )
        prompts, setting = [subject.ids], "this prompt's own tokens"
    else:
        repeats = draw_repeats(model, length, sequences, seed, prefix)
        prompts, setting = list(repeats.prompts), repeats.setting
    step = _Steps(progress, len(prompts) * model.n_layers)
    shares: dict[str, list[np.ndarray]] = {kind.name: [] for kind in chosen}
    for ids in prompts:
        run = subject if isinstance(subject, Run) else model.run(ids)
        targets = {kind.name: _queries(kind, ids, model.causal) for kind in chosen}
        for name, found in attention_on(run, targets, step).items():
            shares[name].append(found)
    alone = len(prompts) == 1
    several = {name: found[0] if alone else np.stack([one.mean(0) for one in found]) for name, found in shares.items()}
    results = {kind.name: _scores(kind, several[kind.name], prompts, model) for kind in chosen}
    return HeadKinds(
        kinds=results,
        setting=setting,
        samples=_samples(several, alone),
        fixed=float(threshold),
        processing=model.processing,
        dtype=model.precision,
        conditional=subject.ablation.heads if isinstance(subject, Run) else (),
    )


def attention_on(run: Run, targets: Mapping[str, Tensor], step: Callable[[], None] = lambda: None) -> dict[str, np.ndarray]:
    """For each name, the attention that each query gives to its targets [query, key], [query with targets, layer, head] in float64."""
    model = run.model
    queries = {name: keys.any(-1) for name, keys in targets.items()}
    found = {name: np.zeros((int(some.sum()), model.n_layers, model.n_heads)) for name, some in queries.items()}
    for layer in range(model.n_layers):
        step()
        for heads, pattern in in_parts(run._patterns_of(layer)):
            for name, keys in targets.items():
                chosen = queries[name]
                on = pattern[:, chosen.to(pattern.device)] * keys[chosen].to(pattern.device)
                found[name][:, layer, heads] = on.sum(-1).T.cpu().numpy()
    return found


def _queries(kind: Kind, ids: Sequence[int], causal: bool) -> Tensor:
    """The kind's targets, at the queries that may see more than one key."""
    return kind.targets(torch.tensor(ids)) & (_visible(len(ids), causal) > 1)[:, None]


def _visible(n: int, causal: bool) -> Tensor:
    return torch.arange(1, n + 1) if causal else torch.full((n,), n)


def _chance(targets: Tensor, causal: bool) -> float:
    share = targets.sum(-1).double() / _visible(len(targets), causal)
    return share[targets.any(-1)].mean().item()


def _scores(kind: Kind, samples: np.ndarray, prompts: Sequence[Sequence[int]], model: Model) -> KindScores:
    if len(samples) == 0:
        return undefined(kind.name, kind.label, kind.formula, samples.shape[1:], _reason(kind, prompts[0]))
    chance = _chance(_queries(kind, prompts[0], model.causal), model.causal)
    mean, low, high = mean_interval(samples)
    # A share of attention lies between 0 and 1, and so does what it can be.
    return KindScores(kind.name, kind.label, kind.formula, mean, low.clip(0, 1), high.clip(0, 1), chance)


def _reason(kind: Kind, ids: Sequence[int]) -> str:
    if not kind.repeats:
        return "undefined in a prompt of one token"
    return NO_REPEATS if len(set(ids)) == len(ids) else "no token of this prompt is followed by another one and then repeated"


def _samples(shares: Mapping[str, np.ndarray], alone: bool) -> str:
    counts = {name: len(found) for name, found in shares.items()}
    if not alone:
        return f"{max(counts.values())} prompts"
    repeated = {count for name, count in counts.items() if KINDS[name].repeats}
    n, repeat = max(counts.values()), max(repeated, default=0)
    said = f", of which {repeat} {'repeats' if repeat == 1 else 'repeat'}" if repeated and len(counts) > len(repeated) else ""
    return f"{n} {'query' if n == 1 else 'queries'}{said}"


def _chosen(kinds: Iterable[str] | str | None) -> list[Kind]:
    names = list(KINDS) if kinds is None else [kinds] if isinstance(kinds, str) else list(dict.fromkeys(kinds))
    for name in names:
        if name not in KINDS:
            raise AttnWidgetError(f"No kind of head {name!r}: there are {', '.join(KINDS)}.")
    if not names:
        raise AttnWidgetError(f"No kinds were given: leave kinds= out for all, or name some of {', '.join(KINDS)}.")
    return [KINDS[name] for name in names]


class _Steps:
    """Progress over prompts and layers."""

    def __init__(self, progress: Progress | None, total: int):
        self.progress, self.total, self.done = progress, total, 0

    def __call__(self) -> None:
        if self.progress is not None:
            self.progress(self.done, self.total, "Looking for kinds of heads")
        self.done += 1
