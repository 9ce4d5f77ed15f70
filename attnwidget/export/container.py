"""A recording as bytes: one JSON header and the buffers that its array stubs name, compressed together.

Layout before compression (zlib): the header's length as a little-endian uint32, the header in UTF-8, then the buffers one after another.
`header["sizes"]` has their lengths. The reader is js/src/source/container.ts.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Sequence

VERSION = 1


def container(header: dict, buffers: Sequence[bytes] = ()) -> bytes:
    """`header` (plain JSON without NaN; stubs `{$buffer: i, ...}` as of `widget.wire`) and `buffers`. The same input gives the same
    bytes."""
    whole = {**header, "version": VERSION, "sizes": [len(buffer) for buffer in buffers]}
    text = json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode("utf-8", "surrogatepass")
    return zlib.compress(b"".join([struct.pack("<I", len(text)), text, *buffers]), 9)


def opened(data: bytes) -> tuple[dict, list[bytes]]:
    """The header and the buffers of what `container` made."""
    raw = zlib.decompress(data)
    (length,) = struct.unpack_from("<I", raw)
    header = json.loads(raw[4 : 4 + length].decode("utf-8", "surrogatepass"))
    buffers, at = [], 4 + length
    for size in header.pop("sizes"):
        buffers.append(raw[at : at + size])
        at += size
    return header, buffers
