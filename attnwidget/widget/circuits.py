"""The requests `counterfactual` and `circuit`: a second prompt, and the edges between components that carry the answer."""

from __future__ import annotations

import re

from ..analysis.circuit import Circuit
from ..analysis.discovery import search
from ..analysis.discoveryquestion import LIMIT, ask
from ..analysis.secondprompt import Counterfactual, counterfactual
from ..errors import AttnWidgetError
from ..model import Model
from . import arguments
from .jobs import Job
from .kinds import detected
from .session import Session
from .telling import Telling

MOST = {"edges": 2000, "random": 50, "steps": 50}  # of one request; a cell has no such limits
_FIELDS = (
    "method", "label", "formula", "exact", "metric", "target", "against", "position", "nodes", "edges", "total", "pruned", "clean",
    "counterfactual", "faithfulness", "curve", "cpr", "cmd", "completeness", "minimality", "note", "python",
)  # fmt: skip
_PAIR = ("ids", "tokens", "text", "changed", "first", "target", "against", "logit_diff", "note")


def second(session: Session, args: dict, job: Job) -> dict:
    """`Counterfactual` in js/src/source/ops.ts."""
    how, about = arguments.text(args, "how"), {name: arguments.text(args, name) for name in ("target", "against")}
    if how == "text":
        way: dict = {"text": arguments.text(args, "text")}
    elif how == "swap":
        words = args.get("swap")
        if not isinstance(words, list) or len(words) != 2 or not all(isinstance(word, str) for word in words):
            raise AttnWidgetError("swap must be a list of two words.")
        way = {"swap": [_word(session.model, word) for word in words], "which": arguments.text(args, "which")}
    elif how == "shuffle":
        way = {"shuffle": True, "seed": arguments.integer(args.get("seed", 0))}
    else:
        raise AttnWidgetError(f"how must be 'text', 'swap' or 'shuffle', not {how!r}.")
    found: Counterfactual = counterfactual(session.clean, **way, **about, position=arguments.position(args))
    return {name: getattr(found, name) for name in _PAIR}


def answer(session: Session, args: dict, job: Job) -> dict:
    """`Circuit` in js/src/source/ops.ts. The session keeps it as far as it came, also where it is cancelled."""
    run, method = session.clean, arguments.text(args, "method")
    ids = args.get("counterfactual")
    if not isinstance(ids, list):
        raise AttnWidgetError("counterfactual must be a list of token ids, or an empty list.")
    about = {
        "metric": arguments.text(args, "metric"),
        "target": _token(session.model, arguments.text(args, "target")),
        "against": _token(session.model, arguments.text(args, "against")),
        "position": arguments.position(args),
    }
    how = {name: arguments.integer(args.get(name, default)) for name, default in _DEFAULTS.items()}
    for name, most in MOST.items():
        if how[name] > most:
            raise AttnWidgetError(
                f"{name} must be {most:,} or fewer here, not {how[name]:,}: discover_circuit(w.run.clean, ..., {name}={how[name]}) in a "
                "cell takes any."
            )
    how |= {"checks": arguments.switch({"checks": True, **args}, "checks"), "sizes": None, "limit": LIMIT}
    # A deep model is taken apart first, once, which may take half a minute.
    job.chunk(0, 1, "Taking the model apart")
    asked = ask(run, [arguments.integer(i) for i in ids] or None, method, about, how)
    told = Telling(job, lambda circuit: session.keep_circuit(run, circuit), packed)
    kinds = None
    if asked.pair is not None and session.model.selftest.reads_patterns:
        try:
            kinds = detected(session.model, told.progress)
        except AttnWidgetError:
            kinds = None  # asked again by the search, which goes on without
    return packed(search(asked, kinds, told.progress, told.partial, told.attempt))


_DEFAULTS = {"steps": 5, "edges": 100, "random": 10, "seed": 0}


def packed(circuit: Circuit) -> dict:
    """What travels of a circuit: not the scores of all edges, of which there are tens of thousands."""
    return {name: getattr(circuit, name) for name in _FIELDS}


def _token(model: Model, text: str) -> str | int:
    """A token as the page names it: its text, or "#id"."""
    return model.token_id(int(text[1:])) if re.fullmatch(r"#\d+", text) else text


def _word(model: Model, text: str) -> str | int:
    """A word, or "#id" as tokens are shown where there is no tokenizer."""
    return int(text.strip()[1:]) if model.vocabulary.tokenizer is None and re.fullmatch(r"\s*#\d+\s*", text) else text
