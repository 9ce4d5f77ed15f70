"""`Run`: one prompt through the model. `AblatedRun`: the same prompt with heads ablated, which knows its clean parent.

A run keeps the residual stream entering each block, not the patterns: patterns and `z` of a layer are recomputed from it when
asked for (one block, not one forward), and kept while they fit the model's byte budget. Runs are immutable.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property
from numbers import Integral
from typing import TYPE_CHECKING

import pandas as pd
import torch
from torch import Tensor

from . import metrics
from .ablation import Ablation, make_ablation
from .drawable import Drawable
from .engine import Edit, Recording
from .engine.interrupt import checkpoint
from .errors import ModeError, ModelError, PositionError
from .heads import Head, HeadLike, HeadsLike, parse_head
from .runframe import run_frame

if TYPE_CHECKING:
    from circuitsvis.utils.render import RenderedHTML

    from .model import Model

# Positions whose logits are in memory at once when every position is asked for: 49,152 tokens x 128 x 4 bytes = 25 MB.
_CHUNK = 128
_KEPT_Z = 4  # layers
_KEPT_ROWS = 64  # positions
_KEPT_LOGITS = 64 * 2**20  # bytes of the logits of every position, beyond which they are computed anew when asked for


class Run(Drawable):
    """A prompt, run. Make one with `model.run(prompt)`, and variants of it with `run.ablate(heads)`.

    Positions are 0-based and may be negative, counted from the end. Where a method takes `position`, the default is the last
    token, or the first mask for a masked-language model. Tokens are exact texts (" Mary" has its space) or ids.
    """

    def __init__(self, model: Model, ids: Sequence[int], recording: Recording, text: str | None = None):
        self.model, self.ids, self._recording = model, tuple(ids), recording
        self._text = text
        self._resid = recording.resid
        self._edits: list[Edit] = []
        self._zs: OrderedDict[int, Tensor] = OrderedDict()
        self._rows: dict[int, Tensor] = {}
        self._whole: Tensor | None = None
        self._patterns: OrderedDict[int, Tensor] = OrderedDict(
            (layer, value[0]) for (site, layer), value in recording.captured.items() if site == "pattern"
        )

    # -- the prompt -----------------------------------------------------------------------------------------------

    @cached_property
    def tokens(self) -> list[str]:
        """The text of each token, leading spaces kept."""
        return [self.model.vocabulary.text(i) for i in self.ids]

    @property
    def text(self) -> str:
        """The prompt as given, or its tokens joined where it was given as ids."""
        return self._text if self._text is not None else "".join(self.tokens)

    @property
    def prepend_bos(self) -> bool | None:
        """Whether the prompt starts with BOS; None where there is no BOS to switch."""
        bos = self.model.vocabulary.bos_id
        return None if bos is None else self.ids[0] == bos

    @property
    def clean(self) -> Run:
        """The run of the same prompt with nothing ablated: this one."""
        return self

    @property
    def ablation(self) -> Ablation:
        """What was ablated: nothing."""
        return Ablation()

    @property
    def outdated(self) -> bool:
        """Whether the model's weights have changed since: what is resumed from this run would then mix two models."""
        return self._recording.weights != self.model.engine.weights()

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def nbytes(self) -> int:
        """Bytes of activations that this run keeps at the moment: the residual stream entering each block, patterns and outputs of a few
        layers, logits. What it has from its clean parent is counted there."""
        with self.model.lock:
            kept = [*self._resid, *self._patterns.values(), *self._zs.values(), *self._rows.values()]
            kept += [] if self._whole is None else [self._whole]
        shared = set() if self.clean is self else {tensor.data_ptr() for tensor in self.clean._resid}
        return sum({tensor.data_ptr(): _bytes(tensor) for tensor in kept if tensor.data_ptr() not in shared}.values())

    def position(self, position: int | None = None) -> int:
        """A position from 0 to len - 1; `PositionError` outside. None is the one the model answers at."""
        if position is None:
            return self._answers_at
        n = len(self.ids)
        if isinstance(position, bool) or not isinstance(position, Integral) or not -n <= position < n:
            raise PositionError(f"No position {position!r}: this prompt has {n} tokens, positions 0 to {n - 1} (or -1 for the last).")
        return int(position) % n

    @cached_property
    def _answers_at(self) -> int:
        mask = getattr(self.model.vocabulary.tokenizer, "mask_token_id", None)
        if self.model.answer == "mask" and mask in self.ids:
            return self.ids.index(mask)
        return len(self.ids) - 1

    # -- activations ----------------------------------------------------------------------------------------------

    def resid_pre(self, layer: int) -> Tensor:
        """The residual stream entering block `layer`, [position, d_model]; `layer = n_layers` is what the last block returns."""
        if not 0 <= layer <= self.model.n_layers:
            raise PositionError(f"No layer {layer}: layers run from 0 to {self.model.n_layers - 1}, and {self.model.n_layers} is the end.")
        return self._resid[layer][0].clone()

    def patterns(self, layer: int) -> Tensor:
        """The attention patterns of a layer as they act in this run, [head, query, key]; rows sum to 1 (sinks aside)."""
        # A copy: whoever hides a column in it, as everyone does with the first, must not rewrite the run.
        return self._patterns_of(parse_head((layer, 0), self.model.n_layers, self.model.n_heads).layer).clone()

    def pattern(self, head: HeadLike) -> Tensor:
        """The attention pattern of one head as it acts in this run, [query, key]."""
        layer, index = self._head(head)
        return self._patterns_of(layer)[index].clone()

    def _patterns_of(self, layer: int) -> Tensor:
        """Those of a layer as the run keeps them, [head, query, key]: not to be written to."""
        if not self.model.selftest.reads_patterns:
            raise ModelError("Attention patterns cannot be read from this model: hand it in as a TransformerBridge to see them.")
        with self.model.lock:  # two threads may ask at once: a widget's worker and a cell
            if layer not in self._patterns:
                self._keep_pattern(layer, self._capture("pattern", layer))
            self._patterns.move_to_end(layer)
            return self._patterns[layer]

    def z(self, layer: int) -> Tensor:
        """The heads' outputs before the out-projection, as they act in this run, [position, head, d_head]."""
        layer = parse_head((layer, 0), self.model.n_layers, self.model.n_heads).layer
        return self._z(layer).clone()

    def _z(self, layer: int) -> Tensor:
        # The last few layers: a mean over many references asks for the z of one layer once per head.
        with self.model.lock:
            if layer not in self._zs:
                self._zs[layer] = self._capture("z", layer)
                while len(self._zs) > _KEPT_Z:
                    self._zs.popitem(last=False)
            return self._zs[layer]

    def _capture(self, site: str, layer: int) -> Tensor:
        edits = [edit for edit in self._edits if edit.layer <= layer]
        passed = self.model.engine.resume(
            self._recording, edits, start=layer, stop=layer + 1, resid=self._resid[layer], capture=[(site, layer)]
        )
        return passed.captured[site, layer][0]

    def _keep_pattern(self, layer: int, pattern: Tensor) -> None:
        self._patterns[layer] = pattern
        while len(self._patterns) > 1 and len(self._patterns) * _bytes(pattern) > self.model.pattern_budget:
            self._patterns.popitem(last=False)

    def _head(self, head: HeadLike) -> Head:
        return parse_head(head, self.model.n_layers, self.model.n_heads)

    # -- the answer -----------------------------------------------------------------------------------------------

    @property
    def logits(self) -> Tensor:
        """[position, vocabulary]; [1, class] for a classifier; hidden states for a model without a head. Those of a long prompt, 400 MB for
        2,048 tokens and 49,152 words, are computed anew each time."""
        logits = self._logits
        return logits.clone() if logits is self._whole else logits

    @property
    def _logits(self) -> Tensor:
        """The same, not to be written to; kept while they are few."""
        if self._whole is not None:
            return self._whole
        logits = self.model.engine.logits(self._recording, self._resid[-1])[0]
        logits = logits if logits.dim() == 2 else logits[None]
        if _bytes(logits) <= _KEPT_LOGITS:
            self._whole = logits
        return logits

    def logits_at(self, position: int | None = None) -> Tensor:
        """[vocabulary] at one position, without computing the others; [class] for a classifier, whatever the position."""
        if self.model.answer == "none":
            raise ModelError(f"{self.model.name} has no head that answers: load it with one (…ForCausalLM, …ForMaskedLM, …).")
        if self.model.answer == "class":
            return self._logits[0].clone()
        at = self.position(position)
        if not self.model.engine.tail_by_position:
            return self._logits[at].clone()
        # Not from `logits` even where they are there: all positions at once are rounded otherwise than one, and the clean and
        # the ablated run, each with its own history, must agree to the bit where nothing was changed.
        if at not in self._rows:
            row = self.model.engine.logits(self._recording, self._resid[-1], [at])[0, 0]
            with self.model.lock:
                self._rows[at] = row
                while len(self._rows) > _KEPT_ROWS:
                    self._rows.pop(next(iter(self._rows)))
            return row.clone()
        return self._rows[at].clone()

    def top(self, k: int = 10, position: int | None = None) -> pd.DataFrame:
        """The `k` most probable tokens (or classes): columns token, id, probability, logit."""
        row = self.logits_at(position)
        if isinstance(k, bool) or not isinstance(k, Integral) or k < 1:
            raise ModelError(f"k must be a whole number from 1 to {len(row)}, not {k!r}.")
        best = row.topk(min(k, len(row))).indices.tolist()
        log_probs = metrics.log_probabilities(row)
        return pd.DataFrame(
            {
                "token": [self.model.token(i) for i in best],
                "id": best,
                "probability": [log_probs[i].exp().item() for i in best],
                "logit": [row[i].item() for i in best],
            }
        )

    def probability(self, token: str | int, position: int | None = None) -> float:
        """The probability of `token` at `position`."""
        return metrics.probability(self.logits_at(position), self.model.token_id(token))

    def rank(self, token: str | int, position: int | None = None) -> int:
        """1 when `token` is the first choice at `position`."""
        return metrics.rank(self.logits_at(position), self.model.token_id(token))

    def logit_diff(self, target: str | int, against: str | int, position: int | None = None) -> float:
        """`logit(target) - logit(against)` at `position`."""
        row = self.logits_at(position)
        return row[self.model.token_id(target)].item() - row[self.model.token_id(against)].item()

    def entropy(self, position: int | None = None) -> float:
        """Entropy of the prediction at `position`, in nats."""
        return metrics.entropy(self.logits_at(position))

    def perplexity(self) -> float:
        """`exp(-mean log p(next token))` over the prompt itself, teacher-forced; NaN for a prompt of one token."""
        if self.model.answer != "next":
            raise ModelError(f"Perplexity is defined for models that predict the next token; {self.model.name} does not.")
        return metrics.perplexity(self._teacher_forced[0])

    @cached_property
    def _teacher_forced(self) -> tuple[Tensor, Tensor]:
        """log p of each next token [position - 1], and the first choice at each position [position]."""
        n, log_probs, first = len(self.ids), [], []
        ids = torch.tensor(self.ids, device=self.model.device)
        for start in range(0, n, _CHUNK):
            checkpoint()
            at = list(range(start, min(start + _CHUNK, n)))
            rows = self.model.engine.logits(self._recording, self._resid[-1], at)[0]
            first.append(rows.argmax(-1))
            followed = [p for p in at if p + 1 < n]
            if followed:
                picked = metrics.log_probabilities(rows[: len(followed)])
                log_probs.append(picked.gather(-1, ids[[p + 1 for p in followed]][:, None].to(picked.device))[:, 0])
        return torch.cat(log_probs) if log_probs else torch.empty(0), torch.cat(first)

    # -- elsewhere ------------------------------------------------------------------------------------------------

    def to_frame(self) -> pd.DataFrame:
        """A row per token: position, token, id, `first_choice` there and `next_log_probability`, log p of the prompt's own next token
        (nats, NaN at the last; only where the model predicts it). With heads ablated also those of the clean run, as `clean_...`."""
        return run_frame(self)

    def to_circuitsvis(self, kind: str = "attention_heads", **options: object) -> RenderedHTML:
        """One of CircuitsVis's own views, filled with this run.

        Args:
            kind: `attention_heads`, `attention_patterns`, `attention_pattern` (of one head): the patterns as they act in this run.
                `colored_tokens`, `colored_tokens_multi`: a number for each token, `values=` [token] or [token, kind of value] with
                `labels=`, or where `heads=` look from `query=` (their mean, or a column each). `token_log_probs` (with `top_k=`),
                `model_performance`: how well each next token is predicted; CircuitsVis leaves the first one out.
            layer, heads: all heads of one layer, or the heads named; neither: all. Above 250,000 values it warns.
        """
        from .export.circuitsvis import to_circuitsvis

        return to_circuitsvis(self, kind, **options)

    # -- variants -------------------------------------------------------------------------------------------------

    def ablate(
        self,
        heads: HeadsLike,
        mode: str = "zero",
        *,
        positions: Sequence[int] | int | None = None,
        reference: object = None,
        scale: float = 0.0,
        threshold: float = 0.1,
        seed: int = 0,
    ) -> AblatedRun:
        """The same prompt with `heads` ablated; `mode` and its parameters are described in `attnwidget.ablation`.

        `reference` is a text, a list of texts or clean `Run`s: the prompts `mean` averages over, or the one `resample` takes z from.
        Ablations do not add up: on a run that is ablated already this starts again from its clean parent, with `heads` alone.
        """
        runs = self._references(reference)
        ablation = make_ablation(self.clean, heads, mode, positions=positions, reference=runs, scale=scale, threshold=threshold, seed=seed)
        return AblatedRun(self.clean, ablation)

    def _references(self, reference: object) -> tuple[Run, ...] | None:
        if reference is None:
            return None
        try:
            given = [reference] if isinstance(reference, (str, Run)) else list(reference)
        except TypeError:
            raise ModeError(f"reference= takes a text, a list of texts or runs, not {reference!r}.") from None
        if any(isinstance(item, AblatedRun) and item.heads for item in given):
            raise ModeError("reference= takes clean runs, and this one has heads ablated: give its .clean, or the prompt's text.")
        return tuple((item if isinstance(item, Run) else self.model.run(item, prepend_bos=self.prepend_bos)).clean for item in given)

    def __repr__(self) -> str:
        return f"Run({self.model.name}: {len(self.ids)} tokens, {self._short})"

    @property
    def _short(self) -> str:
        return repr(self.text if len(self.text) <= 60 else self.text[:57] + "…")


def _bytes(tensor: Tensor) -> int:
    return tensor.element_size() * tensor.nelement()


class AblatedRun(Run):
    """A prompt, run with heads ablated. Its metrics compare it with `clean`, on the same tokens (teacher-forced)."""

    def __init__(self, clean: Run, ablation: Ablation):
        super().__init__(clean.model, clean.ids, clean._recording, clean._text)
        self._clean, self._ablation = clean, ablation
        self._patterns = OrderedDict()
        self._edits = ablation.edits(clean)
        if self._edits:
            passed = clean.model.engine.resume(clean._recording, self._edits)
            self._resid = clean._resid[: passed.start] + passed.resid

    @property
    def clean(self) -> Run:
        """The run of the same prompt with nothing ablated."""
        return self._clean

    @property
    def ablation(self) -> Ablation:
        """What was ablated, how and where."""
        return self._ablation

    @property
    def heads(self) -> tuple[Head, ...]:
        """The heads that are ablated."""
        return self._ablation.heads

    def _patterns_of(self, layer: int) -> Tensor:
        if not self._ablation.heads or layer < self._ablation.heads[0].layer:
            return self._clean._patterns_of(layer)
        return super()._patterns_of(layer)

    def kl(self, position: int | None = None) -> float:
        """`KL(clean || ablated)` of the prediction at `position`, in nats."""
        return metrics.kl(self._clean.logits_at(position), self.logits_at(position))

    def top1_changed(self) -> float:
        """The share of positions whose first choice differs from the clean run's, from 0 to 1."""
        if self.model.answer in ("class", "none"):
            return float(self.logits_at().argmax() != self._clean.logits_at().argmax())
        return (self._teacher_forced[1] != self._clean._teacher_forced[1]).double().mean().item()

    def perplexity_delta(self) -> float:
        """`perplexity(ablated) - perplexity(clean)` on the same tokens; positive means the heads helped."""
        return self.perplexity() - self._clean.perplexity()

    def __repr__(self) -> str:
        if not self.heads:
            return f"AblatedRun(nothing ablated; {self._short})"
        names = ", ".join(map(str, self.heads[:6])) + (", …" if len(self.heads) > 6 else "")
        if self.model.answer == "none":
            return f"AblatedRun({names}: {self._ablation.describe()}; {self._short})"
        kl = "undefined" if math.isnan(kl := self.kl()) else f"{kl:.4g} nats"
        return f"AblatedRun({names}: {self._ablation.describe()}; KL {kl}; {self._short})"
