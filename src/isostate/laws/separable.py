"""Variable projection: for fixed exponents a law is linear least squares, so only the exponents are searched.

`L = sum_m c_m phi_m(x; exponents)` with c >= 0 (an entropy and two penalties cannot be negative). On a grid of
exponents everything is linear algebra, done for the whole grid and for a whole batch of y at once; the profile
likelihood of every parameter and of every prediction then has a closed form. Source: Golub & Pereyra 1973; the
profile region {RSS <= RSS_min + s^2 F} is the one of Bates & Watts 1988, chapter 6.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isostate.laws.law import Array, Inputs, Law


@dataclass(frozen=True)
class Profile:
    """Residual sums of squares over a grid of exponents: G grid points, Q exponents, M linear parameters.

    `rss_G`, `linear_GM` obey c >= 0; `free_rss_G`, `free_GM` do not, and `inverse_GMM` = (X'X)^-1 belongs to them.
    """

    grid_GQ: Array
    rss_G: Array
    linear_GM: Array
    free_rss_G: Array
    free_GM: Array
    inverse_GMM: Array

    @property
    def best(self) -> int:
        return int(np.argmin(self.rss_G))

    def region(self, threshold: float) -> NDArray[np.bool_]:
        return self.rss_G <= threshold

    def interval(self, direction_GM: Array, threshold: float, extra: float = 0.0) -> tuple[float, float]:
        """Profile interval of the linear function direction . c; `extra` = 1/r for the mean of r new observations."""
        inside = self.region(threshold)
        inside[self.best] = True
        g_GM = direction_GM[inside]
        centre_G = np.einsum("gm,gm->g", g_GM, self.free_GM[inside])
        variance_G = np.einsum("gm,gmk,gk->g", g_GM, self.inverse_GMM[inside], g_GM) + extra
        half_G = np.sqrt(np.maximum(variance_G * (threshold - self.free_rss_G[inside]), 0.0))
        return float(np.min(centre_G - half_G)), float(np.max(centre_G + half_G))


def columns(law: Law, grid_GQ: Array, x: Inputs) -> Array:
    """The design matrices (grid, points, linear parameters): derivatives by the linear parameters."""
    values = {p.name: grid_GQ[:, q, None] for q, p in enumerate(law.nonlinear)}
    zero_G1 = np.zeros((len(grid_GQ), 1))
    _, partials = law.evaluate([values.get(name, zero_G1) for name in law.names], x)
    n_points = max(np.size(column) for column in x.values())
    chosen = [partials[law.names.index(name)] for name in law.linear]
    return np.stack([np.broadcast_to(column, (len(grid_GQ), n_points)) for column in chosen], axis=2)


def solve(columns_GnM: Array, y_Bn: Array) -> tuple[Array, Array]:
    """Non-negative least squares of every y on every design: coefficients (B, G, M) and residual sums (B, G).

    The non-negative optimum is the least-squares solution on its own support, so every support is solved (M is 2 or 3)
    and the best feasible one is kept: exact, and the same work for the whole batch.
    """
    n_linear = columns_GnM.shape[2]
    best_BG = np.einsum("bn,bn->b", y_Bn, y_Bn)[:, None] * np.ones((1, len(columns_GnM)))
    kept_BGM = np.zeros((len(y_Bn), len(columns_GnM), n_linear))
    for size in range(n_linear, 0, -1):
        for support in itertools.combinations(range(n_linear), size):
            coefficient_BGM, rss_BG = least_squares(columns_GnM[:, :, support], y_Bn)
            better_BG = (coefficient_BGM >= 0).all(axis=2) & (rss_BG < best_BG)
            full_BGM = np.zeros_like(kept_BGM)
            full_BGM[:, :, support] = coefficient_BGM
            kept_BGM = np.where(better_BG[:, :, None], full_BGM, kept_BGM)
            best_BG = np.where(better_BG, rss_BG, best_BG)
    return kept_BGM, best_BG


def least_squares(columns_GnM: Array, y_Bn: Array) -> tuple[Array, Array]:
    """Unconstrained: coefficients (B, G, M), residual sums of squares (B, G)."""
    q_GnM, r_GMM, norm_GM = _factor(columns_GnM)
    projected_BGM = np.einsum("gnm,bn->bgm", q_GnM, y_Bn)
    residual_BGn = y_Bn[:, None, :] - np.einsum("gnm,bgm->bgn", q_GnM, projected_BGM)
    coefficient_BGM = np.einsum("gmk,bgk->bgm", np.linalg.inv(r_GMM), projected_BGM) / norm_GM
    return coefficient_BGM, np.einsum("bgn,bgn->bg", residual_BGn, residual_BGn)


def profile(law: Law, grid_GQ: Array, x: Inputs, y_n: Array, weight_n: Array) -> Profile:
    """The profile of weighted least squares over the grid."""
    root_n = np.sqrt(weight_n)
    columns_GnM = columns(law, grid_GQ, x) * root_n[None, :, None]
    y_1n = (y_n * root_n)[None]
    linear_BGM, rss_BG = solve(columns_GnM, y_1n)
    free_BGM, free_rss_BG = least_squares(columns_GnM, y_1n)
    _, r_GMM, norm_GM = _factor(columns_GnM)
    root_GMM = np.linalg.inv(r_GMM) / norm_GM[:, :, None]
    inverse_GMM = np.einsum("gmk,glk->gml", root_GMM, root_GMM)
    return Profile(grid_GQ, rss_BG[0], linear_BGM[0], free_rss_BG[0], free_BGM[0], inverse_GMM)


def log_grid(bounds: Sequence[tuple[float, float]], points: int) -> Array:
    """A grid even in log, (points ** exponents, exponents)."""
    axes = [np.geomspace(low, high, points) for low, high in bounds]
    return np.stack([axis.ravel() for axis in np.meshgrid(*axes, indexing="ij")], axis=1)


def _factor(columns_GnM: Array) -> tuple[Array, Array, Array]:
    """QR of the columns scaled to length 1: (Q, R, norms). Scaling keeps S^-8 beside 1 well conditioned."""
    norm_GM = np.sqrt(np.einsum("gnm,gnm->gm", columns_GnM, columns_GnM))
    norm_GM = np.where(norm_GM > 0, norm_GM, 1.0)
    q_GnM, r_GMM = np.linalg.qr(columns_GnM / norm_GM[:, None, :])
    diagonal = np.einsum("gmm->gm", r_GMM)
    tiny = np.finfo(float).eps
    diagonal[np.abs(diagonal) < tiny] = tiny  # two equal columns: the interval becomes huge instead of an exception
    return q_GnM, r_GMM, norm_GM
