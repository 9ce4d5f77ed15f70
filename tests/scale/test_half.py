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
    discover_circuit,
    generate,
    head_statistics,
    layer_impact,
    load_model,
    logit_lens,
    ov,
    overview,
    qk,
    score,
    study,
    value_weighted,
)
from attnwidget.analysis import outcome, whole_prompt

from ..models import bridged, tokenizer

IDS = [3, 7, 12, 7, 3, 9, 20, 7, 12]
RESULTS = {
    "outcome": lambda run: outcome(run),
    "ablated outcome": lambda run: outcome(run.ablate(["L1H1"])),
    "whole prompt": lambda run: whole_prompt(run.ablate(["L1H1"])),
    "impact": lambda run: layer_impact(run.ablate(["L1H1"])),
    "lens": lambda run: logit_lens(run),
    "generation": lambda run: generate(run, 2),
    "ablated generation": lambda run: generate(run.ablate(["L1H1"]), 2),
    "overview": lambda run: overview(run),
    "circuit": lambda run: discover_circuit(run, [3, 7, 12, 8, 3, 9, 20, 7, 12], edges=5, random=2, checks=False),
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


@pytest.fixture(scope="module", params=["plain", "bridge"])
def run(request):
    """A model in bfloat16, of transformers as it is and through TransformerLens."""
    torch.manual_seed(0)
    sizes = {"num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2, "hidden_size": 32, "intermediate_size": 48}
    config = LlamaConfig(**sizes, vocab_size=50, max_position_embeddings=64, initializer_range=0.3)
    source = LlamaForCausalLM(config).eval().to(torch.bfloat16)
    return load_model(source if request.param == "plain" else bridged(source, tokenizer())).run(IDS)


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
