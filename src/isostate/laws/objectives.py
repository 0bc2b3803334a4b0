"""What a fit minimises, by name. Every fit names its objective: optima of different objectives are different laws.

An objective maps residuals (batch, points) and weights to a value and its slope by the residual. `log` objectives take
r = log prediction - log observed. Sources: Hoffmann et al. 2022 section D.2 (summed Huber, delta 1e-3); Besiroglu et
al. 2024 (the likelihood whose density is exp(-Huber), its scale free, from which their standard errors come).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import erf, exp, pi, sqrt

import numpy as np

from isostate.laws.law import Array

HUBER_DELTA = 1e-3  # Hoffmann et al. 2022, section D.2
ABSOLUTE_DELTA = 1e-7  # the width over which |r| is rounded off: 1e-5 of the residuals seen in practice


@dataclass(frozen=True)
class Objective:
    """`evaluate(r_Bn, w_Bn)` -> (value (B,), slope (B, n)); `scale` multiplies the value that is reported."""

    name: str
    words: str
    log: bool
    evaluate: Callable[[Array, Array], tuple[Array, Array]]
    scale: float = 1.0  # the search works on values near 1, the report on the published definition
    parabola: float = np.inf  # smaller residuals count as squares, larger ones as absolute values
    squares: bool = False
    absolute: bool = False  # a log likelihood, which may pass through zero: its differences are absolute, a point

    def size(self, value_B: Array, n: int) -> Array:
        """What a descent of the value is measured by."""
        return np.full_like(value_B, float(n)) if self.absolute else np.abs(value_B)


def _squares(r_Bn: Array, w_Bn: Array) -> tuple[Array, Array]:
    weighted_Bn = w_Bn * r_Bn
    return np.einsum("bn,bn->b", weighted_Bn, r_Bn), 2.0 * weighted_Bn


def huber(delta: float) -> Callable[[Array, Array], tuple[Array, Array]]:
    """Sum of w Huber_delta(r) / delta: |r| - delta/2 outside, r^2/(2 delta) inside."""

    def evaluate(r_Bn: Array, w_Bn: Array) -> tuple[Array, Array]:
        slope_Bn = np.clip(r_Bn * (1.0 / delta), -1.0, 1.0)
        # r s - delta s^2/2 is the Huber function on both branches
        inner_Bn = r_Bn - (0.5 * delta) * slope_Bn
        slope_Bn *= w_Bn
        return np.einsum("bn,bn->b", slope_Bn, inner_Bn), slope_Bn

    return evaluate


def huber_scale(r_Bn: Array, w_Bn: Array, delta: float = HUBER_DELTA) -> Array:
    """The scale (B,) that maximises the likelihood of exp(-Huber_delta(r / s)) / s: a fixed point, 12 steps."""
    total_B = np.maximum(np.broadcast_to(w_Bn, r_Bn.shape).sum(axis=1), 1e-300)
    scale_B = np.maximum(delta * np.einsum("bn,bn->b", np.abs(r_Bn), w_Bn * np.ones_like(r_Bn)) / total_B, 1e-300)
    for _ in range(12):
        pulled_Bn = np.clip(r_Bn / scale_B[:, None], -delta, delta)
        scale_B = np.maximum(np.einsum("bn,bn->b", pulled_Bn * r_Bn, w_Bn * np.ones_like(r_Bn)) / total_B, 1e-300)
    return scale_B


def _likelihood(r_Bn: Array, w_Bn: Array) -> tuple[Array, Array]:
    scale_B = huber_scale(r_Bn, w_Bn)
    standard_Bn = r_Bn / scale_B[:, None]
    pulled_Bn = np.clip(standard_Bn, -HUBER_DELTA, HUBER_DELTA)
    loss_Bn = pulled_Bn * standard_Bn - 0.5 * pulled_Bn**2
    weight_Bn = w_Bn * np.ones_like(r_Bn)
    total_B = weight_Bn.sum(axis=1)
    value_B = np.einsum("bn,bn->b", loss_Bn, weight_Bn) + total_B * np.log(scale_B * HUBER_NORMALISER)
    return value_B, weight_Bn * pulled_Bn / scale_B[:, None]


def log_likelihood(r_n: Array) -> float:
    """Of residuals under the Huber density with the best scale, as Besiroglu et al. compute it."""
    return -float(_likelihood(r_n[None], np.ones((1, len(r_n))))[0][0])


# The integral of exp(-Huber_delta(x)): a normal core and two exponential tails.
HUBER_NORMALISER = sqrt(2 * pi) * erf(HUBER_DELTA / sqrt(2)) + 2 * exp(-(HUBER_DELTA**2) / 2) / HUBER_DELTA

LIKELIHOOD_WORDS = "free-scale likelihood of the Huber density of the log residual"
OBJECTIVES: dict[str, Objective] = {
    objective.name: objective
    for objective in (
        Objective(
            "huber", "sum of Huber(1e-3) of the log residual", True, huber(HUBER_DELTA), HUBER_DELTA, HUBER_DELTA
        ),
        Objective(
            "huber-mean", "mean of Huber(1e-3) of the log residual", True, huber(HUBER_DELTA), HUBER_DELTA, HUBER_DELTA
        ),
        Objective("absolute", "sum of |log residual|", True, huber(ABSOLUTE_DELTA), parabola=ABSOLUTE_DELTA),
        Objective(
            "likelihood",
            "free-scale likelihood of the Huber density of the log residual",
            True,
            _likelihood,
            parabola=0.0,  # of a width that follows the residuals, a thousandth of them
            absolute=True,
        ),
        Objective("squares-log", "sum of squares of the log residual", True, _squares, squares=True),
        Objective("squares", "sum of squares of the residual", False, _squares, squares=True),
    )
}
