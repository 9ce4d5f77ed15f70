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
from . import checked
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
    earlier layer, and where it or the reader is nothing (0/0); in float32. `random` [draw] is the same ratio for random matrices of these
    shapes."""

    q: np.ndarray
    k: np.ndarray
    v: np.ndarray
    random: np.ndarray
    seed: int
    formula: str
    processing: str
    dtype: str
    exact: bool = True

    def __post_init__(self) -> None:
        for array in (self.q, self.k, self.v, self.random):
            array.setflags(write=False)

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
    seed = checked.seed(seed)
    weights = ModelWeights(model)
    n_layers, n_heads = model.n_layers, model.n_heads
    # In float32, to which products of all pairs are right: those of 80 layers of 64 heads are 315 MB.
    found = {kind: np.full((n_layers, n_heads, n_layers, n_heads), np.nan, np.float32) for kind in KINDS}
    writers: list[_Writer] = []
    sizes: dict[str, list[np.ndarray]] = {"ov": [], "qk": []}
    for layer in range(n_layers):
        checkpoint()
        if progress is not None:
            progress(layer, n_layers, "Comparing what heads write and read")
        reader, writer = _halves(weights.layer(layer))
        sizes["ov"].append(writer.size.cpu().numpy())
        sizes["qk"].append(reader.size["q"].cpu().numpy())
        for earlier, before in enumerate(writers):
            for kind, values in _ratios(before, reader).items():
                found[kind][earlier, :, layer] = values.cpu().numpy()
        writers.append(writer)
    ov, qk = (np.stack(sizes[name]) for name in ("ov", "qk"))
    dead_ov, dead_qk = (size <= _DEAD * size.max() for size in (ov, qk))
    for kind, dead in (("q", dead_qk), ("k", dead_qk), ("v", dead_ov)):
        found[kind][dead_ov] = np.nan
        found[kind][:, :, dead] = np.nan
    _, d_head, d_model = writers[0].rows.shape
    return Composition(
        **found,
        random=_random(d_model, d_head, seed),
        seed=seed,
        formula="‖W_OV¹ X‖ / (‖W_OV¹‖ ‖X‖), X = W_QK², W_QK²ᵀ, W_OV² for q, k, v",
        processing=model.processing,
        dtype=model.precision,
    )


@dataclass(frozen=True)
class _Writer:
    """`rows` [head, d_head, d_model] have the Gram matrix of `W_OV` (`R W_O`, with `W_V = (orthonormal) R`); `size` [head] is its norm."""

    rows: Tensor
    size: Tensor


@dataclass(frozen=True)
class _Reader:
    """`columns` [d_model, head × d_head] have, by heads, the Gram matrix of what is read with; `size` [head] is its norm; by kind."""

    columns: dict[str, Tensor]
    size: dict[str, Tensor]


def _halves(layer: Projections) -> tuple[_Reader, _Writer]:
    shared = len(layer.q) // len(layer.k)
    q = layer.norm.folded(layer.q)
    k, v = (layer.norm.folded(part).repeat_interleave(shared, 0) for part in (layer.k, layer.v))
    return _reader(q, k, v, layer.out), _writer(v, layer.out)


def _writer(v: Tensor, out: Tensor) -> _Writer:
    rows = _triangle(v) @ out
    return _Writer(_single(rows), torch.linalg.matrix_norm(rows))


def _reader(q: Tensor, k: Tensor, v: Tensor, out: Tensor) -> _Reader:
    # An orthonormal factor behind changes no norm, so that of W_Kᵀ, W_Qᵀ and W_O only a triangle is left.
    columns = {"q": q @ _triangle(k).mT, "k": k @ _triangle(q).mT, "v": v @ _triangle(out.mT).mT}
    size = {kind: torch.linalg.matrix_norm(matrix) for kind, matrix in columns.items()}
    return _Reader({kind: _single(matrix).transpose(0, 1).flatten(1) for kind, matrix in columns.items()}, size)


def _triangle(matrix: Tensor) -> Tensor:
    return torch.linalg.qr(matrix, mode="r").R


def _single(matrix: Tensor) -> Tensor:
    # Products of all pairs are most of the work, and norms of them are right to six figures.
    return matrix.float()


def _ratios(first: _Writer, reader: _Reader) -> dict[str, Tensor]:
    """[head of the first, head of the second] of each kind; 0/0 is NaN."""
    (n_first, d_head, _), found = first.rows.shape, {}
    for kind, columns in reader.columns.items():
        met = first.rows.flatten(0, 1) @ columns  # [head × d_head, head × d_head]
        # Where a row of one head meets the columns of another; then over the rows of the head.
        squares = met.square_().unflatten(1, (-1, d_head)).sum(-1).unflatten(0, (n_first, d_head)).sum(1)
        found[kind] = squares.double().sqrt() / (first.size[:, None] * reader.size[kind])
    return found


def _random(d_model: int, d_head: int, seed: int) -> np.ndarray:
    """[draw]: Gaussian matrices have the same ratio for all three kinds."""
    generator = torch.Generator().manual_seed(seed)

    def draw() -> Tensor:
        return torch.randn(_DRAWS, d_model, d_head, generator=generator, dtype=torch.float64)

    writer = _writer(draw(), draw().mT)
    return _ratios(writer, _reader(draw(), draw(), draw(), draw().mT))["q"].flatten().numpy()
