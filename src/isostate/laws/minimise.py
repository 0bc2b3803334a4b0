"""Minimising thousands of small problems at once: starts of one fit, resamples of a bootstrap, points of a profile.

Every row of the batch is one problem with its own damping; rows that are done leave the batch. All objectives go
through Levenberg-Marquardt, those that are not sums of squares as squares reweighted at each step: slope / residual
weighs a residual so that the parabola through it lies above the objective and touches it, and each accepted step
descends (Huber & Ronchetti 2009, section 7.8). Such steps are short by about two where |r| takes the place of r^2, so
rows that have become slow try twice the step first. Damping: Nielsen 1999, on the larger of each diagonal element and
a thousandth of the largest, so that a parameter which does nothing yet is not sent away; that is why most starts reach
the optimum.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isostate.laws.law import Array
from isostate.laws.problem import Problem

FEW = 128  # rows that are not worth a second thread
COARSE, FINE = 1e-8, 1e-13  # a row is done after two accepted steps that each descend by less than this share
STUCK = 1e8  # or when no step descends even under this damping
SLOW, TWICE = 1e-3, 2.0  # where a step descends by less than this share, twice the next is tried
FIRST_DAMPING, FLOOR = 1e-3, 1e-3


def minimise(
    problem: Problem, theta_BK: Array, *, steps: int = 400, threads: int = 1, tolerance: float = COARSE
) -> tuple[Array, Array]:
    """The local minimum reached from every row: (theta (B, K), value (B,)) in search coordinates.

    Rows do not see one another, so the result does not depend on `threads`.
    """
    shares = [share for share in np.array_split(np.arange(len(theta_BK)), threads) if len(share)]
    if len(theta_BK) <= FEW or threads == 1:
        return _descend(problem, theta_BK, steps, tolerance)
    with ThreadPoolExecutor(len(shares)) as pool:
        done = pool.map(lambda rows: _descend(problem.of(rows), theta_BK[rows], steps, tolerance), shares)
        thetas, values = zip(*done, strict=True)
    return np.concatenate(thetas), np.concatenate(values)


@dataclass
class _Rows:
    """The live rows of a search: which they are, where each stands, what surrounds it, and how it is damped."""

    row_B: NDArray[np.intp]
    x_BK: Array
    f_B: Array
    g_BK: Array
    h_BKK: Array
    damping_B: Array
    growth_B: Array  # of the damping at the next step that does not descend
    reach_B: Array  # 1, or 2 where the next step is tried at twice its length
    idle_B: Array  # accepted steps in a row that hardly descended

    @classmethod
    def at(cls, problem: Problem, theta_BK: Array) -> _Rows:
        row_B, one_B = np.arange(len(theta_BK)), np.ones(len(theta_BK))
        f_B, g_BK, h_BKK = problem.equations(theta_BK, row_B)
        return cls(
            row_B, theta_BK.copy(), f_B, g_BK, h_BKK, FIRST_DAMPING * one_B, 2.0 * one_B, one_B.copy(), 0.0 * one_B
        )

    def keep(self, live_B: NDArray[np.bool_]) -> None:
        for name, array in list(vars(self).items()):
            setattr(self, name, array[live_B])


@np.errstate(all="ignore")
def _descend(problem: Problem, theta_BK: Array, steps: int, tolerance: float) -> tuple[Array, Array]:
    final_BK, final_B = theta_BK.copy(), np.empty(len(theta_BK))
    rows = _Rows.at(problem, theta_BK)
    for _ in range(steps):
        _advance(problem, rows, tolerance)
        done_B = (rows.idle_B >= 2) | (rows.damping_B > STUCK) | ~np.isfinite(rows.f_B) | (rows.f_B == 0.0)
        if done_B.any():
            final_BK[rows.row_B[done_B]], final_B[rows.row_B[done_B]] = rows.x_BK[done_B], rows.f_B[done_B]
            rows.keep(~done_B)
            if not len(rows.row_B):
                break
    final_BK[rows.row_B], final_B[rows.row_B] = rows.x_BK, rows.f_B
    return final_BK, final_B


def _advance(problem: Problem, rows: _Rows, tolerance: float) -> None:
    """One trial step of every live row: accepted where it descends, else damped more."""
    diagonal_BK = np.einsum("bkk->bk", rows.h_BKK)
    floor_BK = np.maximum(diagonal_BK, FLOOR * diagonal_BK.max(axis=1, keepdims=True))
    damped_BK = rows.damping_B[:, None] * floor_BK
    step_BK = _solve(rows.h_BKK, damped_BK, rows.g_BK)
    promised_B = 0.5 * np.einsum("bk,bk->b", step_BK, damped_BK * step_BK + rows.g_BK)
    trial_BK = rows.x_BK - rows.reach_B[:, None] * step_BK
    f_B, g_BK, h_BKK = problem.equations(trial_BK, rows.row_B)
    descent_B, size_B = rows.f_B - f_B, problem.objective.size(rows.f_B, problem.y_Bn.shape[1])
    better_B, twice_B = descent_B > 0, rows.reach_B > 1
    ratio_B = np.clip(descent_B / np.maximum(promised_B, 1e-300), -1.0, 1.0)
    shrink_B = np.where(twice_B, 1 / 3, np.maximum(1 / 3, 1.0 - (2.0 * ratio_B - 1.0) ** 3))
    grow_B = np.where(twice_B, 1.0, rows.growth_B)
    rows.damping_B = np.maximum(rows.damping_B * np.where(better_B, shrink_B, grow_B), 1e-15)
    rows.growth_B = np.where(better_B | twice_B, 2.0, 2.0 * rows.growth_B)
    gained_B = descent_B > tolerance * size_B
    rows.idle_B = np.where(gained_B, 0, rows.idle_B + (better_B & ~twice_B))
    slow_B = gained_B & (descent_B < SLOW * size_B) & (not problem.objective.squares)
    rows.reach_B = np.where(slow_B, TWICE, 1.0)
    rows.x_BK[better_B], rows.f_B[better_B] = trial_BK[better_B], f_B[better_B]
    rows.g_BK[better_B], rows.h_BKK[better_B] = g_BK[better_B], h_BKK[better_B]


def _solve(matrix_BKK: Array, damped_BK: Array, gradient_BK: Array) -> Array:
    """(M + diag damped)^-1 g, in units where the diagonal is 1; a parameter that is held stays where it is."""
    size_BK = np.sqrt(np.einsum("bkk->bk", matrix_BKK) + damped_BK)
    size_BK = np.where(size_BK > 1e-150, size_BK, 1.0)
    scaled_BKK = matrix_BKK / (size_BK[:, :, None] * size_BK[:, None, :])
    diagonal_BK = np.einsum("bkk->bk", scaled_BKK)
    diagonal_BK[:] = 1.0 + 1e-15  # two parameters that trade exactly against each other leave it regular
    return np.linalg.solve(scaled_BKK, (gradient_BK / size_BK)[:, :, None])[:, :, 0] / size_BK
