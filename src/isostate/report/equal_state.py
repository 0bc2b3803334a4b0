"""Two families at equal state: the difference of their losses over the range of states that both have.

Each family's means are joined by a smooth curve in the logarithm of state that turns nowhere between two points (cubic,
with the slopes of Fritsch & Butland 1984: scipy's PCHIP), and the difference is taken at every state within the shared
range at which either was trained. Straight lines would lie above a falling, hollow curve, by more than the noise where
states are far apart, and so disfavour the family that has fewer.

The interval is a bootstrap over seeds (seeds.py) and points: a draw also takes those states with replacement, since a
difference that changes from state to state says less about the families than one that does not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.interpolate import PchipInterpolator

from isostate.report.seeds import DRAWS, Array, Estimate, Means, of_column

TOGETHER = 1.02  # states closer than that are one point: the families meet a wanted state each as near as it can
LEAST_POINTS = 2


@dataclass(frozen=True)
class Matched:
    """The mean difference of the first family from the second, negative where the first is better, and its places."""

    difference: Estimate
    states: tuple[float, ...]
    at_states: tuple[float, ...]  # the difference at each

    @property
    def ahead(self) -> int:
        """At how many states the first family is better."""
        return sum(value < 0 for value in self.at_states)


def matched(first: Mapping[int, Hashable], second: Mapping[int, Hashable], means: Means) -> Matched | None:
    """`first`, `second`: each family's settings by state. None where they share less than two states' range."""
    if len(first) < LEAST_POINTS or len(second) < LEAST_POINTS:
        return None
    points = shared(list(first), list(second))
    if len(points) < LEAST_POINTS:
        return None
    difference_BX = at_states(first, points, means) - at_states(second, points, means)
    weight_BX = np.concatenate([np.ones((1, len(points))), _drawn(tuple(points))])[: len(difference_BX)] / len(points)
    column = (difference_BX * weight_BX).sum(axis=1)
    return Matched(of_column(column), tuple(points), tuple(float(value) for value in difference_BX[0]))


def shared(first: Sequence[int], second: Sequence[int]) -> list[float]:
    """The states of either within the range that both have, those that are as good as equal once."""
    low, high = max(min(first), min(second)), min(max(first), max(second))
    points: list[float] = []
    for state in sorted({*first, *second}):
        inside = low / TOGETHER <= state <= high * TOGETHER
        if inside and (not points or state > points[-1] * TOGETHER):
            points.append(float(min(max(state, low), high)))
    return points


def at_states(settings: Mapping[int, Hashable], points: Sequence[float], means: Means) -> Array:
    """A family's loss at any states of its range, read from its curve: (1 + draws, points)."""
    states = sorted(settings)
    column_SB = np.stack([means.column(settings[state]) for state in states])
    return np.asarray(PchipInterpolator(np.log(states), column_SB)(np.log(points)).T)


@lru_cache(maxsize=256)
def _drawn(points: tuple[float, ...]) -> Array:
    """How often each draw takes each point (DRAWS, points); deterministic by the points."""
    name = hashlib.sha256(repr(points).encode()).hexdigest()[:16]
    rng = np.random.Generator(np.random.Philox(int(name, 16)))
    return rng.multinomial(len(points), np.full(len(points), 1.0 / len(points)), DRAWS).astype(float)
