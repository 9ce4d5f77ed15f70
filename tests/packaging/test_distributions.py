"""The sdist and the wheel carry the built front end, and each installs in a new environment without Node and works."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILT = ("attnwidget/static/widget.js", "attnwidget/static/widget.css")
# Bytes, gzip; each saved notebook pays them. docs/architecture.md says how the figures were set.
BUDGET = {"attnwidget/static/widget.js": 130 * 1024, "attnwidget/static/widget.css": 13 * 1024}

# Run in the new environment: a widget as a person makes it, on a model small enough to make on the spot.
USE = """
import json
from importlib.metadata import version
import transformers
import attnwidget
from attnwidget import AttentionWidget, load_model
from attnwidget.cli.lessons import shipped

config = transformers.GPT2Config(vocab_size=50, n_positions=16, n_embd=16, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0)
model = load_model(transformers.GPT2LMHeadModel(config).eval())
w = AttentionWidget(model, [1, 2, 3])
w.ablated = [(0, 1)]
bundle = w._repr_mimebundle_()
data = bundle[0] if isinstance(bundle, tuple) else bundle
state = w.get_state()
print(json.dumps({
    "file": attnwidget.__file__, "version": version("attnwidget"), "mime": sorted(data),
    "esm": len(state["_esm"]), "css": len(state["_css"]), "kl": float(w.run.kl()), "lessons": str(shipped()),
}))
"""


@pytest.fixture(scope="session")
def distributions(tmp_path_factory):
    """(sdist, wheel), the wheel built from the sdist as an installer would."""
    out = tmp_path_factory.mktemp("dist")
    run = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
    (sdist,) = out.glob("*.tar.gz")
    (wheel,) = out.glob("*.whl")
    return sdist, wheel


def test_both_carry_the_built_front_end(distributions):
    sdist, wheel = distributions
    with tarfile.open(sdist) as archive:
        sizes = {member.name.split("/", 1)[-1]: member.size for member in archive.getmembers()}
    assert all(sizes.get(name, 0) > 100 for name in BUILT), sizes.keys()
    with zipfile.ZipFile(wheel) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist()}
    assert all(sizes.get(name, 0) > 100 for name in BUILT), sizes.keys()


def test_the_wheel_carries_the_lessons(distributions):
    lessons = {path.name: path.read_bytes() for path in (ROOT / "notebooks").glob("*.ipynb")}
    with zipfile.ZipFile(distributions[1]) as archive:
        shipped = {
            name.rsplit("/", 1)[1]: archive.read(name)
            for name in archive.namelist()
            if re.fullmatch(r"attnwidget/lessons/[^/]+\.ipynb", name)
        }
        entries = next(archive.read(name).decode() for name in archive.namelist() if name.endswith("entry_points.txt"))
    assert shipped == lessons
    assert "attnwidget = attnwidget.cli:main" in entries


def test_neither_carries_what_nobody_needs(distributions):
    sdist, wheel = distributions
    with tarfile.open(sdist) as archive:
        names = [name.split("/", 1)[-1] for name in archive.getnames()]
    assert not [name for name in names if "node_modules" in name or "__pycache__" in name or name.startswith((".venv", ".cache", "shots"))]
    assert {"js/build.mjs", "js/package-lock.json", "js/src/index.tsx", "LICENSE", "README.md"} <= set(names), "cannot be rebuilt from"
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"attnwidget"}


def test_front_end_is_within_its_budget(distributions):
    with zipfile.ZipFile(distributions[1]) as archive:
        sizes = {name: len(gzip.compress(archive.read(name), 9)) for name in BUILT}
    assert all(sizes[name] <= BUDGET[name] for name in BUILT), sizes


@pytest.mark.parametrize("kind", ["sdist", "wheel"])
def test_it_installs_without_node_and_renders(kind, distributions, tmp_path):
    python = _environment(tmp_path / "env")
    env = _without_node(tmp_path, python)
    file = distributions[kind == "wheel"]
    # The environment sees the installed hatchling by its .pth, so that nothing is fetched.
    command = [python, "-m", "pip", "install", "--no-deps", "--no-index", "--no-build-isolation", "--ignore-installed", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, env=env, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    done = subprocess.run([python, "-c", USE], capture_output=True, text=True, env=env, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    seen = json.loads(done.stdout.splitlines()[-1])
    assert Path(seen["file"]).is_relative_to(tmp_path), "the working tree was imported, not what was installed"
    assert seen["version"] in file.name
    assert "application/vnd.jupyter.widget-view+json" in seen["mime"]
    assert seen["esm"] > 1000
    assert seen["css"] > 100
    assert seen["kl"] >= 0
    assert Path(seen["lessons"]) == Path(seen["file"]).parent / "lessons"
    _the_command_works(Path(python).parent / "attnwidget", env, tmp_path, seen["version"])


def _the_command_works(command: Path, env: dict[str, str], folder: Path, version: str) -> None:
    """By the script that pip made: its version, and what `doctor` says of this installation."""
    done = subprocess.run([command, "--version"], capture_output=True, text=True, env=env, cwd=folder, check=False)
    assert (done.returncode, done.stdout) == (0, f"attnwidget {version}\n"), done.stderr
    done = subprocess.run([command, "doctor", "--json"], capture_output=True, text=True, env=env, cwd=folder, check=False)
    found = json.loads(done.stdout)["findings"]
    # What JupyterLab loads of anywidget is in the environment that the dependencies are borrowed from.
    wrong = [
        finding["text"] for finding in found if finding["level"] == "broken" and "JupyterLab would find no extension" not in finding["text"]
    ]
    assert not wrong
    assert {"front end", "self-test"} <= {finding["topic"] for finding in found if finding["level"] == "ok"}


def test_without_node_and_without_a_built_front_end_it_says_so(tmp_path):
    done = _hook(tmp_path, _without_node(tmp_path, sys.executable))
    assert done.returncode != 0
    assert "Node.js" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_skip_variable_leaves_the_front_end_alone(tmp_path):
    done = _hook(tmp_path, _without_node(tmp_path, sys.executable) | {"ATTNWIDGET_SKIP_JS": "1"})
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def _hook(folder: Path, env: dict[str, str]) -> subprocess.CompletedProcess:
    """The build hook on a tree with front-end sources and nothing built."""
    (folder / "scripts").mkdir()
    (folder / "js" / "src").mkdir(parents=True)
    (folder / "js" / "src" / "index.tsx").write_text("export default {}")
    hook = folder / "scripts" / "hatch_build.py"
    hook.write_text((ROOT / "scripts" / "hatch_build.py").read_text())
    return subprocess.run([sys.executable, str(hook)], capture_output=True, text=True, env=env, check=False)


def _environment(folder: Path) -> str:
    """A new environment that sees the installed dependencies (torch alone is most of a gigabyte) but not attnwidget itself."""
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    site = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], capture_output=True, text=True, check=True
    ).stdout.strip()
    # A path line in a .pth appends the folder, without running the .pth files in it: the editable install stays out of sight.
    paths = dict.fromkeys([sysconfig.get_path("purelib"), sysconfig.get_path("platlib")])
    (Path(site) / "dependencies.pth").write_text("\n".join(paths) + "\n")
    return str(python)


def _without_node(folder: Path, python: str) -> dict[str, str]:
    """The environment variables, with a PATH on which there is no Node."""
    empty = folder / "bin-without-node"
    empty.mkdir(exist_ok=True)
    kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "ATTNWIDGET_SKIP_JS")}
    return kept | {"PATH": os.pathsep.join([str(Path(python).parent), str(empty)])}
