"""Results as messages: what JSON cannot say, and arrays byte by byte."""

import json
import math
from dataclasses import dataclass

import numpy as np
import pytest

from attnwidget.widget.wire import Array, pack


@dataclass(frozen=True)
class Thing:
    name: str
    value: float
    maps: Array


def test_a_dataclass_with_an_array_becomes_an_object_and_a_buffer():
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    content, buffers = pack(Thing("a", math.nan, Array(values)))
    stub = {"$buffer": 0, "dtype": "float32", "shape": [2, 3], "scale": 1.0}
    assert content == {"name": "a", "value": None, "maps": stub}
    assert np.array_equal(np.frombuffer(buffers[0], "<f4").reshape(2, 3), values)


def test_everything_is_json_and_nothing_is_nan():
    content, buffers = pack({"a": [1, (2.5, math.inf)], "b": np.float32(1.5), "c": np.int64(3), "d": None, "e": True})
    assert json.loads(json.dumps(content, allow_nan=False)) == {"a": [1, [2.5, None]], "b": 1.5, "c": 3, "d": None, "e": True}
    assert buffers == []


def test_strided_arrays_are_sent_in_c_order():
    values = np.arange(6, dtype=np.uint8).reshape(2, 3).T
    _, buffers = pack(Array(values, scale=2.0))
    assert buffers[0] == bytes([0, 3, 1, 4, 2, 5])


def test_other_types_are_refused():
    with pytest.raises(TypeError, match="float64"):
        pack(Array(np.zeros(2)))
