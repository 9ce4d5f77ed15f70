"""One vector for a whole text, from the last hidden states of a model without a head, and how far two such vectors are apart."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import AttnWidgetError
from ..run import Run
from .specials import special_positions

POOLINGS = {"mean": "mean-pooled", "cls": "first-token"}


def pooled_positions(run: Run, pooling: str = "mean", special: str = "keep") -> tuple[int, ...]:
    """The positions whose hidden states an embedding is the mean of.

    `mean`: all but padding, [CLS] and [SEP] among them, as sentence-transformers does (Reimers and Gurevych 2019); with
    `special="discount"` without these. `cls`: the first alone. Padding is what the tokenizer names so and uses for nothing else.
    """
    if pooling not in POOLINGS:
        raise AttnWidgetError(f"pooling must be 'mean' or 'cls', not {pooling!r}.")
    if pooling == "cls":
        if special != "keep":
            raise AttnWidgetError("pooling='cls' reads a special token, so special='discount' would leave nothing: use pooling='mean'.")
        return (0,)
    left_out = set(special_positions(run)) if special == "discount" else set()
    padding = _padding(run)
    found = tuple(i for i, token in enumerate(run.ids) if token != padding and i not in left_out)
    if not found:
        raise AttnWidgetError("This prompt is nothing but padding and special tokens, so its mean embedding is undefined: give a word.")
    return found


def _padding(run: Run) -> int | None:
    tokenizer = run.model.vocabulary.tokenizer
    # GPT-2's people pad with the end of text, which as a token of a prompt means that.
    others = {getattr(tokenizer, f"{name}_token_id", None) for name in ("bos", "eos", "unk", "sep", "cls", "mask")}
    padding = getattr(tokenizer, "pad_token_id", None)
    return None if padding in others else padding


def cosine_distance(a: Tensor, b: Tensor) -> Tensor:
    """`1 − cos(a, b)` over the last dimension, from 0 to 2, as `½ ‖a/‖a‖ − b/‖b‖‖²`, which is exactly 0 for equal vectors; NaN where one
    of them is 0."""
    unit, other = (side / side.norm(dim=-1, keepdim=True) for side in (a, b))
    return (unit - other).square().sum(-1) / 2


def l2_distance(a: Tensor, b: Tensor) -> Tensor:
    """`‖a − b‖` over the last dimension."""
    return (a - b).norm(dim=-1)


def pooled(hidden: Tensor) -> Tensor:
    """[..., d_model] in float64 from hidden states [..., position, d_model]: their mean."""
    hidden = hidden.cpu() if hidden.device.type == "mps" else hidden
    return hidden.to(torch.float64).mean(-2)
