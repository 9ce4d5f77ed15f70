"""A model that is given by name: a folder of this machine, or a name of a model hub.

TransformerLens boots most of them. A class it has no bridge for (DistilBERT), and one that it would boot as another (a classifier of BERT
becomes a masked-language model whose head is random), is loaded by `transformers` as the class it was saved as.
"""

from __future__ import annotations

import torch
from torch import nn


def boot(name: str, device: str | torch.device | None, dtype: torch.dtype | None, trust_remote_code: bool = False) -> nn.Module:
    """The model, as a bridge or as a `transformers` model; whatever its loader raises where there is none."""
    # Said even where it is False: left out, `transformers` asks on the terminal and waits for the answer.
    options = {"device": device, "trust_remote_code": trust_remote_code, **({} if dtype is None else {"dtype": dtype})}
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
        if (kind := _saved_as(name, trust_remote_code)) is None:
            raise
        return _plain(kind, name, device, dtype, trust_remote_code)
    saved, loaded = bridge.original_model.config.architectures or [], type(bridge.original_model).__name__
    if saved and saved[0] != loaded and saved[0].endswith(("ForSequenceClassification", "Model")) and (kind := _known(saved[0])):
        return _plain(kind, name, device, dtype, trust_remote_code)
    return bridge


def _saved_as(name: str, trust_remote_code: bool) -> type | None:
    """The class of `transformers`; for a class of the model's own, the auto class that it is registered for."""
    import transformers

    try:
        config = transformers.AutoConfig.from_pretrained(name, trust_remote_code=trust_remote_code)
    except (OSError, ValueError):
        return None
    saved = config.architectures or []
    if saved and (kind := _known(saved[0])) is not None:
        return kind
    autos = [auto for auto in getattr(config, "auto_map", None) or {} if auto.startswith("AutoModel")] if trust_remote_code else []
    return getattr(transformers, autos[0], None) if autos else None


def _known(architecture: object) -> type[nn.Module] | None:
    """A model's class: the name stands in the model's own files, and must not choose anything else."""
    import transformers

    kind = getattr(transformers, architecture, None) if isinstance(architecture, str) else None
    return kind if isinstance(kind, type) and issubclass(kind, transformers.PreTrainedModel) else None


def _plain(
    kind: type, name: str, device: str | torch.device | None, dtype: torch.dtype | None, trust_remote_code: bool = False
) -> nn.Module:
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    # A class that is named reads no code, and takes no flag for it; the auto classes do.
    trust = {"trust_remote_code": True} if trust_remote_code and not issubclass(kind, nn.Module) else {}
    return kind.from_pretrained(name, dtype=dtype or torch.float32, **trust).eval().to(device)


def published(model: nn.Module, name: str, trust_remote_code: bool = False) -> object | None:
    """The tokenizer as published: TransformerLens keeps a copy that adds BOS where the published one adds none (GPT-2, SmolLM2)."""
    from transformers import AutoTokenizer

    kept = getattr(model, "tokenizer", None)
    try:
        return AutoTokenizer.from_pretrained(getattr(kept, "name_or_path", "") or name, trust_remote_code=trust_remote_code)
    except (OSError, ValueError):
        return kept
