"""Alarms and advice: what is wrong with a fit, in words, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from isostate.config import UserError
from isostate.laws.law import Array, Law
from isostate.laws.result import Fit, HoldOut, Interval

if TYPE_CHECKING:
    from isostate.laws.single import Core

IMPOSSIBLE_NATS = 15.0  # ln of a vocabulary of three million; a guess at random costs no more than that
NARROW_RANGE = 4.0  # an exponent from less than two doublings is mostly noise
FLAT_RATIO = 10.0  # exponents ten times apart fit alike: the profile is flat
ILL_CONDITIONED = 1e10  # of the normal equations in correlation units
LACK_OF_FIT_P = 0.05
LEANS = 3.0  # standard errors that a law may lie beside its points as a whole, by chance one time in 370
INERT = 1e-9  # relative change of the loss by an e-fold of a parameter that no longer acts
HIGHER_LIKELIHOOD = 0.01  # of -2 log likelihood: more than a search leaves on the way to its optimum


@dataclass(frozen=True)
class Words:
    """What a fit says about itself."""

    alarms: tuple[str, ...]
    advice: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.alarms)


def checked(law: Law, x: Mapping[str, ArrayLike], y: ArrayLike) -> tuple[dict[str, Array], Array]:
    """Inputs and losses as float64 arrays of equal length. Raises UserError naming the first value that cannot be."""
    missing = [symbol for symbol in law.inputs if symbol not in x]
    if missing:
        raise UserError(f"law {law.name!r} needs the column {missing[0]!r}; it takes {', '.join(law.inputs)}")
    arrays = {symbol: np.atleast_1d(np.asarray(x[symbol], dtype=float)) for symbol in law.inputs}
    loss = np.atleast_1d(np.asarray(y, dtype=float))
    for symbol, column in [*arrays.items(), (law.output, loss)]:
        if column.shape != loss.shape or column.ndim != 1:
            raise UserError(
                f"column {symbol!r} has shape {column.shape}, the losses {loss.shape}; give one value a run"
            )
        bad = np.flatnonzero(~np.isfinite(column) | (column <= 0))
        if len(bad):
            raise UserError(
                f"column {symbol!r}, row {bad[0] + 1}: {column[bad[0]]:g} is not a positive finite number; "
                "drop the row or mend it"
            )
    return arrays, loss


def too_few(law: Law, size_n: Array) -> Words | None:
    """Refuses a fit of one resource that has no degree of freedom left."""
    distinct, n_params = len(np.unique(size_n)), len(law.parameters)
    if distinct >= n_params and len(size_n) > n_params:
        return None
    symbol = law.inputs[0]
    return Words(
        (f"too few points: {len(size_n)} runs at {distinct} sizes cannot carry {n_params} parameters and an error",),
        (f"train at least {max(n_params + 1 - distinct, 1)} more size(s) of {symbol}, better {n_params + 3} in all",),
    )


def cannot_carry(law: Law, x: Mapping[str, Array]) -> Words | None:
    """Refuses a fit whose points are no more than its parameters, or in which an input never changes."""
    n, n_params = len(next(iter(x.values()))), len(law.parameters)
    distinct = len(np.unique(np.stack(list(x.values())), axis=1).T)
    alarms, advice = [], []
    if distinct <= n_params:
        alarms.append(
            f"too few points: {n} runs at {distinct} settings cannot carry {n_params} parameters and an error"
        )
        advice.append(f"train at least {n_params + 1 - distinct} more setting(s) of {', '.join(law.inputs)}")
    for symbol, column in x.items():
        if np.all(column == column[0]) and not alarms:
            alarms.append(f"{symbol} is {column[0]:g} in every run: its parameters cannot be told from the rest")
            advice.append(f"vary {symbol}, or fit a law without it")
    return Words(tuple(alarms), tuple(advice)) if alarms else None


def judge_many(fit: Fit, x: Mapping[str, Array], y_n: Array) -> Words:
    """Alarms and advice of a fit of any law to many points."""
    law = fit.law
    found: list[tuple[str, str]] = []
    if not fit.converged:
        found.append(("not converged: no start reached a finite optimum", "check units; give starts near the truth"))
    elif fit.starts >= 20 and fit.starts_at_optimum < 0.02 * fit.starts:
        share = f"{fit.starts_at_optimum} of {fit.starts}"
        found.append((f"only {share} starts reached the optimum", "treat it as one of several optima; use more starts"))
    if y_n.max() > IMPOSSIBLE_NATS and law.output == "L":
        found.append((f"a loss of {y_n.max():g} cannot be nats a token", "give the mean loss in nats, not perplexity"))
    rows = np.column_stack([*x.values(), y_n])
    duplicates = len(rows) - len(np.unique(rows, axis=0))
    if duplicates:
        found.append((f"{duplicates} rows repeat others exactly", "drop copies: they narrow the intervals falsely"))
    if fit.diagnostics.get("objective_name") == "huber-mean":
        told = "averaged Huber: values of 1e-6 are below the absolute tolerances optimisers stop at"
        found.append((told, "sum the Huber loss instead; published fits went wrong here (Besiroglu et al. 2024)"))
    if fit.diagnostics["condition"] > ILL_CONDITIONED:
        told = f"ill conditioned ({fit.diagnostics['condition']:.1e}): some parameters trade against each other"
        found.append((told, "read what follows from the parameters (predictions, allocation), not each alone"))
    if abs(fit.diagnostics["lean"]) > LEANS:
        side = "below" if fit.diagnostics["lean"] > 0 else "above"
        told = f"the law lies {side} most of its points ({abs(fit.diagnostics['lean']):.1f} standard errors)"
        found.append((told, "it has no level of its own to fit: mend what it holds fixed, or take another form"))
    found += _judge_noise(fit)
    found += _judge_parameters(fit)
    if fit.holdout is not None and not fit.holdout.covered:
        told = f"hold-out missed: predicted {fit.holdout.predicted:.4g}, was {fit.holdout.observed:.4g}"
        found.append((told, "do not trust this law beyond its points"))
    return Words(tuple(alarm for alarm, _ in found), tuple(dict.fromkeys(advice for _, advice in found)))


def _judge_noise(fit: Fit) -> list[tuple[str, str]]:
    p_value, slope = fit.noise["lack_of_fit_p"], fit.noise.get("log_sd_slope")
    found = []
    if p_value is not None and p_value < LACK_OF_FIT_P:
        told = f"lack of fit: the settings stray from the law more than their seeds do (p = {p_value:.2g})"
        found.append((told, "look for mistuned settings or try another form; the misfit counts as noise"))
        if fit.draws is not None and "cluster" not in fit.interval_method:
            told = f"too narrow: seeds of a setting stray together, but were drawn apart ({fit.interval_method})"
            found.append((told, "leave the resampling out, or take cluster"))
    if slope is not None and slope > 0.0:
        told = f"the noise grows with compute (log sd slope {slope:.2g}): the large points count least"
        found.append((told, "look at the largest runs: noise that grows is more often a misfit there"))
    return found


def _judge_parameters(fit: Fit) -> list[tuple[str, str]]:
    """Bounds that were hit, and parameters of which the points tell nothing."""
    found = []
    exponents = {parameter.name for parameter in fit.law.nonlinear}
    for name, interval in fit.params.items():
        profile = fit.profiles.get(name)
        if name in fit.bound_hits:
            told = f"{name} on its bound ({interval.value:.3g})"
            found.append((told, f"the points do not show {name}; widen them or drop the term"))
        elif profile is not None and profile.flat:
            sides = " and ".join(profile.open_ends)
            told = f"flat profile: {name} is open on the {sides} side, where every value fits as well"
            found.append((told, f"{name} is not identified by these points"))
        elif name in exponents and _flat(interval):
            told = f"flat: every {name} from {interval.low:.2g} to {interval.high:.2g} fits alike"
            found.append((told, f"{name} is not identified by these points"))
    lower = [name for name, profile in fit.profiles.items() if profile.rise.min(initial=0.0) < -HIGHER_LIKELIHOOD]
    if lower:
        told = f"the profile of {lower[0]} passes through a better optimum than the starts found"
        found.append((told, "give more starts, or starts near there"))
    return found


def bound_hits(law: Law, x: Mapping[str, Array], values: Mapping[str, float]) -> tuple[str, ...]:
    """Parameters that ended on a bound of their domain; one searched in logs is at 0 when it no longer acts."""
    theta_1K = law.internal(np.array([[values[name] for name in law.names]]))
    value_1n, jacobian_1Kn = law.jacobian(theta_1K, x)
    acts_K = np.max(np.abs(jacobian_1Kn[0] / value_1n[0]), axis=1)
    hits = []
    for parameter, acts in zip(law.parameters, acts_K, strict=True):
        value = values[parameter.name]
        at_zero = parameter.scale == "log" and parameter.low == 0.0
        low = acts < INERT if at_zero else value <= parameter.low + 1e-6 * abs(parameter.low)
        if low or value >= parameter.high * (1 - 1e-6):
            hits.append(parameter.name)
    return tuple(hits)


def _flat(interval: Interval) -> bool:
    low, high = interval.low, interval.high
    return low is not None and high is not None and low > 0 and high / low > FLAT_RATIO


def judge(law: Law, size_n: Array, y_n: Array, core: Core, held: HoldOut | None, wanted_holdout: bool) -> Words:
    """Alarms and advice of a fit in one resource."""
    symbol, parameter = law.inputs[0], law.nonlinear[0]
    distinct = np.unique(size_n)
    alarms: list[str] = []
    advice: list[str] = []
    if not core.falls:
        alarms.append(f"the loss does not fall with {symbol}: no power law fits better than a constant")
        advice.append(f"widen the range of {symbol}, or tune each size; as they stand these runs show no law")
    if y_n.max() > IMPOSSIBLE_NATS:
        alarms.append(f"a loss of {y_n.max():g} cannot be nats a token: a perplexity, or a sum?")
        advice.append("give the mean loss in nats a token or bits a byte")
    if core.noise.dof <= 2:
        alarms.append(f"too few points: {core.noise.dof} degree(s) of freedom, so the intervals are wide by right")
        advice.append(f"add sizes of {symbol}; each one beyond {len(distinct)} narrows every interval")
    if distinct[-1] / distinct[0] < NARROW_RANGE:
        alarms.append(f"narrow range: {symbol} spans only a factor {distinct[-1] / distinct[0]:.3g}")
        advice.append(f"spread {symbol} over a factor of {NARROW_RANGE:g} or more")
    if core.falls:
        _judge_exponent(core, symbol, parameter.low, parameter.high, alarms, advice)
    _judge_order(distinct, size_n, y_n, core, symbol, alarms, advice)
    p_value = core.noise.lack_of_fit_p
    if p_value is not None and p_value < LACK_OF_FIT_P:
        alarms.append(f"lack of fit: the sizes stray from the law more than their seeds do (p = {p_value:.2g})")
        advice.append("look for a mistuned size or a bend; the intervals already count the misfit as noise")
    if held is not None and not held.covered:
        alarms.append(
            f"hold-out missed: at {symbol} = {held.x:g} predicted {held.predicted:.4g}, was {held.observed:.4g}"
        )
        advice.append("do not extrapolate this law; a larger size broke it")
    if held is None and wanted_holdout and core.falls:
        alarms.append("no hold-out: too few sizes to leave the largest out")
        advice.append(f"train one more size of {symbol} so that the largest can test the law")
    return Words(tuple(alarms), tuple(dict.fromkeys(advice)))


def _judge_exponent(core: Core, symbol: str, low: float, high: float, alarms: list[str], advice: list[str]) -> None:
    interval = core.params["alpha"]
    if not core.interior:
        bound = low if core.exponent < 1.0 else high
        alarms.append(f"alpha on its bound {bound:g}: not converged to a power law")
        advice.append(f"the points do not bend as a power law with an offset does; widen the range of {symbol}")
    if core.open_ends:
        sides = " and ".join(core.open_ends)
        alarms.append(f"alpha's interval is open on the {sides} side: it ends at the bound of the search")
    assert interval.low is not None
    assert interval.high is not None
    if interval.high / interval.low > FLAT_RATIO:
        alarms.append(f"flat profile: every alpha from {interval.low:.2g} to {interval.high:.2g} fits alike")
        advice.append(f"only smaller and larger {symbol} can tell alpha from L_inf; more seeds help less")
    if core.linear[0] <= 0.0:
        alarms.append("L_inf on its bound 0: within these sizes the loss shows no floor")
        advice.append(f"a larger {symbol} is needed to see L_inf; until then read the exponent as a local slope")


def _judge_order(
    distinct: Array, size_n: Array, y_n: Array, core: Core, symbol: str, alarms: list[str], advice: list[str]
) -> None:
    means = np.array([y_n[size_n == size].mean() for size in distinct])
    counts = np.array([np.sum(size_n == size) for size in distinct])
    noise_sd = core.noise.seed_sd if core.noise.seed_sd is not None else 0.0
    rise = np.diff(means) - 2.0 * noise_sd * np.sqrt(1.0 / counts[1:] + 1.0 / counts[:-1])
    if len(rise) and rise.max() > 0:
        worst = int(np.argmax(rise))
        alarms.append(f"not monotone: the loss rises from {symbol} = {distinct[worst]:g} to {distinct[worst + 1]:g}")
        advice.append("run more seeds at that size, or tune its learning rate")
