"""A cell that runs the model itself, without the lock, while a pass is under way in another thread, gets its own right answer.

Nothing here is left to chance: the other thread is started from inside a pass, and waited for before the pass goes on; or the
pass is started from inside the other thread's forward.
"""

from __future__ import annotations

import threading

import pytest
import torch

from attnwidget.engine import Edit

from ..models import IDS, OTHER_IDS, fresh, name_of

PAIRS = [(n, k) for n in ("gpt2", "llama", "gemma2", "bert", "opt", "gptj") for k in ("plain", "bridge")] + [("bloom", "plain")]
pairs = pytest.mark.parametrize("pair", PAIRS, ids=name_of)


def forward(source):
    with torch.no_grad():
        output = source(torch.tensor([OTHER_IDS]))
    return getattr(output, "logits", output)


def elsewhere(function):
    """`function()` in a thread of its own, waited for."""
    result = []

    def run():
        try:
            result.append(function())
        except BaseException as error:
            result.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive(), "the other thread waits for the pass"
    if isinstance(result[0], BaseException):
        raise result[0]
    return result[0]


@pairs
def test_a_forward_during_a_pass(pair):
    s = fresh(*pair)
    expected = forward(s.source)
    seen = []

    me = threading.get_ident()

    def edit(z):
        if threading.get_ident() == me:  # else, were hooks not kept to their thread, each would start the next
            seen.append(elsewhere(lambda: forward(s.source)))
        return torch.zeros_like(z)

    engine = s.model.engine
    recording = engine.record(torch.tensor([IDS]))
    passed = engine.resume(recording, [Edit(1, "z", edit)], capture=[("z", 1)])
    # The mask may have been made for eager attention, whose sums have another order than sdpa's.
    assert torch.allclose(seen[0], expected, atol=2e-5)
    zeroed = engine.resume(recording, [Edit(1, "z", torch.zeros_like)])
    assert torch.equal(passed.resid[-1], zeroed.resid[-1]), "and the pass is not disturbed either"
    assert passed.captured["z", 1].abs().max() == 0
    assert torch.equal(forward(s.source), expected)


@pairs
def test_a_forward_during_a_recording_and_during_the_tail(pair):
    s = fresh(*pair)
    expected = forward(s.source)
    usual = s.model.run(IDS)
    usual_logits = usual.logits
    me = threading.get_ident()
    seen = []

    def start(*_):
        if threading.get_ident() == me and not seen:
            seen.append(elsewhere(lambda: forward(s.source)))

    blocks = s.source.blocks if pair[1] == "bridge" else s.source.get_submodule(s.spec.blocks)
    last = [m for m in s.source.modules() if isinstance(m, (torch.nn.Linear, torch.nn.LayerNorm))][-1]

    def anew():
        usual._whole = None
        return usual.logits

    for module, work in ((blocks[1], lambda: s.model.run(IDS).logits), (last, anew)):
        seen.clear()
        hook = module.register_forward_pre_hook(start)
        try:
            ours = work()
        finally:
            hook.remove()
        assert torch.allclose(seen[0], expected, atol=2e-5)
        assert torch.equal(ours, usual_logits)


@pairs
@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
def test_a_pass_that_begins_and_ends_in_the_middle_of_a_forward(pair, implementation):
    """The other thread made its mask before the pass began: for sdpa none, since it is causal by itself."""
    s = fresh(*pair)
    if pair[1] == "plain" and pair[0] not in ("gptj", "bloom", "gemma2"):  # these have one attention only
        s.source.set_attn_implementation(implementation)
    expected = forward(s.source)
    blocks = s.source.blocks if pair[1] == "bridge" else s.source.get_submodule(s.spec.blocks)
    me = threading.get_ident()
    began, go_on = threading.Event(), threading.Event()

    def wait(*_):
        if threading.get_ident() != me:
            began.set()
            assert go_on.wait(60)

    hook = blocks[1].register_forward_pre_hook(wait)
    result = []
    thread = threading.Thread(target=lambda: result.append(forward(s.source)), daemon=True)

    def edit(z):
        if threading.get_ident() == me:
            go_on.set()
            thread.join(60)
        return z

    try:
        thread.start()
        assert began.wait(60)
        engine = s.model.engine
        engine.resume(engine.record(torch.tensor([IDS])), [Edit(1, "z", edit)])
    finally:
        go_on.set()
        hook.remove()
    assert torch.allclose(result[0], expected, atol=2e-5)


def test_two_threads_with_widgets_of_their_own_share_one_lock():
    from attnwidget import load_model

    s = fresh("llama")
    again = load_model(s.source)
    assert again.lock is s.model.lock
    heads = [(layer, head) for layer in range(3) for head in range(4)]
    alone = {head: s.model.run(IDS).ablate([head]).logits for head in heads}
    wrong = []

    def work(model, order):
        for head in order:
            if not torch.equal(model.run(IDS).ablate([head]).logits, alone[head]):
                wrong.append(head)

    threads = [threading.Thread(target=work, args=(m, o)) for m, o in ((s.model, heads), (again, heads[::-1]))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not wrong


def test_a_check_is_asked_in_its_own_thread_only():
    from attnwidget.engine.interrupt import Cancelled, interruptible

    s = fresh("gpt2")

    def stop():
        raise Cancelled

    with interruptible(stop):
        assert elsewhere(lambda: len(s.model.run(IDS).logits)) == len(IDS)
        with pytest.raises(Cancelled):
            s.model.run(IDS)
