"""The demo models: whether their weights are here, and whether the copy that makes loading quick is."""

from __future__ import annotations

import os
from pathlib import Path

from ..demo import cache_dir, demo_copy, demo_file, demo_models
from ..errors import ModelError
from .report import Finding


def findings() -> list[Finding]:
    return [*(_model(name, title) for name, title in demo_models().items()), _cache()]


def _model(name: str, title: str) -> Finding:
    try:
        file = demo_file(name)
    except ModelError as error:
        return Finding("demo models", "note", f'"{name}" cannot be loaded: {error}', {name: None})
    try:
        copy = demo_copy(name)
    except Exception:  # transformers cannot be imported, which the packages' findings say
        copy = None
    data = {name: str(file), "copy": str(copy) if copy else None}
    if file.suffix != ".gguf":
        return Finding("demo models", "ok", f'"{name}" ({title}) is here.', data)
    state = "its float32 copy is made" if copy else "loading it the first time takes half a minute, while a float32 copy is made"
    return Finding("demo models", "ok", f'"{name}" ({title}) is here; {state}.', data)


def _cache() -> Finding:
    folder = cache_dir()
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    data = {"cache": str(folder), "bytes": size}
    if not _writable(folder):
        text = (
            f"Nothing can be kept in {folder}, so demo models load slowly each time; set ATTNWIDGET_CACHE to a folder that can be written."
        )
        return Finding("demo models", "note", text, data)
    return Finding("demo models", "ok", f"Copies are kept in {folder} ({size / 2**20:.0f} MiB; it may be deleted at any time).", data)


def _writable(folder: Path) -> bool:
    """Whether the folder, or the one in which it would be made, can be written."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    return os.access(folder, os.W_OK)
