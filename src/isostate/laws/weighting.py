"""How much each point counts: weights given, from known standard errors, or from a noise that falls with compute.

An objective multiplies each point's term by its weight: 1/sd^2 of its residual for squares, 1/sd for absolute errors
and Huber. Where sd_i = s C_i^slope its slope is estimated by maximum likelihood, by Fisher scoring on the residuals,
in turn with the fit itself (Harvey 1976, multiplicative heteroscedasticity; Laplace noise in the place of normal noise
for absolute errors and Huber; residuals scaled by their leverage). `FALLING` is the name of that model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from isostate.laws.law import Array, Law
from isostate.laws.objectives import Objective
from isostate.laws.options import Options
from isostate.laws.search import Found, search

FALLING = "log-variance-in-compute"
TURNS, SETTLED = 20, 1e-5  # fits and slopes in turn, until the slope moves by less


@dataclass(frozen=True)
class Slope:
    """The log of the noise's sd falls (or grows) by `value` with each e-fold of `symbol`."""

    symbol: str
    value: float
    se: float

    def to_dict(self) -> dict[str, Any]:
        return {"model": FALLING, "in": self.symbol, "log_sd_slope": self.value, "log_sd_slope_se": self.se}


def residuals(law: Law, x: Mapping[str, Array], y_n: Array, values_K: Array, objective: Objective) -> Array:
    """Observed less predicted, in the objective's own space: logs, or the loss itself."""
    predicted_n = law.predict_batch(values_K[None], x)[0]
    return np.log(y_n) - np.log(predicted_n) if objective.log else y_n - predicted_n


def power(objective: Objective) -> int:
    """The power of 1/sd that a weight is."""
    return 2 if objective.squares else 1


def standardised(residual_n: Array, weight_n: Array | None, objective: Objective) -> Array:
    """Residuals in units of their own sd, up to one common factor; 0 where the weight is."""
    return residual_n if weight_n is None else residual_n * weight_n ** (1.0 / power(objective))


def given(y_n: Array, objective: Objective, options: Options) -> Array | None:
    """The weights, with mean 1, that the options hold or that follow from their standard errors; None: all equal."""
    if options.standard_errors is not None:
        sd_n = np.asarray(options.standard_errors, dtype=float) / (y_n if objective.log else 1.0)
        weight_n = sd_n ** -float(power(objective))
    elif options.weights is not None:
        weight_n = np.asarray(options.weights, dtype=float)
    else:
        return None
    return weight_n / weight_n.mean()


def weighted_search(
    law: Law, x: Mapping[str, Array], y_n: Array, objective: Objective, options: Options
) -> tuple[Found, Array | None, Slope | None]:
    """The optimum under the options' noise model, the weights (n,) that it took, and the slope of the noise."""
    weight_n = given(y_n, objective, options)
    found = search(law, x, y_n, objective, replace(options, weights=weight_n))
    if options.noise != FALLING:
        return found, weight_n, None
    symbol, log_size_n = compute(x)
    weight_n, slope = np.ones_like(y_n), 0.0
    for _ in range(TURNS):
        last = slope
        residual_n = residuals(law, x, y_n, found.values, objective)
        # a fit draws the points that it weighs most to itself: their residuals are too small by sqrt(1 - leverage)
        residual_n = residual_n / np.sqrt(1.0 - leverage(law, x, found.theta, weight_n, objective))
        slope, se = log_sd_slope(residual_n, log_size_n, objective)
        weight_n = np.exp(-power(objective) * slope * (log_size_n - log_size_n.mean()))
        weight_n = weight_n / weight_n.mean()
        from_last = replace(options, weights=weight_n, starts=found.values)
        again = search(law, x, y_n, objective, from_last)
        found = replace(again, starts=found.starts, at_optimum=found.at_optimum)  # of the search from all starts
        if abs(slope - last) < SETTLED:
            break
    return found, weight_n, Slope(symbol, slope, se)


def compute(x: Mapping[str, Array]) -> tuple[str, Array]:
    """What stands for compute among the inputs, and its log (points,): C, else the product of them all (N D)."""
    if "C" in x:
        return "C", np.log(x["C"])
    return " ".join(x), np.asarray(np.sum([np.log(column) for column in x.values()], axis=0))


def leverage(law: Law, x: Mapping[str, Array], theta_K: Array, weight_n: Array, objective: Objective) -> Array:
    """How much of each point (points,) its own fitted value is: the diagonal of the hat matrix, at most 0.99."""
    value_1n, jacobian_1Kn = law.jacobian(theta_K[None], x)
    slope_nK = (jacobian_1Kn[0] / (value_1n[0] if objective.log else 1.0)).T
    weighted_nK = slope_nK * (weight_n ** (1.0 / power(objective)))[:, None]
    left_nK, size_K, _ = np.linalg.svd(weighted_nK, full_matrices=False)
    shown_nK = left_nK[:, size_K > 1e-12 * size_K[0]]
    return np.minimum(np.einsum("nk,nk->n", shown_nK, shown_nK), 0.99)


def log_sd_slope(residual_n: Array, log_size_n: Array, objective: Objective) -> tuple[float, float]:
    """The slope of log sd in log size and its standard error, by scoring: normal noise for squares, else Laplace."""
    z_n = log_size_n - log_size_n.mean()
    spread = float(z_n @ z_n)
    p = power(objective)
    size_n = np.maximum(np.abs(residual_n), 1e-300)
    slope = 0.0
    for _ in range(100):
        scaled_n = (size_n * np.exp(-slope * z_n)) ** p
        step = float(z_n @ (scaled_n / scaled_n.mean())) / (p * spread)
        slope += step
        if abs(step) < 1e-10:
            break
    # information of log sd: 2 a point for normal noise, 1 for Laplace
    return slope, float(1.0 / np.sqrt(p * spread))
