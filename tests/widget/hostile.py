"""What a page should never send: values of every wrong kind, and what a message does to the process while it is answered."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from hypothesis import strategies as st

from ..conftest import ROOT
from .front import CLEAN


def nested(levels: int, value: object = 1) -> object:
    for level in range(levels):
        value = [value] if level % 2 else {"ablation": value}
    return value


LONG = "x" * 8_000_000
VALUES = [
    None, True, False, 0, -1, 1.5, -0.0, 10**400, -(10**400), 2**63, 1e308, float("nan"), float("inf"),
    "", "__class__", "L0H0", "\ud800", "a\0b", "<img src=x onerror=alert(1)>", "../../etc/passwd", LONG,
    [], [[]], [None], [[0, 99]], [[-1, 0]], [[0, 0, 0]], [[True, False]], list(range(5000)), [10**400], ["\udfff"],
    {}, {"heads": 3}, {"__class__": "x"}, {"heads": [[0, 0]], "mode": ["zero"]}, nested(40), nested(1000), b"bytes", [b"bytes"],
]  # fmt: skip
"""One of each kind of wrong; some are right for some field."""

NAMES = [
    None, 7, [], {}, True, "", "__class__", "_session", "run.model", "close", "to_html", "page.__globals__", "model", "OPS", "prompt ",
    "Prompt", "\ud800", "\0", "sсores", LONG, nested(1000), b"outcome", float("nan"),
]  # fmt: skip
"""No names of requests."""

scalars = st.none() | st.booleans() | st.integers() | st.integers(-(10**500), 10**500) | st.floats() | st.text() | st.binary(max_size=8)
anything = st.recursive(scalars, lambda of: st.lists(of, max_size=4) | st.dictionaries(st.text(max_size=8), of, max_size=4), max_leaves=12)


def good(key: str) -> dict[str, dict]:
    """For each request, arguments that are right for the prompt of `front.py` in a widget with `run_key` key, and quickly answered."""
    about = {"position": -1, "target": "", "against": ""}
    off = {**CLEAN, "heads": [[1, 1]]}
    two = {"other": "the dog sat on the mat", "discount_special": False, "renormalise": False}
    args = {
        "outcome": {"ablation": off, **about, "k": 4},
        "embedding": {"ablation": off},
        "token": {"text": "cat"},
        "patterns": {"ablation": off, "heads": [[0, 1]]},
        "thumbnails": {},
        "whole_prompt": {"ablation": off},
        "weighted": {"ablation": off, "heads": [[0, 1]], "kind": "signed", **about},
        "aggregate": {"ablation": off, "kind": "mean", "heads": [[0, 1]]},
        "lens": {"ablation": off, "positions": [5], "target": "", "middle": False},
        "lens_column": {"ablation": off, "position": 5, "middle": False, "k": 3},
        "kinds": {"own": True},
        "counterfactual": {"how": "swap", "swap": ["cat", "dog"], "which": "all", "text": "", "seed": 0, **about},
        "qk": {"ablation": off, "head": [0, 1]},
        "why": {"ablation": off, "head": [0, 1], "query": 5, "key": 2},
        "ov": {"head": [0, 1], "positions": [1, 2], "embedding": "tokens", "k": 2},
        "qk_circuit": {"head": [0, 1], "offset": 1, "embedding": "tokens", "k": 2},
        "composition": {"head": [1, 1]},
        "other": {"text": "a dog"},
        "compare": {**two, "causal": False, "metric": "kl", **about, "patience": 0},
        "compared_patterns": {**two, "heads": [[0, 1]]},
        "compare_many": {"pairs": [["a dog", "a cat"]], "discount_special": False, "renormalise": False, "causal": False, "metric": "kl"},
        "scores": {"method": "entropy", "metric": "kl", **about, "ablation": off, "conditional": False, "patience": 0,
                   "compared": two, "leaving": {"hide_first": False, "renormalise": False, "discount_special": False}},
        "generate": {"ablation": CLEAN, "max_new_tokens": 2, "temperature": 0, "top_k": 0, "top_p": 1, "seed": 0, "forced_on": "control"},
        "study": {"ablation": CLEAN, "target": "", "position": -1, "beam": 1, "max_heads": 1, "budget": 20},
        "circuit": {"method": "information_flow", "counterfactual": [], "metric": "logit_diff", **about, "steps": 1, "edges": 3,
                    "random": 0, "seed": 0, "checks": False},
        "overview": {"ablation": CLEAN, **about},
        "page_parts": {},
        "page": {"parts": []},
    }  # fmt: skip
    return {op: {"run_key": key, **of} for op, of in args.items()} | {
        "prompt": {"text": "the cat sat on the mat", "prepend_bos": False, "keep": "all"},
        "study_ids": {"run_key": key, "ids": [2, 3, 4, 5, 6, 7]},
    }


# -- what happens meanwhile ---------------------------------------------------------------------------------------------

_WATCHED = ("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.truncate", "os.system", "os.exec",
            "os.posix_spawn", "os.fork", "subprocess.Popen", "socket.connect", "socket.bind", "shutil.", "tempfile.", "pickle.", "exec",
            "compile", "webbrowser.open", "ctypes.dlopen")  # fmt: skip
# Where Python and its packages lie, and what the system says of itself.
_READ = tuple({*map(os.path.realpath, (sys.prefix, sys.base_prefix, ROOT, "/usr/lib", "/usr/share")), "/proc", "/sys", "/dev"})
_touched: list[str] | None = None


def _ours(path: object) -> bool:
    """Whether a file, or the number of one that is open, is where a library may read."""
    return isinstance(path, int) or os.path.realpath(os.fspath(path)).startswith(_READ)


def _audit(event: str, args: tuple) -> None:
    if _touched is None:
        return
    if event == "open":
        path, mode, flags = args
        writes = any(letter in mode for letter in "wax+") if isinstance(mode, str) else bool((flags or 0) & 0o3)
        if (writes and "__pycache__" not in str(path)) or not _ours(path):
            _touched.append(f"{event} {path!r} {mode}")
    elif event in ("os.listdir", "os.scandir"):
        if not _ours(args[0]):
            _touched.append(f"{event} {args[0]!r}")
    elif event.startswith(_WATCHED):
        _touched.append(f"{event} {str(args)[:200]}")


sys.addaudithook(_audit)  # for good: there is no way to take one back


class _Heard(logging.Handler):
    def __init__(self):
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


@contextmanager
def nothing_happens() -> Iterator[None]:
    """Inside, no file is written, moved or removed, none is read but those that libraries have, no process started, no socket opened and no
    code compiled; nothing is logged, and no exception is lost in a thread or a finaliser."""
    global _touched
    lost: list[str] = []
    heard = _Heard()
    root = logging.getLogger()
    hooks = threading.excepthook, sys.unraisablehook
    threading.excepthook = lambda what: lost.append(repr(what.exc_value))
    sys.unraisablehook = lambda what: lost.append(repr(what.exc_value))
    root.addHandler(heard)
    _touched = touched = []
    try:
        yield
    finally:
        _touched = None
        root.removeHandler(heard)
        threading.excepthook, sys.unraisablehook = hooks
    assert not touched, touched
    assert not heard.said, heard.said
    assert not lost, lost
