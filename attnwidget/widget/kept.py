"""What a saved notebook shows without a kernel: the last answers about what was on screen, as one container of at most `MOST` bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from importlib import metadata

import numpy as np
import torch

from ..errors import AttnWidgetError
from ..export.container import container
from ..heads import Head
from .jobs import Job
from .misnamed import misnamed
from .ops import OPS
from .wire import Array, pack

MOST = 500_000
_RAW = 4_000_000  # bytes of arrays beyond which an answer is not tried: it would not fit
_TABS = {
    "overview": ("overview",),
    "ranking": (),
    "kinds": ("kinds",),
    "lens": ("lens", "lens_column"),
    "generation": ("generate",),
    "study": ("study",),
    "circuit": ("counterfactual", "circuit"),
    "compare": ("other", "compare", "compared_patterns"),
    "inside": ("qk", "why", "ov", "qk_circuit", "composition"),
}
_CLEAN = {"heads": [], "mode": "zero", "positions": [], "scale": 0.0, "threshold": 0.1, "seed": 0, "reference": []}


class Answers:
    """The answers a view was given last, by what was asked: one of each kind, with and without ablated heads."""

    def __init__(self) -> None:
        self._last: OrderedDict[tuple[str, bool], tuple[dict, object]] = OrderedDict()
        self._key = ""

    def note(self, key: str, op: str, args: dict, result: object) -> None:
        """Keeps an answer about the run `key`; those about an earlier one go."""
        if key != self._key:
            self.forget(key)
        ablation = args.get("ablation")
        self._last[op, bool(isinstance(ablation, dict) and ablation.get("heads"))] = (args, result)

    def forget(self, key: str = "") -> None:
        self._key = key
        self._last.clear()

    def of(self, key: str, op: str) -> list[tuple[dict, object]]:
        return [] if key != self._key else [answer for (name, _), answer in list(self._last.items()) if name == op]

    def like(self, key: str, op: str, args: dict) -> object | None:
        """The answer to just this question, where it was asked last."""
        said = lambda asked: {name: value for name, value in asked.items() if name not in ("run_key", "k")}  # noqa: E731
        return next((result for asked, result in self.of(key, op) if said(asked) == said(args)), None)


def kept(w, answers: Answers, job: Job) -> bytes:
    """The container; b"" where there is no prompt. What is on screen is answered here where no view has asked for it. What does not fit is
    left out, the least needed first."""
    key = w._session.key
    if not key or not w.tokens:
        return b""
    header = {
        "kind": "run",
        "run": key,
        "state": {"facts": w.facts, "tokens": list(w.tokens), "n_layers": w.n_layers, "n_heads": w.n_heads},
        "about": {"model": w.model_name, "prompt": w.prompt, "attnwidget": metadata.version("attnwidget")},
    }
    found: list[dict] = []
    patterns = None
    for part in _parts(w, key, answers, job):
        if part["op"] == "patterns of the clean run":
            patterns = part["result"]
        elif _size(part["result"]) <= _RAW:
            found.append(part)
    while True:
        job.chunk(0, 1, "Saving what is shown")  # compressing takes its time, and a click need not wait for all tries
        content, buffers = pack({**header, "answers": found, "patterns": patterns, "misnamed": misnamed(w.model, found)})
        data = container(content, buffers)
        if len(data) <= MOST or not (found or patterns):
            return data if len(data) <= MOST else b""
        # Asked for last, needed least; patterns go before the answer itself.
        if found and (patterns is None or found[-1]["op"] not in ("outcome", "embedding")):
            found.pop()
        else:
            patterns = None


def _parts(w, key: str, answers: Answers, job: Job) -> Iterator[dict]:
    """What a view shows, the most needed first."""
    for op, args in _asked(w):
        job.chunk(0, 1, "Saving what is shown")
        result = answers.like(key, op, args)
        if result is None:
            try:
                result = OPS[op].answer(w._session, {**args, "run_key": key}, job)
            except AttnWidgetError:  # a mode that is undefined for what is ablated, say: the page says so where it is asked
                continue
        yield {"op": op, "args": {**args, "run_key": "recorded"}, "result": result}
    job.chunk(0, 1, "Saving what is shown")
    if (maps := _clean_patterns(w)) is not None:
        yield {"op": "patterns of the clean run", "result": maps}
    if w.ablated and (maps := _present_patterns(w)) is not None:
        yield maps
    others = ("scores", "weighted", "aggregate") + (_TABS.get(w.tab, ()) if "tabs" in w.panels else ())
    for op in others:
        for args, result in answers.of(key, op):
            yield {"op": op, "args": {**args, "run_key": "recorded"}, "result": result}


def _asked(w) -> list[tuple[str, dict]]:
    """The questions behind the panels that are shown, as the front end asks them (js/src/store.ts)."""
    now = _present(w)
    each = [_CLEAN, now] if w.ablated else [_CLEAN]
    asked: list[tuple[str, dict]] = []
    if "outcome" in w.panels:
        if w.model.answer == "none":
            asked += [("embedding", {"ablation": now})] if w.ablated else []
        else:
            about = {"position": w.position, "target": w.target, "against": w.against, "k": 10}
            asked += [("outcome", {"ablation": how, **about}) for how in each]
        if w.model.answer in ("next", "mask"):
            asked += [("whole_prompt", {"ablation": how}) for how in each]
    if "grid" in w.panels and w.model.selftest.reads_patterns:
        asked.append(("thumbnails", {}))
    return asked


def _heads(w) -> list[Head]:
    if not w.model.selftest.reads_patterns or not {"tokens", "attention"} & set(w.panels):
        return []
    heads = list(dict.fromkeys((*w.shown, *w.selected)))
    return heads[: max(1, _RAW // len(w.tokens) ** 2)]


def _clean_patterns(w) -> dict | None:
    """`BundleHeader.patterns` of js/src/source/container.ts: 8 bits, of causal models the lower triangle."""
    heads, n = _heads(w), len(w.tokens)
    if not heads or n * n > _RAW:
        return None
    clean = w._session.clean
    maps = np.stack([_eight_bit(clean.pattern(head)) for head in heads])
    rows, columns = np.tril_indices(n)
    cells = maps[:, rows, columns] if w.model.causal else maps.reshape(len(heads), -1)
    shape = {"queries": n, "keys": n, "causal": w.model.causal}
    return {"heads": [list(head) for head in heads], **shape, "maps": Array(cells)}


def _present_patterns(w) -> dict | None:
    """The answer `patterns` of the ablated run, rounded to 8 bits so that it is small once compressed."""
    heads, n = _heads(w), len(w.tokens)
    if not heads or 8 * len(heads) * n * n > _RAW:
        return None
    try:
        run, off = w.run, set(w.ablated)
    except AttnWidgetError:
        return None
    maps = np.stack([_eight_bit((run.clean if head in off else run).pattern(head)) for head in heads]).astype(np.float32) / np.float32(255)
    # Rounded itself: the difference of two rounded values would be off by twice as much.
    moved = np.stack([(run.pattern(head).float() - run.clean.pattern(head).float()).cpu().numpy() for head in heads])
    change = np.rint(moved * 255) / np.float32(255)
    listed = [list(head) for head in heads]
    note = {"heads": listed, "text": "saved to 8 bits, ± 0.002"}
    args = {"run_key": "recorded", "ablation": _present(w), "heads": listed}
    return {"op": "patterns", "args": args, "result": {"heads": listed, "maps": Array(maps), "change": Array(change), "notes": [note]}}


def _present(w) -> dict:
    said = {name: getattr(w, name) for name in ("mode", "scale", "threshold", "seed")}
    return {**said, "heads": [list(head) for head in w.ablated], "positions": list(w.positions), "reference": list(w.reference)}


def _eight_bit(pattern: torch.Tensor) -> np.ndarray:
    return (pattern.float().cpu().clamp(0, 1) * 255).round().to(torch.uint8).numpy()


def _size(result: object) -> int:
    """Bytes of the arrays in a result."""
    return sum(map(len, pack(result)[1]))
