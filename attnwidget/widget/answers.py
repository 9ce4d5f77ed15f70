"""What views were answered last."""

from __future__ import annotations

from collections import OrderedDict


class Answers:
    """The last answer of each kind, with and without ablated heads, and what was asked: all about one run."""

    def __init__(self) -> None:
        self._last: OrderedDict[tuple[str, bool], tuple[dict, object]] = OrderedDict()

    def note(self, op: str, args: dict, result: object) -> None:
        ablation = args.get("ablation")
        kind = op, bool(isinstance(ablation, dict) and ablation.get("heads"))
        self._last[kind] = args, result
        self._last.move_to_end(kind)

    def of(self, op: str) -> list[tuple[dict, object]]:
        """The oldest first."""
        return [answer for (name, _), answer in self._last.items() if name == op]

    def like(self, op: str, args: dict) -> object | None:
        """The answer to just this question, where it was asked last."""
        said = lambda asked: {name: value for name, value in asked.items() if name not in ("run_key", "k")}  # noqa: E731
        return next((result for asked, result in self.of(op) if said(asked) == said(args)), None)

    def clear(self) -> None:
        self._last.clear()
