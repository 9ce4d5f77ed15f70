"""A mark of a model's weights and tokenizer that is the same in every process: what parts on disk are told apart by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import torch

from ..model import Model
from .spec import Live, ModelSpec

_PIECE = 2**22


def fingerprint(spec: ModelSpec | Live) -> str:
    """SHA-256 of what decides the model's numbers: the files of a demo or a folder; else (a live model, a name of a hub, which is loaded
    for it) weights, configuration and tokenizer as they are in memory. Hooks that a person set on a live model are not seen."""
    files = spec.files if isinstance(spec, ModelSpec) else ()
    return _of_files(files) if files else _of_model(spec.loaded().model)


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
    digest.update(json.dumps([about, said, _words(model)], sort_keys=True, default=str).encode())
    with model.lock:
        for name, value in sorted(source.state_dict().items()):
            if not isinstance(value, torch.Tensor):
                continue
            digest.update(f"{name}:{value.dtype}:{tuple(value.shape)}".encode())
            digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return digest.hexdigest()


def _words(model: Model) -> object:
    words = model.vocabulary.tokenizer
    if words is None:
        return None
    inner = getattr(words, "backend_tokenizer", None)
    return inner.to_str() if inner is not None else sorted(words.get_vocab().items())
