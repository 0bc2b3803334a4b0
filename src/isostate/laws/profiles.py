"""Profile likelihood of any parameter of any law: every other parameter refitted at each of its values, all at once.

For sums of squares -2 log likelihood = n log RSS; for sums of absolute values and the summed Huber, whose delta is far
below the residuals, 2 n log of the sum (Laplace noise of free scale); for the likelihood, twice it. The interval ends
where that has risen by n log(1 + F(1, dof) / dof), which for squares and normal noise is the F interval; where seeds
repeat and the law strays from them, its misfit and the settings' degrees of freedom take the place of the residuals'.
It takes the noise as equal (or as the weights say) and independent; where it is not, a bootstrap that does not (any but
residual) is wider, and right. Sources: Bates & Watts 1988, chapter 6; Venzon & Moolgavkar 1988.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import stats

from isostate.laws import separable
from isostate.laws.law import Array, Law
from isostate.laws.minimise import minimise
from isostate.laws.noise import Noise
from isostate.laws.objectives import Objective
from isostate.laws.options import POINTS
from isostate.laws.problem import Problem
from isostate.laws.result import Interval, ParameterProfile

REACH = 5.0  # asymptotic standard errors to either side
WIDER = 1.5  # a drawn profile goes on beyond its interval
FURTHER = np.geomspace(1.25, 16.0, 12)  # in units of that reach, where an end has not been met within it


def profiles(
    law: Law,
    x: Mapping[str, Array],
    y_n: Array,
    theta_K: Array,
    objective: Objective,
    level: float = 0.95,
    *,
    weights: Array | None = None,
    noise: Noise | None = None,
    points: int = POINTS,
    threads: int = 1,
) -> dict[str, ParameterProfile]:
    """The profile of every parameter about the optimum `theta_K` (search coordinates).

    Without a `noise` that tells the misfit of repeated seeds apart, every point is taken as independent.
    """
    weight_n = np.ones_like(y_n) if weights is None else weights
    n, K = int(np.count_nonzero(weight_n)), len(theta_K)
    base = Problem(law, objective, x, y_n[None], weight_n[None])
    lowest = float(base.value(theta_K[None], np.arange(1))[0])
    dof, share = (n - K, 1.0) if noise is None else (noise.dof, noise.variance / noise.plain_variance)
    threshold = n * float(np.log1p(share * stats.f.ppf(level, 1, dof) / max(n - K, 1)))
    ridge_KK = _ridge(base, theta_K, n)
    offset_P = np.linspace(-1.0, 1.0, 2 * (points // 2) + 1)
    tried = [(k, offset, theta_K + offset * ridge_KK[k]) for k in range(K) for offset in offset_P]
    theta_BK, value_B = _held(base, tried, threads)
    rise_B = _rise(objective, value_B, lowest, n)
    further = []
    for k in range(K):
        rows = slice(k * len(offset_P), (k + 1) * len(offset_P))
        for side, end in ((-1.0, 0), (1.0, -1)):
            if not rise_B[rows][end] > threshold:
                begin_K = theta_BK[rows][end]  # follows the bend of the ridge as far as it is known
                further += [(k, side * f, begin_K + side * (f - 1.0) * ridge_KK[k]) for f in FURTHER]
    if further:
        more_BK, more_B = _held(base, further, threads)
        tried, theta_BK = tried + further, np.concatenate([theta_BK, more_BK])
        rise_B = np.concatenate([rise_B, _rise(objective, more_B, lowest, n)])
    of_B = np.array([k for k, _, _ in tried])
    natural_BK = law.natural(theta_BK)
    return {
        parameter.name: _profile(law, k, natural_BK[of_B == k, k], rise_B[of_B == k], theta_K, threshold)
        for k, parameter in enumerate(law.parameters)
    }


def projected(
    law: Law,
    x: Mapping[str, Array],
    y_n: Array,
    weight_n: Array,
    intervals: Mapping[str, Interval],
    lowest: float,
    variance: float,
    threshold: float,
    open_ends: tuple[str, ...],
) -> dict[str, ParameterProfile]:
    """The same for a law of one exponent and known `variance`, whose profile of squares is linear algebra.

    `intervals` are the profile's own, `threshold` the F quantile. The exponent's `open_ends` are at its bounds, those
    of a linear parameter at 0.
    """
    exponent = law.nonlinear[0]
    grid = _window(intervals[exponent.name], exponent.low, exponent.high)
    finer = np.union1d(np.geomspace(grid[0], grid[-1], 401), [intervals[exponent.name].value])
    fine = separable.profile(law, finer[:, None], x, y_n, weight_n)
    at = separable.profile(law, grid[:, None], x, y_n, weight_n)
    rise_P = (at.rss_G - lowest) / variance
    found = {exponent.name: (grid, rise_P, open_ends)}
    for m, name in enumerate(law.linear):
        values = _window(intervals[name], 0.0, np.inf)
        away_PG = (values[:, None] - fine.free_GM[:, m]) ** 2 / fine.inverse_GMM[:, m, m]
        rise_P = ((fine.free_rss_G + away_PG).min(axis=1) - lowest) / variance
        found[name] = (values, rise_P, ("low",) if intervals[name].low == 0.0 else ())
    return {
        name: ParameterProfile(name, values, np.maximum(rise_P, 0.0), threshold, intervals[name], ends)
        for name, (values, rise_P, ends) in ((name, found[name]) for name in law.names)
    }


def _window(interval: Interval, low: float, high: float) -> Array:
    """Values from well below the interval to well above it, the fit's own among them."""
    assert interval.low is not None
    assert interval.high is not None
    to, back = (np.log, np.exp) if interval.low > 0 else (np.asarray, np.asarray)
    value, ends = to(interval.value), (to(interval.low), to(interval.high))
    reach = [value + WIDER * (end - value) for end in ends]
    half = POINTS // 2 + 1
    axis = np.concatenate([np.linspace(reach[0], value, half), np.linspace(value, reach[1], half)[1:]])
    axis = back(axis)
    axis[half - 1] = interval.value
    return np.unique(np.clip(axis, low, high))


def _held(base: Problem, tried: list[tuple[int, float, Array]], threads: int) -> tuple[Array, Array]:
    """Refits every row from where it stands, its own parameter held."""
    theta_BK = np.stack([theta for _, _, theta in tried])
    free_BK = np.ones_like(theta_BK)
    free_BK[np.arange(len(tried)), [k for k, _, _ in tried]] = 0.0
    held = Problem(base.law, base.objective, base.x, base.y_Bn, base.w_Bn, free_BK)
    return minimise(held, theta_BK, threads=threads)


def _ridge(problem: Problem, theta_K: Array, n: int) -> Array:
    """Row k: five asymptotic standard errors of parameter k, with what the others do meanwhile along the ridge."""
    rss, matrix_KK = problem.information(theta_K)
    covariance = np.linalg.pinv(matrix_KK, rcond=1e-13, hermitian=True) * rss / max(n - len(theta_K), 1)
    se_K = np.sqrt(np.maximum(np.diag(covariance), 1e-24))
    reach_K = np.clip(REACH * se_K, 1e-9, 20.0)
    ridge_KK = covariance / np.maximum(se_K[:, None] ** 2, 1e-24) * reach_K[:, None]
    np.fill_diagonal(ridge_KK, reach_K)
    return np.asarray(ridge_KK, dtype=np.float64)


def _rise(objective: Objective, value_B: Array, lowest: float, n: int) -> Array:
    if objective.name == "likelihood":
        return 2.0 * (value_B - lowest)
    times = n if objective.squares else 2 * n
    floor = n * (8 * np.finfo(float).eps) ** 2  # of data without noise, whose lowest value is rounding
    return times * np.log(np.maximum(value_B, floor) / max(lowest, floor))


def _profile(law: Law, k: int, value_P: Array, rise_P: Array, theta_K: Array, threshold: float) -> ParameterProfile:
    """The profile of parameter k inside its domain, and where it crosses the threshold on either side."""
    parameter = law.parameters[k]
    inside_P = (value_P >= parameter.low) & (value_P <= parameter.high) & np.isfinite(rise_P)
    order = np.argsort(value_P[inside_P])
    values, rise = value_P[inside_P][order], rise_P[inside_P][order]
    best = float(law.natural(theta_K[None])[0, k])
    middle = int(np.argmin(np.abs(values - best))) if len(values) else 0
    ends = [_crossing(values[side], rise[side], threshold) for side in (slice(middle, None, -1), slice(middle, None))]
    open_ends = tuple(side for side, end in zip(("low", "high"), ends, strict=True) if end is None)
    return ParameterProfile(parameter.name, values, rise, threshold, Interval(best, *ends), open_ends)


def _crossing(value_P: Array, rise_P: Array, threshold: float) -> float | None:
    """Where the rise passes the threshold for good, walking outward; its square root is near linear in the value."""
    i = int(np.max(np.flatnonzero(rise_P <= threshold), initial=0))
    if i + 1 >= len(rise_P):
        return None
    inner, outer = np.sqrt(np.maximum(rise_P[i : i + 2], 0.0))
    share = (np.sqrt(threshold) - inner) / (outer - inner)
    return float(value_P[i] + share * (value_P[i + 1] - value_P[i]))
