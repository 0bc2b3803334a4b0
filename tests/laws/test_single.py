"""The state law and its siblings: planted values, honest intervals, hold-out, alarms, advice."""

import json

import numpy as np
import pytest

from isostate.laws import LAWS, fit_power, fit_state
from isostate.laws.consequences import prediction

STATE_SIZES = np.array([2048.0, 4096, 8192, 16384, 32768])
PLANTED = {"L_inf": 1.5, "A": 20.0, "alpha": 0.45}


def planted(sizes):
    return PLANTED["L_inf"] + PLANTED["A"] * sizes ** -PLANTED["alpha"]


@pytest.mark.parametrize("name", ["state", "params", "tokens", "compute", "context"])
def test_a_planted_power_law_comes_back_from_noise_free_data(name):
    fit = fit_power(LAWS[name], STATE_SIZES, planted(STATE_SIZES), bootstrap=0)
    assert fit.values == pytest.approx(PLANTED, rel=1e-6)
    assert fit.holdout.error == pytest.approx(0.0, abs=1e-9)
    assert fit.converged


@pytest.mark.slow
def test_intervals_cover_what_was_planted_at_their_level():
    rng = np.random.default_rng(3)
    covered, studies = np.zeros(5), 150
    for _ in range(studies):
        fit = fit_state(STATE_SIZES, planted(STATE_SIZES) + 0.004 * rng.normal(size=5), bootstrap=0)
        hits = [fit.params[name].low <= value <= fit.params[name].high for name, value in PLANTED.items()]
        truth = planted(np.array(fit.curve.x[-1:]))[0]
        covered += [*hits, fit.curve.low[-1] <= truth <= fit.curve.high[-1], fit.holdout.covered]
    # three standard errors of a binomial at 0.95 over 150 studies is 0.053
    assert np.all(covered / studies > 0.95 - 0.054), covered / studies


@pytest.mark.slow
def test_the_bootstrap_of_five_points_is_as_wide_as_the_profile_and_that_of_their_bare_residuals_is_not():
    losses = planted(STATE_SIZES) + 0.004 * np.random.default_rng(0).normal(size=5)
    fit = fit_state(STATE_SIZES, losses)
    profile, boot = fit.params["alpha"], fit.bootstrap["alpha"]
    assert boot.high - boot.low == pytest.approx(profile.high - profile.low, rel=0.15)
    residual = losses - fit.predict({"S": STATE_SIZES})
    drawn = residual[np.random.default_rng(0).integers(0, 5, (60, 5))]
    bare = [fit_state(STATE_SIZES, losses - residual + noise, bootstrap=0).values["alpha"] for noise in drawn]
    assert np.ptp(np.quantile(bare, [0.025, 0.975])) < 0.6 * (profile.high - profile.low)


@pytest.mark.slow
def test_what_follows_from_the_draws_of_five_points_covers():
    truth = planted(2.0 * STATE_SIZES[-1])
    covered = 0
    for seed in range(100):
        losses = planted(STATE_SIZES) + 0.003 * np.random.default_rng(seed).normal(size=5)
        found = prediction(fit_state(STATE_SIZES, losses, bootstrap=200, seed=seed), S=2.0 * STATE_SIZES[-1])
        covered += found.low <= truth <= found.high
    assert covered >= 88, "plain residual draws covered 83 of 100"


def test_seeds_that_agree_with_the_law_are_pooled_and_narrow_the_interval():
    rng = np.random.default_rng(1)
    sizes = np.repeat(STATE_SIZES, 3)
    many = fit_state(sizes, planted(sizes) + 0.004 * rng.normal(size=15))
    one = fit_state(STATE_SIZES, planted(STATE_SIZES) + 0.004 * rng.normal(size=5))
    assert many.noise["dof"] == 12
    assert many.noise["seed_sd"] == pytest.approx(0.004, rel=0.5)
    assert many.params["alpha"].high - many.params["alpha"].low < one.params["alpha"].high - one.params["alpha"].low


def test_seeds_do_not_hide_a_misfit_of_the_sizes():
    sizes = np.repeat(STATE_SIZES, 3)
    bump = np.where(sizes == 8192, 0.05, 0.0)
    fit = fit_state(sizes, planted(sizes) + bump + 1e-4 * np.tile([-1.0, 0.0, 1.0], 5))
    assert fit.noise["dof"] == 2, "five sizes less three parameters, however many seeds"
    assert any("lack of fit" in alarm for alarm in fit.alarms)


def test_the_largest_state_is_held_out_and_predicted():
    fit = fit_state(STATE_SIZES, planted(STATE_SIZES) + np.array([0.002, -0.001, 0.001, 0.0, 0.001]))
    assert fit.holdout.x == 32768
    assert [point["held_out"] for point in fit.points] == [False] * 4 + [True]
    assert fit.holdout.covered
    assert not any("hold-out missed" in alarm for alarm in fit.alarms)


def test_a_hold_out_that_misses_is_an_alarm():
    losses = planted(STATE_SIZES) + np.array([1e-5, -1e-5, 1e-5, -1e-5, 0.2])
    assert any("hold-out missed" in alarm for alarm in fit_state(STATE_SIZES, losses).alarms)


def test_three_points_are_a_result_with_advice_and_no_number():
    fit = fit_state(STATE_SIZES[:3], planted(STATE_SIZES[:3]))
    assert fit.params == {}
    assert "too few points" in fit.alarms[0]
    assert "at least 1 more" in fit.advice[0]


def test_the_same_seed_gives_the_same_fit_and_plain_json():
    losses = planted(STATE_SIZES) + np.array([0.002, -0.001, 0.001, 0.0, 0.001])
    first, second = (fit_state(STATE_SIZES, losses, seed=5).to_dict() for _ in range(2))
    assert json.dumps(first, allow_nan=False) == json.dumps(second, allow_nan=False)
    wanted = {"law", "equation", "objective", "level", "points", "params", "curve", "holdout", "converged"}
    assert wanted | {"starts", "starts_at_optimum", "alarms", "advice"} <= set(first)
    assert set(first["params"]["alpha"]) >= {"value", "low", "high"}
