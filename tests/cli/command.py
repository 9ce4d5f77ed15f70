"""The command as a person runs it, and environments in which something is missing."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

from ..conftest import ROOT


def attnwidget(*arguments: object, python: Path | None = None, **options: object) -> subprocess.CompletedProcess:
    """`attnwidget ARGUMENTS`, by the script that pip installed, or with `python -m attnwidget` in an environment of a test."""
    if python is not None:
        options.setdefault("cwd", python.parent)  # `-m` puts the working folder before everything else
    program = [str(Path(sys.executable).parent / "attnwidget")] if python is None else [str(python), "-m", "attnwidget"]
    return subprocess.run([*program, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=300, **options)


def environment(folder: Path, without: tuple[str, ...] = ()) -> Path:
    """A virtual environment that has what this one has, but for the named distributions: its `python`.

    Packages are links into this environment's, so that nothing is downloaded or copied. Nothing is in its `share/jupyter`.
    """
    venv.create(folder / "env", with_pip=False, symlinks=True)
    packages = folder / "packages"
    packages.mkdir()
    for site in dict.fromkeys([sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]):
        for entry in Path(site).iterdir():
            name = entry.name.split("-")[0].lower()
            if name not in without and not (packages / entry.name).exists():
                (packages / entry.name).symlink_to(entry)
    python = folder / "env" / "bin" / "python"
    found = subprocess.run(
        [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], capture_output=True, text=True, check=True
    )
    (Path(found.stdout.strip()) / "linked.pth").write_text(f"{packages}\n{ROOT}\n")
    return python


def clean(folder: Path) -> dict[str, str]:
    """Environment variables under which no Jupyter folder of this machine's user is seen."""
    homes = {name: str(folder / name.lower()) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_DATA_DIR", "HOME")}
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("JUPYTER", "PYTHONPATH"))}
    return kept | homes | {"HF_HUB_OFFLINE": "1"}
