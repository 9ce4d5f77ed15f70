"""Embeddings of models without a head: against hooks written by hand on an untouched twin, on random and on real weights."""

import copy

import numpy as np
import pytest
import torch
import transformers as tf
from torch.nn import functional

from attnwidget import AttnWidgetError, ModelError, head_statistics, load_model, score
from attnwidget.analysis import EMBEDDING_METRICS, METRICS, embedding_change
from attnwidget.analysis.pooling import cosine_distance, pooled_positions
from attnwidget.analysis.specials import special_positions
from tests.models import D_HEAD, HEADS, IDS, LAYERS, VOCAB, subject, tokenizer, wide

CLS, SEP, PAD = 3, 4, 1
TEXT = [CLS, *IDS, SEP]


def by_hand(hidden, positions):
    """Mean pooling as sentence-transformers writes it: a mask, a sum, a division."""
    mask = torch.zeros(len(hidden), 1, dtype=torch.float64)
    mask[list(positions)] = 1
    return (hidden.double() * mask).sum(0) / mask.sum().clamp(min=1e-9)


def distances(a, b):
    return 1 - functional.cosine_similarity(a, b, dim=0).item(), torch.dist(a, b).item()


@pytest.fixture(scope="module")
def bert():
    return subject("bert-base")


@pytest.mark.parametrize("heads", [[(0, 1)], [(1, 2), (2, 0)]])
def test_an_ablated_embedding_equals_a_hand_written_hook(bert, heads):
    run = bert.model.run(TEXT)
    everywhere = range(len(TEXT))
    clean, ablated = bert.clean(TEXT), bert.zeroed(heads, TEXT)
    for pooling, at in (("mean", everywhere), ("cls", [0])):
        found = embedding_change(run.ablate(heads), pooling=pooling)
        expected = [by_hand(hidden, at) for hidden in (clean, ablated)]
        assert found.clean == pytest.approx(expected[0].numpy(), abs=1e-12)
        assert found.ablated == pytest.approx(expected[1].numpy(), abs=1e-12)
        cosine, l2 = distances(*expected)
        assert found.cosine_distance == pytest.approx(cosine, abs=1e-12) and cosine > 1e-4
        assert found.l2 == pytest.approx(l2, abs=1e-12) and l2 > 1e-2


def test_the_sweep_is_each_head_zeroed_by_hand(bert):
    run = bert.model.run(TEXT)
    clean = bert.clean(TEXT)
    for name, at, which in (
        ("embedding_cosine", range(len(TEXT)), 0),
        ("embedding_l2", range(len(TEXT)), 1),
        ("embedding_cosine_cls", [0], 0),
        ("embedding_l2_cls", [0], 1),
    ):
        found = score(run, "ablation", metric=name)
        assert (found.metric, found.exact, found.signed, found.position) == (name, True, False, None)
        for layer in range(LAYERS):
            for head in range(HEADS):
                ablated = bert.zeroed([(layer, head)], TEXT)
                expected = distances(by_hand(clean, at), by_hand(ablated, at))[which]
                assert found.values[layer, head] == pytest.approx(expected, abs=2e-7, rel=1e-5), (name, layer, head)
        assert found.values.min() > 1e-6


@pytest.mark.parametrize("kind", ["DistilBert", "Roberta"])
def test_other_encoders_without_a_head(kind):
    sizes = {"DistilBert": {"n_layers": 2, "n_heads": HEADS, "dim": 32, "hidden_dim": 48}}
    usual = {"num_hidden_layers": 2, "num_attention_heads": HEADS, "hidden_size": 32, "intermediate_size": 48}
    config = getattr(tf, f"{kind}Config")(vocab_size=VOCAB, max_position_embeddings=64, **sizes.get(kind, usual))
    twin = wide(getattr(tf, f"{kind}Model")(config))
    run = load_model(copy.deepcopy(twin), tokenizer=tokenizer(encoder=True)).run(TEXT)
    twin.set_attn_implementation("eager")
    found = score(run, metric="embedding_cosine")
    path = "transformer.layer.1.attention.out_lin" if kind == "DistilBert" else "encoder.layer.1.attention.output.dense"
    for head in range(HEADS):
        hidden = []
        for hook in (None, lambda _m, args, head=head: (_without(args[0], head),)):
            handle = twin.get_submodule(path).register_forward_pre_hook(hook) if hook else None
            with torch.no_grad():
                hidden.append(by_hand(twin(torch.tensor([TEXT])).last_hidden_state[0], range(len(TEXT))))
            if handle:
                handle.remove()
        expected = distances(*hidden)[0]
        assert found.values[1, head] == pytest.approx(expected, abs=2e-7, rel=1e-5) and expected > 1e-5


def test_conditional_scores_start_from_the_ablated_embedding(bert):
    run = bert.model.run(TEXT).ablate("L0H1")
    found = score(run, metric="embedding_l2", heads=["L1H3"])
    before, after = bert.zeroed([(0, 1)], TEXT), bert.zeroed([(0, 1), (1, 3)], TEXT)
    expected = torch.dist(*(by_hand(x, range(len(TEXT))) for x in (before, after))).item()
    assert found.values[1, 3] == pytest.approx(expected, rel=1e-5)
    assert np.isnan(found.values).sum() == LAYERS * HEADS - 1


def test_padding_is_no_part_of_the_mean_and_special_tokens_are_unless_discounted(bert):
    run = bert.model.run([*TEXT, PAD, PAD])
    assert pooled_positions(run) == tuple(range(len(TEXT)))
    assert pooled_positions(run, special="discount") == tuple(range(1, len(TEXT) - 1))
    found = embedding_change(run.ablate("L1H1"), special="discount")
    inner = range(1, len(TEXT) - 1)
    expected = [by_hand(x, inner) for x in (bert.clean([*TEXT, PAD, PAD]), bert.zeroed([(1, 1)], [*TEXT, PAD, PAD]))]
    assert (found.cosine_distance, found.l2) == pytest.approx(distances(*expected), abs=1e-12)
    with pytest.raises(AttnWidgetError, match="nothing but padding"):
        pooled_positions(bert.model.run([CLS, SEP, PAD]), special="discount")


def test_padding_that_is_also_the_end_of_text_is_a_token():
    twin = wide(tf.GPT2Model(tf.GPT2Config(n_layer=2, n_head=4, n_embd=32, vocab_size=VOCAB, n_positions=64)))
    words = copy.deepcopy(tokenizer())
    words.pad_token = words.eos_token
    run = load_model(copy.deepcopy(twin), tokenizer=words).run([0, 5, 0])
    assert pooled_positions(run) == (0, 1, 2)
    found = embedding_change(run.ablate("L0H2"))
    handle = twin.h[0].attn.c_proj.register_forward_pre_hook(lambda _m, args: (_without(args[0], 2),))
    with torch.no_grad():
        hidden = twin(torch.tensor([[0, 5, 0]])).last_hidden_state[0]
    handle.remove()
    assert found.ablated == pytest.approx(hidden.double().mean(0).numpy(), abs=1e-6)


def _without(flat, head):
    new = flat.clone()
    new[..., head * D_HEAD : (head + 1) * D_HEAD] = 0
    return new


def test_nothing_ablated_is_no_change(bert):
    found = embedding_change(bert.model.run(TEXT).ablate([]))
    assert (found.cosine_distance, found.l2) == (0, 0) and "nothing ablated" in repr(found)
    assert found.to_frame()["cosine_distance"].tolist() == [0]


def test_the_distance_of_vectors_whose_angle_is_known():
    x = torch.tensor([1.0, 0]).double()
    for angle in (0.0, 1e-9, 0.5, np.pi / 2, np.pi):
        y = 7 * torch.tensor([np.cos(angle), np.sin(angle)]).double()
        # 1 − cos t is 0 in floating point for t = 1e-9; half the squared chord is not.
        assert cosine_distance(x, y).item() == pytest.approx(2 * np.sin(angle / 2) ** 2, rel=1e-12, abs=1e-30)
    assert cosine_distance(x, 0 * x).isnan()


def test_what_is_refused(bert):
    run = bert.model.run(TEXT)
    with pytest.raises(ModelError, match="metric='embedding_cosine'"):
        score(run)
    with pytest.raises(AttnWidgetError, match="whole prompt, so it takes no position"):
        score(run, metric="embedding_l2", position=2)
    with pytest.raises(AttnWidgetError, match="takes no target"):
        score(run, metric="embedding_l2", target=5)
    with pytest.raises(AttnWidgetError, match="not estimated by 'attribution'"):
        score(run, "attribution", metric="embedding_cosine")
    with pytest.raises(ModelError, match="has one that answers"):
        score(subject("bert").model.run(TEXT), metric="embedding_cosine")
    with pytest.raises(ModelError, match="answers with logits"):
        embedding_change(subject("bert").model.run(TEXT).ablate("L0H0"))
    with pytest.raises(ModelError, match="give an ablated run"):
        embedding_change(run)
    with pytest.raises(AttnWidgetError, match="would leave nothing"):
        embedding_change(run.ablate("L0H0"), pooling="cls", special="discount")
    with pytest.raises(AttnWidgetError, match="'mean' or 'cls'"):
        embedding_change(run.ablate("L0H0"), pooling="max")
    assert not set(METRICS) & set(EMBEDDING_METRICS)


@pytest.mark.demo
def test_the_sentence_encoder_with_its_real_weights():
    """Its embeddings, normalised, say that two sentences of one meaning are near; ablation moves them as a hook by hand does."""
    model = load_model("minilm")
    texts = ["The cat sat on the mat.", "A cat was sitting on a rug.", "Interest rates rose again."]
    runs = [model.run(text) for text in texts]
    same, other = (distances(*(by_hand(r.logits, range(len(r))) for r in (runs[0], runs[i])))[0] for i in (1, 2))
    assert same < 0.4 < 0.8 < other
    found = score(runs[0], metric="embedding_cosine")
    best = found.top(1)[0]
    change = embedding_change(runs[0].ablate(best))
    assert found.values[best] == pytest.approx(change.cosine_distance, rel=1e-5) and change.cosine_distance > 1e-3
    d_head = model.d_head
    projection = model.source.encoder.layer[best.layer].attention.output.dense
    columns = slice(best.head * d_head, (best.head + 1) * d_head)

    def off(_module, args):
        flat = args[0].clone()
        flat[..., columns] = 0
        return (flat, *args[1:])

    with torch.no_grad():
        clean = model.source(torch.tensor([runs[0].ids])).last_hidden_state[0].double().mean(0)
        handle = projection.register_forward_pre_hook(off)
        ablated = model.source(torch.tensor([runs[0].ids])).last_hidden_state[0].double().mean(0)
        handle.remove()
    # sdpa there, eager here
    assert change.clean == pytest.approx(clean.numpy(), abs=1e-5) and change.ablated == pytest.approx(ablated.numpy(), abs=1e-5)
    assert change.cosine_distance == pytest.approx(distances(clean, ablated)[0], rel=1e-3)
    kept, discounted = (head_statistics(runs[0], special=how).values["first_token_share"] for how in ("keep", "discount"))
    assert np.isfinite(kept).all() and np.isnan(discounted).all()
    unknown = model.run("The cat ☃ sat")
    assert "[UNK]" in unknown.tokens and special_positions(unknown) == (0, len(unknown) - 1)
