"""Record one clean pass, then compute variants of it from the first layer they touch.

A clean pass records the residual stream entering each block and the exact arguments each block was called with. A variant
calls the blocks from its first edited layer up on those arguments, with the residual expanded to as many rows as there are
variants; the layers below are shared with the clean pass. The tail (final norm, unembedding) is the model's own forward with
every block passing its input through, so soft-caps, poolers and heads need no code here. Resuming equals the full forward to the last
bit on every model it was tried on; where the self-test finds otherwise, variants are full forwards.

No pass leaves anything behind: hooks, switches and training flags are undone whatever is raised.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from ..errors import ModelError
from .anatomy import Anatomy, Hook, Site, here
from .interrupt import checkpoint
from .memory import fitting


@dataclass(frozen=True)
class Edit:
    """Replace `site` of `layer` by `function` of it, in every row of a pass.

    `function` gets the activation in the layout of `anatomy.py` and returns a new tensor of the same shape; it must not
    write into its argument. A pattern edit must not depend on its argument except to leave other heads as they are: where a
    model's pattern cannot be edited in place, it is applied as `z = P' v`.
    """

    layer: int
    site: Site
    function: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Call:
    """How a block was called in the clean pass, less the residual stream, and the form of what it returned."""

    args: tuple
    kwargs: dict
    residual_name: str | None
    n_outputs: int | None
    """Length of the tuple the block returns, or None when it returns the residual stream itself."""


@dataclass(frozen=True)
class Recording:
    """A clean pass over `ids` [1, position]."""

    ids: Tensor
    resid: tuple[Tensor, ...]
    """`resid[l]` enters block `l`, [1, position, d_model]; the last element is what the last block returned."""
    calls: tuple[Call, ...]
    weights: int
    """`Engine.weights` at that time."""
    captured: dict[tuple[Site, int], Tensor] = field(default_factory=dict)


class Reached(BaseException):
    """Ends a forward that has come as far as it is wanted. Not an Exception: nothing on the way out should take it for a failure
    and try again."""


@dataclass(frozen=True)
class Pass:
    """A resumed pass. `resid[i]` enters block `start + i` (unless only the last was kept); the last element is what the last block
    run returned."""

    start: int
    resid: tuple[Tensor, ...]
    captured: dict[tuple[Site, int], Tensor]


class Engine:
    """Runs passes over one model, one at a time under `lock`. What the self-test found decides how."""

    def __init__(self, anatomy: Anatomy):
        self.anatomy = anatomy
        self.lock = threading.RLock()
        # Set by the self-test.
        self.resumes = True
        self.broadcasts = True
        self.max_rows: int | None = None
        # Set by the person, through `Model.batch_budget`: bytes that a batch may take.
        self.batch_budget: int | None = None
        self.pattern_edits_live = True
        self.tail_by_position = True
        # Set by decode.py: the weights that a key-value cache was tried with, and whether it gave the same.
        self.cache_proof: tuple[int, bool] | None = None

    # -- passes ---------------------------------------------------------------------------------------------------

    def record(self, ids: Tensor, capture: Iterable[tuple[Site, int]] = (), *, grad: bool = False) -> Recording:
        """A clean pass over `ids` [1, position], with the activations named in `capture`; with `grad`, they can be differentiated."""
        with self._pass(grad, ids.shape[1]), ExitStack() as hooks:
            resid: list[Tensor] = []
            calls = self._record_calls(hooks, resid)
            captured = self._capture(hooks, capture, ())
            returned = self._keep_last(hooks, resid, calls)
            self.anatomy.forward(ids)
            returned()
            return Recording(ids, tuple(resid), tuple(calls), self.weights(), captured)

    def resume(
        self,
        recording: Recording,
        edits: Sequence[Edit] = (),
        *,
        start: int | None = None,
        stop: int | None = None,
        resid: Tensor | None = None,
        rows: int = 1,
        capture: Iterable[tuple[Site, int]] = (),
        keep: Literal["all", "last"] = "all",
        grad: bool = False,
    ) -> Pass:
        """Blocks `start` to `stop` of `recording` with `edits`, in `rows` rows.

        `start` is the lowest edited layer unless given, `stop` is after the last; `resid` [row, position, d_model] replaces
        the recorded residual stream entering block `start`. `keep="last"` keeps only what the last block run returned, which for
        many rows is the difference between megabytes and gigabytes. Edits below `start` are taken to be in `resid` already; give them
        all the same, since the fallback of full forwards needs them.
        """
        self._same_weights(recording)
        if self.max_rows is not None and rows > self.max_rows:
            raise ModelError(f"{rows} rows were asked for at once; this model takes {self.max_rows}, so run them one by one.")
        start = min((edit.layer for edit in edits), default=0) if start is None else start
        stop = self.anatomy.n_layers if stop is None else stop
        with self._pass(grad, recording.ids.shape[1]), ExitStack() as hooks:
            self._edit(hooks, edits)
            captured = self._capture(hooks, capture, edits)
            if not self.resumes:
                return self._whole(hooks, recording, start, stop, resid, rows, captured)
            calls = recording.calls if rows == 1 or self.broadcasts else self._calls_for(recording, rows)
            stream = [recording.resid[start] if resid is None else resid]
            stream[0] = stream[0].expand(rows, -1, -1)
            for layer in range(start, stop):
                checkpoint()
                stream.append(self._block(layer, stream[-1], calls[layer]))
                if keep == "last":
                    stream = stream[-1:]
            return Pass(start, tuple(stream), captured)

    def logits(self, recording: Recording, final: Tensor, positions: Sequence[int] | None = None, *, grad: bool = False) -> Tensor:
        """The tail over `final` [row, position, d_model], what the last block returned: [row, position, vocabulary], or
        [row, class] for a classifier. With `positions`, only those are computed where the model's tail allows it."""
        self._same_weights(recording)
        ids = recording.ids
        only = positions is not None and self.tail_by_position
        if only:
            # Any ids will do: what they are embedded to is thrown away, but their number must fit what is returned.
            final, ids = final[:, list(positions)], ids[:, : len(positions)]
        with self._pass(grad, recording.ids.shape[1]), self._passing_through(recording.calls, final):
            logits = self.anatomy.forward(ids.expand(final.shape[0], -1))
        return logits if only or positions is None or logits.dim() < 3 else logits[:, list(positions)]

    def weights(self) -> int:
        """A mark that changes when any weight is replaced, moved or written to (an optimiser's step, LoRA, compatibility mode).

        What is written through `.data`, which PyTorch counts nowhere, is not seen: run the prompt again after that. Nor is what is written
        to weights that `device_map` has offloaded: accelerate puts another empty parameter in their place after each pass.
        """
        return hash(tuple(map(_mark, self.anatomy.model.parameters())))

    def _same_weights(self, recording: Recording) -> None:
        if recording.weights != self.weights():
            raise ModelError("The model's weights have changed since this prompt was run: run it again with model.run(...).")

    # -- one pass -------------------------------------------------------------------------------------------------

    @contextmanager
    def _pass(self, grad: bool = False, tokens: int | None = None) -> Iterator[None]:
        """`tokens` of a row, for what is said where there is no memory for one."""
        # no_grad rather than inference_mode: activations reach people, who may want to differentiate through them.
        with self.lock, torch.set_grad_enabled(grad), fitting(self, tokens), _evaluating(self.anatomy.model), self.anatomy.session():
            yield

    def _block(self, layer: int, stream: Tensor, call: Call) -> Tensor:
        block = self.anatomy.blocks[layer]
        if call.residual_name:
            output = block(*call.args, **{call.residual_name: stream}, **call.kwargs)
        else:
            output = block(stream, *call.args, **call.kwargs)
        return output[0] if isinstance(output, tuple) else output

    def _whole(
        self,
        hooks: ExitStack,
        recording: Recording,
        start: int,
        stop: int,
        resid: Tensor | None,
        rows: int,
        captured: dict,
    ) -> Pass:
        """The fallback: a full forward, in which block `start` is given `resid`; the stream from `start` to `stop` is kept."""
        stream: list[Tensor] = []
        if resid is not None:
            self._inject(hooks, start, resid)
        calls = self._record_calls(hooks, stream)
        returned = self._keep_last(hooks, stream, calls)
        self.anatomy.forward(recording.ids.expand(rows, -1))
        returned()
        return Pass(start, tuple(stream[start : stop + 1]), captured)

    def _inject(self, hooks: ExitStack, layer: int, resid: Tensor) -> None:
        def before(_block: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
            if args:
                return (resid.expand_as(args[0]), *args[1:]), kwargs
            return args, kwargs | {"hidden_states": resid.expand_as(kwargs["hidden_states"])}

        if layer < self.anatomy.n_layers:
            block = self.anatomy.blocks[layer]
            hooks.enter_context(_removing(block.register_forward_pre_hook(here(before), with_kwargs=True)))

    def _calls_for(self, recording: Recording, rows: int, tokens: int | None = None) -> list[Call]:
        """How the blocks are called in a batch of `rows`, where arguments recorded in one row do not broadcast (Bloom), and for
        a prompt of the first `tokens`, if that is not the whole."""

        def reached(*_: object) -> None:
            raise Reached

        with ExitStack() as hooks:
            calls = self._record_calls(hooks, [])
            last = self.anatomy.blocks[-1].register_forward_pre_hook(here(reached))
            hooks.enter_context(_removing(last))
            hooks.enter_context(self._passing_through(recording.calls, recording.resid[-1]))
            # The tail, which for many rows is the larger part of what is left, is not gone through.
            with suppress(Reached):
                self.anatomy.forward(recording.ids[:, :tokens].expand(rows, -1))
        return [
            Call(call.args, call.kwargs, call.residual_name, clean.n_outputs) for call, clean in zip(calls, recording.calls, strict=True)
        ]

    # -- hooks ----------------------------------------------------------------------------------------------------

    def _record_calls(self, hooks: ExitStack, resid: list[Tensor]) -> list[Call]:
        calls: list[Call] = []

        def before(_block: nn.Module, args: tuple, kwargs: dict) -> None:
            checkpoint()
            name = None if args else "hidden_states"
            resid.append(args[0] if args else kwargs["hidden_states"])
            rest = tuple(_without_cache(f"arg{i}", value) for i, value in enumerate(args[1:]))
            kept = {key: _without_cache(key, value) for key, value in kwargs.items() if key != name}
            calls.append(Call(rest, kept, name, None))

        for block in self.anatomy.blocks:
            hooks.enter_context(_removing(block.register_forward_pre_hook(here(before), with_kwargs=True)))
        return calls

    def _keep_last(self, hooks: ExitStack, resid: list[Tensor], calls: list[Call]) -> Callable[[], None]:
        """Keeps what the last block returns and the form of every block's output; the result is called after the forward."""
        forms: list[int | None] = []

        def after(_block: nn.Module, _args: tuple, output: object) -> None:
            forms.append(len(output) if isinstance(output, tuple) else None)
            if len(forms) == self.anatomy.n_layers:
                resid.append(output[0] if isinstance(output, tuple) else output)

        for block in self.anatomy.blocks:
            hooks.enter_context(_removing(block.register_forward_hook(here(after))))

        def returned() -> None:
            calls[:] = [Call(call.args, call.kwargs, call.residual_name, form) for call, form in zip(calls, forms, strict=True)]

        return returned

    def _edit(self, hooks: ExitStack, edits: Sequence[Edit]) -> None:
        for edit in edits:
            if edit.site == "pattern" and not self.pattern_edits_live:
                self._edit_through_values(hooks, edit)
            else:
                self._attach(hooks, edit.site, edit.layer, edit.function)

    def _edit_through_values(self, hooks: ExitStack, edit: Edit) -> None:
        """Where the pattern is read after use, `z = P' v` with `P' = edit(P)` known from `v`'s shape alone."""
        values: list[Tensor] = []

        def keep(v: Tensor) -> None:
            values[:] = [v]

        def replace(z: Tensor) -> Tensor:
            v = values[0].repeat_interleave(z.shape[2] // values[0].shape[2], dim=2)
            # NaN marks heads that the edit leaves alone: their pattern is not known here, and their z stays.
            blank = z.new_full((z.shape[0], z.shape[2], z.shape[1], z.shape[1]), torch.nan)
            pattern = edit.function(blank)
            known = ~pattern.isnan()
            new = torch.einsum("bhqk,bkhd->bqhd", pattern.where(known, 0), v)
            return torch.where(known.any(-1).transpose(1, 2)[..., None], new.to(z.dtype), z)

        self._attach(hooks, "v", edit.layer, keep)
        self._attach(hooks, "z", edit.layer, replace)

    def _capture(self, hooks: ExitStack, capture: Iterable[tuple[Site, int]], edits: Sequence[Edit]) -> dict[tuple[Site, int], Tensor]:
        captured: dict[tuple[Site, int], Tensor] = {}
        for site, layer in capture:
            unseen = [e for e in edits if (e.site, e.layer) == (site, layer)] if not self._seen(site) else []

            def keep(value: Tensor, key: tuple = (site, layer), unseen: list = unseen) -> None:
                for edit in unseen:
                    value = edit.function(value)
                captured[key] = value

            self._attach(hooks, site, layer, keep)
        return captured

    def _seen(self, site: Site) -> bool:
        """Whether a hook attached after an edit sees the edited value."""
        return site != "pattern" or self.pattern_edits_live

    def _attach(self, hooks: ExitStack, site: Site, layer: int, hook: Hook) -> None:
        hooks.enter_context(_removing(self.anatomy.taps[site][layer].attach(hook)))

    @contextmanager
    def _passing_through(self, calls: Sequence[Call], final: Tensor) -> Iterator[None]:
        """Every block returns its input, the last one `final`: what is left of a forward is the tail."""
        blocks = self.anatomy.blocks
        before = [block.__dict__.get("forward") for block in blocks]
        usual = [block.forward for block in blocks]
        try:
            for layer, (block, call) in enumerate(zip(blocks, calls, strict=True)):
                last = layer == len(blocks) - 1
                block.__dict__["forward"] = _passes(final if last else None, call.n_outputs, usual[layer])
            yield
        finally:
            for block, forward in zip(blocks, before, strict=True):
                if forward is None:
                    block.__dict__.pop("forward", None)
                else:
                    block.__dict__["forward"] = forward


def _passes(result: Tensor | None, n_outputs: int | None, usual: Callable) -> Callable:
    thread = threading.get_ident()

    def forward(*args: object, **kwargs: object) -> object:
        if threading.get_ident() != thread:
            return usual(*args, **kwargs)
        value = result if result is not None else (args[0] if args else kwargs["hidden_states"])
        return value if n_outputs is None else (value, *[None] * (n_outputs - 1))

    return forward


def _mark(parameter: nn.Parameter) -> tuple:
    if parameter.device.type == "meta":
        return parameter.shape, parameter.dtype
    return id(parameter), parameter._version, parameter.data_ptr(), parameter.dtype


def _without_cache(name: str, value: object) -> object:
    """A resumed block must not append to a key-value cache, and needs none: it sees the whole prompt."""
    if name == "use_cache":
        return False
    if name in ("past_key_values", "past_key_value", "layer_past") or type(value).__name__.endswith("Cache"):
        return None
    return value


@contextmanager
def _removing(handle: object) -> Iterator[None]:
    try:
        yield
    finally:
        handle.remove()


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    # A bridge does not count the parts of its original model that it has no part of its own for (GPT-2's first dropout).
    original = getattr(model, "original_model", None)
    whole = [model, original] if isinstance(original, nn.Module) else [model]
    training = [module for part in whole for module in part.modules() if module.training]
    try:
        for module in training:
            module.training = False
        yield
    finally:
        for module in training:
            module.training = True
