"""Scores of every head of a `HookedTransformer`, by its own hooks and TransformerLens's own stack of what heads write."""

from __future__ import annotations

import pytest
import torch

from attnwidget import load_model, score
from attnwidget.metrics import kl

from .test_hooked import HEADS, IDS, KINDS, LAYERS, build, lens

TARGET, AGAINST = 11, 23
DIFF = {"metric": "logit_diff", "target": TARGET, "against": AGAINST}


@pytest.fixture(params=list(KINDS))
def kind(request):
    return request.param


def z_hooks(function):
    return [(f"blocks.{layer}.attn.hook_z", function(layer)) for layer in range(LAYERS)]


def test_ablation_is_one_hook_at_a_time(kind):
    twin, run = build(kind), load_model(build(kind)).run(IDS)
    clean, found = lens(twin)[-1], score(run).values
    for layer in range(LAYERS):
        for head in range(HEADS):

            def zero(z, hook, head=head):
                z[:, :, head] = 0
                return z

            alone = lens(twin, [(f"blocks.{layer}.attn.hook_z", zero)])[-1]
            assert found[layer, head] == pytest.approx(kl(clean, alone), rel=1e-3, abs=1e-6)


def test_attribution_is_the_gradient_by_its_own_hooks(kind):
    twin, run = build(kind), load_model(build(kind)).run(IDS)
    kept = {}

    def keep(layer):
        def hook_function(z, hook):
            kept[layer] = z.detach().requires_grad_() if not kept else z
            kept[layer].retain_grad()
            return kept[layer]

        return hook_function

    logits = twin.run_with_hooks(torch.tensor([IDS]), fwd_hooks=z_hooks(keep), return_type="logits", prepend_bos=False)[0, -1]
    slopes = torch.autograd.grad(logits[TARGET] - logits[AGAINST], [kept[layer] for layer in range(LAYERS)])
    found = score(run, "attribution", **DIFF).values
    for layer, slope in enumerate(slopes):
        expected = (kept[layer] * slope).sum((0, 1, 3)).detach()
        assert found[layer] == pytest.approx(expected.tolist(), rel=1e-3, abs=1e-5)


def test_direct_contributions_are_what_it_stacks(kind):
    twin, run = build(kind), load_model(build(kind)).run(IDS)
    found = score(run, "direct_logit", target=TARGET, against=AGAINST)
    assert found.values.sum() + sum(found.parts.values()) == pytest.approx(run.logit_diff(TARGET, AGAINST), abs=1e-4)
    with torch.no_grad():
        _, cache = twin.run_with_cache(torch.tensor([IDS]), prepend_bos=False)
        heads = cache.stack_head_results(layer=-1, pos_slice=-1, apply_ln=False)[: LAYERS * HEADS]
        if twin.cfg.normalization_type is not None:
            heads = cache.apply_ln_to_stack(heads, layer=-1, pos_slice=-1)
            if twin.cfg.normalization_type in ("LN", "RMS"):
                heads = heads * twin.ln_final.w
        expected = heads[:, 0] @ (twin.W_U[:, TARGET] - twin.W_U[:, AGAINST])
    assert found.values.ravel() == pytest.approx(expected.tolist(), rel=1e-3, abs=1e-4)
