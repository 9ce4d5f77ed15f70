"""One head from the inside, as a page asks for it: against the library, closed forms of the answers, and what is refused."""

import re

import numpy as np
import pytest
import torch

from attnwidget import AttentionWidget
from attnwidget.analysis.composing import composition
from attnwidget.analysis.ovcircuit import ov
from attnwidget.analysis.qkcircuit import qk_circuit
from attnwidget.analysis.qkscores import qk
from attnwidget.analysis.sources import attention_sources
from attnwidget.widget import inside
from attnwidget.widget.jobs import BACKGROUND
from attnwidget.widget.ops import OPS
from tests.models import subject
from tests.small import small_model

from .front import CLEAN, PROMPT, Front, array

OFF = {**CLEAN, "heads": [[1, 1]]}


class Inside(Front):
    def asked(self, op, **args):
        defaults = {
            "qk": {"ablation": CLEAN},
            "why": {"ablation": CLEAN, "query": 4, "key": 2},
            "ov": {"positions": list(range(len(self.widget.tokens))), "embedding": "tokens", "k": 3},
            "qk_circuit": {"offset": 0, "embedding": "tokens", "k": 3},
            "composition": {},
        }[op]
        return {"run_key": self.widget.run_key, "head": [2, 3], **defaults, **args}

    def of(self, op, **args):
        return self.result(op, **self.asked(op, **args))

    def refused(self, op, **args):
        error = self.error(op, **self.asked(op, **args))
        assert error["kind"] == "refused", error
        return error["message"]


@pytest.fixture
def front(model):
    return Inside(AttentionWidget(model, PROMPT))


@pytest.fixture
def run(model):
    return model.run(PROMPT)


def said(found):
    """(token, id, number) as the library has them."""
    return [(lift["token"], lift["id"], pytest.approx(lift["value"], rel=1e-6)) for lift in found]


# -- scores -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("off", [[], [[1, 1]]])
def test_softmax_of_the_scores_is_the_pattern_and_the_parts_sum_to_them(front, run, off):
    within = run.ablate([tuple(head) for head in off])
    found, buffers = front.of("qk", ablation={**CLEAN, "heads": off})
    scores = array(found["scores"], buffers)
    expected = qk(within, "L2H3")
    pattern = torch.tensor(scores).nan_to_num(-torch.inf).softmax(-1)
    torch.testing.assert_close(pattern, within.pattern("L2H3").float(), atol=2e-6, rtol=0)
    assert np.isnan(scores[~expected.visible]).all() and np.isfinite(scores[expected.visible]).all()
    parts = [array(term["values"], buffers) for term in found["terms"]]
    np.testing.assert_allclose(sum(parts), scores, atol=1e-5)
    assert [term["name"] for term in found["terms"]] == ["content"], "a model without biases has no parts made of them"
    np.testing.assert_allclose(found["q_norm"], np.linalg.norm(expected.q, axis=-1), rtol=1e-6)
    np.testing.assert_allclose(found["k_norm"], np.linalg.norm(expected.k, axis=-1), rtol=1e-6)
    assert (found["head"], found["cap"], found["scale"]) == ([2, 3], None, expected.scale)
    assert ("With L1H1 ablated." in found["note"]) == bool(off) and "Positions are rotary" in found["note"]


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("gpt2", ["content", "query_bias", "key_bias", "both_biases"]),
        ("bert", ["content", "query_bias", "key_bias", "both_biases"]),
        ("gemma2", ["content"]),
    ],
)
def test_parts_of_other_models(name, parts):
    s = subject(name)
    front = Inside(AttentionWidget(s.model, "Alice and Bob went home"))
    found, buffers = front.of("qk", head=[1, 2])
    scores, terms = array(found["scores"], buffers), [array(term["values"], buffers) for term in found["terms"]]
    assert [term["name"] for term in found["terms"]] == parts
    whole = sum(terms)
    if found["cap"] is not None:
        whole = found["cap"] * np.tanh(whole / found["cap"])
    np.testing.assert_allclose(whole, scores, atol=1e-5)
    pattern = torch.tensor(scores).nan_to_num(-torch.inf).softmax(-1)
    torch.testing.assert_close(pattern, s.model.run("Alice and Bob went home").pattern("L1H2").float(), atol=1e-5, rtol=0)


def test_a_long_prompt_comes_without_its_parts_and_says_so(front, monkeypatch):
    monkeypatch.setattr(inside, "MOST_SPLIT", 5)
    found, _ = front.of("qk")
    assert found["terms"] == [] and "prompts of up to 5 tokens, and this one has 6" in found["note"]


def test_where_queries_and_keys_cannot_be_reached_scores_are_refused():
    front = Inside(AttentionWidget(subject("bloom").model, "Alice and Bob"))
    assert "cannot be reached" in front.refused("qk", head=[0, 0])


# -- why --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("off", [[], [[1, 1]]])
def test_both_sides_sum_to_the_score_of_the_map_and_heads_to_their_tokens(front, run, off):
    ablation = {**CLEAN, "heads": off}
    found, _ = front.of("why", ablation=ablation)
    scored, buffers = front.of("qk", ablation=ablation)
    assert found["score"] == pytest.approx(array(scored["scores"], buffers)[4, 2], rel=1e-5)
    expected = attention_sources(run.ablate([tuple(head) for head in off]), "L2H3", 4, 2)
    assert found["attention"] == pytest.approx(expected.attention) and (found["query"], found["key"], found["cap"]) == (4, 2, None)
    for side, values, tokens in (
        ("query_side", expected.query_side, expected.query_tokens),
        ("key_side", expected.key_side, expected.key_tokens),
    ):
        terms = found[side]
        assert sum(term["value"] for term in terms) == pytest.approx(found["score"], abs=1e-4)
        assert {term["name"]: term["value"] for term in terms} == pytest.approx(dict(zip(expected.components, values, strict=True)))
        sizes = [abs(term["value"]) for term in terms]
        assert sizes == sorted(sizes, reverse=True)
        for term in terms:
            brought = dict(zip(expected.components, tokens, strict=True))[term["name"]]
            if term["head"] is None or term["head"] in off:
                assert term["from"] == [] and (term["head"] is not None) == term["name"].startswith("L")
                continue
            assert term["name"] == "L{}H{}".format(*term["head"]) and 1 <= len(term["from"]) <= 3
            largest = np.sort(np.abs(brought))[::-1][: len(term["from"])]
            assert [abs(one["value"]) for one in term["from"]] == pytest.approx(list(largest), rel=1e-6)
            assert all(one["value"] == pytest.approx(brought[one["position"]]) for one in term["from"])
    assert ("With L1H1 ablated." in found["note"]) == bool(off)


def test_a_head_of_the_first_layer_reads_the_embedding_alone(front):
    found, _ = front.of("why", head=[0, 2])
    for side in ("query_side", "key_side"):
        values = {term["name"]: term["value"] for term in found[side]}
        assert values.pop("embedding") == pytest.approx(found["score"], rel=1e-5)
        assert set(values) == {"attention biases", "biases"} and not any(values.values())


def test_where_a_score_is_no_sum_why_is_refused():
    front = Inside(AttentionWidget(subject("gemma2").model, "Alice and Bob went home"))
    assert "no sum over components" in front.refused("why", head=[1, 0])


# -- what it writes ---------------------------------------------------------------------------------------------------------


def test_ov_is_the_librarys_with_each_token_once(front, run, model):
    found, buffers = front.of("ov")
    ids = list(dict.fromkeys(run.ids))
    assert len(ids) < len(run.ids), "a prompt with a repeated token"
    expected = ov(model, "L2H3", [int(i) for i in ids], less_mean=True, k=3)
    assert [row["token"] for row in found["rows"]] == list(expected.tokens) and [row["id"] for row in found["rows"]] == ids
    for row, promoted, suppressed in zip(found["rows"], expected.promoted, expected.suppressed, strict=True):
        assert said(row["promoted"]) == list(promoted) and said(row["suppressed"]) == list(suppressed)
    np.testing.assert_allclose(array(found["block"], buffers), expected.block, rtol=1e-5, atol=1e-7)
    assert found["copying"] == pytest.approx(expected.copying) and found["share_first"] == pytest.approx(expected.share_first)
    assert (found["drawn"], found["vocabulary"], found["embedding"]) == (11, 11, "tokens")
    assert "It shares its values with L2H2." in found["note"]


def test_the_mean_over_all_tokens_of_what_is_written_is_nothing(front, model):
    """Less its mean over the vocabulary, each column of the whole circuit sums to 0."""
    whole = ov(model, "L2H3", list(range(11)), less_mean=True)
    np.testing.assert_allclose(whole.block.sum(0), 0, atol=1e-5)
    found, buffers = front.of("ov", positions=[1])
    row = found["rows"][0]["id"]
    np.testing.assert_allclose(array(found["block"], buffers)[0, 0], whole.block[row, row], rtol=1e-4)


def test_positions_choose_the_tokens_and_may_count_from_the_end(front, run):
    found, _ = front.of("ov", positions=[4, -1, 1])
    assert [row["id"] for row in found["rows"]] == [run.ids[4], run.ids[-1], run.ids[1]]


def test_the_first_mlp_stands_for_tokens_where_it_is_wanted(front, model, run):
    found, buffers = front.of("ov", embedding="first MLP")
    ids = [int(i) for i in dict.fromkeys(run.ids)]
    expected = ov(model, "L2H3", ids, embedding="first MLP", less_mean=True, k=3)
    np.testing.assert_allclose(array(found["block"], buffers), expected.block, rtol=1e-5, atol=1e-7)
    assert found["embedding"] == "first MLP"
    assert "comes before the first MLP" in front.refused("ov", head=[0, 1], embedding="first MLP")


# -- what it looks for ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [0, 3])
def test_the_qk_circuit_is_the_librarys(front, model, offset):
    found, _ = front.of("qk_circuit", offset=offset)
    expected = qk_circuit(model, "L2H3", offset=offset, k=3)
    pairs = [(p["query"]["token"], p["query"]["id"], p["key"]["token"], p["key"]["id"], p["value"]) for p in found["pairs"]]
    assert pairs == [(*pair[:4], pytest.approx(pair[4], rel=1e-5)) for pair in expected.pairs]
    assert [one["value"] for one in found["directions"]] == pytest.approx([one.value for one in expected.directions], rel=1e-5)
    first = expected.directions[0]
    ends = [(said(end["query"]), said(end["key"])) for end in found["directions"][0]["ends"]]
    assert ends == [(list(first.query_positive), list(first.key_positive)), (list(first.query_negative), list(first.key_negative))]
    assert found["offset"] == offset and found["kernel"]["offsets"] == list(range(17))
    np.testing.assert_allclose(found["kernel"]["values"], expected.kernel, rtol=1e-5, atol=1e-7)


def test_an_offset_for_which_a_very_long_prompt_would_be_run_is_refused(front):
    assert "offset must be from -512 to 512 here, not 513" in front.refused("qk_circuit", offset=513)
    assert "offset must be" in front.refused("qk_circuit", offset=-(10**9))


def test_where_positions_turn_nothing_there_is_no_offset_and_no_kernel():
    front = Inside(AttentionWidget(subject("gpt2").model, "Alice and Bob"))
    found, _ = front.of("qk_circuit", head=[1, 2])
    assert found["offset"] is None and found["kernel"] is None and len(found["pairs"]) == 3
    assert "offset=2 plays no part" in front.refused("qk_circuit", head=[1, 2], offset=2)


# -- who feeds it -----------------------------------------------------------------------------------------------------------


def test_composition_is_below_what_it_reads_and_above_who_reads_it(front, model):
    expected = composition(model)
    found, buffers = front.of("composition", head=[2, 1])
    for kind in ("q", "k", "v"):
        table, whole = array(found[kind], buffers), getattr(expected, kind)
        np.testing.assert_allclose(table[:2], whole[:2, :, 2, 1], rtol=1e-6)
        np.testing.assert_allclose(table[3:], whole[2, 1, 3:], rtol=1e-6)
        assert np.isnan(table[2]).all(), "heads of one layer do not feed one another"
        assert np.isfinite(np.delete(table, 2, axis=0)).all()
    assert found["baseline"] == pytest.approx(expected.baseline) and found["formula"] == expected.formula


def test_composition_is_read_once_for_all_heads_and_again_when_the_weights_change(monkeypatch):
    model, calls = small_model(), []
    front, real = Inside(AttentionWidget(model, PROMPT)), inside.composition
    monkeypatch.setattr(inside, "composition", lambda *args, **rest: calls.append(1) or real(*args, **rest))

    def read():
        found, buffers = front.of("composition", head=[3, 0])
        return array(found["q"], buffers)

    before = read()
    front.of("composition", head=[1, 0])
    front.widget.prompt = "a dog sat"
    np.testing.assert_array_equal(read(), before)
    assert calls == [1]
    with torch.no_grad():
        model.source.model.layers[0].self_attn.v_proj.weight[:, 0].mul_(3)
    after = read()
    assert calls == [1, 1] and (after[0] != before[0]).all()
    np.testing.assert_array_equal(after, composition_cut(real(model), 3, 0))


def composition_cut(found, layer, head):
    return found.q[:, :, layer, head].astype(np.float32)


# -- refusals ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", ["ov", "qk_circuit", "composition"])
def test_where_a_norm_stands_behind_the_heads_weights_alone_say_nothing_but_scores_do(op):
    front = Inside(AttentionWidget(subject("gemma2").model, "Alice and Bob"))
    assert "norm stands in its way" in front.refused(op, head=[1, 0])
    front.of("qk", head=[1, 0])


@pytest.mark.parametrize("op", ["qk", "why", "ov", "qk_circuit", "composition"])
@pytest.mark.parametrize("head", [None, [4, 0], [0], "L9", [0.5, 1], [True, False]])
def test_heads_that_are_none_are_refused(front, op, head):
    assert re.search("does not name a head|No head", front.refused(op, head=head))


@pytest.mark.parametrize(
    ("op", "wrong", "said"),
    [
        ("qk", {"ablation": None}, "ablation must be"),
        ("why", {"ablation": []}, "ablation must be"),
        ("why", {"query": 2, "key": 4}, "cannot look from position 2 to position 4"),
        ("why", {"query": 99}, "99"),
        ("why", {"key": None}, "None is not a whole number"),
        ("why", {"key": 1.0}, "not a whole number"),
        ("ov", {"positions": []}, "positions must be a list of 1 to 64"),
        ("ov", {"positions": 3}, "positions must be a list"),
        ("ov", {"positions": [0] * 65}, "positions must be a list of 1 to 64"),
        ("ov", {"positions": [99]}, "99"),
        ("ov", {"positions": ["0"]}, "not a whole number"),
        ("ov", {"embedding": "mean"}, "embedding must be one of 'tokens', 'first MLP', not 'mean'"),
        ("ov", {"k": 0}, "k must be a whole number from 1 to 11, not 0"),
        ("ov", {"k": 99}, "from 1 to 11, not 99"),
        ("qk_circuit", {"k": 0}, "from 1 to 11, not 0"),
        ("qk_circuit", {"offset": -1}, "offset must be a whole number from 0"),
        ("qk_circuit", {"offset": 1.5}, "not a whole number"),
        ("qk_circuit", {"embedding": 3}, "embedding must be one of"),
    ],
)
def test_wrong_questions_are_refused(front, op, wrong, said):
    assert said in front.refused(op, **wrong)


def test_a_question_about_a_prompt_that_is_gone_is_not_answered(front):
    for op in ("qk", "why", "ov", "qk_circuit", "composition"):
        assert front.error(op, **front.asked(op, run_key="run-0"))["kind"] == "cancelled"


@pytest.mark.parametrize("op", ["ov", "qk_circuit", "composition"])
def test_what_is_of_the_run_need_not_wait_for_what_is_of_the_weights(op):
    assert max(OPS["qk"].priority, OPS["why"].priority) < OPS[op].priority < BACKGROUND


def test_a_reason_overtakes_the_comparison_of_all_heads(monkeypatch):
    """Asked for while that is between two layers, it is there before that ends."""
    front, real, asked = Inside(AttentionWidget(small_model(), PROMPT)), inside.composition, []

    def slow(model, *, progress):
        def between(done, total, text):
            if not asked:
                asked.append(front.send("why", **front.asked("why")))
            progress(done, total, text)

        return real(model, progress=between)

    monkeypatch.setattr(inside, "composition", slow)
    front.of("composition")
    ended = [content["id"] for content, _ in front.sent if "ok" in content]
    assert asked and ended.index(asked[0]) == len(ended) - 2
