from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from isostate import laws
from isostate.report import fit_profiles
from tests.report.planted_fits import made, parabola, views

SIZE = np.array([2e3, 8e3, 3e4, 1e5, 4e5])


@pytest.fixture(scope="module")
def five_points():
    """A state law fitted to five points."""
    return laws.fit_state(SIZE, 2.0 + 9.0 * SIZE**-0.3 + 0.004 * np.array([1, -1, 1, -1, 1]), bootstrap=400)


def test_each_parameter_has_its_profile(five_points):
    figure = fit_profiles.profile_panels(five_points)
    assert [option["label"] for option in figure["controls"][0]["options"]] == ["L∞", "A", "α"]
    assert len(figure["views"]) == 3


def test_the_drawn_profile_crosses_one_where_the_interval_ends(five_points):
    line, edges, best = fit_profiles.profile_traces(five_points.profiles["alpha"], fit_profiles.ALONE)
    interval = five_points.params["alpha"]
    assert edges["x"] == [pytest.approx(interval.low), pytest.approx(interval.high)]
    assert best["x"] == [pytest.approx(interval.value)]
    assert np.interp(edges["x"], line["x"], line["y"]) == pytest.approx([1.0, 1.0], abs=0.02)


def test_heights_are_rises_over_the_threshold():
    line, *_ = fit_profiles.profile_traces(parabola("alpha", 0.5), fit_profiles.ALONE)
    np.testing.assert_allclose(line["y"], ((np.array(line["x"]) / 0.5 - 1.0) / 0.04) ** 2, atol=1e-12)
    assert min(line["y"][0], line["y"][-1]) >= fit_profiles.HIGH  # as high as is drawn, and not much higher
    assert max(line["y"]) < 1.5 * fit_profiles.HIGH


def test_a_side_that_nothing_bounds_is_named():
    profile = replace(parabola("R_D", 15.0, ("high",)), interval=laws.Interval(15.0, 14.0, None))
    fit = replace(made("repetition"), profiles={"R_D": profile})
    (view,) = views(fit_profiles.profile_panels(fit))
    assert view["note"].endswith("[14.0, –], open on the high side.")
    assert view["data"][1]["x"] == [14.0]


def test_profiles_that_are_given_stand_in_for_the_fits_own():
    given = {"alpha": parabola("alpha", 0.7)}
    (view,) = views(fit_profiles.profile_panels(made("state"), given))
    assert view["data"][2]["x"] == [0.7]


def test_a_fit_without_profiles_says_so():
    assert "profile_points" in fit_profiles.profile_panels(replace(made("state"), profiles={}))["empty"]


def test_the_bootstrap_shows_what_follows_from_the_law():
    fit = made("chinchilla")
    figure = fit_profiles.bootstrap(fit)
    assert [option["value"] for option in figure["controls"][0]["options"]] == ["a", "b", "G"]
    _, line, bar = views(figure)[0]["data"]
    a = fit.draws[:, 4] / (fit.draws[:, 3] + fit.draws[:, 4])
    inside = (a >= min(line["x"])) & (a <= max(line["x"]))
    assert sum(line["y"][::2]) == inside.sum()
    assert bar["x"] == [pytest.approx(0.3658 / (0.3478 + 0.3658))]
    assert bar["x"][0] + bar["error_x"]["array"][0] == pytest.approx(np.quantile(a, 0.975, method="weibull"))


def test_a_law_from_which_nothing_follows_shows_its_parameters_with_the_bootstraps_interval(five_points):
    figure = fit_profiles.bootstrap(five_points)
    assert figure["title"] == "Bootstrap of the parameters"
    *_, bar = views(figure)[2]["data"]
    assert bar["x"][0] + bar["error_x"]["array"][0] == pytest.approx(five_points.bootstrap["alpha"].high)
    assert bar["x"][0] + bar["error_x"]["array"][0] != pytest.approx(five_points.params["alpha"].high)


def test_draws_on_a_grid_fill_every_bin_alike():
    grid = np.linspace(0.1, 0.2, 30)
    draws = np.repeat(grid, 40)
    counts, _ = np.histogram(draws, fit_profiles._edges(draws, 0.1, 0.2))
    assert set(counts[:-1]) == {80}  # two values of the grid a bin, of 21 bins' worth
    plain, _ = np.histogram(draws, np.linspace(0.1, 0.2, 22))
    assert len(set(plain)) > 1  # even bins would show a comb


def test_draws_that_say_nothing_are_words():
    fit = made("critical-batch")
    same = replace(fit, draws=np.repeat([[2e3, 4e6]], 50, axis=0), derived={"B_crit": laws.Interval(2e3)})
    assert "Every resample gave B_crit = 2000" in views(fit_profiles.bootstrap(same))[0]["missing"]
    lost = replace(fit, draws=np.full((50, 2), np.nan))
    assert "No resample gave a finite B_crit." in views(fit_profiles.bootstrap(lost))[0]["missing"]
    assert "bootstrap = 0" in fit_profiles.bootstrap(replace(fit, draws=None))["empty"]
