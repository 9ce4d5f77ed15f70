"""`AttentionWidget`: traits, requests and jobs. No mathematics here; what is computed is in `analysis/` and `run.py`."""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path

import anywidget
import traitlets as t

from ..analysis import Outcome, outcome
from ..analysis.circuit import Circuit
from ..analysis.comparison import Comparison
from ..analysis.headscores import HeadScores
from ..analysis.studied import Study
from ..chat import is_chat
from ..errors import AttnWidgetError, ModeError, PositionError, PromptError
from ..loading import load_model
from ..model import Model
from ..run import AblatedRun
from .facts import default_metric, default_score, facts, refused_metric, refused_score
from .figures import Figures
from .files import Text
from .jobs import worker_of
from .ops import ablated_run
from .pages import Pages
from .question import check_name, exactly, question
from .requests import Requests
from .saving import Saving
from .session import Session
from .state import FACTS, State
from .subshells import as_addressed
from .traits import refusing
from .untrusted import clipped, require_plain

_STATIC = Path(str(files("attnwidget"))) / "static"
_MACHINERY = frozenset(anywidget.AnyWidget.class_trait_names())
_ABLATION = ("mode", "positions", "scale", "threshold", "seed", "reference")


class AttentionWidget(Requests, Figures, Pages, Saving, State, anywidget.AnyWidget):
    """Every attention head of a model, live: click a head to see where it looks, click it off and watch the answer change.

    Args:
        model: what `load_model` takes, or what it returned.
        prompt: a text, token ids that can be written as one, or chat messages, shown as the text that the model's chat template makes of
            them. `AttentionWidget(model)` waits for one to be typed.
        **traits: any trait of `State`, for instance `ablated=["L23H3"]`, `mode="mean"`, `panels=["grid", "outcome"]`.

    What is chosen is a trait (`w.selected`, `w.ablated`, `w.mode`, ...): a click sets it, and setting it does what the click does. What is
    computed is read from `w.run`, an `AblatedRun`. Wrong values raise a `ValueError` and change nothing; heads that a mode is undefined for
    (`previous` at layer 0) are refused where they are run.
    """

    _esm = Text(_STATIC / "widget.js")
    _css = Text(_STATIC / "widget.css")

    def __init__(self, model: object, prompt: str | Sequence[int] | Sequence[Mapping] = "", **traits: object):
        unknown = sorted(set(traits) - (set(State.class_traits(sync=True)) - FACTS))
        if unknown:
            valid = ", ".join(sorted(set(State.class_traits(sync=True)) - FACTS))
            raise TypeError(f"{type(self).__name__} has no trait {unknown[0]!r}: there are {valid}.")
        # Observers fire inside super().__init__, so what they read is set before it.
        self.model: Model = load_model(model)
        self._session = Session(self.model, self._renewed)
        self._worker = worker_of(self.model.engine)
        self._studied: tuple[str, bool, list[int]] | None = None
        self._begin_saving()
        traits.setdefault("prepend_bos", self.model.vocabulary.prepends_bos)
        traits.setdefault("score", default_score(self.model))
        traits.setdefault("metric", default_metric(self.model))
        super().__init__(
            model_name=self.model.name,
            n_layers=self.model.n_layers,
            n_heads=self.model.n_heads,
            n_kv_heads=self.model.n_kv_heads,
            causal=self.model.causal,
            facts=facts(self.model),
        )
        self.on_msg(self._receive)
        self.prepend_bos = traits.pop("prepend_bos")
        if is_chat(prompt) or prompt:
            self.prompt = prompt
        for name, value in traits.items():
            setattr(self, name, value)

    @t.observe("comm")
    def _opened(self, _change: dict) -> None:
        as_addressed(self.comm)
        self.widget_id = self.comm.comm_id if self.comm is not None else ""

    # -- what is computed -----------------------------------------------------------------------------------------

    @property
    def run(self) -> AblatedRun:
        """The prompt as the model now runs it, with `w.ablated` ablated; `w.run.clean` is the run with nothing ablated."""
        return ablated_run(self._session, self._intervention)

    @property
    def prediction(self) -> Outcome:
        """The answer at `w.position`, clean beside ablated: `.rows`, `.kl`, `.target`, `.to_frame()`."""
        at = None if self.position == -1 else self.position
        return outcome(self.run, at, target=self.target, against=self.against)

    @property
    def scores(self) -> HeadScores:
        """What the grid is coloured by: `w.score` of every head, under `w.metric`, `w.mode` and so on. What is ablation is measured to
        the end, from where the picture has come; what is there already costs nothing."""
        return exactly(question(self._session, self._scores_asked))

    @property
    def _scores_asked(self) -> dict:
        asked = {name: getattr(self, name) for name in ("metric", "target", "against", "position", "conditional")}
        two = {name: getattr(self, name) for name in ("other", "discount_special", "renormalise")}
        left = {name: getattr(self, name) for name in ("hide_first", "discount_special", "renormalise")}
        return {"method": self.score, "ablation": self._intervention, "compared": two, "leaving": left, **asked}

    @property
    def comparison(self) -> Comparison | None:
        """The prompt beside `w.other`, as it was shown last: `.answers`, `.scores("js")`, `.to_frame()`. None until there is one.
        `compare(w.run.clean, model.run(w.other))` makes one here and now."""
        two = self._session.compared
        return two.now if two is not None and two.asked.other == self.other else None

    @property
    def study(self) -> Study | None:
        """The last ablation study that was asked for of this prompt, as far as it came; None where there is none yet."""
        return self._session.study

    @property
    def circuit(self) -> Circuit | None:
        """The last circuit that was asked for of this prompt, as far as it came; None where there is none yet."""
        return self._session.circuit

    @property
    def _intervention(self) -> dict:
        return {"heads": self.ablated, **{name: getattr(self, name) for name in _ABLATION}}

    @property
    def busy(self) -> bool:
        """Whether the kernel is computing something for this widget."""
        return self._worker.busy(id(self))

    @property
    def lock(self) -> threading.RLock:
        """Held during every pass through the model. Take it in a cell that runs the same model itself: `with w.lock: ...`"""
        return self.model.lock

    def wait(self, timeout: float | None = None) -> bool:
        """Blocks until nothing is being computed for this widget; False when `timeout` seconds passed first.

        What a view has not yet asked for is not waited for; `w.run` needs no waiting. Not inside `with w.lock`, which the work needs.
        """
        return self._worker.wait(id(self), timeout)

    def cancel(self) -> None:
        """Cancels what is being computed for this widget; what is shown stays."""
        self._worker.cancel(id(self))

    def close(self) -> None:
        """Cancels what is being computed and closes every view."""
        if "_worker" in self.__dict__:  # also called when __init__ has failed
            self.cancel()
            self._end_saving()
            self._session.clear()
        super().close()

    # -- a new prompt ---------------------------------------------------------------------------------------------

    @t.validate("prompt")
    @refusing
    def _check_prompt(self, proposal: dict) -> str:
        # What is studied as ids fits as such, though its text might be cut into more.
        if self._studied is None or proposal["value"] != self._studied[0]:
            self._ids(proposal["value"], self.prepend_bos)
        return proposal["value"]

    @t.validate("other")
    @refusing
    def _check_other(self, proposal: dict) -> str:
        if proposal["value"]:
            self._ids(proposal["value"], self.prepend_bos)
        return proposal["value"]

    @t.validate("prepend_bos")
    @refusing
    def _check_bos(self, proposal: dict) -> bool:
        if proposal["value"] and self.model.vocabulary.bos_id is None:
            raise PromptError(f"This tokenizer has no BOS token to switch ({self.model.vocabulary.special}): leave prepend_bos off.")
        if self.prompt and (self._studied is None or (self.prompt, proposal["value"]) != self._studied[:2]):
            self._ids(self.prompt, proposal["value"])
        return proposal["value"]

    @t.observe("prompt", "prepend_bos")
    def _start(self, _change: dict | None = None) -> None:
        if not self.prompt:
            return
        ids = self._present_ids()
        n = len(ids)
        self._worker.cancel(id(self))
        with self.hold_sync():
            self.tokens = [self.model.vocabulary.text(i) for i in ids]
            # Positions that the new prompt does not have cannot be kept; all others are.
            for name in ("query", "position"):
                if not -n <= getattr(self, name) < n:
                    setattr(self, name, -1)
            kept = [p for p in self.positions if -n <= p < n]
            if self.positions and not kept and self.ablated:
                # An empty list would mean all positions, which is not what was chosen.
                self.ablated = []
                self.error = (
                    f"This prompt has no position {self.positions[0]}, so nothing is ablated in it: choose heads and positions anew."
                )
            self.positions = kept
            self.facts = facts(self.model)  # a bridge may have been folded since
            self.run_key = self._session.start(ids if self._is_studied() else self.prompt, self.prepend_bos)
            self.scored, self.kept = {}, b""  # they were another prompt's

    def _renewed(self, run_key: str) -> None:
        """The weights have changed, so every number on the page is another model's: a new key makes it ask again."""
        with self.hold_sync():
            self.facts = facts(self.model)
            self.run_key = run_key
            self.scored, self.kept = {}, b""

    def _set_chat(self, messages: Sequence[Mapping]) -> None:
        text = self.model.chat(messages)
        switchable = self.model.vocabulary.bos_id is not None
        with self.hold_sync(), self.hold_trait_notifications():
            # BOS, where a chat has one, is in the template's own text.
            self.prompt, self.prepend_bos = text, self.prepend_bos and not switchable

    def _is_studied(self) -> bool:
        """Whether the prompt is generated tokens that are studied as they came, and not the tokens that their text is cut into."""
        return self._studied is not None and self._studied[:2] == (self.prompt, self.prepend_bos)

    def _present_ids(self) -> list[int]:
        return list(self._studied[2]) if self._is_studied() else self._ids(self.prompt, self.prepend_bos)

    def _ids(self, prompt: str, prepend_bos: bool) -> list[int]:
        return self.model.encode(prompt, prepend_bos if self.model.vocabulary.bos_id is not None else None)

    @t.observe("ablated", "mode")
    def _chosen_anew(self, _change: dict) -> None:
        # It was about what was chosen before.
        self.error = ""

    # -- what may be chosen ---------------------------------------------------------------------------------------

    @t.validate("mode")
    @refusing
    def _check_mode(self, proposal: dict) -> str:
        if (reason := self.model.refuses(proposal["value"])) is not None:
            raise ModeError(reason)
        return proposal["value"]

    @t.validate("query", "position")
    @refusing
    def _check_position(self, proposal: dict) -> int:
        self._position(proposal["value"])
        return proposal["value"]

    @t.validate("positions")
    @refusing
    def _check_positions(self, proposal: dict) -> list[int]:
        for position in proposal["value"]:
            self._position(position)
        return proposal["value"]

    def _position(self, position: int) -> None:
        n = len(self.tokens)
        if n and not -n <= position < n:
            raise PositionError(f"No position {position}: this prompt has {n} tokens, positions 0 to {n - 1} (or -1 for the last).")

    @t.validate("target", "against")
    @refusing
    def _check_token(self, proposal: dict) -> str:
        if proposal["value"]:
            self.model.token_id(proposal["value"])
        return proposal["value"]

    @t.validate("scale", "threshold")
    @refusing
    def _check_number(self, proposal: dict) -> float:
        name, value = proposal["trait"].name, proposal["value"]
        if not math.isfinite(value) or (name == "threshold" and value < 0):
            raise ModeError(f"{name} must be a finite number{' of 0 or more' if name == 'threshold' else ''}, not {value}.")
        return value

    @t.validate("score")
    @refusing
    def _check_score(self, proposal: dict) -> str:
        check_name(proposal["value"])
        if (reason := refused_score(self.model, proposal["value"])) is not None:
            raise AttnWidgetError(reason)
        return proposal["value"]

    @t.validate("metric")
    @refusing
    def _check_metric(self, proposal: dict) -> str:
        if (reason := refused_metric(self.model, proposal["value"])) is not None:
            raise AttnWidgetError(reason)
        return proposal["value"]

    def __setattr__(self, name: str, value: object) -> None:
        if name == "prompt" and is_chat(value):
            self._set_chat(value)
            return
        if name == "other" and is_chat(value):
            value = self.model.chat(value)
        if name in ("prompt", "other") and not isinstance(value, str):
            value = self.model.vocabulary.written(value)
        try:
            super().__setattr__(name, value)
        except t.TraitError as error:
            if isinstance(error, ValueError):
                raise
            raise AttnWidgetError(str(error)) from None  # every wrong value is a ValueError here

    def set_state(self, sync_data: dict) -> None:
        """Values from a view. What is not valid is undone there and said in `error`: an exception here would show nowhere."""
        chosen = {name: value for name, value in sync_data.items() if name in self.keys and self._is_choice(name)}
        try:
            require_plain(chosen)
            super().set_state(chosen)
        except Exception as error:
            self.error = clipped(str(error))
            self.send_state(list(chosen))
        else:
            self.error = ""

    @staticmethod
    def _is_choice(name: str) -> bool:
        """Whether a view may set this trait: neither what the kernel alone says, nor what makes the widget one (its script, its layout)."""
        return name not in FACTS and not name.startswith("_") and name not in _MACHINERY

    def _handle_msg(self, message: dict) -> None:
        """Any message of a page. One that is not of the widgets' protocol is let go: there is nobody to be answered, and what ipywidgets
        would raise shows nowhere. No trait that a page sets is binary, so buffers that come with one are not put into it."""
        data = message.get("content", {}).get("data")
        if not isinstance(data, dict) or data.get("method") not in ("update", "request_state", "custom"):
            return
        if data["method"] == "update" and not isinstance(data.get("state"), dict):
            return
        without = {name: value for name, value in data.items() if name != "buffer_paths"}
        super()._handle_msg({**message, "content": {**message["content"], "data": without}})

    def __repr__(self) -> str:
        if not self.prompt:
            return f"{type(self).__name__}({self.model.name}: no prompt yet)"
        return f"{type(self).__name__}({self.model.name}: {len(self.tokens)} tokens, {len(self.ablated)} heads ablated)"
