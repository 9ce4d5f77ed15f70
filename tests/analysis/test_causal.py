"""The gain from a repeat and what each head has to do with it: on paper for the hand-built model, by name in a real one."""

import numpy as np
import pytest

from attnwidget import AttnWidgetError, Head, ModelError, causal_gain, detect_heads, load_model
from attnwidget.analysis import CausalGain
from attnwidget.analysis.repeats import draw_repeats
from tests.models import IND_GAIN, IND_VOCAB, induction_model, subject

T = 8


@pytest.fixture(scope="module")
def hand_built():
    return load_model(induction_model())


def on_paper(ids, copying=0.75, previous=True):
    """The gain of the hand-built model: layer 1 attends to what followed an equal token (softmax of 8) and adds `copying` times the
    gain to the logit of each token there; without the previous-token head it cannot tell and looks everywhere alike."""
    ids = np.array(ids)
    came_before = np.concatenate([ids[:1], ids[:-1]])
    log_p = []
    for q in range(len(ids) - 1):
        weight = np.exp(8.0 * (came_before[: q + 1] == ids[q]) * previous)
        logits = np.bincount(ids[: q + 1], weight / weight.sum(), IND_VOCAB) * copying * IND_GAIN
        log_p.append(logits[ids[q + 1]] - np.log(np.exp(logits).sum()))
    log_p = np.array(log_p)
    return log_p[1 + T : 2 * T].mean() - log_p[1:T].mean()


def test_every_head_of_the_hand_built_model_takes_what_it_must(hand_built):
    found = causal_gain(hand_built, "all", length=T, prefix=[0])
    prompts = draw_repeats(hand_built, T, prefix=[0]).prompts
    clean = np.array([on_paper(ids) for ids in prompts])
    assert found.clean == pytest.approx(clean, abs=1e-5) and clean.min() > 2
    known = {Head(0, 0): {"previous": False}, Head(1, 0): {"copying": -0.25}, Head(1, 1): {"copying": 1.0}}
    for head in found.tested:
        without = np.array([on_paper(ids, **known.get(head, {})) for ids in prompts])
        assert found.drops[:, head.layer, head.head] == pytest.approx(clean - without, abs=1e-5), head
    assert found.heads() == [Head(1, 0), Head(0, 0)]
    for idle in (Head(0, 1), Head(0, 2), Head(1, 2)):
        assert (found.drops[:, idle.layer, idle.head] == 0).all()


def test_agreement_with_where_heads_look(hand_built):
    """L1H1 looks like an induction head and works against them; L0H0 looks like none and they depend on it."""
    looks = detect_heads(hand_built, length=T, prefix=[0])
    every = looks.against(causal_gain(hand_built, "all", length=T, prefix=[0]))
    assert (every.precision, every.recall, every.f1) == (0.5, 0.5, 0.5)
    assert (every.hits, every.extra, every.missed) == ((Head(1, 0),), (Head(1, 1),), (Head(0, 0),))
    some = causal_gain(hand_built, length=T, prefix=[0])
    assert some.tested == (Head(1, 0), Head(1, 1)) and np.isnan(some.values[0]).all()
    agreed = looks.against(some)
    assert (agreed.precision, agreed.recall, agreed.f1) == (0.5, None, None) and "every head tested" in repr(agreed)


def test_it_is_the_same_as_ablating_one_head_at_a_time():
    """On a model where nothing is zero; grouped keys, and a bias in every head."""
    model = subject("qwen2").model
    found = causal_gain(model, "all", length=6, sequences=2, seed=3)
    for row, ids in enumerate(draw_repeats(model, 6, 2, 3).prompts):
        run = model.run(ids)
        for head in ("L0H1", "L1H3", "L2H0"):
            gains = []
            for variant in (run, run.ablate(head)):
                log_p = variant.logits.double().log_softmax(-1)
                follows = [log_p[at, ids[at + 1]].item() for at in range(len(ids) - 1)]
                gains.append(np.mean(follows[7:12]) - np.mean(follows[1:6]))
            layer, index = int(head[1]), int(head[3])
            assert found.drops[row, layer, index] == pytest.approx(gains[0] - gains[1], abs=1e-5)
    other = causal_gain(model, "L1H3", mode="mean", length=6, sequences=2, seed=3)
    assert other.tested == (Head(1, 3),) and other.drops[0, 1, 3] != found.drops[0, 1, 3] and "mean" in other.baseline


def test_where_the_gain_may_be_chance_no_head_matters():
    gains = np.array([0.5, -0.4, 0.3])
    drops = np.full((3, 2, 2), np.nan)
    drops[:, 1, 0] = [0.2, 0.21, 0.19]
    shared = {"drops": drops, "tested": (Head(1, 0),), "share": 0.05, "setting": "made up", "baseline": "z set to zero"}
    nothing, something = CausalGain(gains, **shared), CausalGain(gains + 2, **shared)
    assert nothing.heads() == [] and "no tested head" in repr(nothing)
    assert something.heads() == [Head(1, 0)]
    assert CausalGain(gains + 9, **shared).heads() == []  # less than a twentieth of it
    drops[:, 1, 0] = [0.9, 0.1, -0.1]
    assert something.heads() == [Head(1, 0)], "what it was made with is its own"
    assert CausalGain(gains + 2, **shared).heads() == []


def test_table_and_scores(hand_built):
    found = causal_gain(hand_built, ["L1H0", "L1H1"], length=T, prefix=[0], sequences=3)
    frame = found.to_frame()
    assert frame["head"].tolist() == ["L1H0", "L1H1"] and frame["matters"].tolist() == [True, False]
    assert frame["share"][0] == pytest.approx(found.values[1, 0] / found.clean.mean())
    scores = found.scores()
    assert scores.signed and scores.exact and scores.unit == "nats" and "z set to zero at all positions" in scores.describe()
    assert "L1H0" in repr(found) and "2 heads tested" in repr(found) and "L1H0" in found._repr_html_()


@pytest.mark.parametrize("gain", [0.0, -0.5])
def test_where_there_is_no_gain_there_is_no_share_of_it(gain):
    drops = np.array([[[0.2, -0.1]]])
    found = CausalGain(np.array([gain]), drops, (Head(0, 0), Head(0, 1)), 0.05, "", "")
    assert np.isnan(found.scores().extra["share"]).all() and found.to_frame()["share"].isna().all()
    assert found.values.tolist() == [[0.2, -0.1]]


def test_progress_counts_ablations_and_can_end_them(hand_built):
    seen = []
    causal_gain(hand_built, "all", length=T, prefix=[0], sequences=2, progress=lambda *step: seen.append(step[:2]))
    assert seen[0] == (0, 12) and seen[-1] == (12, 12) and seen == sorted(seen)

    def stop(done, total, text):
        raise InterruptedError

    with pytest.raises(InterruptedError):
        causal_gain(hand_built, "all", length=T, progress=stop)


def test_what_cannot_be_asked_is_said(hand_built):
    with pytest.raises(ModelError, match="predict the next token"):
        causal_gain(subject("bert").model)
    with pytest.raises(AttnWidgetError, match="share must be from 0 to 1, not 5"):
        causal_gain(hand_built, share=5)
    with pytest.raises(AttnWidgetError, match="No head L9H9"):
        causal_gain(hand_built, "L9H9")


def test_a_real_model_loses_its_gain_with_its_induction_head():
    """And with the previous-token head that feeds it, but not with a head that idles on BOS (0.998 of its attention)."""
    found = causal_gain(load_model("smollm2-135m"), ["L16H0", "L18H6", "L18H8"], length=15, sequences=3)
    mean, low, _ = found.gain
    assert mean > 5 and low > 0
    assert found.heads() == [Head(16, 0), Head(18, 6)]
    assert abs(found.values[18, 8]) < 0.02 * mean
