"""The code that makes a run again, for a cell of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ..ablation import MODES, Ablation
from ..heads import Head
from ..run import Run


def run_code(run: Run, model: str = "model") -> str:
    """`model.run(...)`, and `.ablate(...)` where heads are ablated: an expression that gives these ids and this ablation."""
    made = f"{model}.run({prompt_code(run)})"
    if not run.ablation.heads:
        return made
    return f"{made}.{ablate_code(run.ablation.heads, how_code(run.ablation, model))}"


def ablate_code(heads: Sequence[Head], how: Sequence[str]) -> str:
    """`ablate([...], ...)`, with what `how_code` gave."""
    named = ", ".join(repr(str(head)) for head in heads)
    return f"ablate({', '.join([f'[{named}]', *how])})"


def alike(one: Ablation, other: Ablation) -> bool:
    """Whether both do the same to heads, whichever these are: then one `ablate` can do both."""
    return _way(one) == _way(other)


def _way(ablation: Ablation) -> tuple[Ablation, list[tuple[int, ...]]]:
    """Without its heads; runs are alike where they are of the same tokens."""
    given = ablation.reference
    runs = [] if given is None else given if isinstance(given, tuple) else [given]
    return replace(ablation, heads=(), reference=None), [run.ids for run in runs]


def prompt_code(run: Run) -> str:
    """The arguments of `model.run`: the text where it is cut into these tokens, else the ids."""
    text, start = run._text, run.prepend_bos
    if isinstance(text, str):
        for switch in (None, start):
            if tuple(run.model.encode(text, switch)) == tuple(run.ids):
                return repr(text) if switch is None else f"{text!r}, prepend_bos={switch}"
    return repr(list(run.ids))


def how_code(ablation: Ablation, model: str = "model") -> list[str]:
    """The arguments of `ablate` after the heads, those that are not as they would be."""
    parameters = MODES[ablation.mode].params
    code = [] if ablation.mode == "zero" else [f"mode={ablation.mode!r}"]
    if ablation.positions is not None:
        code.append(f"positions={list(ablation.positions)}")
    given = ablation.reference
    if given is not None:
        runs = given if isinstance(given, tuple) else (given,)
        made = [run_code(one, model) for one in runs]
        code.append(f"reference={made[0]}" if len(made) == 1 else f"reference=[{', '.join(made)}]")
    defaults = Ablation()
    named = {name: getattr(ablation, name) for name in ("scale", "threshold", "seed") if name in parameters}
    return [*code, *options_code(named, {name: getattr(defaults, name) for name in named})]


def options_code(given: Mapping[str, object], defaults: Mapping[str, object]) -> list[str]:
    """`name=value` of what is not the default."""
    return [f"{name}={value!r}" for name, value in given.items() if value != defaults[name]]
