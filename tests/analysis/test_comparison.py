"""Comparisons of two prompts, number by number, against loops over what untouched twins report."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from attnwidget import AttnWidgetError, ModelError, load_model, score
from attnwidget.analysis import COMPARED, HeadScores, compare
from attnwidget.analysis.rowdistance import TwoPatterns
from attnwidget.errors import PositionError, PromptError
from tests.models import D_HEAD, HEADS, IDS, LAYERS, OTHER_IDS, VOCAB, WINDOW, fresh, induction_model, name_of, subject

N = len(IDS)
LONGER = [*IDS[:3], 21, *IDS[3:6], 88, *IDS[7:]]  # one put in, one replaced
PAIRS = [(0, 0), (1, 1), (2, 2), (3, 4), (4, 5), (5, 6), (7, 8), (8, 9)]
EVERY = [(i, i) for i in range(N)]
CORRELATIONAL = [name for name, number in COMPARED.items() if not number.causal]


# -- the oracle: one head, one pair of prompts, loops ---------------------------------------------------------------


def matrix(s, layer, head):
    """`W_O` [d_head, d_model] of one head, read off the twin."""
    module = s.projection(layer)
    whole = module.weight.T if isinstance(module, nn.Linear) else module.weight  # GPT-2's Conv1D has [in, out]
    return whole[head * D_HEAD : (head + 1) * D_HEAD].double()


def lengths(s, layer, head, ids):
    """`‖v_k W_O‖` by key."""
    kept = {}

    def keep(z, v):
        kept["v"] = v.clone()
        return z

    s.edited({layer: keep}, ids)
    v = kept["v"][:, head // (HEADS // s.spec.kv_heads)].double()
    return [torch.linalg.vector_norm(v[k] @ matrix(s, layer, head)).item() for k in range(len(ids))]


def xlogx(p, m):
    return 0.0 if p == 0 else p * math.log(p / m)


def loops(s, layer, head, ids, other_ids, pairs, *, renormalise=False, visible=None):
    """Every number of `COMPARED` that is not causal. `visible(query, key)` says whether a cell can be non-zero."""
    if visible is None:
        visible = (lambda q, k: k <= q) if s.spec.causal else (lambda q, k: True)
    a, b = s.patterns(layer, ids)[head].double().tolist(), s.patterns(layer, other_ids)[head].double().tolist()
    z, w = s.z(layer, ids)[:, head].double(), s.z(layer, other_ids)[:, head].double()
    la, lb = lengths(s, layer, head, ids), lengths(s, layer, head, other_ids)
    deltas, js, tv, xs, ys, without, maps, shares = [], [], [], [], [], [], [], []
    for q, q2 in pairs:
        keys = [(k, k2) for k, k2 in pairs if visible(q, k) or visible(q2, k2)]
        if len(keys) < 2:
            continue
        row, row2 = [a[q][k] for k, _ in keys], [b[q2][k2] for _, k2 in keys]
        p, r = [x / sum(row) for x in row], [x / sum(row2) for x in row2]
        shares.append((sum(row), sum(row2)))
        if renormalise:
            row, row2 = p, r
        js.append((sum(xlogx(x, (x + y) / 2) + xlogx(y, (x + y) / 2) for x, y in zip(p, r, strict=True)) / 2, q))
        tv.append((sum(abs(x - y) for x, y in zip(row, row2, strict=True)) / 2, q))
        for (k, k2), x, y in zip(keys, row, row2, strict=True):
            deltas.append((abs(x - y), (q, k)))
            xs.append(x)
            ys.append(y)
            maps.append((x * la[k], y * lb[k2]))
            if 0 not in (q, q2, k, k2):
                without.append((x, y))
    m = np.array(maps)
    return {
        "max_difference": max(deltas)[0],
        "deltas": {at: d for d, at in deltas},
        "mean_difference": np.mean([d for d, _ in deltas]),
        "js": np.mean([d for d, _ in js]),
        "js_worst": max(js)[0],
        "js_at": {q: d for d, q in js},
        "tv": np.mean([d for d, _ in tv]),
        "tv_worst": max(tv)[0],
        "tv_at": {q: d for d, q in tv},
        "correlation": np.corrcoef(xs, ys)[0, 1],
        "correlation_without_first": np.corrcoef(*zip(*without, strict=True))[0, 1],
        "map_cosine": m[:, 0] @ m[:, 1] / np.sqrt((m[:, 0] @ m[:, 0]) * (m[:, 1] @ m[:, 1])),
        "z_cosine": np.mean([torch.cosine_similarity(z[i], w[j], dim=0).item() for i, j in pairs]),
        "output_correlation": np.corrcoef(
            np.concatenate([z[i].numpy() for i, _ in pairs]), np.concatenate([w[j].numpy() for _, j in pairs])
        )[0, 1],
        "aligned_share": np.mean([x for x, _ in shares]),
        "other_aligned_share": np.mean([y for _, y in shares]),
    }


def check(s, found, ids, other_ids, pairs, **how):
    for layer in range(LAYERS):
        at = how.get("visible")
        options = how | ({} if at is None else {"visible": at[layer]})
        for head in range(HEADS):
            expected = loops(s, layer, head, ids, other_ids, pairs, **options)
            for name in CORRELATIONAL:
                assert found.values[name][layer, head] == pytest.approx(expected[name], abs=2e-5), (layer, head, name)
            # What is there is the largest; of two that are as large (both keys of a row of two), rounding chooses.
            at = {name: int(values[layer, head]) for name, values in found.places.items()}
            assert expected["deltas"][at["max_query"], at["max_key"]] == pytest.approx(expected["max_difference"], abs=2e-5)
            assert expected["js_at"][at["js_query"]] == pytest.approx(expected["js_worst"], abs=2e-5)
            assert expected["tv_at"][at["tv_query"]] == pytest.approx(expected["tv_worst"], abs=2e-5)


PLAIN = [(name, "plain") for name in ("gpt2", "llama", "bert", "distilbert", "roberta", "bert-base", "gptneox")]


@pytest.mark.parametrize("pair", [*PLAIN, ("gpt2", "bridge"), ("llama", "bridge"), ("bert", "bridge")], ids=name_of)
def test_every_number_is_its_loop_written_out(pair):
    s = subject(*pair)
    found = compare(s.model.run(IDS), s.model.run(OTHER_IDS), effects=False)
    check(s, found, IDS, OTHER_IDS, EVERY)
    assert found.values["aligned_share"] == pytest.approx(1)
    for layer in range(LAYERS):
        z, w = s.z(layer).double(), s.z(layer, OTHER_IDS).double()
        expected = torch.cosine_similarity(z, w, dim=-1).T.numpy()
        assert found.cosines[layer] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("renormalise", [False, True])
@pytest.mark.parametrize("name", ["gpt2", "llama", "bert"])
def test_prompts_of_unequal_length_by_their_tokens(name, renormalise):
    s = subject(name)
    run, other = s.model.run(IDS), s.model.run(LONGER)
    found = compare(run, other, alignment="tokens", renormalise=renormalise)
    assert list(found.pairs) == PAIRS
    check(s, found, IDS, LONGER, PAIRS, renormalise=renormalise)
    assert found.values["aligned_share"].max() < 1 and np.isnan(found.values["noising"]).all()
    assert "position by position" in found.undefined["noising"] and "position by position" in found.scores("denoising").describe()
    said = found.describe()
    assert ("rows renormalised" in said) == renormalise and ("rows not renormalised" in said) != renormalise
    assert "1 left out; 2 put in" in said


def test_a_sliding_window_is_seen():
    s = subject("gptneo")
    windows = [lambda q, k: k <= q, lambda q, k: q - WINDOW < k <= q, lambda q, k: k <= q]
    check(s, compare(s.model.run(IDS), s.model.run(OTHER_IDS), effects=False), IDS, OTHER_IDS, EVERY, visible=windows)


def test_special_tokens_can_be_discounted():
    s = subject("bert")
    ids, other = [3, *IDS[1:-1], 4], [3, *OTHER_IDS[1:-1], 4]
    found = compare(s.model.run(ids), s.model.run(other), special="discount")
    assert list(found.pairs) == EVERY[1:-1] and "special tokens left out as queries and keys, 7 pairs left" in found.describe()
    check(s, found, ids, other, EVERY[1:-1])
    # They are discounted in what is said of patterns; the effects are those of whole outputs.
    assert np.isfinite(found.values["noising"]).all()
    with pytest.raises(AttnWidgetError, match="nothing is left to compare"):
        compare(s.model.run([3, 4]), s.model.run([3, 4]), special="discount")


def test_a_models_own_sinks_are_said():
    s = subject("gptoss")
    found = compare(s.model.run(IDS), s.model.run(OTHER_IDS), effects=False)
    assert "own sinks" in found.describe() and found.values["aligned_share"].min() < 0.9
    windowed = lambda q, k: q - WINDOW < k <= q  # noqa: E731
    causal = lambda q, k: k <= q  # noqa: E731
    check(s, found, IDS, OTHER_IDS, EVERY, visible=[windowed, causal, windowed])


# -- cause ------------------------------------------------------------------------------------------------------------


def patched(s, heads, ids, source):
    """Logits of the twin on `ids`, z of these heads taken from its run on `source`."""

    def edit(layer):
        taken = s.z(layer, source)

        def put(z, v):
            for at, head in heads:
                if at == layer:
                    z[:, head] = taken[:, head]
            return z

        return put

    return s.edited({layer: edit(layer) for layer in {layer for layer, _ in heads}}, ids)


def row_of(s, logits):
    return logits[0 if s.spec.answer == "class" else -1].double()


@pytest.mark.parametrize("name", ["gpt2", "llama", "bert", "distilbert", "bert-classifier", "distilbert-classifier"])
def test_noising_and_denoising_are_hooks_by_hand(name):
    s = subject(name)
    run, other = s.model.run(IDS), s.model.run(OTHER_IDS)
    target, against = (1, 2) if s.spec.answer == "class" else (12, 77)
    found = compare(run, other, target=target, against=against)
    divergence = compare(run, other, metric="kl")
    clean, corrupt = (row_of(s, s.clean(ids)) for ids in (IDS, OTHER_IDS))

    def diff(row):
        return (row[target] - row[against]).item()

    def kl(p, q):
        p, q = p.log_softmax(-1), q.log_softmax(-1)
        return (p.exp() * (p - q)).sum().item()

    for layer in range(LAYERS):
        for head in range(HEADS):
            noised = row_of(s, patched(s, [(layer, head)], IDS, OTHER_IDS))
            denoised = row_of(s, patched(s, [(layer, head)], OTHER_IDS, IDS))
            assert found.values["noising"][layer, head] == pytest.approx(diff(clean) - diff(noised), abs=2e-5)
            assert found.values["denoising"][layer, head] == pytest.approx(diff(denoised) - diff(corrupt), abs=2e-5)
            assert divergence.values["noising"][layer, head] == pytest.approx(kl(clean, noised), abs=1e-5)
            assert divergence.values["denoising"][layer, head] == pytest.approx(kl(corrupt, denoised), abs=1e-5)
    assert np.abs(found.values["noising"]).max() > 0.05
    # The other way that has the noising half of it.
    resampled = score(run, metric="logit_diff", mode="resample", reference=other, target=target, against=against)
    assert found.values["noising"] == pytest.approx(resampled.values, abs=1e-6)
    said = found.answers
    assert (said.logit_diff, said.other_logit_diff) == pytest.approx((diff(clean), diff(corrupt)), abs=1e-5)
    assert said.difference == pytest.approx(diff(clean) - diff(corrupt), abs=2e-5)
    assert (said.kl, said.kl_back) == pytest.approx((kl(clean, corrupt), kl(corrupt, clean)), abs=1e-6)
    p, q = clean.softmax(-1), corrupt.softmax(-1)
    m = (p + q) / 2
    assert said.js == pytest.approx(((p * (p / m).log()).sum() + (q * (q / m).log()).sum()).item() / 2, abs=1e-6)
    assert said.rows[0].run.probability == pytest.approx(p[said.rows[0].id].item(), abs=1e-6)
    assert {row.id for row in said.rows} >= {int(p.argmax()), int(q.argmax())}


def test_the_hand_built_circuit_is_found_both_ways():
    """BOS + r + r against BOS + s + r, s disjoint from r: the previous-token head, the induction head and the negative one carry the whole
    difference; closed forms with p, u of 2T = 14 other keys."""
    model = load_model(induction_model())
    r, s = list(range(1, 8)), list(range(8, 15))
    found = compare(model.run([0, *r, *r]), model.run([0, *s, *r]), target=r[0], against=r[1])
    u = 1 / (math.exp(8) + 14)
    gain = 10 * (math.exp(8) - 1) * u
    expected = np.zeros((2, 3))
    expected[0, 0], expected[1, 0], expected[1, 1] = 0.75 * gain, gain, -gain / 4
    assert found.values["noising"] == pytest.approx(expected, abs=1e-4)
    assert found.values["denoising"] == pytest.approx(expected, abs=1e-4)
    assert found.answers.difference == pytest.approx(0.75 * gain, abs=1e-4)
    # Neither the head that looks at the previous token nor the one at BOS looks anywhere else in the other prompt. One of them matters.
    assert found.values["js"][0, 0] == pytest.approx(0, abs=1e-6) and found.values["js"][1, 2] == pytest.approx(0, abs=1e-6)
    assert found.values["js"][1, 0] > 0.01


def test_a_text_without_a_head_is_judged_by_its_embedding():
    s = subject("bert-base")
    found = compare(s.model.run(IDS), s.model.run(OTHER_IDS))
    clean, noised = (x.double().mean(0) for x in (s.clean(), patched(s, [(1, 2)], IDS, OTHER_IDS)))
    expected = 1 - torch.cosine_similarity(clean, noised, dim=0).item()
    assert found.values["noising"][1, 2] == pytest.approx(expected, abs=1e-6) and expected > 1e-3
    corrupt = s.clean(OTHER_IDS).double().mean(0)
    assert found.answers.embedding_l2 == pytest.approx(torch.dist(clean, corrupt).item(), abs=1e-6)
    assert found.answers.rows == () and "embeddings" in repr(found.answers)
    assert found.measure.metric.name == "embedding_cosine"


def test_an_ablated_run_is_compared_as_it_acts():
    """Run less ablated run: what an ablation does to the patterns above it; exchange happens beneath what is ablated."""
    s = subject("llama")
    run = s.model.run(IDS)
    ablated = run.ablate("L0H1")
    found = compare(run, ablated, target=12, against=77)
    assert found.values["max_difference"][0] == pytest.approx(0, abs=0) and found.values["max_difference"][1:].min() > 0
    assert found.values["z_cosine"][0, [0, 2, 3]].tolist() == [1, 1, 1] and np.isnan(found.values["z_cosine"][0, 1])
    assert np.isnan(found.values["map_cosine"][0, 1]) and np.isfinite(found.values["map_cosine"]).sum() == LAYERS * HEADS - 1
    # Noising L0H1 with its z of nought is zeroing it, and denoising gives it back.
    drop = run.logit_diff(12, 77) - ablated.logit_diff(12, 77)
    assert (found.values["noising"][0, 1], found.values["denoising"][0, 1]) == pytest.approx((drop, drop), abs=1e-5) and abs(drop) > 1e-2


# -- symmetry and emptiness -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "other_ids", "alignment"), [("llama", OTHER_IDS, None), ("bert", LONGER, "tokens")])
def test_swapping_the_prompts(name, other_ids, alignment):
    s = subject(name)
    run, other = s.model.run(IDS), s.model.run(other_ids)
    tokens = {"target": 12, "against": 77}
    there, back = (compare(*pair, alignment=alignment, **tokens) for pair in ((run, other), (other, run)))
    assert there.pairs == tuple((a, b) for b, a in back.pairs)
    for number in ("js", "js_worst", "tv", "tv_worst", "max_difference", "mean_difference", "z_cosine", "map_cosine"):
        assert there.values[number] == pytest.approx(back.values[number], abs=1e-12), number
    for number in ("correlation", "correlation_without_first", "output_correlation"):
        assert there.values[number] == pytest.approx(back.values[number], abs=1e-9), number
    assert np.array_equal(there.values["aligned_share"], back.values["other_aligned_share"])
    delta, other_delta = (one.pattern_difference("L1H2").values for one in (there, back))
    assert np.array_equal(delta, -other_delta) and np.abs(delta).max() > 0.01
    assert there.answers.kl == back.answers.kl_back and there.answers.js == pytest.approx(back.answers.js, abs=1e-15)
    assert there.answers.difference == -back.answers.difference
    if alignment is None:
        # What denoising gives back is what noising takes, seen from the other side.
        assert np.array_equal(there.values["denoising"], -back.values["noising"])
        assert np.array_equal(there.values["noising"], -back.values["denoising"])
        kl, kl_back = (compare(*pair, metric="kl").values for pair in ((run, other), (other, run)))
        assert np.array_equal(kl["denoising"], kl_back["noising"])


@pytest.mark.parametrize("same_first", [False, True])
def test_swapping_the_prompts_with_the_tokens_of_default(same_first):
    s = subject("llama")
    run = s.model.run(IDS)
    first, second = run.logits_at().topk(2).indices.tolist()
    changed = ([*IDS[:at], token, *IDS[at + 1 :]] for at in range(N) for token in range(10, VOCAB, 7))
    for other in map(s.model.run, changed):
        best = other.logits_at().topk(2).indices.tolist()
        if (best[0] == first and best[1] != second) if same_first else best[0] != first:
            break
    there, back = (compare(*pair) for pair in ((run, other), (other, run)))
    assert there.answers.first_choice_differs != same_first
    sign = -1 if same_first else 1  # of the other two tokens the difference is turned round as well
    assert np.array_equal(there.values["denoising"], sign * back.values["noising"]) and np.abs(there.values["denoising"]).max() > 0.01
    assert np.array_equal(there.values["noising"], sign * back.values["denoising"])


@pytest.mark.parametrize("name", ["gpt2", "bert"])
def test_identical_prompts_differ_in_nothing(name):
    s = subject(name)
    found = compare(s.model.run(IDS), s.model.run(IDS))
    for number in ("max_difference", "mean_difference", "js", "js_worst", "tv", "tv_worst"):
        assert (found.values[number] == 0).all(), number
    for number in ("correlation", "correlation_without_first", "z_cosine", "map_cosine", "output_correlation"):
        assert found.values[number] == pytest.approx(1, abs=1e-12), number
    assert not found.values["noising"].any() and not found.values["denoising"].any()
    run = s.model.run(IDS)
    resampled = score(run, mode="resample", reference=s.model.run(IDS))
    assert not resampled.values.any() and (resampled.extra["first_choice"] == int(run.logits_at().argmax())).all()
    assert (found.answers.kl, found.answers.js, found.answers.difference) == (0, 0, 0) and not found.answers.first_choice_differs
    assert not found.pattern_difference("L0H0").values.any()


def test_heads_whose_output_is_the_same_in_both_prompts_carry_nothing():
    """What comes after the answer's position cannot reach it; below the first layer only the last token differs."""
    s = subject("llama")
    run, other = s.model.run(IDS), s.model.run([*IDS[:-1], 99])
    other = other.ablate("L2H1")
    run = run.ablate("L2H1")
    found = compare(run, other, metric="kl")
    assert found.values["noising"][2, 1] == 0 and np.count_nonzero(found.values["noising"]) == LAYERS * HEADS - 1


def test_what_is_constant_has_no_correlation():
    """A uniform pattern of an encoder is one number in every cell; heads that are zeroed say nothing to be correlated."""
    s = subject("bert")
    pair = [s.model.run(ids).ablate("L1H2", "uniform") for ids in (IDS, OTHER_IDS)]
    found = compare(*pair, effects=False)
    assert np.isnan(found.values["correlation"][1, 2]) and found.values["js"][1, 2] == 0
    silent = compare(*(s.model.run(ids).ablate("L1H2") for ids in (IDS, OTHER_IDS)), effects=False)
    assert np.isnan(silent.values["output_correlation"][1, 2]) and np.isnan(silent.values["z_cosine"][1, 2])
    assert silent.scores("z_cosine").values.shape == (LAYERS, HEADS) and silent.to_frame()["z_cosine"].isna().sum() == 1


def test_one_token_is_undefined_and_not_zero():
    s = subject("gpt2")
    found = compare(s.model.run([5]), s.model.run([9]))
    for number in ("max_difference", "js", "tv", "correlation", "map_cosine", "aligned_share"):
        assert np.isnan(found.values[number]).all(), number
    assert np.isnan(found.places["max_query"]).all() and found.to_frame()["max_key"].isna().all()
    assert np.isfinite(found.values["z_cosine"]).all() and np.isfinite(found.values["noising"]).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64], ids=str)
def test_other_precisions(dtype):
    """The numbers are float64 whatever the model's; those of a model in half precision are near those of the same in float32."""
    s = subject("llama")
    model = load_model(copy.deepcopy(s.twin).to(dtype), tokenizer=s.tokenizer)
    found = compare(model.run(IDS), model.run(OTHER_IDS), target=12, against=77)
    usual = compare(s.model.run(IDS), s.model.run(OTHER_IDS), target=12, against=77)
    for name in COMPARED:
        assert found.values[name].dtype == np.float64 and np.isfinite(found.values[name]).all()
        off = 0.15 if dtype == torch.bfloat16 else 1e-4
        assert found.values[name] == pytest.approx(usual.values[name], abs=off), name
    assert "sinks" not in found.describe() and str(dtype).removeprefix("torch.") in found.describe()


# -- as it is handed on -----------------------------------------------------------------------------------------------


def test_scores_frames_and_words():
    s = subject("gpt2")
    run = s.model.run(IDS)
    calls = []
    found = compare(run, s.model.run(OTHER_IDS), metric="probability", target=12, progress=lambda *said: calls.append(said))
    for name, number in COMPARED.items():
        scores = found.scores(name)
        assert isinstance(scores, HeadScores) and np.array_equal(scores.values, found.values[name], equal_nan=True)
        assert scores.kind == ("effect" if number.causal else "statistic")
        assert ("; causal;" in scores.describe()) == number.causal and ("correlational" in scores.describe()) != number.causal
    noising = found.scores("noising")
    assert (noising.metric, noising.signed, noising.position, noising.target) == ("probability", True, N - 1, s.model.token(12))
    frame = found.to_frame()
    assert list(frame)[:3] == ["head", "layer", "index"] and set(COMPARED) <= set(frame) and len(frame) == LAYERS * HEADS
    assert frame.attrs["causal"] == ["noising", "denoising"] and frame["max_query"].dtype == "Int64"
    assert "Comparison(" in repr(found) and "9 of 9 tokens" in repr(found)
    done = [call[0] for call in calls]
    assert done == sorted(done) and len({call[1] for call in calls}) == 1 and done[-1] == calls[-1][1] and len(calls) > LAYERS + 4
    delta = found.pattern_difference("L2H1")
    assert delta.values == pytest.approx((s.patterns(2) - s.patterns(2, OTHER_IDS))[1].numpy(), abs=1e-6)
    assert delta.to_frame().shape == (N, N) and delta.other_tokens == tuple(s.model.run(OTHER_IDS).tokens)
    with pytest.raises(ValueError, match="read-only"):
        found.values["js"][0, 0] = 1


def test_the_answer_is_read_where_it_is_asked_for():
    s = subject("llama")
    run, other = s.model.run(IDS), s.model.run(LONGER)
    found = compare(run, other, alignment="tokens", position=4)
    assert (found.answers.position, found.answers.other_position) == (4, 5)
    assert found.answers.rows[0].other.logit == pytest.approx(s.clean(LONGER)[5, found.answers.rows[0].id].item(), abs=1e-5)
    with pytest.raises(PositionError, match="Position 6 of the first prompt stands for none"):
        compare(run, other, alignment="tokens", position=6)


def test_by_default_the_tokens_are_the_two_first_choices():
    s = subject("llama")
    found = compare(s.model.run(IDS), s.model.run(OTHER_IDS), effects=False)
    first, second = (int(s.clean(ids)[-1].argmax()) for ids in (IDS, OTHER_IDS))
    assert first != second and found.answers.first_choice_differs
    assert (found.answers.target, found.answers.against) == (s.model.token(first), s.model.token(second))
    assert np.isnan(found.values["noising"]).all() and found.undefined["noising"] == "not asked for"


def test_rows_that_are_undefined_are_in_no_cosine_of_maps():
    first = torch.tensor([[[1.0, 0, 0], [0.5, 0.5, 0], [torch.nan, torch.nan, torch.nan]]]).double()
    two = TwoPatterns(first, first.nan_to_num(0.3), torch.ones(3, 3).tril().bool())
    assert two.cosine(torch.tensor([[1.0, 2, 3]]), torch.tensor([[1.0, 2, 3]])) == pytest.approx([1])


def test_a_comparison_cannot_be_written_to():
    s = subject("gpt2")
    found = compare(s.model.run(IDS), s.model.run(OTHER_IDS), effects=False)
    with pytest.raises(TypeError):
        found.values["js"] = found.values["tv"]
    with pytest.raises(TypeError):
        found.places["max_key"] = 0
    for array in (found.values["js"], found.places["max_key"], found.cosines):
        with pytest.raises(ValueError, match="read-only"):
            array[0, 0] = 1


def test_what_is_undefined_says_why():
    s = subject("bloom")
    found = compare(s.model.run(IDS), s.model.run(OTHER_IDS), effects=False)
    assert np.isnan(found.values["map_cosine"]).all() and "Values cannot be reached" in found.undefined["map_cosine"]
    assert "Values cannot be reached" in found.scores("map_cosine").describe() and np.isfinite(found.values["js"]).all()


def test_what_is_refused():
    s = subject("gpt2")
    run, other = s.model.run(IDS), s.model.run(OTHER_IDS)
    with pytest.raises(PromptError, match="alignment='tokens'"):
        compare(run, s.model.run(LONGER))
    with pytest.raises(ModelError, match="runs of two models"):
        compare(run, subject("llama").model.run(IDS))
    with pytest.raises(AttnWidgetError, match="'keep' or 'discount'"):
        compare(run, other, special="hide")
    with pytest.raises(AttnWidgetError, match="renormalise must be True or False"):
        compare(run, other, renormalise="yes")
    with pytest.raises(AttnWidgetError, match="effects must be True or False, not 'yes'"):
        compare(run, other, effects="yes")
    for wrong in ("a text", None):
        with pytest.raises(AttnWidgetError, match="other must be a run, model.run"):
            compare(run, wrong)
    with pytest.raises(AttnWidgetError, match="run must be a run"):
        compare(IDS, other)
    with pytest.raises(AttnWidgetError, match="metric must be one of"):
        compare(run, other, metric=["kl"])
    with pytest.raises(AttnWidgetError, match="No metric 'loss'"):
        compare(run, other, metric="loss")
    with pytest.raises(AttnWidgetError, match="effects=False asks for none"):
        compare(run, other, metric="kl", effects=False)
    with pytest.raises(AttnWidgetError, match="No number 'jsd'"):
        compare(run, other, effects=False).scores("jsd")
    classifier = subject("bert-classifier").model
    with pytest.raises(AttnWidgetError, match="answers once"):
        compare(classifier.run(IDS), classifier.run(OTHER_IDS), position=1)
    headless = subject("bert-base").model
    with pytest.raises(AttnWidgetError, match="takes no target"):
        compare(headless.run(IDS), headless.run(OTHER_IDS), target=3)
    changing = fresh("gpt2")
    old = changing.model.run(IDS)
    with torch.no_grad():
        next(changing.source.parameters()).mul_(1.1)
    with pytest.raises(ModelError, match="weights have changed"):
        compare(old, changing.model.run(IDS))


def test_what_progress_raises_ends_it_and_leaves_nothing_behind():
    s = subject("gpt2")
    run, other = s.model.run(IDS), s.model.run(OTHER_IDS)

    def stop(done, total, text):
        if "Denoising" in text:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        compare(run, other, progress=stop)
    assert torch.equal(s.model.run(IDS).logits, run.logits)


@pytest.mark.demo
def test_two_sentences_in_the_sentence_encoder():
    """MiniLM on a sentence and its negation: one token put in, so no effects; of equal length, both ways."""
    model = load_model("minilm")
    run, negated = model.run("The film was good."), model.run("The film was not good.")
    with pytest.raises(PromptError, match="7 and 8 tokens"):
        compare(run, negated)
    found = compare(run, negated, alignment="tokens", special="discount")
    assert found.alignment.to_frame().query("kind == 'put in'")["other_token"].tolist() == ["not"]
    assert np.isfinite(found.values["js"]).all() and found.values["js"].max() > 0.01
    assert found.answers.embedding_cosine > 0.05
    other = compare(run, model.run("The film was bad."))
    assert other.values["noising"].shape == (6, 12) and other.values["noising"].max() > 1e-4
    assert np.isfinite(np.stack(list(other.values.values()))).all()
