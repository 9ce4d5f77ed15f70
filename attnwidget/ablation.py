"""What can be done to a head: ten modes, each with its formula, and the `Ablation` that names heads, mode and parameters.

A mode acts on the head's output `z` [position, d_head], before the out-projection, or on its attention pattern [query, key]. It acts at
all positions unless positions are given. Which reference or seed was used is part of the ablation and of its description.
Everything a mode needs besides `z` itself is read from the clean run, so the result does not depend on the order of heads.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from numbers import Integral, Real
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from .engine import Edit
from .errors import ModeError, PositionError
from .heads import Head, HeadsLike, parse_heads

if TYPE_CHECKING:
    from .run import Run

Param = Literal["scale", "threshold", "seed", "reference"]


@dataclass(frozen=True)
class Mode:
    """One thing that can be done to a head. `make(run, ablation, head)` gives, per head, a function of `z` [row, position, d_head]
    (for `acts_on="z"`) or the new pattern [query, key] itself (for `acts_on="pattern"`)."""

    name: str
    label: str
    acts_on: Literal["z", "pattern"]
    formula: str
    params: tuple[Param, ...]
    make: Callable[[Run, Ablation, Head], Callable[[Tensor], Tensor] | Tensor]
    __doc__: str | None = None


MODES: dict[str, Mode] = {}


def _mode(name: str, acts_on: Literal["z", "pattern"], formula: str, *params: Param) -> Callable:
    def register(make: Callable) -> Callable:
        MODES[name] = Mode(name, name.replace("_", " "), acts_on, formula, params, make, make.__doc__)
        return make

    return register


@dataclass(frozen=True)
class Ablation:
    """Heads, what is done to them, where, and with which parameters. Build it with `Run.ablate`, which checks it."""

    heads: tuple[Head, ...] = ()
    mode: str = "zero"
    positions: tuple[int, ...] | None = None
    """Query positions acted on, 0-based; None means all."""
    scale: float = 0.0
    threshold: float = 0.1
    seed: int = 0
    reference: Run | tuple[Run, ...] | None = None

    def describe(self) -> str:
        """One line that says what was done: "z set to its mean over 3 reference prompts, at all positions"."""
        done = _DONE[self.mode].format(scale=f"{self.scale:g}", threshold=f"{self.threshold:g}", seed=self.seed, of=self._of())
        if self.positions is None:
            return f"{done} at all positions"
        some = ", ".join(map(str, self.positions[:5])) + (", …" if len(self.positions) > 5 else "")
        return f"{done} at position{'s' if len(self.positions) > 1 else ''} {some}"

    def edits(self, run: Run) -> list[Edit]:
        """The engine's edits for these heads on `run`, one per layer and site."""
        mode, layers = MODES[self.mode], sorted({head.layer for head in self.heads})
        return [self._edit(run, mode, layer) for layer in layers]

    def changes(self, run: Run) -> bool:
        """False where `run` has to the bit what would be put there already: of z that is taken from another prompt."""
        return self.mode != "resample" or self.reference is None or differs(run, self.reference, self.heads, self.positions)

    def _edit(self, run: Run, mode: Mode, layer: int) -> Edit:
        made = {h.head: mode.make(run, self, h) for h in self.heads if h.layer == layer}
        where = slice(None) if self.positions is None else list(self.positions)

        def on_z(z: Tensor) -> Tensor:
            new = z.clone()
            for head, function in made.items():
                new[:, where, head] = function(z[:, :, head])[:, where].to(z)
            return new

        def on_pattern(pattern: Tensor) -> Tensor:
            new = pattern.clone()
            for head, replacement in made.items():
                new[:, head, where] = replacement[where].to(pattern.dtype).to(pattern.device)
            return new

        return Edit(layer, mode.acts_on, on_z if mode.acts_on == "z" else on_pattern)

    def _of(self) -> str:
        if self.reference is None:
            return "this prompt's own positions" + (" without BOS" if "mean" in self.mode else "")
        if isinstance(self.reference, tuple):
            n = len(self.reference)
            return f"{n} reference prompt{'s' if n > 1 else ''}, {sum(len(_content(r)) for r in self.reference)} positions, without BOS"
        return f"the run on {_short(self.reference.text)}"


def differs(run: Run, source: Run, heads: Sequence[Head], positions: Sequence[int] | None = None) -> bool:
    """Whether some head's z, as it acts in two runs of one length, is not the same to the bit at `positions`."""
    where = slice(None) if positions is None else list(positions)
    pairs = ((run._z(h.layer)[where, h.head], source._z(h.layer)[where, h.head]) for h in heads)
    return any(not torch.equal(a, b) for a, b in pairs)


_DONE = {
    "zero": "z set to zero",
    "scale": "z multiplied by {scale}",
    "mean": "z set to its mean over {of}",
    "resample": "z taken from {of}",
    "uniform": "pattern set to uniform",
    "previous": "pattern taken from the same head one layer down",
    "random": "pattern drawn at random, seed {seed}",
    "permute": "z permuted over positions, seed {seed}",
    "sparsify": "entries of z below {threshold} set to zero",
    "first_token": "pattern set to the first token",
}


def make_ablation(
    run: Run,
    heads: HeadsLike,
    mode: str = "zero",
    *,
    positions: Sequence[int] | int | None = None,
    reference: tuple[Run, ...] | None = None,
    scale: float = 0.0,
    threshold: float = 0.1,
    seed: int = 0,
) -> Ablation:
    """Checks everything a person may have got wrong and returns the `Ablation`; `ModeError` and its kin say what."""
    model = run.model
    if mode not in MODES:
        raise ModeError(f"No ablation mode {mode!r}: there are {', '.join(MODES)}.")
    chosen = MODES[mode]
    if not model.selftest.passed:
        failed = "; ".join(c.name for c in model.selftest.checks if not c.passed)
        raise ModeError(f"Nothing can be ablated in {model.name}: its self-test failed ({failed}); see model.selftest.")
    _refuse_unused(chosen, scale=scale, threshold=threshold, seed=seed, reference=reference)
    if (reason := model.refuses(mode)) is not None:
        raise ModeError(reason)
    parsed = tuple(sorted(parse_heads(heads, model.n_layers, model.n_heads)))
    if mode == "previous" and (low := next((h for h in parsed if h.layer == 0), None)) is not None:
        raise ModeError(f"'previous' is undefined for {low}: there is no layer before 0; choose another mode or leave {low} out.")
    if not _is_finite(scale):
        raise ModeError(f"scale must be a finite number, not {scale!r}.")
    if not (_is_finite(threshold) and threshold >= 0):
        raise ModeError(f"threshold must be a number of 0 or more, not {threshold!r}.")
    if not isinstance(seed, Integral) or isinstance(seed, bool):
        raise ModeError(f"seed must be a whole number, not {seed!r}.")
    where = None if positions is None else _positions(run, positions)
    source = _checked_reference(run, chosen, parsed, reference)
    if mode == "mean" and source is None and not _content(run):
        raise ModeError("'mean' needs a position besides BOS: give reference prompts, or a longer prompt.")
    return Ablation(parsed, mode, where, float(scale), float(threshold), int(seed), source)


def _refuse_unused(mode: Mode, **given: object) -> None:
    defaults = {field.name: field.default for field in fields(Ablation)}
    for name, value in given.items():
        if value is None or value == defaults[name] or name in mode.params:
            continue
        users = ", ".join(repr(m.name) for m in MODES.values() if name in m.params)
        raise ModeError(f"{mode.name!r} takes no {name}: leave it out, or use {users}.")


def _is_finite(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _positions(run: Run, positions: Sequence[int] | int) -> tuple[int, ...]:
    n = len(run.ids)
    given = positions.tolist() if hasattr(positions, "tolist") else positions
    try:
        # A text would be read letter by letter, and None in a list would mean the position the model answers at.
        given = [given] if isinstance(given, (Integral, str)) else ["None" if p is None else p for p in given]
    except TypeError:
        given = [given]
    resolved = [run.position(p) for p in given]
    if not resolved:
        raise PositionError(f"No positions were given: leave positions=None for all, or name some of 0 to {n - 1}.")
    return tuple(sorted(set(resolved)))


def _checked_reference(run: Run, mode: Mode, heads: tuple[Head, ...], runs: tuple[Run, ...] | None) -> Run | tuple[Run, ...] | None:
    if not heads:
        return None  # nothing is taken from anywhere, so nothing can be wrong with it
    if mode.name == "resample" and (runs is None or len(runs) != 1):
        raise ModeError("'resample' takes z from one other prompt of the same length: give it as reference=, a text or a Run.")
    if runs is None:
        return None
    if not runs:
        raise ModeError("reference= was given no prompts: leave it out to use this prompt's own positions, or name some.")
    if any(other.model.engine is not run.model.engine for other in runs):
        raise ModeError("reference= is a run of another model: make it with this one.")
    if mode.name == "mean":
        if not any(len(_content(other)) for other in runs):
            raise ModeError("The reference prompts have no position besides BOS: give longer ones.")
        return runs
    if len(runs[0].ids) != len(run.ids):
        raise ModeError(
            f"'resample' needs a prompt of the same length: this one has {len(run.ids)} tokens, the reference {len(runs[0].ids)}; "
            "reword it, or use 'mean', which takes any length."
        )
    return runs[0]


def _content(run: Run) -> range:
    """The positions of a run without its BOS."""
    has_bos = run.ids[0] == run.model.vocabulary.bos_id
    return range(1 if has_bos else 0, len(run.ids))


def _short(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:37] + "…")


def _random_of(seed: int, head: Head) -> torch.Generator:
    # Different for each head, the same whichever heads are ablated beside it.
    return torch.Generator().manual_seed((seed * 1_000_003 + head.layer * 1009 + head.head) % 2**63)


def _allowed(run: Run) -> Tensor:
    """[query, key]. A prompt is run without an attention mask, so padding that its ids have is looked at as any token is."""
    n = len(run.ids)
    allowed = torch.ones(n, n, dtype=torch.bool)
    return allowed.tril() if run.model.causal else allowed


# -- on z: the head's output ----------------------------------------------------------------------------------------


@_mode("zero", "z", "z = 0")
def zero(run: Run, ablation: Ablation, head: Head):
    """`z = 0`: the head writes nothing. With folded weights its value bias has moved elsewhere, so this removes less."""
    return torch.zeros_like


@_mode("scale", "z", "z = scale · z", "scale")
def scale(run: Run, ablation: Ablation, head: Head):
    """`z = scale · z`: 0 is `zero`, 1 changes nothing, negative turns the head round."""
    return lambda z: ablation.scale * z


@_mode("mean", "z", "z = mean over a reference set of z", "reference")
def mean(run: Run, ablation: Ablation, head: Head):
    """`z_q = mean_p z_p`, the mean over all positions, BOS excluded, of the reference prompts (their clean runs).

    With no reference, over the positions of this prompt: then later tokens reach earlier positions.
    """
    sources = ablation.reference or (run.clean,)
    rows = torch.cat([source.z(head.layer)[list(_content(source)), head.head] for source in sources])
    average = rows.cpu().double().mean(0)
    return lambda z: average.to(z.dtype).to(z.device).expand_as(z)


@_mode("resample", "z", "z = z of another prompt", "reference")
def resample(run: Run, ablation: Ablation, head: Head):
    """`z_q = z'_q`, what the head puts out at the same position of one other prompt of equal length (its clean run)."""
    other = ablation.reference.z(head.layer)[:, head.head]
    return lambda z: other.to(z).expand_as(z)


@_mode("permute", "z", "z_q = z_π(q), π a random permutation", "seed")
def permute(run: Run, ablation: Ablation, head: Head):
    """`z_q = z_π(q)` with a random permutation π of the positions, another for each head. Later tokens reach earlier positions."""
    order = torch.randperm(len(run.ids), generator=_random_of(ablation.seed, head))
    return lambda z: z[:, order.to(z.device)]


@_mode("sparsify", "z", "z_i = 0 where |z_i| < threshold", "threshold")
def sparsify(run: Run, ablation: Ablation, head: Head):
    """`z_i = 0` where `|z_i| < threshold`, for each entry of z."""
    return lambda z: z * (z.abs() >= ablation.threshold)


# -- on the pattern: where the head looks ---------------------------------------------------------------------------


@_mode("uniform", "pattern", "A_qk = 1 / (number of keys q may see)")
def uniform(run: Run, ablation: Ablation, head: Head) -> Tensor:
    """`A_qk = 1/(q+1)` for `k <= q`, where the model is causal; `1/T` where it is not. A layer's own sliding window is not kept."""
    allowed = _allowed(run).double()
    return allowed / allowed.sum(-1, keepdim=True)


@_mode("previous", "pattern", "A of the same head, one layer down")
def previous(run: Run, ablation: Ablation, head: Head) -> Tensor:
    """`A^l_h = A^(l-1)_h`, the clean pattern of the same head one layer down. Undefined at layer 0."""
    return run.clean.pattern(Head(head.layer - 1, head.head))


@_mode("random", "pattern", "A_q = softmax(ε), ε ~ N(0, 1) over the keys q may see", "seed")
def random(run: Run, ablation: Ablation, head: Head) -> Tensor:
    """`A_q = softmax(ε)` with `ε ~ N(0, 1)` over the keys that `q` may see; drawn anew for each head from the seed."""
    n = len(run.ids)
    noise = torch.randn(n, n, generator=_random_of(ablation.seed, head), dtype=torch.float64)
    return noise.masked_fill(~_allowed(run), -math.inf).softmax(-1)


@_mode("first_token", "pattern", "A_q0 = 1")
def first_token(run: Run, ablation: Ablation, head: Head) -> Tensor:
    """`A_q0 = 1`: every query looks at the first token only, as an idle head does."""
    pattern = torch.zeros(len(run.ids), len(run.ids), dtype=torch.float64)
    pattern[:, 0] = 1
    return pattern
