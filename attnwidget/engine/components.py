"""Heads and MLPs as components: what each writes when it is given an input stream of its own.

No model's code is known here. A block is called on whatever stream a component is to read, and left when it has come as far as it is
wanted: at its queries, keys and values, at `z`, or at its MLP's output. Attention is computed with queries, keys and values put in, each
head's from its own stream; an MLP is given its stream by way of a block in which all heads are silent. That all this is so is proved on a
run, layer by layer: a model in which it is not is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from ..errors import ModelError
from .engine import Call, Engine, Reached, Recording
from .interrupt import checkpoint
from .memory import out_of_memory
from .narrow import after_z, z_of
from .qk_taps import scores_refused
from .writes import Stream, block_addends, hooked, not_added

_WAY_OUT = "so single edges cannot be patched: ask for head scores ('ablation', 'attribution') instead."


@dataclass(frozen=True)
class Layer:
    """How one block's components write into the stream."""

    weight: Tensor
    """[head, d_head, d_model]: head h writes `z_h weight[h]`."""
    bias: Tensor
    """[d_model]: what the block adds when all heads and its MLP are silent."""
    mlp: nn.Module | None
    factor: float
    """What the MLP's output is multiplied by."""


class Components:
    """The components of a model, called as the blocks were in `recording`. Make one with `components`.

    Streams are [row, position, d_model] in the model's dtype; queries [row, position, head, d_head], keys and values with as many heads as
    the model shows (`group_columns`). What is written is in float32 at least. Everything is to be called inside `passing`.
    """

    def __init__(self, engine: Engine, recording: Recording, layers: tuple[Layer, ...], parallel: bool):
        self.engine, self.recording, self.layers = engine, recording, layers
        self.parallel = parallel
        """Whether the MLP of a block reads the stream that entered the block, rather than that with its heads' output added."""
        self._calls: dict[int, list[Call]] = {1: list(recording.calls)}

    @contextmanager
    def passing(self, grad: bool = False) -> Iterator[None]:
        """One pass for all calls inside: on a bridge, entering one costs as much as a block."""
        self.engine._same_weights(self.recording)
        with self.engine._pass(grad, self.recording.ids.shape[1]):
            yield

    def inputs(self, layer: int, streams: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of a layer, as they enter its attention, for every row of `streams`."""
        seen: dict[str, Tensor] = {}

        def keep(site: str) -> Callable[[Tensor], None]:
            def hook(states: Tensor) -> None:
                seen[site] = states
                if len(seen) == 3:
                    raise Reached

            return hook

        with ExitStack() as hooks, suppress(Reached):
            for site in ("q", "k", "v"):
                self.engine._attach(hooks, site, layer, keep(site))
            self._run(layer, streams)
        return seen["q"], seen["k"], seen["v"]

    def attention(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """`z` [row, position, head, d_head] of these queries, keys and values."""
        any_stream = self.recording.resid[layer].expand(len(q), -1, -1)
        with ExitStack() as hooks:
            for site, states in (("q", q), ("k", k), ("v", v)):
                self.engine._attach(hooks, site, layer, lambda _, states=states: states)
            return z_of(self.engine, layer, any_stream, self._call(layer, len(q)))

    def heads(self, layer: int, z: Tensor) -> Tensor:
        """What each head writes, [row, position, head, d_model]."""
        return torch.einsum("rphi,hid->rphd", z.to(self._wide(z)), self.layers[layer].weight.to(self._wide(z)))

    def said(self, layer: int, z: Tensor) -> Tensor:
        """What all heads write together, with the bias, [row, position, d_model]."""
        part, wide = self.layers[layer], self._wide(z)
        return z.to(wide).flatten(2) @ part.weight.to(wide).flatten(0, 1) + part.bias.to(wide)

    def mlp(self, layer: int, streams: Tensor) -> Tensor:
        """What the MLP writes when `streams` is what it reads, [row, position, d_model]."""
        part, seen = self.layers[layer], []
        # With silent heads a sequential block adds the bias to what enters, and gives the MLP that.
        entering = streams if self.parallel else streams - part.bias.to(streams)

        def keep(_module: nn.Module, output: Tensor) -> None:
            seen.append(output.reshape(streams.shape))
            raise Reached

        with ExitStack() as hooks, suppress(Reached):
            self.engine._attach(hooks, "z", layer, torch.zeros_like)
            hooks.enter_context(hooked([part.mlp], keep))
            self._run(layer, entering)
        return part.factor * seen[0].to(self._wide(streams))

    def after(self, layer: int, streams: Tensor, z: Tensor) -> Tensor:
        """What the block returns for the stream that enters it and `z`, [row, position, d_model]."""
        return after_z(self.engine, layer, streams, z, self._call(layer, len(z)))

    def group_columns(self, group: int, states: Tensor) -> slice:
        """Where keys or values of one key-value group stand in `states`: TransformerLens may have repeated them, one for each head."""
        each = states.shape[2] // self.engine.anatomy.n_kv_heads
        return slice(group * each, (group + 1) * each)

    def heads_of(self, group: int) -> slice:
        """The heads that read the keys and values of a group."""
        each = self.engine.anatomy.n_heads // self.engine.anatomy.n_kv_heads
        return slice(group * each, (group + 1) * each)

    def _run(self, layer: int, streams: Tensor) -> Tensor:
        return self.engine._block(layer, streams, self._call(layer, len(streams)))

    def _call(self, layer: int, rows: int) -> Call:
        checkpoint()
        if self.engine.broadcasts:
            return self.recording.calls[layer]
        if rows not in self._calls:
            with torch.no_grad():
                self._calls[rows] = self.engine._calls_for(self.recording, rows)
        return self._calls[rows][layer]

    @staticmethod
    def _wide(states: Tensor) -> torch.dtype:
        return torch.promote_types(states.dtype, torch.float32)


@dataclass(frozen=True, eq=False)
class Trace:
    """What all components read and wrote in one run, in one row each; lists are by layer."""

    parts: Components
    resid: tuple[Tensor, ...]
    """`resid[l]` enters block l; the last element is what the last block returned."""
    q: list[Tensor]
    k: list[Tensor]
    v: list[Tensor]
    z: list[Tensor]
    mid: list[Tensor]
    """What the MLP reads, before any norm, [1, position, d_model]; empty where there are none, as the next."""
    mlp: list[Tensor]
    """What it writes."""


def trace(parts: Components) -> Trace:
    """One pass over the prompt of `parts`, with everything that its components read and wrote."""
    engine, recording = parts.engine, parts.recording
    layers, mlps = range(engine.anatomy.n_layers), [layer.mlp for layer in parts.layers if layer.mlp is not None]
    seen: dict[nn.Module, Tensor] = {}

    def keep(module: nn.Module, output: Tensor) -> None:
        seen[module] = output.reshape(recording.resid[0].shape).clone()

    with hooked(mlps, keep):
        captured = engine.resume(recording, start=0, keep="last", capture=[(s, layer) for s in ("q", "k", "v", "z") for layer in layers])
    q, k, v, z = ([captured.captured[site, layer] for layer in layers] for site in ("q", "k", "v", "z"))
    mid = [] if not mlps else [recording.resid[i] if parts.parallel else _mid(parts, i, recording.resid[i], z[i]) for i in layers]
    mlp = [layer.factor * seen[layer.mlp].to(parts._wide(z[0])) for layer in parts.layers if layer.mlp is not None]
    return Trace(parts, recording.resid, q, k, v, z, mid, mlp)


def _mid(parts: Components, layer: int, stream: Tensor, z: Tensor) -> Tensor:
    return (stream + parts.said(layer, z)).to(stream)


# -- the proof --------------------------------------------------------------------------------------------------------

# By engine: the state of the weights, and what was found: no engine is kept alive by it.
_found: WeakKeyDictionary[Engine, tuple[int, tuple[tuple[Layer, ...], bool] | str]] = WeakKeyDictionary()


def components(engine: Engine, recording: Recording) -> Components:
    """The components of the model, proved on `recording` once for each state of the weights; `ModelError` where it has none."""
    engine._same_weights(recording)
    mark, found = _found.get(engine, (None, ""))
    if mark != recording.weights:
        try:
            found = _proved(engine, recording)
        except _Refused as refusal:
            found = str(refusal)
        if recording.ids.shape[1] > 1:  # attention to one token proves nothing
            _found[engine] = recording.weights, found
    if isinstance(found, str):
        raise ModelError(found)
    return Components(engine, recording, *found)


class _Refused(Exception):
    """A model cannot be taken apart, and why."""


def _proved(engine: Engine, recording: Recording) -> tuple[tuple[Layer, ...], bool]:
    if not engine.resumes:
        raise _Refused(f"The blocks of this model cannot be called by themselves, {_WAY_OUT}")
    if (reason := scores_refused(engine, recording)) is not None:
        raise _Refused(f"{reason.rstrip('.')}, {_WAY_OUT}" if "hand it in" not in reason else reason)
    stream = Stream(engine, recording, recording.resid)
    layers: list[Layer] = []
    orders: set[bool] = set()
    for layer in range(engine.anatomy.n_layers):
        found = block_addends(stream, layer)
        if found is None:
            raise _Refused(f"{not_added(layer)}, {_WAY_OUT}")
        # In the model's own precision: what is subtracted from a stream must be what the block will add.
        own = recording.resid[layer]
        layers.append(Layer(found.weight.to(own), found.bias.to(own), found.mlp, found.factor))
        parts = Components(engine, recording, tuple(layers), False)
        with parts.passing():
            _prove_attention(parts, layer)
            if found.mlp is not None:
                order = _order(parts, layer)
                orders |= set() if order is None else {order}
    if len(orders) > 1:
        raise _Refused(f"Some MLPs of this model read the output of their own layer's heads and some do not, {_WAY_OUT}")
    return tuple(layers), True in orders


def _prove_attention(parts: Components, layer: int) -> None:
    """What is read at the taps and put in again must give the clean `z`, and a group without values must silence its heads and no other."""
    anatomy, clean = parts.engine.anatomy, parts.recording.resid[layer]
    refused = _Refused(f"Queries, keys and values of layer {layer} of this model cannot be given for one head alone, {_WAY_OUT}")
    z = z_of(parts.engine, layer, clean, parts.recording.calls[layer])
    try:
        q, k, v = parts.inputs(layer, clean)
        if q.shape[2] != anatomy.n_heads or not {k.shape[2], v.shape[2]} <= {anatomy.n_heads, anatomy.n_kv_heads}:
            raise refused
        again = parts.attention(layer, q, k, v)
        group = layer % anatomy.n_kv_heads
        without = v.clone()
        without[:, :, parts.group_columns(group, v)] = 0
        silenced = parts.attention(layer, q, k, without)
    except (KeyError, RuntimeError, TypeError, IndexError) as error:  # no such tap, or shapes that are not those of heads
        if out_of_memory(error):
            raise
        raise refused from error
    expected = z.clone()
    expected[:, :, parts.heads_of(group)] = 0
    slack = _slack(clean.dtype)
    if not _alike(again.flatten(2), z.flatten(2), slack) or not _alike(silenced.flatten(2), expected.flatten(2), slack):
        raise refused


def _order(parts: Components, layer: int) -> bool | None:
    """Whether the block is parallel; None where its heads write nothing. Seen from two calls, clean and with another `z` put in: row by
    row, since not every model takes two."""
    part, clean, seen = parts.layers[layer], parts.recording.resid[layer], []
    z = z_of(parts.engine, layer, clean, parts.recording.calls[layer])
    noise = torch.randn(z.shape, generator=torch.Generator().manual_seed(layer)).to(z)
    two = torch.cat([z, z + noise * z.std()])
    streams = clean.expand(2, -1, -1)

    def keep(_module: nn.Module, output: Tensor) -> None:
        seen.append(part.factor * output.reshape(clean.shape).to(parts._wide(output)).clone())

    with hooked([part.mlp], keep):
        for one in two.split(1):
            parts.after(layer, clean, one)
    heads = parts.said(layer, two)
    written = torch.cat(seen)
    # The same input gives the same output but for the order of sums.
    eps = torch.finfo(clean.dtype).eps
    parallel = _alike(written[:1], written[1:], eps * (64 if eps < 1e-6 else 1))
    both = Components(parts.engine, parts.recording, parts.layers, parallel)
    given = streams if parallel else (streams + heads).to(streams)
    again = torch.cat([both.mlp(layer, one) for one in given.split(1)])
    if not _alike(again, written, _slack(clean.dtype)):
        raise _Refused(f"What the MLP of layer {layer} of this model reads could not be found out, {_WAY_OUT}")
    return None if _alike(heads[:1], heads[1:], _slack(clean.dtype)) else parallel


def _slack(dtype: torch.dtype) -> float:
    """The relative difference that rounding may make in what one component writes."""
    return 1e-3 if torch.finfo(dtype).eps < 1e-6 else 0.05


def _alike(one: Tensor, other: Tensor, slack: float) -> bool:
    """At each position of each row."""
    wide = torch.promote_types(other.dtype, torch.float32)
    off, size = (one.to(wide) - other.to(wide)).norm(dim=-1), other.to(wide).norm(dim=-1)
    return bool((off <= slack * size + 1e-12).all())
