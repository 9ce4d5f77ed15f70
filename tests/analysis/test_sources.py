"""Scores taken apart by what was written below: sums, closed forms, and components taken out of the stream by hand."""

import numpy as np
import pytest
import torch
import transformers as tf

from attnwidget import ModelError, PositionError, load_model
from attnwidget.analysis.qkscores import qk
from attnwidget.analysis.sources import attention_sources

from ..engine.test_projections import NORMS, linear_parts, qwen3
from ..engine.test_writes import granite
from ..models import _GROUPED, D_HEAD, HEADS, IDS, induction_model, induction_prompt, name_of, subject, tokenizer, wide
from .test_qkcircuit import rotated

PAIRS = [(name, kind) for name in ("gpt2", "llama", "qwen2", "gptneox") for kind in ("plain", "bridge")]
PAIRS += [("opt", "plain"), ("bloom", "bridge"), ("falcon", "bridge"), ("gptoss", "plain"), ("mixtral", "plain")]


@pytest.mark.parametrize("pair", PAIRS, ids=name_of)
def test_terms_sum_to_the_score(pair):
    s = subject(*pair)
    clean = s.model.run(IDS)
    for run, head in ((clean, "L2H1"), (clean, "L0H3"), (clean.ablate(["L0H1"], "zero"), "L1H2")):
        scores = qk(run, head)
        found = attention_sources(run, head, 6, 4)
        size = np.abs(found.table).sum()
        assert found.score == pytest.approx(scores.scaled[6, 4]) and abs(found.table.sum() - found.score) <= 1e-5 * size
        assert abs(found.query_side.sum() - found.score) <= 1e-5 * size and size > 0.1
        layer = found.head.layer
        assert found.components[:2] == ("embedding", "attention biases") and found.components[-1] == "biases"
        assert len(found.components) == 3 + layer * (HEADS + 1)
        for side, tokens, at in ((found.query_side, found.query_tokens, 6), (found.key_side, found.key_tokens, 4)):
            heads = [
                i
                for i, name in enumerate(found.components)
                if name.startswith("L") and name not in {"L0H1"} & set(map(str, run.ablation.heads))
            ]
            assert len(heads) == layer * HEADS - (run is not clean)
            assert np.abs(np.nansum(tokens[heads], 1) - side[heads]).max(initial=0) <= 2e-5 * size
            assert not np.isnan(tokens[heads]).any()
            assert np.isnan(np.delete(tokens, heads, 0)).all()
            if s.model.causal:
                assert np.abs(tokens[heads][:, at + 1 :]).max(initial=0) == 0


@pytest.mark.parametrize("name", ["gpt2", "llama", "gptneox"])
def test_by_hand(name):
    """A component taken out of the stream, the norm's scale held: what the score loses, by the twin's own norm, weights and rotation."""
    s = subject(name)
    query_at, key_at, layer, head = 7, 2, 1, 2
    found = attention_sources(s.model.run(IDS), (layer, head), query_at, key_at)
    norm = s.block(layer).get_submodule(NORMS[name])
    seen = []
    hook = norm.register_forward_hook(lambda _m, args, out: seen.append((args[0][0], out[0])))
    s.clean()
    hook.remove()
    x, y = seen[0]
    centred = name != "llama"
    query, key, _ = linear_parts(s, layer)
    z, projection = s.z(0), s.projection(0)

    def written(component, position):
        with torch.no_grad():
            if component == "embedding":
                hidden = s.twin.get_input_embeddings().weight[IDS[position]]
                return hidden + (s.twin.transformer.wpe.weight[position] if name == "gpt2" else 0)
            alone = torch.zeros(1, HEADS * D_HEAD)
            index = int(component[3])
            alone[0, index * D_HEAD : (index + 1) * D_HEAD] = z[position, index]
            return (projection(alone) - projection(0 * alone))[0]

    def state(part, heads_index, position, take):
        middle = x[position] - (x[position].mean() if centred else 0)
        scale = (middle.pow(2).mean() + (1e-5 if centred else 1e-6)).rsqrt()
        less = 0 if take is None else written(take, position)
        less = less - (less.mean() if centred and take is not None else 0)
        with torch.no_grad():
            vector = part((y[position] - less * scale * norm.weight)[None, None])[0, 0, heads_index]
        return rotated(s, vector[None], position)[0]

    group = head // (HEADS // s.spec.kv_heads)

    def score(query_less=None, key_less=None):
        return (state(query, head, query_at, query_less) @ state(key, group, key_at, key_less)).item() * D_HEAD**-0.5

    whole = score()
    assert found.score == pytest.approx(whole, abs=1e-5)
    for component in ("embedding", "L0H0", "L0H3"):
        i = found.components.index(component)
        assert found.query_side[i] == pytest.approx(whole - score(query_less=component), abs=2e-5)
        assert found.key_side[i] == pytest.approx(whole - score(key_less=component), abs=2e-5)
        for other in ("embedding", "L0H1"):
            j = found.components.index(other)
            both = whole - score(query_less=component) - score(key_less=other) + score(component, other)
            assert found.table[i, j] == pytest.approx(both, abs=5e-5)
    assert np.abs(found.query_side).max() > 0.05


def test_induction_heads():
    """L1H0 looks from a token to what followed it: its own token in the query's embedding, that token in the key by L0H0."""
    ids = induction_prompt()
    run = load_model(induction_model()).run(ids)
    found = attention_sources(run, "L1H0", 16, 9)
    row, column = found.components.index("embedding"), found.components.index("L0H0")
    expected = np.zeros_like(found.table)
    expected[row, column] = 8
    assert found.table == pytest.approx(expected, abs=1e-4) and found.score == pytest.approx(8, abs=1e-4)
    assert found.key_tokens[column] == pytest.approx(8 * np.eye(17)[8], abs=1e-4), "it came from the token before"
    assert found.pairs(1).iloc[0].tolist()[:2] == ["embedding", "L0H0"] and "L0H0 at the key" in repr(found)
    assert found.to_frame()["component"][0] == "L0H0" and found.attention == pytest.approx(run.pattern("L1H0")[16, 9].item())


def test_a_constant_that_multiplies_what_is_written():
    run = load_model(wide(granite()), tokenizer=tokenizer()).run(IDS)
    found = attention_sources(run, "L2H3", 8, 3)
    heads = [i for i, name in enumerate(found.components) if name.startswith("L")]
    assert found.table.sum() == pytest.approx(found.score, abs=1e-5)
    assert found.key_tokens[heads].sum(1) == pytest.approx(found.key_side[heads], abs=1e-6)


def test_a_query_that_looks_back_and_to_the_end():
    """An offset as long as the prompt, and one of nothing."""
    run = subject("llama").model.run(IDS)
    for query, key in ((8, 0), (5, 5), (-1, -9)):
        assert attention_sources(run, "L2H2", query, key).table.sum() == pytest.approx(qk(run, "L2H2").scaled[query, key], abs=2e-5)


@pytest.mark.parametrize("name", ["gemma2", "bert", "distilbert"])
def test_norms_in_the_way_are_refused(name):
    with pytest.raises(ModelError, match="norm stands in its way.* ask for qk"):
        attention_sources(subject(name).model.run(IDS), "L1H1", 5, 2)


def test_what_cannot_be_asked():
    run = subject("llama").model.run(IDS)
    with pytest.raises(PositionError, match="cannot look from position 2 to position 5"):
        attention_sources(run, "L1H1", 2, 5)
    with pytest.raises(PositionError):
        attention_sources(run, "L1H1", 2, 50)
    with pytest.raises(ModelError, match="Qwen 3"):
        attention_sources(qwen3().run(IDS), "L1H1", 5, 2)
    cohere = load_model(wide(tf.CohereForCausalLM(tf.CohereConfig(**_GROUPED))), tokenizer=tokenizer()).run(IDS)
    assert attention_sources(cohere, "L1H1", 5, 2).score == pytest.approx(qk(cohere, "L1H1").scaled[5, 2])
