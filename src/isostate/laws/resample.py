"""Bootstraps, all resamples refitted at once. Weights and targets change, the table does not.

case: runs drawn with replacement. cluster: whole clusters (all points of one training run) drawn. residual: fitted
values plus drawn residuals, inflated by sqrt(n / dof). wild: residuals times a sign of their own (Rademacher), which
keeps each point's own variance.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy import stats

from isostate.laws.law import Array, Law
from isostate.laws.minimise import minimise
from isostate.laws.objectives import Objective
from isostate.laws.problem import Problem

if TYPE_CHECKING:
    from isostate.laws.fit import Options

Scheme = Literal["case", "cluster", "residual", "wild"]


def bootstrap(
    law: Law, x: Mapping[str, Array], y_n: Array, theta_K: Array, objective: Objective, options: Options
) -> Array:
    """Refits from the optimum `theta_K`: draws (bootstraps, K) in natural units. Deterministic by options.seed."""
    rng = np.random.default_rng(options.seed)
    weight_n = np.ones_like(y_n) if options.weights is None else np.asarray(options.weights, dtype=float)
    y_Bn, w_Bn = y_n[None], weight_n[None]
    if options.resampling in ("case", "cluster"):
        w_Bn = counts(rng, len(y_n), options) * weight_n
    else:
        y_Bn = targets(rng, law, x, y_n, theta_K, objective, options)
    problem = Problem(law, objective, x, y_Bn, w_Bn)
    theta_BK, _ = minimise(problem, np.repeat(theta_K[None], options.bootstrap, axis=0), threads=options.threads)
    return law.natural(theta_BK)


def tail(level: float, n: int, n_params: int, scheme: Scheme) -> float:
    """The share to cut off either side of the draws for an interval of that level.

    Percentiles of a small sample are too narrow: Student's quantile takes the normal's place, and draws of cases, whose
    spread is not inflated, are widened by sqrt(n / dof) (the expanded percentiles of Hesterberg 2015, section 3.3).
    """
    dof = max(n - n_params, 1)
    widened = np.sqrt(n / dof) if scheme in ("case", "cluster") else 1.0
    return float(stats.norm.cdf(-widened * stats.t.ppf(0.5 + level / 2, dof)))


def counts(rng: np.random.Generator, n: int, options: Options) -> Array:
    """How often each point is drawn, (bootstraps, n)."""
    if options.resampling == "case" or options.clusters is None:
        return rng.multinomial(n, np.full(n, 1.0 / n), options.bootstrap).astype(float)
    _, member_n = np.unique(np.asarray(options.clusters), return_inverse=True)
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
    fitted_n = law.predict_batch(law.natural(theta_K[None]), x)[0]
    residual_n = np.log(y_n) - np.log(fitted_n) if objective.log else y_n - fitted_n
    inflation = np.sqrt(len(y_n) / max(len(y_n) - len(law.names), 1))
    if options.resampling == "wild":
        drawn_Bn = residual_n * rng.choice([-1.0, 1.0], (options.bootstrap, len(y_n)))
    else:
        drawn_Bn = (residual_n - residual_n.mean())[rng.integers(0, len(y_n), (options.bootstrap, len(y_n)))]
    drawn_Bn = drawn_Bn * inflation
    if objective.log:
        return fitted_n * np.exp(drawn_Bn)
    return np.maximum(fitted_n + drawn_Bn, 1e-12)
