"""Python, the machine, and the packages: which versions, whether attnwidget takes them, and whether they can be imported."""

from __future__ import annotations

import importlib
import platform
import sys
from importlib import metadata

from .report import Finding

# In which of them a widget is shown, and what runs its kernel: any of these may be absent.
_HOSTS = ("jupyterlab", "notebook", "marimo", "ipykernel", "gguf")


def findings() -> list[Finding]:
    return [_python(), *_needed(), _others(), *_device()]


def version(name: str) -> str | None:
    """The installed version of a distribution, or None."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _python() -> Finding:
    own = version("attnwidget") or "(run from its source)"
    data = {"attnwidget": own, "python": platform.python_version(), "executable": sys.executable, "system": platform.platform()}
    return Finding("python", "ok", f"attnwidget {own}, Python {data['python']} ({sys.executable}), {data['system']}.", data)


def _needed() -> list[Finding]:
    """One finding for all that is well, and one for each that is not."""
    well, found = {}, []
    for name, wanted in _required().items():
        have = version(name)
        if have is None:
            found.append(_broken(name, f"{name} is not installed; run `pip install '{name}{wanted}'`.", have))
        elif not _within(have, wanted):
            text = f"{name} is {have} and attnwidget takes {name}{wanted}; run `pip install --upgrade '{name}{wanted}'`."
            found.append(_broken(name, text, have))
        elif (why := _unimportable(name)) is not None:
            found.append(_broken(name, f"{name} {have} is installed and cannot be imported ({why}); install it again.", have))
        else:
            well[name] = have
    text = ", ".join(f"{name} {have}" for name, have in well.items())
    return ([Finding("packages", "ok", f"{text}.", well)] if well else []) + found


def _broken(name: str, text: str, have: str | None) -> Finding:
    return Finding("packages", "broken", text, {name: have})


def _required() -> dict[str, str]:
    """What attnwidget declares to need, name to version specifier, without what extras need."""
    from packaging.requirements import Requirement

    try:
        declared = map(Requirement, metadata.requires("attnwidget") or [])
    except metadata.PackageNotFoundError:
        return {}
    return {one.name: str(one.specifier) for one in declared if one.marker is None or one.marker.evaluate({"extra": ""})}


def _within(have: str, wanted: str) -> bool:
    from packaging.specifiers import SpecifierSet

    return SpecifierSet(wanted).contains(have, prereleases=True)


def _unimportable(name: str) -> str | None:
    try:
        importlib.import_module(name.replace("-", "_"))
    except Exception as error:  # a broken installation raises what it likes: ImportError, OSError, AttributeError
        return f"{type(error).__name__}: {str(error).splitlines()[0][:160] if str(error) else 'no reason given'}"
    return None


def _others() -> Finding:
    have = {name: version(name) for name in _HOSTS}
    there = [f"{name} {number}" for name, number in have.items() if number]
    absent = [name for name, number in have.items() if not number]
    text = ", ".join(there) or "None of what may be here as well"
    return Finding("packages", "ok", f"{text}; not here: {', '.join(absent)}." if absent else f"{text}.", have)


def _device() -> list[Finding]:
    try:
        import torch
    except Exception:  # said above
        return []
    if torch.cuda.is_available():
        name = torch.cuda.get_device_name()
        text = f"GPU {name}; models loaded by name go there, those handed in stay where they are."
        return [Finding("device", "ok", text, {"device": "cuda", "name": name})]
    threads = torch.get_num_threads()
    text = f"No CUDA device; PyTorch computes on the CPU with {threads} {'thread' if threads == 1 else 'threads'}."
    return [Finding("device", "ok", text, {"device": "cpu", "threads": threads})]
