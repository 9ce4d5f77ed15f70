"""Every head ablated alone in one sweep, against as many ablated runs that are asked one by one."""

import itertools
from dataclasses import asdict

import numpy as np
import pytest

from attnwidget import score
from attnwidget.analysis import outcome
from attnwidget.analysis.embedding import embedding_change
from attnwidget.analysis.pooling import POOLINGS
from attnwidget.analysis.singles import single_ablations
from attnwidget.heads import Head
from tests.models import HEADS, IDS, LAYERS, OTHER_IDS, name_of, subject

EVERY = [Head(layer, head) for layer, head in itertools.product(range(LAYERS), range(HEADS))]
ANSWER = [
    ("gpt2", "plain"),
    ("llama", "plain"),
    ("bert", "plain"),
    ("bert-classifier", "plain"),
    ("bloom", "plain"),
    ("llama", "bridge"),
    ("bert", "bridge"),
]


def assert_alike(found, wanted):
    """Texts, ids and order to the letter; numbers to what float32 leaves of them in a batch. Of equal ranks the logits decide."""
    for a, b in zip(found.rows, wanted.rows, strict=True):
        assert (a.id, a.token) == (b.id, b.token)
    for name in ("clean_top", "ablated_top", "target", "against"):
        a, b = getattr(found, name), getattr(wanted, name)
        assert (a is None) == (b is None)
        if a is not None:
            assert (a.id, a.clean) == (b.id, b.clean)
    for a, b in zip([*found.rows, found.target], [*wanted.rows, wanted.target], strict=True):
        assert asdict(a.ablated) == pytest.approx(asdict(b.ablated), rel=1e-4, abs=1e-5)
    assert (found.position, found.answer, found.note) == (wanted.position, wanted.answer, wanted.note)
    assert found.kl == pytest.approx(wanted.kl, rel=1e-3, abs=1e-7)
    assert asdict(found.entropy) == pytest.approx(asdict(wanted.entropy), rel=1e-5)
    assert asdict(found.logit_diff) == pytest.approx(asdict(wanted.logit_diff), rel=1e-4, abs=2e-5)


@pytest.mark.parametrize("pair", ANSWER, ids=name_of)
def test_each_outcome_is_that_of_the_run_with_the_head_ablated(pair):
    run = subject(*pair).model.run(IDS)
    at = None if run.model.answer == "class" else 4
    found = single_ablations(run, ["kl"], position=at, k=7)
    assert list(found.outcomes) == EVERY
    assert not found.changes
    for head in EVERY:
        assert_alike(found.outcomes[head], outcome(run.ablate([head]), at, k=7))
    wanted = score(run, "ablation", metric="kl", position=at)
    np.testing.assert_allclose(found.scores["kl"].values, wanted.values, rtol=1e-6)
    np.testing.assert_allclose([found.outcomes[head].kl for head in EVERY], wanted.values.ravel(), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize(
    "how",
    [
        {"mode": "mean"},
        {"mode": "mean", "reference": [OTHER_IDS]},
        {"mode": "zero", "positions": [3, 4]},
        {"mode": "uniform"},
        {"mode": "scale", "scale": 0.5},
    ],
    ids=lambda how: "-".join(how.values() if all(isinstance(v, str) for v in how.values()) else how),
)
def test_in_every_mode_at_named_tokens(how):
    model = subject("llama").model
    run = model.run(IDS)
    reference = {"reference": [model.run(ids) for ids in how["reference"]]} if "reference" in how else {}
    found = single_ablations(run, ["kl", "logit_diff"], target=" Mary", against=70, **how | reference)
    for head in EVERY:
        assert_alike(found.outcomes[head], outcome(run.ablate([head], **how | reference), target=" Mary", against=70))
    diffs = [found.outcomes[head].logit_diff for head in EVERY]
    np.testing.assert_allclose([d.clean - d.ablated for d in diffs], found.scores["logit_diff"].values.ravel(), rtol=1e-5, atol=1e-6)


def test_a_head_that_changes_nothing_has_the_clean_answer_and_undefined_heads_have_none():
    run = subject("llama").model.run(IDS)
    still = single_ablations(run, ["kl"], mode="resample", reference=run).outcomes
    assert [one.kl for one in still.values()] == [0.0] * len(EVERY)
    assert all(row.clean == row.ablated for one in still.values() for row in one.rows)
    above = single_ablations(run, ["kl"], mode="previous").outcomes
    assert list(above) == [head for head in EVERY if head.layer > 0]


def test_a_model_without_a_head_has_the_change_of_its_embedding():
    run = subject("bert-base").model.run([3, *IDS, 4])
    found = single_ablations(run, ["embedding_cosine", "embedding_l2", "embedding_cosine_cls", "embedding_l2_cls"])
    assert not found.outcomes
    assert list(found.changes) == EVERY
    for head, changes in found.changes.items():
        for change, pooling in zip(changes, POOLINGS, strict=True):
            wanted = embedding_change(run.ablate([head]), pooling=pooling)
            assert change.describe() == wanted.describe()
            assert change.l2 == pytest.approx(wanted.l2, rel=1e-4)
            assert change.cosine_distance == pytest.approx(wanted.cosine_distance, rel=1e-3)
            np.testing.assert_array_equal(change.clean, wanted.clean)


def test_progress_is_told_and_what_it_raises_ends_the_sweep():
    run, said = subject("gpt2").model.run(IDS), []
    single_ablations(run, ["kl"], progress=lambda *step: said.append(step))
    assert said[-1][0] == said[-1][1]

    class Enough(Exception):
        pass

    def stop(*_):
        raise Enough

    with pytest.raises(Enough):
        single_ablations(run, ["kl"], progress=stop)
