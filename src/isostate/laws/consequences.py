"""What follows from a fitted law, each with the interval that follows from its draws.

Predictions; the state that a size or a context asks for; the critical batch; the best learning rate and batch; what
repeated tokens are worth and how many epochs are best; bits that cost nothing. Formulas stand beside their laws; the
split of a budget is in `allocate`. Without draws (a fit without bootstrap) the intervals have no ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from isostate.config import UserError
from isostate.laws.allocate import allocate
from isostate.laws.fit import percentile
from isostate.laws.law import Array
from isostate.laws.repetition import saturated
from isostate.laws.result import Fit, Interval

Rule = Callable[[Mapping[str, Any]], Any]  # of the parameters by name: numbers, or columns of draws


def follows(fit: Fit, rule: Rule) -> Interval:
    """Any function of the parameters, with its interval."""
    if not fit.params:
        raise UserError(f"the fit of {fit.law.name!r} failed ({fit.alarms[0]}); nothing follows from it")
    with np.errstate(all="ignore"):  # an exponent next to 0 asks for more than floats can count: infinitely many
        value = float(np.asarray(rule({name: np.float64(given) for name, given in fit.values.items()})))
    if fit.draws is None:
        return Interval(value)
    tail = (1 - fit.level) / 2 if fit.tail is None else fit.tail
    with np.errstate(all="ignore"):  # a wild draw may overflow: it is left out
        drawn_B = np.asarray(rule(dict(zip(fit.law.names, fit.draws.T, strict=True))), dtype=float)
    return percentile(value, drawn_B, tail)


def prediction(fit: Fit, **at: float) -> Interval:
    """The law at one setting, such as N=1e9, D=2e10: of the expected value, not of one noisy run."""
    _needs(fit, tuple(at), fit.law.inputs)
    x = {symbol: np.array([float(value)]) for symbol, value in at.items()}

    def rule(p: Mapping[str, Any]) -> Array:
        values_BK = np.stack([np.atleast_1d(np.asarray(p[name], dtype=float)) for name in fit.law.names], axis=1)
        predicted_B = fit.law.predict_batch(values_BK, x)[:, 0]
        return predicted_B if len(predicted_B) > 1 else predicted_B[0]

    return follows(fit, rule)


def band(fit: Fit, x: Mapping[str, ArrayLike]) -> dict[str, Array]:
    """The law at many settings with its pointwise band: predicted, low and high, each (points,)."""
    _needs(fit, tuple(x), fit.law.inputs)
    columns = {symbol: np.atleast_1d(np.asarray(column, dtype=float)) for symbol, column in x.items()}
    n = max(len(column) for column in columns.values())
    at = [{symbol: float(column[i % len(column)]) for symbol, column in columns.items()} for i in range(n)]
    found = [prediction(fit, **one) for one in at]
    none = float("nan")
    return {
        "predicted": np.array([interval.value for interval in found]),
        "low": np.array([none if interval.low is None else interval.low for interval in found]),
        "high": np.array([none if interval.high is None else interval.high for interval in found]),
    }


def state_for_params(fit: Fit, N: float, T: float | None = None) -> Interval:
    """S*(N): the state whose doubling gains as much as a doubling of the parameters, alpha A N^-alpha = beta B S^-beta.

    With the law of all resources the state's term is B S^-beta T^tau, so that a context T is needed.
    """
    _of(fit, ("state-params", "state-all"))
    _context_if_needed(fit, T)

    def rule(p: Mapping[str, Any]) -> Any:
        forgetting = p["B"] * (1.0 if T is None else T ** p["tau"])
        return (p["beta"] * forgetting / (p["alpha"] * p["A"] * N ** -p["alpha"])) ** (1.0 / p["beta"])

    return follows(fit, rule)


def state_for_context(fit: Fit, T: float) -> Interval:
    """S*(T): the state at which forgetting costs what the finite context does, B S^-beta T^tau = H T^-chi."""
    _of(fit, ("state-context", "state-all"))
    return follows(fit, lambda p: (p["B"] * T ** (p["tau"] + p["chi"]) / p["H"]) ** (1.0 / p["beta"]))


def critical_batch(fit: Fit, L: float | None = None) -> Interval:
    """Where a larger batch starts to cost more examples than it saves steps: E_min / S_min, or B_crit at a loss."""
    _of(fit, ("critical-batch", "noise-scale"))
    if fit.law.name == "noise-scale":
        if L is None:
            raise UserError("the noise scale depends on the loss; give L")
        return prediction(fit, L=L)
    return follows(fit, lambda p: p["E_min"] / p["S_min"])


def effective_tokens(fit: Fit, unique: float, epochs: float) -> Interval:
    """D': the fresh tokens that `epochs` passes over `unique` tokens are worth."""
    _of(fit, ("repetition",))
    if not epochs >= 1:
        raise UserError(f"{epochs:g} epochs: fewer than one leaves tokens unused; give fewer unique tokens instead")
    return follows(fit, lambda p: saturated(np.asarray(unique), np.asarray(epochs - 1.0), np.asarray(p["R_D"]))[0])


def best_epochs(fit: Fit, budget: float, unique: float) -> dict[str, Interval]:
    """N, D and epochs D / unique with the lowest loss for 6 N D FLOPs when only `unique` tokens exist."""
    _of(fit, ("repetition",))
    amounts = allocate(fit, budget, fixed={"U": unique}).amounts
    D = amounts["D"]
    ends = [None if end is None else end / unique for end in (D.low, D.high, D.se)]
    return {**amounts, "epochs": Interval(D.value / unique, *ends)}


def bits_for(fit: Fit, kept: float = 0.99) -> Interval:
    """Bits a weight at which this share of the parameters is still effective, 1 - exp(-P / gamma)."""
    _of(fit, ("precision",))
    if not 0.0 < kept < 1.0:
        raise UserError(f"share {kept:g} is not between 0 and 1; give 0.99 for 99 % of the parameters")
    return follows(fit, lambda p: -p["gamma"] * np.log1p(-kept))


def _of(fit: Fit, laws: tuple[str, ...]) -> None:
    if fit.law.name not in laws:
        raise UserError(f"this does not follow from the law {fit.law.name!r}; fit {' or '.join(laws)}")


def _context_if_needed(fit: Fit, T: float | None) -> None:
    needed = fit.law.name == "state-all"
    if needed != (T is not None):
        told = "depends on the context; give T" if needed else "knows no context; leave T out"
        raise UserError(f"S*(N) of the law {fit.law.name!r} {told}")


def _needs(fit: Fit, given: tuple[str, ...], inputs: tuple[str, ...]) -> None:
    if set(given) != set(inputs):
        raise UserError(f"law {fit.law.name!r} takes {', '.join(inputs)}; given {', '.join(given) or 'nothing'}")
