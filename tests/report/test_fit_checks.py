from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from isostate.laws import HoldOut
from isostate.report import fit_checks, fitted
from tests.report.planted_fits import dots, made, views


def test_observed_is_drawn_over_predicted_with_the_line_of_equality():
    fit = made("chinchilla")
    (view,) = views(fit_checks.against_predicted(fit))
    equal, points = view["data"]
    assert equal["x"] == equal["y"]
    np.testing.assert_allclose(points["x"], fit.predict(fitted.columns(fit).x), rtol=1e-12)
    assert points["y"] == [point["y"] for point in fit.points]


def test_residuals_are_drawn_against_the_prediction_and_each_input():
    fit = made("chinchilla")
    figure = fit_checks.residuals(fit)
    assert [option["label"] for option in figure["controls"][0]["options"]] == [
        "L, loss, by the law",
        "N, parameters",
        "D, tokens",
    ]
    for view in views(figure):
        np.testing.assert_allclose(dots(view)["y"], 100.0 * fitted.residuals(fit), rtol=1e-12)
    table = fitted.columns(fit)
    assert [dots(view)["x"] for view in views(figure)] == [
        fit.predict(table.x).tolist(), table.x["N"].tolist(), table.x["D"].tolist(),
    ]  # fmt: skip


def test_one_input_needs_no_other_abscissa():
    figure = fit_checks.residuals(made("state"))
    assert [option["value"] for option in figure["controls"][0]["options"]] == ["S"]


def test_medians_are_drawn_where_points_are_many():
    fit = made("state-all")
    points, line = fit_checks.residual_traces(fit, "N", fit_checks.ALONE, None)
    assert len(line["x"]) == fit_checks.GROUPS
    smallest = np.argsort(np.array(points["x"]), kind="stable")[: len(points["x"]) // 10 + 1]
    assert line["y"][0] == pytest.approx(np.median(np.array(points["y"])[smallest[:15]]))
    assert len(fit_checks.residual_traces(made("chinchilla"), "N", fit_checks.ALONE, None)) == 1


def test_the_spread_is_said_in_numbers():
    size = np.array([1e3, 1e4, 1e5])
    exact = 1.7 + 3.0 * 1e3**0.3 * size**-0.3
    fit = replace(
        made("state"),
        points=tuple(
            {"S": s, "y": y * f, "held_out": False} for s, y, f in zip(size, exact, (1.01, 1.0, 0.97), strict=True)
        ),
    )
    root = np.sqrt((0.01**2 + 0.03**2) / 3)
    assert fit_checks.spread(fit) == (
        f"Root mean square {100 * root:.2g} %; the furthest point lies −3 % from the law, at S = 100K."
    )


def test_the_hold_out_is_drawn_as_an_error_with_its_interval():
    fit = replace(made("chinchilla"), holdout=HoldOut(1e21, 2.0, 2.02, 1.98, 2.06))
    (view,) = views(fit_checks.hold_out(fit))
    (bar,) = view["data"]
    assert bar["x"] == [pytest.approx(1.0)]
    assert bar["x"][0] - bar["error_x"]["arrayminus"][0] == pytest.approx(-1.0)
    assert bar["x"][0] + bar["error_x"]["array"][0] == pytest.approx(3.0)
    assert view["note"] == "Predicted 2.020 [1.98, 2.06], observed 2.000: inside the interval, error 1 %."
    assert view["rows"]


def test_a_hold_out_that_missed_and_one_without_interval_say_so():
    missed = HoldOut(1e21, 2.0, 2.2, 2.1, 2.3, n=5, mean_abs_error=0.08, mean_error=-0.05)
    (view,) = views(fit_checks.hold_out(replace(made("chinchilla"), holdout=missed)))
    assert (
        "outside the interval, error 10 %. The mean of all 5 errors is −5 %, that of their sizes 8 %." in view["note"]
    )
    assert view["data"][0]["y"] == ["largest of 5"]
    bare = HoldOut(1e21, 2.0, 2.2, 2.2, 2.2)
    (view,) = views(fit_checks.hold_out(replace(made("chinchilla"), holdout=bare)))
    assert "without an interval" in view["note"]


def test_without_a_hold_out_words_say_why():
    assert "No point was held out" in fit_checks.hold_out(replace(made("state"), holdout=None))["empty"]
