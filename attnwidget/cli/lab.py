"""A notebook, open in JupyterLab, with the kernel of this environment."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import webbrowser
from pathlib import Path

from ..errors import AttnWidgetError


def open_in_lab(notebook: Path, *, browser: bool = True) -> int:
    """Serves `notebook` until it is stopped, prints its address, and opens it in a browser unless BROWSER=none or there is no screen."""
    port, token = _free_port(8888), secrets.token_hex(16)
    command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--ServerApp.ip=127.0.0.1"]
    command += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0", "--log-level=WARN"]
    command += [f"--ServerApp.root_dir={notebook.resolve().parent}"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        command.append("--allow-root")
    # The token goes by the environment, where other users of the machine cannot list it.
    # The kernel of this environment, even where the user has one of the same name of their own.
    server = subprocess.Popen(command, env=os.environ | {"JUPYTER_TOKEN": token, "JUPYTER_PREFER_ENV_PATH": "1"})
    # Whoever ends this process ends the server with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        while not _answers(f"http://127.0.0.1:{port}/api/status?token={token}"):
            if server.poll() is not None:
                return server.returncode or 1
            time.sleep(0.2)
        address = f"http://127.0.0.1:{port}/lab/tree/{notebook.name}?token={token}"
        print(f"\n  {notebook} is open at\n  {address}\n  Ctrl-C stops it.\n", flush=True)
        if browser and _has_screen():
            webbrowser.open(address)
        return server.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        server.terminate()
        server.wait(20)


def _free_port(preferred: int) -> int:
    for port in (preferred, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return probe.getsockname()[1]
    raise AttnWidgetError("No port of this machine is free for JupyterLab.")


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=1).close()
    except OSError:
        return False
    return True


def _has_screen() -> bool:
    if os.environ.get("BROWSER") == "none":
        return False
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
