"""Attention over the patches of an image, and the image itself."""

import base64
import io

import numpy as np
import pytest
import torch
from PIL import Image

from attnwidget import AttnWidgetError, arrays
from attnwidget.arrays.png import data_url

from .arrays import part, patterns, recorded

PICTURE = np.random.default_rng(3).integers(0, 256, (12, 18, 3), dtype=np.uint8)
GIVEN = patterns(2, 3, 7, 7)  # CLS and 2 x 3 patches


def decoded(url):
    kind, _, data = url.partition(";base64,")
    assert kind == "data:image/png"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


def patches(page):
    return recorded(page)[0]["arrays"]["patches"]


def test_keys_are_the_prefix_and_then_the_patches_row_by_row():
    page = arrays.attention_patches(GIVEN, (2, 3), PICTURE)
    found = part(page)
    names = ["CLS", "patch 0,0", "patch 0,1", "patch 0,2", "patch 1,0", "patch 1,1", "patch 1,2"]
    assert found["rows"] == found["columns"] == names
    assert np.array_equal(found["values"], GIVEN.reshape(6, 7, 7).astype(np.float32))
    assert {name: patches(page)[name] for name in ("grid", "prefix", "self")} == {"grid": [2, 3], "prefix": 1, "self": True}
    # The last layer first.
    assert recorded(page)[0]["arrays"]["view"] == "patches" and recorded(page)[0]["arrays"]["chosen"] == [3, 4, 5]
    assert recorded(arrays.attention_patches(GIVEN, (2, 3), layer=0))[0]["arrays"]["chosen"] == [0, 1, 2]


def test_registers_can_be_named_and_need_not_be():
    assert part(arrays.attention_patches(patterns(8, 8), (2, 3)))["columns"][:2] == ["prefix 0", "prefix 1"]
    assert part(arrays.attention_patches(patterns(8, 8), (2, 3), prefix=["CLS", "register"]))["columns"][:2] == ["CLS", "register"]
    assert patches(arrays.attention_patches(patterns(6, 6), (2, 3)))["prefix"] == 0


def test_words_may_look_at_an_image():
    given = patterns(3, 2, 6)
    page = arrays.attention_patches(given, (2, 3), PICTURE, tokens=["a", " cat"])
    assert part(page)["rows"] == ["a", " cat"] and not patches(page)["self"]
    assert np.array_equal(part(page)["values"], given.astype(np.float32))


PICTURES = {
    "array": lambda: PICTURE,
    "fractions": lambda: PICTURE / 255,
    "whole numbers": lambda: PICTURE.astype(np.int64),
    "floats to 255": lambda: PICTURE.astype(np.float32),
    "torch": lambda: torch.tensor(PICTURE),
    "PIL": lambda: Image.fromarray(PICTURE),
}


@pytest.mark.parametrize("kind", PICTURES)
def test_a_picture_in_every_form_is_the_same_picture(kind):
    url = patches(arrays.attention_patches(GIVEN, (2, 3), PICTURES[kind]()))["image"]
    assert np.array_equal(decoded(url), PICTURE)


def test_grey_and_transparent_pictures():
    grey = PICTURE[..., 0]
    assert np.array_equal(decoded(data_url(grey)), grey) and np.array_equal(decoded(data_url(grey[..., None])), grey)
    clear = np.concatenate([PICTURE, grey[..., None]], -1)
    assert np.array_equal(decoded(data_url(clear)), clear)
    palette = Image.fromarray(PICTURE).convert("P")
    assert np.array_equal(decoded(data_url(palette)), np.asarray(palette.convert("RGB")))


def test_files_are_taken_as_they_are():
    for format_, kind in (("PNG", "image/png"), ("JPEG", "image/jpeg"), ("WEBP", "image/webp"), ("GIF", "image/gif")):
        file = io.BytesIO()
        Image.fromarray(PICTURE).save(file, format=format_)
        assert data_url(file.getvalue()) == f"data:{kind};base64,{base64.b64encode(file.getvalue()).decode()}"


REFUSED = {
    "grid": (lambda: arrays.attention_patches(GIVEN, (3, 3)), r"3 × 3 = 9 patches, and attention has 7 keys"),
    "grid of one": (lambda: arrays.attention_patches(GIVEN, 7), "grid must be two numbers"),
    "no grid": (lambda: arrays.attention_patches(GIVEN, (0, 7)), "at least one row and one column"),
    "prefix": (lambda: arrays.attention_patches(GIVEN, (2, 3), prefix=2), "leave 1 before them, and prefix has 2"),
    "queries": (lambda: arrays.attention_patches(GIVEN[..., :2, :], (2, 3)), "2 queries and 7 keys.*need tokens"),
    "tokens": (
        lambda: arrays.attention_patches(GIVEN[..., :2, :], (2, 3), tokens=["a"]),
        "tokens has 1 texts.* 2 queries",
    ),
    "layer": (lambda: arrays.attention_patches(GIVEN, (2, 3), layer=2), "No layer 2: layers run from 0 to 1"),
    "channels first": (lambda: data_url(PICTURE.transpose(2, 0, 1)), r"move the channels last, image.transpose\(1, 2, 0\)"),
    "normalised": (lambda: data_url(PICTURE / 255 - 0.5), "undo what the model's processor did"),
    "undefined": (lambda: data_url(PICTURE * np.nan), "from nan to nan"),
    "bytes": (lambda: data_url(b"<svg/>"), "bytes that start with b'<svg'"),
    "text": (lambda: data_url(np.array([["a"]])), "values of type <U1"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_image_or_no_grid_is_refused_in_a_sentence(what):
    make, sentence = REFUSED[what]
    with pytest.raises(AttnWidgetError, match=sentence):
        make()
