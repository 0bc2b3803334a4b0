"""The hold-out: fit the smaller points, predict the largest, which the fit has not seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from isostate.config import UserError
from isostate.laws import advise, resample
from isostate.laws.law import Array, Law
from isostate.laws.objectives import Objective
from isostate.laws.options import Options
from isostate.laws.problem import Problem
from isostate.laws.result import HoldOut
from isostate.laws.search import search, starting_points
from isostate.laws.weighting import power, residuals

MOST_DRAWS = 400  # a hold-out's interval needs no more


def held_out(x: Mapping[str, Array], n: int, choice: ArrayLike | str | None) -> NDArray[np.bool_]:
    """Which points are held out: given, none, or the largest tenth by the product of the inputs (N D is compute)."""
    if choice is None:
        return np.zeros(n, bool)
    if not isinstance(choice, str):
        chosen = np.asarray(choice, dtype=bool)
        if chosen.shape != (n,):
            raise UserError(f"the hold-out has shape {chosen.shape}, the table {n} points; give true or false a point")
        return chosen
    if choice != "largest":
        raise UserError(f"no hold-out {choice!r}; give 'largest', none, or true or false for each point")
    log_size_n = np.sum([np.log(column) for column in x.values()], axis=0)
    return np.asarray(log_size_n >= np.quantile(log_size_n, 0.9, method="higher"))


def predict_held_out(
    law: Law, x: Mapping[str, Array], y_n: Array, held_n: NDArray[np.bool_], theta_K: Array, objective: Objective,
    options: Options,
) -> HoldOut | None:  # fmt: skip
    """Fit without the held-out points, predict them; None where the rest cannot carry the law.

    `options.weights` are the weights of the fit of all points. The search starts from where that fit ended,
    `theta_K`, and from the law's own starts on the smaller points. The interval is one of a new point: from the
    bootstrap, or without one linear in the parameters.
    """
    small, large = ({s: c[mask] for s, c in x.items()} for mask in (~held_n, held_n))
    y_small = y_n[~held_n]
    if advise.cannot_carry(law, small):
        return None
    starts = law.natural(np.concatenate([theta_K[None], starting_points(law, small, y_small, None)]))
    kept = replace(
        options, starts=starts, bootstrap=min(options.bootstrap, MOST_DRAWS),
        weights=_subset(options.weights, ~held_n), clusters=_subset(options.clusters, ~held_n),
    )  # fmt: skip
    found = search(law, small, y_small, objective, kept)
    predicted_n = law.predict_batch(found.values[None], large)[0]
    order = int(np.argmax(np.sum([np.log(c) for c in large.values()], axis=0)))
    last = {s: c[order : order + 1] for s, c in large.items()}
    weight_last = 1.0 if options.weights is None else float(np.asarray(options.weights)[held_n][order])
    if not kept.bootstrap:
        low, high = _linear(law, small, y_small, found.theta, objective, kept, last, weight_last)
    else:
        draws = resample.bootstrap(law, small, y_small, found.theta, objective, kept)
        noise_B = _noise(law, small, y_small, found.values, objective, kept, weight_last)
        drawn_B = law.predict_batch(draws, last)[:, 0]
        drawn_B = drawn_B * np.exp(noise_B) if objective.log else drawn_B + noise_B
        units = resample.units(small, kept)
        tail = resample.tail(options.level, units, len(law.names), options.scheme)
        low, high = (float(end) for end in np.nanquantile(drawn_B, [tail, 1 - tail], method="weibull"))
    size = float(np.prod([c[order] for c in large.values()]))
    relative_n = predicted_n / y_n[held_n] - 1.0
    return HoldOut(
        size, float(y_n[held_n][order]), float(predicted_n[order]), low, high, int(held_n.sum()),
        float(np.mean(np.abs(relative_n))), float(np.mean(relative_n)),
    )  # fmt: skip


def _linear(
    law: Law, x: Mapping[str, Array], y_n: Array, theta_K: Array, objective: Objective, options: Options,
    last: Mapping[str, Array], weight_last: float,
) -> tuple[float, float]:  # fmt: skip
    """Student's interval of a new point with the gradient of its prediction and the information of the points."""
    weight_n = np.ones_like(y_n) if options.weights is None else np.asarray(options.weights, dtype=float)
    inverse_variance_n = weight_n ** (2.0 / power(objective))
    rss, matrix_KK = Problem(law, objective, x, y_n[None], inverse_variance_n[None]).information(theta_K)
    value_11, slope_1K1 = law.jacobian(theta_K[None], last)
    predicted = float(value_11[0, 0])
    slope_K = slope_1K1[0, :, 0] / (predicted if objective.log else 1.0)
    dof = max(int(np.count_nonzero(weight_n)) - len(law.names), 1)
    own = max(weight_last, 1e-300) ** (-2.0 / power(objective))
    spread = slope_K @ np.linalg.pinv(matrix_KK, rcond=1e-13, hermitian=True) @ slope_K
    half = float(stats.t.ppf(0.5 + options.level / 2, dof) * np.sqrt(rss / dof * (spread + own)))
    if objective.log:
        return predicted * float(np.exp(-half)), predicted * float(np.exp(half))
    return predicted - half, predicted + half


def _noise(
    law: Law, x: Mapping[str, Array], y_n: Array, values_K: Array, objective: Objective, options: Options,
    weight_last: float,
) -> Array:  # fmt: skip
    """Noise of one more point of that weight, one a draw: the fitted points' own, inflated to its true size."""
    weight_n = np.ones_like(y_n) if options.weights is None else np.asarray(options.weights, dtype=float)
    residual_n = residuals(law, x, y_n, values_K, objective)
    dof = max(int(np.count_nonzero(weight_n)) - len(law.names), 1)
    rng = np.random.default_rng([options.seed, 1])
    drawn_B = resample.noise(rng, residual_n, weight_n, objective, dof, (options.bootstrap, 1))[:, 0]
    if options.scheme in resample.ABOUT_THE_FIT:
        drawn_B = drawn_B * resample.sizes(options, dof)
    return np.asarray(drawn_B * max(weight_last, 1e-300) ** (-1.0 / power(objective)))


def _subset(column: ArrayLike | None, mask: NDArray[np.bool_]) -> Array | None:
    return None if column is None else np.asarray(column)[mask]
