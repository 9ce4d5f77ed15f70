"""What a search has shown and what it has not, in sentences. Each says what was off already, so that it is true by itself."""

from __future__ import annotations

import math

from .search import Search
from .studied import Statement
from .trials import Heads, without
from .wording import listed, number, token

_MOST = 8  # heads named in a sentence


def verdict(search: Search) -> str:
    """See `Study.verdict`."""
    found = search.found
    if not search.targeted:
        return "best found"
    if found is None:
        return "none found"
    if any(math.isnan(search.trials[without(found, head)].margin) for head in found):
        return "found"
    return "minimum" if all(_all_known(search, size) for size in range(1, len(found))) else "1-minimal"


def certificate(search: Search) -> tuple[Statement, ...]:
    """One statement for what was found, one for each size of which something is to be said."""
    if not search.targeted:
        return tuple(_largest(search, size) for size in sorted(search.trials.by_size))
    return _not_found(search) if search.found is None else _found(search, search.found)


def _found(search: Search, found: Heads) -> tuple[Statement, ...]:
    margin = number(search.trials[found].margin)
    shown = [_shown(search, f"{_target(search)} is the first choice without {listed(found, _MOST)}: margin {margin}, run by itself.")]
    if len(found) > 1:
        shown.append(_each_needed(search, found))
    return (*shown, *(_none_of(search, size) for size in range(1, len(found))))


def _each_needed(search: Search, found: Heads) -> Statement:
    back = {head: search.trials[without(found, head)].margin for head in found}
    if unknown := [head for head, margin in back.items() if math.isnan(margin)]:
        names = listed([f"{head} alone" for head in unknown], _MOST)
        return _open(search, f"that each head of it is needed: the margin is undefined with {names} put back.")
    margins = listed([f"{number(margin)} with {head}" for head, margin in back.items()], _MOST)
    return _shown(search, f"Each head of it is needed: put back alone, {_target(search)} is not the first choice (margins {margins}).")


def _not_found(search: Search) -> tuple[Statement, ...]:
    trials, of = search.trials, len(search.trials.heads)
    if all(_all_known(search, size) for size in range(1, of + 1)):
        return (_shown(search, f"No set of these {of} heads makes {_target(search)} the first choice: all {trials.sets:,} tried."),)
    sizes = sorted(trials.by_size)
    within = max(sizes, default=0)
    ended = f", where the budget of {search.plan.budget:,} sets ended" if within < search.largest and not search.left else ""
    heads = "1 head" if within == 1 else f"{within} heads"
    text = f"No set found that makes {_target(search)} the first choice, within {heads}{ended}: {trials.sets:,} sets tried."
    return (Statement(False, _conditional(search, text)), *(_none_of(search, size) for size in sizes))


def _none_of(search: Search, size: int) -> Statement:
    if _all_known(search, size):
        return _shown(search, f"No {_set(size)} does it: all {search.trials.of(size):,} tried.")
    among = f", all of the {search.pairs_among} most promising heads among them" if size == 2 and search.pairs_among else ""
    return _open(search, f"that no {_set(size)} does it: {_tried(search, size)}{among}.")


def _largest(search: Search, size: int) -> Statement:
    trials, best = search.trials, search.trials.best(size)
    if best is None:
        return _open(search, f"which {_set(size)} moves the answer most: {_tried(search, size)}.")
    kl = f"KL {number(trials[best].kl)} nats without {listed(best, _MOST)}"
    if _all_known(search, size):
        return _shown(search, f"No {_set(size)} moves the answer more: {kl}, of all {trials.of(size):,}.")
    return _open(search, f"that no {_set(size)} moves the answer more: {kl}, the largest of {_tried(search, size)}.")


def _tried(search: Search, size: int) -> str:
    undefined = search.trials.undefined(size)
    unknown = f", {undefined:,} of these undefined" if undefined else ""
    return f"{search.trials.count(size):,} of {search.trials.of(size):,} tried{unknown}"


def _all_known(search: Search, size: int) -> bool:
    return search.trials.count(size) == search.trials.of(size) and not search.trials.undefined(size)


def _shown(search: Search, text: str) -> Statement:
    return Statement(True, _conditional(search, text))


def _open(search: Search, text: str) -> Statement:
    """`text` goes on from "Not shown"."""
    return Statement(False, f"Not shown, {_off(search)}, {text}" if _off(search) else f"Not shown {text}")


def _conditional(search: Search, text: str) -> str:
    off = _off(search)
    return f"{off[0].upper()}{off[1:]}, {text[0].lower()}{text[1:]}" if off else text


def _off(search: Search) -> str:
    off = search.trials.run.ablation.heads
    return f"with {listed(off)} off already" if off else ""


def _target(search: Search) -> str:
    trials = search.trials
    return token(trials.run.model.token(trials.target))


def _set(size: int) -> str:
    return {1: "single head", 2: "pair"}.get(size, f"set of {size} heads")
