"""What a view asks: every request gets exactly one reply, whatever becomes of it."""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Callable

from ..engine.interrupt import Cancelled
from ..errors import AttnWidgetError, ModeError, PromptTooLongError
from . import generation
from .jobs import Job
from .ops import OPS, Stale
from .pages import PAGE_OPS
from .painted import saved
from .pieces import in_pieces
from .untrusted import clipped, require_plain
from .wire import pack

MOST_WAITING = 500  # requests of one widget; a page asks some dozens
_MOST_DETAIL = 20_000  # characters

# What a page makes of a view's name and a number.
_ID = re.compile(r"[\x20-\x7e]{1,200}")

_log = logging.getLogger(__name__)


class Requests:
    """The part of `AttentionWidget` that is spoken to in messages; traits are the other."""

    def _receive(self, _widget: object, message: object, _buffers: object) -> None:
        request_id = message.get("id") if isinstance(message, dict) else None
        if self.comm is None or not isinstance(request_id, str) or not _ID.fullmatch(request_id):
            return  # nobody could be answered
        try:
            self._answer(request_id, message.get("op"), message.get("args", {}))
        except Exception as error:
            self._fail(request_id, error)

    def _answer(self, request_id: str, op: object, args: object) -> None:
        if op == "cancel":
            self._worker.cancel(id(self), request_id)
            return
        require_plain(args)
        if not isinstance(args, dict):
            self._fail(request_id, AttnWidgetError("args must be an object."))
        elif op == "prompt":
            self._answer_prompt(request_id, args)
        elif op == "study_ids":
            self._answer_study_ids(request_id, args)
        elif isinstance(op, str) and op in OPS:
            self._submit(request_id, op, args, OPS[op].priority, lambda job: OPS[op].answer(self._session, args, job))
        elif isinstance(op, str) and op in PAGE_OPS:
            compute, priority = PAGE_OPS[op]
            self._submit(request_id, op, args, priority, lambda job: compute(self, args, job))
        else:
            known = ", ".join(["prompt", "study_ids", *OPS, *PAGE_OPS, "cancel"])
            named = repr(op[:40]) if isinstance(op, str) else f"that is a {type(op).__name__}"
            self._fail(request_id, AttnWidgetError(f"No request {named}: there are {known}."))

    def _submit(self, request_id: str, op: str, args: dict, priority: int, work: Callable[[Job], object]) -> None:
        if self._worker.count(id(self)) >= MOST_WAITING:
            raise AttnWidgetError(f"{MOST_WAITING} requests wait already: ask again when some of them are answered.")
        view = request_id.rsplit("-", 1)[0]
        self._worker.submit(
            Job(
                id=request_id,
                owner=id(self),
                replaces=f"{view}:{op}",
                work=work,
                done=lambda result: self._done(request_id, op, args, result),
                failed=lambda error: self._fail(request_id, error),
                progress=lambda *progress: self._progress(request_id, *progress),
                priority=priority,
            )
        )

    def _answer_prompt(self, request_id: str, args: dict) -> None:
        """A new prompt is traits only (the forward comes with the first question about it), so it is answered at once."""
        try:
            text, prepend_bos = args.get("text"), args.get("prepend_bos", self.prepend_bos)
            if not isinstance(text, str) or not isinstance(prepend_bos, bool):
                raise AttnWidgetError("prompt takes a text and a switch.")
            if args.get("keep") == "end" and self.model.n_ctx is not None:
                switch = prepend_bos if self.model.vocabulary.bos_id is not None else None
                text = self.model.vocabulary.tail(text, self.model.n_ctx, switch)
            self._ids(text, prepend_bos)
            self._study(request_id, text, prepend_bos, None)
        except Exception as error:
            self._fail(request_id, error)

    def _answer_study_ids(self, request_id: str, args: dict) -> None:
        """A prompt and the generated tokens after it become the prompt: these very tokens, whatever their text would be cut into."""
        try:
            if args.get("run_key") != self.run_key:
                raise Stale
            if self.ablated and self.mode == "resample":
                raise ModeError(
                    "'resample' has a z for the prompt's positions and no others, so a longer text cannot be studied with it: "
                    "choose another mode, or switch the heads on again, and open the token then."
                )
            ids, n = generation.studied(self.model, args), len(self.tokens)
            # Those that are counted from the end would else be other tokens of the longer text.
            self.positions = [p % n for p in self.positions]
            self._study(request_id, *self.model.vocabulary.spelled(ids, self.prepend_bos), ids)
        except Exception as error:
            self._fail(request_id, error)

    def _study(self, request_id: str, text: str, prepend_bos: bool, ids: list[int] | None) -> None:
        self._studied = None if ids is None else (text, prepend_bos, ids)
        if (text, prepend_bos) == (self.prompt, self.prepend_bos):
            self._start()
        else:
            # Both are checked against each other when the hold ends, and then one message carries all that changed.
            with self.hold_sync(), self.hold_trait_notifications():
                self.prompt, self.prepend_bos = text, prepend_bos
        self._reply(request_id, {"run_key": self.run_key})

    def _progress(self, request_id: str, done: int, total: int, text: str, partial: object) -> None:
        message, buffers = {"id": request_id, "progress": [done, total, text]}, None
        if partial is not None:
            message["partial"], buffers = pack(partial)
        self._say(message, buffers)

    def _done(self, request_id: str, op: str, args: dict, result: object) -> None:
        self._reply(request_id, result)
        if op in OPS:
            self._session.note(op, args, result)
            self._answered()
        if op == "scores" and result["remaining"] is None:  # a sweep that was stopped half-way is not worth keeping
            with self.lock:  # a new prompt takes it, so these are not set after it has cleared them
                if args["run_key"] == self._session.key:
                    self.scored = saved(result, args)

    def _reply(self, request_id: str, result: object) -> None:
        content, buffers = pack(result)
        self._say({"id": request_id, "ok": True, "result": content}, buffers)

    def _fail(self, request_id: str, error: BaseException) -> None:
        detail = ""
        if isinstance(error, (Cancelled, Stale)):
            kind, message = "cancelled", "Cancelled."
        elif isinstance(error, AttnWidgetError):
            kind, message = "refused", str(error)
            detail = "too long" if isinstance(error, PromptTooLongError) else ""
        else:
            kind, message = "failed", f"The run failed: {type(error).__name__}: {error}".rstrip(": ")
            detail = "".join(traceback.format_exception(error))
            _log.error("a request failed", exc_info=error)
        said = {"message": clipped(message), "kind": kind, "detail": clipped(detail, _MOST_DETAIL)}
        self._say({"id": request_id, "ok": False, "error": said})

    def _say(self, content: dict, buffers: list[bytes] | None = None) -> None:
        for message in in_pieces(content, buffers):
            if self.comm is not None:  # closed meanwhile: there is nobody left to tell
                self.send(*message)
