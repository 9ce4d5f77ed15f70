"""A recording as bytes and back."""

import json
import subprocess
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attnwidget.export.container import VERSION, container, opened

# Unpaired surrogates are what a tokenizer may make of half an emoji.
TEXT = st.text(st.characters(codec=None), max_size=20)
LEAF = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXT
JSON = st.recursive(LEAF, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=10)


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(TEXT, JSON, max_size=4), st.lists(st.binary(max_size=40), max_size=4))
def test_what_is_put_in_comes_out(header, buffers):
    header = {name: value for name, value in header.items() if name not in ("version", "sizes")}
    found, parts = opened(container(header, buffers))
    assert found == {**header, "version": VERSION}
    assert parts == buffers


def test_the_same_input_in_any_order_gives_the_same_bytes():
    a = container({"b": 1, "a": {"y": [1.5], "x": None}}, [b"one", b"two"])
    assert a == container({"a": {"x": None, "y": [1.5]}, "b": 1}, [b"one", b"two"])
    assert a != container({"a": {"x": None, "y": [1.5]}, "b": 1}, [b"two", b"one"])


def test_an_undefined_number_is_refused():
    with pytest.raises(ValueError, match="JSON"):
        container({"x": float("nan")})


def test_buffers_are_where_the_header_says():
    raw = zlib.decompress(container({"kind": "run"}, [b"abc", b"", b"defg"]))
    length = int.from_bytes(raw[:4], "little")
    assert json.loads(raw[4 : 4 + length])["sizes"] == [3, 0, 4]
    assert raw[4 + length :] == b"abcdefg"


def test_a_browser_reads_it(tmp_path, root):
    """By the front end's own reader, in Node."""
    (tmp_path / "data").write_bytes(container({"kind": "run", "text": "\u202e😀"}, [b"\x01\x02", b"\x03"]))
    script = f"""
        import {{ build }} from "{root}/js/node_modules/esbuild/lib/main.js";
        import {{ readFileSync }} from "node:fs";
        const entryPoints = ["{root}/js/src/source/container.ts"];
        await build({{ entryPoints, outfile: "{tmp_path}/reader.mjs", format: "esm", bundle: true }});
        const {{ openContainer }} = await import("{tmp_path}/reader.mjs");
        const {{ header, buffers }} = await openContainer(new Uint8Array(readFileSync("{tmp_path}/data")));
        const bytes = buffers.map(b => [...new Uint8Array(b.buffer, b.byteOffset, b.byteLength)]);
        console.log(JSON.stringify([header.text, header.version, bytes]));
    """
    (tmp_path / "read.mjs").write_text(script)
    said = subprocess.run(["node", tmp_path / "read.mjs"], capture_output=True, text=True, check=True, timeout=120).stdout
    assert json.loads(said) == ["\u202e😀", VERSION, [[1, 2], [3]]]
