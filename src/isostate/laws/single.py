"""Fitting a power law in one resource to a handful of points, honestly.

With four to six sizes and one to three seeds each, asymptotic and plain bootstrap intervals are far too narrow: three
parameters leave one to three degrees of freedom. So the intervals here are profile likelihood with the F(1, dof)
threshold (exact but for curvature), for parameters, band and hold-out alike. A residual bootstrap, whose every draw has
a size of noise that the degrees of freedom allow, stands beside them and carries what follows from the parameters. The
largest size is held out, refitted without, predicted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from isostate.laws import advise, noise, profiles, resample, separable
from isostate.laws.law import Array, Law
from isostate.laws.noise import Noise
from isostate.laws.objectives import OBJECTIVES
from isostate.laws.options import Options
from isostate.laws.power import STATE
from isostate.laws.result import Curve, Fit, HoldOut, Interval, ParameterProfile

GRID = 801  # exponents a profile is evaluated at; zooming makes the result exact, the grid only finds the basin
OBJECTIVE = "least squares on the loss, variable projection"
METHOD = "profile likelihood, F(1, dof) threshold"


def fit_state(x: ArrayLike, y: ArrayLike, **options: Any) -> Fit:
    """L(S) = L_inf + A S^-alpha; see `fit_power`."""
    return fit_power(STATE, x, y, **options)


def fit_power(
    law: Law,
    x: ArrayLike,
    y: ArrayLike,
    *,
    weights: ArrayLike | None = None,
    level: float = 0.95,
    bootstrap: int = 1000,
    seed: int = 0,
    holdout: bool = True,
) -> Fit:
    """Fits `law` (one input) to x (points,), y (points,): losses of single runs; equal x are seeds of one size.

    `weights` are relative inverse variances. Raises UserError for values that no loss or size can have; data that
    cannot carry the law give a Fit without parameters, with alarms and advice.
    """
    size_n, y_n, weight_n = _ordered(law, x, y, weights)
    is_last_n = size_n == size_n[-1]
    points = tuple(
        {"x": float(a), "y": float(b), "held_out": bool(c and holdout)}
        for a, b, c in zip(size_n, y_n, is_last_n, strict=True)
    )
    shared: dict[str, Any] = {
        "law": law,
        "objective": OBJECTIVE,
        "interval_method": METHOD,
        "level": level,
        "points": points,
    }
    refusal = advise.too_few(law, size_n)
    if refusal:
        return Fit(**shared, alarms=refusal.alarms, advice=refusal.advice)
    core = _core(law, size_n, y_n, weight_n, level)
    flat = not core.falls
    held = _hold_out(law, size_n, y_n, weight_n, is_last_n, level) if holdout and not flat else None
    words = advise.judge(law, size_n, y_n, core, held, wanted_holdout=holdout)
    if flat:
        return Fit(**shared, noise=core.noise.to_dict(), alarms=words.alarms, advice=words.advice)
    draws = _bootstrap(law, core, size_n, y_n, weight_n, bootstrap, seed) if bootstrap else None
    return Fit(
        **shared,
        **core.found(law),
        profiles=_profiles(law, core, size_n, y_n, weight_n, level),
        holdout=held,
        alarms=words.alarms,
        advice=words.advice,
        bootstrap=_percentiles(law, draws, level) if draws is not None else {},
        draws=draws,
    )


def _ordered(law: Law, x: ArrayLike, y: ArrayLike, weights: ArrayLike | None) -> tuple[Array, Array, Array]:
    """Checked sizes, losses and weights (mean 1), smallest size first."""
    x_n, y_n = advise.checked(law, {law.inputs[0]: x}, y)
    weight_n = np.ones_like(y_n) if weights is None else np.asarray(weights, dtype=float)
    order = np.argsort(x_n[law.inputs[0]], kind="stable")
    return x_n[law.inputs[0]][order], y_n[order], (weight_n / weight_n.mean())[order]


@dataclass(frozen=True)
class Core:
    """The fit of one set of points with everything its profile gives."""

    exponent: float
    linear: Array  # (L_inf, A)
    rss: float
    noise: Noise
    threshold: float
    profile: separable.Profile  # over the confidence region of the exponent
    params: dict[str, Interval]
    curve: Curve
    interior: bool  # the optimum is not on the exponent's bound
    open_ends: tuple[str, ...]  # sides on which the exponent's interval runs into the bound
    basin: int  # grid points from which descent leads to the optimum

    @property
    def falls(self) -> bool:
        """Whether the law beats a constant by more than rounding."""
        first, last = self.curve.y[0], self.curve.y[-1]
        return first - last > 1e-9 * first

    def found(self, law: Law) -> dict[str, Any]:
        """The fields of `Fit` that it settles."""
        at_zero = [name for name, value in zip(law.linear, self.linear, strict=True) if value <= 0.0]
        return {
            "params": self.params,
            "curve": self.curve,
            "converged": self.interior,
            "starts": GRID,
            "starts_at_optimum": self.basin,
            "objective_value": self.rss,
            "bound_hits": (*at_zero, *([] if self.interior else [law.nonlinear[0].name])),
            "noise": self.noise.to_dict(),
        }

    def predict(self, law: Law, x: Array) -> Array:
        values = [[*self.linear, self.exponent]]
        return law.predict_batch(np.array(values), {law.inputs[0]: x})[0]

    def band(self, law: Law, x: Array, extra: float = 0.0) -> tuple[Array, Array]:
        """Interval of the law at x, or of the mean of 1/extra new runs there."""
        columns_GnM = separable.columns(law, self.profile.grid_GQ, {law.inputs[0]: x})
        ends = [self.profile.interval(columns_GnM[:, i], self.threshold, extra) for i in range(len(x))]
        low, high = np.array(ends).T
        return np.maximum(low, 0.0), high


def _core(law: Law, size_n: Array, y_n: Array, weight_n: Array, level: float) -> Core:
    inputs = {law.inputs[0]: size_n}
    parameter = law.nonlinear[0]
    bounds = (parameter.low, parameter.high)
    coarse = separable.profile(law, separable.log_grid([bounds], GRID), inputs, y_n, weight_n)
    best = _zoom_to_optimum(law, coarse, inputs, y_n, weight_n)
    rss = float(best.rss_G[best.best])
    noise_model = noise.estimate(size_n, y_n, rss, len(law.parameters), weight_n)
    threshold = noise_model.threshold(rss, level)
    region = _zoom_to_region(law, coarse, best, threshold, inputs, y_n, weight_n)
    exponent, linear = float(best.grid_GQ[best.best, 0]), best.linear_GM[best.best]
    inside = region.grid_GQ[region.region(threshold), 0]
    low, high = float(inside.min(initial=exponent)), float(inside.max(initial=exponent))
    open_ends = tuple(
        side for side, reached in (("low", low <= bounds[0] * 1.001), ("high", high >= bounds[1] * 0.999)) if reached
    )
    identity = np.eye(2)
    params = {}
    for m, name in enumerate(law.linear):
        ends = region.interval(np.broadcast_to(identity[m], region.linear_GM.shape), threshold)
        params[name] = Interval(float(linear[m]), max(ends[0], 0.0), ends[1])
    params[parameter.name] = Interval(exponent, low, high)
    interior = bounds[0] * 1.001 < exponent < bounds[1] * 0.999
    core = Core(
        exponent, linear, rss, noise_model, threshold, region, params, Curve(), interior, open_ends,
        _basin(coarse.rss_G),
    )  # fmt: skip
    curve_x = np.geomspace(size_n[0], 2.0 * size_n[-1], 80)
    low_n, high_n = core.band(law, curve_x)
    curve = Curve(tuple(curve_x), tuple(core.predict(law, curve_x)), tuple(low_n), tuple(high_n))
    return Core(**{**core.__dict__, "curve": curve})


def _zoom_to_optimum(
    law: Law, coarse: separable.Profile, inputs: dict[str, Array], y_n: Array, weight_n: Array
) -> separable.Profile:
    """Ever finer grids around the best exponent until they are as fine as float64 resolves a minimum."""
    current = coarse
    for _ in range(5):
        index, last = current.best, len(current.grid_GQ) - 1
        low, high = current.grid_GQ[max(index - 1, 0), 0], current.grid_GQ[min(index + 1, last), 0]
        current = separable.profile(law, np.linspace(low, high, 65)[:, None], inputs, y_n, weight_n)
    return current


def _zoom_to_region(
    law: Law,
    coarse: separable.Profile,
    best: separable.Profile,
    threshold: float,
    inputs: dict[str, Array],
    y_n: Array,
    weight_n: Array,
) -> separable.Profile:
    """A grid over just the exponents whose profile is below the threshold, so that its edges are sharp."""
    centre = float(best.grid_GQ[best.best, 0])
    current = coarse
    for _ in range(6):
        grid, inside = current.grid_GQ[:, 0], current.region(threshold)
        low = grid[max(int(np.argmax(inside)) - 1, 0)] if inside.any() else grid[grid <= centre][-1]
        high = grid[::-1][max(int(np.argmax(inside[::-1])) - 1, 0)] if inside.any() else grid[grid >= centre][0]
        low, high = min(low, centre), max(high, centre)
        if inside.sum() > GRID // 2:
            break
        axis = np.union1d(np.geomspace(low, high, GRID), [centre])
        current = separable.profile(law, axis[:, None], inputs, y_n, weight_n)
    return current


def _basin(rss_G: Array) -> int:
    """Grid points from which walking downhill ends in the global minimum: the share of starts that reach it."""
    best = int(np.argmin(rss_G))
    rises_left = np.flatnonzero(np.diff(rss_G[: best + 1]) > 0)
    rises_right = np.flatnonzero(np.diff(rss_G[best:]) < 0)
    left = int(rises_left[-1]) + 1 if len(rises_left) else 0
    right = best + int(rises_right[0]) if len(rises_right) else len(rss_G) - 1
    return right - left + 1


def _hold_out(law: Law, size_n: Array, y_n: Array, weight_n: Array, is_last_n: Array, level: float) -> HoldOut | None:
    """Fit without the largest size, predict the mean of its runs; None where the rest cannot carry an interval."""
    kept_n = ~is_last_n.astype(bool)
    if advise.too_few(law, size_n[kept_n]):
        return None
    core = _core(law, size_n[kept_n], y_n[kept_n], weight_n[kept_n], level)
    if not core.falls:
        return None
    last = size_n[-1:]
    low, high = core.band(law, last, extra=1.0 / int(is_last_n.sum()))
    observed = float(np.mean(y_n[is_last_n.astype(bool)]))
    return HoldOut(float(last[0]), observed, float(core.predict(law, last)[0]), float(low[0]), float(high[0]))


def _bootstrap(law: Law, core: Core, size_n: Array, y_n: Array, weight_n: Array, resamples: int, seed: int) -> Array:
    """Refits to fitted values plus drawn residuals: draws (resamples, parameters).

    Residuals are drawn as in resample.py: smoothed, and in each draw of a size of its own that `core.noise` allows.
    """
    rng = np.random.default_rng(seed)
    fitted_n = core.predict(law, size_n)
    n, noise_model = len(y_n), core.noise
    drawn_Bn = resample.noise(
        rng, y_n - fitted_n, weight_n, OBJECTIVES["squares"], max(n - len(law.names), 1), (resamples, n)
    )
    size_B = resample.sizes(Options(bootstrap=resamples, seed=seed), max(noise_model.dof, 1))
    resampled_Bn = drawn_Bn * np.sqrt(noise_model.variance / noise_model.plain_variance) * size_B[:, None]
    y_Bn = fitted_n * np.sqrt(weight_n) + resampled_Bn
    parameter = law.nonlinear[0]
    grid_GQ = separable.log_grid([(parameter.low, parameter.high)], GRID // 2)
    columns_GnM = separable.columns(law, grid_GQ, {law.inputs[0]: size_n}) * np.sqrt(weight_n)[None, :, None]
    pieces = []
    rows = max(1, 4_000_000 // (len(grid_GQ) * n))  # keeps a piece's residuals under 32 MB
    for start in range(0, resamples, rows):
        linear_BGM, rss_BG = separable.solve(columns_GnM, y_Bn[start : start + rows])
        at_B = np.argmin(rss_BG, axis=1)
        chosen_BM = np.take_along_axis(linear_BGM, at_B[:, None, None], axis=1)[:, 0]
        pieces.append(np.concatenate([chosen_BM, grid_GQ[at_B]], axis=1))
    return np.concatenate(pieces)


def _profiles(
    law: Law, core: Core, size_n: Array, y_n: Array, weight_n: Array, level: float
) -> dict[str, ParameterProfile]:
    return profiles.projected(
        law, {law.inputs[0]: size_n}, y_n, weight_n, core.params, core.rss, core.noise.variance,
        core.noise.quantile(level), core.open_ends,
    )  # fmt: skip


def _percentiles(law: Law, draws_BK: Array, level: float) -> dict[str, Interval]:
    tail = (1.0 - level) / 2.0
    low_K, middle_K, high_K = np.quantile(draws_BK, [tail, 0.5, 1.0 - tail], axis=0)
    spread_K = np.std(draws_BK, axis=0, ddof=1)
    return {
        name: Interval(float(middle_K[k]), float(low_K[k]), float(high_K[k]), float(spread_K[k]))
        for k, name in enumerate(law.names)
    }
