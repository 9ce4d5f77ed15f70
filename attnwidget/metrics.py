"""Numbers read off logits. All are computed in float64, whatever the model's dtype, from log-softmax, in nats.

Shapes: logits are [vocabulary] at one position unless said otherwise.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def log_probabilities(logits: Tensor) -> Tensor:
    """`log softmax(logits)` over the last dimension, in float64."""
    # Apple's GPUs have no float64.
    logits = logits.cpu() if logits.device.type == "mps" else logits
    return logits.double().log_softmax(-1)


def kl(clean: Tensor, ablated: Tensor) -> float:
    """`KL(clean || ablated) = sum_v p(v) (log p(v) - log q(v))` in nats; 0 exactly for equal logits."""
    return kl_rows(clean, ablated).item()


def kl_rows(clean: Tensor, ablated: Tensor) -> Tensor:
    """`KL(clean || row)` for each row of `ablated` [row, vocabulary]: [row], float64; can be differentiated in `ablated`."""
    p, q = log_probabilities(clean), log_probabilities(ablated)
    # Where p underflows to 0 the term is 0, also when q does too and the difference of logs is undefined.
    terms = torch.where(p.exp() == 0, 0.0, p.exp() * (p - q))
    return terms.sum(-1).clamp_min(0)  # rounding may give -1e-17; NaN stays NaN


def entropy_rows(logits: Tensor) -> Tensor:
    """`-sum_v p(v) log p(v)` over the last dimension, float64; can be differentiated."""
    p = log_probabilities(logits)
    # Before the product, not after: a logit of -inf (a token that is masked out) would make its derivative 0 · inf.
    finite = p.masked_fill(p.exp() == 0, 0.0)
    return -(p.exp() * finite).sum(-1)


def entropy(logits: Tensor) -> float:
    """`-sum_v p(v) log p(v)` in nats."""
    return entropy_rows(logits).item()


def probability(logits: Tensor, token_id: int) -> float:
    """`softmax(logits)[token_id]`."""
    return log_probabilities(logits)[token_id].exp().item()


def margin_rows(logits: Tensor, token_id: int) -> Tensor:
    """`logit(token) - max of all other logits` over the last dimension, float64: above 0 the token is the first choice, at 0 it shares that
    place. Can be differentiated. Of a single logit it is undefined (`inf`)."""
    logits = (logits.cpu() if logits.device.type == "mps" else logits).double()
    own = torch.arange(logits.shape[-1], device=logits.device) == token_id
    return logits[..., token_id] - logits.masked_fill(own, -math.inf).amax(-1)


def rank(logits: Tensor, token_id: int) -> int:
    """1 for the first choice: one more than the number of tokens with a larger logit."""
    return int((logits > logits[token_id]).sum().item()) + 1


def best(logits: Tensor, k: int = 1) -> list[int]:
    """The ids of the `k` largest logits, largest first; of equal ones the lowest id first, which `topk` does not promise."""
    least = logits.topk(min(k, len(logits))).values[-1]
    candidates = (~(logits < least)).nonzero()[:, 0]
    order = logits[candidates].sort(descending=True, stable=True).indices[:k]
    return candidates[order].tolist()


def perplexity(log_probs_of_next: Tensor) -> float:
    """`exp(-mean_t log p(x_{t+1} | x_1..x_t))` over the prompt's own tokens (teacher-forced); NaN with fewer than two."""
    if log_probs_of_next.numel() == 0:
        return math.nan
    try:
        return math.exp(-log_probs_of_next.double().mean().item())
    except OverflowError:
        return math.inf
