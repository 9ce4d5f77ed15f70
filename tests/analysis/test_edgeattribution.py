"""EAP and EAP-IG of every edge, beside closed forms, and beside slopes taken by hand in models computed component by component."""

import numpy as np
import pytest
import torch

from attnwidget import AttnWidgetError, ModelError, load_model
from attnwidget.analysis import edgeattribution
from attnwidget.analysis.edgeattribution import edge_attribution
from attnwidget.analysis.patching import edge_effects, make_pair
from tests.analysis.by_hand import LAST, doubled
from tests.analysis.edges_by_hand import HANDS, hand, slopes
from tests.analysis.test_patching import APART, ASKED, CLOSE, TARGET, ends, in_double, two_runs
from tests.models import IDS, OTHER_IDS, induction_model, name_of, subject, unchanged


def minus_difference(logits):
    return -(logits[LAST, ASKED["target"]] - logits[LAST, ASKED["against"]])


def by_hand(name, graph, shares, number=minus_difference):
    """[edge]: the mean over `shares` of the slopes at other + share · (clean − other), times what sources write in the other run less
    what they write in the clean one."""
    of = hand(name)
    with torch.no_grad():
        (_, clean, _), (_, other, _) = of.run(IDS), of.run(OTHER_IDS)
    points = [other["embed"] + share * (clean["embed"] - other["embed"]) for share in shares]
    found = [slopes(of, IDS, number, point) for point in points]
    scores = []
    for source, destination in (ends(graph, e) for e in range(len(graph))):
        slope = sum(at[destination] for at in found) / len(found)
        scores.append(((other[source] - clean[source]) * slope).sum().item())
    return np.array(scores)


@pytest.mark.parametrize("name", HANDS)
@pytest.mark.parametrize(("method", "steps", "shares"), [("eap", 5, [1]), ("eap_ig", 1, [1]), ("eap_ig", 4, [0.25, 0.5, 0.75, 1])])
def test_slopes_taken_by_hand(name, method, steps, shares):
    pair = in_double(name)
    with unchanged(doubled(name).source):
        found = edge_attribution(pair, method, steps=steps)
    expected = by_hand(name, pair.graph, shares)
    assert found.dtype == np.float64 and found == pytest.approx(expected, abs=CLOSE[name]) and np.abs(expected).max() > 0.05


@pytest.mark.parametrize("name", HANDS)
@pytest.mark.parametrize("kind", ["plain", "bridge"])
def test_single_precision(name, kind):
    pair = two_runs((name, kind))
    assert edge_attribution(pair, steps=3) == pytest.approx(by_hand(name, pair.graph, [1 / 3, 2 / 3, 1]), abs=2e-4)


@pytest.mark.parametrize("metric", ["kl", "log_probability", "probability", "entropy", "perplexity"])
def test_other_metrics(metric):
    """The number is differentiated by hand; KL from the clean answer has no slope there, but has on the way."""
    model, of = doubled("gpt2").model, hand("gpt2")
    pair = make_pair(model.run(IDS), model.run(OTHER_IDS), metric, target=TARGET if "prob" in metric else None)
    with torch.no_grad():
        before = of.run(IDS)[0].log_softmax(-1)

    def number(logits):
        log_p = logits.log_softmax(-1)
        if metric == "kl":
            return (before[LAST].exp() * (before[LAST] - log_p[LAST])).sum()
        if metric == "log_probability":
            return -log_p[LAST, TARGET]
        if metric == "probability":
            return -log_p[LAST, TARGET].exp()
        if metric == "entropy":
            return -(log_p[LAST].exp() * log_p[LAST]).sum()
        return (-log_p[:-1].gather(-1, torch.tensor(IDS[1:])[:, None]).mean()).exp()

    expected = by_hand("gpt2", pair.graph, [0.5, 1], number)
    assert edge_attribution(pair, steps=2) == pytest.approx(expected, rel=1e-6, abs=1e-9) and np.abs(expected).max() > 1e-3


@pytest.mark.parametrize("pair", APART, ids=name_of)
def test_edges_of_the_embedding_add_up_to_its_slope(pair):
    """All inputs read it, so the slopes of all of them are the one of what enters the first block, taken on the untouched model."""
    s, asked = subject(*pair), two_runs(pair)
    entered = []
    block = s.block(0)

    def keep(_module, args, kwargs):
        entered.append(args[0] if args else kwargs["hidden_states"])

    def leaf(_module, args, kwargs):
        new = entered[0].clone().requires_grad_()
        entered.append(new)
        return ((new, *args[1:]), kwargs) if args else (args, kwargs | {"hidden_states": new})

    for hook, ids in ((keep, OTHER_IDS), (keep, IDS)):
        handle = block.register_forward_pre_hook(hook, with_kwargs=True)
        s.clean(ids)
        handle.remove()
    other, clean = entered
    entered[:] = [clean]
    handle = block.register_forward_pre_hook(leaf, with_kwargs=True)
    with torch.enable_grad():
        minus_difference(s.twin(torch.tensor([IDS])).logits[0]).backward()
    handle.remove()
    expected = ((other - clean) * entered[1].grad).sum().item()
    s.twin.zero_grad()
    with unchanged(s.source):
        found = edge_attribution(asked, "eap")
    assert found[asked.graph.source == 0].sum() == pytest.approx(expected, abs=5e-4) and abs(expected) > 1e-2


@pytest.mark.parametrize("pair", [("gpt2", "plain"), ("llama", "bridge"), ("gptneox", "bridge")], ids=name_of)
def test_small_changes_are_what_they_are_estimated_to_be(pair):
    """A counterfactual next to the clean run (its stream entering the first block moved by a millionth of the way): edge by edge, the
    estimate is what patching measures. That it is of a made-up run shows that nothing else of the prompt is used."""
    model = doubled(pair[0]).model
    clean, other = model.run(IDS), model.run(OTHER_IDS)
    asked = make_pair(clean, other, **ASKED)
    small = 1e-4
    near = clean._recording.resid[0] + small * (other._recording.resid[0] - clean._recording.resid[0])
    passed = model.engine.resume(clean._recording, start=0, resid=near)
    recording = type(clean._recording)(other._recording.ids, passed.resid, clean._recording.calls, clean._recording.weights)
    moved = make_pair(clean, type(clean)(model, OTHER_IDS, recording), **ASKED)
    edges = np.random.default_rng(0).choice(len(asked.graph), 25, replace=False)
    # `trace` runs the made-up recording from its own stream, so that all that was written is of it.
    measured, estimated = edge_effects(moved, edges) / small, edge_attribution(moved, "eap")[edges] / small
    slack = 2e-3 if pair[0] == "gpt2" else 0.05  # norms and softmax of the others are in single precision
    assert estimated == pytest.approx(measured, abs=slack * np.abs(measured).max()) and np.abs(measured).max() > 0.01


def test_the_induction_model():
    """A saturated pattern hides what is behind it from a slope at the clean run; on the way there it is seen."""
    model = load_model(induction_model())
    once, others = list(range(1, 8)), list(range(8, 15))
    clean, other = model.run([0, *once, *once]), model.run([0, *others, *once])
    pair = make_pair(clean, other, target=once[0], against=once[1])

    def named(pair, **how):
        scores = edge_attribution(pair, **how)
        return {pair.graph.label(e): scores[e] for e in range(52) if abs(scores[e]) > 1e-5}

    last = {"L1H0 → logits": 9.949915, "L1H1 → logits": -2.487479}
    # A slope of 8 p (1 - p) where 1/14 of the keys matches, at the clean run and at the counterfactual.
    at_clean = {"embed → L0H0.v": 0.2991, "L0H0 → L1H0.k": 0.3988, "L0H0 → L1H1.k": -0.0997}
    at_other = {"embed → L0H0.v": 4, "L0H0 → L1H0.k": 16 / 3, "L0H0 → L1H1.k": -4 / 3}
    exact = {"embed → L0H0.v": 7.462437, "L0H0 → L1H0.k": 9.949915, "L0H0 → L1H1.k": -2.487479}
    assert named(pair, method="eap") == pytest.approx(at_clean | last, abs=1e-4)
    swapped = make_pair(other, clean, target=once[0], against=once[1])
    assert named(swapped, method="eap") == pytest.approx({k: -v for k, v in (at_other | last).items()}, abs=1e-4)
    assert named(pair, method="eap_ig", steps=400) == pytest.approx(exact | last, abs=0.02)


def linear_model():
    """Two layers of two heads, no norm, no MLP. Queries and keys read positions, which nothing writes to; values read tokens and what
    heads wrote: patterns are the same whatever the tokens, and all else is a product with a matrix."""
    from transformer_lens.config import TransformerBridgeConfig
    from transformer_lens.model_bridge import TransformerBridge

    vocab, half, d_head, heads = 12, 8, 4, 2
    cfg = TransformerBridgeConfig(
        n_layers=2, n_heads=heads, d_head=d_head, d_model=2 * half, n_ctx=8, d_vocab=vocab, attn_only=True, normalization_type=None,
        act_fn="relu", seed=0,
    )  # fmt: skip
    bridge, generator = TransformerBridge.boot_native(cfg), torch.Generator().manual_seed(0)
    weights = {"tok_embed.weight": (vocab, 2 * half), "pos.weight": (8, 2 * half), "head.weight": (vocab, 2 * half)}
    for layer in range(2):
        weights |= {f"layers.{layer}.attn.{part}.weight": (heads * d_head, 2 * half) for part in "qkv"}
        weights |= {f"layers.{layer}.attn.{part}.bias": (heads * d_head,) for part in "qkv"}
        weights |= {f"layers.{layer}.attn.o.weight": (2 * half, heads * d_head), f"layers.{layer}.attn.o.bias": (2 * half,)}
    weights = {name: torch.randn(shape, generator=generator) for name, shape in weights.items()}
    weights["tok_embed.weight"][:, half:] = weights["pos.weight"][:, :half] = 0
    for layer in range(2):
        weights[f"layers.{layer}.attn.q.weight"][:, :half] = weights[f"layers.{layer}.attn.k.weight"][:, :half] = 0
        weights[f"layers.{layer}.attn.o.weight"][half:] = 0
    bridge.load_state_dict(weights, strict=False)
    return bridge.eval()


def test_a_linear_model_is_estimated_exactly():
    model = load_model(linear_model())
    pair = make_pair(model.run([1, 2, 3, 4, 5]), model.run([1, 7, 8, 4, 9]), target=6, against=3)
    exact = edge_effects(pair, range(len(pair.graph)))
    assert edge_attribution(pair, "eap") == pytest.approx(exact, abs=1e-4)
    assert edge_attribution(pair, steps=3) == pytest.approx(exact, abs=1e-4)
    by_input = {d.input: [] for d in pair.graph.destinations}
    for edge, effect in enumerate(exact):
        by_input[pair.graph.destinations[pair.graph.destination[edge]].input].append(effect)
    assert max(map(abs, by_input["q"] + by_input["k"])) < 1e-4, "positions are the same in both"
    assert np.count_nonzero(np.abs(by_input["v"] + by_input["logits"]) > 1e-2) >= 12
    # What reaches the logits by every edge into them is all there is.
    assert sum(by_input["logits"]) == pytest.approx(pair.effect_of_all, abs=1e-4)


# -- memory, progress, refusals -------------------------------------------------------------------------------------


def test_few_at_a_time(monkeypatch):
    pair = two_runs(("llama", "plain"))
    usual = edge_attribution(pair, steps=4)
    monkeypatch.setattr(edgeattribution, "_at_once", lambda _pair: 3)
    monkeypatch.setattr(edgeattribution, "_SHARE", 1e-9)
    assert edge_attribution(pair, steps=4) == pytest.approx(usual, abs=1e-5)


def test_a_backward_that_is_not_made_for_batches(monkeypatch):
    pair = two_runs(("llama", "plain"))
    usual, grad, refused = edge_attribution(pair, steps=2), torch.autograd.grad, []

    def without(*args, is_grads_batched=False, **kwargs):
        if is_grads_batched:
            refused.append(1)
            raise RuntimeError("Batching rule not implemented for aten::my_backward")
        return grad(*args, **kwargs)

    monkeypatch.setattr(torch.autograd, "grad", without)
    assert edge_attribution(pair, steps=2) == pytest.approx(usual, abs=1e-5) and refused


class Stop(Exception):
    pass


def test_progress_and_stopping():
    pair, said = two_runs(("gpt2", "plain")), []
    edge_attribution(pair, steps=2, progress=lambda *what: said.append(what))
    assert said == [*((done, 6, "Attributing edges") for done in (0, 2, 4)), (6, 6, "")]  # blocks of two points

    def stop(*_):
        raise Stop

    with unchanged(subject("gpt2").source), pytest.raises(Stop):
        edge_attribution(pair, progress=stop)
    assert not torch.is_inference_mode_enabled()


def test_what_is_refused():
    model = subject("gpt2").model
    clean, other = model.run(IDS), model.run(OTHER_IDS)
    pair = make_pair(clean, other)
    for how, match in (({"method": "acdc"}, "No method 'acdc'"), ({"steps": 0}, "not 0"), ({"steps": 2.5}, "not 2.5")):
        with pytest.raises(AttnWidgetError, match=match):
            edge_attribution(pair, **how)
    with pytest.raises(AttnWidgetError, match="no slope at the clean run"):
        edge_attribution(make_pair(clean, other, "kl"), "eap")
    with torch.inference_mode(), pytest.raises(ModelError, match="leave it"):
        edge_attribution(pair)
    with torch.no_grad():
        assert edge_attribution(pair, "eap").any()
