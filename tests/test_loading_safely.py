"""A folder with a model is data: loading it unpickles nothing and runs none of its code, whatever its files say."""

from __future__ import annotations

import ast
import contextlib
import json
import pickle
import threading
from pathlib import Path

import pytest
import torch
import transformers as tf

from attnwidget import ModelError, load_model

from .conftest import ROOT
from .models import SPECS, tokenizer, wide

IDS = [1, 2, 3]


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    """Some adapters ask a hub for a tokenizer, six times."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


class Bomb:
    """Whoever unpickles it makes a file."""

    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self):
        return (Path.touch, (self.marker,))


@pytest.fixture
def marker(tmp_path) -> Path:
    return tmp_path / "ran"


@pytest.fixture
def folder(tmp_path) -> Path:
    """A sound model as safetensors, with its tokenizer."""
    made = tmp_path / "model"
    wide(SPECS["gpt2"].build()).save_pretrained(made)
    tokenizer().save_pretrained(made)
    return made


def change(file: Path, **values: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def load_or_say(folder: Path) -> None:
    """Whether it loads is not the question; where it does not, a sentence says so."""
    with contextlib.suppress(ModelError):
        load_model(str(folder))


def code(marker: Path) -> str:
    return f"""
from pathlib import Path
Path({str(marker)!r}).touch()
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
class OwnConfig(GPT2Config):
    model_type = "own-attnwidget-test"
class OwnModel(GPT2LMHeadModel):
    config_class = OwnConfig
class OwnTokenizer(PreTrainedTokenizerFast):
    pass
class BaichuanForCausalLM(OwnModel):
    pass
"""


def test_the_bomb_goes_off_where_it_is_unpickled(marker):
    pickle.loads(pickle.dumps(Bomb(marker)))
    assert marker.exists()


def test_the_code_runs_where_it_is_imported(folder, marker):
    (folder / "own.py").write_text(code(marker))
    change(folder / "config.json", auto_map={"AutoModelForCausalLM": "own.OwnModel"})
    tf.AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True)
    assert marker.exists()


# Every name under which a loader of `transformers`, TransformerLens or PEFT looks for a pickle.
PICKLES = (
    "pytorch_model.bin",
    "pytorch_model-00001-of-00001.bin",
    "model.bin",
    "model.pt",
    "final.pth",
    "adapter_model.bin",
    "optimizer.pt",
    "training_args.bin",
    "vocab.pkl",
    "vocab.bin",
    "tokenizer.pkl",
    "spiece.model.pkl",
    "generation_config.pkl",
)


@pytest.mark.parametrize("how", ["pickle", "torch"])
def test_a_pickle_beside_safetensors_is_not_touched(folder, marker, how):
    for name in PICKLES:
        _pickle(folder / name, marker, how)
    change(folder / "config.json", is_trusted=True)
    (folder / "adapter_config.json").write_text('{"peft_type": "LORA", "base_model_name_or_path": "."}')
    expected = tf.GPT2LMHeadModel.from_pretrained(folder)(torch.tensor([IDS])).logits[0]
    (folder / "adapter_config.json").unlink()
    assert (load_model(str(folder)).run(IDS).logits - expected).abs().max() < 1e-4
    assert not marker.exists()


def _pickle(file: Path, marker: Path, how: str) -> None:
    if how == "torch":
        torch.save({"wte.weight": Bomb(marker)}, file)
    else:
        file.write_bytes(pickle.dumps(Bomb(marker)))


@pytest.mark.parametrize("how", ["pickle", "torch"])
@pytest.mark.parametrize("kind", ["GPT2LMHeadModel", "DistilBertForMaskedLM"])
def test_pickled_weights_are_refused(tmp_path, marker, kind, how):
    spec = SPECS["gpt2" if kind[0] == "G" else "distilbert"]
    spec.build().config.save_pretrained(tmp_path)
    change(tmp_path / "config.json", architectures=[kind])
    for name in PICKLES:
        _pickle(tmp_path / name, marker, how)
    with pytest.raises(ModelError, match=r"weights are pickled \(pytorch_model.bin\).*safetensors.*load_model\(AutoModel"):
        load_model(str(tmp_path))
    assert not marker.exists()


def test_sound_pickled_weights_are_refused_too_and_can_be_handed_in(tmp_path):
    model = wide(SPECS["gpt2"].build())
    model.config.save_pretrained(tmp_path)
    change(tmp_path / "config.json", architectures=["GPT2LMHeadModel"])
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(ModelError, match="reading a pickle can run code"):
        load_model(str(tmp_path), trust_remote_code=True)
    own = load_model(tf.AutoModelForCausalLM.from_pretrained(tmp_path))
    assert torch.equal(own.run(IDS).logits, load_model(model).run(IDS).logits)


@pytest.mark.parametrize("name", ["evil.bin", "model.safetensors"])
def test_shards_that_are_pickles(folder, marker, name):
    """An index may name any file as a shard."""
    names = dict.fromkeys(wide(SPECS["gpt2"].build()).state_dict(), name)
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": names}))
    _pickle(folder / name, marker, "torch")
    with pytest.raises(ModelError, match="could not be loaded"):
        load_model(str(folder))
    assert not marker.exists()


def test_a_file_for_a_name(tmp_path, marker):
    _pickle(tmp_path / "pytorch_model.bin", marker, "torch")
    with pytest.raises(ModelError, match="could not be loaded"):
        load_model(str(tmp_path / "pytorch_model.bin"))
    assert not marker.exists()


AUTO = {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel", "AutoModel": "own.OwnModel"}


@pytest.mark.parametrize(
    "config",
    [
        {"auto_map": AUTO, "model_type": "own-attnwidget-test", "architectures": ["OwnModel"]},
        {"auto_map": AUTO, "model_type": "own-attnwidget-test", "architectures": ["GPT2LMHeadModel"]},
        {"model_type": "own-attnwidget-test"},
    ],
    ids=["a class of its own", "a known class", "no map"],
)
def test_code_of_a_model_that_is_unknown_is_refused(folder, marker, config):
    (folder / "own.py").write_text(code(marker))
    change(folder / "config.json", **config)
    match = "pass trust_remote_code=True if you have read that code and trust it" if "auto_map" in config else "could not be loaded"
    with pytest.raises(ModelError, match=match):
        load_model(str(folder))
    assert not marker.exists()


@pytest.mark.parametrize(
    "change_it",
    [
        lambda f: change(f / "config.json", auto_map=AUTO),
        lambda f: change(f / "tokenizer_config.json", auto_map={"AutoTokenizer": [None, "own.OwnTokenizer"]}),
        lambda f: change(f / "generation_config.json", custom_generate=str(f)),
        lambda f: change(f / "config.json", auto_map={"AutoTokenizer": ["own.OwnTokenizer", "own.OwnTokenizer"]}),
    ],
    ids=["model", "tokenizer", "generation", "tokenizer in the config"],
)
def test_code_of_a_model_that_is_known_is_left_alone(folder, marker, change_it):
    (folder / "own.py").write_text(code(marker))
    (folder / "custom_generate").mkdir()
    (folder / "custom_generate" / "generate.py").write_text(code(marker))
    change_it(folder)
    assert load_model(str(folder)).run("Mary went").logits.shape[1] == SPECS["gpt2"].build().config.vocab_size
    assert not marker.exists()


@pytest.mark.parametrize(
    ("architecture", "file"),
    [
        ("BaichuanForCausalLM", "modeling_baichuan.py"),
        ("InternLM2ForCausalLM", "modeling_internlm2.py"),
        ("OpenELMForCausalLM", "modeling_openelm.py"),
        ("Phi3ForCausalLM", "modeling_phi3.py"),
    ],
)
def test_code_that_transformerlens_imports_without_the_flag(tmp_path, marker, architecture, file):
    """Its adapters look for these files by name, to mend them."""
    wide(SPECS["llama"].build()).save_pretrained(tmp_path)
    tokenizer().save_pretrained(tmp_path)
    auto = {name: f"{file.removesuffix('.py')}.{architecture}" for name in ("AutoModelForCausalLM", "AutoModel")}
    change(tmp_path / "config.json", architectures=[architecture], auto_map=auto)
    (tmp_path / file).write_text(code(marker).replace("BaichuanForCausalLM", architecture))
    load_or_say(tmp_path)
    assert not marker.exists()


@pytest.mark.parametrize("name", ["own.OwnModel", "GPT2LMHeadModel"])
def test_with_the_flag_it_runs(folder, marker, name):
    expected = tf.GPT2LMHeadModel.from_pretrained(folder)(torch.tensor([IDS])).logits[0]
    (folder / "own.py").write_text(code(marker))
    auto = {key: value for key, value in AUTO.items() if key != "AutoModel"}
    change(folder / "config.json", auto_map=auto, model_type="own-attnwidget-test", architectures=[name.removeprefix("own.")])
    model = load_model(str(folder), trust_remote_code=True)
    assert marker.exists()
    assert (model.run(IDS).logits - expected).abs().max() < 1e-4


@pytest.mark.parametrize("architectures", [["pipeline"], ["Trainer"], ["__builtins__"], [7], 7, {"a": 1}, [["GPT2LMHeadModel"]]], ids=str)
def test_a_class_that_is_no_model_is_not_chosen(folder, architectures):
    change(folder / "config.json", architectures=architectures)
    load_or_say(folder)


def test_the_flag_is_for_names():
    with pytest.raises(ModelError, match="trust_remote_code= is for one that is loaded by name"):
        load_model(wide(SPECS["gpt2"].build()), trust_remote_code=True)


def test_the_doors_are_as_before_and_other_threads_go_through(folder, tmp_path):
    from transformers import dynamic_module_utils

    from attnwidget.onlydata import only_data

    before = torch.load, dynamic_module_utils.get_class_in_module
    torch.save(torch.ones(2), tmp_path / "mine.pt")
    ready, go, read = threading.Event(), threading.Event(), []

    def other():
        ready.set()
        go.wait(30)
        read.append(torch.load(tmp_path / "mine.pt"))

    thread = threading.Thread(target=other)
    thread.start()
    ready.wait(30)
    with only_data(False) as refused:
        go.set()
        thread.join(30)
        with pytest.raises(ModelError, match="pickled"):
            torch.load(tmp_path / "mine.pt")
    assert len(read) == len(refused) == 1
    assert (torch.load, dynamic_module_utils.get_class_in_module) == before
    with pytest.raises(ModelError):
        load_model(str(tmp_path / "nothing here"))
    assert (torch.load, dynamic_module_utils.get_class_in_module) == before


# -- our own code -------------------------------------------------------------------------------------------------------

_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "yaml"}
_CALLS = {"eval", "exec", "compile", "__import__"}
_METHODS = {"load": {"torch", "np", "numpy", "joblib"}, "read_pickle": {"pd", "pandas"}}


def reaches(tree: ast.AST) -> list[str]:
    """Where a module could run what stands in data."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            found += [f"import {name}" for name in names if name.partition(".")[0] in _MODULES]
        elif isinstance(node, ast.Call):
            function = node.func
            if isinstance(function, ast.Name) and function.id in _CALLS:
                found.append(function.id)
            of = function.value if isinstance(function, ast.Attribute) else None
            if isinstance(of, ast.Name) and of.id in _METHODS.get(function.attr, ()):
                found.append(f"{of.id}.{function.attr}")
            found += ["allow_pickle" for key in node.keywords if key.arg == "allow_pickle" and getattr(key.value, "value", True)]
            found += ["shell" for key in node.keywords if key.arg == "shell" and getattr(key.value, "value", True)]
    return found


def test_our_code_has_no_such_place():
    files = sorted((ROOT / "attnwidget").rglob("*.py"))
    assert len(files) > 200
    found = {str(file.relative_to(ROOT)): where for file in files if (where := reaches(ast.parse(file.read_text(encoding="utf-8"))))}
    assert not found


@pytest.mark.parametrize("line", ["import pickle", "from yaml import load", "torch.load(f)", "eval('1')", "np.load(f, allow_pickle=True)"])
def test_what_looks_for_them_is_not_blind(line):
    assert reaches(ast.parse(line))
