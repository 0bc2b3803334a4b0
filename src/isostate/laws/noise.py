"""How far the points lie from the law: one variance, its degrees of freedom, and in words where it came from.

Runs at the same x that differ in seed tell the seed noise apart from the law's own error (mistuned sizes, a wrong
form). Seeds at one size share the size's error, so ten seeds at five sizes are fifty points only if the law's error is
nil; else they are five. The lack-of-fit F test decides, at the lenient 25 % (Bancroft 1964), which of the two it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from isostate.laws.law import Array

POOL_ABOVE_P = 0.25  # Bancroft 1964: a preliminary test this lenient keeps the pooled interval close to its level


@dataclass(frozen=True)
class Noise:
    """`variance` of one run about the law with `dof` degrees of freedom; `seed_sd` where seeds repeat."""

    variance: float
    dof: int
    source: str
    seed_sd: float | None = None
    lack_of_fit_p: float | None = None

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


def estimate(group_n: Array, y_n: Array, rss: float, n_params: int) -> Noise:
    """Noise about a fit with `n_params` parameters and residual sum `rss`; `group_n` is equal where x is equal."""
    values, member_n, count_m = np.unique(group_n, return_inverse=True, return_counts=True)
    mean_m = np.bincount(member_n, y_n) / count_m
    pure = float(np.sum((y_n - mean_m[member_n]) ** 2))
    n, m = len(y_n), len(values)
    pure_dof, shape_dof = n - m, m - n_params
    floor = (8 * np.finfo(float).eps * float(np.max(np.abs(y_n)))) ** 2  # rounding: noise-free data still has a width
    if pure_dof == 0:
        if shape_dof <= 0:
            return Noise(floor, 0, "none: as many parameters as points")
        return Noise(max(rss / shape_dof, floor), shape_dof, f"residuals of {n} points about the law")
    seed_variance = max(pure / pure_dof, floor)
    seed_sd = float(np.sqrt(seed_variance))
    if shape_dof <= 0:
        return Noise(seed_variance, pure_dof, f"repeated seeds alone: {m} sizes cannot test the shape", seed_sd)
    misfit_variance = max(rss - pure, 0.0) / shape_dof
    p_value = float(stats.f.sf(misfit_variance / seed_variance, shape_dof, pure_dof))
    if p_value > POOL_ABOVE_P:
        source = f"residuals and repeated seeds pooled (lack of fit p = {p_value:.2g})"
        return Noise(max(rss / (n - n_params), floor), n - n_params, source, seed_sd, p_value)
    source = f"misfit of the {m} sizes, more than the seeds explain (lack of fit p = {p_value:.2g})"
    return Noise(max(misfit_variance, floor), shape_dof, source, seed_sd, p_value)
