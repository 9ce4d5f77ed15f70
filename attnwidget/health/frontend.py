"""The two halves of what a browser loads: attnwidget's own files, and anywidget's extension of JupyterLab or the notebook."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from .report import Finding
from .versions import version

_STATIC = Path(__file__).resolve().parents[1] / "static"
# extension in share/jupyter/labextensions -> the Python package that puts it there
_EXTENSIONS = {"anywidget": "anywidget", "@jupyter-widgets/jupyterlab-manager": "jupyterlab_widgets"}


def findings() -> list[Finding]:
    found = [_own()]
    if version("jupyterlab") or version("notebook"):
        return found + [_extension(extension, package) for extension, package in _EXTENSIONS.items()]
    text = (
        "Neither JupyterLab nor Notebook is in this environment. Where one of another environment shows this kernel's notebooks, "
        "`pip install anywidget` belongs there, too, in this version"
    )
    return [*found, Finding("front end", "note", f"{text} ({version('anywidget')}).", {"anywidget": version("anywidget")})]


def _own() -> Finding:
    sizes = {name: (_STATIC / name).stat().st_size if (_STATIC / name).is_file() else 0 for name in ("widget.js", "widget.css")}
    if missing := [name for name, size in sizes.items() if size == 0]:
        way = "install attnwidget again, or in a clone run `make attnwidget/static/widget.js`"
        text = f"{' and '.join(missing)} not found in {_STATIC}: {way}."
        return Finding("front end", "broken", text, sizes)
    text = f"attnwidget's script and style sheet are there ({sum(sizes.values()) // 1024} kB)."
    return Finding("front end", "ok", text, sizes)


def _extension(extension: str, package: str) -> Finding:
    """Where JupyterLab would load it from, and whether it is of the version that Python has."""
    have, places = version(package), _places()
    for place in places:
        try:
            shown = json.loads((place / extension / "package.json").read_text(encoding="utf-8"))["version"]
        except (OSError, ValueError, KeyError):
            continue
        data = {"extension": shown, "package": have, "folder": str(place / extension)}
        # Of the two, only anywidget's extension carries the number of its Python package.
        if package == "anywidget" and have is not None and shown != have:
            text = (
                f"JupyterLab would load anywidget {shown} from {place / extension}, and Python has anywidget {have}: "
                "uninstall both (`pip uninstall anywidget`, and delete that folder), then `pip install anywidget`."
            )
            return Finding("front end", "broken", text, data)
        if package != "anywidget" and int(shown.split(".")[0]) < 5 and (version("ipywidgets") or "").startswith("8"):
            text = (
                f"JupyterLab has {extension} {shown}, which shows no widgets of ipywidgets {version('ipywidgets')}: "
                "run `pip install --upgrade jupyterlab_widgets`."
            )
            return Finding("front end", "broken", text, data)
        return Finding("front end", "ok", f"JupyterLab's extension {extension} {shown} is in {place}.", data)
    text = (
        f"JupyterLab would find no extension {extension} in {' or '.join(map(str, places))}: a widget would show as text. "
        f"Run `pip install --force-reinstall --no-deps {package}` in this environment ({sys.prefix})."
    )
    return Finding("front end", "broken", text, {"extension": None, "package": have})


def _places() -> list[Path]:
    """Where JupyterLab looks, in its order."""
    try:
        from jupyter_core.paths import jupyter_path
    except ImportError:
        return [Path(sys.prefix) / "share" / "jupyter" / "labextensions"]
    return [Path(path) for path in jupyter_path("labextensions")]
