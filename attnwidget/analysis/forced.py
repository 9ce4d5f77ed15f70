"""Clean against ablated on the same generated tokens: what can be compared where the texts that they would write differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from .. import metrics
from ..engine.interrupt import checkpoint
from ..run import AblatedRun
from .generation import Forced, Side
from .outcome import Pair
from .streams import ablation_from, is_local, on_text

_CHUNK = 32  # positions whose logits are in memory at once: several copies in float64

# A causal pattern's rows do not change when the text goes on. These modes draw anew for each length, and `permute` reaches ahead.
_BY_PREFIX = frozenset({"random", "permute"})


def forced(run: AblatedRun, ids: Sequence[int], on: Side) -> Forced:
    """`Forced` of the generated tokens of `ids`, which begin with the prompt of `run`: each is predicted after the ones before it by the
    clean model and, ablated just as in its own generation, by the ablated one."""
    n = len(run.ids)
    targets = torch.tensor(ids[n:])
    kl, changed, clean_log_probs, ablated_log_probs = [], [], [], []
    done = 0
    for clean, ablated in _predictions(run, ids):
        checkpoint()
        now = targets[done : done + len(clean)]
        done += len(clean)
        kl.append(metrics.kl_rows(clean, ablated).cpu())
        changed.append((clean.argmax(-1) != ablated.argmax(-1)).cpu())
        for rows, kept in ((clean, clean_log_probs), (ablated, ablated_log_probs)):
            log_probs = metrics.log_probabilities(rows)
            kept.append(log_probs.gather(-1, now[:, None].to(log_probs.device))[:, 0].cpu())
    return Forced(
        on=on,
        tokens=done,
        kl=torch.cat(kl).mean().item(),
        perplexity=Pair(metrics.perplexity(torch.cat(clean_log_probs)), metrics.perplexity(torch.cat(ablated_log_probs))),
        top1_changed=torch.cat(changed).double().mean().item(),
    )


def _predictions(run: AblatedRun, ids: Sequence[int]) -> Iterator[tuple[Tensor, Tensor]]:
    """Logits [some positions, vocabulary] of the clean and the ablated model, in chunks, from the last position of the prompt on."""
    model, n = run.model, len(run.ids)
    if run.ablation.mode in _BY_PREFIX:
        for end in range(n, len(ids)):
            prefix = on_text(run, ids[:end])
            yield prefix.clean.logits_at(-1)[None], prefix.logits_at(-1)[None]
        return
    if is_local(run):
        recording = model.engine.record(torch.tensor([list(ids)], device=model.device))
        finals = recording.resid[-1], model.engine.resume(recording, ablation_from(run)(0), keep="last").resid[-1]
    else:
        text = on_text(run, ids)
        recording, finals = text._recording, (text.clean._resid[-1], text._resid[-1])
    for start in range(n - 1, len(ids) - 1, _CHUNK):
        at = list(range(start, min(start + _CHUNK, len(ids) - 1)))
        clean, ablated = (model.engine.logits(recording, final, at)[0] for final in finals)
        yield clean, ablated
