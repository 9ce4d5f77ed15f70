"""A model that is given by name: a folder of this machine, or a name of a model hub.

TransformerLens boots most of them. A class it has no bridge for (DistilBERT), and one that it would boot as another (a classifier of BERT
becomes a masked-language model whose head is random), is loaded by `transformers` as the class it was saved as.
"""

from __future__ import annotations

import torch
from torch import nn


def boot(name: str, device: str | torch.device | None, dtype: torch.dtype | None) -> nn.Module:
    """The model, as a bridge or as a `transformers` model; whatever its loader raises where there is none."""
    options = {"device": device, **({} if dtype is None else {"dtype": dtype})}
    try:
        from transformer_lens.model_bridge import TransformerBridge
    except ImportError:  # TransformerLens 2
        from transformer_lens import HookedTransformer

        return HookedTransformer.from_pretrained_no_processing(name, **options)
    try:
        bridge = TransformerBridge.boot_transformers(name, **options)
    except OSError:  # it is not there, or cannot be reached
        raise
    except Exception:
        if (kind := _saved_as(name)) is None:
            raise
        return _plain(kind, name, device, dtype)
    saved, loaded = bridge.original_model.config.architectures or [], type(bridge.original_model).__name__
    if saved and saved[0] != loaded and saved[0].endswith(("ForSequenceClassification", "Model")) and (kind := _known(saved[0])):
        return _plain(kind, name, device, dtype)
    return bridge


def _saved_as(name: str) -> type[nn.Module] | None:
    from transformers import AutoConfig

    try:
        saved = AutoConfig.from_pretrained(name).architectures or []
    except (OSError, ValueError):
        return None
    return _known(saved[0]) if saved else None


def _known(architecture: str) -> type[nn.Module] | None:
    import transformers

    return getattr(transformers, architecture, None)


def _plain(kind: type, name: str, device: str | torch.device | None, dtype: torch.dtype | None) -> nn.Module:
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    return kind.from_pretrained(name, dtype=dtype or torch.float32).eval().to(device)


def published(model: nn.Module, name: str) -> object | None:
    """The tokenizer as published: TransformerLens keeps a copy that adds BOS where the published one adds none (GPT-2, SmolLM2)."""
    from transformers import AutoTokenizer

    kept = getattr(model, "tokenizer", None)
    try:
        return AutoTokenizer.from_pretrained(getattr(kept, "name_or_path", "") or name)
    except (OSError, ValueError):
        return kept
