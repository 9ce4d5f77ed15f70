"""What a search has shown and what it has not, in sentences."""

from __future__ import annotations

from .search import Search
from .studied import Statement
from .wording import listed, number

_MOST = 8  # heads named in a sentence


def verdict(search: Search) -> str:
    """See `Study.verdict`."""
    if not search.targeted:
        return "best found"
    if search.found is None:
        return "none found"
    return "minimum" if all(_all_tried(search, size) for size in range(1, len(search.found))) else "1-minimal"


def certificate(search: Search, token: str) -> tuple[Statement, ...]:
    """`token` is the target's text. One statement for what was found, one for each size of which something is to be said."""
    if not search.targeted:
        return tuple(_largest(search, size) for size in search.trials.sizes)
    if search.found is None:
        return _not_found(search, token)
    return _found(search, token)


def _found(search: Search, token: str) -> tuple[Statement, ...]:
    trials, found = search.trials, search.found
    names = listed(found, _MOST)
    shown = [Statement(True, f"{token!r} is the first choice without {names}: margin {number(trials[found].margin)}, run by itself.")]
    if len(found) > 1:
        back = {head: trials[tuple(one for one in found if one != head)].margin for head in found}
        margins = listed([f"{number(margin)} with {head}" for head, margin in back.items()], _MOST)
        shown.append(Statement(True, f"Each head of it is needed: put back alone, {token!r} is not the first choice (margins {margins})."))
    return (*shown, *(_none_of(search, size) for size in range(1, len(found))))


def _not_found(search: Search, token: str) -> tuple[Statement, ...]:
    trials, sizes, of = search.trials, search.trials.sizes, len(search.trials.heads)
    if all(_all_tried(search, size) for size in range(1, of + 1)):
        first = Statement(True, f"No set of these {of} heads makes {token!r} the first choice: all {trials.sets:,} tried.")
        return (first,)
    within = max(sizes, default=0)
    ended = f", where the budget of {search.plan.budget:,} sets ended" if within < search.largest and not search.left else ""
    heads = "1 head" if within == 1 else f"{within} heads"
    first = Statement(False, f"No set found that makes {token!r} the first choice, within {heads}{ended}: {trials.sets:,} sets tried.")
    return (first, *(_none_of(search, size) for size in sizes))


def _none_of(search: Search, size: int) -> Statement:
    tried, of = search.trials.count(size), search.trials.of(size)
    if _all_tried(search, size):
        return Statement(True, f"No {_set(size)} does it: all {of:,} tried.")
    among = f", all of the {search.pairs_among} most promising heads among them" if size == 2 and search.pairs_among else ""
    return Statement(False, f"Not shown that no {_set(size)} does it: {tried:,} of {of:,} tried{among}.")


def _largest(search: Search, size: int) -> Statement:
    trials = search.trials
    tried, of, best = trials.count(size), trials.of(size), trials.best(size)
    kl = f"{number(trials[best].kl)} nats without {listed(best, _MOST)}"
    if _all_tried(search, size):
        return Statement(True, f"No {_set(size)} moves the answer more: KL {kl}, of all {of:,}.")
    return Statement(False, f"Not shown that no {_set(size)} moves the answer more: KL {kl}, the largest of {tried:,} tried of {of:,}.")


def _all_tried(search: Search, size: int) -> bool:
    return search.trials.count(size) == search.trials.of(size)


def _set(size: int) -> str:
    return {1: "single head", 2: "pair"}.get(size, f"set of {size} heads")
