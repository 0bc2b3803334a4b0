"""Compute-optimal frontiers read off runs: Hoffmann's approaches 1 and 2, power laws of optima, and their bias.

Approach 1: the lowest loss any learning curve has reached at each C. Approach 2: a parabola in log N at each C. Both
give pairs (C, N*), and log N* = log k + a log C is a weighted regression. A slice of a Chinchilla surface
is no parabola, so approach 2 is biased by its own grid, and by how much is computed here. Sources: Hoffmann et al.
2022 sections 3.1, 3.2; Porian et al. 2024 (weights 1/std^2 of log N*); FORMULAS section 5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from isostate.config import UserError
from isostate.laws.law import Array
from isostate.laws.result import Interval


@dataclass(frozen=True)
class PowerOfCompute:
    """value = coefficient C^exponent, from a regression in logs."""

    exponent: Interval
    coefficient: float
    r_squared: float

    def at(self, C: ArrayLike) -> Array:
        return self.coefficient * np.asarray(C, dtype=float) ** self.exponent.value


def power_of_compute(
    C: ArrayLike, optimum: ArrayLike, std: ArrayLike | None = None, level: float = 0.95
) -> PowerOfCompute:
    """Regression of log optimum on log C, weighted by 1/std^2 of the log where given; at least three pairs."""
    log_C, log_y = np.log(np.asarray(C, dtype=float)), np.log(np.asarray(optimum, dtype=float))
    if len(log_C) < 3 or np.ptp(log_C) == 0:
        raise UserError(f"{len(log_C)} optima at {len(np.unique(log_C))} budgets; a power law of C needs 3 of each")
    weight = np.ones_like(log_C) if std is None else 1.0 / np.asarray(std, dtype=float) ** 2
    design = np.stack([np.ones_like(log_C), log_C - log_C.mean()], axis=1)
    inverse = np.linalg.inv(design.T @ (weight[:, None] * design))
    centre, slope = inverse @ (design.T @ (weight * log_y))
    residual = log_y - design @ np.array([centre, slope])
    dof = len(log_C) - 2
    se = float(np.sqrt(inverse[1, 1] * np.sum(weight * residual**2) / dof))
    half = se * float(stats.t.ppf(0.5 + level / 2, dof))
    r_squared = 1.0 - float(np.sum(residual**2) / np.sum((log_y - log_y.mean()) ** 2))
    interval = Interval(float(slope), float(slope - half), float(slope + half), se)
    return PowerOfCompute(interval, float(np.exp(centre - slope * log_C.mean())), r_squared)


def envelope(run: ArrayLike, N: ArrayLike, C: ArrayLike, L: ArrayLike, budgets: ArrayLike) -> dict[str, Array]:
    """Approach 1: at each budget the run with the lowest interpolated loss. Returns C, N, D, L of the optima.

    Rows are points of learning curves; `run` tells the curves apart. Budgets that fewer than three runs reach, or whose
    best run is the smallest or largest of those, are left out: their optimum lies outside.
    """
    run, N, C, L = np.asarray(run), *(np.asarray(column, dtype=float) for column in (N, C, L))
    budgets = np.atleast_1d(np.asarray(budgets, dtype=float))
    names = np.unique(run)
    losses = np.full((len(names), len(budgets)), np.inf)
    sizes = np.empty(len(names))
    for i, name in enumerate(names):
        rows = np.flatnonzero(run == name)
        rows = rows[np.argsort(C[rows])]
        sizes[i] = N[rows[0]]
        inside = (budgets >= C[rows[0]]) & (budgets <= C[rows[-1]])
        losses[i, inside] = np.interp(np.log(budgets[inside]), np.log(C[rows]), L[rows])
    kept = []
    for j in range(len(budgets)):
        reached = np.isfinite(losses[:, j])
        best = int(np.argmin(losses[:, j]))
        if reached.sum() >= 3 and sizes[reached].min() < sizes[best] < sizes[reached].max():
            kept.append((budgets[j], sizes[best], budgets[j] / (6 * sizes[best]), losses[best, j]))
    columns = np.array(kept).reshape(-1, 4).T
    return dict(zip("CNDL", columns, strict=True))


def parabola_optima(C: ArrayLike, N: ArrayLike, L: ArrayLike) -> dict[str, Array]:
    """Approach 2: at each budget C the vertex of a parabola through L against log N. Returns C, N, D, L.

    Budgets with fewer than four sizes, a parabola that opens downward, or a vertex outside the sizes are left out.
    """
    C, N, L = (np.asarray(column, dtype=float) for column in (C, N, L))
    kept = []
    for budget in np.unique(C):
        rows = budget == C
        log_N = np.log(N[rows])
        if len(np.unique(log_N)) < 4:
            continue
        middle = log_N.mean()
        bend, slope, level = np.polyfit(log_N - middle, L[rows], 2)
        vertex = middle - slope / (2 * bend) if bend > 0 else np.inf
        if log_N.min() < vertex < log_N.max():
            size = float(np.exp(vertex))
            kept.append((budget, size, budget / (6 * size), level - slope**2 / (4 * bend)))
    columns = np.array(kept).reshape(-1, 4).T
    return dict(zip("CNDL", columns, strict=True))


def optimum(values: Mapping[str, float], C: ArrayLike) -> tuple[Array, Array]:
    """N*, D* of a Chinchilla surface for C = 6 N D: N* = G (C/6)^a, D* = (C/6)^(1-a) / G."""
    alpha, beta = values["alpha"], values["beta"]
    G = (alpha * values["A"] / (beta * values["B"])) ** (1.0 / (alpha + beta))
    N = G * (np.asarray(C, dtype=float) / 6.0) ** (beta / (alpha + beta))
    return N, np.asarray(C, dtype=float) / (6.0 * N)


def isoflop_bias(
    values: Mapping[str, float], C: ArrayLike, widths: Sequence[float], sizes: int = 15, of: str = "D"
) -> Array:
    """Relative error of approach 2's N* or D* on a noise-free surface, its grid from N*/width to N* width.

    A grid of isoFLOP runs that its user plans has exactly this bias before any noise. Returns (budgets, widths).
    """
    budgets = np.atleast_1d(np.asarray(C, dtype=float))
    true_N, _ = optimum(values, budgets)
    bias = np.empty((len(budgets), len(widths)))
    for j, width in enumerate(widths):
        x = np.linspace(-np.log(width), np.log(width), sizes)
        for i, budget in enumerate(budgets):
            N = true_N[i] * np.exp(x)
            D = budget / (6 * N)
            L = values["E"] + values["A"] * N ** -values["alpha"] + values["B"] * D ** -values["beta"]
            bend, slope, _ = np.polyfit(x, L, 2)
            shift = -slope / (2 * bend)
            bias[i, j] = np.expm1(shift if of == "N" else -shift)
    return bias
