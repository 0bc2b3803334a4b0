"""How far the points lie from the law: one variance, its degrees of freedom, and in words where it came from.

Runs at the same x that differ in seed tell the seed noise apart from the law's own error (mistuned sizes, a wrong
form). Seeds at one size share the size's error, so ten seeds at five sizes are fifty points only if the law's error is
nil; else they are five. The lack-of-fit F test decides, at the lenient 25 % (Bancroft 1964), which of the two it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from isostate.laws.law import Array

ROUNDING = 1e-12  # residuals of data without noise
POOL_ABOVE_P = 0.25  # Bancroft 1964: a preliminary test this lenient keeps the pooled interval close to its level


@dataclass(frozen=True)
class Noise:
    """`variance` of one run about the law with `dof` degrees of freedom; `seed_sd` where seeds repeat.

    `plain_variance` takes every point as independent, seeds of one setting too.
    """

    variance: float
    dof: int
    source: str
    plain_variance: float
    seed_sd: float | None = None
    lack_of_fit_p: float | None = None

    @property
    def misfits(self) -> bool:
        """Whether the settings stray from the law by more than their seeds explain."""
        return self.lack_of_fit_p is not None and self.lack_of_fit_p <= POOL_ABOVE_P

    @property
    def known(self) -> bool:
        return self.dof > 0

    def quantile(self, level: float) -> float:
        return float(stats.f.ppf(level, 1, self.dof))

    def threshold(self, rss: float, level: float) -> float:
        """The residual sum of squares at the edge of the profile interval: RSS + s^2 F(1, dof)."""
        return rss + self.variance * self.quantile(level)

    def to_dict(self) -> dict[str, Any]:
        sd = float(np.sqrt(self.variance)) if self.known else None
        return {
            "sd": sd,
            "dof": self.dof,
            "source": self.source,
            "seed_sd": self.seed_sd,
            "lack_of_fit_p": self.lack_of_fit_p,
        }


def settings(x: Mapping[str, Array]) -> NDArray[np.intp]:
    """Which setting each point is of, (points,) from 0: points with equal inputs are seeds of one setting."""
    _, member_n = np.unique(np.stack(list(x.values())), axis=1, return_inverse=True)
    return np.asarray(member_n).ravel()


def lean(residual_n: Array, parabola: float) -> float:
    """By how many standard errors a law lies below its points as a whole (negative: above): a score test.

    Residuals beyond the objective's `parabola` count as their signs. A law with a free level never leans.
    """
    pulled_n = np.clip(residual_n, -parabola, parabola) if parabola > 0 else np.sign(residual_n)
    length = float(np.sqrt(pulled_n @ pulled_n))
    return float(pulled_n.sum()) / length if np.abs(residual_n).max() > ROUNDING else 0.0


def estimate(group_n: ArrayLike, y_n: Array, rss: float, n_params: int, weight_n: Array | None = None) -> Noise:
    """Noise about a fit with `n_params` parameters and weighted residual sum `rss`; `group_n` is equal where x is.

    With weights the variance is that of a point of weight 1; points of weight 0 do not count.
    """
    weight_n = np.ones_like(y_n) if weight_n is None else weight_n
    counts_n = weight_n > 0
    group_n, y_n, weight_n = np.asarray(group_n)[counts_n], y_n[counts_n], weight_n[counts_n]
    values, member_n = np.unique(group_n, return_inverse=True)
    mean_m = np.bincount(member_n, weight_n * y_n) / np.bincount(member_n, weight_n)
    pure = float(np.sum(weight_n * (y_n - mean_m[member_n]) ** 2))
    n, m = len(y_n), len(values)
    pure_dof, shape_dof = n - m, m - n_params
    floor = (8 * np.finfo(float).eps * float(np.max(np.abs(y_n)))) ** 2  # rounding: noise-free data still has a width
    plain = max(rss / max(n - n_params, 1), floor)
    if pure_dof == 0:
        if shape_dof <= 0:
            return Noise(floor, 0, "none: as many parameters as points", plain)
        return Noise(plain, shape_dof, f"residuals of {n} points about the law", plain)
    seed_variance = max(pure / pure_dof, floor)
    seed_sd = float(np.sqrt(seed_variance))
    if shape_dof <= 0:
        source = f"repeated seeds alone: {m} settings cannot test the shape"
        return Noise(seed_variance, pure_dof, source, plain, seed_sd)
    misfit_variance = max(rss - pure, 0.0) / shape_dof
    p_value = float(stats.f.sf(misfit_variance / seed_variance, shape_dof, pure_dof))
    if p_value > POOL_ABOVE_P:
        source = f"residuals and repeated seeds pooled (lack of fit p = {p_value:.2g})"
        return Noise(plain, n - n_params, source, plain, seed_sd, p_value)
    source = f"misfit of the {m} settings, more than the seeds explain (lack of fit p = {p_value:.2g})"
    return Noise(max(misfit_variance, floor), shape_dof, source, plain, seed_sd, p_value)
