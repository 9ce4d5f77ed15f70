"""The sentences of an overview: each part reads some numbers of a `Reading` and says them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .. import metrics
from ..engine.memory import halving
from ..errors import AttnWidgetError, ModelError
from ..heads import Head
from ..run import Run
from .headkinds import HeadKinds
from .kinds import KINDS, detect_heads
from .reading import Reading
from .thresholds import ROUNDING
from .wording import listed, number, percent, token

NAMED = 3
"""Heads named for the largest KL."""
LARGEST = 5
"""Direct and total effects are compared for this many heads, those where either is largest."""
SMALLER = 0.5
"""A total effect under this share of the direct one is said to disagree with it."""
INDIRECT = 0.1
"""A direct effect under this share of the total one is said to be small beside it."""


@dataclass(frozen=True)
class Sentence:
    """One thing that stands out. `value` is the number it rests on."""

    text: str
    value: float | None
    unit: str
    """`probability`, `attention` and `share` are from 0 to 1; `layer` counts from 0, and −1 is what enters layer 0."""
    method: str
    kind: str
    """`answer`, `effect`, `first_choice`, `direct`, `depth` or `attention`."""
    heads: tuple[Head, ...] = ()
    query: int | None = None
    key: int | None = None


# -- the answer -------------------------------------------------------------------------------------------------------


def answer(reading: Reading) -> list[Sentence]:
    """What the model answers and how sure it is, the token that is asked about where that is another one, and the clean answer."""
    run, (first, second) = reading.run, reading.best
    entropy = metrics.entropy(reading.before)
    choices = f"{reading.named(first)}, {percent(reading.probability(first))}; second is {reading.named(second)}, "
    choices += f"{percent(reading.probability(second))}"
    even = f"as unsure as an even choice among {number(math.exp(entropy))}"
    text = f"{_opening(reading)} {choices}. Its entropy is {number(entropy)} nats: {even}."
    query = None if reading.by_class else reading.at
    method = "softmax of the logits in float64; entropy −Σ p ln p, and its exponential"
    said = [Sentence(text, reading.probability(first), "probability", method, "answer", (), query)]
    target = reading.pair.target
    if target != first:
        rank = metrics.rank(reading.before, target)
        text = f"The target {reading.named(target)} has {percent(reading.probability(target))} and is choice {rank}."
        said.append(Sentence(text, reading.probability(target), "probability", method, "answer", (), query))
    if run.ablation.heads:
        clean = run.clean.logits_at(reading.at)
        kl = metrics.kl(clean, reading.before)
        first_clean = metrics.best(clean)[0]
        was = f"{reading.named(first_clean)}, {percent(metrics.probability(clean, first_clean))}"
        text = f"With nothing ablated it is {was}; the answer has moved by KL {number(kl)} nats."
        said.append(Sentence(text, kl, "nats", "KL(clean ‖ ablated), measured", "effect", (), query))
    return said


def _opening(reading: Reading) -> str:
    off = reading.run.ablation.heads
    with_off = f"With {listed(off)} ablated, " if off else ""
    if reading.by_class:
        said = "the model takes the text for"
    elif reading.model.answer == "mask":
        said = f"in the place of {reading.place(reading.at)} the model expects"
    elif reading.at == len(reading.run.ids) - 1:
        said = "the model expects the prompt to go on with"
    else:
        said = f"inside the prompt, after {reading.place(reading.at)}, the model expects"
    return with_off + said if off else said[0].upper() + said[1:]


# -- effects ----------------------------------------------------------------------------------------------------------


def effects(reading: Reading) -> list[Sentence]:
    """The heads whose removal moves the answer most."""
    kl = reading.sweep["kl"]
    order, named = reading.ranked(kl), _named(reading)
    method = f"each of {len(order)} heads zeroed alone, at all positions; KL(before ‖ without), measured; the {NAMED} largest are named"
    if not order:
        raise ModelError(f"Without any one of its heads the answer of {reading.model.name} is not finite, so KL is undefined.")
    if not named:
        return [Sentence(f"Removing a head changes nothing: KL is 0 for all {len(order)}.", 0.0, "nats", method, "effect")]
    said = []
    for rank, (head, logits) in enumerate(zip(named, reading.without(named, Tensor.clone), strict=True)):
        size = f"KL {number(kl[head])} nats"
        opening = (
            f"Removing {head} alone (z set to zero) moves the answer most: {size}"
            if rank == 0
            else f"Removing {head} alone: {size}, number {rank + 1} of {len(order)}"
        )
        looks, query, key = reading.looks(head)
        text = f"{opening}; {_shift(reading, logits)}.{looks}"
        said.append(Sentence(text, float(kl[head]), "nats", method, "effect", (head,), query, key))
    return said


def _named(reading: Reading) -> list[Head]:
    kl = reading.sweep["kl"]
    return [head for head in reading.ranked(kl)[:NAMED] if kl[head] > 0]


def _shift(reading: Reading, logits: Tensor) -> str:
    """ "“Mary” falls from 92% to 65%", and what comes first instead where that changes."""
    target = reading.pair.target
    before, after = reading.probability(target), metrics.probability(logits, target)
    name, was, now = reading.named(target), percent(before), percent(after)
    moved = f"{name} stays at {was}" if was == now else f"{name} {'falls' if after < before else 'rises'} from {was} to {now}"
    first = reading.first(logits)
    if first == reading.best[0]:
        return moved
    return f"{moved}, and {reading.named(first)} comes first, {percent(metrics.probability(logits, first))}"


def difference(reading: Reading) -> list[Sentence]:
    """The heads that the logit difference rests on most, and that work against it."""
    drop = reading.sweep["logit_diff"]
    order = reading.ranked(drop)
    if not order:
        return []
    most, least = order[0], order[-1]
    target, against = reading.named(reading.pair.target), reading.named(reading.pair.against)
    row = reading.before.double()
    before = (row[reading.pair.target] - row[reading.pair.against]).item()
    method = f"drop in logit({target}) − logit({against}) when a head is zeroed alone, measured in the same sweep; the largest either way"
    heads = [head for head, there in ((most, drop[most] > 0), (least, drop[least] < 0)) if there]
    said = f"{target} is {number(before)} logits over {against}"
    if before < 0:
        said = f"{target} is {number(-before)} logits under {against}"
    if not heads:
        return [Sentence(f"{said}, and removing a head does not change that.", 0.0, "logits", method, "effect")]
    text = f"{said}."
    if drop[most] > 0:
        text += f" {most} holds it up most: without it {_by('falls', drop[most])}."
    if drop[least] < 0:
        text += f" {least} holds it down most: without it {_by('rises', -drop[least])}."
    looks, query, key = reading.looks(heads[0])
    if heads[0] not in _named(reading):
        text += looks.replace(" it looks ", f" {heads[0]} looks ", 1)
    return [Sentence(text, float(drop[heads[0]]), "logits", method, "effect", tuple(heads), query, key)]


def _by(way: str, size: float) -> str:
    return f"the difference {way} by {number(size)}"


def first_choice(reading: Reading) -> list[Sentence]:
    """How many heads change the first choice, each alone."""
    kl = reading.sweep["kl"]
    order = reading.ranked(kl)
    if not order:
        return []
    firsts = {head: int(reading.sweep["first_choice"][head]) for head in order}
    changed = [head for head in order if firsts[head] != reading.best[0]]
    median = float(np.nanmedian(kl))
    half = f"The median head moves the answer by KL {number(median)} nats"
    method = (
        "each head zeroed alone, at all positions; the first choice read off the same sweep, changed where another one is above the old"
    )
    if not changed:
        first = reading.named(reading.best[0])
        text = f"No single head decides it, 0 of {len(order)} heads: {first} stays first whichever one is removed alone. {half}."
    else:
        named = ", ".join(f"{head} (then {reading.named(firsts[head])})" for head in changed[:LARGEST])
        more = f" and {len(changed) - LARGEST} more" if len(changed) > LARGEST else ""
        change = "changes" if len(changed) == 1 else "change"
        text = f"{len(changed)} of {len(order)} heads {change} the first choice when removed alone: {named}{more}. {half}."
    return [Sentence(text, float(len(changed)), f"of {len(order)} heads", method, "first_choice", tuple(changed[:LARGEST]))]


# -- direct and total effects -----------------------------------------------------------------------------------------


def direct(reading: Reading) -> list[Sentence]:
    """The heads whose direct and total effects on the logit difference disagree."""
    total, alone = reading.sweep["logit_diff"], reading.direct
    if np.isnan(total).all():
        return []
    target, against = reading.named(reading.pair.target), reading.named(reading.pair.against)
    both = ~np.isnan(total) & ~np.isnan(alone)
    # What a rounding of the logits makes contradicts nothing.
    least = ROUNDING * reading.before.abs().max().item()
    by_direct = [head for head in reading.ranked(np.where(both, np.abs(alone), np.nan))[:LARGEST] if abs(alone[head]) > least]
    by_total = [head for head in reading.ranked(np.where(both, np.abs(total), np.nan))[:LARGEST] if abs(total[head]) > least]
    indirect = [head for head in by_total if abs(alone[head]) < INDIRECT * abs(total[head])]
    # Along the direct effect: a total one that has turned round is smaller than none.
    small = [head for head in by_direct if total[head] * np.sign(alone[head]) < SMALLER * abs(alone[head])]
    smaller = [head for head in small if head not in indirect]
    method = (
        f"direct: z W_O · (W_U {target} − W_U {against}) at this position only, the final norm's scale frozen; "
        "total: drop in the difference when zeroed alone, at all positions, the norm worked out anew, measured; "
    )
    rule_smaller = f"of the {LARGEST} largest direct effects, those with a total under {percent(SMALLER)} of it"
    rule_indirect = f"of the {LARGEST} largest totals, those with a direct effect under {percent(INDIRECT)} of it"

    def pairs(heads: list[Head], only: str = "") -> str:
        moves = {head: _moves(total[head], alone[head], only) for head in heads}
        return "; ".join(f"{head} writes {number(alone[head])} to it directly, yet without this head it {moves[head]}" for head in heads)

    difference = f"the difference of {target} over {against}"
    said = []
    if smaller:
        text = f"In {difference}, direct and total effects disagree, the total one smaller or turned round: {pairs(smaller, 'only ')}."
        said.append(Sentence(text, float(alone[smaller[0]]), "logits", method + rule_smaller, "direct", tuple(smaller)))
    if indirect:
        text = f"In {difference}, direct and total effects disagree, the direct one small beside the total: {pairs(indirect)}."
        said.append(Sentence(text, float(total[indirect[0]]), "logits", method + rule_indirect, "direct", tuple(indirect)))
    if not said:
        text = f"In {difference}, no head is found whose large direct or total effect the other one contradicts."
        said.append(Sentence(text, None, "", f"{method}{rule_smaller}; {rule_indirect}", "direct"))
    return said


def _moves(drop: float, wrote: float, only: str) -> str:
    if drop == 0:
        return "stays"
    way, turned = "falls" if drop > 0 else "rises", drop * wrote < 0
    return f"{'even ' if turned else ''}{way} by {'' if turned else only}{number(abs(drop))}"


# -- depth ------------------------------------------------------------------------------------------------------------


def depth(reading: Reading) -> list[Sentence]:
    """The layer from which a logit lens has the answer first, and keeps it."""
    if reading.model.answer not in ("next", "mask"):
        return []
    layers = reading.model.n_layers
    rows = _lens(reading)
    # The last row is the answer itself, up to a rounding that might part equal ones.
    firsts = [*(metrics.best(row)[0] for row in rows[:-1]), reading.best[0]]
    final = firsts[-1]
    since = next(i for i in range(layers + 1) if all(first == final for first in firsts[i:]))
    log_probs = metrics.log_probabilities(rows)
    name, there = reading.named(final), percent(log_probs[since, final].exp().item())
    if since == 0:
        text = f"Read with a logit lens, {name} is the first choice already in what enters L0, {there}, and stays it through all layers."
    else:
        before = firsts[since - 1]
        was = f"{reading.named(before)}, {percent(log_probs[since - 1, before].exp().item())}"
        stage = "before L0" if since == 1 else f"after L{since - 2}"
        end = ", the last layer" if since == layers else f", and stays it to the end (L{layers - 1})"
        text = f"Read with a logit lens, the first choice {stage} is still {was}; {name} becomes it after L{since - 1}{end}: {there} there."
    method = "logit lens: the final norm and unembedding applied to the stream after each layer, which they were not trained for"
    return [Sentence(text, float(since - 1), "layer", method, "depth", (), reading.at)]


def _lens(reading: Reading) -> Tensor:
    """The tail on the stream at the position: [layer + 1, vocabulary], the first row of what enters layer 0."""
    run, engine = reading.run, reading.model.engine
    if engine.tail_by_position and engine.max_rows is None:
        stream = torch.cat([resid[:, reading.at : reading.at + 1] for resid in run._resid])
        return torch.cat(list(halving(lambda some: engine.logits(run._recording, some, [0])[:, 0], stream, len(stream))))
    rows = []
    for layer, resid in enumerate(run._resid):
        reading.progress(layer, len(run._resid), "Reading the stream after each layer")
        rows.append(engine.logits(run._recording, resid, [reading.at])[:, 0])
    return torch.cat(rows)


# -- kinds of heads ---------------------------------------------------------------------------------------------------

_LOOK_AT = {
    "induction": "at what followed the same token earlier (induction)",
    "duplicate_token": "at an earlier copy of the same token (duplicate token)",
    "previous_token": "at the token before (previous token)",
    "first_token": "at the first token, {first}",
}


def kinds(reading: Reading) -> list[Sentence]:
    """The heads of known kinds that look here as heads of their kind do; with what removing them does, where that was measured."""
    _ = reading.acting  # refuses where there is none
    found = detect_heads(reading.run, list(_LOOK_AT), progress=reading.progress)
    for name in _LOOK_AT:
        if reason := found[name].reason:
            reading.left_out.setdefault(f"{reason}.", []).append(found[name].label)
    return [_kind(reading, found, name) for name in _LOOK_AT if not found[name].reason]


def _kind(reading: Reading, found: HeadKinds, name: str) -> Sentence:
    one, n = found[name], len(reading.acting)
    # What an ablated head looks at is not what the model does here.
    heads = [head for head in found.heads(name) if head in reading.acting]
    look = _LOOK_AT[name].format(first=token(reading.run.tokens[0]))
    if name == "first_token" and _opens(reading.run):
        look += " (attention sinks)"
    queries = KINDS[name].targets(torch.tensor(reading.run.ids)).any(-1).sum().item()
    over, chance = "1 query" if queries == 1 else f"{queries} queries", f"the chance of {percent(one.chance)}"
    sure = f"its 95% interval above {chance}; the interval takes queries to be independent, which those of one prompt are not"
    if queries == 1:
        sure = f"above {chance}; one query has no interval"
    method = f"attention, not effect: {one.formula}, {over}; found: {found.fixed:g} or more, and {sure}"
    if len(reading.run.ablation.heads):
        method += "; heads that are ablated are left out"
    if not heads:
        best = next(head for head in reading.ranked(one.values) if head in reading.acting)
        why = f", but over {over} that is not surely above chance" if one.values[best] >= found.fixed else ""
        text = f"No head is found that looks {look}: the most is {best}, {percent(one.values[best])} of its attention{why}."
        return Sentence(text, float(one.values[best]), "attention", method, "attention", (best,))
    named = heads[: 1 if name == "first_token" else NAMED]
    most = ", ".join(f"{head} {percent(one.values[head])}" for head in named)
    text = f"{len(heads)} of {n} heads {'looks' if len(heads) == 1 else 'look'} {look}: {'' if heads == named else 'most of all '}{most}"
    if name == "first_token":
        share = len(heads) / n
        every = "the heads that are not ablated" if reading.run.ablation.heads else "all heads"
        return Sentence(f"{text}. That is {percent(share)} of {every}.", share, "share", method, "attention", tuple(named))
    text += f" of {'its' if len(named) == 1 else 'their'} attention{', in the one query that can show it' if queries == 1 else ''}."
    kl = _measured(reading)
    order = [] if kl is None else reading.ranked(kl)
    if told := [head for head in order if head in heads]:
        who = "Removing it" if len(heads) == 1 else f"Of these, removing {told[0]} does most: it"
        text += f" {who} moves the answer by KL {number(kl[told[0]])} nats, number {order.index(told[0]) + 1} of {len(order)}."
        named = list(dict.fromkeys([*named, told[0]]))
    return Sentence(text, float(one.values[heads[0]]), "attention", method, "attention", tuple(named))


def _opens(run: Run) -> bool:
    """Whether the first token is one that the tokenizer puts there, BOS or [CLS]."""
    words = run.model.vocabulary
    return run.ids[0] in (words.bos_id, *words.prefix[:1])


def _measured(reading: Reading) -> np.ndarray | None:
    """[layer, head] KL; None where nothing can be measured, which another part says."""
    try:
        return reading.sweep["kl"]
    except AttnWidgetError:
        return None


PARTS: dict[str, Callable[[Reading], list[Sentence]]] = {
    "the answer": answer,
    "effects of heads": effects,
    "the logit difference": difference,
    "the first choice": first_choice,
    "direct effects": direct,
    "depth": depth,
    "kinds of heads": kinds,
}
"""In the order in which they are said, by what they are about."""
