"""The model of a task: a name that each process loads for itself, once, or a model that is here."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path

import torch

from ..demo import demo_file, demo_models
from ..errors import ModelError
from ..loading import load_model
from ..model import Model
from ..run import Run

# What a folder of `transformers` is read from; others (an optimiser's state, a read-me) decide nothing.
_READ = {".json", ".safetensors", ".bin", ".model", ".txt", ".jinja", ".gguf", ".tiktoken"}


@dataclass(frozen=True)
class ModelSpec:
    """What `load_model` can make anew in any process: a demo's name, a hub's, or a folder; where it goes, and in which precision."""

    source: str
    device: str | None = None
    dtype: str | None = None

    @property
    def files(self) -> tuple[Path, ...]:
        """What it is read from: weights, configuration, tokenizer. None for a name of a hub."""
        demo = self.source.lower() in demo_models()
        where = demo_file(self.source.lower()) if demo else Path(self.source)
        if where.is_dir():
            return tuple(sorted(one for one in where.iterdir() if one.suffix in _READ))
        return (where,) if demo else ()

    @property
    def stamp(self) -> tuple:
        """Its files with their sizes and times: another stamp, and they were written anew."""
        return tuple((one.name, (stat := one.stat()).st_size, stat.st_mtime_ns) for one in self.files)

    def loaded(self) -> Loaded:
        """The model, loaded in this process when it is first asked for, and anew when its files have changed."""
        global _kept
        with _loading:
            stamp = self.stamp
            if _kept is None or _kept[:2] != (self, stamp):
                _kept = None  # the one before may go before this one comes
                dtype = None if self.dtype is None else getattr(torch, self.dtype)
                _kept = self, stamp, Loaded(load_model(self.source, device=self.device, dtype=dtype))
            return _kept[2]


@dataclass
class Loaded:
    """A model, and the runs that its last prompts took their means from."""

    model: Model
    references: tuple[tuple, tuple[Run, ...]] | None = None

    def reference(self, run: Run, texts: tuple | None) -> tuple[Run, ...] | None:
        """The reference prompts, run once for all prompts that begin alike (with BOS or without)."""
        if texts is None:
            return None
        asked = (texts, run.prepend_bos, self.model.engine.weights())
        if (kept := self.references) is None or kept[0] != asked:
            kept = self.references = asked, run._references([list(one) if isinstance(one, tuple) else one for one in texts])
        return kept[1]


@dataclass(frozen=True, eq=False)
class Live:
    """A model that is in this process, and goes to no other."""

    model: Model
    weights: int
    here: Loaded = field(repr=False)

    @property
    def stamp(self) -> tuple:
        """Nothing: it is `loaded` that looks at its weights."""
        return ()

    def loaded(self) -> Loaded:
        if self.model.engine.weights() != self.weights:
            raise ModelError(_CHANGED.format("weights"))
        return self.here


_CHANGED = "The model's {0} have changed while its prompts were run: start again with the {0} that are meant."


def require_unchanged(spec: ModelSpec | Live, stamp: tuple) -> None:
    """`ModelError` where the files of a model no longer have this stamp: what was read from the new ones is of another model."""
    try:
        same = spec.stamp == stamp
    except OSError:  # gone, or in the middle of being written
        same = False
    if not same:
        raise ModelError(_CHANGED.format("files"))


# One model a process: a worker serves one call at a time, and a second copy may not fit.
_kept: tuple[ModelSpec, tuple, Loaded] | None = None
_loading = threading.RLock()


def forget_model() -> None:
    """Lets go of the model that this process loaded by name."""
    global _kept
    with _loading:
        _kept = None


def spec_of(model: object, device: object = None, dtype: object = None) -> ModelSpec | Live:
    """`model` as a spec where it is a name or a folder, else as it is."""
    if isinstance(model, (str, Path)):
        path = Path(model).expanduser()
        # Workers may stand in another folder.
        source = str(path.resolve()) if str(model).lower() not in demo_models() and path.is_dir() else str(model)
        return ModelSpec(source, None if device is None else str(torch.device(device)), _dtype(dtype))
    if device is not None or dtype is not None:
        raise ModelError("A model handed in is used as it is: leave device= and dtype= out, or give its name or folder.")
    attached = load_model(model)
    return Live(attached, attached.engine.weights(), Loaded(attached))


def _dtype(dtype: object) -> str | None:
    name = None if dtype is None else str(dtype).removeprefix("torch.")
    if name is not None and not (isinstance(known := getattr(torch, name, None), torch.dtype) and known.is_floating_point):
        raise ModelError(f"dtype must be one such as torch.float32 or torch.bfloat16, not {dtype!r}.")
    return name
