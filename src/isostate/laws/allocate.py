"""What a fitted law says to train: the best split of a budget between two resources, with its interval.

The budget is any cost that grows with both resources: training FLOPs (6 N D), training plus inference (6 N D
+ 2 N D_inf, whose optimum obeys alpha A N^-alpha / (beta B D^-beta) = 1 + D_inf / (3 D), FORMULAS section 5), bytes of
weights and state, or seconds on given hardware from a cost function handed in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from isostate.config import UserError
from isostate.laws.fit import percentile
from isostate.laws.law import Array, Law
from isostate.laws.result import Fit, Interval

WHOLE_RANGE = (1.0, 1e18)  # of a resource without limits
CostOf = Callable[[Array, Array], Array]  # (first, second) -> cost, growing in both


@dataclass(frozen=True)
class Allocation:
    """The best pair for a budget, the loss predicted there, and where the intervals come from (draws of the fit)."""

    budget: float
    pair: tuple[str, str]
    amounts: dict[str, Interval]
    loss: Interval
    alarms: tuple[str, ...] = ()
    limits: dict[str, tuple[float, float]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return {
            "budget": self.budget,
            **{symbol: interval.to_dict() for symbol, interval in self.amounts.items()},
            "loss": self.loss.to_dict(),
            "alarms": list(self.alarms),
        }


def training_flops(inference_tokens: float = 0.0) -> CostOf:
    """6 N D for training and 2 N for each token that will be generated or read in use."""
    return lambda N, D: 6.0 * N * D + 2.0 * N * inference_tokens


def training_seconds(flops_per_s: float, inference_tokens: float = 0.0) -> CostOf:
    """Seconds of the same on hardware that achieves `flops_per_s` (not its peak)."""
    spend = training_flops(inference_tokens)
    return lambda N, D: spend(N, D) / flops_per_s


def memory_bytes(bytes_per_param: float, bytes_per_element: float, sequences: int) -> CostOf:
    """Weights, and the state of each sequence served together."""
    return lambda N, S: bytes_per_param * N + bytes_per_element * sequences * S


def allocate(
    fit: Fit,
    budget: float,
    *,
    cost: CostOf | None = None,
    pair: tuple[str, str] = ("N", "D"),
    fixed: Mapping[str, float] | None = None,
    limits: Mapping[str, tuple[float, float]] | None = None,
    draws: int = 400,
) -> Allocation:
    """The pair of resources with the lowest predicted loss that the budget buys. Raises UserError for a bad budget."""
    if not (np.isfinite(budget) and budget > 0):
        raise UserError(
            f"budget {budget:g} is not a positive number; give FLOPs, bytes or seconds, as the cost function"
        )
    if not fit.params:
        raise UserError(f"the fit of {fit.law.name!r} failed ({fit.alarms[0]}); it can allocate nothing")
    ranges = dict.fromkeys(pair, WHOLE_RANGE) | dict(limits or {})
    spend = cost or training_flops()
    point = np.array([[fit.values[name] for name in fit.law.names]])
    many = point if fit.draws is None else np.concatenate([point, fit.draws[:draws]])
    with np.errstate(over="ignore"):  # a corner of the search may cost more than a float holds: it is not bought
        first, second, loss = _best(fit.law, many, budget, spend, pair, fixed or {}, ranges)
    if not np.isfinite(loss[0]):
        least = ", ".join(f"{symbol} from {ranges[symbol][0]:g} to {ranges[symbol][1]:g}" for symbol in pair)
        raise UserError(f"budget {budget:g} buys nothing with {least}; raise it, or lower the least")
    alarms = [
        *extrapolation(fit, {pair[0]: float(first[0]), pair[1]: float(second[0])}),
        *_at_limits(ranges, pair, first[0], second[0], spend, budget),
    ]
    tail = (1 - fit.level) / 2 if fit.tail is None else fit.tail
    amounts = {
        symbol: percentile(float(column[0]), column[1:], tail)
        for symbol, column in zip(pair, (first, second), strict=True)
    }
    loss_interval = percentile(float(loss[0]), loss[1:], tail)
    return Allocation(budget, pair, amounts, loss_interval, tuple(alarms), dict(limits or {}))


def frontier(fit: Fit, budgets: Sequence[float], **options: Any) -> list[Allocation]:
    """The allocation at each budget."""
    return [allocate(fit, budget, **options) for budget in budgets]


def extrapolation(fit: Fit, at: Mapping[str, float]) -> list[str]:
    """An alarm for every resource of which `at` has far more, or far less, than any run of the fit had."""
    alarms = []
    for symbol, amount in at.items():
        key = "x" if fit.law.inputs == (symbol,) and any("x" in point for point in fit.points) else symbol
        seen = [point[key] for point in fit.points if key in point]
        if seen and amount > EXTRAPOLATION * max(seen):
            alarms.append(f"extrapolating: {symbol} = {amount:.3g} is {amount / max(seen):.1f} times the largest run")
        if seen and amount < min(seen) / EXTRAPOLATION:
            alarms.append(f"extrapolating: {symbol} = {amount:.3g} is far below the smallest run, {min(seen):.3g}")
    if not fit.points:
        alarms.append("no points behind these values: how far this extrapolates is not known")
    return alarms


def _best(
    law: Law, values_BK: Array, budget: float, spend: CostOf, pair: tuple[str, str], fixed: Mapping[str, float],
    ranges: Mapping[str, tuple[float, float]],
) -> tuple[Array, Array, Array]:  # fmt: skip
    """First, second and loss of the optimum for every parameter set, by zooming on a grid of the first resource."""
    low_B, high_B = (np.full(len(values_BK), np.log(end)) for end in ranges[pair[0]])
    for _ in range(14):
        log_first_BG = low_B[:, None] + (high_B - low_B)[:, None] * np.linspace(0, 1, 61)
        first_BG = np.exp(log_first_BG)
        second_BG = _second(first_BG, budget, spend, ranges[pair[1]])
        loss_BG = _losses(law, values_BK, first_BG, second_BG, pair, fixed)
        best_B = np.argmin(loss_BG, axis=1)
        rows = np.arange(len(values_BK))
        low_B, high_B = log_first_BG[rows, np.maximum(best_B - 2, 0)], log_first_BG[rows, np.minimum(best_B + 2, 60)]
    return first_BG[rows, best_B], second_BG[rows, best_B], loss_BG[rows, best_B]


def _second(first: Array, budget: float, spend: CostOf, limits: tuple[float, float]) -> Array:
    """How much of the second resource the budget buys beside the first; NaN where it cannot pay for the least."""
    low, high = np.full(first.shape, np.log(limits[0])), np.full(first.shape, np.log(limits[1]))
    affordable = spend(first, np.exp(low)) <= budget
    for _ in range(70):
        middle = 0.5 * (low + high)
        fits = spend(first, np.exp(middle)) <= budget
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
    return np.where(affordable, np.exp(low), np.nan)


def _losses(
    law: Law, values_BK: Array, first_BG: Array, second_BG: Array, pair: tuple[str, str], fixed: Mapping[str, float]
) -> Array:
    known = {symbol: np.array([[value]]) for symbol, value in fixed.items()}
    second_known = np.where(np.isnan(second_BG), 1.0, second_BG)
    if pair == ("N", "D"):  # inputs that follow from the two: compute, and tokens a parameter
        known = {"C": 6.0 * first_BG * second_known, "M": second_known / first_BG} | known
    missing = [symbol for symbol in law.inputs if symbol not in {*pair, *known}]
    if missing:
        raise UserError(f"law {law.name!r} also needs {', '.join(missing)}; fix a value for it")
    x = {pair[0]: first_BG, pair[1]: second_known, **known}
    loss_BG, _ = law.evaluate(list(values_BK.T[:, :, None]), x)
    return np.where(np.isnan(second_BG), np.inf, loss_BG)


def _at_limits(
    ranges: Mapping[str, tuple[float, float]], pair: tuple[str, str], first: float, second: float, spend: CostOf,
    budget: float,
) -> list[str]:  # fmt: skip
    alarms = []
    for symbol, amount in zip(pair, (first, second), strict=True):
        low, high = ranges[symbol]
        if amount >= high * 0.999 or amount <= low * 1.001:
            alarms.append(f"{symbol} on its limit {amount:.3g}")
    spent = float(spend(np.array(first), np.array(second)))
    if spent < 0.99 * budget:
        alarms.append(f"only {spent / budget:.0%} of the budget is spent: the limits bind")
    return alarms


EXTRAPOLATION = 3.0  # times the data beyond which a prediction is called an extrapolation
