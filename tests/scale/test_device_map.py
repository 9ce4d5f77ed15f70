"""Models that `device_map` has spread out: the CPU stands for one device and the disk for another, whose weights accelerate fetches."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch
import transformers as tf

from attnwidget import (
    attention_sources,
    composition,
    detect_heads,
    discover_circuit,
    generate,
    head_statistics,
    load_model,
    logit_lens,
    ov,
    overview,
    qk,
    qk_circuit,
    score,
    score_dataset,
    study,
    value_weighted,
)
from attnwidget.analysis.score import METHODS
from attnwidget.many.fingerprint import fingerprint
from attnwidget.many.spec import spec_of
from attnwidget.model import Model
from attnwidget.run import Run

IDS = [3, 7, 12, 7, 3, 9, 20]
OTHER = [3, 7, 12, 8, 3, 9, 20]
HEAD = "L2H1"
_SIZES = {"vocab_size": 50, "initializer_range": 0.3}


def _llama() -> torch.nn.Module:
    grouped = {"num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2}
    return tf.LlamaForCausalLM(tf.LlamaConfig(**grouped, hidden_size=32, intermediate_size=48, max_position_embeddings=64, **_SIZES))


def _gpt2() -> torch.nn.Module:
    special = {"bos_token_id": None, "eos_token_id": None}
    return tf.GPT2LMHeadModel(tf.GPT2Config(n_layer=4, n_head=4, n_embd=32, n_positions=64, **special, **_SIZES))


_PARTS = {
    "llama": (_llama, "model.layers", ("model.embed_tokens", "model.norm", "model.rotary_emb", "lm_head")),
    "gpt2": (_gpt2, "transformer.h", ("transformer.wte", "transformer.wpe", "transformer.ln_f", "lm_head")),
}

QUESTIONS: dict[str, Callable[[Model, Run], object]] = {
    "logits": lambda model, run: run.logits,
    "patterns": lambda model, run: run.patterns(3),
    "an ablated answer": lambda model, run: run.ablate(HEAD).logits,
    "an edited pattern": lambda model, run: run.ablate(HEAD, "uniform").logits,
    **{method: lambda model, run, method=method: score(run, method).values for method in METHODS},
    "statistics": lambda model, run: dict(head_statistics(run).values),
    "kinds": lambda model, run: detect_heads(model, sequences=2)["induction"].values,
    "lens": lambda model, run: logit_lens(run).kl,
    **{f"weighted {kind}": lambda model, run, kind=kind: value_weighted(run, HEAD, kind).values for kind in ("vo_norm", "signed")},
    "qk": lambda model, run: qk(run, HEAD).scores,
    "sources": lambda model, run: attention_sources(run, HEAD, 5, 2).table,
    "ov": lambda model, run: ov(model, HEAD, [3, 7]).block,
    "qk circuit": lambda model, run: qk_circuit(model, HEAD).pairs,
    "composition": lambda model, run: composition(model).v,
    "generation": lambda model, run: generate(run.ablate(HEAD), 5).ablated,
    "study": lambda model, run: study(run, beam=2, max_heads=2).sizes,
    "overview": lambda model, run: str(overview(run)),
    "circuit": lambda model, run: discover_circuit(run, model.run(OTHER), checks=False, random=1, edges=10).scores,
}


def same(one: object, other: object) -> bool:
    """To the bit; NaN is NaN."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other, equal_nan=one.dtype.kind == "f")
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if dataclasses.is_dataclass(one):
        return all(same(getattr(one, field.name), getattr(other, field.name)) for field in dataclasses.fields(one))
    return one == other or (one != one and other != other)


def _places(model: torch.nn.Module) -> dict[str, str]:
    return {name: parameter.device.type for name, parameter in model.named_parameters()}


@pytest.fixture(scope="module", params=["llama half", "llama all", "gpt2 half"])
def pair(request, tmp_path_factory) -> tuple[Model, Model, torch.nn.Module, dict[str, str]]:
    """The model in memory, and with its upper half, or all of it, on disk."""
    name, how = request.param.split()
    build, blocks, rest = _PARTS[name]
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("model")
    build().save_pretrained(folder)
    above = {f"{blocks}.{layer}": "disk" if how == "all" or layer >= 2 else "cpu" for layer in range(4)}
    places = above | dict.fromkeys(rest, "disk" if how == "all" else "cpu")
    spread = tf.AutoModelForCausalLM.from_pretrained(folder, device_map=places, offload_folder=tmp_path_factory.mktemp("disk")).eval()
    before = _places(spread)
    assert "meta" in before.values()
    return load_model(tf.AutoModelForCausalLM.from_pretrained(folder).eval()), load_model(spread), spread, before


def test_it_attaches_and_nothing_is_moved(pair):
    whole, spread, source, before = pair
    assert spread.selftest.passed and spread.selftest.proved == whole.selftest.proved
    assert spread.source is source
    assert spread.device.type == "cpu"  # never "meta", where no token id could go
    assert _places(source) == before


OF_WEIGHTS = ("logits", "direct_logit", "weighted vo_norm", "weighted signed", "sources", "ov", "composition", "circuit")


@pytest.mark.parametrize("question", QUESTIONS)
def test_every_question_has_the_answer_of_the_model_in_memory(pair, question):
    whole, spread, source, before = pair
    if question not in OF_WEIGHTS and not ("cpu" in before.values() and isinstance(source, tf.LlamaForCausalLM)):
        pytest.skip("asked of one model")
    ask = QUESTIONS[question]
    assert same(ask(whole, whole.run(IDS)), ask(spread, spread.run(IDS)))
    assert _places(source) == before


def test_a_run_of_an_offloaded_model_outlives_other_passes(pair):
    _, spread, source, _ = pair
    run = spread.run(IDS)
    with torch.no_grad():
        source(torch.tensor([OTHER]))  # after which accelerate has put other empty parameters in place
    assert not run.outdated
    assert torch.isfinite(run.ablate(HEAD).logits).all()


def test_weights_that_are_there_still_count(pair):
    """Offloading must not hide that a weight in memory was written to."""
    _, spread, source, before = pair
    name = next((name for name, place in before.items() if place == "cpu"), None)
    if name is None:
        pytest.skip("all of it is on disk")
    run, parameter = spread.run(IDS), source.get_parameter(name)
    with torch.no_grad():
        parameter.mul_(1)
    assert run.outdated


def test_a_checkpoint_folder_knows_its_weights(pair, tmp_path):
    whole, spread, source, before = pair
    assert fingerprint(spec_of(spread)) == fingerprint(spec_of(whole))
    found = score_dataset(spread, [IDS, OTHER], checkpoint=tmp_path)
    again = score_dataset(spread, [IDS, OTHER], checkpoint=tmp_path)
    assert same(found.samples, again.samples) and len(list(tmp_path.iterdir())) == 2
    assert _places(source) == before
