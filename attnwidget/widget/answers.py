"""What views were answered last."""

from __future__ import annotations

from collections import OrderedDict

from .wire import nbytes

LARGEST = 4_000_000
"""Bytes of arrays beyond which an answer is not kept: a page asks for it again, and a saved notebook has no room for it."""


class Answers:
    """The last answer of each kind, with and without ablated heads, and what was asked: all about one run. Of one that is larger than
    `LARGEST` nothing is kept."""

    def __init__(self) -> None:
        self._last: OrderedDict[tuple[str, bool], tuple[dict, object]] = OrderedDict()

    def note(self, op: str, args: dict, result: object) -> None:
        ablation = args.get("ablation")
        kind = op, bool(isinstance(ablation, dict) and ablation.get("heads"))
        self._last.pop(kind, None)
        if nbytes(result) <= LARGEST:
            self._last[kind] = args, result

    def of(self, op: str) -> list[tuple[dict, object]]:
        """The oldest first."""
        return [answer for (name, _), answer in self._last.items() if name == op]

    def like(self, op: str, args: dict) -> object | None:
        """The answer to just this question, where it was asked last."""
        said = lambda asked: {name: value for name, value in asked.items() if name not in ("run_key", "k")}  # noqa: E731
        return next((result for asked, result in self.of(op) if said(asked) == said(args)), None)

    def clear(self) -> None:
        self._last.clear()
