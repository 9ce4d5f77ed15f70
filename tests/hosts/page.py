"""A page as the kernel sees one: it hears what a widget says over a real comm, and answers through the kernel's message channels."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from queue import Empty
from typing import Any

import numpy as np
from jupyter_client import BlockingKernelClient, KernelManager

CLEAN = {"heads": [], "mode": "zero", "positions": [], "scale": 0.0, "threshold": 0.1, "seed": 0, "reference": []}
PATIENCE = 60.0


@dataclass
class Said:
    """One message of a comm."""

    comm: str
    data: dict
    buffers: list[bytes]


@dataclass
class Page:
    """Of one kernel; `state` is what it knows of the widget that was opened last."""

    manager: KernelManager
    client: BlockingKernelClient
    comm: str = ""
    state: dict = field(default_factory=dict)
    said: list[Said] = field(default_factory=list)
    _count: Iterable[int] = field(default_factory=lambda: itertools.count(1))

    # -- cells ----------------------------------------------------------------------------------------------------------

    def run(self, code: str) -> dict:
        """A cell; what it raises is raised here. Gives the data of what it shows, by mime type."""
        return self._finish(self.client.execute(code, store_history=False), code)

    def read(self, expression: str) -> Any:
        shown = self.run(f"import json\ndisplay({{'application/x-read': json.dumps({expression})}}, raw=True)")
        return json.loads(shown["application/x-read"])

    def _finish(self, request: str, code: str) -> dict:
        shown: dict = {}
        deadline = time.monotonic() + PATIENCE
        idle = False
        while not idle:
            message = self._next(deadline, code)
            if message["parent_header"].get("msg_id") != request:
                continue
            kind, content = message["msg_type"], message["content"]
            if kind == "error":
                raise RuntimeError(f"{code}: {content['ename']}: {content['evalue']}")
            if kind in ("display_data", "execute_result"):
                shown = content["data"]
            idle = kind == "status" and content["execution_state"] == "idle"
        return shown

    # -- the comm ---------------------------------------------------------------------------------------------------------

    def _next(self, deadline: float, what: str) -> dict:
        try:
            message = self.client.get_iopub_msg(timeout=max(0.01, deadline - time.monotonic()))
        except Empty:
            raise AssertionError(f"Not within {PATIENCE:g} s: {what}; heard {[s.data for s in self.said[-3:]]}") from None
        if message["msg_type"] in ("comm_open", "comm_msg"):
            self._hear(message)
        return message

    def _hear(self, message: dict) -> None:
        content = message["content"]
        said = Said(content["comm_id"], content["data"], [bytes(b) for b in message.get("buffers") or []])
        if message["msg_type"] == "comm_open" and "_esm" in content["data"].get("state", {}):
            self.comm, self.state, self.said = said.comm, dict(said.data["state"]), []
        if said.comm != self.comm:
            return
        self.said.append(said)
        if said.data.get("method") == "update":
            self.state |= said.data["state"]

    def send(self, data: dict, buffers: list[bytes] | None = None) -> None:
        session = self.client.session
        message = session.msg("comm_msg", {"comm_id": self.comm, "data": data})
        session.send(self.client.shell_channel.socket, message, buffers=buffers)

    def set(self, **traits: object) -> None:
        """As a click does."""
        self.send({"method": "update", "state": traits, "buffer_paths": []})

    def request(self, op: str, **args: object) -> str:
        request = f"page-{next(self._count)}"
        self.send({"method": "custom", "content": {"id": request, "op": op, "args": args}})
        return request

    def until(self, there: Callable[[], Any], what: str) -> Any:
        """Hears what is said until `there()` gives something."""
        deadline = time.monotonic() + PATIENCE
        while not (found := there()):
            self._next(deadline, what)
        return found

    def heard(self, request: str) -> list[Said]:
        return [s for s in self.said if s.data.get("method") == "custom" and s.data["content"].get("id") == request]

    def reply(self, request: str) -> tuple[dict, list[bytes]]:
        """The one reply to a request."""
        said = self.until(lambda: [s for s in self.heard(request) if "ok" in s.data["content"]], f"a reply to {request}")
        assert len(said) == 1, "each request gets exactly one reply"
        return said[0].data["content"], said[0].buffers

    def ask(self, op: str, **args: object) -> tuple[dict, list[bytes]]:
        content, buffers = self.reply(self.request(op, **args))
        assert content["ok"], content
        return content["result"], buffers


def array(stub: dict, buffers: list[bytes]) -> np.ndarray:
    return np.frombuffer(buffers[stub["$buffer"]], stub["dtype"]).reshape(stub["shape"])
