"""Weights: known standard errors, and a noise that falls with compute, estimated and believed."""

import numpy as np
import pytest
from scipy.optimize import minimize

from isostate.laws import LAWS, OBJECTIVES, fit_law
from isostate.laws.weighting import log_sd_slope
from tests.laws.planted import PLANTED

LAW, CASE = LAWS["chinchilla"], PLANTED["chinchilla"]
EXACT = LAW.predict(CASE.values, CASE.inputs)
LOG_C = np.log(CASE.inputs["N"] * CASE.inputs["D"])
PLAIN = {"bootstrap": 0, "profile_points": 0, "holdout": None, "starts": np.array([list(CASE.values.values())])}


def falling(seed, slope=-0.3, sd=0.01):
    """Losses whose noise falls as C^slope, sd at the mean of log C."""
    own_sd = sd * np.exp(slope * (LOG_C - LOG_C.mean()))
    return EXACT * np.exp(own_sd * np.random.default_rng(seed).normal(size=36)), own_sd


@pytest.mark.parametrize("objective", ["squares-log", "huber"])
def test_the_slope_is_the_most_likely_one(objective):
    rng = np.random.default_rng(0)
    noise = rng.normal(size=400) if objective == "squares-log" else rng.laplace(size=400)
    z = np.linspace(-3, 3, 400)
    residual = 0.01 * np.exp(-0.4 * z) * noise
    power = OBJECTIVES[objective].squares + 1

    def negative(theta):
        log_sd = theta[0] + theta[1] * z
        return np.sum(np.abs(residual / np.exp(log_sd)) ** power / power + log_sd)

    best = minimize(negative, [np.log(0.01), 0.0], method="BFGS", options={"gtol": 1e-8})
    slope, se = log_sd_slope(residual, z, OBJECTIVES[objective])
    assert slope == pytest.approx(best.x[1], abs=1e-5)
    assert slope == pytest.approx(-0.4, abs=3 * se)
    assert se == pytest.approx(np.sqrt(best.hess_inv[1, 1]), rel=0.2)


def test_noise_that_falls_with_compute_is_found_and_the_fit_is_nearer_the_truth():
    errors, slopes = [], []
    for seed in range(12):
        observed, _ = falling(seed)
        plain = fit_law(LAW, CASE.inputs, observed, objective="squares-log", **PLAIN)
        weighted = fit_law(
            LAW, CASE.inputs, observed, objective="squares-log", noise="log-variance-in-compute", **PLAIN
        )
        errors.append([abs(fit.values["E"] - CASE.values["E"]) for fit in (plain, weighted)])
        slopes.append(weighted.noise["log_sd_slope"])
    assert np.mean(slopes) == pytest.approx(-0.3, abs=0.03)
    assert weighted.noise["in"] == "N D"
    assert np.mean(errors, axis=0)[1] < 0.6 * np.mean(errors, axis=0)[0]


def test_known_standard_errors_are_inverse_variances_of_the_log_for_squares_and_inverse_scales_for_huber():
    observed, own_sd = falling(0)
    for objective, power in (("squares-log", 2), ("huber", 1)):
        told = fit_law(LAW, CASE.inputs, observed, objective=objective, standard_errors=own_sd * observed, **PLAIN)
        by_hand = fit_law(LAW, CASE.inputs, observed, objective=objective, weights=own_sd**-power, **PLAIN)
        assert told.values == pytest.approx(by_hand.values, rel=1e-6)
        weight = np.array([point["weight"] for point in told.points])
        assert weight / weight[0] == pytest.approx((own_sd / own_sd[0]) ** -power)


def test_weighted_intervals_cover_and_are_narrower_than_equal_ones():
    covered, widths = np.zeros((40, 5), bool), np.zeros((40, 2, 5))
    options = {**PLAIN, "objective": "squares-log", "resampling": "residual", "bootstrap": 200}
    for seed in range(40):
        observed, own_sd = falling(seed, slope=-0.4)
        for i, errors in enumerate((own_sd * observed, None)):
            fit = fit_law(LAW, CASE.inputs, observed, **options, standard_errors=errors)
            ends = np.array([[fit.params[name].low, fit.params[name].high] for name in LAW.names])
            widths[seed, i] = ends[:, 1] - ends[:, 0]
            if errors is not None:
                covered[seed] = (ends[:, 0] <= list(CASE.values.values())) & (list(CASE.values.values()) <= ends[:, 1])
    assert covered.mean() > 0.9
    assert np.median(widths[:, 0] / widths[:, 1]) < 0.5


def test_a_noise_that_grows_with_compute_is_an_alarm():
    observed, _ = falling(0, slope=0.3)
    fit = fit_law(LAW, CASE.inputs, observed, objective="squares-log", noise="log-variance-in-compute", **PLAIN)
    assert any("grows with compute" in alarm for alarm in fit.alarms)
