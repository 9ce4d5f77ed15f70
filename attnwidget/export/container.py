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
# Bytes from which the quicker level is taken: patterns that are mostly zeros take ten times as long on the last, for a twentieth less.
LARGE = 8_000_000


def container(header: dict, buffers: Sequence[bytes] = ()) -> bytes:
    """`header` (plain JSON without NaN; stubs `{$buffer: i, ...}` as of `widget.wire`) and `buffers`. The same input gives the same
    bytes."""
    whole = {**header, "version": VERSION, "sizes": [len(buffer) for buffer in buffers]}
    text = json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode("utf-8", "surrogatepass")
    raw = b"".join([struct.pack("<I", len(text)), text, *buffers])
    return zlib.compress(raw, 9 if len(raw) < LARGE else 6)


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
