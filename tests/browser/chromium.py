"""A Chromium or Chrome to test with: one that is there, or else one that can be had.

`python -m tests.browser.chromium` prints its path, or one line that says what to install.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge")
MAC = ("Google Chrome", "Chromium", "Microsoft Edge")
MISSING = (
    "The browser tests need Chromium or Chrome: install one (Debian, Ubuntu: `apt-get install chromium`), "
    "or name its program in ATTNWIDGET_CHROMIUM."
)


@cache
def find() -> str | None:
    """The first browser on this machine that starts, or None."""
    return next(filter(_starts, _candidates()), None)


def get() -> str | None:
    """`find()`, else by playwright's own download, else by the system's package manager where that needs no password."""
    if found := find():
        return found
    for command in _ways():
        print(f"No browser yet; trying: {' '.join(command)}", file=sys.stderr, flush=True)
        try:
            subprocess.run(command, stdout=sys.stderr, timeout=600, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            print(error, file=sys.stderr)
        find.cache_clear()
        if found := find():
            return found
    return None


def _candidates() -> Iterator[str]:
    if chosen := os.environ.get("ATTNWIDGET_CHROMIUM"):
        yield chosen
        return
    yield from filter(None, map(shutil.which, NAMES))
    yield from (f"/Applications/{name}.app/Contents/MacOS/{name}" for name in MAC)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    yield own


def _starts(program: str) -> bool:
    # Not only "is there": on some systems the name is a stub that asks to install the program, or libraries are missing.
    if not Path(program).is_file():
        return False
    try:
        return subprocess.run([program, "--version"], capture_output=True, timeout=60, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _ways() -> Iterator[list[str]]:
    if os.environ.get("ATTNWIDGET_CHROMIUM"):
        return
    yield [sys.executable, "-m", "playwright", "install", "chromium"]
    if shutil.which("apt-get") and os.geteuid() == 0:
        yield ["apt-get", "update", "-qq"]
        yield ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"]


if __name__ == "__main__":
    browser = get()
    if browser is None:
        sys.exit(MISSING)
    print(browser)
