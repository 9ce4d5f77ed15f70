"""Plain arrays as pages: what is drawn is what was given, under the right names, and what cannot be drawn is refused in a sentence."""

import inspect

import circuitsvis.attention
import numpy as np
import pytest
import torch

from attnwidget import AttnWidgetError, arrays

from .arrays import array, part, patterns, recorded

TOKENS = ["When", " Mary", " and", " John", " went"]
N = len(TOKENS)


class Jax:
    """As a JAX array is to numpy: it knows how to become one, and has no torch in it."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.values, dtype)


# -- the same picture whatever holds the numbers ----------------------------------------------------------------------------

FORMS = {
    "numpy": lambda a: a,
    "float16": lambda a: a.astype(np.float16).astype(np.float64),
    "lists": lambda a: a.tolist(),
    "torch": torch.tensor,
    "torch on a graph": lambda a: torch.tensor(a, requires_grad=True),
    "list of torch": lambda a: [torch.tensor(one) for one in a],
    "jax": Jax,
    "list of jax": lambda a: [Jax(one) for one in a],
}


@pytest.mark.parametrize("form", FORMS)
def test_arrays_of_every_kind_give_the_same_values(form):
    given = patterns(3, N, N, causal=True)
    found = part(arrays.attention_patterns(TOKENS, FORMS[form](given)))
    assert found["code"] == "float32" and found["precision"] == "float32"
    np.testing.assert_allclose(found["values"], given, atol=1e-3 if form == "float16" else 0, rtol=1e-7 if form != "float16" else 0)
    assert found["names"] == ["head 0", "head 1", "head 2"] and found["rows"] == found["columns"] == TOKENS


def test_bfloat16_which_numpy_has_not():
    given = torch.tensor(patterns(2, N, N)).bfloat16()
    assert np.array_equal(part(arrays.attention_patterns(TOKENS, given))["values"], given.float().numpy())


def test_one_map_is_one_head():
    given = patterns(N, N)
    found = part(arrays.attention_patterns(TOKENS, given))
    assert found["values"].shape == (1, N, N)
    named = part(arrays.attention_patterns(TOKENS, given, layer=7))
    assert named["names"] == ["L7H0"]


# -- CircuitsVis -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["attention_pattern", "attention_patterns", "attention_heads"])
def test_arguments_are_those_of_circuitsvis_in_its_order(name):
    theirs = list(inspect.signature(getattr(circuitsvis.attention, name)).parameters)
    ours = [one for one, p in inspect.signature(getattr(arrays, name)).parameters.items() if p.kind is not p.KEYWORD_ONLY]
    assert ours == theirs


def test_a_change_of_import_is_enough():
    given = patterns(4, N, N, causal=True)
    for module in (circuitsvis.attention, arrays):
        assert module.attention_patterns(TOKENS, given)._repr_html_ is not None
        module.attention_heads(given, TOKENS, ["a", "b", "c", "d"], 1.0, 0.0, mask_upper_tri=True)
        module.attention_pattern(TOKENS, given[0], 1.0, 0.0, show_axis_labels=True)
    found = part(arrays.attention_heads(given, TOKENS, ["a", "b", "c", "d"], 1.0, 0.0))
    assert found["names"] == ["a", "b", "c", "d"] and found["scale"] == {"signed": False, "max": 1.0}
    assert np.array_equal(found["values"], given.astype(np.float32))


def test_nothing_is_hidden_that_is_not_zero():
    looks_ahead, causal = patterns(2, N, N), patterns(2, N, N, causal=True)
    assert not part(arrays.attention_heads(looks_ahead, TOKENS))["causal"]
    assert part(arrays.attention_heads(causal, TOKENS))["causal"]
    # Asked for, the triangle is left out of the file, too.
    hidden = part(arrays.attention_heads(looks_ahead, TOKENS, mask_upper_tri=True))
    assert hidden["causal"] and np.array_equal(hidden["values"], np.tril(looks_ahead).astype(np.float32))
    assert not part(arrays.attention_heads(causal, TOKENS, mask_upper_tri=False))["causal"]


def test_differences_are_kept_with_their_sign_and_the_colours_end_at_the_largest():
    given = patterns(2, N, N) - patterns(2, N, N, seed=1)
    found = part(arrays.attention_heads(given, TOKENS))
    assert np.array_equal(found["values"], given.astype(np.float32))
    assert found["scale"] == {"signed": True, "max": pytest.approx(np.abs(given).max())}


def test_values_beyond_the_colours_are_not_clipped_and_are_said():
    given = 5 * patterns(2, N, N)
    found = part(arrays.attention_heads(given, TOKENS, max_value=2.0))
    assert found["scale"] == {"signed": False, "max": 2.0}
    assert found["largest"] == pytest.approx(given.max()) and np.array_equal(found["values"], given.astype(np.float32))
    # Two ends of different size: one scale, so that equal sizes look equal.
    assert part(arrays.attention_heads(given, TOKENS, max_value=2.0, min_value=-3.0))["scale"] == {"signed": True, "max": 3.0}


def test_undefined_values_stay_undefined():
    given = patterns(2, N, N)
    given[0, 1] = np.nan
    found = part(arrays.attention_heads(given, TOKENS))
    assert np.isnan(found["values"][0, 1]).all() and np.isfinite(found["values"]).sum() == given.size - N
    # No zero is a value that is missing.
    assert not found["causal"]


def test_rows_need_not_sum_to_1_and_nothing_is_divided():
    given = np.arange(2 * N * N, dtype=float).reshape(2, N, N)
    found = part(arrays.attention_heads(given, TOKENS))
    assert np.array_equal(found["values"], given) and found["scale"]["max"] == given.max()


# -- 8 bits where there are many, and how many there are ---------------------------------------------------------------------


@pytest.fixture
def no_room(monkeypatch):
    monkeypatch.setattr("attnwidget.arrays.maps.FLOAT_CELLS", 10)


def test_many_values_in_0_to_1_are_kept_to_half_of_1_in_255(no_room):
    given = patterns(3, N, N)
    found = part(arrays.attention_heads(given, TOKENS))
    assert found["code"] == "unit" and found["precision"] == "8 bit, steps of 1/255"
    error = np.abs(found["values"] - given).max()
    assert 0 < error <= 0.5 / 255 + 1e-12


def test_many_values_with_signs_are_kept_in_steps_that_are_said(no_room):
    given = 3 * (patterns(3, N, N) - patterns(3, N, N, seed=1))
    given[1, 2, 3], given[0, 0, 0] = np.nan, 0.0
    found = part(arrays.attention_heads(given, TOKENS))
    step = np.nanmax(np.abs(given)) / 127
    assert found["code"] == "signed" and found["precision"] == f"8 bit, steps of {step:.2g}"
    assert np.isnan(found["values"][1, 2, 3]) and np.isnan(found["values"]).sum() == 1
    assert np.nanmax(np.abs(found["values"] - given)) <= step / 2 + 1e-12
    assert found["values"][0, 0, 0] == 0  # what is 0 has no sign
    assert np.nanmax(np.abs(found["values"])) == pytest.approx(np.nanmax(np.abs(given)))


def test_larger_values_are_not_forced_into_0_to_1(no_room):
    given = 5 * patterns(2, N, N)
    found = part(arrays.attention_heads(given, TOKENS))
    assert found["code"] == "signed" and np.abs(found["values"] - given).max() <= given.max() / 254 + 1e-12


def test_a_page_that_no_browser_would_open_is_refused(monkeypatch):
    monkeypatch.setattr("attnwidget.arrays.maps.LARGEST", 40)
    monkeypatch.setattr("attnwidget.arrays.whole.LARGEST", 40)
    for make in (lambda: arrays.attention_heads(patterns(2, N, N), TOKENS), lambda: arrays.attention_layers(TOKENS, patterns(2, 1, N, N))):
        with pytest.raises(AttnWidgetError, match="has 50 values, and a page takes up to 40"):
            make()


# -- all layers --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("batch", [True, False])
def test_all_layers_are_the_page_of_a_run(causal, batch):
    given = patterns(3, 2, N, N, causal=causal)
    page = arrays.attention_layers(TOKENS, [layer[None] if batch else layer for layer in given])
    header, buffers = recorded(page)
    assert header["kind"] == "run" and header["answers"] == []
    state = header["state"]
    assert (state["n_layers"], state["n_heads"], state["causal"], state["tokens"]) == (3, 2, causal, TOKENS)
    assert state["panels"] == ["tokens", "grid", "attention"] and state["run_key"] == "recorded" and state["facts"]["plain"]
    kept = header["patterns"]
    assert kept["heads"] == [[layer, head] for layer in range(3) for head in range(2)]
    maps = array(kept["maps"], buffers)
    # By hand: a lower triangle row by row, or every cell.
    wanted = np.array(
        [[given[layer, head, q, k] for q in range(N) for k in range(q + 1 if causal else N)] for layer in range(3) for head in range(2)]
    )
    assert kept["causal"] is causal and maps.shape == wanted.shape
    assert np.abs(maps / 255 - wanted).max() <= 0.5 / 255 + 1e-12


def test_a_page_of_a_run_has_every_trait_that_the_front_end_reads():
    from attnwidget.widget.state import State

    header, _ = recorded(arrays.attention_layers(TOKENS, patterns(2, 2, N, N)))
    traits = {name for name, trait in State.class_traits(sync=True).items() if not isinstance(trait.default(), bytes)}
    assert set(header["state"]) == traits


def test_layers_that_8_bits_do_not_hold_are_kept_whole():
    given = patterns(3, 2, N, N) - 0.2
    found = part(arrays.attention_layers(TOKENS, given))
    assert found["names"] == ["L0H0", "L0H1", "L1H0", "L1H1", "L2H0", "L2H1"]
    assert np.array_equal(found["values"], given.reshape(6, N, N).astype(np.float32)) and found["scale"]["signed"]


def test_attention_patterns_of_all_layers_are_all_layers():
    given = patterns(3, 2, N, N)
    assert recorded(arrays.attention_patterns(TOKENS, given)) == recorded(arrays.attention_layers(TOKENS, given))


# -- two lists of tokens -----------------------------------------------------------------------------------------------------


def test_rows_are_the_targets_and_columns_the_sources():
    given = patterns(2, 3, 4, 6)
    page = arrays.cross_attention(given, list("abcd"), list("uvwxyz"), lines=True)
    found = part(page)
    assert found["rows"] == list("abcd") and found["columns"] == list("uvwxyz") and not found["causal"]
    assert np.array_equal(found["values"], given.reshape(6, 4, 6).astype(np.float32))
    assert found["names"][4] == "L1H1" and found["heads"][4] == [1, 1] and recorded(page)[0]["arrays"]["lines"]
    # The number of a single layer is not known.
    assert part(arrays.cross_attention(given[1], list("abcd"), list("uvwxyz")))["names"] == ["head 0", "head 1", "head 2"]


# -- what cannot be drawn ----------------------------------------------------------------------------------------------------

GOOD = patterns(2, N, N)
REFUSED = {
    "tokens": (lambda: arrays.attention_patterns(TOKENS[:4], GOOD), "tokens has 4 texts, and attention has 5 queries and keys"),
    "heads' tokens": (lambda: arrays.attention_heads(GOOD, [*TOKENS, "x"]), "tokens has 6 texts, and attention has 5"),
    "order": (lambda: arrays.attention_patterns(GOOD, TOKENS), "cannot be read as an array of numbers"),
    "ids": (lambda: arrays.attention_patterns([1, 2, 3, 4, 5], GOOD), "must be strings, and 1 is not one"),
    "a text": (lambda: arrays.attention_patterns("When", GOOD), "must be a list of strings, not 'When'"),
    "names": (lambda: arrays.attention_heads(GOOD, TOKENS, ["a"]), "attention_head_names has 1 texts, and attention has 2 heads"),
    "none": (lambda: arrays.attention_layers(TOKENS, None), "attention is None: .*output_attentions=True"),
    "a layer is none": (lambda: arrays.attention_layers(TOKENS, [GOOD, None]), r"attention\[1\] is None"),
    "infinite": (lambda: arrays.attention_patterns(TOKENS, GOOD * np.inf), "50 values that are infinite"),
    "beyond float32": (lambda: arrays.attention_patterns(TOKENS, GOOD + 1e39), "50 values that are infinite or beyond float32"),
    "dimensions": (lambda: arrays.attention_patterns(TOKENS, GOOD[0, 0]), "has 1 dimension: it takes"),
    "ragged": (lambda: arrays.attention_patterns(TOKENS, [[0.1], [0.2, 0.3]]), "its rows differ in length"),
    "layers differ": (lambda: arrays.attention_layers(TOKENS, [GOOD, GOOD[:1]]), r"differ in shape, \(1, 5, 5\) and \(2, 5, 5\)"),
    "batch": (lambda: arrays.attention_layers(TOKENS, np.stack([GOOD, GOOD])[None].repeat(3, 0)), "holds a batch of 2"),
    "empty": (lambda: arrays.attention_patterns([], np.zeros((2, 0, 0))), r"is empty, of shape \(2, 0, 0\)"),
    "not square": (lambda: arrays.attention_heads(GOOD[:, :3], TOKENS), "3 queries and 5 keys.*use cross_attention"),
    "layers to heads": (lambda: arrays.attention_heads(np.stack([GOOD, GOOD]), TOKENS), "attention has 2 layers: use attention_layers"),
    "heads to one": (lambda: arrays.attention_pattern(TOKENS, GOOD), "shows one map"),
    "one layer's number": (lambda: arrays.attention_patterns(TOKENS, np.stack([GOOD, GOOD]), layer=1), "layer=1 names one layer"),
    "colours": (lambda: arrays.attention_heads(GOOD, TOKENS, negative_color="red"), "negative_color='red' is not taken"),
    "no axes": (lambda: arrays.attention_pattern(TOKENS, GOOD[0], show_axis_labels=False), "show_axis_labels=False is not offered"),
    "ends": (lambda: arrays.attention_heads(GOOD, TOKENS, max_value=1, min_value=2), "must be larger than min_value, not 1 and 2"),
    "end at 0": (lambda: arrays.attention_heads(GOOD, TOKENS, max_value=0), "cannot end at 0"),
    "end at nan": (lambda: arrays.attention_heads(GOOD, TOKENS, max_value=np.nan), "max_value must be a finite number, not nan"),
    "sources": (
        lambda: arrays.cross_attention(GOOD[:, :3], list("abc"), list("uv")),
        "source_tokens has 2 texts.* 5 keys",
    ),
    "targets": (lambda: arrays.cross_attention(GOOD[:, :3], list("ab"), TOKENS), "target_tokens has 2 texts, and attention has 3 queries"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_drawn_is_refused_in_a_sentence(what):
    make, sentence = REFUSED[what]
    with pytest.raises(AttnWidgetError, match=sentence) as caught:
        make()
    assert "\n" not in str(caught.value) and str(caught.value).endswith(".")


def test_the_same_arrays_give_the_same_file():
    one, two = (arrays.attention_layers(TOKENS, patterns(2, 2, N, N)).html() for _ in range(2))
    assert one == two
    assert arrays.attention_heads(GOOD, TOKENS).html() == arrays.attention_heads(GOOD.copy(), list(TOKENS)).html()


def test_every_name_is_at_the_top():
    import attnwidget

    for name in arrays.__all__:
        assert getattr(attnwidget, name) is getattr(arrays, name) and name in attnwidget.__all__
