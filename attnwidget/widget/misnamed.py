"""Tokens whose text names another token: without the vocabulary at hand, they must not be found by it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ..analysis import Outcome
from ..errors import TokenError
from ..model import Model


def misnamed(model: Model, answers: Iterable[Mapping]) -> list[int]:
    """Ids in recorded outcomes that their own text does not lead to, such as a byte token beside the letter it stands for; ascending."""
    ids = set()
    for answer in answers:
        if isinstance(answer["result"], Outcome):
            said = answer["result"]
            ids |= {one.id for one in (*said.rows, said.clean_top, said.ablated_top, said.target, said.against) if one is not None}
    return sorted(i for i in ids if not _names(model, i))


def _names(model: Model, token_id: int) -> bool:
    try:
        return model.token_id(model.token(token_id)) == token_id
    except TokenError:
        return False
