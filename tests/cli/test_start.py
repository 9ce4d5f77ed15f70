"""The command answers at once, and says what is wrong with what it was given."""

import subprocess
import sys
from importlib import metadata

import pytest

from .command import attnwidget


def test_version_and_help():
    done = attnwidget("--version")
    assert (done.returncode, done.stdout) == (0, f"attnwidget {metadata.version('attnwidget')}\n")
    done = attnwidget("--help")
    assert done.returncode == 0
    assert all(f"\n    {name} " in done.stdout for name in ("demo", "export", "doctor"))
    for name in ("demo", "export", "doctor"):
        assert attnwidget(name, "--help").stdout.startswith(f"usage: attnwidget {name}")


@pytest.mark.parametrize("arguments", [["--help"], ["export", "--help"], ["doctor", "--help"], ["demo", "--help"], ["--version"]])
def test_what_needs_no_model_loads_no_pytorch(arguments):
    code = (
        "import sys\nfrom attnwidget.cli import main\ntry:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'transformers', 'anywidget', 'pandas', 'numpy'} & set(sys.modules)\nassert not heavy, heavy"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_wrong_command_line_is_said_in_one_sentence():
    for arguments in ([], ["dance"], ["export", "smollm2-135m"]):
        done = attnwidget(*arguments)
        assert done.returncode == 2
        assert "Traceback" not in done.stderr
        assert "error:" in done.stderr.splitlines()[-1]


def test_python_m_is_the_same():
    done = subprocess.run([sys.executable, "-m", "attnwidget", "--version"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, attnwidget("--version").stdout)


def test_names_come_when_asked_for():
    code = """
import sys, attnwidget
assert "torch" not in sys.modules
assert not hasattr(attnwidget, "nothing_of_that_name")
from attnwidget import *
from attnwidget import public
assert set(public.__all__) <= set(dir(attnwidget)), set(public.__all__) - set(dir(attnwidget))
assert all(globals()[name] is getattr(public, name) for name in public.__all__)
assert attnwidget.analysis.score is score
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
