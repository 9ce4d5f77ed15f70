"""How many bytes are alive. Tensors: what is allocated is seen by PyTorch's dispatcher, and what is let go of by weak references. All that
Python and NumPy allocate: by tracemalloc."""

from __future__ import annotations

import threading
import tracemalloc
import weakref
from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class Held(TorchDispatchMode):
    """Inside, in this thread, `now` and `peak` bytes of storages that operations have made since it was entered. Each storage counts once,
    whatever views there are of it; the numbers are the same on every machine. Behind it, `arrays` is the most that Python and NumPy had at
    once of what they allocated inside, in any thread."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = self.arrays = 0
        self._sizes: dict[int, int] = {}
        self._lock = threading.RLock()

    def __enter__(self) -> Held:
        tracemalloc.start()
        return super().__enter__()

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)
        self.arrays = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()

    def __torch_dispatch__(self, func: Callable, types: object, args: tuple = (), kwargs: dict | None = None) -> object:
        given = {leaf.untyped_storage()._cdata for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor) and leaf.untyped_storage()._cdata not in given:
                self._count(leaf.untyped_storage())
        return result

    def _count(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        with self._lock:
            if key in self._sizes:
                return
            self._sizes[key] = storage.nbytes()
            self.now += storage.nbytes()
            self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._gone, key)

    def _gone(self, key: int) -> None:
        with self._lock:
            self.now -= self._sizes.pop(key, 0)
