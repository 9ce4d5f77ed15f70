"""What a head does to the answer, estimated for all heads from one forward and one backward (attribution patching, "AtP").

Formulas, costs and where they mislead: `docs/scores.md`.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from numbers import Integral

import numpy as np
import torch
from torch import Tensor

from .. import metrics
from ..engine.writes import wide
from ..errors import AttnWidgetError
from ..heads import Head
from .gradients import Gradient, float32, gradients
from .measure import Measure
from .method import Asked, Found


def attribution(asked: Asked) -> Found:
    """`(z* − z) · ∂effect/∂z`, summed over positions and d_head: the effect of replacing `z` by `z*`, to first order (Nanda, 2022).

    `z*` is what the ablation asked for makes of z; where it acts on the pattern, `z* − z = (A* − A) v`. KL has no gradient where it
    is measured from, so it is worked out from those of the log-probabilities, see `_Divergence`. One forward and one backward for all
    heads; for KL as many backwards as `top_tokens`, in one batch.
    """
    kl = _Divergence(asked) if asked.measure.metric.name == "kl" else None
    numbers = asked.measure.effect if kl is None else kl.numbers

    def estimate(at: Gradient, heads: list[Head]) -> Tensor:
        slopes = torch.einsum("qhd,nqhd->nh", wide(_change(asked, at, heads)), wide(at.slope))
        return slopes[0] if kl is None else kl.of(slopes)

    (edit,) = asked.ablate(asked.heads[:1]).edits(asked.run.clean) if asked.heads else (None,)
    patterns = edit is not None and edit.site == "pattern"
    return Found(each_layer(asked, numbers, estimate, patterns=patterns), formula=None if kl is None else kl.formula)


def gradient(asked: Asked) -> Found:
    """`Σ_qk |A[q, k] · ∂effect/∂A[q, k]|`: how much the answer leans on where the head looks. Not the effect of anything."""

    def estimate(at: Gradient, heads: list[Head]) -> Tensor:
        return (float32(at.pattern) * at.pattern_slope()).abs().sum((1, 2))

    return Found(each_layer(asked, asked.measure.effect, estimate, patterns=True))


def gradient_activation(asked: Asked) -> Found:
    """`−Σ z · ∂effect/∂z`: the effect of setting z to zero, to first order. Positive where the metric drops without the head, or, of
    what is a change (of entropy, of perplexity), where it rises."""

    def estimate(at: Gradient, heads: list[Head]) -> Tensor:
        return 0.0 - torch.einsum("qhd,qhd->h", wide(at.z), wide(at.slope[0]))  # and not -0.0 for a head that does nothing

    return Found(each_layer(asked, asked.measure.effect, estimate))


def each_layer(
    asked: Asked,
    numbers: Callable[[Tensor], Tensor],
    estimate: Callable[[Gradient, list[Head]], Tensor],
    *,
    patterns: bool = False,
) -> np.ndarray:
    """[layer, head] from `estimate(layer's gradient, its heads) -> [head]`; heads that were not asked for, or are off, stay undefined."""
    values, off = asked.empty(), set(asked.run.ablation.heads)
    wanted: dict[int, list[Head]] = defaultdict(list)
    for head in asked.heads:
        if head not in off:
            wanted[head.layer].append(head)
    if not wanted:
        return values
    total = asked.run.model.n_layers - min(wanted)
    found = gradients(asked.run, numbers, asked.measure, lowest=min(wanted), patterns=patterns)
    for done, at in enumerate(found, start=1):
        if heads := wanted[at.layer]:
            of = estimate(at, heads)
            for head in heads:
                value = of[head.head].item()
                values[head] = value if math.isfinite(value) else math.nan  # an overflow of half precision
            asked.partial(values.copy(), ~np.isnan(values))
        asked.progress(done, total, f"Gradients of layer {at.layer}")
    return values


def _change(asked: Asked, at: Gradient, heads: list[Head]) -> Tensor:
    """`z* − z`, [position, head, d_head], with the heads of this layer ablated; 0 for the others."""
    (edit,) = asked.ablate(heads).edits(asked.run.clean)
    if edit.site == "z":
        return edit.function(at.z[None])[0] - at.z
    change = edit.function(at.pattern[None])[0] - at.pattern
    return torch.einsum("hqk,khd->qhd", float32(change), float32(at.values))


class _Divergence:
    """KL, which has no gradient where it is measured from: the logits are taken to first order, and the KL of that is worked out.

    With `s_y = (z* − z) · ∂log p(y)/∂z`, `p*` is estimated as `softmax(log p + s)`. Since `Σ_y p(y) s_y = 0`, `KL(p ‖ p*)` is then
    `log Σ_y p(y) exp(s_y)`. It agrees with the exact KL to second order, `½ Σ_y p(y) s_y²`, and no further, but where the logits are
    linear in z it is exact.

    The sum goes over the `top_tokens` most probable tokens, and over all others taken as one: `P s = −Σ_top p(y) s_y`, P their
    probability, so they cost nothing. What is told apart less differs less, so that this falls short of the whole sum, not beyond it.
    """

    def __init__(self, asked: Asked):
        wanted = asked.options["top_tokens"]
        self.measure: Measure = asked.measure
        log_probs = metrics.log_probabilities(self.measure.row(self.measure.before))
        if isinstance(wanted, bool) or not isinstance(wanted, Integral) or wanted < 1:
            raise AttnWidgetError(f"top_tokens must be a whole number from 1 to {len(log_probs)}, not {wanted!r}.")
        self.log_p, self.tokens = log_probs.topk(min(int(wanted), len(log_probs)))
        self.whole = len(self.tokens) == len(log_probs)
        rest = 0.0 if self.whole else max(0.0, 1 - self.log_p.exp().sum().item())
        self.share = 1 - rest
        # What has less is noise: its gradient is a difference divided by it.
        self.rest = rest if rest > torch.finfo(asked.run.model.dtype).eps else 0.0

    def numbers(self, logits: Tensor) -> Tensor:
        """The log-probabilities of these tokens, [token]."""
        return metrics.log_probabilities(self.measure.row(logits))[0, self.tokens]

    def of(self, slopes: Tensor) -> Tensor:
        """[head] from `s`, [token, head]."""
        log_p, s = self.log_p[:, None].to(slopes.device), slopes
        if self.rest > 0:
            others = -(log_p.exp() * s).sum(0, keepdim=True) / self.rest
            log_p, s = torch.cat([log_p, torch.full_like(log_p[:1], math.log(self.rest))]), torch.cat([s, others])
        # Less their mean: it is 0 but for rounding and for what was left out as noise.
        s = s - (log_p.exp() * s).sum(0) / log_p.exp().sum(0)
        return (log_p - log_p.logsumexp(0) + s).logsumexp(0).clamp_min(0)

    @property
    def formula(self) -> str:
        n = len(self.tokens)
        if self.whole:
            some = f"all {n} tokens"
        elif n == 1:
            some = f"the most probable token ({self.share:.1%}) and the others as one"
        else:
            some = f"the {n} most probable tokens ({self.share:.1%}) and the others as one"
        return f"KL(p ‖ softmax(log p + s)), s = Σ (z* − z) · ∂log p/∂z: the logits to first order; {some}"
