"""The best of many starts: where they come from, all of them at once downhill, how many reached the optimum."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from isostate.laws import separable
from isostate.laws.law import Array, Law
from isostate.laws.minimise import FINE, minimise
from isostate.laws.objectives import Objective
from isostate.laws.options import Options, Starts
from isostate.laws.problem import Problem

SAME_OPTIMUM = 1e-6  # relative distance in objective at which two starts count as having found the same optimum


@dataclass(frozen=True)
class Found:
    """The best of many starts; `theta` (K,) in search coordinates, `values` (K,) in natural units."""

    theta: Array
    values: Array
    value: float  # of the objective as published
    starts: int
    at_optimum: int
    converged: bool
    condition: float


def search(law: Law, x: Mapping[str, Array], y_n: Array, objective: Objective, options: Options) -> Found:
    """The best optimum from all starts, and how many of them reached it."""
    starts_BK = starting_points(law, x, y_n, options.starts)
    weight_n = np.ones_like(y_n) if options.weights is None else np.asarray(options.weights, dtype=float)
    problem = Problem(law, objective, x, y_n[None], weight_n[None])
    theta_BK, value_B = minimise(problem, starts_BK, threads=options.threads)
    best = int(np.argmin(value_B))
    theta_1K, value_1 = minimise(problem, theta_BK[best : best + 1], tolerance=FINE)
    lowest = float(value_1[0])
    # squares of exact data reach zero, so that their distance is also measured absolutely
    size = max(float(objective.size(value_1, len(y_n))[0]), 1e-12 * len(y_n))
    at_optimum = int(np.sum(value_B <= lowest + SAME_OPTIMUM * size))
    _, matrix_KK = problem.information(theta_1K[0])
    size_K = np.sqrt(np.maximum(np.diag(matrix_KK), 1e-300))
    condition = float(np.linalg.cond(matrix_KK / np.outer(size_K, size_K)))
    published = lowest * objective.scale / (len(y_n) if objective.name == "huber-mean" else 1)
    values = law.natural(theta_1K)[0]
    finite = bool(np.isfinite(lowest) and np.all(np.isfinite(values)))
    return Found(theta_1K[0], values, published, len(starts_BK), at_optimum, finite and at_optimum > 0, condition)


def starting_points(law: Law, x: Mapping[str, Array], y_n: Array, starts: Starts | Array | None) -> Array:
    """Starts in search coordinates: the law's grid, or exponents from a grid with the linear parameters solved for."""
    if isinstance(starts, np.ndarray):
        return law.internal(np.atleast_2d(starts))
    if starts == "grid" or not law.linear:
        return law.start_grid()
    few = len(law.nonlinear) <= 3  # a finer grid of exponents where there are few of them
    axes = [_dense(parameter.starts) if few else np.asarray(parameter.starts) for parameter in law.nonlinear]
    grid_GQ = np.array(list(itertools.product(*axes)), dtype=float)
    columns_GnM = separable.columns(law, grid_GQ, x) / y_n[None, :, None]  # relative errors, as in a log objective
    linear_BGM, _ = separable.solve(columns_GnM, np.ones((1, len(y_n))))
    share_GM = 1e-3 / np.maximum(np.abs(columns_GnM).max(axis=1), 1e-300)  # where the solution is on its bound 0
    linear_GM = np.where(linear_BGM[0] > 0, linear_BGM[0], share_GM)
    values = {p.name: grid_GQ[:, q] for q, p in enumerate(law.nonlinear)}
    values |= {name: linear_GM[:, m] for m, name in enumerate(law.linear)}
    return law.internal(np.stack([values[name] for name in law.names], axis=1))


def _dense(starts: tuple[float, ...]) -> Array:
    """The starts that are not zero, with their midpoints: a projected search affords them."""
    kept = np.array([start for start in starts if start != 0.0])
    return np.unique(np.concatenate([kept, 0.5 * kept[:1], 0.5 * (kept[1:] + kept[:-1])]))
