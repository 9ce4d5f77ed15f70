"""A picture as the data URL of a PNG, from what people hold pictures in."""

from __future__ import annotations

import base64
import io
import struct
import zlib

import numpy as np

from ..errors import ArrayError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_KINDS = {SIGNATURE: "image/png", b"\xff\xd8\xff": "image/jpeg", b"RIFF": "image/webp", b"GIF8": "image/gif"}


def data_url(image: object) -> str:
    """`image` is bytes of a PNG, JPEG, WebP or GIF; a PIL image; or an array [height, width], or with 1, 3 or 4 channels last."""
    if isinstance(image, (bytes, bytearray, memoryview)):
        data = bytes(image)
        kind = next((kind for start, kind in _KINDS.items() if data.startswith(start)), None)
        if kind is None:
            raise ArrayError(
                f"image is bytes that start with {data[:4]!r}: PNG, JPEG, WebP and GIF are read; give an array [height, width, 3]."
            )
        return _url(kind, data)
    if hasattr(image, "save"):  # a PIL image
        file = io.BytesIO()
        (image if image.mode in ("RGB", "RGBA", "L") else image.convert("RGB")).save(file, format="PNG")
        return _url("image/png", file.getvalue())
    return _url("image/png", png(pixels(image)))


def pixels(image: object) -> np.ndarray:
    """uint8 [height, width, channel] of an array of whole numbers from 0 to 255 or of fractions from 0 to 1."""
    if hasattr(image, "detach"):
        image = image.detach().cpu().float().numpy()
    array = np.asarray(image)
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or 0 in array.shape:
        hint = ": move the channels last, image.transpose(1, 2, 0)" if array.ndim == 3 and array.shape[0] in (1, 3, 4) else ""
        raise ArrayError(f"image has the shape {array.shape}, and it takes [height, width] or [height, width, 1, 3 or 4]{hint}.")
    if array.dtype == np.uint8:
        return array
    if not np.issubdtype(array.dtype, np.number):
        raise ArrayError(f"image has values of type {array.dtype}: it takes numbers, 0 to 255 or fractions from 0 to 1.")
    low, high = float(array.min()), float(array.max())
    if not np.isfinite([low, high]).all() or low < 0 or high > 255:
        raise ArrayError(
            f"image has values from {low:g} to {high:g}: it takes 0 to 255, or fractions from 0 to 1; undo what the model's processor did."
        )
    if np.issubdtype(array.dtype, np.integer):
        return array.astype(np.uint8)
    return np.rint(array * (255 if high <= 1 else 1)).astype(np.uint8)


def png(image: np.ndarray) -> bytes:
    """uint8 [height, width, 1, 3 or 4] as a PNG: 8 bits a channel, rows unfiltered."""
    height, width, channels = image.shape
    rows = np.concatenate([np.zeros((height, 1), np.uint8), image.reshape(height, width * channels)], axis=1)
    head = struct.pack(">IIBBBBB", width, height, 8, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0)
    return SIGNATURE + _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(rows.tobytes(), 9)) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _url(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"
