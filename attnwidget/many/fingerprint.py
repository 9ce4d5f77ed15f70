"""A mark of a model's weights and tokenizer that is the same in every process: what parts on disk are told apart by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import torch

from ..engine.offloaded import at_hand
from ..model import Model
from .spec import Live, ModelSpec, forget_model

_PIECE = 2**22


def fingerprint(spec: ModelSpec | Live, *, elsewhere: bool = False) -> str:
    """SHA-256 of what decides the model's numbers: the files of a demo or a folder; else (a live model, a hub's name, an adapter, whose
    base lies elsewhere) weights, configuration, tokenizer and which adapters act, as they are in memory. What is loaded for it alone,
    because the prompts are run `elsewhere`, takes no GPU and is let go of. Hooks that a person set on a live model are not seen."""
    if isinstance(spec, Live):
        return _of_model(spec.model)
    files = spec.files
    if files and not any(one.name == "adapter_config.json" for one in files):
        return _of_files(files)
    try:
        return _of_model((replace(spec, device="cpu") if elsewhere else spec).loaded().model)
    finally:
        if elsewhere:
            forget_model()


def _of_files(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for one in files:
        stat = one.stat()
        digest.update(f"{one.name}:{_of_file(str(one.resolve()), stat.st_size, stat.st_mtime_ns)}\n".encode())
    return digest.hexdigest()


@lru_cache(maxsize=1024)
def _of_file(path: str, size: int, changed: int) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def _of_model(model: Model) -> str:
    digest, source = hashlib.sha256(), model.source
    config = getattr(source, "config", None) or getattr(source, "cfg", None)
    said = config.to_dict() if hasattr(config, "to_dict") else {}
    # Where it was loaded from decides nothing.
    said = {key: value for key, value in said.items() if key not in ("_name_or_path", "transformers_version")}
    about = [type(source).__name__, model.processing, model.n_ctx, model.vocabulary.special, sorted(model.labels or [])]
    digest.update(json.dumps([about, said, _words(model), _adapters(source)], sort_keys=True, default=str).encode())
    with model.lock:
        for module, part in source.named_modules():
            with at_hand(part, deep=False):
                for name, value in (*part.named_parameters(recurse=False), *part.named_buffers(recurse=False)):
                    digest.update(f"{module}.{name}:{value.dtype}:{tuple(value.shape)}".encode())
                    digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def _adapters(source: torch.nn.Module) -> list:
    """Of adapters (PEFT's), which act: all of them are among the weights."""
    parts = ((name, part) for name, part in source.named_modules() if hasattr(part, "active_adapter"))
    return [[name, str(part.active_adapter), bool(getattr(part, "disable_adapters", False))] for name, part in parts]


def _words(model: Model) -> object:
    words = model.vocabulary.tokenizer
    if words is None:
        return None
    inner = getattr(words, "backend_tokenizer", None)
    if inner is None:
        return sorted(words.get_vocab().items())
    # What the last call asked for stays set, and prompts are run one at a time and whole.
    return {name: of for name, of in json.loads(inner.to_str()).items() if name not in ("padding", "truncation")}
