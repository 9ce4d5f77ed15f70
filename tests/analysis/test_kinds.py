"""Kinds of heads: the hand-built ones by their closed forms, random ones by loops over their patterns, real ones by name."""

import numpy as np
import pytest
import torch

from attnwidget import AttnWidgetError, Head, HeadScores, detect_heads, load_model
from attnwidget.analysis import patterns
from attnwidget.analysis.kinds import KINDS, NO_REPEATS, attention_on
from attnwidget.analysis.repeats import draw_repeats
from tests.models import IDS, LAYERS, N_CTX, induction_model, induction_prompt, subject

# -- what a kind looks at, in words of Python ---------------------------------------------------------------------------

LOOKS_AT = {
    "induction": lambda ids, q: [p + 1 for p in range(q) if ids[p] == ids[q] and p + 1 < q],
    "previous_token": lambda ids, q: [q - 1] if q else [],
    "duplicate_token": lambda ids, q: [p for p in range(q) if ids[p] == ids[q]],
    "current_token": lambda ids, q: [q],
    "first_token": lambda ids, q: [0] if q else [],
}


def by_hand(name, ids, reported, causal=True):
    """Each query's attention on what the kind looks at, [query, head], from what the model reports, and each query's chance."""
    heads, shares, chances = reported.tolist(), [], []
    for q in range(len(ids)):
        visible, keys = (q + 1 if causal else len(ids)), LOOKS_AT[name](ids, q)
        if keys and visible > 1:
            shares.append([sum(head[q][k] for k in keys) for head in heads])
            chances.append(len(keys) / visible)
    return np.array(shares), np.array(chances)


@pytest.mark.parametrize("name", ["llama", "bert", "gptoss"])
def test_a_prompt_of_ones_own_is_judged_as_written_out(name):
    s = subject(name)
    causal = s.spec.causal
    found = detect_heads(s.model.run(IDS))
    assert list(found) == list(LOOKS_AT) == list(KINDS)
    for layer in range(LAYERS):
        reported = s.patterns(layer)
        for kind in found:
            shares, chances = by_hand(kind, IDS, reported, causal)
            n = len(shares)
            t = {2: 12.7062047, 8: 2.3646243, 9: 2.3060041}[n]
            assert found[kind].chance == pytest.approx(chances.mean())
            assert found[kind].values[layer] == pytest.approx(shares.mean(0), abs=2e-5)
            low = shares.mean(0) - t * shares.std(0, ddof=1) / n**0.5
            assert found[kind].low[layer] == pytest.approx(low.clip(0), abs=2e-4)


@pytest.mark.parametrize("name", ["llama", "bert"])
def test_a_model_is_judged_on_prompts_made_for_it(name):
    s = subject(name)
    found = detect_heads(s.model, length=6, sequences=3, seed=4)
    prompts = draw_repeats(s.model, 6, 3, 4).prompts
    for layer in range(LAYERS):
        reported = {ids: s.patterns(layer, ids) for ids in prompts}
        for kind in found:
            means = [by_hand(kind, ids, reported[ids], s.spec.causal)[0].mean(0) for ids in prompts]
            assert found[kind].values[layer] == pytest.approx(np.mean(means, 0), abs=2e-5)
            half = 4.3026527 * np.std(means, 0, ddof=1) / 3**0.5
            assert found[kind].high[layer] == pytest.approx((np.mean(means, 0) + half).clip(max=1), abs=1e-4)


# -- the hand-built heads -------------------------------------------------------------------------------------------------

T = 8
E = np.exp(8)
KNOWN = {
    ("previous_token", Head(0, 0)): 1.0,
    ("duplicate_token", Head(0, 1)): np.mean([E / (2 * E + i - 1) for i in range(T + 1, 2 * T + 1)]),
    ("induction", Head(1, 0)): np.mean([E / (E + i) for i in range(T + 1, 2 * T + 1)]),
    ("induction", Head(1, 1)): np.mean([E / (E + i) for i in range(T + 1, 2 * T + 1)]),
    ("first_token", Head(1, 2)): 1.0,
    ("previous_token", Head(0, 2)): np.mean([1 / (i + 1) for i in range(1, 2 * T + 1)]),
}


@pytest.fixture(scope="module")
def hand_built():
    return load_model(induction_model())


@pytest.mark.parametrize("own", [True, False])
def test_the_hand_built_heads_have_their_closed_forms(hand_built, own):
    """On any BOS + r + r they are the same, so the intervals over prompts have no width."""
    found = detect_heads(hand_built.run(induction_prompt())) if own else detect_heads(hand_built, length=T, prefix=[0])
    for (kind, head), value in KNOWN.items():
        assert found[kind].values[head] == pytest.approx(value, abs=1e-6), (kind, head)
    assert [KNOWN[key] for key in list(KNOWN)[:3]] == pytest.approx([1, 0.499038, 0.995825], abs=1e-6)
    assert found["previous_token"].chance == pytest.approx(0.152472, abs=1e-6)
    assert found.heads("induction") == [Head(1, 0), Head(1, 1)] and found.heads("duplicate_token") == [Head(0, 1)]
    assert found.heads("previous_token") == [Head(0, 0)] and found.heads("first_token") == [Head(1, 2)]
    if not own:
        assert found["induction"].low == pytest.approx(found["induction"].high, abs=1e-6)


def test_a_dead_head_is_at_chance_whatever_the_threshold(hand_built):
    found = detect_heads(hand_built, length=T, prefix=[0], threshold=0.0)
    for kind in found:
        assert found[kind].excess[0, 2] == pytest.approx(0, abs=1e-6)
        assert Head(0, 2) not in found.heads(kind)


def test_an_ablated_pattern_moves_the_score(hand_built):
    run = hand_built.run(induction_prompt())
    uniform, idle = (detect_heads(run.ablate("L1H0", mode)) for mode in ("uniform", "first_token"))
    assert uniform["induction"].values[1, 0] == pytest.approx(uniform["induction"].chance, abs=1e-6)
    assert (idle["induction"].values[1, 0], idle["first_token"].values[1, 0]) == (0, 1)
    assert uniform.heads("induction") == [Head(1, 1)] and uniform.conditional == (Head(1, 0),)


@pytest.mark.parametrize("kind", KINDS)
def test_no_score_is_a_constant(kind, hand_built):
    """Shuffle the keys, and what looked at the right one no longer does."""
    run = hand_built.run(induction_prompt())
    targets = KINDS[kind].targets(torch.tensor(run.ids))
    shuffled = targets[:, torch.randperm(len(run.ids), generator=torch.Generator().manual_seed(1))]
    found = attention_on(run, {"as it is": targets, "shuffled": shuffled})
    head = {"duplicate_token": (0, 1), "previous_token": (0, 0), "first_token": (1, 2)}.get(kind, (1, 0))
    before, after = (found[name].mean(0)[head] for name in ("as it is", "shuffled"))
    assert abs(before - after) > 0.02 and abs(before - 1 / len(run.ids)) > 0.02


def test_patterns_read_in_parts_give_the_same(model, monkeypatch):
    whole = detect_heads(model, sequences=2)
    monkeypatch.setattr(patterns, "CELLS", 1)
    for kind in whole:
        assert np.array_equal(detect_heads(model, kind, sequences=2)[kind].values, whole[kind].values)


# -- what is said of it ---------------------------------------------------------------------------------------------------


def test_a_random_model_has_none_and_says_so():
    found = detect_heads(subject("gptneox").model, ["induction", "duplicate_token"])
    assert found.heads("induction") == [] and repr(found).count("none found") == 2
    frame = found.to_frame()
    assert frame["head"].tolist() == ["none found", "none found"] and frame["score"].isna().all()
    assert "none found" in found._repr_html_() and ">nan<" not in found._repr_html_()


def test_a_prompt_without_repeats_has_no_induction_to_judge(model):
    found = detect_heads(model.run([1, 2, 3, 4, 5]))
    assert repr(found).count(NO_REPEATS) == 2 and np.isnan(found["induction"].values).all()
    assert not np.isnan(found["previous_token"].values).any()
    assert found.to_frame().query("kind == 'induction'")["head"].tolist() == [NO_REPEATS]
    assert NO_REPEATS in found.scores("induction").describe() and found.scores("induction").top() == []
    for rule in ("fixed", "mean_sd", "variance"):
        assert found.heads("induction", rule) == []


def test_what_was_repeated_at_once_is_a_duplicate_and_no_induction(model):
    found = detect_heads(model.run([1, 2, 3, 3, 4]))
    assert not np.isnan(found["duplicate_token"].values).any() and np.isnan(found["duplicate_token"].low).all()
    assert "followed by another" in found["induction"].reason


def test_one_token_is_no_evidence(model):
    found = detect_heads(model.run([4]))
    assert all(np.isnan(found[kind].values).all() and not found.heads(kind) for kind in found)


def test_one_prompt_has_an_interval_over_its_queries(model):
    one = detect_heads(model, length=5, sequences=1)
    assert "5 repeat" in one.samples and "1 prompt," in one.setting
    assert one["induction"].values == pytest.approx(detect_heads(model.run(draw_repeats(model, 5, 1).prompts[0]))["induction"].values)


def test_what_intervals_are_over_is_said_as_it_is(model, hand_built):
    over = {
        tuple(induction_prompt()): "95 % t interval over 16 queries, of which 8 repeat; those of one prompt are not independent",
        (0, 5, 6, 7, 5): "over 4 queries, of which 1 repeats, none for induction and duplicate token, of which there is one; those",
    }
    for ids, said in over.items():
        assert said in detect_heads(hand_built.run(list(ids))).describe()
    one = detect_heads(hand_built.run([0, 5, 6, 7, 5]), "induction").describe()
    assert "1 query, so no interval" in one and "1 queries" not in one and "independent" not in one
    prompts = detect_heads(hand_built, length=T, prefix=[0]).describe()
    assert "95 % t interval over 8 prompts; found" in prompts


def test_thresholds_and_the_heads_over_them(hand_built):
    found = detect_heads(hand_built, length=T, prefix=[0])
    values = found["previous_token"].values
    assert found.threshold("previous_token", "mean_sd", k=1) == pytest.approx(values.mean() + values.std())
    assert found.threshold("previous_token") == 0.4
    assert found.heads("previous_token", "mean_sd", k=1) == found.heads("previous_token", "variance") == [Head(0, 0)]
    assert found.heads("previous_token", "mean_sd", k=5) == []


def test_scores_and_tables_agree(hand_built):
    found = detect_heads(hand_built, length=T, prefix=[0])
    scores = found.scores("induction")
    assert isinstance(scores, HeadScores) and (scores.method, scores.kind, scores.exact) == ("induction", "kind", True)
    every = scores.to_frame().set_index("head")
    some = found.to_frame().query("kind == 'induction'").set_index("head")
    assert list(some.index) == ["L1H0", "L1H1"]
    assert some.loc["L1H0", "score"] == every.loc["L1H0", "induction"] == scores.values[1, 0]
    for column in ("low", "high", "excess"):
        assert some.loc["L1H0", column] == every.loc["L1H0", column]
    assert "8 prompts, seed 0" in scores.describe() and "chance" in scores.describe()


def test_against_labels(hand_built):
    found = detect_heads(hand_built, length=T, prefix=[0])
    agreed = found.against(["L1H0", "L0H0"], "induction")
    assert (agreed.precision, agreed.recall, agreed.f1) == (0.5, 0.5, 0.5)
    assert agreed.missed == (Head(0, 0),) and agreed.extra == (Head(1, 1),)
    assert found.against([], "induction").recall is None
    assert found.against("L0H0", "previous_token", "variance").f1 == 1


def test_kinds_can_be_chosen_and_progress_is_told(model):
    seen = []
    found = detect_heads(model, "induction", length=4, sequences=2, progress=lambda *step: seen.append(step))
    assert list(found) == ["induction"]
    assert [step[:2] for step in seen] == [(i, 2 * model.n_layers) for i in range(2 * model.n_layers)]


# -- the prompts ----------------------------------------------------------------------------------------------------------


def test_prompts_are_bos_and_the_same_random_tokens_twice():
    model = subject("llama").model
    drawn = draw_repeats(model)
    special = set(model.vocabulary.tokenizer.all_special_ids)
    assert len(drawn.prompts) == 8 and drawn.setting == "BOS + 25 random tokens twice, 8 prompts, seed 0"
    for ids in drawn.prompts:
        r = ids[1:26]
        assert ids == (model.vocabulary.bos_id, *r, *r) and len(set(r)) == 25 and not special & set(r)
    assert len(set(drawn.prompts)) == 8
    assert draw_repeats(model).prompts == drawn.prompts != draw_repeats(model, seed=1).prompts
    assert draw_repeats(model, sequences=3).prompts == drawn.prompts[:3]


def test_the_copies_are_where_they_are_said_to_be():
    drawn = draw_repeats(subject("llama").model, 6)
    first, second = drawn.copied
    ids = drawn.prompts[0]
    assert [ids[at + 1] for at in first] == [ids[at + 1] for at in second] == list(ids[2:7])


def test_an_encoder_gets_what_its_tokenizer_puts_around():
    drawn = draw_repeats(subject("bert").model, 5)
    for ids in drawn.prompts:
        assert (ids[0], ids[-1]) == (3, 4) and ids[1:6] == ids[6:11] and len(ids) == 12
    assert drawn.setting.startswith("[CLS] + 5 random tokens twice + [SEP]")


def test_without_a_tokenizer_ids_are_drawn_from_the_whole_vocabulary(hand_built):
    drawn = draw_repeats(hand_built, 15, sequences=20)
    assert {i for ids in drawn.prompts for i in ids} == set(range(16)) and all(len(ids) == 30 for ids in drawn.prompts)


def test_the_default_length_is_what_fits(model, hand_built):
    assert draw_repeats(model).length == 9  # all ordinary words there are
    assert draw_repeats(hand_built).length == 16 and draw_repeats(hand_built, prefix=[0]).length == 15  # a context of 32
    assert draw_repeats(subject("bloom").model, 60).length == 60  # no limit
    with pytest.raises(AttnWidgetError, match="No length 32: .* 2 to 31 tokens"):
        draw_repeats(subject("llama").model, N_CTX // 2)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"length": 1}, "length must be a whole number of 2 or more, not 1"),
        ({"sequences": 0}, "sequences must be a whole number of 1 or more"),
        ({"seed": 0.5}, "seed must be a whole number"),
        ({"threshold": 40}, "from 0 to 1, not 40"),
        ({"kinds": ["induction", "copying"]}, "'copying'.*induction, previous_token"),
        ({"kinds": []}, "No kinds were given"),
    ],
)
def test_what_is_wrong_is_said(model, wrong, said):
    with pytest.raises(AttnWidgetError, match=said):
        detect_heads(model, **wrong)


def test_what_does_not_go_together_is_said(model):
    run = model.run([1, 2, 1])
    with pytest.raises(AttnWidgetError, match="its own tokens: leave length="):
        detect_heads(run, length=5)
    with pytest.raises(AttnWidgetError, match="a Model or a Run, not str"):
        detect_heads("the cat")
    with pytest.raises(AttnWidgetError, match="'duplicate_token' was looked for: there are induction"):
        detect_heads(run, "induction").heads("duplicate_token")


# -- real weights ---------------------------------------------------------------------------------------------------------


def test_a_real_model_has_its_known_heads():
    model = load_model("smollm2-135m")
    found = detect_heads(model, sequences=4)
    best = {kind: [str(head) for head in found.scores(kind).top(4)] for kind in found}
    assert best["induction"][0] == "L18H6" and set(best["induction"]) == {"L18H6", "L17H5", "L17H4", "L17H3"}
    assert set(best["previous_token"]) == {"L16H0", "L11H1", "L1H2", "L2H1"}
    assert set(best["duplicate_token"][:3]) == {"L8H0", "L14H3", "L5H6"}
    for kind, n in (("induction", 4), ("previous_token", 4), ("duplicate_token", 3)):
        assert {*best[kind][:n]} <= {str(head) for rule in ("fixed", "variance") for head in found.heads(kind, rule)}
    assert found.against(["18.6", "17.5", "17.4", "17.3"], "induction", "variance").recall == 1
