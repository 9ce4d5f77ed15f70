"""In which notebook this runs, as far as it can be seen, and what a person should know about that one."""

from __future__ import annotations

import os
import sys

from .report import Finding

_ADVICE = {
    "JupyterLab or Notebook": (
        "To keep what is shown in the saved notebook: Settings, Save Widget State Automatically. "
        "A prompt or any other upload of more than 10 MB closes the connection to the kernel.",
    ),
    "VS Code": (
        "VS Code takes the widget's script from the kernel's own environment: anywidget must be installed there. "
        "Where a cell shows “Failed to load model class”, install it, restart the kernel and reload the window.",
        "What a widget shows is not kept in the file; save it as a page with `w.to_html(...)`.",
    ),
    "Colab": (
        "Colab shows widgets of other packages by its custom widget manager, which anywidget turns on by itself. "
        "Where a cell stays empty, run `from google.colab import output; output.enable_custom_widget_manager()`.",
        "Colab drops messages of more than about 1 MB from the page; nothing that this widget sends is as large.",
    ),
    "marimo": ("Show a widget by `mo.ui.anywidget(w)`; read what was clicked from `w`, not from its `.value`.",),
    "Kaggle": ("Keep what is shown by `w.to_html(...)`: widgets are not in saved versions.",),
    "Databricks": ("Databricks limits messages to 5 MB; nothing that this widget sends is as large.",),
    "a kernel of another host": ("Its page must be able to show ipywidgets, and have anywidget.",),
    "no notebook": (),
}


def findings() -> list[Finding]:
    name = seen()
    if name == "no notebook":
        text = "This is no notebook's kernel: `attnwidget.doctor()` in a cell says more about the one that you use."
        return [Finding("host", "note", text, {"host": None})]
    said = [Finding("host", "ok", f"This kernel seems to belong to {name}.", {"host": name})]
    return said + [Finding("host", "note", advice) for advice in _ADVICE[name]]


def seen() -> str:
    """The name of the host, a key of `_ADVICE`, by the marks that it leaves in its kernels."""
    marimo = sys.modules.get("marimo")
    if marimo is not None and marimo.running_in_notebook():
        return "marimo"
    if "COLAB_RELEASE_TAG" in os.environ or "google.colab" in sys.modules:
        return "Colab"
    if "KAGGLE_KERNEL_RUN_TYPE" in os.environ:
        return "Kaggle"
    if "DATABRICKS_RUNTIME_VERSION" in os.environ:
        return "Databricks"
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    if shell is None or not hasattr(shell, "kernel"):
        return "no notebook"
    # VS Code's own mark in the namespace; its variables are also those of a JupyterLab that was started in its terminal.
    if "__vsc_ipynb_file__" in shell.user_ns:
        return "VS Code"
    return "JupyterLab or Notebook" if "JPY_SESSION_NAME" in os.environ else "a kernel of another host"
