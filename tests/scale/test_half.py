"""What was computed with a model in half precision says so, in a line and with its table."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from attnwidget import (
    attention_rollout,
    attention_sources,
    causal_gain,
    compare,
    composition,
    detect_heads,
    head_statistics,
    load_model,
    ov,
    qk,
    score,
    study,
    value_weighted,
)

IDS = [3, 7, 12, 7, 3, 9, 20, 7, 12]
RESULTS = {
    "scores": lambda run: score(run),
    "statistics": lambda run: head_statistics(run),
    "kinds": lambda run: detect_heads(run.model, sequences=2),
    "gain": lambda run: causal_gain(run.model, sequences=2),
    "rollout": lambda run: attention_rollout(run),
    "weighted": lambda run: value_weighted(run, "L1H1"),
    "comparison": lambda run: compare(run, run.model.run([3, 7, 12, 8, 3, 9, 20, 7, 12]), effects=False),
    "study": lambda run: study(run, beam=2, max_heads=2),
    "qk": lambda run: qk(run, "L1H1"),
    "sources": lambda run: attention_sources(run, "L1H1", 5, 2),
    "ov": lambda run: ov(run.model, "L1H1", [3]),
    "composition": lambda run: composition(run.model),
}


@pytest.fixture(scope="module")
def run():
    torch.manual_seed(0)
    sizes = {"num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2, "hidden_size": 32, "intermediate_size": 48}
    config = LlamaConfig(**sizes, vocab_size=50, max_position_embeddings=64, initializer_range=0.3)
    return load_model(LlamaForCausalLM(config).eval().to(torch.bfloat16)).run(IDS)


def test_the_model_is_used_as_it_comes(run):
    assert run.model.dtype == torch.bfloat16
    assert {parameter.dtype for parameter in run.model.source.parameters()} == {torch.bfloat16}
    assert "bfloat16" in repr(run.model)


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_says_in_which_precision_it_was_computed(run, name):
    found = RESULTS[name](run)
    assert found.dtype == "bfloat16"
    assert "bfloat16" in repr(found)
    assert found.to_frame().attrs["dtype"] == "bfloat16"
