"""Traits that say in one sentence what they take: heads in any of the forms people write, and one of a few words."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

import traitlets as t

from ..errors import AttnWidgetError
from ..heads import Head, parse_heads


class Heads(t.List):
    """A list of heads, checked against the widget's model. Takes what `parse_heads` takes; holds `Head`s, which are tuples."""

    def __init__(self, **kwargs: object):
        super().__init__(t.Tuple(t.Int(), t.Int()), **kwargs)

    def validate(self, obj: t.HasTraits, value: object) -> list[Head]:
        model = getattr(obj, "model", None)
        if model is None:
            return super().validate(obj, value)
        try:
            heads = super().validate(obj, parse_heads(value, model.n_layers, model.n_heads))
        except AttnWidgetError as error:
            raise _refused(error) from None
        return [Head(*head) for head in heads]


class Choice(t.Enum):
    """One of a few words; anything else is an `AttnWidgetError`, which is a `ValueError`, that lists them."""

    def validate(self, obj: t.HasTraits, value: object) -> object:
        if not isinstance(value, str) or value not in self.values:
            raise _refused(AttnWidgetError(f"No {self.name.replace('_', ' ')} {value!r}: there are {', '.join(self.values)}."))
        return value


def _refused(error: AttnWidgetError) -> AttnWidgetError:
    """The same error, which is also a `TraitError`: for that alone traitlets undoes a set of traits made together."""
    kind = type(error)
    return type(kind.__name__, (kind, t.TraitError), {})(str(error))


def refusing(check: Callable) -> Callable:
    """For validators: what they raise undoes a set of traits made together."""

    @wraps(check)
    def checked(self: t.HasTraits, proposal: dict) -> object:
        try:
            return check(self, proposal)
        except AttnWidgetError as error:
            raise _refused(error) from None

    return checked
