"""Results as messages: JSON in which an array is a stub naming one of the buffers that travel beside it.

JSON knows neither NaN nor infinity: a number that is undefined becomes null. Arrays may hold NaN, which means "undefined" there too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, is_dataclass

import numpy as np


@dataclass(frozen=True)
class Array:
    """An array to be sent: uint8 values stand for `value / 255 * scale`."""

    values: np.ndarray
    scale: float = 1.0


def floats(values: np.ndarray) -> Array:
    """As float32, `values` themselves where they are that; what is undefined, or too large for it, is NaN."""
    with np.errstate(over="ignore"):
        short = values.astype(np.float32, copy=False)
    finite = np.isfinite(short)
    return Array(short if finite.all() else np.where(finite, short, np.float32(np.nan)))


def pack(result: object) -> tuple[object, list[bytes]]:
    """`result` as JSON and buffers. Dataclasses become objects, tuples lists, `Array`s stubs `{$buffer, dtype, shape, scale}`."""
    buffers: list[bytes] = []
    return _json(result, buffers), buffers


def nbytes(result: object) -> int:
    """Bytes of the arrays in `result`, as they are here."""
    if isinstance(result, Array):
        return result.values.nbytes
    if is_dataclass(result) and not isinstance(result, type):
        return sum(nbytes(getattr(result, field.name)) for field in fields(result))
    if isinstance(result, dict):
        return sum(map(nbytes, result.values()))
    return sum(map(nbytes, result)) if isinstance(result, (list, tuple)) else 0


def _json(value: object, buffers: list[bytes]) -> object:
    if isinstance(value, Array):
        if value.values.dtype not in (np.uint8, np.float32):
            raise TypeError(f"Arrays travel as uint8 or float32, not {value.values.dtype}.")
        # Little-endian, as every browser's typed arrays are.
        data = np.ascontiguousarray(value.values).astype(value.values.dtype.newbyteorder("<"), copy=False)
        buffers.append(data.tobytes())
        return {
            "$buffer": len(buffers) - 1,
            "dtype": data.dtype.name,
            "shape": list(data.shape),
            "scale": float(value.scale),
        }
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _json(getattr(value, field.name), buffers) for field in fields(value)}
    if isinstance(value, dict):
        return {str(key): _json(item, buffers) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_json(item, buffers) for item in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, np.integer):
        return int(value)
    return value
