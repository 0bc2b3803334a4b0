"""Two families at equal state: the difference of their losses over the range of states that both have.

Each family's means are joined by a smooth curve in the logarithm of state that turns nowhere between two points (cubic,
with the slopes of Fritsch & Butland 1984), and the difference is taken at every state within the shared range at which
either was trained. Straight lines would lie above a falling, hollow curve, by more than the noise where states are far
apart, and so disfavour the family that has fewer.

The interval is a bootstrap over seeds (seeds.py) and points: a draw also takes those states with replacement, since a
difference that changes from state to state says less about the families than one that does not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

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
    return joined(np.log(states), column_SB, np.log(points))


def joined(known: Array, value_SB: Array, x: Array) -> Array:
    """The curve through the values (knots, draws) at x, each between the first knot and the last: (draws, points)."""
    width_S1 = np.diff(known)[:, None]
    secant_SB = np.diff(value_SB, axis=0) / width_S1
    slope_SB = _slopes(width_S1, secant_SB)
    left = np.clip(np.searchsorted(known, x, side="right") - 1, 0, len(known) - 2)
    t, width = ((x - known[left]) / np.diff(known)[left])[:, None], width_S1[left]
    ends = (1 + 2 * t) * (1 - t) ** 2 * value_SB[left] + t**2 * (3 - 2 * t) * value_SB[left + 1]
    turns = t * (1 - t) ** 2 * slope_SB[left] - t**2 * (1 - t) * slope_SB[left + 1]
    return np.asarray((ends + width * turns).T)


def _slopes(width_S1: Array, secant_SB: Array) -> Array:
    """At the knots: inside the weighted harmonic mean of both sides' secants, 0 where these differ in sign; at the ends
    a parabola's, held to the sign and three times the size of the secant there."""
    if len(secant_SB) == 1:
        return np.concatenate([secant_SB, secant_SB])
    before, after = secant_SB[:-1], secant_SB[1:]
    first, second = 2 * width_S1[1:] + width_S1[:-1], width_S1[1:] + 2 * width_S1[:-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = (first + second) / (first / before + second / after)
    inner = np.where(before * after > 0, mean, 0.0)
    ends = [_end(*width_S1[:2], *secant_SB[:2]), _end(*width_S1[:-3:-1], *secant_SB[:-3:-1])]
    return np.concatenate([ends[0][None], inner, ends[1][None]])


def _end(width: Array, next_width: Array, secant: Array, next_secant: Array) -> Array:
    slope = ((2 * width + next_width) * secant - width * next_secant) / (width + next_width)
    slope = np.where(slope * secant > 0, slope, 0.0)
    return np.where((secant * next_secant <= 0) & (np.abs(slope) > 3 * np.abs(secant)), 3 * secant, slope)


@lru_cache(maxsize=256)
def _drawn(points: tuple[float, ...]) -> Array:
    """How often each draw takes each point (DRAWS, points); deterministic by the points."""
    name = hashlib.sha256(repr(points).encode()).hexdigest()[:16]
    rng = np.random.Generator(np.random.Philox(int(name, 16)))
    return rng.multinomial(len(points), np.full(len(points), 1.0 / len(points)), DRAWS).astype(float)
