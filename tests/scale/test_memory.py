"""Nothing of a long prompt is held whole: bytes of tensors, counted, while each request is answered."""

import gc
import re
import weakref

import numpy as np
import pytest
import torch

from attnwidget import AttentionWidget
from attnwidget.analysis.score import METHODS
from attnwidget.errors import AttnWidgetError
from attnwidget.widget import arguments
from attnwidget.widget import session as sessions
from attnwidget.widget.asking import CLEAN
from attnwidget.widget.jobs import Job
from attnwidget.widget.ops import OPS
from attnwidget.widget.wire import Array, nbytes, pack
from tests.conftest import ROOT
from tests.scale.conftest import narrow, words
from tests.scale.held import Held

LAYERS, HEADS, TOKENS = 40, 4, 256
MAP = 4 * TOKENS**2  # bytes in float32
ALL = LAYERS * HEADS * MAP  # 42 MB
HEAD = [12, 1]
OFF = {**CLEAN, "heads": [[2, 1], HEAD]}
ABOUT = {"position": -1, "target": "", "against": ""}
OTHER = words(TOKENS).replace("cat", "dog")
_WAYS = {"discount_special": False, "renormalise": False}
PAIR = {"other": OTHER, **_WAYS}


@pytest.fixture(scope="module")
def widget() -> AttentionWidget:
    model = narrow(LAYERS, HEADS, TOKENS + 32)
    model.pattern_budget = 2 * HEADS * MAP
    w = AttentionWidget(model, words(TOKENS), prepend_bos=False)
    assert len(w.run.clean) == TOKENS
    return w


def answered(w: AttentionWidget, op: str, **args: object) -> object:
    job = Job("page-1", None, op, lambda job: None, lambda result: None, lambda error: None)
    return OPS[op].answer(w._session, {"run_key": w.run_key, **args}, job)


def scores(method: str, metric: str | None) -> dict:
    return {"method": method, "metric": metric, **ABOUT, "ablation": CLEAN, "conditional": False, "patience": 0}


REQUESTS: dict[str, tuple[str, dict]] = {
    "outcome": ("outcome", {"ablation": OFF, **ABOUT}),
    "whole prompt": ("whole_prompt", {"ablation": OFF}),
    "a map": ("patterns", {"ablation": CLEAN, "heads": [HEAD]}),
    "maps with a head off": ("patterns", {"ablation": OFF, "heads": [[20, 3], HEAD, [5, 0]]}),
    "thumbnails": ("thumbnails", {}),
    **{
        f"weighted {kind}": ("weighted", {"ablation": CLEAN, "heads": [HEAD], "kind": kind, **ABOUT})
        for kind in ("v_norm", "vo_norm", "signed", "z_cosine")
    },
    "mean of heads": ("aggregate", {"ablation": CLEAN, "kind": "mean", "heads": [HEAD, [0, 0]]}),
    "rollout": ("aggregate", {"ablation": CLEAN, "kind": "rollout", "heads": []}),
    "lens": ("lens", {"ablation": OFF, "positions": list(range(TOKENS - 128, TOKENS)), "target": "", "middle": True}),
    "lens of a position": ("lens_column", {"ablation": OFF, "position": -1, "middle": True, "k": 5}),
    "kinds of the prompt": ("kinds", {"own": True}),
    "qk": ("qk", {"ablation": CLEAN, "head": HEAD}),
    "why": ("why", {"ablation": CLEAN, "head": [4, 1], "query": TOKENS - 1, "key": 5}),
    "compare": ("compare", {**PAIR, "causal": False, "metric": "kl", **ABOUT, "patience": 0}),
    "compared maps": ("compared_patterns", {**PAIR, "heads": [HEAD, [20, 3], [5, 0]]}),
    "compare with effects, the first steps": ("compare", {**PAIR, "causal": True, "metric": "kl", **ABOUT, "patience": 0}),
    "many pairs": ("compare_many", {"pairs": [[words(TOKENS), OTHER]], "causal": False, "metric": "kl", **_WAYS}),
    "other prompt": ("other", {"text": OTHER}),
    "token": ("token", {"text": "cat"}),
    "second prompt": ("counterfactual", {"how": "swap", "swap": ["cat", "dog"], "which": "all", "text": "", "seed": 0, **ABOUT}),
    "ov": ("ov", {"head": HEAD, "positions": list(range(40)), "embedding": "tokens", "k": 5}),
    "qk circuit": ("qk_circuit", {"head": HEAD, "offset": 1, "embedding": "tokens", "k": 5}),
    "composition": ("composition", {"head": HEAD}),
    "ablation, the first steps": ("scores", scores("ablation", "kl")),
    "statistic": ("scores", scores("entropy", None)),
    **{
        method: ("scores", scores(method, "logit_diff"))
        for method in METHODS
        if method not in ("ablation", "integrated_gradients")  # whose rows have a budget of their own
    },
    "generation": ("generate", {"ablation": OFF, "max_new_tokens": 2}),
}


IN_FLOAT64 = ("compare", "many pairs", "compare with effects, the first steps", "ablation, the first steps")
"""A dozen copies of one layer's patterns in float64; rows that go together by a budget of their own."""
LEFT = {"embedding", "overview", "study", "circuit"}
"""A question to models without a head; the others are sweeps to their end, whose rows go together by that same budget."""


def test_every_request_is_counted():
    assert {op for op, _ in REQUESTS.values()} == set(OPS) - LEFT


@pytest.mark.parametrize("name", REQUESTS)
def test_a_request_never_holds_all_patterns(widget, name):
    op, args = REQUESTS[name]
    with Held() as held:
        answer = answered(widget, op, **args)
    _, buffers = pack(answer)
    assert held.peak < (ALL if name in IN_FLOAT64 else ALL / 2), f"{held.peak / 1e6:.0f} MB of {ALL / 1e6:.0f}"
    assert held.arrays < ALL / 2, f"{held.arrays / 1e6:.0f} MB of {ALL / 1e6:.0f} in arrays"
    assert sum(map(len, buffers)) <= 15 * MAP


def test_a_clean_run_keeps_the_stream_alone(widget):
    with Held() as held:
        run = widget.model.run(words(TOKENS), prepend_bos=False)
    stream = (LAYERS + 1) * TOKENS * 16 * 4
    assert held.peak < 10 * HEADS * MAP < ALL / 2
    assert stream <= run.nbytes <= held.now < stream + 4 * MAP  # the masks and rotations that the blocks were called with
    del run
    assert held.now < MAP


def test_patterns_are_kept_by_a_budget(widget):
    run, budget = widget.model.run(words(TOKENS), prepend_bos=False), widget.model.pattern_budget
    before = run.nbytes
    for layer in range(LAYERS):
        run.pattern((layer, 0))
    assert run.nbytes - before <= budget < ALL / 10


def test_logits_of_every_position_are_not_kept_where_they_are_many(widget, monkeypatch):
    run = widget.model.run(words(TOKENS), prepend_bos=False)
    before = run.nbytes
    first = run.logits
    kept = run.nbytes - before
    assert kept == first.nelement() * 4
    monkeypatch.setattr("attnwidget.run._KEPT_LOGITS", kept - 1)
    again = widget.model.run(words(TOKENS), prepend_bos=False)
    before = again.nbytes
    assert torch.equal(again.logits, first)
    assert again.nbytes == before
    for position in range(200):
        again.logits_at(position)
    assert again.nbytes - before <= 64 * first.shape[1] * 4


def test_a_session_keeps_as_many_runs_as_have_room(widget, monkeypatch):
    session = widget._session
    one = session.ablated([(0, 0)], "zero", positions=None)
    shared = session.clean.nbytes
    assert 0 < one.nbytes < shared + MAP
    monkeypatch.setattr(sessions, "KEPT_BYTES", int(3.5 * one.nbytes))
    runs = [session.ablated([(0, head)], "zero", positions=None) for head in range(HEADS)]
    assert session.ablated([(0, HEADS - 1)], "zero", positions=None) is runs[-1]
    kept = list(session._ablated.values())
    assert 2 <= len(kept) <= 4
    assert sum(run.nbytes for run in kept) <= sessions.KEPT_BYTES
    monkeypatch.setattr(sessions, "KEPT_BYTES", 1)
    last = session.ablated([(0, 0), (1, 0)], "zero", positions=None)
    assert list(session._ablated.values()) == [last]


@pytest.mark.parametrize("op", ["patterns", "weighted", "compared_patterns"])
def test_maps_of_every_head_are_refused_with_how_many_there_is_room_for(widget, op, monkeypatch):
    monkeypatch.setattr(arguments, "MAPS_BYTES", 20 * MAP)
    most = 4 if op == "compared_patterns" else 10  # five maps a head, or one and its change
    every = [[layer, head] for layer in range(LAYERS) for head in range(HEADS)]
    args = {"ablation": CLEAN, "kind": "v_norm", **ABOUT, **PAIR}
    said = rf"Maps of {LAYERS * HEADS} heads of {TOKENS} tokens .* select {most} or"
    with Held() as held, pytest.raises(AttnWidgetError, match=said):
        answered(widget, op, heads=every, **args)
    assert held.peak < MAP


def test_maps_of_many_heads_are_those_of_each(widget):
    heads = [[20, 3], [2, 1], [20, 0], HEAD]
    together = answered(widget, "patterns", ablation=OFF, heads=heads)
    for i, head in enumerate(heads):
        alone = answered(widget, "patterns", ablation=OFF, heads=[head])
        for part in ("maps", "change"):
            assert np.array_equal(together[part].values[i], alone[part].values[0])


@pytest.mark.parametrize("op", ["patterns", "compared_patterns"])
def test_an_answer_as_large_as_any_is_within_its_bound(widget, op, monkeypatch):
    """Its arrays, and what they are made from: one more copy of the largest of them."""
    monkeypatch.setattr(arguments, "MAPS_BYTES", 40 * MAP)
    each = {"patterns": 2, "compared_patterns": 5}[op]
    heads = [[layer, head] for layer in range(LAYERS) for head in range(HEADS)][: 40 // each]
    answered(widget, op, heads=heads[:1], ablation=OFF, **PAIR)  # what is kept of the two prompts is there
    with Held() as held:
        answer = answered(widget, op, heads=heads, ablation=OFF, **PAIR)
    assert nbytes(answer) == 40 * MAP
    assert held.arrays < 1.6 * 40 * MAP, f"{held.arrays / MAP:.0f} maps"


def test_the_page_asks_for_no_more_maps_than_are_answered():
    said = re.search(r"Math\.floor\((\w+) / \((\d+) \* Math", (ROOT / "js/src/source/patterns.ts").read_text(encoding="utf-8"))
    assert float(said[1]) == arguments.MAPS_BYTES and int(said[2]) == 4 * arguments.MAPS_A_HEAD


def test_a_large_answer_is_not_kept(widget):
    session = widget._session
    small = answered(widget, "outcome", ablation=CLEAN, **ABOUT)
    for op, result in (("outcome", small), ("patterns", {"maps": Array(np.zeros((16, TOKENS, TOKENS), np.float32))})):
        session.note(op, {"run_key": widget.run_key, "ablation": CLEAN}, result)
    assert [one for _, one in session.answers_of("outcome")] == [small] and session.answers_of("patterns") == []


def test_nothing_keeps_a_run_that_had_to_go(widget, monkeypatch):
    """A comparison and its sweeps go with the run of the other prompt."""
    session = widget._session
    answered(widget, "compare", **PAIR, causal=True, metric="kl", **ABOUT, patience=0)
    other = weakref.ref(session.reference(OTHER))
    assert session._comparisons and any(len(sweep.of) > 1 for sweep in session._sweeps.values())
    monkeypatch.setattr(sessions, "KEPT_BYTES", 1)
    session.reference(words(TOKENS - 1))
    assert all(comparison.other is not other() for comparison in session._comparisons.values())
    session.compared = None
    gc.collect()
    assert other() is None
