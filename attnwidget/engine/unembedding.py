"""The end of the stream as a map to all logits: the final norm without its scale, and the unembedding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import ModelError
from .norms import Norm, inner_rounding, norm_of
from .readout import _after, _Call, _rows, _watched, _ways
from .writes import Stream, wide


@dataclass(frozen=True)
class Unembedding:
    """Found by watching the tail run at one position of `stream`; the final norm's scale is left out (1)."""

    stream: Stream
    norm: Norm
    call: _Call
    normed: Tensor
    factor: float
    size: int
    capped: bool

    def of(self, ids: Sequence[int]) -> Tensor:
        """`factor · P diag(gain) W_U` [token, d_model], float64: what a vector in the stream is multiplied by."""
        found = _rows(self.call, self.normed, list(ids), self.stream)
        if found is None:
            raise ModelError("The unembedding of this model is not a matrix that can be read, so what heads promote is not known.")
        return self.factor * self.norm.folded(found[0].T).T


def unembedding(stream: Stream) -> Unembedding:
    """`ModelError` where logits are not read by a norm and a matrix."""
    position = stream.length - 1
    calls, logits = _watched(stream, position)
    x = stream.resid[-1][0, position]
    some = torch.arange(0, len(logits), max(1, len(logits) // 16)).tolist()
    for before, call in _ways(calls, x, len(logits)):
        y = wide(x if before is None else before.returned)
        norm = Norm.identity(len(y)) if before is None else norm_of(before.module, wide(x)[None], y[None], inner_rounding(x.dtype))
        if norm is None or _rows(call, y, some, stream) is None:
            continue
        factor, capped = _after(wide(call.returned), logits, stream.slack)
        return Unembedding(stream, norm, call, y, factor, len(logits), capped)
    raise ModelError(
        "Between the last block and the logits of this model there is more than a norm and a matrix, so what heads promote is not known."
    )
