"""Norms as linear maps: what a norm does to the stream, apart from the scale that it takes from it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import torch
from torch import Tensor, nn

from .offloaded import at_hand
from .writes import rounding


def inner_rounding(dtype: torch.dtype) -> float:
    """Largest relative difference that rounding can make where norms and rotations are computed: in float32, whatever a model is in."""
    return max(rounding(dtype), rounding(torch.float32))


@dataclass(frozen=True)
class Norm:
    """`y = scale(x) · gain · (x − mean(x)) + bias`, the mean taken off where `centred`. Float64, on the CPU."""

    gain: Tensor
    bias: Tensor
    centred: bool
    eps: float | None
    """In `scale = 1 / sqrt(mean(x²) + eps)`; None for no scale at all (the identity)."""

    @classmethod
    def identity(cls, width: int) -> Norm:
        return cls(torch.ones(width, dtype=torch.float64), torch.zeros(width, dtype=torch.float64), False, None)

    def linear(self, x: Tensor) -> Tensor:
        """`gain · (x − mean(x))` [..., d_model]: the norm without its scale and its bias."""
        return self.gain.to(x.device) * self._middle(x)

    def folded(self, weight: Tensor) -> Tensor:
        """A matrix [..., d_model, d] behind the norm, as it acts on the stream: `P diag(gain) W`."""
        scaled = self.gain.to(weight)[:, None] * weight
        return scaled - scaled.mean(-2, keepdim=True) if self.centred else scaled

    def scale(self, x: Tensor) -> Tensor:
        """By how much `x` [..., d_model] is multiplied, [...]."""
        if self.eps is None:
            return x.new_ones(x.shape[:-1])
        return (self._middle(x).square().mean(-1) + self.eps).rsqrt()

    def __call__(self, x: Tensor) -> Tensor:
        return self.linear(x) * self.scale(x)[..., None] + self.bias.to(x.device)

    def _middle(self, x: Tensor) -> Tensor:
        return x - x.mean(-1, keepdim=True) if self.centred else x


def norm_of(module: nn.Module, x: Tensor, y: Tensor, slack: float) -> Norm | None:
    """The norm that makes `y` of `x` [position, d_model], float64 both; None where it is none.

    Centred or not, multiplied by its weight or by one more than that, with a bias or without, and its epsilon: what gives `y`.
    """
    with at_hand(module):
        vectors = [p.detach().double().flatten().to(x.device) for p in module.parameters() if p.numel() == x.shape[-1]]
    one, zero = torch.ones_like(x[0]), torch.zeros_like(x[0])
    gains = [*vectors, *(1 + vector for vector in vectors), one]
    for centred, gain, bias in product((False, True), gains, [zero, *vectors]):
        middle = x - x.mean(-1, keepdim=True) if centred else x
        base = middle * gain
        scale = ((y - bias) * base).sum(-1) / base.square().sum(-1)
        bound = slack * (y.abs() + bias.abs() + (scale[:, None] * gain).abs() * (x.abs() + (x - middle).abs()))
        if not bool(((y - bias - scale[:, None] * base).abs() <= bound).all()):
            continue
        square = middle.square().mean(-1)
        for eps in _epsilons(module, (scale.pow(-2) - square).median().item()):
            found = Norm(gain.cpu(), bias.cpu(), centred, eps)
            if bool(((found(x) - y).abs() <= 2 * bound).all()):
                return found
    return None


def _epsilons(module: nn.Module, seen: float) -> list[float]:
    """What the module, or one it wraps, has for an epsilon; then what many have, the nearest to what was `seen` first."""
    names = ("eps", "variance_epsilon", "epsilon", "norm_eps")
    own = [value for part in module.modules() for name in names if isinstance(value := getattr(part, name, None), float)]
    return [*dict.fromkeys(own), *sorted((1e-5, 1e-6, 1e-8, 1e-12), key=lambda eps: abs(eps - seen))]
