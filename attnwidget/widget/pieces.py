"""Messages that are longer than every host lets through, in pieces that are not.

A piece is `{id, piece: [serial, i, n], sizes}` with one buffer. Put together in the order of i, the n buffers are the message's JSON and
then its buffers, `sizes` bytes each. Pieces may come in any order; `serial` tells those of one message from those of another.
The other side is js/src/source/pieces.ts.
"""

from __future__ import annotations

import itertools
import json

# Colab drops messages of 1 MB, and a host may make a third more of them as base64.
MOST = 512 * 1024

_serial = itertools.count(1)


def in_pieces(content: dict, buffers: list[bytes] | None, most: int = MOST) -> list[tuple[dict, list[bytes]]]:
    """What is sent in place of one message: itself where it has no more than `most` bytes, else its pieces."""
    text = json.dumps(content, allow_nan=False).encode()
    parts = [text, *(buffers or [])]
    sizes = [len(part) for part in parts]
    if sum(sizes) <= most:
        return [(content, buffers or [])]
    whole = b"".join(parts)
    serial, n = next(_serial), -(-len(whole) // most)
    head = {"id": content["id"], "sizes": sizes}
    return [({**head, "piece": [serial, i, n]}, [whole[i * most : (i + 1) * most]]) for i in range(n)]


def put_together(pieces: list[tuple[dict, list[bytes]]]) -> tuple[dict, list[bytes]]:
    """The message whose pieces these are, as a page puts it together."""
    ordered = sorted(pieces, key=lambda piece: piece[0]["piece"][1])
    whole = b"".join(bytes(buffers[0]) for _, buffers in ordered)
    ends = list(itertools.accumulate(ordered[0][0]["sizes"]))
    parts = [whole[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    return json.loads(parts[0]), parts[1:]
