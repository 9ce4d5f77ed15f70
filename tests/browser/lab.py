"""JupyterLab in a real browser: a server of its own, notebooks made of cells, and the kernel's side of the story.

Used by the browser tests and by `benchmarks/`. Nothing outside the given folder is read or written, but for the
demo models' cache.
"""

from __future__ import annotations

import ast
import contextlib
import itertools
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client import BlockingKernelClient
from playwright.sync_api import Browser, Locator, Page

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM_FLAGS = [
    "--no-sandbox",  # CI runs as root in a container
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--disable-extensions",
]
# What JupyterLab itself says on the console of a page without any widget.
HARMLESS = re.compile(
    r"ERR_ABORTED|favicon|Failed to load resource: .*(404|409)|ResizeObserver loop|"
    r"Subshells? not supported|No provider for|was preloaded using link preload",
)
# What Notebook 7.6 throws while a page without any widget loads.
NOT_OURS = ("Cannot read properties of undefined (reading 'schema')", "Command 'filebrowser:open-path' not registered.")
_serial = itertools.count()


@dataclass
class Server:
    """A running JupyterLab."""

    url: str
    token: str
    folder: Path
    log: Path

    def api(self, path: str, method: str = "GET", body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/api/{path}", data, {"Content-Type": "application/json"}, method=method)
        request.add_header("Authorization", f"token {self.token}")
        with urllib.request.urlopen(request, timeout=30) as reply:
            text = reply.read()
        return json.loads(text) if text else None


@contextlib.contextmanager
def serve(folder: Path, *, save_widgets: bool = False, without: Sequence[str] = ()) -> Iterator[Server]:
    """JupyterLab on this machine's own interface, with none of the user's settings.

    `save_widgets` turns on "Save Widget State Automatically", which JupyterLab leaves off; `without` are plugins of its own to leave out.
    """
    homes = {
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "JUPYTER_DATA_DIR": "data",
        "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
        "IPYTHONDIR": "ipython",
        "HOME": "home",
    }
    for name in homes.values():
        (folder / name).mkdir(parents=True, exist_ok=True)
    quiet = {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True}
    for plugin, values in {
        "@jupyterlab/apputils-extension/notification": quiet,
        "@jupyter-widgets/jupyterlab-manager/plugin": {"saveState": save_widgets},
    }.items():
        file = folder / "config/lab/user-settings" / f"{plugin}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(values))

    if without:
        file = folder / "config/labconfig/page_config.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps({"disabledExtensions": dict.fromkeys(without, True)}))

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Server(f"http://127.0.0.1:{port}", secrets.token_hex(16), folder, folder / "server.log")
    env = os.environ | {key: str(folder / name) for key, name in homes.items()}
    env |= {
        "JUPYTER_TOKEN": server.token,
        # The kernel is this very Python, whatever kernels the user has installed.
        "JUPYTER_PREFER_ENV_PATH": "1",
        "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]),
        # A model hub is not merely unused: it is out of reach.
        "HF_HUB_OFFLINE": "1",
    }
    command = [sys.executable, "-m", "jupyter", "lab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1"]
    command += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0", f"--ServerApp.root_dir={folder}"]
    command += [
        "--LabApp.expose_app_in_browser=True",
        "--JupyterNotebookApp.expose_app_in_browser=True",
        "--ServerApp.terminals_enabled=False",
    ]
    command += ["--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate", "--LabApp.news_url=None"]
    with server.log.open("wb") as log:
        process = subprocess.Popen(command, env=env, cwd=folder, stdout=log, stderr=subprocess.STDOUT)
        try:
            wait_until(lambda: _up(server, process), 60, "JupyterLab answers")
            yield server
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _up(server: Server, process: subprocess.Popen) -> bool:
    if process.poll() is not None:
        raise RuntimeError(f"JupyterLab stopped:\n{server.log.read_text()[-4000:]}")
    try:
        return bool(server.api("status"))
    except (OSError, urllib.error.URLError):
        return False


class Kernel:
    """A kernel of the server, seen by a second client: it reads and sets without a cell of any notebook."""

    def __init__(self, server: Server, id: str):
        self.server, self.id = server, id
        self.client = BlockingKernelClient(connection_file=str(server.folder / "runtime" / f"kernel-{id}.json"))
        self.client.load_connection_file()
        self.client.start_channels()
        wait_until(self._ready, 120, "the kernel answers")

    def _ready(self) -> bool:
        try:
            self.client.wait_for_ready(timeout=60)
        except RuntimeError:  # a heart that is not heard for a second: on a busy machine that is no dead kernel
            return False
        return True

    @classmethod
    def start(cls, server: Server) -> Kernel:
        return cls(server, server.api("kernels", "POST", {"name": "python3"})["id"])

    def read(self, expression: str, timeout: float = 60) -> Any:
        """The value of an expression in the kernel; anything that JSON can carry."""
        wrapped = f"__import__('json').dumps({expression})"
        reply = self._request("", timeout, user_expressions={"x": wrapped})["user_expressions"]["x"]
        if reply["status"] != "ok":
            raise RuntimeError(f"{expression}: {reply['ename']}: {reply['evalue']}")
        return json.loads(ast.literal_eval(reply["data"]["text/plain"]))

    def do(self, code: str, timeout: float = 120) -> None:
        """Runs statements in the kernel, as a cell would; what they raise is raised here."""
        reply = self._request(code, timeout)
        if reply["status"] != "ok":
            raise RuntimeError(f"{code}: {reply['ename']}: {reply['evalue']}")

    def _request(self, code: str, timeout: float, **options: Any) -> dict[str, Any]:
        message = self.client.execute(code, store_history=False, **options)
        deadline = time.monotonic() + timeout
        while True:
            reply = self.client.get_shell_msg(timeout=max(0.1, deadline - time.monotonic()))
            if reply["parent_header"].get("msg_id") == message:
                return reply["content"]

    def soon(self, expression: str, expected: Any, timeout: float = 20) -> None:
        """Waits until an expression in the kernel has a value; floats to within 0.01."""
        last: list[Any] = []

        def there() -> bool:
            last[:] = [self.read(expression)]
            if isinstance(expected, float):
                return abs(last[0] - expected) <= 0.01
            return last[0] == expected

        wait_until(there, timeout, f"{expression} == {expected!r}", lambda: f"it is {last[0]!r}")

    def stop(self) -> None:
        self.client.stop_channels()
        with contextlib.suppress(OSError):
            self.server.api(f"kernels/{self.id}", "DELETE")


@dataclass
class Notebook:
    """One notebook, open in the browser, and its kernel."""

    page: Page
    server: Server
    name: str
    kernel: Kernel
    #: Whether the kernel is this notebook's own, and ends with it.
    owns_kernel: bool
    #: Every address that was asked for and is not this machine; must stay empty.
    outside: list[str] = field(default_factory=list)
    #: Uncaught errors and console errors of the page; must stay empty.
    errors: list[str] = field(default_factory=list)

    # -- the browser's side -------------------------------------------------------------------------------------

    @property
    def widgets(self) -> Locator:
        """The root element of each view on the page, top to bottom."""
        return self.page.locator(".jp-Notebook .attnwidget")

    @property
    def widget(self) -> Locator:
        return self.widgets.first

    def run_all(self, timeout: float = 120) -> None:
        """Runs every cell and waits for the last; a cell that raises is an error here."""
        # The braces keep playwright from waiting for the command's own promise, which may never settle.
        self.page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells') }")
        wait_until(lambda: self._counts() and all(self._counts()), timeout, "all cells have run", self._why)
        wait_until(lambda: self.status() == "idle", timeout, "the kernel is idle", self._why)
        self._no_traceback()

    def status(self) -> str:
        return self.page.evaluate("window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel?.status ?? ''")

    def output_text(self) -> str:
        return "\n".join(self.page.locator(".jp-OutputArea-output").all_inner_texts())

    def set_theme(self, dark: bool) -> None:
        theme = "JupyterLab Dark" if dark else "JupyterLab Light"
        self.page.evaluate("t => { window.jupyterapp.commands.execute('apputils:change-theme', { theme: t }) }", theme)
        flag = "false" if dark else "true"
        self.page.wait_for_selector(f"body[data-jp-theme-light='{flag}']", state="attached")
        self.page.wait_for_timeout(300)  # the theme's style sheet arrives after its name

    def resize_widget(self, width: int) -> None:
        """Makes the window so wide that the widget is `width` px wide, as near as the page allows."""
        self.page.evaluate("() => { window.jupyterapp.shell.collapseLeft?.(); window.jupyterapp.shell.collapseRight?.() }")
        for _ in range(4):
            now = self.widget.evaluate("e => e.getBoundingClientRect().width")
            if abs(now - width) < 1:
                return
            size = self.page.viewport_size or {"width": 1400, "height": 1000}
            self.page.set_viewport_size({"width": round(size["width"] + width - now), "height": size["height"]})
            self.page.wait_for_timeout(250)

    def shoot(self, path: Path, locator: Locator | None = None) -> None:
        """A picture of the widget, tall as it is: the notebook's window is made to hold all of it first."""
        locator = locator or self.widget
        size = self.page.viewport_size or {"width": 1400, "height": 1000}
        height = locator.evaluate("e => e.scrollHeight")
        path.parent.mkdir(parents=True, exist_ok=True)
        self.page.set_viewport_size({"width": size["width"], "height": max(1000, round(height) + 320)})
        locator.scroll_into_view_if_needed()
        self.page.mouse.move(1, 1)
        self.page.wait_for_timeout(250)
        locator.screenshot(path=path)
        self.page.set_viewport_size(size)

    def _counts(self) -> list[int | None]:
        return self.page.evaluate(
            "() => [...window.jupyterapp.shell.currentWidget.content.widgets].filter(c => c.model.type === 'code')"
            ".map(c => c.model.executionCount)"
        )

    def _no_traceback(self) -> None:
        raised = self.page.evaluate(
            "() => [...window.jupyterapp.shell.currentWidget.content.widgets].filter(c => c.model.type === 'code')"
            ".flatMap(c => c.model.sharedModel.outputs).filter(o => o.output_type === 'error')"
            ".map(o => `${o.ename}: ${o.evalue}`)"
        )
        if raised:
            raise AssertionError(f"A cell raised {raised[0]}\n{self.output_text()[-2000:]}")

    def _why(self) -> str:
        return f"status {self.status()!r}, cells {self._counts()}, page errors {self.errors}\n{self.output_text()[-2000:]}"

    # -- the kernel's side --------------------------------------------------------------------------------------

    def read(self, expression: str) -> Any:
        return self.kernel.read(expression)

    def do(self, code: str) -> None:
        self.kernel.do(code)

    def soon(self, expression: str, expected: Any) -> None:
        self.kernel.soon(expression, expected)

    def close(self) -> None:
        self.page.context.close()
        if self.owns_kernel:
            self.kernel.stop()
        else:
            # What a later notebook on this kernel would otherwise ask for, all of it, when it opens.
            self.kernel.do("import ipywidgets; ipywidgets.Widget.close_all()")


def open_notebook(
    browser: Browser,
    server: Server,
    cells: list[str],
    *,
    kernel: Kernel | None = None,
    width: int = 1400,
    height: int = 1000,
    front: str = "lab/tree",
) -> Notebook:
    """Writes a notebook of these cells and opens it in a fresh browser profile; no cell has run yet.

    Given a `kernel`, the notebook runs on that one, with whatever is loaded there. `front`: "lab/tree" is JupyterLab, "notebooks" is
    Notebook 7, which the same server serves.
    """
    name = f"test{next(_serial)}.ipynb"
    spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    body = nbformat.v4.new_notebook(cells=list(map(nbformat.v4.new_code_cell, cells)), metadata={"kernelspec": spec})
    nbformat.write(body, server.folder / name)
    own = kernel is None
    kernel = kernel or Kernel.start(server)
    server.api("sessions", "POST", {"path": name, "name": name, "type": "notebook", "kernel": {"id": kernel.id}})

    page = browser.new_context(viewport={"width": width, "height": height}).new_page()
    notebook = Notebook(page, server, name, kernel, own)
    _watch(page, notebook, server)
    page.goto(f"{server.url}/{front}/{name}?token={server.token}&reset")
    wait_for_kernel(page)
    return notebook


def wait_for_kernel(page: Page) -> None:
    """Until the open notebook can run cells."""
    page.wait_for_selector(".jp-Notebook .jp-CodeCell", timeout=60_000)
    page.wait_for_function("window.jupyterapp !== undefined")
    # On the session itself: JupyterLab asks which kernel to use when a cell is run before this.
    session = "window.jupyterapp.shell.currentWidget?.sessionContext?.session?.kernel"
    page.wait_for_function(f"{session}?.status === 'idle'", timeout=60_000)


def _watch(page: Page, notebook: Notebook, server: Server) -> None:
    here = urllib.parse.urlsplit(server.url).netloc

    def seen(url: str) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("blob", "data", "about") and parts.netloc != here:
            notebook.outside.append(url)

    def said(message: Any) -> None:
        if message.type == "error" and not HARMLESS.search(message.text):
            notebook.errors.append(message.text)

    page.on("request", lambda request: seen(request.url))
    page.on("websocket", lambda socket: seen(socket.url))
    page.on("pageerror", lambda error: None if str(error) in NOT_OURS else notebook.errors.append(f"uncaught: {error}"))
    page.on("console", said)


def wait_until(there: Callable[[], Any], timeout: float, what: str, why: Callable[[], str] = lambda: "", pause: float = 0.05) -> None:
    """Until `there()` is true; else an error that says what was waited for, and `why()`."""
    deadline = time.monotonic() + timeout
    while not there():
        if time.monotonic() > deadline:
            raise AssertionError(f"Not within {timeout:g} s: {what}. {why()}")
        time.sleep(pause)
