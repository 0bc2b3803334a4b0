"""Which run to do next, and how many runs a wanted precision takes.

Locally the fit is linear in its parameters: with information M = J'J / s^2 a prediction with gradient g has variance
g' M^-1 g, and one more run with gradient j lowers it by (g' M^-1 j)^2 / (s^2 + j' M^-1 j). The next run is the
candidate that lowers it most per unit of cost (Fedorov 1972, c-optimal design). All in the log of the loss.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from isostate.config import UserError
from isostate.laws.approaches import isoflop_bias, optimum
from isostate.laws.law import Array
from isostate.laws.objectives import OBJECTIVES
from isostate.laws.result import Fit
from isostate.laws.weighting import power

MOST_RUNS = 10_000  # a precision that takes more than this is not to be had by these candidates


@dataclass(frozen=True)
class NextRun:
    """One candidate: its inputs, cost, and the relative half width of the prediction before and after it."""

    inputs: dict[str, float]
    cost: float
    before: float
    after: float

    @property
    def gain_per_cost(self) -> float:
        return (self.before - self.after) / self.cost

    def to_dict(self) -> dict[str, Any]:
        return {**self.__dict__, "gain_per_cost": self.gain_per_cost}


def next_run(
    fit: Fit, target: Mapping[str, float], candidates: Mapping[str, ArrayLike], cost: ArrayLike | None = None
) -> list[NextRun]:
    """Candidates ordered by how much each narrows the prediction at `target` per unit of cost (6 N D by default)."""
    state = _Information.of(fit, target, candidates)
    spent = _cost(candidates, cost)
    reduction = state.reduction()
    before = state.half_width(state.variance, fit.level)
    after = [state.half_width(state.variance - r, fit.level) for r in reduction]
    order = np.argsort(-(before - np.array(after)) / spent, kind="stable")
    return [
        NextRun({s: float(np.asarray(c)[i]) for s, c in candidates.items()}, float(spent[i]), before, after[i])
        for i in order
    ]


def runs_needed(
    fit: Fit,
    target: Mapping[str, float],
    within: float,
    candidates: Mapping[str, ArrayLike],
    cost: ArrayLike | None = None,
) -> list[NextRun]:
    """Runs to add, best first, until the prediction at `target` is known to a relative +-`within`.

    Raises UserError when 10,000 of them would not do. An empty list: it is known so well already.
    """
    if not within > 0:
        raise UserError(f"precision {within:g} is not positive; give a relative half width such as 0.01")
    state = _Information.of(fit, target, candidates)
    spent = _cost(candidates, cost)
    chosen: list[NextRun] = []
    while (before := state.half_width(state.variance, fit.level)) > within:
        reduction = state.reduction()
        best = int(np.argmax(reduction / spent))
        if len(chosen) >= MOST_RUNS or reduction[best] <= 1e-12 * state.variance:
            raise UserError(f"+-{within:.2%} is out of reach of these candidates: widen them, or lower the noise")
        state = state.with_run(best)
        after = state.half_width(state.variance, fit.level)
        inputs = {s: float(np.asarray(c)[best]) for s, c in candidates.items()}
        chosen.append(NextRun(inputs, float(spent[best]), before, after))
    return chosen


def isoflop_grid(values: Mapping[str, float], budgets: ArrayLike, width: float = 4.0, sizes: int = 9) -> dict[str, Any]:
    """The runs of an isoFLOP study and the bias its own approach 2 will have on this surface, before any noise."""
    C = np.atleast_1d(np.asarray(budgets, dtype=float))
    best, _ = optimum(values, C)
    N = best[:, None] * np.exp(np.linspace(-np.log(width), np.log(width), sizes))
    D = C[:, None] / (6 * N)
    spent = np.broadcast_to(C[:, None], N.shape)
    return {
        "N": N.ravel(),
        "D": D.ravel(),
        "C": spent.ravel(),
        "bias_N": isoflop_bias(values, C, [width], sizes, "N")[:, 0],
        "bias_D": isoflop_bias(values, C, [width], sizes, "D")[:, 0],
        "total_flops": float(spent.sum()),
    }


@dataclass(frozen=True)
class _Information:
    """The inverse information, the noise variance of one run, gradients of target and candidates (all of log loss)."""

    inverse_KK: Array
    noise: float
    dof: int
    target_K: Array
    candidate_nK: Array

    @classmethod
    def of(cls, fit: Fit, target: Mapping[str, float], candidates: Mapping[str, ArrayLike]) -> _Information:
        if not fit.params:
            raise UserError(f"the fit of {fit.law.name!r} failed ({fit.alarms[0]}); plan from a law that fits")
        law = fit.law
        theta = law.internal(np.array([[fit.values[name] for name in law.names]]))
        single = len(law.inputs) == 1  # fits of one resource name it x
        x = {s: np.array([p["x" if single and "x" in p else s] for p in fit.points]) for s in law.inputs}
        observed = np.array([point["y"] for point in fit.points])
        J_nK, predicted = _log_gradient(law, theta, x)
        weight_n = _inverse_variances(fit)
        dof = int(np.count_nonzero(weight_n)) - len(law.names)
        noise = float(np.sum(weight_n * (np.log(observed) - np.log(predicted)) ** 2) / max(dof, 1))
        information = J_nK.T @ (weight_n[:, None] * J_nK)
        inverse = np.asarray(np.linalg.pinv(information, rcond=1e-14, hermitian=True) * noise, dtype=np.float64)
        at, _ = _log_gradient(law, theta, {s: np.array([float(target[s])]) for s in law.inputs})
        these, _ = _log_gradient(law, theta, {s: np.asarray(candidates[s], dtype=float) for s in law.inputs})
        return cls(inverse, max(noise, 1e-300), max(dof, 1), at[0], these)

    @property
    def variance(self) -> float:
        return float(self.target_K @ self.inverse_KK @ self.target_K)

    def reduction(self) -> Array:
        """How much each candidate, run once, lowers the variance."""
        across_nK = self.candidate_nK @ self.inverse_KK
        own = np.einsum("nk,nk->n", across_nK, self.candidate_nK)
        return (across_nK @ self.target_K) ** 2 / (self.noise + own)

    def with_run(self, index: int) -> _Information:
        j = self.candidate_nK[index]
        column = self.inverse_KK @ j
        inverse = self.inverse_KK - np.outer(column, column) / (self.noise + float(j @ column))
        return _Information(inverse, self.noise, self.dof + 1, self.target_K, self.candidate_nK)

    def half_width(self, variance: float, level: float) -> float:
        return float(stats.t.ppf(0.5 + level / 2, self.dof) * np.sqrt(max(variance, 0.0)))


def _inverse_variances(fit: Fit) -> Array:
    """Relative, (points,), as the fit's weights tell them: equal without weights. A new run is one of weight 1."""
    weight_n = np.array([point.get("weight", 1.0) for point in fit.points])
    name = fit.diagnostics.get("objective_name")
    return weight_n if name is None else np.asarray(weight_n ** (2.0 / power(OBJECTIVES[name])))


def _log_gradient(law: Any, theta: Array, x: Mapping[str, Array]) -> tuple[Array, Array]:
    value, jacobian = law.jacobian(theta, x)
    return (jacobian[0] / value[0]).T, value[0]


def _cost(candidates: Mapping[str, ArrayLike], cost: ArrayLike | None) -> Array:
    if cost is not None:
        return np.asarray(cost, dtype=float)
    if "N" in candidates and "D" in candidates:
        return 6.0 * np.asarray(candidates["N"], dtype=float) * np.asarray(candidates["D"], dtype=float)
    return np.ones(len(np.asarray(next(iter(candidates.values())))))
