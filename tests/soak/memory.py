"""What the kernel and the page hold, after both have thrown away what they can."""

from __future__ import annotations

from ..browser.lab import Notebook
from .levels import Level

# Storages, since views share them; those of the model itself are not what is asked about.
IN_KERNEL = """
def _held():
    import gc, threading, time
    import torch
    # Where gc lists what another thread is in the middle of making (a tuple of a generator), Python fails in that thread.
    while w._worker._jobs():
        time.sleep(0.05)
    with model.lock:
        return _counted(gc, threading, torch)
def _counted(gc, threading, torch):
    gc.collect()
    own = {t.untyped_storage().data_ptr() for t in [*model.source.parameters(), *model.source.buffers()]}
    seen, objects = {}, gc.get_objects()
    for thing in objects:
        try:
            if isinstance(thing, torch.Tensor) and thing.device.type != 'meta':
                storage = thing.untyped_storage()
                seen[storage.data_ptr()] = storage.nbytes()
        except Exception:  # a proxy that answers for an object which is gone
            continue
    tensors = sum(size for at, size in seen.items() if at not in own)
    status = dict(line.split(':', 1) for line in open('/proc/self/status').read().splitlines())
    return {'rss': int(status['VmRSS'].split()[0]) / 1024, 'threads': threading.active_count(), 'objects': len(objects) / 1000,
            'tensors': tensors / 2**20}
"""

# JupyterLab's registry of commands keeps each key that was pressed and is no command, for good, and with it what the key was pressed over.
KEYS = "() => window.jupyterapp.commands._holdKeyBindingPromises.clear()"

#: What is measured: words, unit, and how much the last quarter may lie over the second (a share, or that many units).
MEASURED = {
    "rss": ("kernel, resident memory", "MiB", 0.05, 60),
    "tensors": ("kernel, tensors", "MiB", 0.25, 30),
    "objects": ("kernel, Python objects", "1,000", 0.05, 20),
    "threads": ("kernel, threads", "", 0.0, 3),
    "heap": ("page, JavaScript heap", "MiB", 0.10, 6),
    "nodes": ("page, DOM nodes", "", 0.15, 600),
    "listeners": ("page, event listeners", "", 0.10, 100),
}


class Memory:
    """Measures now and then; `levels` judges what was measured."""

    def __init__(self, book: Notebook):
        self._book = book
        self._page = book.page.context.new_cdp_session(book.page)
        self._page.send("Performance.enable")
        self._page.send("HeapProfiler.enable")
        book.do(IN_KERNEL)
        self.at: list[int] = []
        self.series: dict[str, list[float]] = {name: [] for name in MEASURED}

    def measure(self, actions: int) -> dict[str, float]:
        now = self._book.read("_held()") | self._in_page()
        self.at.append(actions)
        for name, series in self.series.items():
            series.append(now[name])
        return now

    def _in_page(self) -> dict[str, float]:
        self._book.page.evaluate(KEYS)
        for _ in range(2):  # what the first finds dead may have kept others alive
            self._page.send("HeapProfiler.collectGarbage")
        metrics = {one["name"]: one["value"] for one in self._page.send("Performance.getMetrics")["metrics"]}
        return {"heap": metrics["JSHeapUsedSize"] / 2**20, "nodes": metrics["Nodes"], "listeners": metrics["JSEventListeners"]}

    def levels(self) -> list[Level]:
        return [Level(words, unit, self.at, self.series[name], share, slack) for name, (words, unit, share, slack) in MEASURED.items()]
