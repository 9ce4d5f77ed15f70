"""Circuits and their second prompts as a page asks for them."""

import re
import threading

import numpy as np
import pytest

from attnwidget import AttentionWidget, counterfactual, discover_circuit, load_model
from tests.models import induction_model, subject

from .front import CLEAN, PROMPT, Front

OTHER = "the dog sat on the mat"
SECOND = {"how": "text", "text": OTHER, "swap": ["", ""], "which": "last", "seed": 0, "position": -1, "target": "", "against": ""}
ASK = {
    "method": "eap_ig",
    "steps": 2,
    "metric": "logit_diff",
    "target": "",
    "against": "",
    "position": -1,
    "edges": 40,
    "random": 2,
    "seed": 1,
    "checks": True,
}


@pytest.fixture
def widget(model):
    widget = AttentionWidget(model, PROMPT)
    yield widget
    widget.close()


@pytest.fixture
def front(widget):
    return Front(widget)


def second(widget, front, **given):
    return front.result("counterfactual", run_key=widget.run_key, **SECOND | given)[0]


def test_a_second_prompt_has_the_form_the_page_reads(widget, front):
    said = second(widget, front)
    made = counterfactual(widget.run.clean, text=OTHER)
    assert set(said) == {"ids", "tokens", "text", "changed", "first", "target", "against", "logit_diff", "note"}
    assert said["ids"] == list(made.ids) and said["changed"] == [1] and said["text"] == OTHER
    assert set(said["first"]) == {"id", "token", "probability"} and set(said["target"]) == set(said["against"]) == {"id", "token"}
    assert said["target"]["id"] == made.target.id
    assert said["logit_diff"] == {"clean": made.logit_diff.clean, "counterfactual": made.logit_diff.counterfactual}


def test_words_are_exchanged_and_repetitions_shuffled(model, widget, front):
    said = second(widget, front, how="swap", swap=["cat", "dog"])
    assert said["tokens"] == ["the", "dog", "sat", "on", "the", "mat"] and said["note"] == "cat → dog at its last occurrence"
    again = AttentionWidget(model, "cat sat on mat cat sat on mat")
    said = second(again, Front(again), how="shuffle", seed=3)
    assert said["changed"] == [0, 1, 2, 3] and "seed 3" in said["note"]
    again.close()


def test_the_circuit_is_the_one_a_cell_finds(widget, front):
    ids = second(widget, front)["ids"]
    said, _ = front.result("circuit", run_key=widget.run_key, counterfactual=ids, **ASK)
    clean = widget.run.clean
    expected = discover_circuit(clean, ids, steps=2, edges=40, random=2, seed=1)
    assert set(said) == {
        "method", "label", "formula", "exact", "metric", "target", "against", "position", "nodes", "edges", "total", "pruned", "clean",
        "counterfactual", "faithfulness", "curve", "cpr", "cmd", "completeness", "minimality", "note", "python",
    }  # fmt: skip
    assert set(said["nodes"][0]) == {"name", "kind", "layer", "head", "roles"}
    assert set(said["edges"][0]) == {"source", "target", "input", "label", "readers", "score", "effect", "without"}
    assert set(said["curve"][0]) == {"edges", "kept", "faithfulness", "random"}
    assert set(said["curve"][0]["random"]) == {"circuits", "low", "median", "high"} and said["curve"][-1]["random"] is None
    assert set(said["completeness"][0]) == {"removed", "how", "circuit", "model"}
    assert set(said["minimality"][0]) == {"node", "change", "removed"}
    assert [edge["label"] for edge in said["edges"]] == [edge.label for edge in expected.edges]
    for name in ("score", "effect", "without"):
        assert [edge[name] for edge in said["edges"]] == pytest.approx([getattr(edge, name) for edge in expected.edges], abs=2e-5)
    for edge in said["edges"]:
        assert said["nodes"][edge["source"]]["name"] == edge["label"].split(" → ")[0]
        end = said["nodes"][edge["target"]]
        assert end["kind"] != "head" or [end["layer"], end["head"]] in edge["readers"]
    for name in ("faithfulness", "cpr", "cmd", "clean", "counterfactual"):
        assert said[name] == pytest.approx(getattr(expected, name), abs=1e-5)
    assert said["total"] == expected.total and said["pruned"] + len(said["edges"]) == 40
    assert widget.circuit.to_frame()["edge"].tolist() == [edge["label"] for edge in said["edges"]]


def test_the_cell_it_names_finds_it_again(model, widget, front):
    ids = second(widget, front)["ids"]
    said, _ = front.result("circuit", run_key=widget.run_key, counterfactual=ids, **ASK | {"checks": False})
    names = {"model": model}
    exec(said["python"], names)
    assert [edge.label for edge in names["circuit"].edges] == [edge["label"] for edge in said["edges"]]
    assert names["circuit"].faithfulness == pytest.approx(said["faithfulness"], abs=1e-5) and not names["circuit"].completeness


def test_partial_results_come_stage_by_stage(widget, front):
    ids = second(widget, front)["ids"]
    request = front.send("circuit", run_key=widget.run_key, counterfactual=ids, **ASK)
    reply, _ = front.reply(request)
    assert reply["ok"], reply
    partial = [c["partial"] for c, _ in front.sent if c["id"] == request and "partial" in c]
    assert partial and all(set(one) == set(reply["result"]) for one in partial)
    assert all(one["total"] == reply["result"]["total"] and one["edges"] for one in partial)
    # What was said once is not taken back.
    measured = [sum(value is not None for edge in one["edges"] for value in (edge["effect"], edge["without"])) for one in partial]
    assert measured == sorted(measured) and [len(one["curve"]) for one in partial] == sorted(len(one["curve"]) for one in partial)


def test_tokens_are_named_by_their_ids(widget, front):
    ids = second(widget, front)["ids"]
    said, _ = front.result(
        "circuit", run_key=widget.run_key, counterfactual=ids, **ASK | {"target": "#3", "against": "#8", "checks": False}
    )
    assert said["target"] == {"id": 3, "token": "cat"} and said["against"]["id"] == 8


def test_information_flow_needs_no_second_prompt(widget, front):
    said, _ = front.result("circuit", run_key=widget.run_key, counterfactual=[], **ASK | {"method": "information_flow"})
    assert said["edges"] and said["faithfulness"] is None and said["counterfactual"] is None and said["cpr"] is None
    assert all(edge["effect"] is None for edge in said["edges"]) and said["curve"] == [] and "not about a task" in said["note"]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"edges": 2001}, r"edges.*2,000.*2,001.*cell"),
        ({"random": 51}, r"random.*50.*51"),
        ({"steps": 51}, r"steps.*50.*51"),
        ({"edges": 0}, r"edges.*1 or more.*0"),
        ({"steps": "five"}, r"'five'.*whole"),
        ({"method": "acdc"}, r"'acdc'.*eap_ig"),
        ({"metric": "surprise"}, r"'surprise'.*logit_diff"),
        ({"metric": "perplexity"}, r"perplexity"),
        ({"metric": "kl", "method": "eap"}, r"KL.*slope.*eap_ig"),
        ({"counterfactual": []}, r"needs a counterfactual.*information_flow"),
        ({"counterfactual": "the dog"}, r"list of token ids"),
        ({"counterfactual": [2, 4, 5]}, r"6 tokens.*3"),
        ({"counterfactual": [2, 4, 5, 6, 2, True]}, r"True"),
        ({"counterfactual": [2, 3, 5, 6, 2, 7]}, r"itself"),
        ({"target": "#99"}, r"99"),
        ({"checks": "yes"}, r"checks"),
        ({"position": 9}, r"position 9"),
    ],
)
def test_wrong_arguments_are_refused(widget, front, given, says):
    assert [widget.model.token_id(word) for word in PROMPT.split()] == [2, 3, 5, 6, 2, 7]
    error = front.error("circuit", **{"run_key": widget.run_key, "counterfactual": [2, 4, 5, 6, 2, 7], **ASK} | given)
    assert error["kind"] == "refused" and re.search(says, error["message"]), error
    assert widget.circuit is None


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"how": "magic"}, r"'text', 'swap' or 'shuffle'.*'magic'"),
        ({"text": "the dog sat"}, r"as many tokens.*3.*6"),
        ({"text": PROMPT}, r"itself"),
        ({"text": 5}, r"text must be a text"),
        ({"how": "swap", "swap": ["cat"]}, r"two words"),
        ({"how": "swap", "swap": ["cat", 4]}, r"two words"),
        ({"how": "swap", "swap": ["zebra", "fish"]}, r"'zebra'.*'fish'"),
        ({"how": "swap", "swap": ["cat", "dog"], "which": "first"}, r"'first'"),
        ({"how": "shuffle"}, r"[Nn]othing is repeated"),
        ({"how": "shuffle", "seed": 0.5}, r"0\.5"),
    ],
)
def test_second_prompts_that_cannot_be_made_are_refused(widget, front, given, says):
    error = front.error("counterfactual", run_key=widget.run_key, **SECOND | given)
    assert error["kind"] == "refused" and re.search(says, error["message"]), error


def test_a_model_that_cannot_be_taken_apart_says_why():
    widget = AttentionWidget(subject("bert").model, "The cat sat")
    front = Front(widget)
    ids = list(widget.run.ids)
    error = front.error("circuit", run_key=widget.run_key, counterfactual=[*ids[:-2], ids[1], ids[-1]], **ASK)
    assert error["kind"] == "refused" and re.search(r"BERT", error["message"]), error
    widget.close()


def test_every_edge_of_a_large_model_is_refused_with_what_it_costs(widget, front, monkeypatch):
    from attnwidget.widget import circuits

    monkeypatch.setattr(circuits, "LIMIT", 100)
    ids = second(widget, front)["ids"]
    error = front.error("circuit", run_key=widget.run_key, counterfactual=ids, **ASK | {"method": "exact"})
    assert error["kind"] == "refused" and re.search(r"as long as \d+ forwards.*100 edges.*EAP-IG.*limit=343", error["message"]), error


def test_cancelled_it_is_kept_as_far_as_it_came_and_leaves_the_model_as_it_was(model):
    widget, cancelled = AttentionWidget(model, PROMPT), threading.Event()
    before = model.run(PROMPT).logits

    def heard(content):
        if content.get("partial") and content["partial"]["curve"] and not cancelled.is_set():
            cancelled.set()
            widget._receive(widget, {"id": content["id"], "op": "cancel"}, [])

    front = Front(widget, heard=heard)
    ids = second(widget, front)["ids"]
    error = front.error("circuit", run_key=widget.run_key, counterfactual=ids, **ASK | {"random": 50})
    assert error["kind"] == "cancelled" and cancelled.is_set()
    assert widget.circuit.faithfulness is not None and widget.circuit.cpr is None and not widget.circuit.completeness
    assert (model.run(PROMPT).logits == before).all()
    result, _ = front.result("circuit", run_key=widget.run_key, counterfactual=ids, **ASK)
    assert result["cpr"] is not None
    widget.prompt = OTHER
    assert widget.circuit is None
    widget.close()


def test_a_click_overtakes_and_changes_nothing(widget):
    """A gesture's answer comes while the search goes on, and the search ends in the same numbers."""
    asked, answered = [], []

    def heard(content):
        if content.get("progress") and len(asked) < 4:
            asked.append(front.send("outcome", run_key=widget.run_key, ablation=off, position=-1, target="", against="", k=3))
        if content.get("id") in asked and "ok" in content:
            answered.append(content["id"])
        if content.get("id") == search and "ok" in content:
            answered.append(search)

    search = None
    off = CLEAN | {"heads": [[1, 1]]}
    front = Front(widget, heard=heard)
    ids = second(widget, front)["ids"]
    quiet, _ = front.result("circuit", run_key=widget.run_key, counterfactual=ids, **ASK)
    asked.clear()
    search = "page-search"
    widget._receive(widget, {"id": search, "op": "circuit", "args": {"run_key": widget.run_key, "counterfactual": ids, **ASK}}, [])
    reply, _ = front.reply(search)
    assert reply["ok"], reply
    assert answered.index(search) > 0  # clicks were answered before it
    for name in ("faithfulness", "cpr", "cmd"):
        assert reply["result"][name] == pytest.approx(quiet[name], abs=1e-5)
    assert np.allclose([e["effect"] for e in reply["result"]["edges"]], [e["effect"] for e in quiet["edges"]], atol=1e-5)


def test_a_model_without_a_tokenizer_is_asked_by_ids():
    widget = AttentionWidget(load_model(induction_model()), "0 15 5 4 3 13 1 14 15 5 4 3 13 1 14")
    front = Front(widget)
    said = second(widget, front, how="shuffle")
    result, _ = front.result("circuit", run_key=widget.run_key, counterfactual=said["ids"], **ASK | {"target": "#15", "against": "#5"})
    assert {edge["label"] for edge in result["edges"]} >= {"embed → L0H0.v", "L0H0 → L1H0.k", "L1H0 → logits"}
    assert second(widget, front, how="swap", swap=["#15", "#7"], target="#15")["note"] == "#15 → #7 at its last occurrence"
    widget.close()


def test_an_old_page_gets_nothing(widget, front):
    ids = second(widget, front)["ids"]
    assert front.error("circuit", run_key="run-0", counterfactual=ids, **ASK)["kind"] == "cancelled"
    assert front.error("counterfactual", run_key="run-0", **SECOND)["kind"] == "cancelled"
