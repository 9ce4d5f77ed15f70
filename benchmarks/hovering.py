"""The time from frame to frame while the pointer moves over a picture. A browser that has nothing to do makes a frame in 16.7 ms."""

from __future__ import annotations

import numpy as np
from playwright.sync_api import Page

from .figures import Figure, figure

FRAME = 17  # one of 60 a second, as a browser's clock tells it
_STEPS = 60

_FRAMES = """
() => {
  window.__frames = [];
  let last = null, moved = false;
  addEventListener("pointermove", () => { moved = true; }, true);
  const frame = (now) => {
    if (last !== null && moved) window.__frames.push(now - last);
    moved = false;
    last = now;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
}
"""
_LARGEST = """
(selector) => {
  const boxes = [...document.querySelectorAll(selector)].map((e) => e.getBoundingClientRect()).filter((b) => b.width > 0);
  const box = boxes.sort((a, b) => b.width * b.height - a.width * a.height)[0];
  return box && [box.x, box.y, Math.min(box.width, innerWidth - box.x), Math.min(box.height, innerHeight - box.y)];
}
"""


def hovered(page: Page, selector: str) -> list[float]:
    """ms from frame to frame while the pointer goes over the largest element of `selector`, in a straight line and as quickly as frames are
    made; a frame in which nothing moved is not counted. Empty where there is no such element."""
    page.wait_for_timeout(500)
    box = page.evaluate(_LARGEST, selector)
    if box is None:
        return []
    x, y, width, height = box
    page.evaluate(_FRAMES)
    for step in range(_STEPS):
        part = 0.1 + 0.8 * step / _STEPS
        page.mouse.move(x + part * width, y + part * height)
    page.wait_for_timeout(200)
    return page.evaluate("window.__frames")


def told(where: str, frames: list[float], budget: float | None = None, note: str = "") -> list[Figure]:
    """The median, and what all but one frame in twenty stay below."""
    return [
        figure(f"{where}frame to frame", "ms", frames, budget, note=note),
        figure(f"{where}95th percentile", "ms", [float(np.percentile(frames, 95))] if frames else [], note=note),
    ]
