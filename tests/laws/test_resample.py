"""Bootstraps draw what they say they draw."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from isostate.laws import LAWS, Options
from isostate.laws.objectives import OBJECTIVES
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
    for scheme in ("case", "residual", "wild"):
        options = Options(bootstrap=60, resampling=scheme, seed=4)
        first, again = (
            bootstrap(LAW, CASE.inputs, OBSERVED, THETA, OBJECTIVES["squares-log"], options) for _ in range(2)
        )
        np.testing.assert_array_equal(first, again)
        assert first[:, 0].std() > 0


def test_the_tail_widens_a_small_sample_and_leaves_a_large_one_alone():
    assert tail(0.95, 10**6, 5, "case") == pytest.approx(0.025, abs=1e-6)
    assert tail(0.95, 64, 5, "case") < 0.025
    assert tail(0.95, 64, 5, "residual") == tail(0.95, 64, 5, "wild") == pytest.approx(0.025)


RECORD = Path(__file__).resolve().parents[2] / "benchmarks" / "records" / "laws_coverage.json"


def test_the_recorded_studies_of_every_law_cover_93_to_97_percent_for_parameters_and_predictions():
    record = json.loads(RECORD.read_text())
    assert record["level"] == 0.95
    assert set(record["laws"]) == set(LAWS)
    for name, design in [*record["state"].items(), *record["laws"].items()]:
        assert design["studies"] >= 1000
        assert any(key.startswith("prediction") for key in design["covered"])
        for key, share in design["covered"].items():
            assert 0.93 <= share <= 0.97, f"{name}: {key}"
    for name, law in LAWS.items():
        assert set(record["laws"][name]["covered"]) == {*law.names, *law.derived, "prediction beyond"}
