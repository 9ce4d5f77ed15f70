"""An SVG as a test reads it: named marks with their fill and box, and the texts."""

from __future__ import annotations

import re
from dataclasses import dataclass
from xml.etree import ElementTree

SVG = "{http://www.w3.org/2000/svg}"


@dataclass(frozen=True)
class Mark:
    fill: str
    stroke: str
    box: tuple[float, float, float, float]
    """left, top, width, height, in points."""
    style: str


@dataclass(frozen=True)
class Text:
    text: str
    x: float
    y: float
    fill: str
    anchor: str


class Picture:
    def __init__(self, svg: str):
        self.root = ElementTree.fromstring(svg)
        self.marks: dict[str, Mark] = {}
        self.texts: list[Text] = []
        for group in self.root.iter(f"{SVG}g"):
            path = group.find(f"{SVG}path")
            if path is not None and group.get("id"):
                numbers = [float(n) for n in re.findall(r"-?[\d.]+(?:e-?\d+)?", path.get("d"))]
                xs, ys = numbers[::2], numbers[1::2]
                style = path.get("style", "")
                box = (min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys))
                self.marks[group.get("id")] = Mark(_of(style, "fill"), _of(style, "stroke"), box, style)
        for text in self.root.iter(f"{SVG}text"):
            style = text.get("style", "")
            self.texts.append(Text(text.text, float(text.get("x")), float(text.get("y")), _of(style, "fill"), _of(style, "text-anchor")))

    @property
    def words(self) -> list[str]:
        return [text.text for text in self.texts]

    @property
    def said(self) -> str:
        """All texts, one after another: sentences that were wrapped are whole again."""
        return " ".join(self.words)

    def named(self, pattern: str) -> dict[str, Mark]:
        return {name: mark for name, mark in self.marks.items() if re.fullmatch(pattern, name)}

    def images(self) -> list[str]:
        return [image.get("{http://www.w3.org/1999/xlink}href") for image in self.root.iter(f"{SVG}image")]


def _of(style: str, name: str) -> str:
    found = re.search(rf"(?:^|; ?){name}: ?([^;]+)", style)
    return found[1] if found else ""
