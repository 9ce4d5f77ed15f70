"""Whether queries and keys can be edited: measured on a run, since a hook point that has the right name may lead nowhere."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from .anatomy import Site
from .engine import Edit, Engine, Recording

_CLOSE = 1e-4  # of a probability; in half precision 2 %
_proved: WeakKeyDictionary[Engine, tuple[int, str | None]] = WeakKeyDictionary()


def scores_refused(engine: Engine, recording: Recording) -> str | None:
    """Why the taps "q" and "k" cannot be used on this model, or None where they can.

    In every layer: with all queries zero and with all keys zero, every score is zero, so both must give the same pattern (whatever
    scale, soft-cap, mask, bias of position or sink the model has); a query zeroed in one head must change that head as zeroing all
    does, and no other. Found out once for each state of the weights.
    """
    mark, reason = _proved.get(engine, (None, None))
    if mark != recording.weights:
        reason = _refused(engine, recording)
        if recording.ids.shape[1] > 1:  # the one pattern of one token proves nothing
            _proved[engine] = recording.weights, reason
    return reason


def _refused(engine: Engine, recording: Recording) -> str | None:
    anatomy = engine.anatomy
    if not anatomy.taps["q"] or not anatomy.taps["k"]:
        return "Queries and keys cannot be reached in this model: hand it in as a TransformerBridge."
    moved = 0.0
    for layer in range(anatomy.n_layers):
        clean = _pattern(engine, recording, layer, "q", [])
        if clean is None:
            return "Attention patterns cannot be read from this model, so what queries and keys do to them is not known."
        head = layer % anatomy.n_heads
        no_q = _pattern(engine, recording, layer, "q", range(anatomy.n_heads))
        no_k = _pattern(engine, recording, layer, "k", range(anatomy.n_kv_heads))
        one = _pattern(engine, recording, layer, "q", [head])
        if no_q is None or no_k is None or one is None:
            return f"Queries or keys of layer {layer} cannot be edited in this model."
        expected = clean.clone()
        expected[:, head] = no_q[:, head]
        close = _CLOSE if torch.finfo(clean.dtype).eps < 1e-6 else 0.02
        if _far(no_q, no_k) > close or _far(one, expected) > close:
            return f"Edits of queries and keys do not reach the pattern as they should in layer {layer} of this model."
        moved = max(moved, _far(no_q, clean))
    if recording.ids.shape[1] > 1 and moved == 0:
        return "Setting queries to zero changes no pattern of this model."
    return None


def _pattern(engine: Engine, recording: Recording, layer: int, site: Site, heads: object) -> Tensor | None:
    """The pattern [1, head, query, key] of a layer with `site` of `heads` set to zero; None where that cannot be done."""
    off = list(heads)

    def zero(states: Tensor) -> Tensor:
        new = states.clone()
        # Grouped keys that TransformerLens has repeated are as many as the heads.
        new[:, :, slice(None) if site == "k" else off] = 0
        return new

    edits = [Edit(layer, site, zero)] if off else []
    try:
        passed = engine.resume(recording, edits, start=layer, stop=layer + 1, capture=[("pattern", layer)])
    except (RuntimeError, TypeError, IndexError):  # shapes that are not those of heads
        return None
    return passed.captured.get(("pattern", layer))


def _far(a: Tensor, b: Tensor) -> float:
    return (a - b).abs().max().item()
