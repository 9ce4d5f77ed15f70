"""Which heads could feed which, read from the weights: how much of what one writes another reads, as query, key or value."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ..engine.interrupt import checkpoint
from ..engine.projections import Projections
from ..errors import AttnWidgetError
from ..heads import Head
from ..model import Model
from .method import Progress
from .modelweights import ModelWeights

KINDS = ("q", "k", "v")
_DEAD = 1e-10
"""Of the largest in the model: what is smaller is rounding."""
_DRAWS = 8
"""Random heads on either side: 64 pairs."""


@dataclass(frozen=True)
class Composition:
    """`q`, `k`, `v` [layer, head, layer, head]: a head that writes, then one of a later layer that reads; NaN where the writer is not in an
    earlier layer, and where it or the reader is nothing (0/0). `random` [draw] is the same ratio for random matrices of these shapes."""

    q: np.ndarray
    k: np.ndarray
    v: np.ndarray
    random: np.ndarray
    seed: int
    formula: str
    processing: str
    dtype: str
    exact: bool = True

    @property
    def baseline(self) -> float:
        """The mean of `random`: what a pair has that has nothing to do with each other."""
        return float(self.random.mean())

    def excess(self, kind: str) -> np.ndarray:
        """[layer, head, layer, head]: less the mean of random matrices."""
        return self._of(kind) - self.baseline

    def percentile(self, kind: str) -> np.ndarray:
        """[layer, head, layer, head]: the share of random pairs with a smaller ratio, from 0 to 100; NaN where undefined."""
        values = self._of(kind)
        found = np.searchsorted(np.sort(self.random), values.ravel()).reshape(values.shape) * (100 / len(self.random))
        return np.where(np.isnan(values), np.nan, found)

    def _of(self, kind: str) -> np.ndarray:
        if kind not in KINDS:
            raise AttnWidgetError(f"kind must be one of {', '.join(map(repr, KINDS))}, not {kind!r}.")
        return getattr(self, kind)

    def to_frame(self) -> pd.DataFrame:
        """One row per kind and pair that is defined, the largest first: kind, writer, reader, composition, excess, percentile."""
        parts = []
        for kind in KINDS:
            values = self._of(kind)
            at = np.nonzero(~np.isnan(values))
            parts.append(
                pd.DataFrame(
                    {
                        "kind": kind,
                        "writer": [str(Head(int(a), int(b))) for a, b in zip(at[0], at[1], strict=True)],
                        "reader": [str(Head(int(a), int(b))) for a, b in zip(at[2], at[3], strict=True)],
                        "composition": values[at],
                        "excess": self.excess(kind)[at],
                        "percentile": self.percentile(kind)[at],
                    }
                )
            )
        frame = pd.concat(parts, ignore_index=True).sort_values("composition", ascending=False, ignore_index=True, kind="stable")
        frame.attrs = {"baseline": self.baseline} | {
            name: getattr(self, name) for name in ("seed", "formula", "processing", "dtype", "exact")
        }
        return frame

    def __repr__(self) -> str:
        said = []
        for kind in KINDS:
            values = self._of(kind)
            if np.isnan(values).all():
                said.append(f"{kind} undefined")
                continue
            a, b, c, d = (int(i) for i in np.unravel_index(np.nanargmax(values), values.shape))
            said.append(f"{kind} {Head(a, b)}→{Head(c, d)} {values[a, b, c, d]:.3f}")
        return f"Composition(largest: {', '.join(said)}; random {self.baseline:.3f} (seed {self.seed}); {self.processing}, {self.dtype})"


def composition(model: Model, *, seed: int = 0, progress: Progress | None = None) -> Composition:
    """Q-, K- and V-composition of all pairs of heads of different layers (Elhage et al. 2021), with `W_OV = W_V W_O`, `W_QK = W_Q W_Kᵀ`:

    `‖W_OV¹ W_QK²‖ / (‖W_OV¹‖ ‖W_QK²‖)` for q, `W_QK²ᵀ` in its place for k and `W_OV²` for v; Frobenius norms, by matrices of d_head².
    The norms before the heads are folded in (gain and, for LayerNorm, centring), their scales and all biases left out. Rotary positions are
    left out as well: queries and keys are those of one position. Values depend on d_head and d_model, so that they are to be read beside
    `random`: the ratio for `64` pairs of Gaussian matrices of these shapes, drawn with `seed`. `ModelError` for post-norm models and where
    queries or keys are normed (Qwen 3, Gemma 3).
    """
    weights = ModelWeights(model)
    n_layers, n_heads = model.n_layers, model.n_heads
    found = {kind: np.full((n_layers, n_heads, n_layers, n_heads), np.nan) for kind in KINDS}
    writers: list[_Writer] = []
    sizes: dict[str, list[np.ndarray]] = {"ov": [], "qk": []}
    for layer in range(n_layers):
        checkpoint()
        if progress is not None:
            progress(layer, n_layers, "Comparing what heads write and read")
        reader, writer = _halves(weights.layer(layer))
        sizes["ov"].append(writer.size.cpu().numpy())
        sizes["qk"].append(reader.size.cpu().numpy())
        for earlier, before in enumerate(writers):
            for kind, values in _ratios(before, reader, writer).items():
                found[kind][earlier, :, layer] = values.cpu().numpy()
        writers.append(writer)
    ov, qk = (np.stack(sizes[name]) for name in ("ov", "qk"))
    dead_ov, dead_qk = (size <= _DEAD * size.max() for size in (ov, qk))
    for kind, dead in (("q", dead_qk), ("k", dead_qk), ("v", dead_ov)):
        found[kind][dead_ov] = np.nan
        found[kind][:, :, dead] = np.nan
    d_model, d_head = writers[0].out.shape[-1], writers[0].out.shape[-2]
    return Composition(
        **found,
        random=_random(d_model, d_head, seed),
        seed=seed,
        formula="‖W_OV¹ X‖ / (‖W_OV¹‖ ‖X‖), X = W_QK², W_QK²ᵀ, W_OV² for q, k, v",
        processing=model.processing,
        dtype=str(model.dtype).removeprefix("torch."),
    )


@dataclass(frozen=True)
class _Writer:
    """`out` [head, d_head, d_model]; `triangle` [head, d_head, d_head] of `W_V = (orthonormal) R`; `size` [head] of `W_V W_O`."""

    out: Tensor
    triangle: Tensor
    tail: Tensor
    """[head, d_head, d_head] of `W_Oᵀ = (orthonormal) R`."""
    size: Tensor


@dataclass(frozen=True)
class _Reader:
    """What the heads of one layer read with, [head, d_model, d_head], and the triangles of `W_Q` and `W_K`; `size` of `W_Q W_Kᵀ`."""

    q: Tensor
    k: Tensor
    v: Tensor
    q_triangle: Tensor
    k_triangle: Tensor
    size: Tensor


def _halves(layer: Projections) -> tuple[_Reader, _Writer]:
    shared = len(layer.q) // len(layer.k)
    q = layer.norm.folded(layer.q)
    k, v = (layer.norm.folded(part).repeat_interleave(shared, 0) for part in (layer.k, layer.v))
    return _reader(q, k, v), _writer(v, layer.out)


def _reader(q: Tensor, k: Tensor, v: Tensor) -> _Reader:
    q_triangle, k_triangle = _triangle(q), _triangle(k)
    return _Reader(q, k, v, q_triangle, k_triangle, torch.linalg.matrix_norm(q_triangle @ k_triangle.mT))


def _writer(v: Tensor, out: Tensor) -> _Writer:
    triangle, tail = _triangle(v), _triangle(out.mT)
    return _Writer(out, triangle, tail, torch.linalg.matrix_norm(triangle @ tail.mT))


def _triangle(matrix: Tensor) -> Tensor:
    return torch.linalg.qr(matrix, mode="r").R


def _ratios(first: _Writer, reader: _Reader, second: _Writer) -> dict[str, Tensor]:
    """[head of the first, head of the second] of each kind; 0/0 is NaN. An orthonormal factor on either side changes no norm."""

    def ratio(into: Tensor, behind: Tensor, size: Tensor) -> Tensor:
        met = torch.einsum("aij,ajd,bde,bfe->abif", first.triangle, first.out, into, behind)
        return torch.linalg.matrix_norm(met) / (first.size[:, None] * size)

    return {
        "q": ratio(reader.q, reader.k_triangle, reader.size),
        "k": ratio(reader.k, reader.q_triangle, reader.size),
        "v": ratio(reader.v, second.tail, second.size),
    }


def _random(d_model: int, d_head: int, seed: int) -> np.ndarray:
    """[draw]: Gaussian matrices have the same ratio for all three kinds."""
    generator = torch.Generator().manual_seed(seed)

    def draw() -> Tensor:
        return torch.randn(_DRAWS, d_model, d_head, generator=generator, dtype=torch.float64)

    writer = _writer(draw(), draw().mT)
    reader = _reader(draw(), draw(), draw())
    return _ratios(writer, reader, writer)["q"].flatten().numpy()
