"""Means over seeds, and what follows from them with an interval: a bootstrap of the seeds.

Three seeds, or one, are too few to be drawn with replacement: of three the draws would be a third too narrow in
variance, of one they would be a point. So the noise of one run is pooled over all settings that have several seeds (its
degrees of freedom are theirs together), and a draw gives each mean a normal error of that size, by the root of its
seeds. The noise is known no better than its degrees of freedom allow: each draw takes a size of its own,
sd sqrt(dof / chi^2_dof), so that percentiles of a difference of means are Student's. One seed among many is then
enough, if its noise is that of the others: whoever uses it says so.

Draws are deterministic: those of a setting hang on its name alone.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist, fmean, variance
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isostate.report.claims import LEVEL
from isostate.report.rows import Row

Array = NDArray[np.float64]
DRAWS = 4_000  # of which 10 lie beyond either end of a 99.5 % interval


@dataclass(frozen=True)
class Noise:
    """Standard deviation of one run about the mean of its setting, pooled; None where no setting has several seeds."""

    sd: float | None
    dof: int
    source: str = ""  # whose, where it is not the study's own
    when: str = ""  # "before the decay", where it is not that of the losses at the end

    def or_else(self, other: Noise) -> Noise:
        """This one, if it is known."""
        return self if self.sd is not None else other


@dataclass(frozen=True)
class Estimate:
    """A number with draws of it, or with given ends of 95 %; without either it has no interval.

    Where each draw is itself a range, `draws` are its lower ends and `upper` its upper ones.
    """

    value: float
    draws: Array | None = None
    ends: tuple[float, float] | None = None
    upper: Array | None = None
    factors: bool = False  # given ends lie at factors of a positive value, and widen as such

    def interval(self, level: float = LEVEL) -> tuple[float | None, float | None]:
        """Its ends: quantiles of the draws, each itself a draw, since what is read off a grid has nothing between.

        Given ones are widened to the level by the ratio of normal quantiles, each side by its own width: the fits whose
        ends these are keep some hundred draws, too few for the tails that many parts ask for.
        """
        if self.ends is not None:
            return self._widened(self.ends[0], level), self._widened(self.ends[1], level)
        if self.draws is None:
            return None, None
        tail = (1.0 - level) / 2.0
        upper = self.draws if self.upper is None else self.upper
        return _quantile(self.draws, tail), _quantile(upper, 1.0 - tail)

    def _widened(self, end: float, level: float) -> float:
        if level == LEVEL or end == self.value or math.isinf(end):
            return end
        ratio = _normal_end(level) / _normal_end(LEVEL)
        if self.factors:
            return self.value * (end / self.value) ** ratio
        return self.value + ratio * (end - self.value)

    def to_dict(self) -> dict[str, float | None]:
        low, high = self.interval()
        return {"value": self.value, "low": low, "high": high}


def exactly(value: float) -> Estimate:
    """A number that is known."""
    return Estimate(value, ends=(value, value))


def from_interval(interval: Mapping[str, Any], factors: bool = False) -> Estimate:
    """A fitted law's parameter, or what follows from it: {"value", "low", "high"}."""
    low, high = interval["low"], interval["high"]
    ends = None if low is None or high is None else (low, high)
    return Estimate(interval["value"], ends=ends, factors=factors)


def pooled(groups: Iterable[Iterable[float]], source: str = "") -> Noise:
    """The noise of one run, from groups of runs that differ in seed alone."""
    squares, dof = 0.0, 0
    for losses in map(list, groups):
        if len(losses) > 1:
            squares += variance(losses) * (len(losses) - 1)
            dof += len(losses) - 1
    return Noise(math.sqrt(squares / dof) if dof else None, dof, source)


@dataclass(frozen=True)
class Means:
    """Mean losses by setting, how many seeds stand behind each, and the noise of one run."""

    values: dict[Hashable, float]
    seeds: dict[Hashable, int]
    noise: Noise

    def column(self, setting: Hashable) -> Array:
        """The mean, then draws of it (1 + DRAWS,); the mean alone where no noise is known."""
        value = self.values[setting]
        if self.noise.sd is None:
            return np.array([value])
        error = _normals(repr(setting)) * _sizes(self.noise.dof) * self.noise.sd / math.sqrt(self.seeds[setting])
        return np.concatenate([[value], value + error])

    def difference(self, first: Hashable, second: Hashable) -> Estimate:
        """The first setting's loss less the second's."""
        return of_column(self.column(first) - self.column(second))

    def estimate(self, rule: Callable[[Callable[[Hashable], Array]], Array]) -> Estimate:
        """What `rule` makes of columns, which it is given by setting: at(a) - at(b) is a difference with its draws."""
        return of_column(rule(self.column))


def of_column(column: Array) -> Estimate:
    """The estimate of a column: its value first, then its draws, if any."""
    return Estimate(float(column[0]), column[1:] if len(column) > 1 else None)


def means(
    rows: Iterable[Row], setting: Callable[[Row], Hashable], loss: Callable[[Row], float], noise: Noise | None = None
) -> Means:
    """Rows that `setting` takes for one are seeds of it. Without `noise` it is pooled over these very settings."""
    groups: dict[Hashable, list[float]] = {}
    for row in rows:
        groups.setdefault(setting(row), []).append(loss(row))
    own = pooled(groups.values())
    return Means(
        {key: fmean(losses) for key, losses in groups.items()},
        {key: len(losses) for key, losses in groups.items()},
        own if noise is None else noise,
    )


def _quantile(draws: Array, q: float) -> float:
    return float(np.quantile(draws, q, method="nearest"))


def _normal_end(level: float) -> float:
    return NormalDist().inv_cdf((1.0 + level) / 2.0)


@lru_cache(maxsize=256)  # 8 MB: settings return in one comparison after another
def _normals(setting: str) -> Array:
    return _generator(f"noise of {setting}").normal(size=DRAWS)


@lru_cache(maxsize=16)
def _sizes(dof: int) -> Array:
    """How large the noise is in each draw, in units of its estimate."""
    return np.sqrt(dof / _generator("size").chisquare(dof, DRAWS))


def _generator(name: str) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(int(hashlib.sha256(name.encode()).hexdigest()[:16], 16)))
