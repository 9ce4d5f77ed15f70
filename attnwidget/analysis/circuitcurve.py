"""How faithful circuits are: of given edges, of the top edges at several sizes, and of as many edges drawn at random."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

import numpy as np

from .circuit import CurvePoint, RandomCircuits
from .patching import Pair, Progress, circuit_effects, faithfulness

SHARES = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Of all edges: the sizes at which MIB measures faithfulness (Mueller et al. 2025)."""
SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
"""Numbers of edges at which it is measured besides, up to as many as were asked for."""


Attempt = Callable[[Callable[[], np.ndarray]], "np.ndarray | None"]
"""Calls a step and gives what it returned, or None where something more urgent came in between: the step is then done again."""
_TOGETHER = 256  # masks in memory at once: in a large model each is a megabyte
PORTION, EDGES = 8, 64
"""Circuits, and single edges, of a step that may have to be done again."""


class Faithfulness:
    """f(C) = (m(C) - m(∅)) / (m(M) - m(∅)) of circuits of one pair. What was measured once is not measured again."""

    def __init__(self, pair: Pair, attempt: Attempt | None = None):
        self.pair, self._attempt = pair, attempt
        self._known: dict[bytes, float] = {}

    def __call__(self, masks: Iterable[np.ndarray], progress: Progress | None = None, total: int | None = None) -> np.ndarray:
        """[mask] of edges [edge]; those that lie on no path from embed to logits change nothing and are left out.

        The empty circuit is 0 by definition. `total` is how many masks there are, where they are made one by one.
        """
        source, found, done = iter(masks), [], 0
        total = len(masks) if isinstance(masks, Sequence) else total or 0
        while some := list(islice(source, _TOGETHER)):

            def said(part: int, parts: int, text: str, done: int = done, size: int = len(some)) -> None:
                if progress is not None:
                    now = done + size * part // max(1, parts)
                    progress(now, max(total, now), text)

            said(0, 1, "")
            found.append(self._together(some, said))
            done += len(some)
        return np.concatenate(found) if found else np.zeros(0)

    def _together(self, masks: Sequence[np.ndarray], progress: Progress) -> np.ndarray:
        pruned = [self.pair.graph.prune(mask) for mask in masks]
        keys = [np.packbits(mask).tobytes() for mask in pruned]
        new = {key: mask for key, mask in zip(keys, pruned, strict=True) if key not in self._known}
        for key in [key for key, mask in new.items() if not mask.any()]:
            self._known[key] = 0.0
            del new[key]
        if new:
            measure = lambda some, progress: circuit_effects(self.pair, some, progress=progress, total=len(some))  # noqa: E731
            effects = in_steps(measure, list(new.values()), PORTION, self._attempt, progress)
            self._known |= dict(zip(new, faithfulness(self.pair, effects).tolist(), strict=True))
        return np.array([self._known[key] for key in keys])


def in_steps(
    measure: Callable[[list, Progress | None], np.ndarray], items: Sequence, size: int, attempt: Attempt | None, progress: Progress | None
) -> np.ndarray:
    """What `measure` gives of all items: at once, or where there is an `attempt` in steps of `size`, each until it comes to its end."""
    if attempt is None:
        return measure(list(items), progress)
    found: list[np.ndarray] = []
    for start in range(0, len(items), size):
        some, values = list(items[start : start + size]), None
        while values is None:
            values = attempt(lambda some=some: measure(some, None))
        found.append(values)
        if progress is not None:
            progress(min(start + size, len(items)), len(items), "")
    return np.concatenate(found) if found else np.zeros(0)


def ranked(scores: np.ndarray, least: float = 0.0) -> np.ndarray:
    """The edges of largest |score| first; of equal ones the earlier in the model. Edges of score 0, of one that is no larger than `least`,
    or of none (NaN) are not among them."""
    size = np.nan_to_num(np.abs(scores), nan=0.0)
    order = np.argsort(-size, kind="stable")
    return order[size[order] > least]


def top(order: np.ndarray, n: int, total: int) -> np.ndarray:
    """[edge]: the first `n` edges of an order, as a mask; every edge where `n` is `total`."""
    mask = np.zeros(total, bool)
    mask[order[:n] if n < total else slice(None)] = True
    return mask


def sizes_of(n: int, total: int, sizes: Sequence[int] | None = None) -> list[int]:
    """The sizes of a curve: those of MIB, and `sizes` (by default a few up to `n`, and `n`)."""
    few = [*(size for size in SIZES if size < n), n] if sizes is None else list(sizes)
    return sorted({*few, *(edges_of(share, total) for share in SHARES)} - {0})


def edges_of(share: float, total: int) -> int:
    """How many edges a share of them is, rounded down."""
    return int(share * total + 1e-9)


def curve(
    measure: Faithfulness,
    order: np.ndarray,
    sizes: Sequence[int],
    random: int,
    seed: int,
    progress: Callable[[int, int, str], None],
) -> Iterator[tuple[CurvePoint, ...]]:
    """The points of the curve at `sizes` (ascending), so far, after each. A size that no edge is left for ends where the edges do.

    `random` circuits stand beside each point but the whole model: as many edges, drawn evenly from all without replacement, pruned alike.
    The draw of one size depends on `seed` and on that size, not on the others.
    """
    total, points, taken = len(measure.pair.graph), [], set()
    wanted = [size if size == total else min(size, len(order)) for size in sizes]
    for done, size in enumerate(wanted):
        if size in taken or size == 0:
            continue
        taken.add(size)
        mask, others = top(order, size, total), draws(size, total, random if size < total else 0, seed)

        def said(part: int, parts: int, _text: str, done: int = done, size: int = size) -> None:
            progress(done, len(wanted), f"Running circuits of {size:,} edges ({part} of {parts})")

        values = measure([mask, *others], said)
        beside = None
        if len(values) > 1:
            low, median, high = np.quantile(values[1:], [0, 0.5, 1]).tolist()
            beside = RandomCircuits(len(others), low, median, high)
        points.append(CurvePoint(size, int(measure.pair.graph.prune(mask).sum()), float(values[0]), beside))
        yield tuple(points)


def draws(size: int, total: int, random: int, seed: int) -> list[np.ndarray]:
    """`random` masks [edge] of `size` edges each, drawn evenly from all."""
    generator = np.random.default_rng([seed % 2**32, size])
    masks = []
    for _ in range(random):
        mask = np.zeros(total, bool)
        mask[generator.choice(total, size, replace=False)] = True
        masks.append(mask)
    return masks


def cpr_and_cmd(points: Sequence[CurvePoint], total: int) -> tuple[float, float]:
    """∫ f dk and ∫ |1 - f| dk over the shares of MIB, from a curve that has their sizes. Fewer edges than one is the empty circuit; where
    there are no more edges to take, f stays what it was, up to the whole model."""
    known = {point.edges: point.faithfulness for point in points}
    values = []
    for share in SHARES:
        size = edges_of(share, total)
        fitting = max((edges for edges in known if edges <= size), default=0)
        values.append(known[fitting] if size and fitting else 0.0)
    return areas(values)


def areas(values: Sequence[float]) -> tuple[float, float]:
    """∫ f dk and ∫ |1 - f| dk of `values` at `SHARES`, by trapezoids over k as it is (not over its logarithm), 0.001 to 1.

    Of a circuit that is faithful at every size .999 and 0; of one that is not until it is the whole model .25 and .749.
    """
    f, k = np.asarray(values, dtype=np.float64), np.asarray(SHARES)
    step = np.diff(k)
    return float(((f[1:] + f[:-1]) / 2 * step).sum()), float(((np.abs(1 - f[1:]) + np.abs(1 - f[:-1])) / 2 * step).sum())
