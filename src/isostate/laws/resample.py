"""Bootstraps, all resamples refitted at once. Weights and targets change, the table does not.

local, the default: fitted values plus residuals under a random sign, each drawn from the runs most like its own in size
and leverage, since a noise that changes from run to run moves an interval through these. residual: drawn from all runs,
smoothed (a handful of residuals has no tails) and scaled by each point's own noise where weights tell it. wild: each
point's own residual under a random sign; with few points a little narrow. case: runs drawn with replacement; cluster:
whole clusters (all points of one training run, or all seeds of one setting). Under absolute errors these two are wide
where points are few: a draw without the points that hold an exponent lets it go.

Residuals are smaller than the noise, by sqrt(1 - leverage) under squares. Absolute errors pass exactly through as many
points as there are parameters; their residuals, 0, are left out, or take those of other points.

The size of the noise is known no better than its degrees of freedom allow. So draws about the fit take a size of their
own, s sqrt(dof / chi^2_dof): percentiles are then Student's where the law is linear, and follow its bends where
it is not. Percentiles of cases and clusters are widened instead (`tail`).
Sources: Davison & Hinkley 1997, sections 3.4, 6.2 and 7.3; Shi 1991 (local); Wu 1986 and, for absolute errors, Feng, He
& Hu 2011 (wild); McKean & Schrader 1987 (residuals of 0 left out); Hesterberg 2015, section 3.3.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import stats
from scipy.spatial import KDTree

from isostate.laws.law import Array, Law
from isostate.laws.minimise import minimise
from isostate.laws.noise import settings
from isostate.laws.objectives import Objective
from isostate.laws.options import Options, Scheme
from isostate.laws.problem import Problem
from isostate.laws.weighting import compute, leverage, power, residuals, standardised

SMOOTHING = 1.06  # Silverman 1986, eq. 3.28: the width of a normal kernel is 1.06 sd n^(-1/5)
QUARTILES = 1.349  # eq. 3.29: of normal noise the quartiles are so many sd apart; outliers do not move them

ABOUT_THE_FIT: tuple[Scheme, ...] = ("local", "residual", "wild")  # new targets; the others draw weights
NEAREST = 12  # runs of a local draw: more blur how the noise changes, fewer tell little (notebook, 2026-11-26)


def bootstrap(
    law: Law, x: Mapping[str, Array], y_n: Array, theta_K: Array, objective: Objective, options: Options
) -> Array:
    """Refits from the optimum `theta_K`: draws (bootstraps, K) in natural units. Deterministic by options.seed."""
    rng = np.random.default_rng(options.seed)
    weight_n = np.ones_like(y_n) if options.weights is None else np.asarray(options.weights, dtype=float)
    y_Bn, w_Bn = y_n[None], weight_n[None]
    if options.scheme in ("case", "cluster"):
        w_Bn = counts(rng, x, options) * weight_n
    else:
        y_Bn = targets(rng, law, x, y_n, theta_K, objective, options)
    problem = Problem(law, objective, x, y_Bn, w_Bn)
    theta_BK, _ = minimise(problem, np.repeat(theta_K[None], options.bootstrap, axis=0), threads=options.threads)
    return law.natural(theta_BK)


def tail(level: float, n: int, n_params: int, scheme: Scheme) -> float:
    """The share to cut off either side of the draws for an interval of that level.

    Percentiles of a small sample of cases are too narrow: Student's quantile takes the normal's place, and their
    spread, which is not inflated, is widened by sqrt(n / dof) (the expanded percentiles of Hesterberg 2015).
    """
    if scheme in ABOUT_THE_FIT:
        return (1.0 - level) / 2.0
    dof = max(n - n_params, 1)
    return float(stats.norm.cdf(-np.sqrt(n / dof) * stats.t.ppf(0.5 + level / 2, dof)))


def sizes(options: Options, dof: int) -> Array:
    """How large the noise is in each draw (bootstraps,), in units of its estimate: sqrt(dof / chi^2)."""
    rng = np.random.default_rng([options.seed, dof])
    return np.sqrt(dof / rng.chisquare(dof, options.bootstrap))


def noise(
    rng: np.random.Generator, residual_n: Array, weight_n: Array, objective: Objective, dof: int, shape: tuple[int, int]
) -> Array:
    """Residuals in units of their own sd (bootstraps, how many): drawn, smoothed, with the variance that dof allows."""
    pool = standardised(residual_n, weight_n, objective)[weight_n > 0]
    pool = pool - pool.mean()
    sd = float(np.sqrt(np.sum(standardised(residual_n, weight_n, objective) ** 2) / dof))
    own = float(np.sqrt(np.mean(pool**2)))
    if own == 0.0:
        return np.zeros(shape)
    robust = float(np.subtract(*np.quantile(pool, [0.75, 0.25]))) / QUARTILES / own
    width = SMOOTHING * len(pool) ** -0.2 * min(robust, 1.0)
    drawn = pool[rng.integers(0, len(pool), shape)] / own
    return np.asarray(sd * (drawn + width * rng.normal(size=shape)) / np.sqrt(1.0 + width**2))


def clusters_of(x: Mapping[str, Array], options: Options) -> NDArray[np.intp]:
    """Which cluster each point is of, (n,) from 0: as given, else points with equal inputs together."""
    if options.clusters is None:
        return settings(x)
    return np.asarray(np.unique(np.asarray(options.clusters), return_inverse=True)[1])


def units(x: Mapping[str, Array], options: Options) -> int:
    """How many independent pieces the bootstrap draws: points that count at all, or clusters of them."""
    n = len(next(iter(x.values())))
    kept_n = np.ones(n, bool) if options.weights is None else np.asarray(options.weights, dtype=float) > 0
    if options.scheme == "cluster":
        return len(np.unique(clusters_of(x, options)[kept_n]))
    return int(kept_n.sum())


def counts(rng: np.random.Generator, x: Mapping[str, Array], options: Options) -> Array:
    """How often each point is drawn, (bootstraps, n)."""
    n = len(next(iter(x.values())))
    if options.scheme == "case":
        return rng.multinomial(n, np.full(n, 1.0 / n), options.bootstrap).astype(float)
    member_n = clusters_of(x, options)
    m = int(member_n.max()) + 1
    return rng.multinomial(m, np.full(m, 1.0 / m), options.bootstrap).astype(float)[:, member_n]


def targets(
    rng: np.random.Generator,
    law: Law,
    x: Mapping[str, Array],
    y_n: Array,
    theta_K: Array,
    objective: Objective,
    options: Options,
) -> Array:
    """Fitted values plus resampled residuals, in the objective's own space, (bootstraps, n)."""
    values_K = law.natural(theta_K[None])[0]
    fitted_n = law.predict_batch(values_K[None], x)[0]
    residual_n = residuals(law, x, y_n, values_K, objective)
    weight_n = np.ones_like(y_n) if options.weights is None else np.asarray(options.weights, dtype=float)
    dof = max(int(np.count_nonzero(weight_n)) - len(law.names), 1)
    shape = (options.bootstrap, len(y_n))
    if options.scheme == "residual":
        drawn_Bn = noise(rng, residual_n, weight_n, objective, dof, shape)
    else:
        size_n = np.abs(standardised(residual_n, weight_n, objective))
        through_n = _passed_through(residual_n, weight_n, len(law.names), objective)
        shown_n = leverage(law, x, theta_K, weight_n, objective)
        freed_n = size_n / np.sqrt(1.0 - shown_n)
        if options.scheme == "local":
            alike_n2 = np.stack([np.log(np.maximum(shown_n, 1e-12)), compute(x)[1]], axis=1)
            of_Bn = _nearby(rng, alike_n2, (weight_n > 0) & ~through_n, shape)
            size_Bn = (size_n if through_n.any() else freed_n)[of_Bn]
        else:
            size_Bn = np.repeat(freed_n[None], options.bootstrap, axis=0)
            others = np.flatnonzero((weight_n > 0) & ~through_n)
            size_Bn[:, through_n] = freed_n[rng.choice(others, (options.bootstrap, int(through_n.sum())))]
        drawn_Bn = size_Bn * rng.choice([-1.0, 1.0], shape)
    drawn_Bn = drawn_Bn / np.where(weight_n > 0, weight_n, np.inf) ** (1.0 / power(objective))
    drawn_Bn = drawn_Bn * sizes(options, dof)[:, None]
    if objective.log:
        return fitted_n * np.exp(drawn_Bn)
    return np.maximum(fitted_n + drawn_Bn, 1e-12)


def _passed_through(residual_n: Array, weight_n: Array, n_params: int, objective: Objective) -> NDArray[np.bool_]:
    """Points that the fit passes through, (n,): none where most residuals count as squares."""
    kept = np.flatnonzero(weight_n > 0)
    through_n = np.zeros(len(residual_n), bool)
    if np.median(np.abs(residual_n[kept])) > objective.parabola:
        nearest = kept[np.argsort(np.abs(residual_n[kept]), kind="stable")]
        through_n[nearest[: min(n_params, len(kept) - 1)]] = True
    return through_n


def _nearby(
    rng: np.random.Generator, alike_nF: Array, source_n: NDArray[np.bool_], shape: tuple[int, int]
) -> NDArray[np.intp]:
    """For each point, (draws, n), one of the `source_n` that are nearest to it by features in units of their sd."""
    source = np.flatnonzero(source_n)
    unit_F = alike_nF.std(axis=0)
    place_nF = alike_nF / np.where(unit_F > 0, unit_F, 1.0)
    count = min(NEAREST, len(source))
    _, near_nM = KDTree(place_nF[source]).query(place_nF, k=count)
    return source[np.reshape(near_nM, (-1, count))[np.arange(shape[1]), rng.integers(0, count, shape)]]
