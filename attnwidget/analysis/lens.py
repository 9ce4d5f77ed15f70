"""The logit lens: what the model would answer if it ended after each layer, at each position."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ..drawable import Drawable
from ..engine.interrupt import checkpoint
from ..engine.memory import halving
from ..engine.midpoint import has_midpoint, resid_mid
from ..errors import ModelError
from ..markup import html_table
from ..metrics import best
from ..run import AblatedRun, Run
from .frozen import freeze
from .measure import named
from .wording import half

Progress = Callable[[int, int, str], None]
_CHUNK = 128  # positions whose logits are in memory at once, as in `run.py`


@dataclass(frozen=True)
class LensPoint:
    """Where the residual stream is read: what enters the first block ("embed", layer -1), what leaves a layer's attention ("attn"), or
    what leaves a layer ("layer")."""

    layer: int
    site: str
    label: str


@dataclass(frozen=True)
class LogitLens(Drawable):
    """The tail of the model (final norm, unembedding, soft-cap: its own code) over the residual stream `x` at each point and position.

    Arrays are [point, position], float32 unless said otherwise; `top_ids` and `top_probabilities` are [point, position, k], the most
    probable token first. The last point is what the model answers. Entropy and KL are in nats; `kl` is `KL(p_end || p_point)`, from what
    this run answers in the end to what it would answer here. `target_ids` [position] says whose probability and rank (1 is the first
    choice) are given. Early layers were not trained to be read this way: a low rank there is weak evidence that a token is not known.
    nostalgebraist 2020, "interpreting GPT: the logit lens".
    """

    points: tuple[LensPoint, ...]
    positions: tuple[int, ...]
    tokens: tuple[str, ...]
    target_ids: np.ndarray
    target_tokens: tuple[str, ...]
    top_ids: np.ndarray
    top_tokens: dict[int, str]
    top_probabilities: np.ndarray
    target_probability: np.ndarray
    target_rank: np.ndarray
    entropy: np.ndarray
    kl: np.ndarray
    note: str
    dtype: str = ""

    def __post_init__(self) -> None:
        freeze(self, "target_ids", "top_ids", "top_probabilities", "target_probability", "target_rank", "entropy", "kl")

    def to_frame(self) -> pd.DataFrame:
        """One row per point and position: layer, site, position, token, top, probability, target, target_probability, target_rank,
        entropy, kl. `attrs` says how it was made."""
        frame = pd.DataFrame(
            [
                {
                    "layer": point.layer,
                    "site": point.site,
                    "position": position,
                    "token": self.tokens[j],
                    "top": self.top_tokens[int(self.top_ids[i, j, 0])],
                    "probability": float(self.top_probabilities[i, j, 0]),
                    "target": self.target_tokens[j],
                    "target_probability": float(self.target_probability[i, j]),
                    "target_rank": int(self.target_rank[i, j]),
                    "entropy": float(self.entropy[i, j]),
                    "kl": float(self.kl[i, j]),
                }
                for i, point in enumerate(self.points)
                for j, position in enumerate(self.positions)
            ]
        )
        frame.attrs = {"note": self.note, "dtype": self.dtype}
        return frame

    def table(self) -> pd.DataFrame:
        """The first choices, one row per point and one column per position."""
        columns = pd.MultiIndex.from_tuples(list(zip(self.positions, self.tokens, strict=True)), names=["position", "token"])
        firsts = [[self.top_tokens[int(i)] for i in row] for row in self.top_ids[:, :, 0]]
        return pd.DataFrame(firsts, index=[point.label for point in self.points], columns=columns)

    def __repr__(self) -> str:
        answer = self.top_tokens[int(self.top_ids[-1, -1, 0])]
        return f"LogitLens({len(self.points)} points × {len(self.positions)} positions; in the end {answer!r}{half(self.dtype)})"

    def _repr_html_(self) -> str:
        return html_table(self.table())


def refused_lens(run_or_answer: Run | str) -> str | None:
    """Why a model has no lens, or None where it has one."""
    answer = run_or_answer if isinstance(run_or_answer, str) else run_or_answer.model.answer
    if answer == "none":
        return "This model has no unembedding, so its stream cannot be read as tokens: load it with its head (…ForCausalLM, …ForMaskedLM)."
    if answer == "class":
        return "This model answers with classes of the whole text, not with a token at each position, so there is no logit lens of it."
    return None


def logit_lens(
    run: Run,
    positions: Sequence[int] | int | None = None,
    *,
    target: str | int | None = None,
    k: int = 5,
    middle: bool = True,
    progress: Progress | None = None,
) -> LogitLens:
    """The logit lens of `run` (clean, or ablated) at `positions` (default: all).

    `target` is the token whose probability and rank are followed; None follows, at each position, what the clean run answers there in
    the end. With `middle`, each layer is also read after its attention, where the architecture has that point (pre-norm blocks; parallel
    and post-norm ones have not). The last point equals the model's own output to the bit. `ModelError` where the model's answer is not a
    token at each position.
    """
    model = run.model
    if (reason := refused_lens(run)) is not None:
        raise ModelError(reason)
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= model.vocabulary.size:
        raise ModelError(f"k must be a whole number from 1 to {model.vocabulary.size}, not {k!r}.")
    at = _positions(run, positions)
    middle = middle and has_midpoint(model.engine, run._recording)
    points = _points(model.n_layers, middle)
    streams = [_stream(run, point) for point in points[:-1]]
    wanted = model.token_id(target) if named(target) else None
    parts: list[list[dict[str, np.ndarray]]] = []
    targets: list[Tensor] = []
    total = len(points) * -(-len(at) // _CHUNK)

    def some(positions: Sequence[int]) -> tuple[list[dict[str, np.ndarray]], Tensor]:
        read = _Reader(run, positions, k)
        final = read.logits(run._resid[-1])
        clean = final if run.clean is run else read.logits(run.clean._resid[-1])
        now = _best(clean, 1)[:, 0] if wanted is None else torch.full((len(final),), wanted, device=final.device)
        end, rows = _log_probabilities(final), []

        def tell() -> None:
            checkpoint()
            if progress is not None:
                progress(min(total, len(parts) * len(points) + len(rows)), total, f"Reading {points[len(rows)].label}")

        def those(streams: Sequence[Tensor]) -> list[dict[str, np.ndarray]]:
            tell()
            return [read.row(logits, end, now) for logits in read.each(torch.cat(streams))]

        for found in halving(those, streams, read.at_once):
            rows += found
        return [*rows, read.row(final, end, now)], now

    # A few positions at a time, from the first point to the last: logits of all of a long prompt are gigabytes.
    for rows, now in halving(some, at, _CHUNK):
        parts.append(rows)
        targets.append(now)
    stacked = {name: np.concatenate([np.stack([row[name] for row in rows]) for rows in parts], axis=1) for name in parts[0][0]}
    ids = sorted({int(i) for i in stacked["top_ids"].ravel()})
    return LogitLens(
        points=points,
        positions=tuple(at),
        tokens=tuple(run.tokens[p] for p in at),
        target_ids=torch.cat(targets).cpu().numpy(),
        target_tokens=tuple(model.token(int(i)) for i in torch.cat(targets)),
        top_tokens={i: model.token(i) for i in ids},
        note=_note(run),
        dtype=model.precision,
        **stacked,
    )


class _Reader:
    """The tail of the model over a few positions of a stream, and the numbers read off it."""

    def __init__(self, run: Run, at: list[int], k: int):
        self.run, self.at, self.k = run, at, k
        one_by_one = run.model.engine.max_rows is not None
        #: Points whose logits are in memory together: for a few positions most of a pass is not the matrix product.
        self.at_once = 1 if one_by_one else max(1, _CHUNK // (len(at) if run.model.engine.tail_by_position else len(run.ids)))

    def each(self, streams: Tensor) -> Sequence[Tensor]:
        """[position, vocabulary] of each of a few streams [point, position, d_model]."""
        if len(streams) == 1:
            return [self.logits(streams)]
        return self.run.model.engine.logits(self.run._recording, streams, self.at)

    def logits(self, stream: Tensor) -> Tensor:
        """[position, vocabulary], in passes of just the shape in which the run computes its own logits, so that they agree to the bit."""
        run, engine = self.run, self.run.model.engine
        if self.at == list(range(len(run.ids))) or not engine.tail_by_position:
            return engine.logits(run._recording, stream)[0][self.at]
        return engine.logits(run._recording, stream, self.at)[0]

    def row(self, logits: Tensor, end: Tensor, targets: Tensor) -> dict[str, np.ndarray]:
        """The numbers of one point; `end` are the log-probabilities of the run's answer."""
        if logits.isnan().any():
            raise ModelError(f"{self.run.model.name} answers with what is no number here: ablate less, or otherwise.")
        logp = _log_probabilities(logits)
        p = logp.exp()
        wanted = targets[:, None].to(logits.device)
        top = _best(logits, self.k)
        kl = torch.where(end.exp() == 0, 0.0, end.exp() * (end - logp)).sum(-1).clamp_min(0)
        entropy = -torch.where(p == 0, 0.0, p * logp).sum(-1)
        numbers = {
            "top_probabilities": p.gather(-1, top),
            "target_probability": p.gather(-1, wanted)[:, 0],
            "target_rank": (logits > logits.gather(-1, wanted)).sum(-1) + 1,
            "entropy": entropy.clamp_min(0),
            "kl": kl,
        }
        found = {name: value.float().cpu().numpy() for name, value in numbers.items()}
        found["target_rank"] = found["target_rank"].astype(np.int64)
        return found | {"top_ids": top.cpu().numpy()}


def _best(logits: Tensor, k: int) -> Tensor:
    """[position, k]: as `metrics.best`, which is slow for thousands of rows and differs from `topk` only where logits are equal."""
    most = logits.topk(min(k + 1, logits.shape[-1])).values
    if bool((most.diff(dim=-1) == 0).any()):
        return torch.tensor([best(row, k) for row in logits], device=logits.device)
    return logits.topk(k).indices


def _stream(run: Run, point: LensPoint) -> Tensor:
    if point.site == "attn":
        return resid_mid(run.model.engine, run._recording, point.layer, run._resid[point.layer], run._edits)
    return run._resid[point.layer + 1]


def _points(n_layers: int, middle: bool) -> tuple[LensPoint, ...]:
    points = [LensPoint(-1, "embed", "embed")]
    for layer in range(n_layers):
        if middle:
            points.append(LensPoint(layer, "attn", f"L{layer} attn"))
        points.append(LensPoint(layer, "layer", f"L{layer}"))
    return tuple(points)


def _positions(run: Run, positions: Sequence[int] | int | None) -> list[int]:
    if positions is None:
        return list(range(len(run.ids)))
    given = [positions] if isinstance(positions, int) else list(positions)
    if not given:
        raise ModelError(f"No positions were given: leave positions=None for all, or name some of 0 to {len(run.ids) - 1}.")
    return [run.position(p) for p in given]


def _log_probabilities(logits: Tensor) -> Tensor:
    # A table of tens of thousands of rows: float32, whose sums over a vocabulary are right to six figures.
    return logits.float().log_softmax(-1)


def _note(run: Run) -> str:
    model = run.model
    what = f"{run.ablation.describe()}, " if isinstance(run, AblatedRun) and run.heads else ""
    dtype = model.precision
    return f"The model's own final norm and unembedding over the stream at each point, {what}{model.processing}, {dtype}."
