"""What is proved about a model when it is attached, once: that edits reach the head they name, and reach the output.

Two of the three tools this one replaces edited something that was not a head. So nothing here is taken on trust: on eight
random tokens and one head in the middle of the model, each way of reading or editing that head is compared with another one.
What does not hold is recorded with its reason, and the engine falls back or the modes that need it are refused.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import pandas as pd
import torch
from torch import Tensor

from ..errors import OutOfMemoryError
from ..heads import Head
from .engine import Edit, Engine, Recording

N_TOKENS = 8
_TRIES = 8  # heads that are zeroed in search of one that matters; more only while none does
_WHOLE = "Resuming from a layer does not give the clean output here, so every change is a full forward."


_NEEDED = ("tail", "z is a head", "zeroing moves the output")


@dataclass(frozen=True)
class Check:
    """One thing that was compared: `difference` is the largest absolute one, `passed` whether it is small enough."""

    name: str
    passed: bool
    difference: float | None
    meaning: str


@dataclass(frozen=True)
class SelfTest:
    """The report of attaching a model. `passed` means zeroing a head was proved; `notes` say what is off, and why."""

    head: Head
    checks: tuple[Check, ...]
    notes: tuple[str, ...]
    causal: bool
    reads_patterns: bool
    edits_patterns: bool

    @property
    def passed(self) -> bool:
        return all(check.passed for check in self.checks if check.name in _NEEDED)

    @property
    def proved(self) -> bool:
        """Whether z was compared with pattern times values, which says that what is zeroed is one head and not another slice."""
        return any(check.name == "z is a head" and check.passed for check in self.checks)

    def to_frame(self) -> pd.DataFrame:
        """A row per check: name, passed, difference (the largest absolute one, NaN where nothing was compared), meaning."""
        frame = pd.DataFrame([vars(check) for check in self.checks], columns=["name", "passed", "difference", "meaning"])
        frame.difference = frame.difference.astype(float)
        frame.attrs = {"head": str(self.head), "notes": list(self.notes)}
        return frame

    def __repr__(self) -> str:
        rows = "\n".join(
            f"  {'ok ' if c.passed else 'off'} {c.name}" + ("" if c.difference is None else f" (largest difference {c.difference:.1e})")
            for c in self.checks
        )
        notes = "".join(f"\n  {note}" for note in self.notes)
        state = "FAILED" if not self.passed else "passed" if self.proved else "passed, but that z is one head is not proved"
        return f"SelfTest on {self.head}, {state}:\n{rows}{notes}"


def run_selftest(engine: Engine, vocabulary: int) -> SelfTest:
    """Proves what can be proved of `engine`'s model, and sets the engine's ways accordingly."""
    return _Prover(engine, vocabulary).prove()


class _Prover:
    def __init__(self, engine: Engine, vocabulary: int):
        anatomy = engine.anatomy
        self.engine, self.anatomy = engine, anatomy
        self.head = Head(anatomy.n_layers // 2, min(anatomy.n_heads - 1, anatomy.n_heads // 2))
        self.checks: list[Check] = []
        self.notes: list[str] = []
        length = min(N_TOKENS, anatomy.n_ctx or N_TOKENS)
        generator = torch.Generator().manual_seed(0)
        low = min(100, vocabulary // 4)  # the first ids of most vocabularies are special tokens
        self.ids = torch.randint(low, vocabulary, (1, length), generator=generator).to(anatomy.device)

    def prove(self) -> SelfTest:
        engine, head = self.engine, self.head
        layers = range(self.anatomy.n_layers)
        with engine._pass():
            self.clean = self.anatomy.forward(self.ids)
        readable = [("pattern", layer) for layer in layers] if self.anatomy.taps["pattern"] else []
        valued = [("v", head.layer)] if self.anatomy.taps["v"] else []
        recording = engine.record(self.ids, [*readable, *valued, ("z", head.layer)])
        captured = recording.captured
        reads = all(("pattern", layer) in captured for layer in layers)
        causal = self._causal(captured, layers) if reads else self.anatomy.answer == "next"
        self._tail(recording)
        self._resume(recording)
        if reads and ("v", head.layer) in captured:
            self._z_is_a_head(captured)
        elif not reads:
            self.notes.append("Attention patterns cannot be read from this model; hand it in as a TransformerBridge to see them.")
        else:
            self.notes.append("That z is one head was not compared with pattern times values: this model keeps its values fused.")
        zeroed = self._zero_moves(recording)
        edits = reads and self._pattern_edits(recording, zeroed)
        return SelfTest(self.head, tuple(self.checks), tuple(self.notes), causal, reads, edits)

    # -- the proofs -----------------------------------------------------------------------------------------------

    def _tail(self, recording: Recording) -> None:
        final = recording.resid[-1]
        try:
            difference = _largest(self.engine.logits(recording, final) - self.clean)
        except OutOfMemoryError:  # says nothing of the model
            raise
        except (RuntimeError, TypeError, ValueError, IndexError):
            difference = float("inf")
        if not self._check("tail", difference, "final norm and head on the recorded stream give the clean output"):
            # Nothing can be resumed without the tail, nor any answer read.
            self.engine.resumes = False
        if self.clean.dim() == 3:
            self.engine.tail_by_position = self._tail_by_position(recording, final)
        else:
            self.engine.tail_by_position = False

    def _tail_by_position(self, recording: Recording, final: Tensor) -> bool:
        some = [2, 4]
        try:
            few = self.engine.logits(recording, final, some)
        except OutOfMemoryError:  # says nothing of the model
            raise
        except (RuntimeError, TypeError, ValueError, IndexError):
            return False
        return few.shape[1] == 2 and _largest(few - self.clean[:, some]) <= self._tolerance

    def _resume(self, recording: Recording) -> None:
        if not self.engine.resumes:
            self.notes.append(_WHOLE)
            return
        middle = self.anatomy.n_layers // 2
        difference = self._resumed(recording, middle, 1)
        if not self._check("resume", difference, "resuming from a middle layer gives the clean output"):
            self.engine.resumes = False
            self.notes.append(_WHOLE)
            return
        if self._resumed(recording, middle, 2) > self._tolerance:
            self.engine.broadcasts = False
            difference = self._resumed(recording, middle, 2)
            if not self._check("rows", difference, "two rows resumed together are each the clean output"):
                self.engine.max_rows = 1
                self.notes.append(
                    "This model takes one prompt at a time (a classifier without a padding token, say), so variants run one by one."
                )

    def _resumed(self, recording: Recording, layer: int, rows: int) -> float:
        try:
            final = self.engine.resume(recording, start=layer, rows=rows).resid[-1]
            return _largest(self.engine.logits(recording, final) - self.clean)
        except OutOfMemoryError:  # says nothing of the model
            raise
        except (RuntimeError, TypeError, ValueError, IndexError):
            return float("inf")

    def _z_is_a_head(self, captured: dict) -> None:
        layer = self.head.layer
        v = captured["v", layer]
        z = captured["z", layer]
        try:
            v = v.repeat_interleave(self.anatomy.n_heads // v.shape[2], dim=2)
            made = torch.einsum("bhqk,bkhd->bqhd", captured["pattern", layer].to(v.dtype), v)
            difference = _largest(made - z)
        except RuntimeError:  # shapes that do not fit each other: not heads
            difference = float("inf")
        self._check(
            "z is a head", difference, "the out-projection's input is pattern times values, head by head", scale=z.abs().max().item()
        )

    def _zero_moves(self, recording: Recording) -> Tensor:
        # A head that does nothing proves nothing: an edit that goes nowhere would look the same.
        moved, zeroed = -1.0, self.clean
        for tried, head in enumerate(self._candidates()):
            if moved > self._noise or (tried >= _TRIES and moved > 0):
                break
            output = self._output(recording, Edit(head.layer, "z", _zero_z(head.head)))
            if (difference := _largest(output - self.clean)) > moved:
                moved, zeroed, self.head = difference, output, head
        self.moved = moved
        self.checks.append(Check("zeroing moves the output", moved > 0, moved, f"setting z of {self.head} to zero changes the output"))
        return zeroed

    def _candidates(self) -> list[Head]:
        """The head in the middle, then the others of its layer, then its like in the other layers."""
        first = self.head
        beside = [Head(first.layer, h) for h in range(self.anatomy.n_heads) if h != first.head]
        above = [Head(layer, first.head) for layer in range(self.anatomy.n_layers) if layer != first.layer]
        return [first, *beside, *above]

    def _pattern_edits(self, recording: Recording, zeroed: Tensor) -> bool:
        """Zeroing the pattern must equal zeroing z; first in place, else through the values.

        Equal is measured against how far zeroing z moves the output: an edit that goes nowhere is off by just that, which in
        half precision is less than any tolerance that is a share of the logits.
        """
        edit = Edit(self.head.layer, "pattern", _zero_pattern(self.head.head))
        meaning = "zeroing the pattern equals zeroing z"
        for live in (True, False):
            self.engine.pattern_edits_live = live
            if not live and not self.anatomy.taps["v"]:
                break
            name = "pattern edits" if live else "pattern edits through values"
            with warnings.catch_warnings():
                # TransformerLens warns that an edit is discarded; that is what is being found out.
                warnings.simplefilter("ignore", UserWarning)
                try:
                    difference = _largest(self._output(recording, edit) - zeroed)
                except RuntimeError:  # shapes that do not fit each other
                    difference = float("inf")
            passed = self.moved > 0 and difference <= 0.1 * self.moved
            self.checks.append(Check(name, passed, difference, meaning))
            if passed:
                if not live:
                    self.notes.append("Patterns are read after use in this model, so pattern edits are made as z = P'v.")
                return True
        self.notes.append("Pattern edits do not reach this model.")
        return False

    # -- help -----------------------------------------------------------------------------------------------------

    @property
    def _slack(self) -> float:
        return slack(self.clean.dtype)

    @property
    def _tolerance(self) -> float:
        return self._slack * max(1.0, self.clean.abs().max().item())

    @property
    def _noise(self) -> float:
        return 4 * torch.finfo(self.clean.dtype).eps * self.clean.abs().max().item()

    def _check(self, name: str, difference: float, meaning: str, scale: float | None = None) -> bool:
        tolerance = self._tolerance if scale is None else self._slack * max(1e-3, scale)
        passed = difference <= tolerance
        self.checks.append(Check(name, passed, difference, meaning))
        return passed

    def _output(self, recording: Recording, edit: Edit) -> Tensor:
        return self.engine.logits(recording, self.engine.resume(recording, [edit]).resid[-1])

    def _causal(self, captured: dict, layers: range) -> bool:
        return all(captured["pattern", layer].triu(1).abs().max().item() == 0 for layer in layers)


def slack(dtype: torch.dtype) -> float:
    """Largest relative difference that rounding can make: 2.4e-5 in float32, 6 % in bfloat16 (200 eps there is no test)."""
    eps = torch.finfo(dtype).eps
    return eps * (200 if eps < 1e-6 else 8)


def _zero_z(head: int):
    def function(z: Tensor) -> Tensor:
        z = z.clone()
        z[:, :, head] = 0
        return z

    return function


def _zero_pattern(head: int):
    def function(pattern: Tensor) -> Tensor:
        pattern = pattern.clone()
        pattern[:, head] = 0
        return pattern

    return function


def _largest(difference: Tensor) -> float:
    return difference.abs().max().item()
