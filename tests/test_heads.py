"""Every way of writing a head, and every way of getting it wrong."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnwidget.errors import AttnWidgetError, HeadError
from attnwidget.heads import Head, parse_head, parse_heads

layers, heads = st.integers(0, 79), st.integers(0, 63)


@given(layers, heads)
def test_the_forms_of_one_head_are_one_head(layer, head):
    forms = [
        f"L{layer}H{head}",
        f"l{layer}h{head}",
        f" L{layer}H{head} ",
        f"{layer}.{head}",
        (layer, head),
        [layer, head],
        Head(layer, head),
        (np.int64(layer), np.int32(head)),
    ]
    for form in forms:
        parsed = parse_head(form, 80, 64)
        assert parsed == Head(layer, head) == (layer, head)
        assert type(parsed.layer) is int
        assert parse_heads(form, 80, 64) == [parsed], "one head alone is a list of one"
    assert parse_head(str(parsed), 80, 64) == parsed
    assert repr(parsed) == f"L{layer}H{head}"


@given(st.lists(st.tuples(layers, heads)))
def test_lists_keep_their_order_and_lose_their_repeats(pairs):
    parsed = parse_heads([f"L{a}H{b}" for a, b in pairs] + pairs, 80, 64)
    assert parsed == list(dict.fromkeys(pairs))
    assert set(parse_heads(iter(pairs), 80, 64)) == set(pairs)
    assert set(parse_heads(set(pairs), 80, 64)) == set(pairs)


@given(st.text())
def test_other_text_is_refused_with_the_text_and_the_forms(text):
    if re.fullmatch(r"[Ll][0-9]{1,6}[Hh][0-9]{1,6}|[0-9]{1,6}\.[0-9]{1,6}", text.strip()):
        return
    with pytest.raises(HeadError) as caught:
        parse_head(text, 4, 4)
    assert repr(text) in str(caught.value)
    assert "'L9H6', '9.6' or (9, 6)" in str(caught.value)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "9",
        "H6L9",
        "L9",
        "L9H6H1",
        "L-1H0",
        "9,6",
        "L٣H١",
        "L1.5H2",
        9,
        9.6,
        None,
        True,
        (9,),
        (9, 6, 1),
        (True, False),
        (1.0, 2),
        {},
        b"L1H1",
    ],
)
def test_what_is_no_head(value):
    with pytest.raises(HeadError, match="does not name a head"):
        parse_head(value, 12, 12)


@pytest.mark.parametrize("value", ["L4H0", "L0H4", (4, 0), (-1, 0), (0, -1), "999999.0"])
def test_outside_the_model(value):
    with pytest.raises(HeadError) as caught:
        parse_head(value, 4, 4)
    message = str(caught.value)
    assert "layers run from 0 to 3" in message
    assert "heads from 0 to 3" in message
    assert "L3H3" in message


@pytest.mark.parametrize("value", [None, 5, 1.5])
def test_what_is_no_list_of_heads(value):
    with pytest.raises(HeadError, match="Heads cannot be read from"):
        parse_heads(value, 4, 4)


@pytest.mark.parametrize("value", [["L0H0", "L9H9"], ["L0H0", 3], [(0, 0), None]])
def test_one_bad_head_spoils_the_list(value):
    with pytest.raises(HeadError):
        parse_heads(value, 4, 4)


def test_errors_are_value_errors():
    assert issubclass(HeadError, AttnWidgetError)
    assert issubclass(AttnWidgetError, ValueError)


def test_nothing_is_no_heads():
    assert parse_heads([], 4, 4) == []
    assert parse_heads((), 4, 4) == []
