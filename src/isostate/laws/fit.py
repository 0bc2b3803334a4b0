"""Fitting any law to any table: thousands of starts, the objective by name, bootstrap, profiles, hold-out, alarms.

For a power law in one resource with a handful of points use `single.fit_power`, whose intervals are made for that.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isostate.config import UserError, nearest
from isostate.laws import advise, resample, separable
from isostate.laws.law import Array, Law
from isostate.laws.minimise import minimise
from isostate.laws.objectives import OBJECTIVES, Objective
from isostate.laws.problem import Problem
from isostate.laws.profiles import POINTS, profiles
from isostate.laws.result import Fit, HoldOut, Interval, ParameterProfile

SAME_OPTIMUM = 1e-6  # relative distance in objective at which two starts count as having found the same optimum
NEAR = 1e-3  # and at which a start is worth polishing to see whether it has
Starts = Literal["grid", "projected"]


@dataclass(frozen=True)
class Options:
    """How to fit. `clusters` (points,) are runs whose points stand or fall together; `weights` inverse variances.

    `bootstrap` resamples and `profile_points` values of each parameter's profile take most of the time: 0 leaves them
    out. Intervals of parameters are the bootstrap's; without one, the profile's.
    """

    objective: str | None = None  # None: the one of the law's source
    starts: Starts | Array | None = None  # None: projected where the law has linear parameters
    bootstrap: int = 1000
    profile_points: int = POINTS
    resampling: resample.Scheme = "case"
    clusters: ArrayLike | None = None
    weights: ArrayLike | None = None
    level: float = 0.95
    holdout: ArrayLike | Literal["largest"] | None = "largest"  # True where a point is held out
    seed: int = 0
    threads: int = 2


def fit_law(law: Law, x: Mapping[str, ArrayLike], y: ArrayLike, options: Options | None = None, **named: Any) -> Fit:
    """Fits `law` to inputs x (symbol -> (points,)) and losses y (points,); `named` are fields of Options.

    Raises UserError for values that cannot be. Data that cannot carry the law give a Fit without parameters.
    """
    options = replace(options or Options(), **named)
    objective = objective_named(options.objective or law.objective)
    inputs, y_n = advise.checked(law, x, y)
    held_n = held_out(inputs, len(y_n), options.holdout)
    points = tuple(
        {**{s: float(c[i]) for s, c in inputs.items()}, "y": float(y_n[i]), "held_out": bool(held_n[i])}
        for i in range(len(y_n))
    )
    empty = Fit(law, objective.words, _method(options), options.level, points)
    refusal = advise.cannot_carry(law, inputs)
    if refusal:
        return replace(empty, alarms=refusal.alarms, advice=refusal.advice)
    found = search(law, inputs, y_n, objective, options)
    tail = resample.tail(options.level, len(y_n), len(law.names), options.resampling)
    draws = None
    if options.bootstrap:
        draws = resample.bootstrap(law, inputs, y_n, found.theta, objective, options)
    profiled = {}
    if options.profile_points:
        profiled = profiles(
            law, inputs, y_n, found.theta, objective, options.level, weights=options.weights,
            points=options.profile_points, threads=options.threads,
        )  # fmt: skip
    held = None
    if held_n.any():
        held = _predict_held_out(law, inputs, y_n, held_n, found.theta, objective, options)
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
        diagnostics={"condition": found.condition, "objective_name": objective.name},
        profiles=profiled,
        draws=draws,
    )
    words = advise.judge_many(fit, inputs, y_n)
    return replace(fit, alarms=words.alarms, advice=words.advice)


@dataclass(frozen=True)
class Found:
    """The best of many starts; `theta` (K,) in search coordinates, `values` (K,) in natural units."""

    theta: Array
    values: Array
    value: float  # of the objective as published
    starts: int
    at_optimum: int
    converged: bool
    condition: float


def search(law: Law, x: Mapping[str, Array], y_n: Array, objective: Objective, options: Options) -> Found:
    """The best optimum from all starts, and how many of them reached it."""
    starts_BK = starting_points(law, x, y_n, options.starts)
    weight_n = np.ones_like(y_n) if options.weights is None else np.asarray(options.weights, dtype=float)
    problem = Problem(law, objective, x, y_n[None], weight_n[None])
    theta_BK, value_B = minimise(problem, starts_BK, threads=options.threads, polish=False)
    scale = float(len(y_n)) if objective.name == "likelihood" else abs(float(value_B.min()))
    near = np.flatnonzero(value_B <= value_B.min() + NEAR * scale)  # the rest ended in other optima
    theta_BK[near], value_B[near] = minimise(problem, theta_BK[near], threads=options.threads)
    best = int(np.argmin(value_B))
    theta_1K, value_1 = minimise(problem, theta_BK[best : best + 1])
    lowest = float(value_1[0])
    # a likelihood may pass through zero and squares of exact data reach it, so distance is also measured absolutely
    slack = SAME_OPTIMUM * (len(y_n) if objective.name == "likelihood" else max(abs(lowest), 1e-12 * len(y_n)))
    at_optimum = int(np.sum(value_B <= lowest + slack))
    _, _, matrix_BKK = problem.normal_equations(theta_1K, np.arange(1))
    size_K = np.sqrt(np.maximum(np.diag(matrix_BKK[0]), 1e-300))
    condition = float(np.linalg.cond(matrix_BKK[0] / np.outer(size_K, size_K)))
    published = lowest * objective.scale / (len(y_n) if objective.name == "huber-mean" else 1)
    values = law.natural(theta_1K)[0]
    finite = bool(np.isfinite(lowest) and np.all(np.isfinite(values)))
    return Found(theta_1K[0], values, published, len(starts_BK), at_optimum, finite and at_optimum > 0, condition)


def starting_points(law: Law, x: Mapping[str, Array], y_n: Array, starts: Starts | Array | None) -> Array:
    """Starts in search coordinates: the law's grid, or exponents from a grid with the linear parameters solved for."""
    if isinstance(starts, np.ndarray):
        return law.internal(np.atleast_2d(starts))
    if starts == "grid" or not law.linear:
        return law.start_grid()
    few = len(law.nonlinear) <= 3  # a finer grid of exponents where there are few of them
    axes = [_dense(parameter.starts) if few else np.asarray(parameter.starts) for parameter in law.nonlinear]
    grid_GQ = np.array(list(itertools.product(*axes)), dtype=float)
    columns_GnM = separable.columns(law, grid_GQ, x) / y_n[None, :, None]  # relative errors, as in a log objective
    linear_BGM, _ = separable.solve(columns_GnM, np.ones((1, len(y_n))))
    share_GM = 1e-3 / np.maximum(np.abs(columns_GnM).max(axis=1), 1e-300)  # where the solution is on its bound 0
    linear_GM = np.where(linear_BGM[0] > 0, linear_BGM[0], share_GM)
    values = {p.name: grid_GQ[:, q] for q, p in enumerate(law.nonlinear)}
    values |= {name: linear_GM[:, m] for m, name in enumerate(law.linear)}
    return law.internal(np.stack([values[name] for name in law.names], axis=1))


def _dense(starts: tuple[float, ...]) -> Array:
    """The starts that are not zero, with their midpoints: a projected search affords them."""
    kept = np.array([start for start in starts if start != 0.0])
    return np.unique(np.concatenate([kept, 0.5 * kept[:1], 0.5 * (kept[1:] + kept[:-1])]))


def held_out(x: Mapping[str, Array], n: int, choice: ArrayLike | str | None) -> NDArray[np.bool_]:
    """Which points are held out: given, none, or the largest tenth by the product of the inputs (N D is compute)."""
    if choice is None:
        return np.zeros(n, bool)
    if not isinstance(choice, str):
        return np.asarray(choice, dtype=bool)
    log_size_n = np.sum([np.log(column) for column in x.values()], axis=0)
    return log_size_n >= np.quantile(log_size_n, 0.9, method="higher")


def objective_named(name: str) -> Objective:
    """The objective, or a UserError that names those there are."""
    if name not in OBJECTIVES:
        raise UserError(f"no objective {name!r}{nearest(name, OBJECTIVES)}; there are {', '.join(OBJECTIVES)}")
    return OBJECTIVES[name]


def _predict_held_out(
    law: Law, x: Mapping[str, Array], y_n: Array, held_n: NDArray[np.bool_], theta: Array, objective: Objective,
    options: Options,
) -> HoldOut | None:  # fmt: skip
    """Fit without the held-out points, predict them; None where the rest cannot carry the law."""
    small, large = ({s: c[mask] for s, c in x.items()} for mask in (~held_n, held_n))
    if advise.cannot_carry(law, small):
        return None
    kept = replace(options, starts=law.natural(theta[None]), weights=_subset(options.weights, ~held_n))
    kept = replace(kept, clusters=_subset(options.clusters, ~held_n), bootstrap=min(options.bootstrap, 400))
    own = starting_points(law, small, y_n[~held_n], None)
    kept = replace(kept, starts=np.concatenate([law.natural(theta[None]), law.natural(own)]))
    found = search(law, small, y_n[~held_n], objective, kept)
    predicted_n = law.predict_batch(found.values[None], large)[0]
    order = int(np.argmax(np.sum([np.log(c) for c in large.values()], axis=0)))
    low = high = float(predicted_n[order])
    if kept.bootstrap:
        draws = resample.bootstrap(law, small, y_n[~held_n], found.theta, objective, kept)
        log_residual_n = np.log(y_n[~held_n]) - np.log(law.predict_batch(found.values[None], small)[0])
        noise_B = np.random.default_rng(options.seed + 1).choice(log_residual_n, len(draws))
        inflation = np.sqrt(len(log_residual_n) / max(len(log_residual_n) - len(law.names), 1))
        last = {s: c[order : order + 1] for s, c in large.items()}
        drawn_B = law.predict_batch(draws, last)[:, 0] * np.exp(noise_B * inflation)
        tail = resample.tail(options.level, int((~held_n).sum()), len(law.names), options.resampling)
        low, high = (float(end) for end in np.nanquantile(drawn_B, [tail, 1 - tail]))
    size = float(np.prod([c[order] for c in large.values()]))
    relative_n = predicted_n / y_n[held_n] - 1.0
    return HoldOut(
        size, float(y_n[held_n][order]), float(predicted_n[order]), low, high, int(held_n.sum()),
        float(np.mean(np.abs(relative_n))), float(np.mean(relative_n)),
    )  # fmt: skip


def _subset(column: ArrayLike | None, mask: NDArray[np.bool_]) -> Array | None:
    return None if column is None else np.asarray(column)[mask]


def _method(options: Options) -> str:
    if options.bootstrap:
        return f"percentile bootstrap, {options.resampling}"
    return "profile likelihood" if options.profile_points else "none"


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
    """The percentile interval, with `tail` on either side, and standard error of draws around a value."""
    finite_B = draws_B[np.isfinite(draws_B)]
    if len(finite_B) < 20:
        return Interval(value)
    low, high = np.quantile(finite_B, [tail, 1 - tail])
    return Interval(value, float(low), float(high), float(np.std(finite_B, ddof=1)))
