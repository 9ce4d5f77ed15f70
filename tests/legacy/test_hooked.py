"""`HookedTransformer` of TransformerLens 2 and 3, by its own `run_with_hooks`: clean, ablated, resumed, and left as it was."""

from __future__ import annotations

import copy

import pytest
import torch
from transformer_lens import HookedTransformer, HookedTransformerConfig

from attnwidget import MODES, ModeError, load_model

LAYERS, HEADS, D_HEAD, VOCAB = 3, 4, 8, 60
IDS = [7, 41, 3, 41, 18, 22, 7, 30]
OTHER_IDS = [9, 12, 33, 2, 2, 50, 41, 27]
N = len(IDS)

COMMON = {
    "n_layers": LAYERS,
    "n_heads": HEADS,
    "d_head": D_HEAD,
    "d_model": 32,
    "d_mlp": 48,
    "d_vocab": VOCAB,
    "n_ctx": 32,
    "act_fn": "gelu",
    "seed": 0,
}
KINDS = {
    "standard": {"normalization_type": "LN"},
    "folded": {"normalization_type": "LNPre"},
    "rotary, grouped": {"normalization_type": "RMS", "positional_embedding_type": "rotary", "rotary_dim": D_HEAD, "n_key_value_heads": 2},
    "ungrouped": {
        "normalization_type": "RMS",
        "positional_embedding_type": "rotary",
        "rotary_dim": D_HEAD,
        "n_key_value_heads": 2,
        "ungroup_grouped_query_attention": True,
    },
    "parallel": {"normalization_type": "LN", "parallel_attn_mlp": True, "positional_embedding_type": "rotary", "rotary_dim": 4},
    "attention only": {"normalization_type": None, "attn_only": True, "positional_embedding_type": "shortformer"},
    "bidirectional": {"normalization_type": "LN", "attention_dir": "bidirectional"},
    "split inputs": {"normalization_type": "LN", "use_split_qkv_input": True, "use_attn_result": True},
}


def build(kind: str) -> HookedTransformer:
    model = HookedTransformer(HookedTransformerConfig(**{**COMMON, **KINDS[kind]}), move_to_device=True)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            noise = torch.randn(parameter.shape, generator=generator)
            scale = parameter.shape[-2] ** -0.5 if parameter.dim() > 1 else 0.3
            parameter.copy_(1 + 0.2 * noise if name.endswith(".w") else scale * noise)
    return model.eval()


@pytest.fixture(params=list(KINDS))
def kind(request):
    return request.param


@pytest.fixture
def twin(kind):
    """An untouched copy, run by TransformerLens alone."""
    return build(kind)


@pytest.fixture
def source(kind):
    return build(kind)


@pytest.fixture
def model(source):
    return load_model(source)


def lens(model, hooks=(), ids=IDS):
    with torch.no_grad():
        return model.run_with_hooks(torch.tensor([ids]), fwd_hooks=list(hooks), return_type="logits")[0]


def z_hook(layer, edit):
    def hook(z, hook):
        z = z.clone()
        edit(z[0])
        return z

    return (f"blocks.{layer}.attn.hook_z", hook)


def zero(layer, head):
    def edit(z):
        z[:, head] = 0

    return z_hook(layer, edit)


def pattern_hook(layer, head, rows):
    def hook(pattern, hook):
        pattern = pattern.clone()
        pattern[:, head] = rows
        return pattern

    return (f"blocks.{layer}.attn.hook_pattern", hook)


def test_attached(model, kind):
    assert model.selftest.passed, model.selftest
    assert model.selftest.edits_patterns
    assert model.engine.resumes
    assert (model.n_layers, model.n_heads, model.d_head) == (LAYERS, HEADS, D_HEAD)
    assert model.n_kv_heads == (2 if kind in ("rotary, grouped", "ungrouped") else HEADS)
    assert model.causal == (kind != "bidirectional")
    assert model.processing == ("weights folded" if kind == "folded" else "weights as shipped")
    assert model.n_ctx == 32


def test_clean(model, twin):
    run = model.run(IDS)
    assert torch.equal(run.logits, lens(twin))
    with torch.no_grad():
        _, cache = twin.run_with_cache(torch.tensor([IDS]))
    for layer in range(LAYERS):
        assert torch.equal(run.patterns(layer), cache["pattern", layer][0])
        assert torch.equal(run.z(layer), cache["z", layer][0])
        assert torch.equal(run.resid_pre(layer), cache["resid_pre", layer][0])


def test_zero(model, twin):
    run = model.run(IDS)
    for heads in ([(0, 0)], [(1, 2)], [(2, 3)], [(0, 1), (2, 2), (1, 0)]):
        expected = lens(twin, [zero(*head) for head in heads])
        assert (expected - lens(twin)).abs().max() > 0.01
        assert torch.equal(run.ablate(heads).logits, expected)


def test_patterns(model, twin):
    allowed = torch.ones(N, N).tril() if model.causal else torch.ones(N, N)
    uniform = allowed / allowed.sum(-1, keepdim=True)
    run = model.run(IDS)
    assert (run.ablate("L1H2", "uniform").logits - lens(twin, [pattern_hook(1, 2, uniform)])).abs().max() <= 1e-5
    below = run.pattern("L1H3")
    assert torch.equal(run.ablate("L2H3", "previous").logits, lens(twin, [pattern_hook(2, 3, below)]))
    random = run.ablate("L1H2", "random", seed=3)
    assert torch.equal(random.logits, lens(twin, [pattern_hook(1, 2, random.pattern("L1H2"))]))


def test_resample_and_positions(model, twin):
    with torch.no_grad():
        _, cache = twin.run_with_cache(torch.tensor([OTHER_IDS]))

    def other(z):
        z[[2, 7], 1] = cache["z", 1][0][[2, 7], 1]

    ablated = model.run(IDS).ablate("L1H1", "resample", reference=[OTHER_IDS], positions=[2, -1])
    assert torch.equal(ablated.logits, lens(twin, [z_hook(1, other)]))


def test_rows_and_every_layer(model, twin):
    from attnwidget.engine import Edit

    engine = model.engine
    recording = engine.record(torch.tensor([IDS]))
    for start in range(LAYERS):
        assert torch.equal(engine.resume(recording, start=start).resid[-1], recording.resid[-1])

    def each(z):
        z = z.clone()
        for row in range(HEADS):
            z[row, :, row] = 0
        return z

    together = engine.logits(recording, engine.resume(recording, [Edit(1, "z", each)], rows=HEADS).resid[-1])
    for head in range(HEADS):
        # Four rows are one larger matrix product, summed in another order.
        assert (together[head] - lens(twin, [zero(1, head)])).abs().max() <= 2e-5


def test_every_mode_runs(model):
    run = model.run(IDS)
    for mode in MODES:
        params = {"resample": {"reference": [OTHER_IDS]}, "scale": {"scale": 0.5}}.get(mode, {})
        assert run.ablate(["L1H2", "L2H1"], mode, **params).kl() > 0
        assert run.ablate([], mode, **params).kl() == 0


def test_nothing_is_left(model, source):
    before = copy.deepcopy(source.state_dict())
    hooks = {name: (list(m._forward_hooks), list(m._forward_pre_hooks)) for name, m in source.named_modules()}
    source.train()
    model.run(IDS).ablate("L1H2", "uniform").logits

    def broken(_z):
        raise KeyboardInterrupt

    from attnwidget.engine import Edit

    recording = model.engine.record(torch.tensor([IDS]))
    with pytest.raises(KeyboardInterrupt):
        model.engine.resume(recording, [Edit(1, "z", broken)])
    assert all(m.training for m in source.modules())
    assert {name: (list(m._forward_hooks), list(m._forward_pre_hooks)) for name, m in source.named_modules()} == hooks
    assert not [name for name, m in source.named_modules() if "forward" in m.__dict__]
    assert all(torch.equal(value, source.state_dict()[name]) for name, value in before.items())


def test_hooks_of_the_user_s_own(model, source, twin):
    with source.hooks(fwd_hooks=[zero(0, 1)]):
        assert torch.equal(model.run(IDS).ablate("L1H2").logits, lens(twin, [zero(0, 1), zero(1, 2)]))
    assert torch.equal(model.run(IDS).logits, lens(twin))


def test_refusals(model):
    with pytest.raises(ModeError, match="previous"):
        model.run(IDS).ablate("L0H0", "previous")
