"""What the panels of a widget ask, in their own words: the arguments of requests as js/src makes them from the traits."""

from __future__ import annotations

from collections.abc import Iterator

from ..heads import Head
from .arguments import room
from .state import State

CLEAN = {"heads": [], "mode": "zero", "positions": [], "scale": 0.0, "threshold": 0.1, "seed": 0, "reference": []}
"""The ablation of a question that no head is off in (js/src/scoring.ts)."""
TOP_K = 10
"""Rows of a prediction (js/src/store.ts)."""
CHOICES = 5
"""First choices of a column of the lens (js/src/lens.ts)."""
LIFTS = 5
_OV_TOKENS = 40
_PATIENCE = 20


class Asking:
    """The questions of one moment: traits are read once, when it is made."""

    def __init__(self, widget: State):
        self.state: dict = {name: getattr(widget, name) for name in sorted(State.class_traits(sync=True))}
        self.facts: dict = self.state["facts"]
        self.tokens: int = len(self.state["tokens"])

    @property
    def how(self) -> dict:
        """An `Ablation` of no head, in the way that is chosen."""
        chosen = {name: self.state[name] for name in ("mode", "positions", "scale", "threshold", "seed", "reference")}
        return {"heads": [], **chosen}

    @property
    def present(self) -> dict:
        return {**self.how, "heads": self.state["ablated"]}

    @property
    def ablations(self) -> list[dict]:
        """The clean run, and what is ablated where something is."""
        return [CLEAN, self.present] if self.state["ablated"] else [CLEAN]

    @property
    def about(self) -> dict:
        return {name: self.state[name] for name in ("position", "target", "against")}

    @property
    def heads(self) -> list[Head]:
        """Those whose maps are open: the shown one, then the selected ones."""
        return list(dict.fromkeys((*self.state["shown"], *self.state["selected"])))

    @property
    def head(self) -> Head | None:
        """The one whose inside is looked at."""
        return next(iter((*self.state["shown"], *self.state["selected"][::-1])), None)

    @property
    def query(self) -> int:
        at = self.state["query"]
        return max(0, min(self.tokens - 1, at + self.tokens if at < 0 else at))

    # -- scores ---------------------------------------------------------------------------------------------------

    def fact(self, name: str) -> dict | None:
        return next((fact for fact in self.facts["scores"] if fact["name"] == name), None)

    def scores(self, fact: dict, metric: str | None, *, conditional: bool = False) -> dict:
        """The question for a score of `facts`; `metric` None where it asks nothing of the answer."""
        effect = fact["kind"] == "effect"
        conditional = conditional and effect and not fact.get("compared") and bool(self.state["ablated"])
        how = self.present if conditional else self.how if fact["modes"] else CLEAN
        asked = {
            "method": fact["name"],
            "metric": metric,
            "target": self.state["target"] if effect else "",
            "against": self.state["against"] if effect else "",
            "position": -1 if fact["kind"] == "kind" else self.state["position"],
            "ablation": how,
            "conditional": conditional,
            "patience": _PATIENCE,
        }
        if fact.get("compared"):
            asked["compared"] = self.compared
        if fact.get("of_pattern"):
            hidden = self.state["hide_first"]
            left = {"renormalise": hidden and self.state["renormalise"], "discount_special": self.state["discount_special"]}
            asked["leaving"] = {"hide_first": hidden, **left}
        return asked

    def metrics(self, fact: dict) -> list[str | None]:
        """Those of a score that this model has."""
        refused = {one["name"] for one in self.facts["metrics"] if one["refused"] is not None}
        return [name for name in fact["metrics"] if name not in refused] if fact["metrics"] else [None]

    def metric(self, fact: dict) -> str | None:
        """The one that is chosen where the score can answer it, else its own first."""
        known = fact["metrics"]
        return self.state["metric"] if self.state["metric"] in known else known[0] if known else None

    # -- two prompts ----------------------------------------------------------------------------------------------

    @property
    def compared(self) -> dict:
        return {name: self.state[name] for name in ("other", "discount_special", "renormalise")}

    @property
    def comparison(self) -> dict:
        known = [one["name"] for one in self.facts["metrics"] if one["refused"] is None]
        metric = self.state["metric"] if self.state["metric"] in known else next(iter(known), "")
        return {**self.compared, "causal": True, "metric": metric, **self.about, "patience": _PATIENCE}

    # -- attention ------------------------------------------------------------------------------------------------

    def weighted(self) -> Iterator[dict]:
        """Every kind of weighted map of the heads whose maps are open, as far as a page holds them; only "signed" asks something of the
        answer."""
        for kind in ("v_norm", "vo_norm", "signed", "z_cosine"):
            question = self.about if kind == "signed" else {"position": -1, "target": "", "against": ""}
            yield {"heads": self.heads[: room(self.tokens)], "kind": kind, **question}

    def around(self) -> list[int]:
        """Positions whose tokens the OV circuit is asked about: all, or a stretch that holds the query (js/src/inside.ts)."""
        count, step = min(self.tokens, _OV_TOKENS), _OV_TOKENS // 2
        start = max(0, min(self.tokens - count, self.query // step * step - step // 2))
        return list(range(start, start + count))
