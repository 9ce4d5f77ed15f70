"""After any pass, ended well or not, the model is what it was: weights, hooks, forwards, switches, flags, and what it computes."""

from __future__ import annotations

import pytest
import torch

from attnwidget.engine import Edit
from attnwidget.engine.interrupt import Cancelled, interruptible

from ..models import ALL, FEW, IDS, PATTERN_MODES, fresh, name_of, state, subject, unchanged

few = pytest.mark.parametrize("pair", FEW, ids=name_of)


def answer(s):
    with torch.no_grad():
        output = s.source(torch.tensor([IDS]))
    output = getattr(output, "logits", output)
    return getattr(output, "last_hidden_state", output)


@pytest.mark.parametrize("pair", ALL, ids=name_of)
def test_attaching_changes_nothing(pair):
    import copy

    from attnwidget import load_model

    from ..models import SPECS, bridged, tokenizer, wide

    spec = SPECS[pair[0]]
    source = wide(spec.build())
    if pair[1] == "bridge":
        source = bridged(source, tokenizer(encoder=not spec.causal))
        source(torch.tensor([IDS]))  # TransformerLens puts hooks of its own on norms in its first forward
    weights = copy.deepcopy(source.state_dict())
    with unchanged(source):
        load_model(source)
    after = source.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in weights.items() if isinstance(value, torch.Tensor))


@pytest.mark.parametrize("pair", ALL, ids=name_of)
def test_every_operation_leaves_the_model_as_it_was(pair):
    s = subject(*pair)
    before = answer(s)
    with unchanged(s.source):
        run = s.model.run(IDS)
        run.logits
        run.z(1)
        if s.model.selftest.reads_patterns:
            run.patterns(1)
        run.ablate(["L0H1", "L2H2"]).logits
        if s.model.selftest.edits_patterns:
            run.ablate(["L0H1", "L2H2"], "uniform", positions=[1]).logits
    assert torch.equal(answer(s), before)


EDITABLE = [(pair, site) for pair in FEW for site in ("z", "pattern") if site == "z" or pair in PATTERN_MODES]


@pytest.mark.parametrize(("pair", "site"), EDITABLE, ids=lambda value: value if isinstance(value, str) else name_of(value))
@pytest.mark.parametrize("raised", [RuntimeError, KeyboardInterrupt, Cancelled])
def test_an_error_in_the_middle(pair, site, raised):
    s = subject(*pair)
    engine = s.model.engine
    recording = engine.record(torch.tensor([IDS]))
    before = answer(s)

    def broken(_value):
        raise raised("in the middle")

    with unchanged(s.source), pytest.raises(raised):
        engine.resume(recording, [Edit(1, site, broken)], capture=[("z", 1)])
    assert engine.lock.acquire(blocking=False)
    engine.lock.release()
    assert torch.equal(answer(s), before)
    assert torch.equal(engine.resume(recording).resid[-1], recording.resid[-1])


@few
@pytest.mark.parametrize("raised", [KeyboardInterrupt, Cancelled])
def test_stopped_before_each_block(pair, raised):
    s = subject(*pair)
    before = answer(s)
    stops = 0
    for at in range(20):
        left = at

        def check():
            nonlocal left
            left -= 1
            if left < 0:
                raise raised

        with unchanged(s.source):
            try:
                with interruptible(check):
                    s.model.run(IDS).ablate("L1H1").logits
                break
            except raised:
                stops += 1
    assert stops == 3 + 2, "three blocks recorded, two resumed"
    assert torch.equal(answer(s), before)
    s.model.run(IDS)  # nobody asks any more


@few
def test_an_error_in_the_tail(pair):
    s = subject(*pair)
    run = s.model.run(IDS)
    head = [m for m in s.source.modules() if isinstance(m, torch.nn.Linear)][-1]

    def broken(*_):
        raise KeyboardInterrupt

    hook = head.register_forward_hook(broken)
    try:
        with unchanged(s.source), pytest.raises(KeyboardInterrupt):
            run.logits_at(3)
    finally:
        hook.remove()
    assert torch.allclose(run.logits_at(3), s.clean()[3], atol=1e-5)


@pytest.mark.parametrize("pair", [("gpt2", "plain"), ("bert", "plain"), ("gpt2", "bridge")], ids=name_of)
def test_training_flags_even_when_mixed(pair):
    """Dropout is off during a pass, and every module's own flag is back after it."""
    s = fresh(*pair)
    expected = s.model.run(IDS).ablate("L1H1").logits
    s.source.train()
    for number, module in enumerate(s.source.modules()):
        module.training = number % 3 != 0
    for number, parameter in enumerate(s.source.parameters()):
        parameter.requires_grad_(number % 2 == 0)
    with unchanged(s.source):
        logits = s.model.run(IDS).ablate("L1H1").logits
    assert torch.equal(logits, expected)
    assert not logits.requires_grad


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_the_attention_implementation_is_put_back(implementation):
    s = fresh("llama")
    s.source.set_attn_implementation(implementation)
    with unchanged(s.source):
        assert torch.equal(s.model.run(IDS).logits, s.clean())
    assert s.source.config._attn_implementation == implementation


@few
def test_hooks_of_the_user_s_own_stay_and_run(pair):
    s = subject(*pair)
    calls = []
    block = s.source.get_submodule(s.spec.blocks)[1] if pair[1] == "plain" else s.source.blocks[1]
    handle = block.register_forward_hook(lambda *_: calls.append(1) and None)
    try:
        with unchanged(s.source):
            s.model.run(IDS)
        assert calls
        assert list(block._forward_hooks) == [handle.id]
    finally:
        handle.remove()


def test_a_forward_replaced_by_the_user_comes_back():
    s = fresh("gpt2")
    block = s.source.transformer.h[1]
    own = block.forward
    block.forward = lambda *args, **kwargs: own(*args, **kwargs)
    mine = block.__dict__["forward"]
    s.model.run(IDS).logits
    assert block.__dict__["forward"] is mine


def test_what_state_compares_is_not_blind():
    s = fresh("gpt2")
    for change in (
        lambda: s.source.transformer.h[0].register_forward_pre_hook(lambda *_: None),
        lambda: s.source.transformer.h[1].train(),
        lambda: s.source.transformer.h[1].__dict__.update(forward=print),
        lambda: s.source.set_attn_implementation("eager"),
        lambda: next(s.source.parameters()).requires_grad_(False),
        lambda: next(s.source.parameters()).data.add_(1),
    ):
        before = state(s.source)
        change()
        assert state(s.source) != before
