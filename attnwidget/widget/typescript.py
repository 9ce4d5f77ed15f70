"""Writes `js/src/state.gen.ts`, the TypeScript interface of the widget's traits, from the Python class.

python -m attnwidget.widget.typescript            # write it
python -m attnwidget.widget.typescript --check    # exit 1 when it is stale
"""

from __future__ import annotations

import sys
from pathlib import Path

import traitlets as t

from .state import State

TARGET = Path(__file__).parents[2] / "js" / "src" / "state.gen.ts"


def type_of(trait: t.TraitType) -> str:
    """The TypeScript type of one trait; a `TypeError` for a trait that has none, so that nothing becomes `any`."""
    if isinstance(trait, t.Enum):
        return " | ".join(f'"{value}"' for value in trait.values)
    for kind, name in ((t.Bool, "boolean"), (t.Int, "number"), (t.Float, "number"), (t.Unicode, "string"), (t.Bytes, "DataView")):
        if isinstance(trait, kind):
            return name
    if isinstance(trait, t.Tuple):
        return "[" + ", ".join(type_of(part) for part in trait._traits) + "]"
    if isinstance(trait, t.List) and trait._trait is not None:
        inner = type_of(trait._trait)
        return f"({inner})[]" if " | " in inner else f"{inner}[]"
    if isinstance(trait, t.Dict):
        return "Record<string, unknown>"
    raise TypeError(f"No TypeScript type for {trait!r}: give it an element type, or teach typescript.py.")


def interface() -> str:
    """The file's text."""
    rows = "".join(f"  {name}: {type_of(trait)};\n" for name, trait in sorted(State.class_traits(sync=True).items()))
    head = "// Generated from attnwidget/widget/state.py by `make types`. Do not edit.\n\n"
    return f"{head}export interface State {{\n{rows}}}\n"


def main(arguments: list[str]) -> int:
    text = interface()
    if "--check" in arguments:
        if TARGET.is_file() and TARGET.read_text(encoding="utf-8") == text:
            return 0
        print(f"{TARGET} is stale: run `make types`.")
        return 1
    TARGET.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
