"""Hosts that cannot be run here, by what is known of them: how they load a widget, what they let through to the kernel and back, and when.

A page stands between the widget, in a sandboxed frame under a strict policy, and a bridge to a real kernel. It is no proof that the real
host works: docs/hosts.md says what was and was not tried.
"""

from __future__ import annotations

import base64
import contextlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, Queue

from jupyter_client import BlockingKernelClient

from .lab import Kernel, wait_until

PAGES = Path(__file__).parent / "emulated"


@dataclass(frozen=True)
class Host:
    """What a host does. Sizes are of a message's JSON and buffers, in bytes."""

    html: str = ""
    body: str = ""
    css: str = ""
    script: str = ""
    form: str = "DataView"
    """How buffers are handed over: "DataView" (unaligned, in a larger buffer), "ArrayBuffer" or "base64"."""
    buffer_delay: float = 0.15
    """Seconds by which a message with buffers is late, so that others overtake it."""
    most_up: int = 10_000_000
    """What is longer does not reach the kernel, and nobody is told."""
    most_down: int | None = None


@dataclass
class Bridge:
    """Between one page and one kernel. To the kernel goes one message at a time, and only while the kernel is idle."""

    kernel: Kernel
    host: Host
    opened: dict | None = None
    longest_up: int = 0
    longest_down: int = 0
    dropped: list[str] = field(default_factory=list)
    #: How many messages waited for an idle kernel at the most.
    waited: int = 0
    _comm: str = ""
    _up: Queue = field(default_factory=Queue)
    _down: list[tuple[float, dict]] = field(default_factory=list)
    _lock: threading.Condition = field(default_factory=threading.Condition)
    _ended: bool = False

    def pump(self, ready: threading.Event) -> None:
        """In a thread of its own, which alone uses the client."""
        client = BlockingKernelClient(connection_file=str(self.kernel.server.folder / "runtime" / f"kernel-{self.kernel.id}.json"))
        client.load_connection_file()
        client.start_channels()
        client.wait_for_ready(timeout=60)
        ready.set()
        waiting_for, busy = "", False
        try:
            while not self._ended:
                with contextlib.suppress(Empty):
                    message = client.get_iopub_msg(timeout=0.02)
                    if message["msg_type"] == "status":
                        busy = message["content"]["execution_state"] != "idle"
                        if not busy and message["parent_header"].get("msg_id") == waiting_for:
                            waiting_for = ""
                    elif message["msg_type"] in ("comm_open", "comm_msg"):
                        self._hear(message)
                self.waited = max(self.waited, self._up.qsize())
                if not busy and not waiting_for and not self._up.empty():
                    sent = client.session.msg("comm_msg", {"comm_id": self._comm, "data": self._up.get()})
                    client.session.send(client.shell_channel.socket, sent)
                    waiting_for = sent["header"]["msg_id"]
        finally:
            client.stop_channels()

    def _hear(self, message: dict) -> None:
        content, buffers = message["content"], [bytes(b) for b in message.get("buffers") or []]
        opens = message["msg_type"] == "comm_open" and "_esm" in content["data"].get("state", {})
        if not opens and content["comm_id"] != self._comm:
            return
        size = len(json.dumps(content["data"])) + sum(map(len, buffers))
        self.longest_down = max(self.longest_down, size)
        if self.host.most_down is not None and size > self.host.most_down:
            self.dropped.append(f"{size} bytes from the kernel")
            return
        if opens:
            self._comm, self.opened = content["comm_id"], content["data"]["state"]
            return
        due = time.monotonic() + (self.host.buffer_delay if buffers else 0)
        with self._lock:
            self._down.append((due, {"data": content["data"], "buffers": [base64.b64encode(b).decode() for b in buffers]}))
            self._lock.notify_all()

    def send(self, body: bytes) -> None:
        self.longest_up = max(self.longest_up, len(body))
        if len(body) > self.host.most_up:
            self.dropped.append(f"{len(body)} bytes to the kernel")
            return
        self._up.put(json.loads(body))

    def poll(self) -> list[dict]:
        """What is due, waiting for it a moment."""
        end = time.monotonic() + 0.5
        with self._lock:
            while True:
                now = time.monotonic()
                due = [one for at, one in self._down if at <= now]
                if due or now >= end or self._ended:
                    self._down = [(at, one) for at, one in self._down if at > now]
                    return due
                self._lock.wait(min([end, *(at for at, _ in self._down)]) - now)

    def frame(self) -> str:
        host, text = self.host, (PAGES / "frame.html").read_text(encoding="utf-8")
        looks = {"HTML": host.html, "BODY": host.body, "CSS": host.css, "SCRIPT": host.script, "FORM": host.form}
        for name, value in looks.items():
            text = text.replace(f"LOOK_{name}", value)
        return text


@contextlib.contextmanager
def serve(kernel: Kernel, host: Host, cell: str) -> Iterator[tuple[str, Bridge]]:
    """The address of a page in `host` with the widget that `cell` makes."""
    bridge, ready = Bridge(kernel, host), threading.Event()
    pump = threading.Thread(target=bridge.pump, args=(ready,), daemon=True)
    pump.start()
    assert ready.wait(60), "the kernel does not answer the bridge"
    kernel.do(cell)
    wait_until(lambda: bridge.opened is not None, 20, "the widget opens")

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            texts = {"/": lambda: (PAGES / "host.html").read_text(encoding="utf-8"), "/frame": bridge.frame}
            data = {"/opened": lambda: bridge.opened, "/poll": bridge.poll}
            if self.path in texts:
                self._answer(texts[self.path](), "text/html; charset=utf-8")
            elif self.path in data:
                self._answer(json.dumps(data[self.path]()), "application/json")
            else:
                self.send_error(404)

        def do_POST(self) -> None:
            bridge.send(self.rfile.read(int(self.headers["Content-Length"])))
            self._answer("", "text/plain")

        def _answer(self, text: str, kind: str) -> None:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                body = text.encode()
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/", bridge
    finally:
        bridge._ended = True
        server.shutdown()
        server.server_close()
        pump.join(10)
        kernel.do("import ipywidgets; ipywidgets.Widget.close_all()")
