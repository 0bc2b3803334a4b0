"""Fitting any law to any table: thousands of starts, the objective by name, bootstrap, profiles, hold-out, alarms.

For a power law in one resource with a handful of points use `single.fit_power`, whose intervals are made for that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isostate.laws import advise, noise, resample, weighting
from isostate.laws.holdout import held_out, predict_held_out
from isostate.laws.law import Array, Law
from isostate.laws.noise import Noise
from isostate.laws.objectives import Objective
from isostate.laws.options import Options, checked_options, objective_named
from isostate.laws.profiles import profiles
from isostate.laws.result import Fit, Interval, ParameterProfile
from isostate.laws.search import Found


def fit_law(law: Law, x: Mapping[str, ArrayLike], y: ArrayLike, options: Options | None = None, **named: Any) -> Fit:
    """Fits `law` to inputs x (symbol -> (points,)) and losses y (points,); `named` are fields of Options.

    Raises UserError for values that cannot be. Data that cannot carry the law give a Fit without parameters.
    """
    options = replace(options or Options(), **named)
    objective = objective_named(options.objective or law.objective)
    inputs, y_n = advise.checked(law, x, y)
    options = checked_options(options, len(y_n))
    held_n = held_out(inputs, len(y_n), options.holdout)
    empty = Fit(law, objective.words, _method(options), options.level, _points(inputs, y_n, held_n))
    refusal = advise.cannot_carry(law, inputs)
    if refusal:
        return replace(empty, alarms=refusal.alarms, advice=refusal.advice)
    found, weight_n, slope = weighting.weighted_search(law, inputs, y_n, objective, options)
    options = replace(options, weights=weight_n)
    empty = replace(empty, points=_points(inputs, y_n, held_n, weight_n))
    spread = _noise(law, inputs, y_n, found, objective, weight_n)
    lean = noise.lean(_standard(law, inputs, y_n, found, objective, weight_n), objective.parabola)
    options, why = _resampled(options, spread, lean)
    empty = replace(empty, interval_method=_method(options) + why)
    draws = resample.bootstrap(law, inputs, y_n, found.theta, objective, options) if options.bootstrap else None
    tail = resample.tail(options.level, resample.units(inputs, options), len(law.names), options.scheme)
    profiled: dict[str, ParameterProfile] = {}
    if options.profile_points:
        profiled = profiles(
            law, inputs, y_n, found.theta, objective, options.level, weights=weight_n, noise=spread,
            points=options.profile_points, threads=options.threads,
        )  # fmt: skip
    held = predict_held_out(law, inputs, y_n, held_n, found.theta, objective, options) if held_n.any() else None
    fit = replace(
        empty,
        params=_intervals(law.names, found.values, draws, tail, profiled),
        derived=derive(law, found.values, draws, tail),
        tail=tail,
        holdout=held,
        converged=found.converged,
        starts=found.starts,
        starts_at_optimum=found.at_optimum,
        objective_value=found.value,
        bound_hits=advise.bound_hits(law, inputs, dict(zip(law.names, found.values, strict=True))),
        noise={**spread.to_dict(), "of": "log residual" if objective.log else "residual"}
        | (slope.to_dict() if slope else {}),
        diagnostics={"condition": found.condition, "objective_name": objective.name, "lean": lean},
        profiles=profiled,
        draws=draws,
    )
    words = advise.judge_many(fit, inputs, y_n)
    return replace(fit, alarms=words.alarms, advice=words.advice)


def _points(
    x: Mapping[str, Array], y_n: Array, held_n: NDArray[np.bool_], weight_n: Array | None = None
) -> tuple[dict[str, Any], ...]:
    """Each point as a row: its inputs, y, whether it was held out, its weight where there are any."""
    columns = {**x, "y": y_n} | ({} if weight_n is None else {"weight": weight_n})
    rows = zip(*(column.tolist() for column in columns.values()), held_n.tolist(), strict=True)
    return tuple(dict(zip([*columns, "held_out"], row, strict=True)) for row in rows)


def _method(options: Options) -> str:
    if options.bootstrap:
        return f"percentile bootstrap, {options.scheme}"
    return "profile likelihood" if options.profile_points else "none"


def _resampled(options: Options, spread: Noise, lean: float) -> tuple[Options, str]:
    """The options with the bootstrap that the points ask for where none is named, and in words why."""
    if options.resampling is None and options.clusters is None:
        if spread.misfits:
            # seeds that agree better than the law fits are not independent draws about it: settings are
            return replace(options, resampling="cluster"), " (settings: their seeds agree, the law does not)"
        if abs(lean) > advise.LEANS:  # signs of either kind would hide that most residuals have one
            return replace(options, resampling="case"), " (the law lies beside its points)"
    return options, ""


def _standard(
    law: Law, x: Mapping[str, Array], y_n: Array, found: Found, objective: Objective, weight_n: Array | None
) -> Array:
    """Residuals about the fit, each in units of its own noise."""
    return weighting.standardised(weighting.residuals(law, x, y_n, found.values, objective), weight_n, objective)


def _noise(
    law: Law, x: Mapping[str, Array], y_n: Array, found: Found, objective: Objective, weight_n: Array | None
) -> Noise:
    """The noise about the fit, told apart from the law's own error where seeds repeat."""
    squared_n = _standard(law, x, y_n, found, objective, weight_n) ** 2
    inverse_variance_n = None if weight_n is None else weight_n ** (2.0 / weighting.power(objective))
    seen_n = np.log(y_n) if objective.log else y_n
    return noise.estimate(noise.settings(x), seen_n, float(squared_n.sum()), len(law.names), inverse_variance_n)


def _intervals(
    names: tuple[str, ...], values: Array, draws: Array | None, tail: float, profiled: Mapping[str, ParameterProfile]
) -> dict[str, Interval]:
    if draws is None:
        plain = {name: Interval(float(value)) for name, value in zip(names, values, strict=True)}
        return plain | {name: profile.interval for name, profile in profiled.items()}
    return {name: percentile(float(values[k]), draws[:, k], tail) for k, name in enumerate(names)}


def derive(law: Law, values: Array, draws: Array | None, tail: float) -> dict[str, Interval]:
    """What follows from the parameters, with the interval that follows from theirs."""
    point = dict(zip(law.names, values, strict=True))
    many = dict(zip(law.names, draws.T, strict=True)) if draws is not None else None
    return {
        name: percentile(float(rule(point)), np.asarray(rule(many)), tail) if many else Interval(float(rule(point)))
        for name, rule in law.derived.items()
    }


def percentile(value: float, draws_B: Array, tail: float) -> Interval:
    """The percentile interval, with `tail` on either side, and standard error of draws around a value.

    The k-th of B ordered draws stands at k / (B + 1), so that few draws are as right on average as many.
    """
    finite_B = draws_B[np.isfinite(draws_B)]
    if len(finite_B) < 20:
        return Interval(value)
    low, high = np.quantile(finite_B, [tail, 1 - tail], method="weibull")
    with np.errstate(over="ignore"):  # the standard error of draws near the largest float is infinite
        return Interval(value, float(low), float(high), float(np.std(finite_B, ddof=1)))
