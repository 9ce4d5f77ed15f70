"""The logit lens against plain PyTorch on a twin of each model and TransformerLens's own; its last row against the model's output."""

import numpy as np
import pytest
import torch

from attnwidget import ModelError, PositionError, layer_impact, load_model, logit_lens
from tests.models import IDS, SPECS, subject

#: name -> (the norm and unembedding of the twin, its soft-cap), written here from each model's source
TAILS = {
    "gpt2": lambda m: (m.transformer.ln_f, m.lm_head),
    "llama": lambda m: (m.model.norm, m.lm_head),
    "gemma2": lambda m: (m.model.norm, m.lm_head),
    "gptneox": lambda m: (m.gpt_neox.final_layer_norm, m.lm_head),
    "opt": lambda m: (m.model.decoder.final_layer_norm, m.lm_head),
}


def streams(twin, spec):
    """What enters the first block of the twin, and what each returns, by hooks written here."""
    blocks = twin.get_submodule(spec.blocks)
    seen = []
    handles = [blocks[0].register_forward_pre_hook(lambda _m, args, kw: seen.append((args or (kw["hidden_states"],))[0]), with_kwargs=True)]
    handles += [b.register_forward_hook(lambda _m, _a, out: seen.append(out[0] if isinstance(out, tuple) else out)) for b in blocks]
    with torch.no_grad():
        twin(torch.tensor([IDS]))
    for handle in handles:
        handle.remove()
    return [x[0] for x in seen]


@pytest.mark.parametrize("kind", ["plain", "bridge"])
@pytest.mark.parametrize("name", TAILS)
def test_each_row_is_the_norm_and_unembedding_of_the_stream(name, kind):
    of = subject(name, kind)
    lens = logit_lens(of.model.run(IDS), middle=False, target=44, k=3)
    norm, unembedding = TAILS[name](of.twin)
    cap = getattr(of.twin.config, "final_logit_softcapping", None)
    assert [point.label for point in lens.points] == ["embed", "L0", "L1", "L2"]
    final = None
    for i, x in reversed(list(enumerate(streams(of.twin, SPECS[name])))):
        with torch.no_grad():
            logits = unembedding(norm(x)).double()
        logits = cap * torch.tanh(logits / cap) if cap else logits
        logp = logits.log_softmax(-1)
        final = logp if final is None else final
        assert lens.target_probability[i] == pytest.approx(logp[:, 44].exp().numpy(), rel=2e-3, abs=1e-6)
        assert lens.entropy[i] == pytest.approx(-(logp.exp() * logp).sum(-1).numpy(), rel=1e-3, abs=1e-4)
        assert lens.kl[i] == pytest.approx((final.exp() * (final - logp)).sum(-1).numpy(), rel=2e-3, abs=1e-4)
        assert lens.top_probabilities[i] == pytest.approx(logp.exp().topk(3).values.numpy(), rel=2e-3, abs=1e-6)


@pytest.mark.parametrize("name", ["gpt2", "llama", "gemma2", "gptneox", "bert", "roberta", "distilbert", "bloom", "opt", "gptj"])
def test_the_last_row_is_the_models_own_answer(name):
    run = subject(name).model.run(IDS)
    lens = logit_lens(run, k=4)
    p = run.logits.float().log_softmax(-1).exp()
    assert torch.equal(torch.from_numpy(lens.top_probabilities[-1]), p.topk(4).values), "to the bit"
    assert np.array_equal(lens.top_ids[-1], p.topk(4).indices.numpy())
    assert (lens.kl[-1] == 0).all() and (lens.target_rank[-1] == 1).all()
    assert (lens.target_ids == p.argmax(-1).numpy()).all()


@pytest.mark.parametrize("name", ["gpt2", "llama", "gemma2", "opt", "bloom"])
def test_after_the_attention_is_what_the_mlps_norm_is_given(name):
    of = subject(name)
    norms = {
        "gpt2": "ln_2",
        "llama": "post_attention_layernorm",
        "gemma2": "pre_feedforward_layernorm",
        "opt": "final_layer_norm",
        "bloom": "post_attention_layernorm",
    }
    blocks = of.twin.get_submodule(SPECS[name].blocks)
    given = []
    handles = [block.get_submodule(norms[name]).register_forward_pre_hook(lambda _m, args: given.append(args[0])) for block in blocks]
    with torch.no_grad():
        of.twin(torch.tensor([IDS]))
    for handle in handles:
        handle.remove()
    from attnwidget.engine.midpoint import resid_mid

    run = of.model.run(IDS)
    for layer, x in enumerate(given):
        mine = resid_mid(of.model.engine, run._recording, layer, run._resid[layer])
        assert torch.allclose(mine, x.reshape(mine.shape), rtol=1e-4, atol=1e-4)
    labels = [point.label for point in logit_lens(run).points]
    assert labels == ["embed", "L0 attn", "L0", "L1 attn", "L1", "L2 attn", "L2"]


@pytest.mark.parametrize("name", ["gptneox", "gptj", "falcon", "bert"])
def test_parallel_and_post_norm_blocks_have_no_point_after_the_attention(name):
    lens = logit_lens(subject(name).model.run(IDS))
    assert [point.label for point in lens.points] == ["embed", "L0", "L1", "L2"]


@pytest.mark.parametrize("name", ["gpt2", "llama", "gemma2"])
def test_it_is_transformer_lenss_own_where_that_runs(name):
    from transformer_lens.tools.analysis.logit_lens import logit_lens as theirs

    of = subject(name, "bridge")
    lens = logit_lens(of.model.run(IDS), target=44)
    found = theirs(of.model.source, torch.tensor([IDS]), incl_mid=True, positions=None)
    assert found.labels == ["0_pre", "0_mid", "1_pre", "1_mid", "2_pre", "2_mid", "final_post"]
    logp = found.values.reshape(len(found.labels), len(IDS), -1).double().log_softmax(-1)
    assert len(lens.points) == len(found.labels)
    assert lens.target_probability == pytest.approx(logp[..., 44].exp().detach().numpy(), rel=2e-3, abs=1e-6)
    assert lens.entropy == pytest.approx(-(logp.exp() * logp).sum(-1).detach().numpy(), rel=1e-3, abs=1e-4)
    assert np.array_equal(lens.target_rank, (logp > logp[..., 44:45]).sum(-1).numpy() + 1)


def test_an_ablated_run_is_read_from_its_own_stream_and_followed_towards_the_clean_answer(model):
    run = model.run("the cat sat on the mat")
    off = run.ablate(["L1H1", "L2H0"])
    lens, clean = logit_lens(off), logit_lens(run)
    assert np.array_equal(lens.target_ids, clean.target_ids)
    below = [i for i, point in enumerate(lens.points) if point.layer < 1]
    assert np.array_equal(lens.target_probability[below], clean.target_probability[below]), "nothing below the lowest head moves"
    assert not np.allclose(lens.target_probability[-1], clean.target_probability[-1])
    p = off.logits.float().log_softmax(-1).exp()
    assert torch.equal(torch.from_numpy(lens.top_probabilities[-1, :, 0]), p.max(-1).values)
    middle = [i for i, point in enumerate(lens.points) if point.label == "L1 attn"]
    assert not np.allclose(lens.target_probability[middle], clean.target_probability[middle]), "the edit is in it"


def test_some_positions_are_those_rows_of_all(model):
    run = model.run("the cat sat on the mat")
    whole, some = logit_lens(run), logit_lens(run, [4, 1])
    assert some.positions == (4, 1) and some.tokens == (run.tokens[4], run.tokens[1])
    assert some.kl == pytest.approx(whole.kl[:, [4, 1]], abs=1e-5)
    assert np.array_equal(logit_lens(run, -1).top_ids[:, 0], whole.top_ids[:, -1])


def test_a_long_prompt_is_read_a_few_positions_at_a_time(model, monkeypatch):
    run = model.run("the cat sat on the mat").ablate(["L1H1"])
    whole = logit_lens(run)
    monkeypatch.setattr("attnwidget.analysis.lens._CHUNK", 2)
    some = logit_lens(run)
    assert np.array_equal(some.top_ids, whole.top_ids) and np.array_equal(some.target_ids, whole.target_ids)
    assert some.kl == pytest.approx(whole.kl, abs=1e-5) and some.target_probability == pytest.approx(whole.target_probability, abs=1e-6)


def test_an_answer_that_is_no_number_is_refused(model):
    with pytest.raises(ModelError, match="no number"):
        logit_lens(model.run("the cat sat").ablate([(layer, head) for layer in range(4) for head in range(4)], "scale", scale=1e38))


def test_a_masked_model_is_read_at_its_mask():
    of = subject("bert")
    run = of.model.run(IDS)
    lens = logit_lens(run, run.position())
    assert lens.top_ids[-1, 0, 0] == run.top(1).id[0]


def test_frames_and_words(model):
    lens = logit_lens(model.run("the cat sat"), k=2)
    frame = lens.to_frame()
    assert len(frame) == len(lens.points) * 3 and set(frame.site) <= {"embed", "attn", "layer"}
    assert lens.table().shape == (len(lens.points), 3)
    assert "points × 3 positions" in repr(lens) and "<table" in lens._repr_html_()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [({"positions": [9]}, "9.*3 tokens"), ({"positions": []}, "0 to 2"), ({"k": 0}, "k must be.*0"), ({"target": "no such"}, "no such")],
)
def test_what_is_wrong_is_refused(model, arguments, says):
    with pytest.raises((ModelError, PositionError, ValueError), match=says):
        logit_lens(model.run("the cat sat"), **arguments)


@pytest.mark.parametrize(("name", "says"), [("bert-base", "no unembedding"), ("bert-classifier", "classes")])
def test_a_model_without_tokens_at_its_end_is_refused_with_the_reason(name, says):
    with pytest.raises(ModelError, match=says):
        logit_lens(subject(name).model.run(IDS))


def test_the_impact_of_an_ablation_is_the_relative_change_of_the_stream(model):
    run = model.run("the cat sat on the mat")
    off = run.ablate(["L1H1"])
    moved = layer_impact(off)
    for layer in range(model.n_layers + 1):
        a, c = off.resid_pre(layer).double(), run.resid_pre(layer).double()
        assert moved.total[layer] == pytest.approx(((a - c).norm() / c.norm()).item(), abs=1e-7)
        assert moved.by_position[layer] == pytest.approx(((a - c).norm(dim=-1) / c.norm(dim=-1)).numpy(), abs=1e-7)
    assert (moved.total[:2] == 0).all() and (moved.total[2:] > 0).all()
    assert (layer_impact(run.ablate([])).total == 0).all()
    assert moved.to_frame().shape == (model.n_layers + 1, 7)
    with pytest.raises(ModelError, match="ablated run"):
        layer_impact(run)


@pytest.mark.demo
def test_smollm2_turns_to_mary_late():
    lens = logit_lens(load_model("smollm2-135m").run("When Mary and John went to the store, John gave a drink to"), -1, target=" Mary")
    frame = lens.to_frame()
    assert frame.top.iloc[-1] == " Mary" and frame.target_probability.iloc[-1] == pytest.approx(0.923, abs=0.005)
    layers = frame[frame.site == "layer"]
    assert (layers.target_rank[layers.layer < 10] > 10).all(), "not known early"
