"""From whatever a person has to a model; and what is refused, with the reason."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch
import transformers as tf

from attnwidget import ModelError, PromptError, load_model
from attnwidget.model import Model

from .models import IDS, SPECS, bridged, fresh, induction_model, subject, tokenizer, wide


def test_a_model_is_itself():
    model = subject("gpt2").model
    assert isinstance(model, Model)
    assert load_model(model) is model


def test_one_engine_however_often_a_model_is_handed_in():
    s = fresh("gpt2")
    again = load_model(s.source, tokenizer=s.tokenizer)
    assert again.engine is s.model.engine
    assert again.selftest is s.model.selftest
    assert again.lock is s.model.lock


def test_nothing_is_kept_alive():
    model = load_model(wide(SPECS["gpt2"].build()))
    source = weakref.ref(model.source)
    model.run(IDS).ablate("L1H1").kl()
    del model
    gc.collect()
    assert source() is None


def test_two_models_do_not_get_each_other_s_engine():
    """The engines are found by id, and ids are used again."""
    for seed in range(5):
        twin = wide(SPECS["gpt2"].build(), seed)
        with torch.no_grad():
            expected = twin(torch.tensor([IDS])).logits[0]
        assert torch.allclose(load_model(twin).run(IDS).logits, expected, atol=1e-4)
        del twin


def test_bos_as_a_bridge_is_set():
    source = bridged(wide(SPECS["gpt2"].build()), tokenizer())
    text, body = "Mary went", tokenizer()("Mary went")["input_ids"]
    source.cfg.default_prepend_bos = True
    assert load_model(source).encode(text) == [0, *body] == source.to_tokens(text)[0].tolist()
    source.cfg.default_prepend_bos = False
    assert load_model(source).encode(text) == body


def test_bos_of_a_name_as_published(tmp_path):
    """TransformerLens's own copy of a tokenizer adds BOS even where the published one does not."""
    folder = tmp_path / "some-gpt2"
    wide(SPECS["gpt2"].build()).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    model = load_model(str(folder))
    assert model.name == "some-gpt2"
    assert model.vocabulary.special == "no BOS"
    assert model.encode("Mary went") == tokenizer()("Mary went")["input_ids"]
    assert model.run(IDS).ablate("L1H1").kl() > 0


def test_without_a_tokenizer():
    model = load_model(wide(SPECS["gpt2"].build()))
    assert model.run(IDS).tokens[0] == f"#{IDS[0]}"
    with pytest.raises(PromptError, match="without a tokenizer"):
        model.run("Mary went")
    native = load_model(induction_model())
    assert native.vocabulary.special == "no BOS"
    assert native.run([0, 3, 5]).tokens == ["#0", "#3", "#5"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (7, "int is not a model: give a name, a TransformerBridge"),
        (None, "NoneType is not a model"),
        (tf.GPT2Config(), "GPT2Config is not a model"),
        (torch.nn.Linear(2, 2), "Linear is not supported: give a TransformerBridge, a HookedTransformer or a transformers model"),
    ],
)
def test_what_is_no_model(source, message):
    with pytest.raises(ModelError, match=message) as caught:
        load_model(source)
    assert isinstance(caught.value, ValueError)


def test_encoder_decoders_are_refused():
    t5 = tf.T5ForConditionalGeneration(tf.T5Config(num_layers=2, d_model=32, d_kv=8, d_ff=48, num_heads=4, vocab_size=120))
    with pytest.raises(ModelError, match="T5ForConditionalGeneration is an encoder-decoder"):
        load_model(t5)
    t5.config.architectures = ["T5ForConditionalGeneration"]
    with pytest.raises(ModelError, match="no stack of blocks with attention heads"):
        load_model(bridged(t5, tokenizer()))


def test_models_without_attention_heads_are_refused():
    mamba = tf.MambaForCausalLM(tf.MambaConfig(hidden_size=16, num_hidden_layers=2, vocab_size=50, state_size=4))
    with pytest.raises(ModelError, match="MambaForCausalLM does not say how many layers and heads|No list of 2 blocks"):
        load_model(mamba)


def test_an_object_is_used_where_it_is():
    with pytest.raises(ModelError, match="used as it is: move it before"):
        load_model(subject("gpt2").source, device="cpu")
    with pytest.raises(ModelError, match="used as it is"):
        load_model(subject("gpt2").source, dtype=torch.float16)


def test_an_unknown_name(monkeypatch):
    from transformer_lens.model_bridge import TransformerBridge

    def offline(*_args, **_kwargs):
        raise OSError("We couldn't connect to the hub.\nCheck your connection.")

    monkeypatch.setattr(TransformerBridge, "boot_transformers", offline)
    with pytest.raises(ModelError, match=r"'no/such-model' could not be loaded: We couldn't .* 'smollm2-135m'") as caught:
        load_model("no/such-model")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "config", "answer"),
    [
        ("GPT2LMHeadModel", {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32}, "next"),
        ("BertForMaskedLM", {}, "mask"),
        # TransformerLens boots this as a masked-language model with a head of random numbers, and knows no DistilBERT.
        ("BertForSequenceClassification", {"num_labels": 3, "id2label": {0: "bad", 1: "so so", 2: "good"}}, "class"),
        ("BertModel", {}, "none"),
        ("DistilBertForMaskedLM", {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32}, "mask"),
    ],
)
def test_a_folder_is_loaded_as_what_was_saved_in_it(kind, config, answer, tmp_path):
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32} if "Bert" in kind[:4] else {}
    vocabulary = tokenizer()
    torch.manual_seed(0)
    saved = getattr(tf, kind)(getattr(tf, kind).config_class(vocab_size=len(vocabulary), **sizes, **config)).eval()
    saved.save_pretrained(tmp_path / "mine")
    vocabulary.save_pretrained(tmp_path / "mine")
    model = load_model(str(tmp_path / "mine"))
    assert (model.name, model.answer, model.n_layers, model.n_heads) == ("mine", answer, 2, 2)
    assert model.labels == (["bad", "so so", "good"] if answer == "class" else None)
    ids = [4, 5, 6]
    theirs = saved(torch.tensor([ids]))[0].detach()[0]
    assert (model.run(ids).logits - theirs).abs().max() < 1e-5


def test_a_folder_without_a_tokenizer_takes_ids(tmp_path):
    tf.GPT2LMHeadModel(tf.GPT2Config(vocab_size=40, n_positions=16, n_embd=8, n_layer=2, n_head=2)).save_pretrained(tmp_path)
    model = load_model(str(tmp_path))
    assert model.vocabulary.tokenizer is None
    assert model.run([1, 2, 3]).logits.shape == (3, 40)


def test_facts_are_shown():
    for pair, words in {
        ("gpt2", "plain"): ("3 layers × 4 heads", "causal", "no BOS", "weights as shipped", "float32", "cpu", "self-test passed"),
        ("bert", "plain"): ("bidirectional", "[CLS] … [SEP]"),
        ("llama", "bridge"): ("BOS <bos>",),
    }.items():
        assert all(word in repr(subject(*pair).model) for word in words), repr(subject(*pair).model)


@pytest.mark.demo
def test_the_demos():
    smol = load_model("SmolLM2-135M")
    assert (smol.n_layers, smol.n_heads, smol.n_kv_heads, smol.d_head) == (30, 9, 3, 64)
    assert (smol.causal, smol.answer, smol.vocabulary.special) == (True, "next", "no BOS")
    assert smol.selftest.passed
    minilm = load_model("minilm")
    assert (minilm.n_layers, minilm.n_heads) == (6, 12)
    assert (minilm.causal, minilm.answer, minilm.vocabulary.special) == (False, "none", "[CLS] … [SEP]")
    assert minilm.selftest.passed
    assert minilm.run("The cat sat on the mat.").ablate("L2H3").patterns(4).shape == (12, 9, 9)
