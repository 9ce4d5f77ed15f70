"""What circuits are read from: the weights of layers, the tokens' embeddings and the unembedding, each checked on a short prompt."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from numbers import Integral
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from ..engine import Edit, Engine
from ..engine.interrupt import checkpoint
from ..engine.memory import halving
from ..engine.projections import Projections, projections, short_stream
from ..engine.token_embedding import TokenEmbedding, token_embedding
from ..engine.unembedding import Unembedding, unembedding
from ..engine.writes import block_writes, wide
from ..errors import AttnWidgetError, ModelError, TokenError
from ..model import Model
from .method import Progress

EMBEDDINGS = ("tokens", "first MLP")
SCALES = ("own", "none")
_CHECKED = 8  # tokens
_AT_ONCE = 2048  # tokens of the vocabulary
_added: WeakKeyDictionary[Engine, tuple[int, int | None]] = WeakKeyDictionary()


class ModelWeights:
    """The weights of `model`; `ModelError` where its blocks do not add to the stream, so that weights of different layers do not meet."""

    def __init__(self, model: Model, tokens: int = _CHECKED):
        self.model, self.engine = model, model.engine
        size = model.vocabulary.size
        length = max(2, min(tokens, model.n_ctx or tokens))
        self.ids = [size * (2 * i + 1) // (2 * length) for i in range(length)]
        self.stream, self.one = short_stream(self.engine, self.ids), short_stream(self.engine, self.ids[:1])
        layer = self._not_added()
        if layer is not None:
            raise ModelError(
                f"What layer {layer} of {model.name} writes is not just added to the residual stream (a norm stands in its way, as in BERT "
                "or Gemma 2), so circuits cannot be read from weights alone: ask about a run, with qk or value_weighted."
            )

    def _not_added(self) -> int | None:
        """The first layer that does not add what it writes to the stream; found out once for each state of the weights."""
        mark, layer = _added.get(self.engine, (None, None))
        if mark != self.stream.recording.weights:
            layer = next((at for at in range(self.model.n_layers) if not self._adds(at)), None)
            _added[self.engine] = self.stream.recording.weights, layer
        return layer

    def _adds(self, layer: int) -> bool:
        try:
            block_writes(self.stream, layer, self.stream.length - 1)
        except ModelError:
            return False
        return True

    def layer(self, layer: int) -> Projections:
        return projections(self.stream, self.one, layer)

    # -- tokens -------------------------------------------------------------------------------------------------------

    @property
    def size(self) -> int:
        return self.model.vocabulary.size

    @cached_property
    def embedding(self) -> TokenEmbedding:
        return token_embedding(self.engine, self.ids)

    @cached_property
    def unembedding(self) -> Unembedding:
        if self.model.answer in ("class", "none"):
            raise ModelError(
                f"{self.model.name} does not answer with tokens, so its heads promote none: load it with its …ForCausalLM head."
            )
        return unembedding(self.stream)

    def embedded(self, ids: Sequence[int], embedding: str) -> Tensor:
        """[token, d_model] float64: the token's own vector, or what leaves the first block for it alone, its heads saying nothing."""
        vectors = self.embedding.of(ids)
        if embedding == "tokens":
            return vectors
        resid = vectors.to(self.one.resid[0])[:, None]
        silent = [Edit(0, "z", torch.zeros_like)]

        def passed(part: Tensor) -> Tensor:
            of = self.engine.resume(self.one.recording, silent, start=0, stop=1, resid=part, rows=len(part), keep="last")
            return of.resid[-1][:, 0]

        return wide(torch.cat(list(halving(passed, resid, self.engine.max_rows or _AT_ONCE))))

    def chunks(self) -> list[range]:
        return [range(start, min(start + _AT_ONCE, self.size)) for start in range(0, self.size, _AT_ONCE)]

    def each_chunk(self, said: str, progress: Progress | None = None) -> Iterator[range]:
        """Parts of the vocabulary, one after the other."""
        parts = self.chunks()
        for done, part in enumerate(parts):
            checkpoint()
            if progress is not None:
                progress(done, len(parts), said)
            yield part


def asked_tokens(model: Model, tokens: object) -> list[int]:
    """The ids of a list of tokens, each its exact text or an id."""
    try:
        given = [tokens] if isinstance(tokens, (str, Integral)) else list(tokens)
    except TypeError:
        raise TokenError(f"tokens must be a list of token texts or ids, not {tokens!r}.") from None
    if not given:
        raise AttnWidgetError("No tokens were given: name some, or leave tokens=None.")
    return [model.vocabulary.id(token) for token in given]
