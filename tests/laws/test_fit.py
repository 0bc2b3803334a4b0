"""Fitting in general: planted laws return, intervals follow, tables that cannot carry a law are refused in words."""

import json
import math

import numpy as np
import pytest

from isostate.config import UserError
from isostate.laws import LAWS, fit_law
from isostate.laws.fit import percentile
from tests.laws.planted import PLANTED


@pytest.mark.parametrize("name", LAWS)
def test_every_planted_law_comes_back_from_noise_free_data_to_1e_6(name):
    law, case = LAWS[name], PLANTED[name]
    observed = law.predict(case.values, case.inputs)
    fit = fit_law(law, case.inputs, observed, bootstrap=0, holdout=None)
    assert fit.values == pytest.approx(case.values, rel=1e-6)
    assert fit.converged


def noisy(name="chinchilla", sd=0.01, seed=0):
    law, case = LAWS[name], PLANTED[name]
    exact = law.predict(case.values, case.inputs)
    return law, case, exact * np.exp(sd * np.random.default_rng(seed).normal(size=len(exact)))


def test_a_fit_names_its_objective_and_carries_intervals_hold_out_and_shares():
    law, case, observed = noisy()
    fit = fit_law(law, case.inputs, observed, bootstrap=200)
    assert "Huber" in fit.objective
    assert 0 < fit.starts_at_optimum <= fit.starts
    for interval in [*fit.params.values(), *fit.derived.values()]:
        assert interval.low < interval.value < interval.high
    assert fit.derived["a"].value == pytest.approx(fit.values["beta"] / (fit.values["alpha"] + fit.values["beta"]))
    assert fit.holdout.n == 4
    assert fit.holdout.mean_abs_error < 0.05
    assert fit.holdout.low < fit.holdout.predicted < fit.holdout.high


def test_a_fit_carries_the_profile_of_each_parameter_unless_told_not_to():
    law, case, observed = noisy()
    fit = fit_law(law, case.inputs, observed, bootstrap=0, holdout=None)
    assert set(fit.profiles) == set(law.names)
    assert fit.interval_method == "profile likelihood"
    assert fit.params["alpha"] == fit.profiles["alpha"].interval
    plain = json.loads(json.dumps(fit.to_dict(), allow_nan=False))["profiles"]["alpha"]
    assert len(plain["values"]) == len(plain["rise"]) == len(fit.profiles["alpha"].values)
    assert np.interp(plain["interval"]["low"], plain["values"], plain["rise"]) == pytest.approx(
        plain["threshold"], rel=0.05
    )
    without = fit_law(law, case.inputs, observed, bootstrap=0, profile_points=0, holdout=None)
    assert (without.profiles, without.interval_method) == ({}, "none")
    assert without.params["alpha"].low is None


def test_a_term_that_the_points_do_not_show_is_told_by_bound_and_by_profile():
    law, case, _ = noisy()
    no_data_term = {**case.values, "B": 1e-30}
    observed = law.predict(no_data_term, case.inputs) * np.exp(0.01 * np.random.default_rng(1).normal(size=36))
    fit = fit_law(law, case.inputs, observed, bootstrap=0, holdout=None)
    assert fit.profiles["beta"].flat or "B" in fit.bound_hits
    assert any("flat" in alarm or "on its bound" in alarm for alarm in fit.alarms), fit.alarms
    assert any("not identified" in line or "do not show" in line for line in fit.advice)
    shown = fit_law(law, case.inputs, noisy()[2], bootstrap=0, holdout=None)
    assert shown.bound_hits == ()
    assert not any(profile.flat for profile in shown.profiles.values())


def test_the_same_seed_gives_the_same_numbers_whatever_the_threads():
    law, case, observed = noisy()
    one, two = (fit_law(law, case.inputs, observed, bootstrap=400, seed=3, threads=t).to_dict() for t in (1, 2))
    assert one == two


def test_weights_of_zero_drop_a_point():
    law, case, observed = noisy()
    spoiled, weights = observed.copy(), np.ones_like(observed)
    spoiled[7], weights[7] = 9.0, 0.0
    kept = np.arange(len(observed)) != 7
    whole = fit_law(law, case.inputs, spoiled, weights=weights, bootstrap=0, holdout=None)
    without = fit_law(law, {s: c[kept] for s, c in case.inputs.items()}, observed[kept], bootstrap=0, holdout=None)
    assert whole.values == pytest.approx(without.values, rel=1e-5)


@pytest.mark.parametrize(
    ("change", "alarm"),
    [
        (lambda x, y: ({**x, "N": np.full_like(y, 1e8)}, y), "N is 1e+08 in every run"),
        (lambda x, y: ({s: c[:1] for s, c in x.items()}, y[:1]), "too few points"),
        (lambda x, y: ({s: c[:5] for s, c in x.items()}, y[:5]), "too few points"),
        (lambda x, y: ({s: np.repeat(c[:1], 36) for s, c in x.items()}, y), "too few points"),
    ],
)
def test_a_table_that_cannot_carry_the_law_is_a_result_with_advice(change, alarm):
    law, case, observed = noisy()
    fit = fit_law(law, *change(dict(case.inputs), observed), bootstrap=0)
    assert fit.params == {}
    assert fit.advice
    assert any(alarm in text for text in fit.alarms), fit.alarms


def test_duplicated_points_perplexities_and_averaged_huber_raise_alarms():
    law, case, observed = noisy()
    twice = {s: np.tile(c, 2) for s, c in case.inputs.items()}
    doubled = fit_law(law, twice, np.tile(observed, 2), bootstrap=0, holdout=None)
    assert "36 rows repeat others exactly" in doubled.alarms
    perplexity = fit_law(law, case.inputs, 100 * observed, bootstrap=0, holdout=None)
    assert any("cannot be nats" in alarm for alarm in perplexity.alarms)
    averaged = fit_law(law, case.inputs, observed, objective="huber-mean", bootstrap=0, holdout=None)
    assert any("averaged Huber" in alarm for alarm in averaged.alarms)


def test_nan_in_the_table_is_refused_in_one_line():
    law, case, observed = noisy()
    observed[3] = np.nan
    with pytest.raises(UserError, match="'L', row 4"):
        fit_law(law, case.inputs, observed)


def seeded(misfit=0.0, seeds=3):
    """Three seeds a setting of the planted surface; `misfit` is an error that the seeds of a setting share."""
    law, case = LAWS["chinchilla"], PLANTED["chinchilla"]
    rng = np.random.default_rng(2)
    exact = law.predict(case.values, case.inputs) * np.exp(misfit * rng.normal(size=36))
    x = {symbol: np.repeat(column, seeds) for symbol, column in case.inputs.items()}
    return law, x, np.repeat(exact, seeds) * np.exp(0.004 * rng.normal(size=36 * seeds))


def test_seed_noise_is_estimated_where_seeds_repeat():
    law, x, observed = seeded()
    fit = fit_law(law, x, observed, objective="squares-log", bootstrap=0, profile_points=0, holdout=None)
    assert fit.noise["seed_sd"] == pytest.approx(0.004, rel=0.15)
    assert fit.noise["of"] == "log residual"
    assert "pooled" in fit.noise["source"]
    assert fit.noise["dof"] == 108 - 5
    _, case, single = noisy()
    lone = fit_law(law, case.inputs, single, bootstrap=0, profile_points=0, holdout=None)
    assert lone.noise["seed_sd"] is None
    assert lone.noise["dof"] == 31


def test_seeds_that_agree_better_than_the_law_fits_do_not_narrow_the_intervals():
    law, x, observed = seeded(misfit=0.02)
    options = {"objective": "squares-log", "bootstrap": 400, "holdout": None}
    fit = fit_law(law, x, observed, **options)
    assert any("lack of fit" in alarm for alarm in fit.alarms)
    assert "cluster" in fit.interval_method
    assert fit.noise["dof"] == 36 - 5
    assert fit.noise["seed_sd"] == pytest.approx(0.004, rel=0.15)
    # three seeds a setting tell no more of it than their mean
    mean = np.exp(np.log(observed).reshape(36, 3).mean(axis=1))
    alone = fit_law(law, {s: c[::3] for s, c in x.items()}, mean, **options, resampling="case")
    for name in law.names:
        width, honest = (f.params[name].high - f.params[name].low for f in (fit, alone))
        assert width == pytest.approx(honest, rel=0.05)
        ends, honest_ends = (f.profiles[name].interval for f in (fit, alone))
        assert ends.high - ends.low == pytest.approx(honest_ends.high - honest_ends.low, rel=0.1)
    named = fit_law(law, x, observed, **options, resampling="residual")
    assert any("drawn apart" in alarm for alarm in named.alarms)
    assert not any("drawn apart" in alarm for alarm in fit.alarms)


def test_the_bootstrap_is_the_one_named_else_by_clusters_else_local():
    law, case, observed = noisy()
    options = {"bootstrap": 100, "profile_points": 0, "holdout": None}
    clusters = np.repeat(np.arange(12), 3)
    for named, expected in (({}, "local"), ({"resampling": "wild"}, "wild"), ({"clusters": clusters}, "cluster")):
        assert fit_law(law, case.inputs, observed, **options, **named).interval_method.endswith(expected)


def test_a_law_that_lies_beside_its_points_is_an_alarm_and_its_cases_are_drawn():
    law, case = LAWS["repetition"], PLANTED["repetition"]
    exact = law.predict(case.values, case.inputs) * np.exp(0.003 * np.random.default_rng(0).normal(size=50))
    options = {"bootstrap": 100, "profile_points": 0, "holdout": None}
    # its single-epoch law is held fixed, so that a floor which is lower than assumed cannot be fitted
    beyond = exact - 0.5
    right, beside = (fit_law(law, case.inputs, y, **options) for y in (exact, beyond))
    assert not any("lies" in alarm for alarm in right.alarms)
    assert right.interval_method == "percentile bootstrap, local"
    assert any("the law lies above most of its points" in alarm for alarm in beside.alarms)
    assert beside.interval_method == "percentile bootstrap, case (the law lies beside its points)"
    named = fit_law(law, case.inputs, beyond, resampling="residual", **options)
    assert named.interval_method == "percentile bootstrap, residual"


def test_draws_near_the_largest_float_have_ends_and_an_infinite_error():
    found = percentile(1.0, 1e300 * np.arange(1.0, 100.0), 0.025)
    assert (found.low, found.high) == (pytest.approx(2.5e300), pytest.approx(9.75e301))
    assert found.se == math.inf
