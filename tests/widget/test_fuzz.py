"""Whatever a page sends: one reply of bounded size, nothing raised, nothing written, and the next good request is answered."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attnwidget import AttentionWidget
from attnwidget.widget import requests
from attnwidget.widget.ops import OPS
from attnwidget.widget.pages import PAGE_OPS
from attnwidget.widget.state import FACTS, State
from attnwidget.widget.untrusted import DEEPEST, LARGEST, MOST_TEXT, MOST_VALUES

from .front import CLEAN, PROMPT, Front
from .hostile import LONG, NAMES, VALUES, anything, good, nested, nothing_happens

MOST_REPLY = 100_000  # bytes of an error's reply
quick = settings(derandomize=True, deadline=None, database=None, max_examples=60, suppress_health_check=list(HealthCheck))


class Page(Front):
    """Sends anything at all, through the widget's own handler of comm messages."""

    def raw(self, content: object, buffers: tuple = ()) -> None:
        self.widget._handle_msg({"content": {"data": {"method": "custom", "content": content}}, "buffers": list(buffers)})

    def state(self, state: object, **more: object) -> None:
        self.widget._handle_msg({"content": {"data": {"method": "update", "state": state, **more}}, "buffers": []})

    def asks(self, op: object, args: object, **more: object) -> dict:
        """The one reply to a request."""
        self.count += 1
        request = f"{self.view}-{self.count}"
        self.raw({"id": request, "op": op, "args": args, **more})
        content, _ = self.reply(request)
        assert content["ok"] or len(json.dumps(content)) < MOST_REPLY
        return content


@pytest.fixture(scope="module")
def shared(model):
    """One widget for all of it: what one message leaves behind, the next ones meet."""
    return AttentionWidget(model, PROMPT)


@pytest.fixture
def page(shared):
    page = Page(shared)
    shared.prompt, shared.prepend_bos, shared.error = PROMPT, False, ""
    assert page.asks("outcome", good(shared.run_key)["outcome"])["ok"]  # whatever is imported late, is now
    page.sent.clear()
    yield page
    assert shared.wait(60)
    content = page.asks("outcome", good(shared.run_key)["outcome"])
    assert content["ok"] and content["result"]["kl"] > 0, "a good request is answered as ever"
    assert shared._worker.count(id(shared)) == 0
    assert set(shared._session._answers._last) <= {(op, ablated) for op in OPS for ablated in (True, False)}


def failed(content: dict) -> dict:
    assert not content["ok"], content
    error = content["error"]
    assert error["kind"] == "refused" or (error["kind"] == "cancelled"), error
    assert len(error["message"]) <= 2100
    return error


def test_there_are_good_arguments_for_every_request(page):
    known = good(page.widget.run_key)
    assert set(known) == {*OPS, *PAGE_OPS, "prompt", "study_ids"}
    wrong = {}
    for op, args in known.items():
        content = page.asks(op, {**args, **({"run_key": page.widget.run_key} if "run_key" in args else {})})
        if not content["ok"]:
            wrong[op] = content["error"]["message"]
    assert set(wrong) == {"embedding"}, wrong  # this model has a head


@pytest.mark.parametrize("op", [*OPS, *PAGE_OPS, "prompt", "study_ids"])
def test_each_field_with_every_wrong_value(page, op):
    """Nothing but sentences: a value that is wrong is refused, and one that happens to be right is answered."""
    page.asks(op, good(page.widget.run_key)[op])  # what is imported when it is first needed comes here
    page.sent.clear()
    with nothing_happens():
        for field in good("")[op]:
            for value in VALUES:
                args = good(page.widget.run_key)[op]
                if page.widget.prompt != PROMPT:  # it happened to be right
                    page.widget.prompt = PROMPT
                    args = good(page.widget.run_key)[op]
                content = page.asks(op, args | {field: value})
                if not content["ok"]:
                    failed(content)
                page.sent.clear()
        for field in ("heads", "mode", "positions", "scale", "threshold", "seed", "reference"):
            if op not in ("outcome", "scores", "study"):  # the others read it as these do
                break
            for value in VALUES:
                args = good(page.widget.run_key)[op]
                content = page.asks(op, args | {"ablation": {**args["ablation"], field: value}})
                if not content["ok"]:
                    failed(content)
                page.sent.clear()


@pytest.mark.parametrize("op", [*OPS, *PAGE_OPS, "prompt", "study_ids"])
def test_missing_and_additional_fields(page, op):
    with nothing_happens():
        for field in good("")[op]:
            args = good(page.widget.run_key)[op]
            del args[field]
            content = page.asks(op, args)
            assert content["ok"] or failed(content)
        content = page.asks(op, good(page.widget.run_key)[op] | {"__class__": 1, "self": 2, "job": 3, "path": "/tmp/x", "session": None})
        assert content["ok"] or op == "embedding"
        for args in (None, [], 3, "args", True, nested(1000), LONG, [LONG], {"run_key": LONG}):
            failed(page.asks(op, args))


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:20] if not isinstance(value, (list, dict)) else f"{len(value)}")
def test_every_field_at_once(page, value):
    with nothing_happens():
        for op, args in good(page.widget.run_key).items():
            content = page.asks(op, dict.fromkeys(args, value))
            assert content["ok"] or failed(content)
            page.widget.prompt = PROMPT


def test_only_requests_are_reached(page):
    with nothing_happens():
        for name in NAMES:
            error = failed(page.asks(name, {"run_key": page.widget.run_key}))
            assert error["message"].startswith("No request ") and "outcome" in error["message"]
        failed(page.asks("outcome", {}, method="close"))
    assert page.widget.comm is not None


def test_what_has_no_name_has_no_reply(page):
    with nothing_happens():
        for content in (None, 3, "cancel", [], [{"id": "a-1"}], {}, {"id": None}, {"op": "outcome"}, nested(1000), LONG, b"", True):
            page.raw(content)
        for name in (None, 7, 1.5, True, "", "x" * 201, LONG, ["page-1"], {"id": 1}, b"page-1", "\ud800-1", "a\nb", "ä-1", nested(1000)):
            for op in ("outcome", "cancel", "no such", None):
                page.raw({"id": name, "op": op, "args": good(page.widget.run_key)["outcome"]})
        for data in (None, 3, [], "x", {}, {"method": 3}, {"method": []}, {"method": "update"}, {"method": "echo", "content": 1},
                     {"method": "update", "state": 3}, {"method": "update", "state": None}, {"method": "custom"},
                     {"method": "update", "state": {}, "buffer_paths": [["a", "b"]]},
                     {"method": "update", "state": {"query": 1}, "buffer_paths": 7}):  # fmt: skip
            page.widget._handle_msg({"content": {"data": data}, "buffers": [b"x"]})
    assert page.widget.wait(60) and page.sent == []


def test_buffers_where_none_belong(page):
    args = good(page.widget.run_key)["outcome"]
    with nothing_happens():
        page.raw({"id": "page-b", "op": "outcome", "args": args}, [b"x" * 8_000_000, memoryview(b"y")])
        assert page.reply("page-b")[0]["ok"]
        page.state({"selected": [[0, 0]]}, buffer_paths=[["selected", 0], ["_esm"], ["kept"]])
    assert page.widget.selected == [(0, 0)] and page.widget.kept == b""


def test_cancel_of_what_never_was_is_over_or_is_anothers(page, model):
    other = Page(AttentionWidget(model, PROMPT))
    with nothing_happens():
        done = page.send("outcome", **good(page.widget.run_key)["outcome"])
        page.reply(done)
        for name in ("ghost-1", done, "page-1"):
            page.raw({"id": name, "op": "cancel", "args": VALUES})
        sent = other.send("scores", **good(other.widget.run_key)["scores"])
        page.raw({"id": sent, "op": "cancel"})
        assert other.reply(sent)[0]["ok"], "a widget cancels its own only"
    assert page.widget.wait(60)
    assert [content["id"] for content, _ in page.sent] == [done]
    other.widget.close()


def test_a_name_that_is_used_again_is_answered_as_often(page):
    args = good(page.widget.run_key)
    with nothing_happens(), page.widget.lock:
        for _ in range(5):
            page.raw({"id": "page-same", "op": "outcome", "args": args["outcome"]})
            page.raw({"id": "page-same", "op": "thumbnails", "args": args["thumbnails"]})
    assert page.widget.wait(60)
    replies = [content for content, _ in page.sent if "ok" in content]
    assert len(replies) == 10 and sum(content["ok"] for content in replies) >= 2


def test_a_flood_is_answered_one_by_one_and_held_off(page, monkeypatch):
    monkeypatch.setattr(requests, "MOST_WAITING", 20)
    args = good(page.widget.run_key)["outcome"]
    with nothing_happens(), page.widget.lock:
        for i in range(60):
            page.raw({"id": f"view{i}-1", "op": "outcome", "args": args})
        assert page.widget._worker.count(id(page.widget)) == 20
    assert page.widget.wait(60)
    replies = {content["id"]: content for content, _ in page.sent if "ok" in content}
    assert len(replies) == 60 and sum(content["ok"] for content in replies.values()) == 20
    assert "20 requests wait already" in replies["view59-1"]["error"]["message"]


@pytest.mark.parametrize(
    ("args", "says"),
    [
        ({"k": nested(DEEPEST)}, f"more than {DEEPEST} deep"),
        ({"k": [0] * MOST_VALUES}, f"more than {MOST_VALUES:,} values"),
        ({"target": "x" * MOST_TEXT, "against": "y"}, f"more than {MOST_TEXT:,} characters"),
        ({"k": LARGEST + 1}, f"within ±{LARGEST:,}"),
        ({"k": float("nan")}, "within ±"),
        ({"target": "\ud83d"}, "half of a surrogate pair"),
        ({"target": b"x"}, "no bytes"),
    ],
    ids=lambda value: value[:12] if isinstance(value, str) else "",
)
def test_the_limits_of_a_message_are_said(page, args, says):
    assert says in failed(page.asks("outcome", good(page.widget.run_key)["outcome"] | args))["message"]


@quick
@given(data=st.data())
def test_anything_in_the_place_of_anything(shared, data):
    page = Page(shared)
    known = good(shared.run_key)
    op = data.draw(st.sampled_from([*known]) | anything, label="op")
    if isinstance(op, str) and op in known:
        args = dict(known[op])
        for field in data.draw(st.lists(st.sampled_from([*args]), max_size=3), label="fields"):
            args[field] = data.draw(anything, label=field)
    else:
        args = data.draw(anything, label="args")
    with nothing_happens():
        content = page.asks(op, args)
        assert content["ok"] or failed(content)
    if shared.prompt != PROMPT:
        shared.prompt = PROMPT


# -- traits -----------------------------------------------------------------------------------------------------------------

CHOSEN = sorted(set(State.class_traits(sync=True)) - FACTS)


def kept(now: object, given: object) -> bool:
    """Whether a value that was not refused is what the trait has now: the same number, text, or heads, by their names or as pairs."""
    if isinstance(now, list):
        given = [given] if isinstance(given, str) else list(given)
        return len(now) == len(given) and all(one == other or str(one) == other for one, other in zip(now, given, strict=True))
    numbers = bool, int, float
    return now == given and (type(now) is type(given) or (isinstance(now, numbers) and isinstance(given, numbers)))


@pytest.mark.parametrize("name", CHOSEN)
def test_a_trait_of_every_wrong_value_is_undone_and_said(page, name):
    widget = page.widget
    for value in VALUES:
        before = {each: getattr(widget, each) for each in CHOSEN}
        widget.error = ""
        page.sent.clear()
        with nothing_happens():
            page.state({name: value})
        if widget.error:
            assert len(widget.error) <= 2100
            assert {each: getattr(widget, each) for each in CHOSEN} == before, "and nothing else is changed"
        else:
            assert kept(getattr(widget, name), value), f"{name} took {value!r} for {getattr(widget, name)!r}"
        setattr(widget, name, before[name])
    assert page.sent == []


def test_one_wrong_trait_undoes_those_that_came_with_it(page):
    widget = page.widget
    before = {each: getattr(widget, each) for each in CHOSEN}
    for wrong in (
        {"ablated": [[99, 0]]},
        {"mode": "zeor"},
        {"target": "no such token"},
        {"query": "x"},
        {"scale": None},
        {"seed": 10**400},
    ):
        for first in (True, False):
            given = {"position": 99, "selected": [[0, 0]], "tab": "lens"} | (wrong if not first else {})
            with nothing_happens():
                page.state(wrong | given if first else given)
            assert widget.error and {each: getattr(widget, each) for each in CHOSEN} == before


def test_what_the_kernel_says_and_the_machinery_are_not_the_pages_to_set(page):
    widget = page.widget
    keep = [*FACTS, *(name for name in widget.keys if name.startswith("_")), "layout", "tooltip", "tabbable"]
    before = {name: getattr(widget, name) for name in keep}
    with nothing_happens():
        for value in ("IPY_MODEL_nothing", {"a": 1}, 7, None, LONG):
            page.state(dict.fromkeys(keep, value))
            page.state({"comm": value, "model": value, "keys": value, "__class__": value, "prompt.__class__": value})
    assert {name: getattr(widget, name) for name in keep if name != "error"} == {n: v for n, v in before.items() if n != "error"}
    assert widget.comm is not None and widget.model is before.get("model", widget.model)


@quick
@given(state=st.dictionaries(st.sampled_from([*CHOSEN, *FACTS, "layout", "_esm", "x"]), anything, max_size=4) | anything)
def test_any_state_at_all(shared, state):
    page = Page(shared)
    with nothing_happens():
        page.state(state)
    n = len(shared.tokens)
    assert n and -n <= shared.query < n and -n <= shared.position < n
    shared.prompt, shared.prepend_bos, shared.ablated, shared.mode = PROMPT, False, [], "zero"


# -- closing -----------------------------------------------------------------------------------------------------------------


def test_messages_while_it_closes_and_after(model):
    widget = AttentionWidget(model, PROMPT)
    page = Page(widget)
    known = good(widget.run_key)
    with nothing_happens():
        with widget.lock:  # nothing is finished before it is closed
            for op, args in known.items():
                page.send(op, **args)
            widget.close()
        for op, args in known.items():
            page.raw({"id": "late-1", "op": op, "args": args | {"run_key": ""}})
        page.raw({"id": "late-1", "op": "cancel"})
        page.state({"ablated": [[0, 0]]})
        assert widget.wait(60)
    assert not [content for content, _ in page.sent if content["id"] == "late-1"]
    assert widget._session._clean is None and widget._worker.count(id(widget)) == 0


def test_a_request_that_names_what_is_ablated_in_no_list(page):
    """The page's own words, with one thing out of its range each: a sentence with the value or the range."""
    key = page.widget.run_key
    out_of_range = {
        "outcome": ({"position": 6}, {"position": -7}, {"target": "no such token"}, {"ablation": {**CLEAN, "heads": [[4, 0]]}}),
        "patterns": ({"heads": [[0, 4]]}, {"heads": [[-1, 0]]}),
        "weighted": ({"kind": "raw"}, {"heads": []}, {"position": 99}),
        "aggregate": ({"kind": "median"}, {"kind": "layer", "heads": [[0, 0], [1, 0]]}),
        "lens": ({"positions": []}, {"positions": [6]}, {"positions": [0] * 129}, {"target": "cat dog"}),
        "lens_column": ({"position": 6},),
        "counterfactual": ({"how": "magic"}, {"swap": ["cat"]}, {"swap": ["zzz", "dog"]}),
        "qk": ({"head": [9, 9]}, {"head": None}),
        "why": ({"query": 6}, {"key": -7}, {"query": 1, "key": 3}),
        "ov": ({"embedding": "magic"}, {"positions": []}, {"positions": [99]}),
        "qk_circuit": ({"offset": -1}, {"offset": 10_000}),
        "composition": ({"head": [9, 0]},),
        "compare": ({"other": ""}, {"causal": True, "patience": -1}),
        "compared_patterns": ({"other": ""}, {"heads": [[9, 0]]}),
        "compare_many": ({"pairs": []}, {"pairs": [["a"]]}, {"pairs": [["a", "b"]] * 501}),
        "scores": ({"method": "magic"}, {"metric": "magic"}, {"patience": -1},
                   {"method": "ablation", "target": "cat dog", "metric": "probability"}),
        "generate": ({"max_new_tokens": 0}, {"max_new_tokens": 513}, {"temperature": -1}, {"top_p": 2}, {"forced_on": "nobody"}),
        "study": ({"beam": 0}, {"beam": 101}, {"budget": 10**6}, {"target": "cat dog"}),
        "circuit": ({"method": "magic"}, {"edges": 2001}, {"steps": 0}, {"counterfactual": [10**6]}),
        "page": ({"parts": ["magic"]}, {"parts": "all"}),
        "study_ids": ({"ids": []}, {"ids": [10**6]}, {"ids": [1] * 65}),
        "prompt": ({"text": ""}, {"text": "cat " * 65}),
    }  # fmt: skip
    with nothing_happens():
        for op, wrongs in out_of_range.items():
            for wrong in wrongs:
                content = page.asks(op, good(key)[op] | wrong)
                assert not content["ok"], (op, wrong)
                error = content["error"]
                assert error["kind"] == "refused" and len(error["message"]) > 20, (op, wrong, error)
