"""Colours of the pictures, those of the light theme (js/src/draw/ramps.ts and the style sheets), and the scales that lead to them.

Blue is what a head looks at, orange and purple what an intervention did, grey is probability and the clean run.
"""

from __future__ import annotations

import numpy as np

FG, FG2, FG3 = "#1b1f24", "#4f5863", "#67707b"
RULE, RULE2, RAISE = "#d5dae0", "#eaedf0", "#f5f6f8"
ACCENT = "#0b57c2"
EFFECT, EFFECT_BAR = "#a8440b", "#d9732a"
HURT, HURT_BAR = "#64409c", "#8a68c0"
CLEAN, CLEAN2 = "#b4bcc6", "#8d97a3"
PAPER = "#ffffff"

RAMPS = {
    "attention": "#f1f4f8 #cfdff0 #9cbfe3 #5f97cf #2b6cb0 #123f7a",
    "effect": "#f7f4f0 #fbdfc0 #f6b97a #e5893a #c45c10 #8f3c05",
    "hurt": "#f5f3f8 #ded3ee #bda8dd #9676c6 #6f49ad #4c2a8c",
    "probability": "#fafafa #eff0f1 #dfe1e3 #c6c9cd #9ca1a7 #5a6169",
}
_STOPS = {
    name: np.array([[int(stop[i : i + 2], 16) for i in (1, 3, 5)] for stop in stops.split()], np.float64) for name, stops in RAMPS.items()
}


def colours(ramp: str, share: np.ndarray | float) -> np.ndarray:
    """uint8 [..., 3]: straight lines in sRGB between the six stops of a ramp; `share` from 0 to 1."""
    stops = _STOPS[ramp]
    x = np.clip(np.asarray(share, np.float64), 0, 1) * (len(stops) - 1)
    i = np.minimum(len(stops) - 2, np.floor(x).astype(int))
    mixed = stops[i] + (stops[i + 1] - stops[i]) * (x - i)[..., None]
    return np.floor(mixed + 0.5).astype(np.uint8)


def colour(ramp: str, share: float) -> str:
    return hexed(colours(ramp, share))


def hexed(rgb: np.ndarray) -> str:
    return "#" + "".join(f"{int(c):02x}" for c in rgb)


def channels(colour: str) -> np.ndarray:
    """[3], 0 to 255."""
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)], np.float64)


def fade(colour: str, share: np.ndarray) -> np.ndarray:
    """[..., 3]: from a colour to paper."""
    return channels(colour) + (channels(PAPER) - channels(colour)) * share[..., None]


def ink_on(fill: str) -> str:
    """Black or white, whichever has the larger contrast: never under 4.5 : 1."""
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels(fill) / 255)
    return "#000000" if 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 else "#ffffff"


def root_share(value: np.ndarray | float, most: float) -> np.ndarray:
    """√(|value| / most), at most 1: a linear scale would hide 0.1, and 0.1 matters. NaN stays NaN."""
    if most <= 0:
        return np.where(np.isnan(value), np.nan, 0.0)
    return np.sqrt(np.minimum(1, np.abs(value) / most))


def tone(value: float, most: float, signed: bool) -> tuple[str, float]:
    """The ramp of an attention-like value, and how far along it lies."""
    ramp = "attention" if not signed else "hurt" if value < 0 else "effect"
    return ramp, float(root_share(value, most))


def largest(*arrays: np.ndarray) -> float:
    """The largest absolute value of all arrays, NaN left out; 0 where there is none."""
    return max((float(np.nanmax(np.abs(array), initial=0.0)) for array in arrays if array.size), default=0.0)
