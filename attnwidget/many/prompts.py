"""The prompts of a data set, in the forms in which people have them; what padded them is cut off."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Integral

from ..chat import is_chat
from ..errors import AttnWidgetError, PromptError
from ..run import Run
from .plain import plain, plain_reference

_BATCH = ("input_ids", "attention_mask", "token_type_ids", "special_tokens_mask", "length")
_FORMS = "a text, a list of token ids, or {'prompt': ...} with tokens of its own"


@dataclass(frozen=True)
class Prompt:
    content: str | tuple
    """A text, ids, or chat messages."""
    own: Mapping[str, object] = field(default_factory=dict)
    """Arguments that take the place of those given for all."""

    @property
    def text(self) -> str:
        """To name it by where it could not be run."""
        if isinstance(self.content, str):
            return self.content
        shown = " ".join(map(str, self.content[:12]))
        return f"{shown} …" if len(self.content) > 12 else shown


def read_prompts(prompts: object, own: Sequence[str] = ()) -> list[Prompt]:
    """All of `prompts`: an iterable of texts, lists of ids, chats, or mappings with arguments of their own (those named in `own`); or a
    tokenizer's batch, `{"input_ids", "attention_mask"}`, or ids [prompt, position].

    Of a batch, what the mask leaves out at either end of a row is cut off, so that a prompt is the same however it was padded; without a
    mask nothing is. `PromptError` for a mask with a hole, which no prompt has.
    """
    if hasattr(prompts, "columns"):  # it is iterable, over the names of its columns
        raise AttnWidgetError(f"prompts is a table with {', '.join(map(repr, prompts.columns))}: give its rows, .to_dict('records').")
    if isinstance(prompts, Mapping) and "input_ids" in prompts:
        return _some([Prompt(ids) for ids in _batch(prompts)])
    if isinstance(prompts, (str, Mapping)) or (is_chat(prompts) and all(isinstance(one, Mapping) and "role" in one for one in prompts)):
        prompts = [prompts]
    if getattr(prompts, "ndim", None) is not None and hasattr(prompts, "tolist"):
        prompts = prompts.tolist()
    if not isinstance(prompts, Iterable):
        raise AttnWidgetError(f"prompts must be a list of prompts, each {_FORMS}, not {type(prompts).__name__}.")
    return _some([_prompt(one, index, own) for index, one in enumerate(prompts)])


def _some(read: list[Prompt]) -> list[Prompt]:
    if not read:
        raise AttnWidgetError(f"No prompts were given: name at least one, {_FORMS}.")
    return read


def _prompt(given: object, index: int, own: Sequence[str]) -> Prompt:
    if not isinstance(given, Mapping):
        return Prompt(_content(given, index))
    content = [key for key in ("prompt", "input_ids") if key in given]
    allowed = {*own, *content, *(_BATCH if content == ["input_ids"] else ())}
    if len(content) != 1 or not set(given) <= allowed:
        takes = f"tokens of its own ({', '.join(own)})" if own else "nothing else"
        raise AttnWidgetError(
            f"Prompt {index} has {', '.join(map(repr, given))}: it takes 'prompt', or 'input_ids' with 'attention_mask', and {takes}."
        )
    rest = {key: _argument(key, given[key]) for key in own if key in given}
    if content == ["prompt"]:
        return Prompt(_content(given["prompt"], index), rest)
    (ids,) = _batch({key: [given[key]] for key in _BATCH if key in given}, index)
    return Prompt(ids, rest)


def _argument(name: str, value: object) -> object:
    return plain_reference(value) if name == "reference" else plain(name, value)


def _content(given: object, index: int) -> str | tuple:
    if isinstance(given, str):
        return given
    if isinstance(given, Run):
        raise AttnWidgetError(f"Prompt {index} is a run: give its .text or its .ids, since each prompt is run anew.")
    read = plain(f"Prompt {index}", given)
    if not isinstance(read, tuple):
        raise AttnWidgetError(f"Prompt {index} is {given!r}: a prompt is {_FORMS}, and several are a list of such.")
    return read


def _batch(batch: Mapping, first: int = 0) -> list[tuple[int, ...]]:
    if unknown := [key for key in batch if key not in _BATCH]:
        raise AttnWidgetError(f"A batch has {', '.join(_BATCH[:2])} and no {unknown[0]!r}: leave it out.")
    rows = _rows("input_ids", batch["input_ids"], first)
    masks = _rows("attention_mask", batch["attention_mask"], first) if batch.get("attention_mask") is not None else None
    kinds = _rows("token_type_ids", batch["token_type_ids"], first) if batch.get("token_type_ids") is not None else ()
    if any(kind for row in kinds for kind in row):
        raise PromptError("This batch has pairs of texts (token_type_ids that are not 0), and a prompt is one text: give the first alone.")
    if masks is None:
        return rows
    if list(map(len, rows)) != list(map(len, masks)):
        raise PromptError("attention_mask must have as many rows, each of as many numbers, as input_ids.")
    return [_unpadded(ids, mask, first + index) for index, (ids, mask) in enumerate(zip(rows, masks, strict=True))]


def _rows(name: str, values: object, first: int) -> list[tuple[int, ...]]:
    rows = plain(name, values)
    if not isinstance(rows, tuple):
        raise PromptError(f"{name} must be [prompt, position], not {type(values).__name__}.")
    for index, row in enumerate(rows):
        if not isinstance(row, tuple) or not all(isinstance(one, Integral) for one in row):
            raise PromptError(f"{name} must be [prompt, position], whole numbers; row {first + index} is {row!r}.")
    return [tuple(map(int, row)) for row in rows]


def _unpadded(ids: tuple[int, ...], mask: tuple[int, ...], index: int) -> tuple[int, ...]:
    if wrong := [one for one in mask if one not in (0, 1)]:
        raise PromptError(f"attention_mask of prompt {index} has {wrong[0]}: it says 1 for tokens and 0 for padding.")
    kept = [at for at, one in enumerate(mask) if one]
    if not kept:
        return ()
    if kept[-1] - kept[0] >= len(kept):
        hole = next(at for at in range(kept[0], kept[-1]) if not mask[at])
        raise PromptError(
            f"attention_mask of prompt {index} has a hole at position {hole}: padding is at the beginning or the end, so cut the row there."
        )
    return ids[kept[0] : kept[-1] + 1]
