"""One prompt as a task: plain data that any process can be handed, and the function that answers it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import numpy as np
import torch

from ..engine import Engine
from ..engine.interrupt import Cancelled, interruptible
from ..engine.narrow import narrow_call
from ..errors import AttnWidgetError
from ..model import Model
from ..run import Run
from .spec import Live, Loaded, ModelSpec


@dataclass(frozen=True)
class Answer:
    """What is kept of one prompt."""

    arrays: Mapping[str, np.ndarray]
    """[layer, head] each, float64, NaN where undefined."""
    facts: Mapping[str, object]
    """What else there is to say, as JSON has it."""


@dataclass(frozen=True)
class Failed:
    reason: str
    for_all: bool = False
    """Whether it is about the model, and no other prompt will do better."""


Compute = Callable[[Run, Mapping[str, object], Loaded], Answer]


@dataclass(frozen=True)
class Task:
    spec: ModelSpec | Live
    compute: Compute
    """A function of a module, which pickles as its name."""
    content: str | tuple
    """The prompt: a text, ids, or chat messages."""
    question: Mapping[str, object] = field(default_factory=dict)
    """Its further arguments."""
    prepend_bos: bool | None = None
    threads: int | None = None
    """PyTorch's threads, which decide the order of sums and so the last bits; None for as many as there are."""


def work(task: Task) -> Answer | Failed:
    """The answer of one task. Nothing is raised but what ends all of them: an interrupt, a cancelled job."""
    try:
        loaded = task.spec.loaded()
    except Cancelled:
        raise
    except Exception as error:
        return Failed(said(error), for_all=True)
    model = loaded.model
    try:
        with _on_threads(task.threads, model.lock):
            _settle(model)
            content = list(task.content) if isinstance(task.content, tuple) else task.content
            run = model.run(content, prepend_bos=task.prepend_bos)
            answer = task.compute(run, task.question, loaded)
    except Cancelled:
        raise
    except Exception as error:
        return Failed(said(error))
    return answer


def until(stop: threading.Event, task: Task) -> Answer | Failed:
    """`work` in a thread of this process: it ends before the next block once `stop` is set."""

    def check() -> None:
        if stop.is_set():
            raise Cancelled

    with interruptible(check):
        check()
        return work(task)


def said(error: BaseException) -> str:
    """An error in one line: our own in their words, others after the name of their kind."""
    if isinstance(error, AttnWidgetError):
        return str(error)
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {first[:300]}" if first else type(error).__name__


# PyTorch's number of threads is one for the process in some of its libraries. Taken after a model's lock, never before one.
_counting = threading.RLock()


@contextmanager
def _on_threads(threads: int | None, lock: threading.RLock) -> Iterator[None]:
    """Inside, PyTorch works on `threads` threads, and no other task of this process changes that; afterwards on as many as before."""
    if threads is None:
        yield
        return
    with lock, _counting:
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)


_settled: WeakKeyDictionary[Engine, int] = WeakKeyDictionary()


def _settle(model: Model) -> None:
    """What an engine finds out on the first prompt that comes along, and rounds by, it finds out on one prompt that is the same in every
    process: whether the last block can be run at one position (`narrow.py`)."""
    engine, mark = model.engine, model.engine.weights()
    if _settled.get(engine) == mark:
        return
    ids = [at % model.vocabulary.size for at in range(1, 1 + min(8, model.n_ctx or 8))]
    narrow_call(engine, engine.record(torch.tensor([ids], device=model.device)), [len(ids) - 1])
    _settled[engine] = mark
