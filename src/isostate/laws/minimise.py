"""Minimising thousands of small problems at once: starts of one fit, resamples of a bootstrap.

Every row of the batch is one problem with its own step length; rows that are done leave the batch. Smooth and nearly
non-smooth objectives alike go through BFGS with the weak Wolfe bisection of Lewis & Overton 2013 (made for objectives
such as |r|), then damped Newton steps on a Hessian differenced from analytic gradients. Sums of squares go through
Levenberg-Marquardt, which converges to rounding error where the data are exact.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isostate.laws.law import Array
from isostate.laws.problem import Problem

FEW = 128  # rows that are not worth a second thread
STALLED, HARDLY = 4, 1e-9  # a row is done after 4 steps that each descend by less than 1e-9 of its value
TRIALS = 40  # or after 40 halvings of a step


def minimise(
    problem: Problem, theta_BK: Array, *, steps: int = 400, threads: int = 2, polish: bool = True
) -> tuple[Array, Array]:
    """The local minimum reached from every row: (theta (B, K), value (B,)) in search coordinates.

    Rows do not see one another, so the result does not depend on `threads`. Without `polish` the Newton steps that
    follow BFGS are left out: enough to tell rows that end elsewhere.
    """
    shares = [share for share in np.array_split(np.arange(len(theta_BK)), threads) if len(share)]
    if len(theta_BK) <= FEW or threads == 1:
        return _minimise_rows(problem, theta_BK, np.arange(len(theta_BK)), steps, polish)
    with ThreadPoolExecutor(len(shares)) as pool:
        done = pool.map(lambda rows: _minimise_rows(problem, theta_BK[rows], rows, steps, polish), shares)
        thetas, values = zip(*done, strict=True)
    return np.concatenate(thetas), np.concatenate(values)


def _minimise_rows(
    problem: Problem, theta_BK: Array, rows: NDArray[np.intp], steps: int, polish: bool
) -> tuple[Array, Array]:
    problem = problem.of(rows)
    if problem.objective.squares:
        return levenberg(problem, theta_BK, steps=steps)
    theta_BK, value_B = bfgs(problem, theta_BK, steps=steps)
    return newton(problem, theta_BK, steps=6) if polish else (theta_BK, value_B)


@dataclass
class _Rows:
    """The live rows of a BFGS search: where each stands, where it heads, and the bracket of its step."""

    row_B: NDArray[np.intp]
    x_BK: Array
    f_B: Array
    g_BK: Array
    inverse_BKK: Array
    direction_BK: Array
    low_B: Array
    high_B: Array
    step_B: Array
    trials_B: Array  # steps tried along this direction
    stalled_B: Array  # accepted steps in a row that hardly descended
    fresh_B: Array  # 1 until the inverse Hessian has its first update

    @classmethod
    def at(cls, problem: Problem, theta_BK: Array) -> _Rows:
        B, K = theta_BK.shape
        f_B, g_BK = problem.gradient(theta_BK, np.arange(B))
        inverse_BKK = np.broadcast_to(np.eye(K), (B, K, K)).copy()
        direction_BK = -g_BK / np.maximum(np.linalg.norm(g_BK, axis=1, keepdims=True), 1e-300)
        zero_B, one_B = np.zeros(B), np.ones(B)
        return cls(
            np.arange(B), theta_BK.copy(), f_B, g_BK, inverse_BKK, direction_BK, zero_B.copy(), one_B * np.inf,
            one_B.copy(), zero_B.copy(), zero_B.copy(), one_B.copy(),
        )  # fmt: skip

    def keep(self, live_B: NDArray[np.bool_]) -> None:
        for name, array in list(vars(self).items()):
            setattr(self, name, array[live_B])


@np.errstate(all="ignore")
def bfgs(problem: Problem, theta_BK: Array, *, steps: int) -> tuple[Array, Array]:
    """BFGS with a weak Wolfe search by bisection and doubling; one evaluation of all live rows a step."""
    final_BK, final_B = theta_BK.copy(), np.empty(len(theta_BK))
    rows = _Rows.at(problem, theta_BK)
    for _ in range(steps):
        _advance(problem, rows)
        done_B = (rows.stalled_B >= STALLED) | (rows.trials_B > TRIALS) | ~np.isfinite(rows.f_B)
        if done_B.any():
            final_BK[rows.row_B[done_B]], final_B[rows.row_B[done_B]] = rows.x_BK[done_B], rows.f_B[done_B]
            rows.keep(~done_B)
            if not len(rows.row_B):
                break
    final_BK[rows.row_B], final_B[rows.row_B] = rows.x_BK, rows.f_B
    return final_BK, final_B


def _advance(problem: Problem, rows: _Rows) -> None:
    """One trial step of every live row: accepted with a new direction, or its bracket narrowed."""
    slope_B = np.einsum("bk,bk->b", rows.g_BK, rows.direction_BK)
    trial_BK = rows.x_BK + rows.step_B[:, None] * rows.direction_BK
    trial_f_B, trial_g_BK = problem.gradient(trial_BK, rows.row_B)
    armijo_B = trial_f_B <= rows.f_B + 1e-4 * rows.step_B * slope_B
    wolfe_B = np.einsum("bk,bk->b", trial_g_BK, rows.direction_BK) >= 0.9 * slope_B
    rows.high_B = np.where(armijo_B, rows.high_B, rows.step_B)
    rows.low_B = np.where(armijo_B & ~wolfe_B, rows.step_B, rows.low_B)
    rows.trials_B += 1
    accept_B = armijo_B & (wolfe_B | (rows.trials_B > 12))
    bracketed_B = np.isfinite(rows.high_B)
    rows.step_B = np.where(bracketed_B, 0.5 * (rows.low_B + np.minimum(rows.high_B, 1e300)), 2.0 * rows.step_B)
    small_B = rows.f_B - trial_f_B <= HARDLY * np.abs(rows.f_B)
    rows.stalled_B = np.where(accept_B, np.where(small_B, rows.stalled_B + 1, 0), rows.stalled_B)
    s_BK, d_BK = trial_BK - rows.x_BK, trial_g_BK - rows.g_BK
    rows.inverse_BKK = _update(rows.inverse_BKK, s_BK, d_BK, accept_B, rows.fresh_B > 0)
    rows.fresh_B[accept_B] = 0
    rows.x_BK[accept_B], rows.f_B[accept_B] = trial_BK[accept_B], trial_f_B[accept_B]
    rows.g_BK[accept_B] = trial_g_BK[accept_B]
    rows.direction_BK[accept_B] = -np.einsum("bkl,bl->bk", rows.inverse_BKK[accept_B], rows.g_BK[accept_B])
    uphill_B = accept_B & (np.einsum("bk,bk->b", rows.direction_BK, rows.g_BK) >= 0)
    rows.direction_BK[uphill_B], rows.inverse_BKK[uphill_B] = -rows.g_BK[uphill_B], np.eye(rows.x_BK.shape[1])
    rows.low_B[accept_B], rows.high_B[accept_B] = 0.0, np.inf
    rows.step_B[accept_B], rows.trials_B[accept_B] = 1.0, 0


def _update(
    inverse_BKK: Array, s_BK: Array, d_BK: Array, accept_B: NDArray[np.bool_], fresh_B: NDArray[np.bool_]
) -> Array:
    """The BFGS update of the inverse Hessian where a step was accepted and the curvature is positive."""
    curvature_B = np.einsum("bk,bk->b", s_BK, d_BK)
    usable_B = accept_B & (curvature_B > 1e-300)
    rho_B = np.where(usable_B, 1.0 / np.where(usable_B, curvature_B, 1.0), 0.0)
    scale_B = np.where(usable_B & fresh_B, curvature_B / np.maximum(np.einsum("bk,bk->b", d_BK, d_BK), 1e-300), 1.0)
    inverse_BKK = inverse_BKK * scale_B[:, None, None]
    product_BK = np.einsum("bkl,bl->bk", inverse_BKK, d_BK)
    inner_B = np.einsum("bk,bk->b", d_BK, product_BK)
    cross_BKK = s_BK[:, :, None] * product_BK[:, None, :]
    outer_BKK = s_BK[:, :, None] * s_BK[:, None, :]
    change_BKK = (rho_B * (1.0 + rho_B * inner_B))[:, None, None] * outer_BKK
    change_BKK -= rho_B[:, None, None] * (cross_BKK + cross_BKK.transpose(0, 2, 1))
    return inverse_BKK + np.where(usable_B[:, None, None], change_BKK, 0.0)


def newton(problem: Problem, theta_BK: Array, *, steps: int) -> tuple[Array, Array]:
    """Damped Newton steps on a differenced Hessian; a step that does not descend is not taken."""
    theta_BK, row_B = theta_BK.copy(), np.arange(len(theta_BK))
    f_B, g_BK = problem.gradient(theta_BK, row_B)
    damping_B = np.full(len(theta_BK), 1e-9)
    for _ in range(steps):
        if not len(row_B):
            break
        hessian_BKK = _differenced_hessian(problem, theta_BK[row_B], row_B)
        waiting_B = np.arange(len(row_B))  # rows still without a step that descends
        for _ in range(3):
            rows = row_B[waiting_B]
            trial_BK = theta_BK[rows] - _damped(hessian_BKK[waiting_B], g_BK[rows], damping_B[rows])
            trial_f_B, trial_g_BK = problem.gradient(trial_BK, rows)
            better_B = trial_f_B < f_B[rows]
            moved = rows[better_B]
            theta_BK[moved], f_B[moved], g_BK[moved] = trial_BK[better_B], trial_f_B[better_B], trial_g_BK[better_B]
            damping_B[rows] = np.clip(damping_B[rows] * np.where(better_B, 0.1, 100.0), 1e-12, 1e6)
            waiting_B = waiting_B[~better_B]
            if not len(waiting_B):
                break
        row_B = np.delete(row_B, waiting_B)
    return theta_BK, f_B


def _differenced_hessian(problem: Problem, theta_BK: Array, row_B: NDArray[np.intp]) -> Array:
    K = theta_BK.shape[1]
    hessian_BKK = np.empty((len(theta_BK), K, K))
    for k in range(K):
        step = np.zeros(K)
        step[k] = 1e-6
        _, up_BK = problem.gradient(theta_BK + step, row_B)
        _, down_BK = problem.gradient(theta_BK - step, row_B)
        hessian_BKK[:, k] = (up_BK - down_BK) / 2e-6
    if problem.free_BK is not None:
        hessian_BKK *= problem.free_BK[row_B][:, :, None]
    return 0.5 * (hessian_BKK + hessian_BKK.transpose(0, 2, 1))


def levenberg(problem: Problem, theta_BK: Array, *, steps: int) -> tuple[Array, Array]:
    """Levenberg-Marquardt on every row, until steps stop helping."""
    theta_BK = theta_BK.copy()
    row_B = np.arange(len(theta_BK))
    f_B, half_BK, matrix_BKK = problem.normal_equations(theta_BK, row_B)
    damping_B, idle_B = np.full(len(theta_BK), 1e-2), np.zeros(len(theta_BK), int)
    for _ in range(steps):
        trial_BK = theta_BK[row_B] - _damped(matrix_BKK[row_B], half_BK[row_B], damping_B[row_B])
        trial_f_B, trial_half_BK, trial_BKK = problem.normal_equations(trial_BK, row_B)
        better_B = trial_f_B < f_B[row_B]
        gained_B = better_B & (trial_f_B < (1.0 - 1e-10) * f_B[row_B])
        moved = row_B[better_B]
        theta_BK[moved], f_B[moved] = trial_BK[better_B], trial_f_B[better_B]
        half_BK[moved], matrix_BKK[moved] = trial_half_BK[better_B], trial_BKK[better_B]
        damping_B[row_B] = np.clip(damping_B[row_B] * np.where(better_B, 0.2, 5.0), 1e-15, 1e9)
        idle_B[row_B] = np.where(gained_B, 0, idle_B[row_B] + 1)
        row_B = row_B[(idle_B[row_B] < 12) & (f_B[row_B] > 0)]
        if not len(row_B):
            break
    return theta_BK, f_B


def _damped(matrix_BKK: Array, gradient_BK: Array, damping_B: Array) -> Array:
    """(M + damping diag|M|)^-1 g, in units where the diagonal is 1; eigenvalues are made positive.

    A parameter that is held, or that no longer acts, has an empty row: a diagonal of 1 keeps it from the others, and it
    stays where it is.
    """
    diagonal_BK = np.abs(np.einsum("bkk->bk", matrix_BKK))
    empty_BK = diagonal_BK <= 1e-300
    size_BK = np.sqrt(np.where(empty_BK, 1.0, diagonal_BK))
    scaled_BKK = matrix_BKK / (size_BK[:, :, None] * size_BK[:, None, :])
    np.einsum("bkk->bk", scaled_BKK)[empty_BK] = 1.0
    value_BK, vector_BKK = np.linalg.eigh(scaled_BKK)
    value_BK = np.maximum(np.abs(value_BK), 1e-15) + damping_B[:, None]
    rotated_BK = np.einsum("bkl,bk->bl", vector_BKK, gradient_BK / size_BK) / value_BK
    return np.where(empty_BK, 0.0, np.einsum("bkl,bl->bk", vector_BKK, rotated_BK) / size_BK)
