"""Build hook: the front end is built into `attnwidget/static` before an sdist or wheel is packed, and a wheel carries the lessons.

Nothing is done where the built files are there and no older than their sources, so an sdist (which carries them)
installs without Node. `ATTNWIDGET_SKIP_JS=1` packs whatever is there, for work on the Python side alone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ModuleNotFoundError:  # `python scripts/hatch_build.py` builds the front end, and needs no hatchling for it
    BuildHookInterface = object

ROOT = Path(__file__).resolve().parent.parent
BUILT = ("widget.js", "widget.css")
NO_NODE = (
    "attnwidget's front end is not built and Node.js was not found: install Node.js 20 or newer (it brings npm) and try "
    "again, or install a released wheel or sdist of attnwidget, which carry the built front end."
)


class FrontEndHook(BuildHookInterface):
    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict) -> None:
        # An editable install is made on the way to a working tree; whoever works there builds when they please.
        build_front_end(Path(self.root), required=version != "editable")
        if self.target_name == "wheel" and version != "editable":
            # Where `attnwidget demo` finds them; in a clone it takes them from where they are.
            build_data["force_include"][str(Path(self.root) / "notebooks")] = "attnwidget/lessons"


def build_front_end(root: Path = ROOT, *, required: bool = True) -> None:
    static = root / "attnwidget" / "static"
    if os.environ.get("ATTNWIDGET_SKIP_JS") == "1":
        return
    built = all((static / name).is_file() for name in BUILT)
    if built and not _stale(root / "js", static):
        return
    npm = shutil.which("npm") if shutil.which("node") else None
    if npm is None:
        if built:
            print("attnwidget: Node.js was not found; the front end as built before is used.", file=sys.stderr)
        elif required:
            raise SystemExit(NO_NODE)
        else:
            print(NO_NODE, file=sys.stderr)
        return
    lock, installed = root / "js" / "package-lock.json", root / "js" / "node_modules" / ".package-lock.json"
    if not installed.is_file() or installed.stat().st_mtime < lock.stat().st_mtime:
        _run([npm, "ci"], root / "js")
    _run([npm, "run", "build"], root / "js")
    if missing := [name for name in BUILT if not (static / name).is_file()]:
        raise SystemExit(f"The front end was built, yet {' and '.join(missing)} did not appear in {static}.")


def _stale(js: Path, static: Path) -> bool:
    """Whether a source is newer than what was built from it; an sdist keeps times, so there it is not."""
    sources = [path for path in (js / "src").rglob("*") if path.is_file()]
    sources += [js / name for name in ("build.mjs", "package-lock.json")]
    newest = max((path.stat().st_mtime for path in sources if path.exists()), default=0.0)
    return newest > min((static / name).stat().st_mtime for name in BUILT)


def _run(command: list[str], folder: Path) -> None:
    # stdout belongs to the build front end (pip, build); the log goes where people look for errors.
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        print(done.stdout, file=sys.stderr)
        raise SystemExit(f"`{' '.join(Path(part).name for part in command)}` failed in {folder}; its output is above.")


if __name__ == "__main__":
    build_front_end()
