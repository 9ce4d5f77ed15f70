"""Direct logit attribution: closed forms, the sum of all parts, plain PyTorch, and TransformerLens's own."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import transformers as tf

from attnwidget import Head, ModelError, load_model
from attnwidget.analysis.score import score

from ..engine.test_writes import ADDED, NORMED
from ..knap import AGAINST, LOGIT_DIFF, TARGET, WEIGHTS, knapsack_model, knapsack_prompt
from ..models import ALL, D_HEAD, HEADS, IDS, LAYERS, SPECS, fresh, induction_model, induction_prompt, name_of, subject, tokenizer, wide

T, F = 7, 111


def total(scores):
    return scores.values.sum() + sum(scores.parts.values())


def direct(run, **kwargs):
    return score(run, "direct_logit", **{"target": T, "against": F, **kwargs})


def test_induction_heads():
    """What L1H0 and L1H1 write is known on paper; L0H0, without which neither would write it, adds nothing directly."""
    ids = induction_prompt()
    scores = direct(load_model(induction_model()).run(ids), target=ids[1], against=ids[2])
    e, gain = math.exp(8), 10.0
    u = 1 / (e + 16)
    expected = np.zeros((2, 3))
    expected[1, :2] = gain * (e * u - u), -gain / 4 * (e * u - u)
    assert np.abs(scores.values - expected).max() <= 1e-5
    assert np.abs(scores.values[1, :2] - [9.943276, -2.485819]).max() <= 1e-5
    assert abs(total(scores) - 7.457457) <= 1e-5
    assert {name: round(value, 6) for name, value in scores.parts.items()} == {
        "embedding": 0,
        "attention biases": 0,
        "final norm bias / unembedding bias": 0,
    }


def test_the_table_sums_to_the_logit_difference():
    run = subject("llama").model.run(IDS)
    scores = direct(run)
    frame = scores.to_frame()
    assert frame["direct_logit"].sum() == pytest.approx(run.logit_diff(T, F), abs=1e-5)
    others = frame[frame["layer"].isna()]
    assert dict(zip(others["head"], others["direct_logit"], strict=True)) == dict(scores.parts) and others["index"].isna().all()
    assert frame["layer"].dropna().tolist() == [head.layer for head in scores.top(100)]
    assert f"W_U[{run.model.token(T)}] − W_U[{run.model.token(F)}]" in repr(scores)


def test_a_knapsack_of_constants():
    run = load_model(knapsack_model()).run(knapsack_prompt())
    scores = direct(run, target=TARGET, against=AGAINST)
    assert np.abs(scores.values[0] - WEIGHTS).max() <= 1e-6
    assert abs(total(scores) - LOGIT_DIFF) <= 1e-6
    # Where nothing stands between a head and the logits, that is what ablating it costs.
    assert abs(run.logit_diff(TARGET, AGAINST) - run.ablate("L0H3").logit_diff(TARGET, AGAINST) - WEIGHTS[3]) <= 1e-6
    # And no single head flips the answer, which pairs of the first three do.
    assert all(run.ablate((0, head)).top(1)["id"][0] == TARGET for head in range(5))
    flips = [pair for pair in [(a, b) for a in range(5) for b in range(a)] if run.ablate([(0, h) for h in pair]).top(1)["id"][0] == AGAINST]
    assert sorted(flips) == [(1, 0), (2, 0), (2, 1)]


@pytest.mark.parametrize("pair", ADDED, ids=name_of)
def test_all_parts_sum_to_the_logit_difference(pair):
    s = subject(*pair)
    run = s.model.run(IDS)
    zeroed, mixed = run.ablate(["L0H0", "L2H3"]), run.ablate(["L0H1", "L1H2"], "mean" if s.model.refuses("uniform") else "uniform")
    found = []
    for each, position in [(run, 4), (zeroed, None), (mixed, None)]:
        scores = direct(each, position=position)
        # Of the size of the terms, not of their sum, which may be near 0.
        size = np.abs(scores.values).sum() + sum(map(abs, scores.parts.values()))
        assert abs(total(scores) - each.logit_diff(T, F, position)) <= 1e-6 * size
        assert scores.exact and scores.signed and not np.isnan(scores.values).any()
        assert [name for name in scores.parts if name.startswith("MLP")] == [f"MLP {layer}" for layer in range(LAYERS)]
        found.append(scores)
    assert abs(s.clean()[4][T] - s.clean()[4][F] - total(found[0])) <= 3e-5
    assert np.abs(found[1].values[[0, 2], [0, 3]]).max() == 0, "an ablated head writes nothing"


@pytest.mark.parametrize("name", ["llama", "gpt2", "opt"])
def test_by_hand(name):
    """`z W_O · direction` in plain PyTorch on the twin: the logits less those with one head's write taken out of the last stream."""
    s = subject(name)
    at, scores = 6, direct(s.model.run(IDS), position=6)
    norm = {"llama": "model.norm", "gpt2": "transformer.ln_f", "opt": "model.decoder.final_layer_norm"}[name]
    seen = []
    hook = s.twin.get_submodule(norm).register_forward_hook(lambda _m, args, _out: seen.append(args[0][0, at].double()))
    s.clean()
    hook.remove()
    x, module = seen[0], s.twin.get_submodule(norm)
    centred = name != "llama"
    scale = ((x - x.mean()).pow(2).mean() + 1e-5).rsqrt() if centred else (x.pow(2).mean() + 1e-6).rsqrt()
    head_w = s.twin.get_output_embeddings().weight.double()
    for layer in range(LAYERS):
        z, projection = s.z(layer), s.projection(layer)
        for head in range(HEADS):
            weight = projection.weight if name == "gpt2" else projection.weight.T
            wrote = (z[at, head] @ weight[head * D_HEAD : (head + 1) * D_HEAD]).double()
            normed = (wrote - wrote.mean() if centred else wrote) * scale * module.weight.double()
            assert abs(scores.values[layer, head] - (normed @ (head_w[T] - head_w[F])).item()) <= 1e-5


@pytest.mark.parametrize("name", ["gpt2", "llama", "gptneox"])
def test_transformer_lens_s_own(name):
    """Which wants compatibility mode, where weights are folded; on the very same bridge."""
    from transformer_lens.tools.analysis import direct_logit_attribution

    s = fresh(name, "bridge")
    s.source.enable_compatibility_mode()
    scores = direct(load_model(s.source).run(IDS))
    ids = torch.tensor([IDS])
    heads = direct_logit_attribution(s.source, ids, T, F, unit="head")
    assert heads.labels[: LAYERS * HEADS] == [str(Head(layer, head)) for layer in range(LAYERS) for head in range(HEADS)]
    assert np.abs(heads.attribution.detach().flatten()[: LAYERS * HEADS].numpy() - scores.values.ravel()).max() <= 1e-5
    components = direct_logit_attribution(s.source, ids, T, F, unit="component")
    named = dict(zip(components.labels, components.attribution.flatten().tolist(), strict=True))
    for layer in range(LAYERS):
        assert abs(named[f"{layer}_mlp_out"] - scores.parts[f"MLP {layer}"]) <= 1e-5
    assert abs(named["embed"] + named.get("pos_embed", 0) - scores.parts["embedding"]) <= 1e-5


@pytest.mark.parametrize("pair", [p for p in ALL if p[0] in NORMED and SPECS[p[0]].answer != "none"], ids=name_of)
def test_refused_with_the_reason_where_a_norm_stands_in_the_way(pair):
    s = subject(*pair)
    reason = "answers with classes" if s.spec.answer == "class" else "layer 0 of this model is not just added"
    pair = {"target": 0, "against": 1} if s.spec.answer == "class" else {}
    with pytest.raises(ModelError, match=reason):
        direct(s.model.run(IDS), **pair)


def test_a_soft_cap_is_named():
    class CappedForCausalLM(tf.LlamaForCausalLM):
        def forward(self, *args, **kwargs):
            output = super().forward(*args, **kwargs)
            output.logits = 2 * torch.tanh(output.logits / 2)
            return output

    config = subject("llama").twin.config
    run = load_model(wide(CappedForCausalLM(config)), tokenizer=tokenizer()).run(IDS)
    scores, plain = direct(run), direct(subject("llama").model.run(IDS))
    assert np.abs(scores.values - plain.values).max() <= 1e-6
    assert "before the final soft-cap" in scores.formula and "soft-cap" not in plain.formula


@pytest.mark.parametrize("pair", ALL, ids=name_of)
def test_output_norm(pair):
    """How far the twin's out-projection moves at one position when a head's slice of its input is left out."""
    s = subject(*pair)
    run = s.model.run(IDS)
    for position in (None, 2):
        scores = score(run, "output_norm", position=position)
        at = run.position(position)
        for layer in range(LAYERS):
            z = s.z(layer)[at : at + 1]
            for head in range(HEADS):
                without = z.clone()
                without[:, head] = 0
                with torch.no_grad():
                    moved = s.projection(layer)(z.reshape(1, 1, -1)) - s.projection(layer)(without.reshape(1, 1, -1))
                assert abs(scores.values[layer, head] - moved.norm().item()) <= 1e-5
    assert scores.kind == "statistic" and scores.position == 2 and scores.exact


def test_output_norm_of_an_ablated_run():
    run = subject("llama").model.run(IDS)
    clean, halved = score(run, "output_norm"), score(run.ablate("L1H2", "scale", scale=0.5), "output_norm")
    assert halved.values[1, 2] == pytest.approx(clean.values[1, 2] / 2, rel=1e-5)
    assert np.abs(halved.values[1, [0, 1, 3]] - clean.values[1, [0, 1, 3]]).max() <= 1e-6


def test_progress_and_giving_up():
    class Enough(Exception):
        pass

    seen = []

    def progress(done, of, text):
        seen.append((done, of))
        if len(seen) == 3:
            raise Enough

    run = subject("llama").model.run(IDS)
    for method, named in (("direct_logit", {"target": T, "against": F}), ("output_norm", {})):
        seen.clear()
        with pytest.raises(Enough):
            score(run, method, progress=progress, **named)
        assert seen == [(0, LAYERS), (1, LAYERS), (2, LAYERS)]


def test_smollm2(prompt):
    """The heads that write " Mary" rather than " John", found before by other code on the same weights."""
    run = load_model("smollm2-135m").run(prompt)
    scores = direct(run, target=" Mary", against=" John")
    for head, value in {(23, 3): 2.855, (29, 1): 1.730, (1, 5): -0.064, (20, 0): -0.260}.items():
        assert scores.values[head] == pytest.approx(value, abs=1e-3)
    assert total(scores) == pytest.approx(run.logit_diff(" Mary", " John"), abs=1e-4)
    assert scores.top(1) == [Head(23, 3)]
