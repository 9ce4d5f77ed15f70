"""Every computation that runs rows together, with a memory that a few rows fit into, one row, and none.

The fault is real but for its cause, see `tests/room.py`. On a machine with a GPU its memory is really made small.
"""

from __future__ import annotations

import dataclasses
import threading
import weakref
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch

from attnwidget import (
    AttnWidgetError,
    HeadScores,
    Model,
    OutOfMemoryError,
    Run,
    attention_sources,
    compare,
    compare_many,
    composition,
    detect_heads,
    discover_circuit,
    generate,
    load_model,
    logit_lens,
    ov,
    overview,
    qk_circuit,
    score,
    study,
    value_weighted,
)
from attnwidget.analysis.edgeattribution import edge_attribution
from attnwidget.analysis.patching import Pair, edge_effects, make_pair
from attnwidget.analysis.rounding import rounding_of
from attnwidget.analysis.score import METHODS
from attnwidget.analysis.singles import single_ablations
from attnwidget.engine import memory

from ..models import IDS, OTHER_IDS, SPECS, fresh, subject, unchanged, wide
from ..room import room_for


def numbers(value: object) -> Iterator[np.ndarray]:
    """All that was computed in a result, in its order."""
    if isinstance(value, HeadScores):  # its other numbers are marks
        yield from numbers([value.values, value.extra])
    elif isinstance(value, torch.Tensor):
        yield value.detach().double().numpy()
    elif isinstance(value, np.ndarray):
        if value.dtype.kind in "biuf":
            yield value.astype(np.float64)
    elif isinstance(value, (bool, int, float, np.generic)):
        yield np.asarray(value, dtype=np.float64)
    elif isinstance(value, dict):
        for item in value.values():
            yield from numbers(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from numbers(item)
    elif dataclasses.is_dataclass(value) and not isinstance(value, (Run, Model)):
        for field in dataclasses.fields(value):
            yield from numbers(getattr(value, field.name))


def assert_alike(found: object, usual: object, tolerance: float) -> None:
    found, usual = list(numbers(found)), list(numbers(usual))
    assert len(found) == len(usual) > 0
    for one, other in zip(found, usual, strict=True):
        np.testing.assert_allclose(one, other, atol=tolerance, rtol=tolerance, equal_nan=True)


class Prompts:
    """Two prompts that were run while there was room; what hangs on them is computed later."""

    def __init__(self, model: Model):
        self.model, self.run, self.other = model, model.run(IDS), model.run(OTHER_IDS)

    @property
    def pair(self) -> Pair:
        return make_pair(self.run, self.other, metric="logit_diff", target=5, against=9)


def answered(method: str) -> Callable[[Prompts], object]:
    return lambda p: score(p.run, method, **({"steps": 3} if method == "integrated_gradients" else {}))


def circuit(method: str) -> Callable[[Prompts], object]:
    how = {"target": 5, "against": 9, "edges": 6, "random": 1, "steps": 2, "checks": False}
    return lambda p: discover_circuit(p.run, OTHER_IDS, method=method, **how)


COMPUTATIONS: dict[str, Callable[[Prompts], object]] = {
    **{f"score {method}": answered(method) for method in METHODS},
    "score of every position": lambda p: score(p.run, metric="perplexity"),
    "score given others": lambda p: score(p.run.ablate([(0, 1)]), mode="mean"),
    "single heads": lambda p: single_ablations(p.run, ("kl", "probability")).scores,
    "study": lambda p: study(p.run, max_heads=3, beam=2, budget=40),
    **{f"circuit {method}": circuit(method) for method in ("eap", "eap_ig")},
    "edge attribution": lambda p: edge_attribution(p.pair, steps=4),
    "edges patched": lambda p: edge_effects(p.pair, range(0, 200, 17)),
    "rounding": lambda p: rounding_of(p.run, p.pair.measure),
    "comparison": lambda p: [compare(p.run, p.other).scores(name) for name in ("js", "denoising")],
    "many pairs": lambda p: compare_many(p.model, [(IDS, OTHER_IDS)], effects=True),
    "lens": lambda p: logit_lens(p.run),
    "lens of an ablated run": lambda p: logit_lens(p.run.ablate([(1, 2)]), [3, 8]),
    "kinds": lambda p: [detect_heads(p.model, length=6, sequences=2).scores(kind) for kind in ("induction", "previous_token")],
    "generation": lambda p: generate(p.run.ablate([(1, 2)]), 4),
    "generation, whole passes": lambda p: generate(p.run.ablate([(1, 2)], "uniform"), 3),
    "overview": lambda p: overview(p.run),
    "value weights": lambda p: value_weighted(p.run, [(1, 1)], "signed"),
    "sources of attention": lambda p: attention_sources(p.run, (2, 1), 8, 3),
    "OV circuit": lambda p: ov(p.model, (1, 1)),
    "QK circuit": lambda p: qk_circuit(p.model, (1, 1), tokens=[3, 5, 7, 9]),
    "composition": lambda p: composition(p.model),
}
# What runs more than one row at a time; the others only have to say what there was no memory for.
BATCHED = {
    *(f"score {method}" for method in ("ablation", "attribution", "integrated_gradients")),
    "score of every position", "score given others", "single heads", "study", "circuit eap", "circuit eap_ig",
    "edge attribution", "edges patched", "rounding", "comparison", "many pairs", "lens", "lens of an ablated run", "overview",
    "sources of attention", "OV circuit", "QK circuit", "composition",
}  # fmt: skip
SAID_IN_PLACE = {"overview": lambda found: found.note}
"""Where what cannot be computed is left out, with its reason."""


@pytest.mark.parametrize("name", COMPUTATIONS)
def test_halved_and_goes_on_or_said(name):
    compute, usual = COMPUTATIONS[name], COMPUTATIONS[name](Prompts(subject("gpt2").model))
    s = fresh("gpt2")
    prompts = Prompts(s.model)
    # There is no room the first time, so that nothing that is proved then may hang on it.
    with unchanged(s.source), room_for(s.source, 0):
        if name in SAID_IN_PLACE:
            said = SAID_IN_PLACE[name](compute(prompts))
        else:
            with pytest.raises(AttnWidgetError if name == "many pairs" else OutOfMemoryError) as raised:
                compute(prompts)
            said = str(raised.value)
        assert "Not enough memory" in said and " MB" in said
    assert free(s.model.lock)
    with unchanged(s.source):
        assert_alike(compute(prompts), usual, 0)
    with unchanged(s.source), room_for(s.source, 1) as room:
        assert_alike(compute(prompts), usual, 3e-5)
    assert (room.refused > 0) == (name in BATCHED)
    assert free(s.model.lock)


def free(lock: object) -> bool:
    """Whether another thread can take it."""
    taken = []

    def take() -> None:
        if lock.acquire(timeout=5):
            taken.append(True)
            lock.release()

    thread = threading.Thread(target=take)
    thread.start()
    thread.join()
    return bool(taken)


def test_a_self_test_without_room_is_no_finding_about_the_model():
    source = wide(SPECS["gpt2"].build())
    with unchanged(source), room_for(source, 0), pytest.raises(OutOfMemoryError, match="Not enough memory"):
        load_model(source)
    assert load_model(source).selftest.passed


def test_what_did_not_fit_is_let_go_of_while_the_error_is_kept():
    s = fresh("gpt2")
    held = []

    def before(_module, _args):
        large = torch.zeros(1000)
        held.append(weakref.ref(large))
        raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried to allocate 4000 bytes.")

    handle = s.source.transformer.h[1].register_forward_pre_hook(before)
    with pytest.raises(OutOfMemoryError) as raised:
        s.model.run(IDS)
    handle.remove()
    assert held[0]() is None and raised.value is not None


def test_a_budget_makes_batches_smaller_and_refuses_what_is_below_a_row():
    s = fresh("gpt2")
    run, rows = s.model.run(IDS), []
    usual = score(run).values
    handle = s.source.transformer.h[-1].mlp.register_forward_pre_hook(lambda _module, args: rows.append(len(args[0])))
    most = {}
    one = memory.prompt_bytes(s.model.engine, len(IDS))
    for budget in (None, 4 * one, one):
        s.model.batch_budget = budget
        rows.clear()
        np.testing.assert_allclose(score(run).values, usual, atol=1e-6)
        most[budget] = max(rows)
    assert most[None] > most[4 * one] >= most[one] == 1
    s.model.batch_budget = one - 1
    for refused in (lambda: s.model.run(IDS), lambda: score(run)):
        with pytest.raises(OutOfMemoryError, match=r"one row of 9 tokens takes about .* MB .*batch_budget allows .* MB.*raise the"):
            refused()
    assert len(s.model.run(IDS[:2]).logits) == 2
    for wrong in (0, -5, 1.5, True, "1 GB"):
        with pytest.raises(AttnWidgetError, match="batch_budget must be a number of bytes of 1 or more, or None"):
            s.model.batch_budget = wrong
    handle.remove()


def test_more_than_the_machine_has_is_refused_before_it_is_tried(monkeypatch):
    """On a CPU the system would end the process."""
    s = fresh("gpt2")
    monkeypatch.setattr(memory, "unused_bytes", lambda device: 1000)
    with pytest.raises(OutOfMemoryError, match=r"0\.001 MB free on cpu"):
        s.model.run(IDS)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_whose_memory_is_really_small():
    """Batches as on an empty GPU, with room for a few rows of them: PyTorch's own allocator refuses."""
    source = wide(SPECS["gpt2"].build()).cuda()
    model = load_model(source)
    run = model.run(IDS)
    usual = score(run).values
    _, whole = torch.cuda.mem_get_info()
    engine = model.engine
    spare = memory.pass_bytes(engine, run._recording) * 2 + memory.read_bytes(engine, run._recording, [8]) * 3
    filler = torch.empty(64 * 2**20, dtype=torch.uint8, device="cuda")
    try:
        torch.cuda.empty_cache()
        torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + spare) / whole)
        with unchanged(source):
            np.testing.assert_allclose(score(run).values, usual, atol=1e-4)
        torch.cuda.set_per_process_memory_fraction(torch.cuda.memory_reserved() / whole)
        with unchanged(source), pytest.raises(OutOfMemoryError, match="Not enough memory"):
            model.run(list(range(60)))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        del filler
    np.testing.assert_allclose(score(run).values, usual, atol=1e-4)
