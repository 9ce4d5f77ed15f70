"""Attribution against closed forms, gradients taken by hand, finite differences, the full Fisher sum, and TransformerLens."""

import importlib
import math

import numpy as np
import pytest
import torch

from attnwidget import AttnWidgetError, ModelError, load_model
from attnwidget.analysis.correlation import spearman
from attnwidget.analysis.score import score
from tests.analysis.by_hand import AGAINST, LAST, TARGET, by_hand, doubled, minus_logit_diff, off
from tests.knap import AGAINST as KNAP_AGAINST
from tests.knap import TARGET as KNAP_TARGET
from tests.knap import WEIGHTS, knapsack_model, knapsack_prompt
from tests.models import (
    HEADS,
    IDS,
    LAYERS,
    OTHER_IDS,
    induction_model,
    induction_prompt,
    subject,
)
from tests.small import small_model

NAMES = ["gpt2", "llama", "gptneox", "bert"]
PAIR = {"metric": "logit_diff", "target": TARGET, "against": AGAINST, "position": LAST}


def _probability(logits):
    return -logits[-1].softmax(-1)[TARGET][None]


def _log_probability(logits):
    return -logits[-1].log_softmax(-1)[TARGET][None]


def _entropy(logits):
    return torch.distributions.Categorical(logits=logits[-1]).entropy()[None]


def _perplexity(logits):
    return torch.nn.functional.cross_entropy(logits[:-1], torch.tensor(IDS[1:])).exp()[None]


NUMBERS = {"logit_diff": minus_logit_diff, "probability": _probability, "log_probability": _log_probability, "entropy": _entropy}
NUMBERS["perplexity"] = _perplexity


def _asked(metric):
    return {"metric": metric} | {
        name: PAIR[name]
        for name, metrics in (("target", "logit_diff probability log_probability"), ("against", "logit_diff"))
        if metric in metrics.split()
    }


def _first_order(change, slope):
    """[layer, head] from z* − z and its gradient, both [position, head, d_head] by layer."""
    return np.array([(c * s[0]).sum((0, 2)).tolist() for c, s in zip(change, slope, strict=True)])


# -- closed forms -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def induction():
    ids = induction_prompt()
    return load_model(induction_model()).run(ids), {"metric": "logit_diff", "target": ids[1], "against": ids[2]}


@pytest.mark.parametrize("method", ["attribution", "gradient_activation"])
def test_the_induction_model(induction, method):
    run, asked = induction
    n, e = 16, math.exp(8)
    u = 1 / (e + n)
    effect = 10 * (e * u - u)
    # 7.457457 in truth: a saturated softmax has next to no slope, so the head that all depends on is missed.
    missed = 0.75 * 10 * 8 * 17 * e / (e + 16) ** 2
    expected = [[missed, 0, 0], [effect, -effect / 4, 0]]
    assert score(run, method, **asked).values == pytest.approx(np.array(expected), abs=1e-4)
    assert (missed, effect) == pytest.approx((0.338528, 9.943275), abs=1e-5)


@pytest.mark.parametrize("method", ["attribution", "gradient_activation"])
def test_the_knapsack_is_exact(method):
    run = load_model(knapsack_model()).run(knapsack_prompt())
    found = score(run, method, metric="logit_diff", target=KNAP_TARGET, against=KNAP_AGAINST)
    assert found.values[0] == pytest.approx(np.array(WEIGHTS), abs=1e-5)


def test_the_knapsack_is_exact_for_kl_as_well():
    run = load_model(knapsack_model()).run(knapsack_prompt())
    logits = torch.full((6, 8), -10.0, dtype=torch.float64)
    logits[:, KNAP_TARGET], logits[:, KNAP_AGAINST] = torch.tensor([sum(WEIGHTS), *(sum(WEIGHTS) - w for w in WEIGHTS)]), 0
    p, without = logits[0].log_softmax(0), logits[1:].log_softmax(1)
    expected = (p.exp() * (p - without)).sum(1)
    assert score(run, "attribution", metric="kl", top_tokens=8).values[0] == pytest.approx(expected.numpy(), rel=1e-4, abs=1e-6)


# -- gradients by hand ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_zero_scale_and_mean_are_the_gradient_by_hand(name):
    s = doubled(name)
    hand, run = by_hand(s, minus_logit_diff), s.model.run(IDS)
    zero = _first_order([-z for z in hand.z], hand.slope)
    assert score(run, "attribution", **PAIR).values == pytest.approx(zero, rel=1e-8, abs=1e-10)
    assert score(run, "attribution", mode="scale", scale=0.3, **PAIR).values == pytest.approx(0.7 * zero, rel=1e-8, abs=1e-10)
    mean = _first_order([z.mean(0, keepdim=True) - z for z in hand.z], hand.slope)
    assert score(run, "attribution", mode="mean", **PAIR).values == pytest.approx(mean, rel=1e-8, abs=1e-10)


@pytest.mark.parametrize("name", NAMES)
def test_resampled_at_some_positions(name):
    s = doubled(name)
    hand, other = by_hand(s, minus_logit_diff), by_hand(s, minus_logit_diff, OTHER_IDS)
    change = [torch.zeros_like(z) for z in hand.z]
    for c, z, z_other in zip(change, hand.z, other.z, strict=True):
        c[[2, 5]] = (z_other - z)[[2, 5]]
    found = score(s.model.run(IDS), "attribution", mode="resample", reference=s.model.run(OTHER_IDS), positions=[2, 5], **PAIR)
    assert found.values == pytest.approx(_first_order(change, hand.slope), rel=1e-8, abs=1e-10)


@pytest.mark.parametrize("name", [*NAMES, "gptj"])
def test_a_mode_that_acts_on_the_pattern(name):
    s = doubled(name) if name != "gptj" else subject(name)
    close = {"rel": 1e-8, "abs": 1e-10} if name != "gptj" else {"rel": 1e-4, "abs": 1e-4}
    first = torch.zeros(len(IDS), len(IDS), dtype=torch.float64)
    first[:, 0] = 1
    change, slope = _pattern_change(s, first)
    assert score(s.model.run(IDS), "attribution", mode="first_token", **PAIR).values == pytest.approx(_first_order(change, slope), **close)


def _pattern_change(s, pattern):
    """z* − z with z* = A* v, and the gradient; gptj has one attention only, so by_hand works on its float32 twin."""
    hand = by_hand(s, minus_logit_diff)
    return [torch.einsum("qk,khd->qhd", pattern.to(v), v) - z for v, z in zip(hand.v, hand.z, strict=True)], hand.slope


# A Llama in float64 still has a norm and a softmax in float32, so its difference is a coarser one.
@pytest.mark.parametrize(("name", "metric"), [*(("gpt2", metric) for metric in NUMBERS), ("llama", "logit_diff")])
def test_every_metric_is_a_finite_difference(name, metric):
    s, heads = doubled(name), [(0, 1), (1, 3), (2, 0)]
    step, close = (1e-5, 1e-6) if name == "gpt2" else (1e-2, 2e-3)
    run = s.model.run(IDS)
    estimate = score(run, "attribution", **_asked(metric)).values
    signed = score(run, "gradient_activation", **_asked(metric)).values
    assert signed == pytest.approx(estimate, rel=1e-9, abs=1e-12)
    for layer, head in heads:

        def scaled(by, layer=layer, head=head):
            def edit(z, v):
                z[:, head] *= by
                return z

            return NUMBERS[metric](s.edited({layer: edit})).item()

        slope = (scaled(1 - step) - scaled(1 + step)) / (2 * step)
        assert estimate[layer, head] == pytest.approx(slope, rel=close, abs=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_of_a_pattern_is_that_of_an_edit_of_it(name):
    s = doubled(name)
    values = score(s.model.run(IDS), "gradient", **PAIR).values
    with torch.no_grad():
        patterns = s.twin(torch.tensor([IDS]), output_attentions=True).attentions
    for layer, head in [(0, 1), (1, 3), (2, 0)]:
        leaf = patterns[layer][0, head].clone().requires_grad_()

        def edit(z, v, leaf=leaf, head=head):
            z[:, head] = leaf @ v[:, head // (HEADS // v.shape[1])]
            return z

        slope = _slope_of(s, leaf, {layer: edit})
        assert values[layer, head] == pytest.approx((leaf * slope).abs().sum().item(), rel=1e-5)


def _slope_of(s, leaf, edits):
    found = {}

    def number(logits):
        value = minus_logit_diff(logits)
        found["slope"] = torch.autograd.grad(value[0], leaf, retain_graph=True)[0]
        return value

    by_hand(s, number, edits=edits)
    return found["slope"]


def test_the_gradient_of_a_pattern_on_a_bridge():
    plain, bridge = (score(subject("llama", kind).model.run(IDS), "gradient", **PAIR).values for kind in ("plain", "bridge"))
    assert plain == pytest.approx(bridge, rel=1e-3, abs=1e-4)


# -- KL of logits to first order --------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny():
    """A Llama with eleven tokens, in float64."""
    model = small_model()
    return load_model(model.source.double(), tokenizer=model.vocabulary.tokenizer)


TEXT = "the cat sat on the mat"


@pytest.fixture(scope="module")
def tiny_changes(tiny):
    """The logits [token] of the whole prompt, and how they change to first order when z of a head is set to zero, [token, layer, head]:
    by hooks written here."""
    seen = []
    hooks = [
        block.self_attn.o_proj.register_forward_pre_hook(lambda _m, args: seen.append(args[0]) or None)
        for block in tiny.source.model.layers
    ]
    logits = tiny.source(torch.tensor([tiny.encode(TEXT)])).logits[0, -1]
    for hook in hooks:
        hook.remove()
    rows = [torch.autograd.grad(logit, seen, retain_graph=True) for logit in logits]
    heads = (tiny.n_heads, tiny.d_head)
    changes = [[(-z * g)[0].unflatten(-1, heads).sum((0, 2)).tolist() for z, g in zip(seen, row, strict=True)] for row in rows]
    return logits.detach(), torch.tensor(changes, dtype=torch.float64)


def _divergence(p, q):
    return (p * (p.log() - q.log())).sum(0).detach().numpy()


def test_with_all_tokens_it_is_the_divergence_of_linear_logits(tiny, tiny_changes):
    logits, changes = tiny_changes
    p = logits.softmax(0)[:, None, None]
    expected = _divergence(p, (logits[:, None, None] + changes).softmax(0))
    found = score(tiny.run(TEXT), "attribution", metric="kl", top_tokens=11)
    assert found.values == pytest.approx(expected, rel=1e-4)
    assert (
        "all 11 tokens" in found.formula
        and "second order" not in found.formula
        and "the logits to first order" in found.formula
        and not found.exact
        and not found.signed
    )
    assert score(tiny.run(TEXT), "attribution", metric="kl", top_tokens=500).values == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("n", [1, 3])
def test_with_some_tokens_the_others_count_as_one(tiny, tiny_changes, n):
    logits, changes = tiny_changes
    top = logits.topk(n).indices.tolist()
    others = [y for y in range(11) if y not in top]

    def grouped(moved):
        """log p of the most probable tokens, and of all others together."""
        log_p = (logits[:, None, None] + moved).log_softmax(0)
        return torch.cat([log_p[top], log_p[others].logsumexp(0, keepdim=True)])

    # To first order, by a derivative in the direction of the change.
    before, slope = torch.autograd.functional.jvp(grouped, torch.zeros_like(changes), changes)
    expected = _divergence(before.exp(), (before + slope).softmax(0))
    found = score(tiny.run(TEXT), "attribution", metric="kl", top_tokens=n)
    assert found.values == pytest.approx(expected, rel=1e-4)
    assert f"({before[:-1].exp().sum(0)[0, 0].item():.1%})" in found.formula
    every = score(tiny.run(TEXT), "attribution", metric="kl", top_tokens=11).values
    assert (found.values <= every + 1e-12).all()


def test_small_changes_are_the_fisher_form(tiny, tiny_changes):
    logits, changes = tiny_changes
    p, step = logits.softmax(0)[:, None, None], 1e-3
    along = changes - (p * changes).sum(0)
    fisher = 0.5 * (p * along**2).sum(0).numpy()
    run = tiny.run(TEXT)
    values = score(run, "attribution", metric="kl", mode="scale", scale=1 - step, top_tokens=11).values
    assert values / step**2 == pytest.approx(fisher, rel=0.01)
    for head in [(0, 0), (1, 2), (3, 1)]:
        exact = run.ablate([head], mode="scale", scale=1 - step).kl()
        assert values[head] == pytest.approx(exact, rel=20 * step)
        assert exact > 1e-12  # far above rounding, so that the comparison means something


def test_where_logits_are_linear_it_is_exact(induction):
    run, _ = induction
    u = 1 / (math.exp(8) + 16)
    # What the last token's heads of layer 1 look at: the token that followed its like, and by chance every position. Seven of the
    # eight tokens stand at two positions, BOS at one, and seven tokens of the vocabulary nowhere.
    attended = torch.tensor([math.exp(8) * u + u, *[2 * u] * 7, u, *[0] * 7], dtype=torch.float64)
    p, without, doubled_up = ((gain * attended).softmax(0) for gain in (7.5, -2.5, 10))
    expected = [float((p * (p / q).log()).sum()) for q in (without, doubled_up)]
    assert expected == pytest.approx([5.106480, 0.013409], abs=1e-6)
    found = score(run, "attribution", metric="kl", top_tokens=16).values
    assert found[1] == pytest.approx(np.array([*expected, 0]), abs=1e-4)


@pytest.mark.demo
def test_its_order_is_that_of_the_exact_sweep(prompt):
    run = load_model("smollm2-135m").run(prompt)
    estimate, exact = (score(run, method, metric="kl") for method in ("attribution", "ablation"))
    assert spearman(estimate.values, exact.values) > 0.94
    assert np.median(estimate.values / exact.values) < 1  # sizes are another matter


# -- conditional, partial, refused ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_in_an_ablated_run_the_gradient_is_taken_there(name):
    s, heads = doubled(name), [(0, 2), (1, 1)]
    run = s.model.run(IDS).ablate(heads)
    hand = by_hand(s, minus_logit_diff, edits=off(heads))
    expected = _first_order([-z for z in hand.z], hand.slope)
    for method in ("attribution", "gradient_activation"):
        values = score(run, method, **PAIR).values
        assert all(math.isnan(values[head]) for head in heads) and np.isnan(values).sum() == 2
        assert np.nan_to_num(values) == pytest.approx(expected, rel=1e-8, abs=1e-10)
    assert np.isnan(score(run, "gradient", **PAIR).values).sum() == 2


def test_kl_in_an_ablated_run_is_measured_from_there(tiny):
    step = 1e-3
    values = score(tiny.run(TEXT).ablate("L1H1"), "attribution", metric="kl", mode="scale", scale=1 - step, top_tokens=11).values
    before, after = (_scaled(tiny, {"L1H1": 0, "L2H2": scale}) for scale in (1, 1 - step))
    exact = torch.nn.functional.kl_div(after, before, log_target=True, reduction="sum").item()
    assert values[2, 2] == pytest.approx(exact, rel=20 * step)


def _scaled(model, heads):
    """log p at the end with z of some heads multiplied, by hooks written here."""
    hooks = []
    for name, scale in heads.items():
        layer, head = int(name[1]), int(name[3])

        def before(_module, args, at=slice(head * model.d_head, (head + 1) * model.d_head), scale=scale):
            z = args[0].clone()
            z[..., at] *= scale
            return (z,)

        hooks.append(model.source.model.layers[layer].self_attn.o_proj.register_forward_pre_hook(before))
    with torch.no_grad():
        logits = model.source(torch.tensor([model.encode(TEXT)])).logits[0, -1]
    for hook in hooks:
        hook.remove()
    return logits.log_softmax(-1)


def test_an_ablated_pattern_takes_part_in_the_gradient():
    """Where pattern edits are made through the values (gptj), and where they are made in place (gpt2)."""
    for name in ("gpt2", "gptj"):
        s = subject(name)
        uniform = torch.ones(len(IDS), len(IDS)).tril() / torch.arange(1, len(IDS) + 1)[:, None]

        def edit(z, v, uniform=uniform):
            z[:, 1] = uniform @ v[:, 1]
            return z

        hand = by_hand(s, minus_logit_diff, edits={1: edit})
        expected = _first_order([-z for z in hand.z], hand.slope)
        values = score(s.model.run(IDS).ablate([(1, 1)], mode="uniform"), "attribution", **PAIR).values.copy()
        assert math.isnan(values[1, 1])
        values[1, 1] = expected[1, 1]
        assert values == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_only_the_heads_asked_for(tiny):
    run = tiny.run(TEXT)
    every = score(run, "attribution", metric="entropy").values
    some = score(run, "attribution", metric="entropy", heads=["L3H1", "L2H0"]).values
    assert np.argwhere(~np.isnan(some)).tolist() == [[2, 0], [3, 1]]
    assert some[2, 0] == every[2, 0] and some[3, 1] == every[3, 1]
    assert np.isnan(score(run, "attribution", metric="entropy", heads=[]).values).all()


@pytest.mark.parametrize("name", ["bert-classifier", "mixtral", "falcon", "gptoss"])
def test_other_kinds_of_model(name):
    """A classifier, experts, one group of keys with values kept fused, attention with sinks: a finite difference."""
    s, step = subject(name), 1e-2
    run = s.model.run(IDS)
    values = score(run, "attribution", metric="log_probability", target=1).values
    for head in [(0, 1), (2, 3)]:
        ends = [run.ablate([head], mode="scale", scale=1 + sign * step).probability(1) for sign in (1, -1)]
        slope = (math.log(ends[0]) - math.log(ends[1])) / (2 * step)
        assert values[head] == pytest.approx(slope, rel=0.02, abs=2e-3)


@pytest.mark.parametrize("n", [0, -1, 2.5, True, "8"])
def test_a_wrong_number_of_tokens_is_refused(tiny, n):
    with pytest.raises(AttnWidgetError, match="top_tokens must be a whole number from 1 to 11"):
        score(tiny.run(TEXT), "attribution", metric="kl", top_tokens=n)


@pytest.mark.parametrize("name", ["bloom", "falcon"])
def test_fused_values_have_no_gradient_of_a_pattern(name):
    run = subject(name).model.run(IDS)
    with pytest.raises(ModelError, match="TransformerBridge"):
        score(run, "gradient")
    assert np.isfinite(score(run, "gradient_activation").values).all()


# -- TransformerLens --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gpt2", "llama"])
def test_transformer_lens_attribution_patch(name):
    """Theirs takes the gradient in the corrupt run and points to the clean one: our run is their corrupt prompt."""
    patching = importlib.import_module("transformer_lens.tools.analysis.attribution_patching")
    s = subject(name, "bridge")

    def logit_diff(logits):
        return logits[0, -1, TARGET] - logits[0, -1, AGAINST]

    theirs = patching.attribution_patch(s.source, torch.tensor([OTHER_IDS]), torch.tensor([IDS]), logit_diff)
    expected = np.zeros((LAYERS, HEADS))
    for node, effect in theirs.node_scores.items():
        if node.kind == "attn_head_out":
            expected[node.layer, node.head] -= effect  # theirs is the change, ours the drop
    ours = score(s.model.run(IDS), "attribution", mode="resample", reference=s.model.run(OTHER_IDS), **PAIR).values
    assert ours == pytest.approx(expected, rel=1e-3, abs=1e-3)
