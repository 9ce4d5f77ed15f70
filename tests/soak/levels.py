"""Whether a series levels off: the last quarter against the second, and a slope that single jumps do not move."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median


@dataclass(frozen=True)
class Level:
    """`series` against the number of actions before each value. The first quarter is warming up, and plays no part."""

    name: str
    unit: str
    at: Sequence[int]
    series: Sequence[float]
    #: How much the last quarter may lie above the second, as a share of it and in the unit: whichever is more.
    share: float
    slack: float

    @property
    def quarters(self) -> tuple[float, float]:
        """Medians of the second and of the last quarter."""
        n = len(self.series)
        return median(self.series[n // 4 : max(n // 4 + 1, n // 2)]), median(self.series[min(n - 1, 3 * n // 4) :])

    @property
    def slope(self) -> float:
        """Theil-Sen over the second half, in units per 100 actions: the median of the slopes between every two values."""
        half = len(self.series) // 2
        points = list(zip(self.at[half:], self.series[half:], strict=True))
        slopes = [(b - a) / (j - i) for (i, a), (j, b) in combinations(points, 2) if j > i]
        return 100 * median(slopes) if slopes else 0.0

    @property
    def allowed(self) -> float:
        return max(self.slack, self.share * self.quarters[0])

    @property
    def level(self) -> bool:
        second, last = self.quarters
        return last - second <= self.allowed

    def line(self) -> str:
        second, last = self.quarters
        verdict = "levels off" if self.level else "GROWS"
        figures = f"{self.series[0]:10,.1f} {second:10,.1f} {last:10,.1f} {max(self.series):10,.1f} {self.slope:+10,.2f}"
        return f"{self.name:28} {self.unit:6} {figures}   {verdict} (+{self.allowed:,.1f} allowed)"

    def record(self) -> dict:
        second, last = self.quarters
        rounded = [round(value, 2) for value in self.series]
        about = {"unit": self.unit, "second_quarter": round(second, 2), "last_quarter": round(last, 2)}
        return about | {"slope_per_100_actions": round(self.slope, 3), "levels_off": self.level, "series": rounded}


HEAD = f"{'':28} {'':6} {'first':>10} {'2nd quart.':>10} {'last quart.':>11}{'largest':>10} {'per 100':>10}"
