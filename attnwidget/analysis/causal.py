"""`causal_gain`: does ablating a head take away what the model gains from having seen the text before?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from numbers import Real

import numpy as np
import torch
from torch import Tensor

from .. import metrics
from ..ablation import make_ablation
from ..engine import Edit, wavefront
from ..errors import AttnWidgetError, ModelError
from ..heads import Head, HeadsLike, parse_heads
from ..model import Model
from ..run import Run
from .gain import CausalGain
from .kinds import detect_heads
from .method import Progress
from .repeats import Repeats, draw_repeats
from .thresholds import RULES


def causal_gain(
    model: Model,
    heads: HeadsLike | str | None = None,
    *,
    mode: str = "zero",
    share: float = 0.05,
    length: int | None = None,
    sequences: int = 8,
    seed: int = 0,
    prefix: Sequence[int] | None = None,
    progress: Progress | None = None,
) -> CausalGain:
    """The gain on BOS + r + r with each head ablated alone, exactly.

    `gain = mean_i log p(r_i | second copy) − mean_i log p(r_i | first copy)`, i = 2 … T, in nats, one number a prompt. A head matters where
    ablating it takes `share` or more of the gain and the interval of what it takes lies above 0: induction heads do, and so do the
    previous-token heads that they read from. Where several heads do the same thing, each alone may matter little.

    Args:
        heads: those to test; by default the candidates for induction heads, which are those that any threshold rule of `detect_heads` finds
            on the same prompts; `"all"` for every head. Recall against this test is known only when every head was tested.
        mode: what is done to a head, one of the modes that need no reference.
        share: from 0 to 1.
        length, sequences, seed, prefix: how the prompts are made, see `draw_repeats`.
        progress: `progress(done, total, text)` between chunks of ablations; what it raises ends the computation.

    Cost: one forward of 2T + 1 tokens for each prompt and each head, less the layers below the head. For SmolLM2-135M that is some 40
    forwards for the candidates, and 1,100 for all 270 heads.
    """
    if model.answer != "next":
        raise ModelError(f"The gain from a repeat is defined for models that predict the next token; {model.name} does not.")
    if not isinstance(share, Real) or isinstance(share, bool) or not 0 <= share <= 1:
        raise AttnWidgetError(f"share must be from 0 to 1, not {share!r}.")
    repeats = draw_repeats(model, length, sequences, seed, prefix)
    tested = _tested(model, heads, {"length": length, "sequences": sequences, "seed": seed, "prefix": prefix})
    clean = np.zeros(len(repeats.prompts))
    drops = np.full((len(repeats.prompts), model.n_layers, model.n_heads), np.nan)
    baseline, total = "", len(repeats.prompts) * len(tested)
    for row, ids in enumerate(repeats.prompts):
        run = model.run(ids)
        baseline = make_ablation(run, tested, mode).describe()
        clean[row] = _gain(_clean_logits(run, repeats), ids, repeats)
        done = row * len(tested)
        if progress is not None:
            progress(done, total, "Ablating heads on repeats")
        for indices, logits in wavefront(model.engine, run._recording, _variants(run, tested, mode), _positions(repeats)):
            for index, one in zip(indices, logits, strict=True):
                drops[row][tested[index]] = clean[row] - _gain(one, ids, repeats)
            done += len(indices)
            if progress is not None:
                progress(done, total, "Ablating heads on repeats")
    dtype = model.precision
    return CausalGain(clean, drops, tested, float(share), repeats.setting, baseline, model.processing, dtype)


def _tested(model: Model, heads: HeadsLike | str | None, prompts: dict) -> tuple[Head, ...]:
    if isinstance(heads, str) and heads == "all":
        return tuple(Head(layer, head) for layer in range(model.n_layers) for head in range(model.n_heads))
    if heads is None:
        found = detect_heads(model, "induction", **prompts)
        return tuple(sorted({head for rule in RULES for head in found.heads("induction", rule)}))
    return tuple(sorted(parse_heads(heads, model.n_layers, model.n_heads)))


def _variants(run: Run, heads: Sequence[Head], mode: str) -> Iterator[list[Edit]]:
    for head in heads:
        yield make_ablation(run, [head], mode).edits(run)


def _positions(repeats: Repeats) -> list[int]:
    return [at for copy in repeats.copied for at in copy]


def _clean_logits(run: Run, repeats: Repeats) -> Tensor:
    # Through the same path as the ablated rows, so that what a head does not touch cancels to the bit.
    ((_, logits),) = wavefront(run.model.engine, run._recording, [[]], _positions(repeats))
    return logits[0]


def _gain(logits: Tensor, ids: Sequence[int], repeats: Repeats) -> float:
    """From logits [position, vocabulary] at the positions of both copies."""
    following = torch.tensor([ids[at + 1] for at in _positions(repeats)])
    log_probs = metrics.log_probabilities(logits)
    picked = log_probs.gather(-1, following.to(log_probs.device)[:, None])[:, 0]
    first, second = picked.chunk(2)
    return (second.mean() - first.mean()).item()
