"""Over a real comm: what is no request of ours ends in one reply or none, and the kernel says nothing and goes on."""

from __future__ import annotations

import json

import pytest

from ..widget.hostile import LONG, NAMES, VALUES, good
from .page import PATIENCE, Page


@pytest.fixture
def noise(opened: Page) -> list[dict]:
    """What the kernel prints or raises meanwhile; messages are packed with all that JSON can be made to hold."""
    said: list[dict] = []
    of, pack = opened._next, opened.client.session.pack

    def hear(deadline: float, what: str) -> dict:
        message = of(deadline, what)
        if message["msg_type"] in ("stream", "error"):
            said.append(message["content"])
        return message

    opened._next = hear
    # NaN, numbers without end and halves of surrogates, which the usual packer refuses, and lists a thousand deep.
    deep = "[" * 900 + "]" * 900
    opened.client.session.pack = lambda message: json.dumps(message, default=str).replace('"deep"', deep).encode()
    yield said
    opened.client.session.pack = pack
    del opened._next


def fits(value: object) -> bool:
    """Whether Python's own JSON writer takes it; what has 8 MB is sent once elsewhere."""
    try:
        return value is not LONG and bool(json.dumps(value))
    except (TypeError, RecursionError):
        return False


def test_whatever_comes_over_the_comm(opened: Page, noise: list[dict]):
    key = opened.state["run_key"]
    args = good(key)["outcome"]
    for data in (None, 3, [], {}, {"method": 3}, {"method": "update"}, {"method": "update", "state": 3}, {"method": "custom"},
                 {"method": "custom", "content": None}, {"method": "custom", "content": [1]}, {"method": "no such"},
                 {"method": "update", "state": {}, "buffer_paths": [["a", "b"]]}):  # fmt: skip
        opened.send(data)
    for name in (None, 7, "", "\ud800", "x" * 300, ["page-1"]):
        opened.send({"method": "custom", "content": {"id": name, "op": "outcome", "args": args}})
    for name in filter(fits, NAMES):
        content, _ = opened.reply(opened.request(name, run_key=key))
        assert content["error"]["kind"] == "refused" and content["error"]["message"].startswith("No request")
    for value in [*filter(fits, VALUES), "deep"]:
        content, _ = opened.reply(opened.request("outcome", **args | {"target": value, "position": value}))
        assert content["ok"] or content["error"]["kind"] == "refused"
    for trait in ("prompt", "selected", "ablated", "mode", "query", "reference", "_esm", "layout", "run_key", "comm"):
        for value in filter(fits, VALUES):
            opened.set(**{trait: value})
    opened.run(f"w.prompt = {opened.state['prompt']!r}" if opened.state["prompt"] else "pass")
    assert noise == []
    result, _ = opened.ask("outcome", **good(opened.read("w.run_key"))["outcome"])
    assert result["kl"] >= 0


def test_eight_megabytes_of_rubbish(opened: Page, noise: list[dict]):
    before = len(opened.said)
    opened.send({"method": "custom", "content": LONG}, [b"x" * 8_000_000])
    opened.send({"method": "custom", "content": {"id": LONG, "op": LONG, "args": LONG}})
    opened.set(prompt=LONG, target=LONG)
    for args in ({"target": LONG}, {"ablation": LONG}, {"text": LONG}):
        content, _ = opened.reply(opened.request("outcome", run_key=opened.state["run_key"], **args))
        assert "2,000,000 characters" in content["error"]["message"]
    opened.until(lambda: "2,000,000 characters" in opened.state["error"], "the trait is refused")
    assert sum(len(json.dumps(said.data)) + sum(map(len, said.buffers)) for said in opened.said[before:]) < 100_000
    assert noise == [] and opened.read("w.prompt") == "the cat sat on the mat" and PATIENCE


def test_messages_while_it_closes_and_after(opened: Page, noise: list[dict]):
    key = opened.state["run_key"]
    for op, args in good(key).items():
        opened.request(op, **args)
    opened.run("w.close()")
    for op, args in good("").items():
        opened.request(op, **args)
    opened.set(ablated=[[0, 0]])
    assert opened.read("w.comm is None and w.wait(30)") is True
    # The kernel itself says that there is no such comm any more.
    assert [said for said in noise if "No such comm" not in str(said)] == []
