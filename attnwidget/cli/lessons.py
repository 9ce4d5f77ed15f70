"""The lessons: where they are in this installation, and copies of them that a person may write in."""

from __future__ import annotations

import filecmp
import shutil
from dataclasses import dataclass
from pathlib import Path

from ..errors import AttnWidgetError

FIRST = "quickstart.ipynb"


@dataclass(frozen=True)
class Copied:
    """What became of each lesson: put there, there already as it is, or there with changes, which are left alone."""

    new: tuple[Path, ...]
    same: tuple[Path, ...]
    kept: tuple[Path, ...]


def shipped() -> Path:
    """The folder of lessons: inside the package where it was installed from a wheel, beside it in a clone."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "lessons", package.parent / "notebooks"):
        if (folder / FIRST).is_file():
            return folder
    raise AttnWidgetError(f"This installation of attnwidget has no lessons ({package / 'lessons'} is missing): install it again.")


def copy_lessons(source: Path, target: Path) -> Copied:
    """Copies what `target` does not have. A file that is there is never written to."""
    files = sorted(path.relative_to(source) for path in source.rglob("*") if path.is_file() and not _hidden(path.relative_to(source)))
    new, same, kept = [], [], []
    for file in files:
        here, there = source / file, target / file
        if not there.exists():
            there.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(here, there)
            new.append(file)
        elif filecmp.cmp(here, there, shallow=False):
            same.append(file)
        else:
            kept.append(file)
    return Copied(tuple(new), tuple(same), tuple(kept))


def _hidden(path: Path) -> bool:
    return any(part.startswith((".", "__")) for part in path.parts)
