"""Profile likelihood of any parameter: equal to the exact small-sample one, wide where nothing is known."""

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import least_squares

from isostate.laws import LAWS, OBJECTIVES, fit_law, fit_power
from isostate.laws.options import POINTS, Options
from isostate.laws.profiles import profiles
from isostate.laws.search import search
from tests.laws.planted import PLANTED
from tests.laws.public import epoch, needs_tables


def profiled(law, x, y, name):
    objective = OBJECTIVES[name]
    found = search(law, x, y, objective, Options())
    return profiles(law, x, y, found.theta, objective)


def noisy(law, case, sd=0.01):
    exact = law.predict(case.values, case.inputs)
    return exact * np.exp(sd * np.random.default_rng(0).normal(size=len(exact)))


def test_for_squares_it_equals_the_variable_projection_profile():
    law, case = LAWS["params"], PLANTED["params"]
    y = law.predict(case.values, case.inputs) + 0.01 * np.array([1, -1, 0.5, 1, -1, 0, 1, -0.5, -1])
    general = profiled(law, case.inputs, y, "squares")["alpha"].interval
    exact = fit_power(law, case.inputs["N"], y, bootstrap=0)
    alpha = exact.params["alpha"]
    assert (general.low, general.high) == (pytest.approx(alpha.low, rel=0.01), pytest.approx(alpha.high, rel=0.01))
    for name, profile in exact.profiles.items():
        ends = np.interp([exact.params[name].low, exact.params[name].high], profile.values, profile.rise)
        assert ends == pytest.approx(profile.threshold, rel=0.02), name


def test_a_parameter_the_points_do_not_show_has_an_open_end():
    law, case = LAWS["precision"], PLANTED["precision"]
    many_bits = {**case.inputs, "P": np.where(case.inputs["P"] > 7, 15.0, 16.0)}  # gamma acts only at few bits
    exact = law.predict(case.values, many_bits)
    y = exact * np.exp(0.01 * np.random.default_rng(0).normal(size=len(exact)))
    found = profiled(law, many_bits, y, "squares-log")
    assert found["gamma"].flat
    assert not found["alpha"].flat


def test_at_each_value_the_other_parameters_are_refitted_as_scipy_would():
    law, case = LAWS["chinchilla"], PLANTED["chinchilla"]
    y = noisy(law, case)
    profile = profiled(law, case.inputs, y, "squares-log")["alpha"]
    at = 8
    others = [name for name in law.names if name != "alpha"]

    def residual(theta):
        values = dict(zip(others, [*np.exp(theta[:3]), theta[3]], strict=True)) | {"alpha": profile.values[at]}
        return np.log(law.predict(values, case.inputs)) - np.log(y)

    start = np.array([*np.log([case.values[name] for name in others[:3]]), case.values["beta"]])
    rss = 2 * least_squares(residual, start, xtol=1e-15, ftol=1e-15, gtol=1e-15).cost
    lowest = fit_law(law, case.inputs, y, objective="squares-log", bootstrap=0, holdout=None).objective_value
    assert profile.rise[at] == pytest.approx(len(y) * np.log(rss / lowest), rel=1e-6)
    assert profile.threshold == pytest.approx(36 * np.log1p(stats.f.ppf(0.95, 1, 31) / 31))


@pytest.mark.parametrize("objective", ["huber", "squares-log", "likelihood"])
def test_a_profile_falls_to_the_fit_and_rises_from_it_and_ends_where_it_crosses(objective):
    # every point of it is a converged refit: one that got stuck would stand out of the valley
    law, case = LAWS["chinchilla"], PLANTED["chinchilla"]
    y = noisy(law, case)
    for profile in profiled(law, case.inputs, y, objective).values():
        middle = int(np.argmin(profile.rise))
        assert profile.values[middle] == pytest.approx(profile.interval.value)
        assert np.all(np.diff(profile.rise[: middle + 1]) < 0)
        assert np.all(np.diff(profile.rise[middle:]) > 0)
        ends = np.interp([profile.interval.low, profile.interval.high], profile.values, profile.rise)
        assert ends == pytest.approx(profile.threshold, rel=0.03)


def test_weights_count_as_the_points_they_stand_for():
    law, case = LAWS["chinchilla"], PLANTED["chinchilla"]
    y, weights = noisy(law, case), np.ones(36)
    weights[:2] = 0.0
    some = {symbol: column[2:] for symbol, column in case.inputs.items()}
    theta = search(law, some, y[2:], OBJECTIVES["squares-log"], Options()).theta
    weighted = profiles(law, case.inputs, y, theta, OBJECTIVES["squares-log"], weights=weights)
    dropped = profiles(law, some, y[2:], theta, OBJECTIVES["squares-log"])
    for name, profile in dropped.items():
        assert weighted[name].interval.low == pytest.approx(profile.interval.low, rel=1e-9)
        assert weighted[name].interval.high == pytest.approx(profile.interval.high, rel=1e-9)


def test_an_end_farther_than_five_standard_errors_is_looked_for_and_found():
    law, case = LAWS["precision"], PLANTED["precision"]
    some_bits = {**case.inputs, "P": np.where(case.inputs["P"] > 7, 15.0, 12.0)}  # gamma hardly acts: a long low tail
    y = law.predict(case.values, some_bits) * np.exp(0.003 * np.random.default_rng(0).normal(size=125))
    profile = profiled(law, some_bits, y, "squares-log")["gamma"]
    assert len(profile.values) > POINTS


@needs_tables
def test_on_the_epoch_table_equal_noise_is_too_kind_and_the_case_bootstrap_shows_it():
    # a profile takes the noise as equal and independent; the case bootstrap does not, and is wider on these points
    law, x = LAWS["chinchilla"], {"N": epoch()["N"], "D": epoch()["D"]}
    found = profiled(law, x, epoch()["L"], "likelihood")
    boot = fit_law(law, x, epoch()["L"], objective="huber", bootstrap=400, holdout=None)
    for name in ("E", "alpha", "beta"):
        profile, case = found[name].interval, boot.params[name]
        assert case.low < profile.low < case.value < profile.high < case.high
