"""Bootstraps draw what they say they draw."""

import json
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from scipy import stats

from isostate.laws import LAWS, Options
from isostate.laws.objectives import OBJECTIVES
from isostate.laws.options import Scheme
from isostate.laws.resample import bootstrap, counts, sizes, tail, targets, units
from isostate.laws.weighting import leverage
from tests.laws.planted import PLANTED

LAW, CASE = LAWS["params"], PLANTED["params"]
THETA = LAW.internal(np.array([[CASE.values[name] for name in LAW.names]]))[0]
OBSERVED = LAW.predict(CASE.values, CASE.inputs) * np.exp(0.01 * np.array([1, -1, 1, 0, -1, 1, -1, 0, 1]))


def test_a_case_draw_has_as_many_runs_and_a_cluster_draw_keeps_clusters_whole():
    rng = np.random.default_rng(0)
    assert np.all(counts(rng, CASE.inputs, Options(bootstrap=50)).sum(axis=1) == 9)
    clusters = np.repeat([0, 1, 2], 3)
    options = Options(bootstrap=50, resampling="cluster", clusters=clusters)
    drawn = counts(rng, CASE.inputs, options)
    assert np.all(drawn[:, 0] == drawn[:, 1])
    assert np.all(drawn[:, ::3].sum(axis=1) == 3)
    assert (units(CASE.inputs, options), units(CASE.inputs, Options())) == (3, 9)


def test_clusters_that_are_not_named_are_the_settings():
    seeds = {"N": np.tile(CASE.inputs["N"], 2)}
    options = Options(bootstrap=50, resampling="cluster")
    drawn = counts(np.random.default_rng(0), seeds, options)
    np.testing.assert_array_equal(drawn[:, :9], drawn[:, 9:])
    assert units(seeds, options) == 9


def test_residuals_are_drawn_in_units_of_each_points_own_noise():
    weights = np.geomspace(1.0, 1e4, 9)
    made = targets(
        np.random.default_rng(0), LAW, CASE.inputs, OBSERVED, THETA, OBJECTIVES["squares-log"],
        Options(bootstrap=4000, resampling="residual", weights=weights),
    )  # fmt: skip
    spread = np.log(made).std(axis=0)
    assert spread / spread[0] == pytest.approx(weights**-0.5, rel=0.1)


def test_a_wild_draw_only_flips_each_points_own_residual_and_takes_a_size():
    options = Options(bootstrap=40, resampling="wild")
    objective = OBJECTIVES["squares-log"]
    made = targets(np.random.default_rng(0), LAW, CASE.inputs, OBSERVED, THETA, objective, options)
    exact = LAW.predict(CASE.values, CASE.inputs)
    drawn = (np.log(made) - np.log(exact)) / sizes(options, 6)[:, None]
    np.testing.assert_allclose(np.abs(drawn), np.abs(drawn[:1]).repeat(40, 0), atol=1e-12)
    # freed of its leverage, by which the fit drew it to itself
    shown = leverage(LAW, CASE.inputs, THETA, np.ones(9), objective)
    np.testing.assert_allclose(np.abs(drawn[0]), np.abs(np.log(OBSERVED / exact)) / np.sqrt(1 - shown), rtol=1e-9)
    assert shown.sum() == pytest.approx(3.0), "as many as parameters"


def test_where_absolute_errors_pass_through_points_a_wild_draw_gives_them_other_sizes():
    objective = OBJECTIVES["huber"]
    residual = np.array([0.0, 0.02, -0.01, 0.0, 0.03, -0.02, 0.01, 0.0, -0.03])
    observed = LAW.predict(CASE.values, CASE.inputs) * np.exp(residual)
    options = Options(bootstrap=400, resampling="wild")
    made = targets(np.random.default_rng(0), LAW, CASE.inputs, observed, THETA, objective, options)
    drawn = np.log(made) - np.log(LAW.predict(CASE.values, CASE.inputs))
    size = np.abs(drawn / sizes(options, 6)[:, None])
    assert np.all(size > 0.009), "no point without noise"
    own = [1, 2, 4, 5, 6, 8]
    np.testing.assert_allclose(size[:, own], np.repeat(size[:1, own], 400, axis=0), atol=1e-12)
    assert all(len(np.unique(size[:, through].round(9))) > 3 for through in (0, 3, 7))
    # under squares, and where most residuals lie within the parabola, a residual of 0 is one
    for kind, scale in (("squares-log", 1.0), ("huber", 0.01)):
        small = LAW.predict(CASE.values, CASE.inputs) * np.exp(scale * residual)
        kept = targets(np.random.default_rng(0), LAW, CASE.inputs, small, THETA, OBJECTIVES[kind], options)
        assert np.log(kept[:, 0]) == pytest.approx(np.log(small[0]), abs=1e-12)


def test_a_local_draw_is_of_runs_alike_in_size_and_leverage_so_that_noise_may_change_with_size():
    x = {"N": np.geomspace(1e6, 1e10, 120)}
    exact = LAW.predict(CASE.values, x)
    own = np.geomspace(0.04, 0.002, 120)
    assert Options().scheme == "local"
    for kind, weights in (("squares-log", None), ("huber", None), ("squares-log", own**-2.0), ("huber", own**-1.0)):
        for scheme, follows in (("local", True), ("residual", weights is not None)):
            rng = np.random.default_rng(0)
            observed = exact * np.exp(own * rng.normal(size=120))
            options = Options(bootstrap=2000, resampling=scheme, weights=weights)
            made = targets(rng, LAW, x, observed, THETA, OBJECTIVES[kind], options)
            spread = np.log(made / exact).std(axis=0)
            ratio = spread[:30].mean() / spread[-30:].mean()
            expected = own[:30].mean() / own[-30:].mean() if follows else 1.0
            assert ratio == pytest.approx(expected, rel=0.4 if follows else 0.02)


def test_residual_draws_have_students_spread_about_the_fitted_values():
    options = Options(bootstrap=20000, resampling="residual")
    made = targets(np.random.default_rng(0), LAW, CASE.inputs, OBSERVED, THETA, OBJECTIVES["squares-log"], options)
    exact = LAW.predict(CASE.values, CASE.inputs)
    drawn = np.log(made) - np.log(exact)
    sd = np.sqrt(np.sum((np.log(OBSERVED) - np.log(exact)) ** 2) / 6)
    plain = drawn / sizes(options, 6)[:, None]
    assert plain.std() == pytest.approx(sd, rel=0.01)
    assert np.mean(sizes(options, 6) ** -2.0) == pytest.approx(1.0, rel=0.02)
    # a mean of the nine, which is linear, has the t interval with six degrees of freedom
    ends = np.quantile(drawn.mean(axis=1), [0.025, 0.975])
    assert ends == pytest.approx(np.array([-1, 1]) * stats.t.ppf(0.975, 6) * sd / 3, rel=0.05)


def test_every_scheme_spreads_about_the_truth_and_repeats_by_seed():
    for scheme in get_args(Scheme):
        options = Options(bootstrap=60, resampling=scheme, seed=4)
        first, again = (
            bootstrap(LAW, CASE.inputs, OBSERVED, THETA, OBJECTIVES["squares-log"], options) for _ in range(2)
        )
        np.testing.assert_array_equal(first, again)
        assert first[:, 0].std() > 0


def test_the_tail_widens_a_small_sample_and_leaves_a_large_one_alone():
    assert tail(0.95, 10**6, 5, "case") == pytest.approx(0.025, abs=1e-6)
    assert tail(0.95, 64, 5, "case") < 0.025
    assert tail(0.95, 64, 5, "residual") == tail(0.95, 64, 5, "local") == pytest.approx(0.025)


RECORD = Path(__file__).resolve().parents[2] / "benchmarks" / "records" / "laws_coverage.json"


def test_the_recorded_studies_of_every_law_cover_93_to_97_percent_for_parameters_and_predictions():
    record = json.loads(RECORD.read_text())
    assert set(record["laws"]) == set(LAWS)
    for name, law in LAWS.items():
        assert set(record["laws"][name]["covered"]) == {*law.names, *law.derived, "prediction beyond"}
    assert len(record["state"]) == 3
    assert_covered(record, "laws", "state")


def test_so_do_those_of_a_user_who_names_no_option_with_few_runs_and_with_many():
    record = json.loads(RECORD.read_text())
    assert {"chinchilla, 36 runs", "chinchilla, 240 runs", "params", "state-params", "routed"} <= set(record["default"])
    for name, design in record["default"].items():
        law = LAWS[name.partition(",")[0]]
        assert set(design["covered"]) == {*law.names, *law.derived, "prediction beyond"}
    assert_covered(record, "default")


def test_under_outliers_and_a_noise_that_falls_with_size_they_are_rather_too_wide_than_too_narrow():
    record = json.loads(RECORD.read_text())
    assert set(record["stress"]) == {"state-params, outliers", "state-params, noise falls"}
    for design in record["stress"].values():
        assert design["studies"] >= 1000
        assert all(0.93 <= share < 0.99 for share in design["covered"].values())


def assert_covered(record, *kinds):
    assert record["level"] == 0.95
    for name, design in ((name, design) for kind in kinds for name, design in record[kind].items()):
        assert design["studies"] >= 1000
        assert any(key.startswith("prediction") for key in design["covered"])
        for key, share in design["covered"].items():
            assert 0.93 <= share <= 0.97, f"{name}: {key}"
