"""What was found, sentence by sentence."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from types import MappingProxyType

_MARKS = {"ok": "✓", "note": "·", "broken": "✗"}


@dataclass(frozen=True)
class Finding:
    """One sentence about one subject. `level` is "ok", "note" (works, but know this) or "broken"; `data` has the facts behind it."""

    topic: str
    level: str
    text: str
    data: Mapping = field(default_factory=lambda: MappingProxyType({}))

    @property
    def broken(self) -> bool:
        return self.level == "broken"


@dataclass(frozen=True)
class Report:
    """All findings, in the order in which one stands on another. Shown as text in a cell and by `print`."""

    findings: tuple[Finding, ...]

    @property
    def broken(self) -> tuple[Finding, ...]:
        """What is broken."""
        return tuple(finding for finding in self.findings if finding.broken)

    def to_dict(self) -> dict:
        """Plain dicts and lists: `{"broken": number, "findings": [{"topic", "level", "text", "data"}, ...]}`."""
        rows = [{"topic": f.topic, "level": f.level, "text": f.text, "data": dict(f.data)} for f in self.findings]
        return {"broken": len(self.broken), "findings": rows}

    def to_json(self) -> str:
        """`to_dict`, as text."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False)

    def __str__(self) -> str:
        lines = []
        for topic in dict.fromkeys(finding.topic for finding in self.findings):
            lines += ["", topic]
            lines += [f"  {_MARKS[f.level]} {f.text}" for f in self.findings if f.topic == topic]
        return "\n".join([*lines[1:], "", self._verdict()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f'<pre style="white-space: pre-wrap">{escape(str(self))}</pre>'

    def _verdict(self) -> str:
        n = len(self.broken)
        return "Nothing is broken." if n == 0 else f"{n} {'thing is' if n == 1 else 'things are'} broken, marked ✗."
