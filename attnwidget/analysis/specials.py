"""Which positions of a prompt hold marks of the tokenizer's own and not words: beginning, end, separators, padding."""

from __future__ import annotations

from ..errors import AttnWidgetError
from ..run import Run

SPECIAL = ("keep", "discount")


def special_positions(run: Run) -> tuple[int, ...]:
    """Positions of [CLS], [SEP], <s>, </s>, <pad> and the like, as the tokenizer names them. A mask and an unknown token stand in the
    place of a word, so they are none of these. `AttnWidgetError` without a tokenizer, which alone knows."""
    words = run.model.vocabulary
    if words.tokenizer is None:
        raise AttnWidgetError(
            f"{run.model.name} came without a tokenizer, so which tokens are special is not known: pass tokenizer=, or special='keep'."
        )
    return tuple(position for position, i in enumerate(run.ids) if i in words.special_ids)


def check_special(special: str) -> None:
    """Refuses what is neither `keep` nor `discount`."""
    if not isinstance(special, str) or special not in SPECIAL:
        raise AttnWidgetError(f"special must be 'keep' or 'discount', not {special!r}.")
