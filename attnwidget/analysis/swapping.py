"""Two words of a prompt exchanged, token by token."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral

from ..errors import AttnWidgetError, PromptError, TokenError
from ..model import Model
from ..run import Run
from .wording import listed


def swapped(run: Run, swap: Sequence[str | int], which: str) -> tuple[list[int], str]:
    """The ids of the prompt with two words exchanged, and what was done in words. See `secondprompt.counterfactual`."""
    if not isinstance(which, str) or which not in ("last", "all"):
        raise AttnWidgetError(f"which must be 'last' (the last occurrence of either word) or 'all', not {which!r}.")
    if isinstance(swap, (str, bytes)) or not isinstance(swap, Sequence) or len(swap) != 2:
        raise AttnWidgetError(f"swap takes two words, as in swap=('John', 'Mary'), not {swap!r}.")
    names = [_named(run.model, word) for word in swap]
    if names[0] == names[1]:
        raise AttnWidgetError(f"swap takes two different words, and both are {names[0]!r}.")
    forms = [_forms(run.model, word) for word in swap]
    found = _occurrences(run, forms)
    if not found:
        raise AttnWidgetError(
            f"Neither {names[0]!r} nor {names[1]!r} occurs in this prompt as a word of its own: name words that stand in it, "
            "as they are written there."
        )
    if which == "last":
        found = found[-1:]
    ids = list(run.ids)
    for start, word, form in reversed(found):
        old, new = forms[word][form], forms[1 - word].get(form)
        if new is None or len(new) != len(old):
            raise AttnWidgetError(_unequal(run.model, old, new, names[1 - word]))
        ids[start : start + len(old)] = new
    if which == "last":
        word = found[0][1]
        return ids, f"{names[word]} → {names[1 - word]} at its last occurrence"
    return ids, f"{names[0]} ↔ {names[1]} at {listed([f'token {start}' for start, _, _ in found])}"


def _named(model: Model, word: object) -> str:
    if isinstance(word, Integral) and not isinstance(word, bool):
        text = model.vocabulary.text(model.vocabulary.id(int(word)))
        return text.strip() or repr(text)
    if not isinstance(word, str) or not word.strip():
        raise AttnWidgetError(f"swap takes words or token ids, and {word!r} is neither.")
    return word.strip()


def _forms(model: Model, word: str | int) -> dict[str, tuple[int, ...]]:
    """A word's ids by how it may stand in a text: after a space, or without one."""
    words = model.vocabulary
    if not isinstance(word, str) or words.tokenizer is None:
        return {"": (words.id(f"#{word.strip().removeprefix('#')}" if isinstance(word, str) else int(word)),)}
    bare, forms = word.strip(), {}
    for space in (" ", ""):
        try:
            forms[space] = (words.id(space + bare),)
        except TokenError:
            if pieces := _pieces(model, space + bare):  # several tokens, or none that the vocabulary has
                forms[space] = pieces
    return forms


def _pieces(model: Model, text: str) -> tuple[int, ...]:
    """The ids of a text with nothing put around it; none where the tokenizer has no token for it."""
    words = model.vocabulary
    try:
        ids = words.encode(text, None if words.bos_id is None else False)
    except PromptError:
        return ()
    if words.bos_id is None:
        ids = ids[len(words.prefix) : len(ids) - len(words.suffix)]
    return tuple(ids)


def _occurrences(run: Run, forms: Sequence[dict[str, tuple[int, ...]]]) -> list[tuple[int, int, str]]:
    """(first token, which of the words, in which form) in the order of the prompt; of two that overlap, the longer and the earlier."""
    n, taken, found = len(run.ids), set(), []
    candidates = [
        (start, word, form)
        for word, some in enumerate(forms)
        for form, ids in some.items()
        for start in range(n - len(ids) + 1)
        if run.ids[start : start + len(ids)] == ids and _whole(run, start, start + len(ids))
    ]
    for start, word, form in sorted(candidates, key=lambda one: (-len(forms[one[1]][one[2]]), one[0], one[1])):
        places = range(start, start + len(forms[word][form]))
        if taken.isdisjoint(places):
            taken.update(places)
            found.append((start, word, form))
    return sorted(found)


def _whole(run: Run, start: int, stop: int) -> bool:
    """Whether no word goes on beyond these tokens: " John" in " Johnson" is not John."""
    return not any(_joined(run, at) for at in (start, stop) if 0 < at < len(run.ids))


def _joined(run: Run, at: int) -> bool:
    """Whether a word goes on from the token before to this one. Read together: tokenizers mark where words begin, go on, or neither."""
    words = run.model.vocabulary
    if words.tokenizer is None:
        return False
    before, both = words.joined([run.ids[at - 1]]).strip(), words.joined(run.ids[at - 1 : at + 1]).strip()
    return both.startswith(before) and before[-1:].isalnum() and both[len(before) :][:1].isalnum()


def _unequal(model: Model, old: Sequence[int], new: Sequence[int] | None, name: str) -> str:
    text = "".join(map(model.vocabulary.text, old))
    if new is None:
        return f"{name!r} has no tokens in this vocabulary in the place of {text!r}: choose another word."
    many = "one token" if len(old) == 1 else f"{len(old)} tokens"
    said = "".join(map(model.vocabulary.text, new))
    return (
        f"{said!r} is {len(new)} token{'' if len(new) == 1 else 's'} where {text!r} is {len(old)}, and a counterfactual must have as many "
        f"tokens as the prompt: choose a word that is {many}."
    )
