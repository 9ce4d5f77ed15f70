"""The examples of docs/arrays.md run, one after another, on arrays of the shapes it speaks of."""

import re

import numpy as np
import torch

import attnwidget
from tests.small import small_model

from .arrays import patterns


class Flax:
    """What a JAX array is to numpy."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype)


class Outputs:
    def __init__(self, attentions):
        self.attentions = attentions


def test_the_examples_run(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = (root / "docs" / "arrays.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 7
    tokens = ["When", " Mary", " and", " John", " went"]
    attention = patterns(6, 4, 5, 5)
    names = {
        "tokens": tokens,
        "attention": attention,
        "names": ["a", "b", "c", "d"],
        "outputs": Outputs(tuple(torch.tensor(layer[None]) for layer in attention)),
        "flax_outputs": Outputs(tuple(Flax(layer[None]) for layer in attention)),
        "crossed": patterns(2, 4, 3, 5),
        "target_tokens": ["ein", " Haus", "."],
        "source_tokens": tokens,
        "vision_attention": patterns(1, 2, 197, 197),
        "words_to_image": patterns(2, 3, 196),
        "image": np.zeros((224, 224, 3), np.uint8),
        "run": small_model().run("the cat sat on the mat"),
    }
    for block in blocks:
        exec(block, names)
    assert (tmp_path / "attention.html").stat().st_size > 10_000


def test_the_table_has_every_function(root):
    text = (root / "docs" / "arrays.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`\w+`.*?) \|", text, re.MULTILINE)
    assert sorted(re.findall(r"`(\w+)`", " ".join(rows))) == sorted(attnwidget.arrays.__all__)
    # What is said of sizes is so.
    from attnwidget.arrays.maps import FLOAT_CELLS, LARGEST
    from attnwidget.arrays.whole import LARGEST as OF_EVERY_HEAD
    from attnwidget.export.circuitsvis import MANY

    assert (FLOAT_CELLS, LARGEST, OF_EVERY_HEAD, MANY) == (500_000, 64_000_000, 200_000_000, 250_000)
