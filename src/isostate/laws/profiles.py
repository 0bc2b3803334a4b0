"""Profile likelihood of any parameter of any law: every other parameter refitted at each of its values, all at once.

For sums of squares -2 log likelihood = n log RSS; for sums of absolute values and the summed Huber, whose delta is far
below the residuals, 2 n log of the sum (Laplace noise of free scale); for the likelihood, twice it. The interval ends
where that has risen by n log(1 + F(1, dof) / dof), which for squares and normal noise is the F interval.
It takes the noise as equal and independent; where it is not, the case bootstrap is wider, and right.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from isostate.laws.law import Array, Law
from isostate.laws.minimise import minimise
from isostate.laws.objectives import Objective
from isostate.laws.problem import Problem
from isostate.laws.result import Interval

POINTS = 41  # values a profile is evaluated at, before its ends are interpolated


@dataclass(frozen=True)
class ParameterProfile:
    """The rise of -2 log likelihood over a parameter's values, the interval, and whether its ends are open."""

    name: str
    values: Array
    rise: Array
    interval: Interval
    open_ends: tuple[str, ...]

    @property
    def flat(self) -> bool:
        return bool(self.open_ends)


def profiles(
    law: Law, x: Mapping[str, Array], y_n: Array, theta_K: Array, objective: Objective, level: float = 0.95
) -> dict[str, ParameterProfile]:
    """The profile of every parameter about the optimum `theta_K` (search coordinates)."""
    n, K = len(y_n), len(theta_K)
    base = Problem(law, objective, x, y_n[None], np.ones((1, n)))
    lowest, _ = base.gradient(theta_K[None], np.arange(1))
    threshold = n * np.log1p(float(stats.f.ppf(level, 1, n - K)) / (n - K))
    ridge_KK = _ridge(base, theta_K)
    offset_P = np.linspace(-1.0, 1.0, POINTS)
    theta_BK, free_BK = np.repeat(theta_K[None], K * POINTS, 0), np.ones((K * POINTS, K))
    for k in range(K):
        rows = slice(k * POINTS, (k + 1) * POINTS)
        theta_BK[rows] += offset_P[:, None] * ridge_KK[k]
        free_BK[rows, k] = 0.0
    held = Problem(law, objective, x, y_n[None], np.ones((1, n)), free_BK)
    _, value_B = minimise(held, theta_BK, threads=1)
    found = {}
    for k, parameter in enumerate(law.parameters):
        rows = slice(k * POINTS, (k + 1) * POINTS)
        values = law.natural(theta_BK[rows])[:, k]
        rise = _rise(objective, value_B[rows], float(lowest[0]), n)
        found[parameter.name] = _interval(parameter.name, values, rise, threshold)
    return found


def _ridge(problem: Problem, theta_K: Array) -> Array:
    """Row k: five asymptotic standard errors of parameter k, with what the others do meanwhile along the ridge."""
    value, _, matrix = problem.normal_equations(theta_K[None], np.arange(1))
    n, K = problem.y_Bn.shape[1], len(theta_K)
    covariance = np.linalg.pinv(matrix[0], rcond=1e-13, hermitian=True) * float(value[0]) / max(n - K, 1)
    se_K = np.sqrt(np.maximum(np.diag(covariance), 1e-24))
    reach_K = np.clip(5.0 * se_K, 1e-9, 20.0)
    ridge_KK = covariance / np.maximum(se_K[:, None] ** 2, 1e-24) * reach_K[:, None]
    np.fill_diagonal(ridge_KK, reach_K)
    return np.asarray(ridge_KK, dtype=np.float64)


def _rise(objective: Objective, value_B: Array, lowest: float, n: int) -> Array:
    if objective.name == "likelihood":
        return 2.0 * (value_B - lowest)
    times = n if objective.squares else 2 * n
    return times * np.log(np.maximum(value_B, lowest) / lowest)


def _interval(name: str, values: Array, rise: Array, threshold: float) -> ParameterProfile:
    middle = len(values) // 2
    ends: list[float | None] = []
    for side in (slice(middle, None, -1), slice(middle, None)):
        v, r = values[side], rise[side]
        above = np.flatnonzero(r > threshold)
        if not len(above):
            ends.append(None)
            continue
        i = int(above[0])
        share = (np.sqrt(threshold) - np.sqrt(r[i - 1])) / (
            np.sqrt(r[i]) - np.sqrt(r[i - 1])
        )  # the root is near linear
        ends.append(float(v[i - 1] + share * (v[i] - v[i - 1])))
    open_ends = tuple(side for side, end in zip(("low", "high"), ends, strict=True) if end is None)
    return ParameterProfile(name, values, rise, Interval(float(values[middle]), ends[0], ends[1]), open_ends)
