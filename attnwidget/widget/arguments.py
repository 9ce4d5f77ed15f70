"""Reading what a request carries. It comes from a browser and is not trusted: what is wrong is refused in a sentence."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..ablation import MODES
from ..errors import AttnWidgetError
from ..heads import Head, parse_heads
from ..model import Model
from ..run import Run

MAPS_BYTES = 96_000_000
"""Of maps [query, key] in float32 that one answer has at most; a page asks for no more (js/src/source/patterns.ts)."""
MAPS_A_HEAD = 2
"""What a page holds of each open head: its map, and how that is changed by what is ablated."""


@dataclass(frozen=True)
class Ablating:
    """An `Ablation` message: which heads, and what is done to them."""

    heads: tuple[Head, ...]
    mode: str
    parameters: dict
    """Those that the mode takes, and `positions`, as `Run.ablate` takes them; the others only wait for another mode."""

    @property
    def key(self) -> tuple:
        return self.mode, repr(sorted(self.parameters.items()))


ZEROED = Ablating((), "zero", {"positions": None})
"""z set to zero at all positions, of whichever head."""


def ablating(model: Model, message: object) -> Ablating:
    """What an `Ablation` message means."""
    if not isinstance(message, dict):
        raise AttnWidgetError("ablation must be an object with heads and mode.")
    mode = text(message, "mode")
    parameters = {name: message.get(name) for name in (MODES[mode].params if mode in MODES else ())}
    reference = parameters.pop("reference", None)
    if reference is not None:
        given = texts(reference)
        # Of several, `resample` takes none: which one is meant is for the person to say.
        parameters["reference"] = (given[0] if mode == "resample" and len(given) == 1 else given) or None
    at = message.get("positions") or []
    if not isinstance(at, list):
        raise AttnWidgetError(f"positions must be a list of whole numbers, not {type(at).__name__}.")
    parameters["positions"] = [integer(p) for p in at] or None
    heads = parse_heads(message.get("heads") or [], model.n_layers, model.n_heads)
    return Ablating(tuple(sorted(heads)), mode, parameters)


def text(args: dict, name: str) -> str:
    value = args.get(name, "")
    if not isinstance(value, str):
        raise AttnWidgetError(f"{name} must be a text, not {type(value).__name__}.")
    return value


def texts(value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise AttnWidgetError("reference must be a list of texts.")
    return [item for item in value if item]


def integer(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise AttnWidgetError(f"{value!r} is not a whole number.")
    return value


def position(args: dict) -> int | None:
    """None is where the model answers, for which the front end has -1."""
    value = integer(args.get("position", -1))
    return None if value == -1 else value


def choice(args: dict, name: str, known: tuple[str, ...]) -> str:
    value = args.get(name)
    if value not in known:
        raise AttnWidgetError(f"{name} must be one of {', '.join(map(repr, known))}, not {value!r}.")
    return value


def heads(args: dict, model: Model) -> list[Head]:
    """One at least, of which something is made that does not grow with their number."""
    found = parse_heads(args.get("heads") or [], model.n_layers, model.n_heads)
    if not found:
        raise AttnWidgetError("No heads were given: name at least one.")
    return found


def room(tokens: int, each: int = MAPS_A_HEAD) -> int:
    """Of how many heads an answer has room for `each` maps of so many tokens."""
    return max(1, MAPS_BYTES // (each * 4 * max(1, tokens) ** 2))


def maps(args: dict, run: Run, *, least: int = 0, each: int = MAPS_A_HEAD) -> list[Head]:
    """Heads of which `each` maps of this run are asked for: as many as an answer has room for, and none where `least` is 0."""
    found = heads(args, run.model) if least else parse_heads(args.get("heads") or [], run.model.n_layers, run.model.n_heads)
    tokens = len(run.ids)
    if len(found) > (most := room(tokens, each)):
        size = len(found) * each * 4 * tokens**2 / 1e6
        raise AttnWidgetError(f"Maps of {len(found):,} heads of {tokens:,} tokens would take {size:,.0f} MB: select {most:,} or fewer.")
    return found


def positions(args: dict, most: int) -> list[int]:
    given = args.get("positions")
    if not isinstance(given, list) or not 1 <= len(given) <= most:
        raise AttnWidgetError(f"positions must be a list of 1 to {most} positions.")
    return [integer(position) for position in given]


def switch(args: dict, name: str) -> bool:
    value = args.get(name, False)
    if not isinstance(value, bool):
        raise AttnWidgetError(f"{name} must be true or false, not {type(value).__name__}.")
    return value


def seconds(args: dict, name: str, default: float) -> float | None:
    """None is as long as it takes."""
    value = args.get(name, default)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or value < 0:
        raise AttnWidgetError(f"{name} must be a number of seconds of 0 or more, or null, not {value!r}.")
    return float(value)
