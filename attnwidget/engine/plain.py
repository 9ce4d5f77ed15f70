"""The plain anatomy: any `transformers` model, used as it is handed in, never wrapped or changed."""

from __future__ import annotations

import inspect
from contextlib import nullcontext
from functools import partial

from torch import Tensor, nn

from ..errors import ModelError
from .anatomy import Anatomy, Answer, InputTap, OutputTap, Tap, first_of
from .attention import AttentionTap, attention_set, configs_of, eager_of, register

# Where the out-projection stands in a block: (path of the attention module, path of the projection inside it).
# The self-test proves the choice on every model: what enters the projection must equal pattern times values.
_OUT_PROJECTIONS = (
    ("self_attn", "o_proj"),  # Llama, Mistral, Qwen, Gemma, Phi-3, OLMo, ...
    ("self_attn", "out_proj"),  # OPT
    ("self_attn", "dense"),  # Phi
    ("attn", "c_proj"),  # GPT-2
    ("attn", "out_proj"),  # GPT-J
    ("attn.attention", "out_proj"),  # GPT-Neo
    ("attention.self", "..output.dense"),  # BERT, RoBERTa, ELECTRA
    ("attention", "out_lin"),  # DistilBERT
    ("attention", "dense"),  # GPT-NeoX
    ("self_attention", "dense"),  # Bloom, Falcon
)
_VALUE_PROJECTIONS = ("v_proj", "value", "v_lin")


def plain_anatomy(model: nn.Module) -> Anatomy:
    """The anatomy of a `transformers` model; `ModelError` where its blocks or out-projections are not found."""
    config = model.config
    if getattr(config, "is_encoder_decoder", False):
        raise ModelError(
            f"{type(model).__name__} is an encoder-decoder, which has three kinds of attention: "
            "decoders (GPT-2, Llama, ...) and encoders (BERT, ...) can be shown."
        )
    config = getattr(config, "get_text_config", lambda: config)()
    n_heads = first_of(config, "num_attention_heads", "n_head", "n_heads", "num_heads")
    n_layers = first_of(config, "num_hidden_layers", "n_layer", "n_layers", "num_layers")
    if n_heads is None or n_layers is None:
        raise ModelError(f"{type(model).__name__} does not say how many layers and heads it has in its config.")
    blocks = _blocks(model, n_layers)
    attentions, projections = zip(*(_attention(model, block) for block in blocks), strict=True)
    d_head = first_of(config, "head_dim") or _width(projections[0]) // n_heads
    # Falcon says it on the module alone.
    n_kv_heads = first_of(attentions[0], "num_kv_heads") or first_of(config, "num_key_value_heads") or n_heads
    own = register() and all(_calls_registry(module) for module in attentions)
    return Anatomy(
        kind="plain",
        model=model,
        blocks=blocks,
        n_heads=n_heads,
        n_kv_heads=n_kv_heads,
        d_head=d_head,
        answer=_answer(model),
        forward=partial(_forward, model),
        taps={
            "z": [InputTap(module, n_heads) for module in projections],
            "pattern": [AttentionTap(m, "pattern") if own else OutputTap(m, element=1) for m in attentions],
            "v": [AttentionTap(m, "v") for m in attentions] if own else _value_taps(attentions, n_kv_heads),
            # A model that does not call our attention function rotates and scales out of sight.
            "q": [AttentionTap(m, "q") for m in attentions] if own else [],
            "k": [AttentionTap(m, "k") for m in attentions] if own else [],
        },
        out=list(projections),
        n_ctx=first_of(config, "max_position_embeddings", "n_positions", "n_ctx"),
        step=partial(_step, model, _last_only(model)) if _answer(model) == "next" else None,
        session=partial(attention_set, configs_of(model)) if own else nullcontext,
    )


def _blocks(model: nn.Module, n_layers: int) -> list[nn.Module]:
    lists = [m for m in model.modules() if isinstance(m, nn.ModuleList) and len(m) == n_layers]
    for candidate in lists:
        if all(_find(block) is not None for block in candidate):
            return list(candidate)
    raise ModelError(
        f"No list of {n_layers} blocks with an attention module was found in {type(model).__name__}: "
        "hand it in as a TransformerLens TransformerBridge instead."
    )


def _find(block: nn.Module) -> tuple[nn.Module, nn.Module] | None:
    for attention_path, projection_path in _OUT_PROJECTIONS:
        base = attention_path.rsplit(".", 1)[0] + "." if projection_path.startswith("..") else attention_path + "."
        try:
            return block.get_submodule(attention_path), block.get_submodule(base + projection_path.lstrip("."))
        except AttributeError:
            continue
    return None


def _attention(model: nn.Module, block: nn.Module) -> tuple[nn.Module, nn.Module]:
    found = _find(block)
    if found is None:  # _blocks has looked already; this is for models whose blocks differ
        raise ModelError(f"A block of {type(model).__name__} has no attention module that is known.")
    return found


def _width(projection: nn.Module) -> int:
    # GPT-2's Conv1D keeps its weight as [in, out] and has no in_features.
    return getattr(projection, "in_features", None) or projection.weight.shape[0]


def _calls_registry(attention: nn.Module) -> bool:
    try:
        eager_of(attention)
    except NotImplementedError:
        return False
    return True


def _value_taps(attentions: tuple[nn.Module, ...], n_kv_heads: int) -> list[Tap]:
    """Values where the model has a projection of its own for them; models with a fused projection have none."""
    taps: list[Tap] = []
    for module in attentions:
        name = next((name for name in _VALUE_PROJECTIONS if hasattr(module, name)), None)
        if name is None:
            return []
        taps.append(OutputTap(getattr(module, name), n_kv_heads))
    return taps


def _answer(model: nn.Module) -> Answer:
    # A class of the user's own is known by the one it was made from.
    names = (kind.__name__ for kind in type(model).__mro__)
    return next((answer for name in names if (answer := _answer_of(name)) != "none"), "none")


def _answer_of(name: str) -> Answer:
    if name.endswith(("LMHeadModel", "ForCausalLM")) and not name.startswith(("BertLM", "RobertaForCausal")):
        return "next"
    if name.endswith(("ForMaskedLM", "ForPreTraining")) and not name.startswith("Electra"):  # which tells real tokens from false
        return "mask"
    if name.endswith("ForSequenceClassification"):
        return "class"
    return "none"


def _forward(model: nn.Module, ids: Tensor) -> Tensor:
    kwargs = {"use_cache": False} if getattr(model.config, "use_cache", None) is not None else {}
    output = model(input_ids=ids, return_dict=True, **kwargs)
    for name in ("logits", "prediction_logits", "last_hidden_state"):
        if getattr(output, name, None) is not None:
            return getattr(output, name)
    raise ModelError(f"{type(model).__name__} returns neither logits nor hidden states.")


def _last_only(model: nn.Module) -> dict[str, int]:
    """The unembedding is a quarter of SmolLM2; a step needs it at one position only."""
    return {"logits_to_keep": 1} if "logits_to_keep" in inspect.signature(model.forward).parameters else {}


def _step(model: nn.Module, last_only: dict[str, int], ids: Tensor, cache: object | None) -> tuple[Tensor, object]:
    output = model(input_ids=ids, past_key_values=cache, use_cache=True, return_dict=True, **last_only)
    return output.logits[0, -1], output.past_key_values
