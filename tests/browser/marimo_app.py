"""marimo in a real browser: an app served by `marimo run`, with none of the user's settings."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import textwrap
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from .lab import ROOT, wait_until


def app(*cells: tuple[str, str, str]) -> str:
    """The source of an app. A cell is (the names it takes, its statements, the names it gives); its last expression is shown."""
    parts = ["import marimo\n\napp = marimo.App(width='full')\n"]
    for takes, code, gives in cells:
        body = textwrap.indent(f"{code}\nreturn {gives}".rstrip(), "    ")
        parts.append(f"@app.cell\ndef _({takes}):\n{body}\n")
    return "\n\n".join(parts)


@contextlib.contextmanager
def serve(folder: Path, source: str, theme: str = "light") -> Iterator[str]:
    """The address of a running app."""
    file = folder / "app.py"
    file.write_text(source, encoding="utf-8")
    (folder / "pyproject.toml").write_text(f'[tool.marimo.display]\ntheme = "{theme}"\n', encoding="utf-8")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    env = os.environ | {"HF_HUB_OFFLINE": "1", "HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "MARIMO_SKIP_UPDATE_CHECK": "1"}
    env["PYTHONPATH"] = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [
        sys.executable,
        "-m",
        "marimo",
        "-y",
        "run",
        str(file),
        "--headless",
        "--no-token",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    log = folder / "marimo.log"
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=env, cwd=folder, stdout=out, stderr=subprocess.STDOUT)
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until(lambda: _up(url, process, log), 60, "marimo answers", log.read_text)
            yield url
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _up(url: str, process: subprocess.Popen, log: Path) -> bool:
    if process.poll() is not None:
        raise RuntimeError(f"marimo stopped:\n{log.read_text()[-4000:]}")
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5):
            return True
    except (OSError, urllib.error.URLError):
        return False
