"""What is left of a widget in a saved notebook: a picture of its last state beside it, and the trait `kept`.

Both are made in a quiet moment after something has changed, never on the way of a click; where a notebook is executed with nobody to look
at it (nbclient, papermill), at the end of the cell, since nothing is heard after the last one. Outside IPython there is no notebook, and
nothing is done.
"""

from __future__ import annotations

import logging
import threading
import weakref

from ..engine.interrupt import Cancelled
from ..errors import AttnWidgetError
from . import still
from .jobs import LAST, Job
from .kept import kept
from .ops import Stale
from .quiet import Quiet
from .recording import unqueued
from .state import State

_SILENT = {"kept", "widget_id", "error", "facts"}
_log = logging.getLogger(__name__)
_alive: weakref.WeakSet[Saving] = weakref.WeakSet()
_hooked: weakref.WeakSet[object] = weakref.WeakSet()


class Saving:
    """The part of `AttentionWidget` that outlives the kernel."""

    def _begin_saving(self) -> None:
        self._changed = False
        self._still_shown = False
        self._seen = False
        self._quiet = Quiet(self._quiet_moment)
        if (shell := _shell()) is None:
            return
        _alive.add(self)
        if shell not in _hooked:
            _hooked.add(shell)
            shell.events.register("post_run_cell", _cell_ended)
        self.observe(self._touched, names=[name for name in State.class_traits(sync=True) if name not in _SILENT])

    def _end_saving(self) -> None:
        _alive.discard(self)
        self._quiet.end()
        self._worker.cancel(self._saving_owner)

    @property
    def _saving_owner(self) -> object:
        # Not the widget's own: `busy` and `wait` are about what it was asked.
        return ("saving", id(self))

    def _answered(self) -> None:
        """A view has been given an answer."""
        if self not in _alive:
            return
        self._seen = True
        self._touched()

    def _touched(self, _change: object = None) -> None:
        self._changed = True
        if self._seen or self._still_shown:
            self._quiet.touch()

    # -- display --------------------------------------------------------------------------------------------------

    def _repr_mimebundle_(self, **kwargs: object):
        if self in _alive and self.comm is not None:
            # Before the live view, which hides it. Every display of the widget has one, and all show the same.
            self._publish_still(None, "", update=False)
            self._still_shown = True
            self._touched()
        return super()._repr_mimebundle_(**kwargs)

    def _publish_still(self, picture: bytes | None, said: str, *, update: bool) -> None:
        from IPython.display import publish_display_data

        data = still.bundle(self.model_id, picture, said)
        publish_display_data(data, transient={"display_id": f"attnwidget-{self.model_id}"}, update=update)

    # -- the moment -----------------------------------------------------------------------------------------------

    def _quiet_moment(self) -> bool:
        """In the quiet thread: collects in the worker, as the last of all jobs, then draws here. False where it was not the moment."""
        if self.comm is None or _unattended():  # closed, or done at the end of the cell
            return True
        if self._worker.busy(id(self)):
            return False
        done, found = threading.Event(), []
        over = lambda result: (found.append(result), done.set())  # noqa: E731
        job = Job("saving", self._saving_owner, "saving", self._collect, over, over, priority=LAST)
        self._changed = False
        self._worker.submit(job)
        done.wait()
        (result,) = found
        if isinstance(result, (Cancelled, Stale)):
            self._changed = True
            return self not in _alive
        if isinstance(result, BaseException):
            _log.error("the state of a widget could not be saved", exc_info=result)
            return True
        self._keep(*result)
        return True

    def _save_now(self) -> None:
        """At the end of a cell that nobody watches."""
        if not self._changed or not (self._seen or self._still_shown) or self.comm is None:
            return
        self._changed = False
        self._keep(*self._collect(unqueued()))

    def _collect(self, job: Job) -> tuple[str, bytes, object, str]:
        """What takes the model: the answers, and what the picture is drawn from."""
        with self.lock:
            key = self._session.key
        data = kept(self, job)
        try:
            sheet = still.sheet_of(self, job) if self._still_shown else None
        except AttnWidgetError:  # a mode that is undefined for what is ablated: there is no run to draw
            sheet = None
        return key, data, sheet, still.alternative(self) if sheet is not None else ""

    def _keep(self, key: str, data: bytes, sheet: object, said: str) -> None:
        with self.lock:  # a new prompt takes it, and these are not its answers
            if self not in _alive:  # closed meanwhile
                return
            if key != self._session.key:
                self._changed = True
                return
            self.kept = data
        if sheet is not None:
            self._publish_still(still.png(sheet), said, update=True)


def _shell() -> object | None:
    """The IPython shell of a notebook's kernel, if this is one."""
    try:
        from IPython import get_ipython
    except ImportError:
        return None
    shell = get_ipython()
    return shell if getattr(shell, "kernel", None) is not None else None


def _unattended() -> bool:
    """Whether the running cell was sent by a program that executes notebooks: only those take no input."""
    shell = _shell()
    if shell is None or not hasattr(shell.kernel, "get_parent"):
        return False
    return (shell.kernel.get_parent() or {}).get("content", {}).get("allow_stdin") is False


def _cell_ended(_result: object = None) -> None:
    if not _unattended():
        return
    for widget in list(_alive):
        try:
            widget._save_now()
        except Exception:  # what was asked for in the cell is done
            _log.exception("the state of a widget could not be saved")
