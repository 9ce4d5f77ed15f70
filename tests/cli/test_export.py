"""`attnwidget export`: the page that a cell would make, from a command line; and what is wrong, in one sentence."""

import nbformat
import pytest
import torch
import transformers as tf

from attnwidget import AttentionWidget, load_model
from attnwidget.cli.progress import Progress

from ..conftest import PROMPT
from ..models import tokenizer
from .command import attnwidget, clean


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny model, saved as `transformers` saves one."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    words = tokenizer()
    torch.manual_seed(0)
    config = tf.GPT2Config(vocab_size=len(words), n_positions=32, n_embd=16, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0)
    tf.GPT2LMHeadModel(config).save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def test_it_is_the_page_of_a_cell(folder, tmp_path):
    file = tmp_path / "page.html"
    done = attnwidget(
        "export", folder, "the cat sat", "-o", file, "--ablate", "L1H0, 0.1", "--mode", "uniform", "--select", "L0H1,L1H0",
        "--target", "t", "--no-bos", "--include", "patterns,ablations", env=clean(tmp_path),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{file}: {file.stat().st_size / 1e6:.2f} MB\n"
    assert done.stderr.startswith("loading the model\n") and "making the page" in done.stderr
    traits = {"ablated": ["L1H0", "L0H1"], "mode": "uniform", "selected": ["L0H1", "L1H0"], "target": "t", "prepend_bos": False}
    w = AttentionWidget(load_model(str(folder)), "the cat sat", **traits)
    assert file.read_text(encoding="utf-8") == w.page(include=["patterns", "ablations"]).html()


def test_bos_can_be_switched_on_and_sizes_be_asked_for(folder, tmp_path):
    done = attnwidget("export", folder, "the cat sat", "--sizes", "--bos", cwd=tmp_path, env=clean(tmp_path))
    assert done.returncode == 0, done.stderr
    assert all(f" {part}: " in done.stdout for part in ("patterns", "ablations", "scores", "lens"))
    assert " MB with none)" in done.stdout
    assert list(tmp_path.glob("*.html")) == []
    assert attnwidget("export", folder, "the cat", "--bos", cwd=tmp_path, env=clean(tmp_path)).returncode == 0
    with_bos = AttentionWidget(load_model(str(folder)), "the cat", prepend_bos=True)
    assert (tmp_path / "tiny.html").read_text(encoding="utf-8") == with_bos.page().html(), "the default place and parts"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--ablate", "L9H9"], "No head L9H9 in this model: layers run from 0 to 1 and heads from 0 to 1"),
        (["--mode", "melt"], "No mode 'melt': there are zero, scale, mean"),
        (["--target", "no such token"], "no such token"),
        (["--include", "cake"], "A page has no part 'cake': there are 'patterns'"),
        (["-o", "nowhere/page.html"], "There is no folder"),
    ],
)
def test_what_is_wrong_is_one_sentence(arguments, sentence, folder, tmp_path):
    done = attnwidget("export", folder, "the cat sat", *arguments, cwd=tmp_path, env=clean(tmp_path))
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.splitlines()[-1].startswith("attnwidget: ") and sentence in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert list(tmp_path.rglob("*.html")) == []


def test_models_that_are_not_there(tmp_path):
    for model in ("gpt2", tmp_path / "absent"):
        done = attnwidget("export", model, "the cat sat", "-o", tmp_path / "page.html", env=clean(tmp_path))
        assert done.returncode == 1
        assert f"{str(model)!r} could not be loaded" in done.stderr.splitlines()[-1]
        assert "Traceback" not in done.stderr


def _notebook(path, *cells):
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Why?"), *map(nbformat.v4.new_code_cell, cells)]), path)
    return path


def test_a_notebook(tmp_path):
    book = _notebook(tmp_path / "why.ipynb", "1 + 41", "print('for ' + 'this reason')")
    before = book.read_bytes()
    done = attnwidget("export", book, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"why.html: {(tmp_path / 'why.html').stat().st_size / 1e6:.2f} MB\n"), done.stderr
    page = (tmp_path / "why.html").read_text(encoding="utf-8")
    assert "<title>Why?</title>" in page and "42" in page and "for this reason" in page
    assert "default-src 'none'" in page
    assert book.read_bytes() == before


def test_notebooks_that_cannot_be_made_a_page(tmp_path):
    _notebook(tmp_path / "wrong.ipynb", "1 / 0")
    (tmp_path / "text.ipynb").write_text("no notebook")
    for name, sentence in (
        ("wrong", "Cell 2 of the notebook raised ZeroDivisionError"),
        ("text", "is no notebook"),
        ("absent", "cannot be read"),
    ):
        done = attnwidget("export", f"{name}.ipynb", cwd=tmp_path)
        assert done.returncode == 1
        assert sentence in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr
    for arguments in (["wrong.ipynb", "a prompt"], ["wrong.ipynb", "--ablate", "L0H0"], ["wrong.ipynb", "--sizes"]):
        done = attnwidget("export", *arguments, cwd=tmp_path)
        assert done.returncode == 2
        assert done.stderr.splitlines()[-1].endswith("a notebook takes no PROMPT, and no option but -o")
    assert list(tmp_path.glob("*.html")) == []


@pytest.mark.demo
def test_a_demo_model(tmp_path):
    done = attnwidget("export", "smollm2-135m", PROMPT, "-o", "mary.html", "--ablate", "L23H3", "--include", "patterns", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "mary.html").read_text(encoding="utf-8")
    assert "<title>SmolLM2-135M-Instruct Q4_1: When Mary and John went to the store, John gave a drink to</title>" in page


def test_progress_writes_over_one_line_of_a_screen_and_says_stages_elsewhere(capsys, monkeypatch):
    with Progress() as progress:
        progress("loading")
        progress.step(1, 2, "half of it")
        progress("making")
    assert capsys.readouterr().err == "loading\nmaking\n"
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with Progress() as progress:
        progress("loading the model")
        progress.step(1, 2, "heads")
    shown = capsys.readouterr().err
    assert "\n" not in shown
    assert [part.rstrip() for part in shown.split("\r")] == ["", "loading the model", "heads (50%)", "", ""]
