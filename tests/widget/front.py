"""What a page is to the kernel: it sends requests and keeps the replies."""

import numpy as np

from attnwidget.widget.pieces import put_together

CLEAN = {"heads": [], "mode": "zero", "positions": [], "scale": 0.0, "threshold": 0.1, "seed": 0, "reference": []}
PROMPT = "the cat sat on the mat"


class Front:
    """`heard(content)` is called with each message, in the thread that sends it."""

    def __init__(self, widget, view="page", heard=lambda content: None):
        self.widget, self.view, self.count, self.sent, self.heard = widget, view, 0, [], heard
        self.pieces = {}
        widget.send = self._take

    def _take(self, content, buffers=None):
        if "piece" in content:
            serial, _, n = content["piece"]
            pieces = self.pieces.setdefault(serial, [])
            pieces.append((content, buffers))
            if len(pieces) < n:
                return
            content, buffers = put_together(self.pieces.pop(serial))
        self.sent.append((content, buffers or []))
        self.heard(content)

    def send(self, op, **args):
        self.count += 1
        request = f"{self.view}-{self.count}"
        self.widget._receive(self.widget, {"id": request, "op": op, "args": args}, [])
        return request

    def reply(self, request):
        """The one reply to a request that was sent, (content, buffers)."""
        assert self.widget.wait(60)
        replies = [(c, b) for c, b in self.sent if c["id"] == request and "ok" in c]
        assert len(replies) == 1, "each request gets exactly one reply"
        return replies[0]

    def ask(self, op, **args):
        return self.reply(self.send(op, **args))

    def result(self, op, **args):
        content, buffers = self.ask(op, **args)
        assert content["ok"], content
        return content["result"], buffers

    def error(self, op, **args):
        content, _ = self.ask(op, **args)
        assert not content["ok"], content
        return content["error"]


def array(stub, buffers):
    return np.frombuffer(buffers[stub["$buffer"]], stub["dtype"]).reshape(stub["shape"])
