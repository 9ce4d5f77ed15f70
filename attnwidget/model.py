"""A model as people use it here: its facts, its tokenizer, and runs of prompts through it."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from numbers import Integral

import torch

from .ablation import MODES
from .chat import is_chat, templated
from .engine import Engine, SelfTest
from .engine.anatomy import Anatomy, Answer
from .engine.memory import require_row
from .errors import AttnWidgetError, PromptTooLongError, TokenError
from .run import Run
from .tokens import Vocabulary

# A long prompt's patterns are recomputed layer by layer when looked at; a short one's are kept from the clean pass.
PATTERN_BUDGET = 64 * 2**20


class Model:
    """A transformer attached to the engine. Make one with `load_model`.

    The model handed in is never changed: hooks and switches are set for the length of a pass, under `lock`, and undone whatever
    happens. Take the same lock (`with model.lock:`) in a cell that runs the model itself while a widget is computing.
    """

    def __init__(
        self,
        engine: Engine,
        selftest: SelfTest,
        name: str,
        vocabulary: Vocabulary,
        labels: Sequence[str] | None = None,
    ):
        self.engine, self.selftest, self.name, self.vocabulary = engine, selftest, name, vocabulary
        self.labels = list(labels) if labels else None
        """Names of the classes, where the model is a classifier."""
        self.pattern_budget = PATTERN_BUDGET
        """Bytes of attention patterns a run may keep; beyond it, a layer's patterns are recomputed when asked for."""

    # -- memory ---------------------------------------------------------------------------------------------------

    @property
    def batch_budget(self) -> int | None:
        """Bytes that the rows which go through the model together may take; what one row takes is estimated, on the safe side. None, the
        default, is 1 GiB on a CPU and half of what is free on a GPU. A budget below one row refuses the prompt (`OutOfMemoryError`)."""
        return self.engine.batch_budget

    @batch_budget.setter
    def batch_budget(self, value: int | None) -> None:
        if value is not None and (isinstance(value, bool) or not isinstance(value, Integral) or value < 1):
            raise AttnWidgetError(f"batch_budget must be a number of bytes of 1 or more, or None, not {value!r}.")
        self.engine.batch_budget = None if value is None else int(value)

    # -- facts ----------------------------------------------------------------------------------------------------

    @property
    def _anatomy(self) -> Anatomy:
        return self.engine.anatomy

    @property
    def source(self) -> torch.nn.Module:
        """The model that was handed in."""
        return self._anatomy.model

    @property
    def n_layers(self) -> int:
        return self._anatomy.n_layers

    @property
    def n_heads(self) -> int:
        return self._anatomy.n_heads

    @property
    def n_kv_heads(self) -> int:
        """Key-value heads; fewer than `n_heads` under grouped-query attention, where head h uses group h // (n_heads / n_kv_heads)."""
        return self._anatomy.n_kv_heads

    @property
    def d_head(self) -> int:
        return self._anatomy.d_head

    @property
    def n_ctx(self) -> int | None:
        """The longest prompt in tokens, or None where the model sets no limit."""
        return self._anatomy.n_ctx

    @property
    def causal(self) -> bool:
        """Whether a query sees only itself and earlier keys, as measured on attaching."""
        return self.selftest.causal

    @property
    def answer(self) -> Answer:
        """What the model's head predicts: "next" token, token at a "mask", "class" of the text, or "none"."""
        return self._anatomy.answer

    @property
    def processing(self) -> str:
        """ "weights as shipped" or "weights folded"; zero ablation depends on it through the value bias."""
        return self._anatomy.processing

    @property
    def device(self) -> torch.device:
        return self._anatomy.device

    @property
    def dtype(self) -> torch.dtype:
        return self._anatomy.dtype

    @property
    def precision(self) -> str:
        """The name of `dtype`, as results say it: "float32", "bfloat16"."""
        return str(self.dtype).removeprefix("torch.")

    @property
    def lock(self) -> threading.RLock:
        """Held during every pass through the model."""
        return self.engine.lock

    def refuses(self, mode: str) -> str | None:
        """Why an ablation mode is off for this model, or None where it is not."""
        if MODES[mode].acts_on == "pattern" and not self.selftest.edits_patterns:
            return f"Pattern edits do not reach this model, so {mode!r} is off: use 'zero', 'mean' or 'resample', or a TransformerBridge."
        return None

    # -- tokens ---------------------------------------------------------------------------------------------------

    def token_id(self, token: str | int) -> int:
        """The id of one token, given as its exact text or as an id; a class name or number for a classifier."""
        if self.labels is None:
            return self.vocabulary.id(token)
        if isinstance(token, str) and token in self.labels:
            return self.labels.index(token)
        if isinstance(token, Integral) and not isinstance(token, bool) and 0 <= token < len(self.labels):
            return int(token)
        raise TokenError(f"No class {token!r}: there are {', '.join(map(repr, self.labels[:20]))}, or 0 to {len(self.labels) - 1}.")

    def token(self, token_id: int) -> str:
        """The text of one token, or the name of a class for a classifier."""
        return self.labels[token_id] if self.labels is not None else self.vocabulary.text(token_id)

    def chat(self, messages: Sequence[Mapping]) -> str:
        """The text of chat messages, by the tokenizer's own template; its special tokens, BOS too where there is one, are in it."""
        return templated(self.vocabulary.tokenizer, messages)

    def encode(self, prompt: str | Sequence[int] | Sequence[Mapping], prepend_bos: bool | None = None) -> list[int]:
        """The ids of a prompt, checked against the model's context. `PromptError` where it is empty or too long."""
        if is_chat(prompt):
            # What the template begins with is all that belongs there.
            switch = False if self.vocabulary.bos_id is not None else None
            prompt, prepend_bos = self.chat(prompt), switch if prepend_bos is None else prepend_bos
        ids = self.vocabulary.encode(prompt, prepend_bos)
        if self.n_ctx is not None and len(ids) > self.n_ctx:
            over = len(ids) - self.n_ctx
            raise PromptTooLongError(
                f"Too long: {len(ids):,} tokens; {self.name} takes {self.n_ctx:,}. "
                f"Shorten the prompt by {over:,} tokens, or keep the end of it."
            )
        return ids

    # -- runs -----------------------------------------------------------------------------------------------------

    def run(self, prompt: str | Sequence[int] | Sequence[Mapping], *, prepend_bos: bool | None = None) -> Run:
        """One prompt through the model, with nothing ablated.

        `prompt` is a text, a list of token ids (taken as they are), or a list of chat messages, `[{"role": "user", "content": "..."}]`,
        to which the tokenizer's chat template is applied. `prepend_bos` switches the beginning-of-text token; None means as the model's
        published tokenizer does, or as a TransformerLens object handed in is set; for messages, as their template does.
        """
        ids = self.encode(prompt, prepend_bos)
        n = len(ids)
        require_row(self.engine, n)
        keep = self.selftest.reads_patterns and self.n_layers * self.n_heads * n * n * 4 <= self.pattern_budget
        wanted = [("pattern", layer) for layer in range(self.n_layers)] if keep else []
        recording = self.engine.record(torch.tensor([ids], device=self.device), wanted)
        text = self.chat(prompt) if is_chat(prompt) else prompt
        return Run(self, ids, recording, text if isinstance(text, str) else None)

    def __repr__(self) -> str:
        state = "SELF-TEST FAILED" if not self.selftest.passed else "self-test passed" if self.selftest.proved else "heads not proved"
        return (
            f"Model({self.name}: {self.n_layers} layers × {self.n_heads} heads, "
            f"{'causal' if self.causal else 'bidirectional'}, {self.vocabulary.special}, {self.processing}, "
            f"{self.precision}, {self.device}, {state})"
        )
