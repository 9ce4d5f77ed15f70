"""The widget over a real comm, through a real kernel of the installed ipykernel, ipywidgets and anywidget, without a browser.

`make test-hosts` runs this file in environments with other versions of the three; `make test` with those installed.
"""

from __future__ import annotations

import sys
from importlib.metadata import version

import numpy as np
import pytest

from .conftest import PROMPT
from .page import CLEAN, array


def test_the_kernel_runs_the_versions_under_test(page):
    for name in ("ipykernel", "ipywidgets", "anywidget"):
        said = page.read(f"__import__('importlib.metadata').metadata.version({name!r})")
        assert said == version(name)
    assert page.read("__import__('sys').executable") == sys.executable


def test_it_opens_with_its_front_end_and_shows_itself(opened):
    state = opened.state
    assert (state["_model_name"], state["_view_name"]) == ("AnyModel", "AnyView")
    assert len(state["_esm"]) > 100_000 and ".attnwidget" in state["_css"]
    assert state["tokens"] == PROMPT.split() and state["n_layers"] == 4
    view = opened.shown["application/vnd.jupyter.widget-view+json"]
    assert view["model_id"] == opened.comm
    assert "AttentionWidget" in opened.shown["text/plain"]


def test_a_request_is_answered_once_with_the_kernels_numbers(opened):
    ablation = CLEAN | {"heads": [[1, 1], [2, 0]]}
    result, buffers = opened.ask("outcome", run_key=opened.state["run_key"], ablation=ablation, position=-1, target="", against="", k=4)
    assert buffers == []
    opened.run("other = model.run(w.prompt).ablate(['L1H1', 'L2H0'])")
    assert result["kl"] == pytest.approx(opened.read("float(other.kl())"), abs=1e-6)
    assert result["ablated_top"]["ablated"]["probability"] == pytest.approx(opened.read("float(other.top(1).probability[0])"), abs=1e-6)


def test_arrays_come_as_buffers_to_the_bit(opened):
    result, buffers = opened.ask("patterns", run_key=opened.state["run_key"], ablation=CLEAN, heads=[[3, 1], [0, 2]])
    maps = array(result["maps"], buffers)
    assert maps.dtype == np.float32 and maps.shape == (2, 6, 6)
    for head, found in zip(("L3H1", "L0H2"), maps, strict=True):
        assert found.tolist() == opened.read(f"w.run.pattern({head!r}).tolist()")
    result, buffers = opened.ask("thumbnails", run_key=opened.state["run_key"])
    thumbs = array(result["maps"], buffers)
    assert thumbs.dtype == np.uint8 and thumbs.shape == (4, 4, 6, 6)
    assert (thumbs[3, 1] == np.round(maps[0] * 255)).all()


def test_a_trait_set_by_the_page_reaches_the_kernel_and_back(opened):
    opened.set(ablated=[[1, 1]], selected=[[1, 1]], mode="mean")
    assert opened.read("[list(map(list, w.ablated)), list(map(str, w.selected)), w.mode]") == [[[1, 1]], ["L1H1"], "mean"]
    opened.run("w.ablated = ['L2H3', (0, 1)]")
    opened.until(lambda: opened.state["ablated"] == [[2, 3], [0, 1]], "the page is told")


def test_a_wrong_value_of_the_page_is_undone_and_said(opened):
    opened.set(ablated=[[1, 1]])
    opened.set(ablated=[[99, 0]])
    opened.until(lambda: "L99H0" in opened.state["error"], "the error is said")
    assert opened.read("list(map(list, w.ablated))") == [[1, 1]]
    opened.until(lambda: opened.state["ablated"] == [[1, 1]], "the page's value is put right")


def test_a_new_prompt_is_one_request(opened):
    key = opened.state["run_key"]
    result, _ = opened.ask("prompt", text="a dog sat", prepend_bos=False)
    opened.until(lambda: opened.state["tokens"] == ["a", "dog", "sat"], "the tokens are told")
    assert result["run_key"] == opened.state["run_key"] != key


def test_refused_and_unknown_requests_are_answered(opened):
    content, _ = opened.reply(opened.request("patterns", run_key=opened.state["run_key"], ablation=CLEAN, heads=[[9, 9]]))
    assert (content["ok"], content["error"]["kind"]) == (False, "refused") and "L9H9" in content["error"]["message"]
    content, _ = opened.reply(opened.request("no such request"))
    assert content["error"]["kind"] == "refused" and "outcome" in content["error"]["message"]


def test_progress_comes_before_the_reply_and_a_cancel_is_answered_once(opened):
    scores = {"method": "ablation", "metric": "kl", "position": -1, "target": "", "against": "", "conditional": False}
    asked = {**scores, "ablation": CLEAN, "run_key": opened.state["run_key"]}
    request = opened.request("scores", **asked)
    content, buffers = opened.reply(request)
    assert content["ok"], content
    values = array(content["result"]["values"], buffers)
    assert values.shape == (4, 4)
    expected = opened.read("float(model.run(w.prompt).ablate('L2H1').kl())")
    assert values[2, 1] == pytest.approx(expected, abs=1e-5)
    opened.until(lambda: opened.state["scored"], "what the worker's thread sets as a trait is told")
    before = [s.data["content"] for s in opened.heard(request)]
    assert [("progress" in one, "ok" in one) for one in before][-1] == (False, True) and "progress" in before[0]

    # The worker is held, so that the request is still waiting when it is cancelled.
    opened.run("w.lock.acquire()")
    try:
        request = opened.request("patterns", run_key=opened.state["run_key"], ablation=CLEAN | {"heads": [[0, 1]]}, heads=[[0, 0]])
        opened.send({"method": "custom", "content": {"id": request, "op": "cancel"}})
    finally:
        opened.run("w.lock.release()")
    content, _ = opened.reply(request)
    assert content["error"] == {"message": "Cancelled.", "kind": "cancelled", "detail": ""}
    opened.run("w.wait()")
    assert len([s for s in opened.heard(request) if "ok" in s.data["content"]]) == 1


def test_two_widgets_of_one_kernel_are_told_apart(opened):
    first, state = opened.comm, dict(opened.state)
    opened.run(f"v = AttentionWidget(model, {PROMPT!r}, panels=['grid'])\nv")
    assert opened.comm != first
    opened.set(ablated=[[0, 0]])
    assert opened.read("[list(map(list, v.ablated)), w.ablated]") == [[[0, 0]], []]
    assert state["ablated"] == []
