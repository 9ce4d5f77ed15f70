"""What a widget has computed: the clean run of its prompt, and the last few ablated runs of it."""

from __future__ import annotations

import itertools
from collections import OrderedDict

from ..errors import PromptError
from ..model import Model
from ..run import AblatedRun, Run

_KEPT = 8  # ablated runs: a residual stream each; enough for undo, redo and two views


class Session:
    """The runs behind one widget, or several views of it. Safe to use from the worker's thread and the user's."""

    def __init__(self, model: Model):
        self.model = model
        self.key = ""
        # The model's own lock: with one of its own, a cell that holds model.lock and reads w.run could wait for ever.
        self._lock = model.lock
        self._keys = itertools.count(1)
        self._prompt: tuple[str, bool] | None = None
        self._clean: Run | None = None
        self._ablated: OrderedDict[tuple, AblatedRun] = OrderedDict()

    def start(self, prompt: str, prepend_bos: bool) -> str:
        """Takes a new prompt (already checked) and gives its key; the forward is made when first needed."""
        with self._lock:
            self._prompt, self._clean = (prompt, prepend_bos), None
            self._ablated.clear()
            self.key = f"run-{next(self._keys)}"
            return self.key

    @property
    def clean(self) -> Run:
        """The clean run of the prompt; `PromptError` while there is none."""
        with self._lock:
            if self._prompt is None:
                raise PromptError("There is no prompt yet: type one and press Run, or set w.prompt.")
            if self._clean is not None and self._clean.outdated:  # trained or folded meanwhile: what was computed is another model's
                self._clean = None
                self._ablated.clear()
            if self._clean is None:
                prompt, prepend_bos = self._prompt
                switchable = self.model.vocabulary.bos_id is not None
                self._clean = self.model.run(prompt, prepend_bos=prepend_bos if switchable else None)
            return self._clean

    def ablated(self, heads: list, mode: str, **parameters: object) -> AblatedRun:
        """The run with `heads` ablated; the last few are kept, so undo and a second view cost nothing."""
        key = (tuple(sorted(map(tuple, heads))), mode, repr(sorted(parameters.items())))
        with self._lock:
            clean = self.clean
            if key not in self._ablated:
                self._ablated[key] = clean.ablate(heads, mode, **parameters)
                while len(self._ablated) > _KEPT:
                    self._ablated.popitem(last=False)
            self._ablated.move_to_end(key)
            return self._ablated[key]

    def clear(self) -> None:
        """Lets go of every run; ipywidgets keeps closed widgets, and these would keep their activations."""
        with self._lock:
            self._prompt, self._clean, self.key = None, None, ""
            self._ablated.clear()
