from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from isostate import laws
from isostate.report import fit_data, fitted
from tests.report.planted_fits import dots, failed, made, views


def test_one_input_has_band_line_hold_out_and_points():
    fit = made("state")
    view = fit_data.one_input(fit)
    band, line, bar, points = view["data"]
    assert band["fill"] == "toself"
    size = np.array(line["x"])
    np.testing.assert_allclose(line["y"], 1.7 + 3.0 * 1e3**0.3 * size**-0.3, rtol=1e-12)
    assert max(line["x"]) == pytest.approx(2e6)  # twice the largest state
    held = fit.holdout
    assert bar["y"][0] + bar["error_y"]["array"][0] == pytest.approx(held.high)
    assert bar["y"][0] - bar["error_y"]["arrayminus"][0] == pytest.approx(held.low)
    low, high = view["layout"]["yaxis"]["range"]
    assert low < held.low < held.high < high
    assert points["y"] == [point["y"] for point in fit.points]
    assert points["marker"]["symbol"] == ["circle"] * 8 + ["circle-open"]


def test_a_fit_with_a_curve_of_its_own_is_drawn_with_it():
    size = np.array([2e3, 8e3, 3e4, 1e5, 4e5])
    fit = laws.fit_state(size, 2.0 + 9.0 * size**-0.3 + 0.004 * np.array([1, -1, 1, -1, 1]), bootstrap=50)
    band, line, *_ = fit_data.one_input(fit)["data"]
    assert line["y"] == list(fit.curve.y)
    assert band["y"] == [*fit.curve.high, *reversed(fit.curve.low)]


@pytest.mark.parametrize("name", ["chinchilla", "state-all", "precision"])
def test_noise_free_points_lie_on_the_line_they_are_moved_to(name):
    fit = made(name, noise=0.0)
    for symbol in fit.law.inputs:
        view = fit_data.several(fit, symbol)
        points = dots(view)
        lines = {
            trace["line"]["color"]: trace for trace in view["data"] if trace["mode"] == "lines" and "fill" not in trace
        }
        for x, y, colour in zip(points["x"], points["y"], points["marker"]["color"], strict=True):
            line = lines[colour]
            on_line = np.interp(np.log(x), np.log(line["x"]), np.log(line["y"]))
            assert np.log(y) == pytest.approx(on_line, abs=2e-3)  # the line is drawn from 60 values


def test_a_point_lies_as_far_from_its_line_as_from_the_law():
    fit = made("chinchilla")
    points = dots(fit_data.several(fit, "N"))
    chosen = fitted.levels(fitted.columns(fit).x["D"])
    nearest = np.array(chosen)[fitted.nearest_level(fitted.columns(fit).x["D"], chosen)]
    law = 1.8172 + 482.01 * np.array(points["x"]) ** -0.3478 + 2085.43 * nearest**-0.3658
    np.testing.assert_allclose(np.array(points["y"]) / law - 1.0, fitted.residuals(fit), rtol=1e-9, atol=1e-12)


def test_a_legend_names_the_value_of_each_line():
    names = [trace["name"] for trace in fit_data.several(made("state-params"), "N")["data"] if trace.get("name")]
    assert names == ["S = 1K", "S = 5.62K", "S = 31.6K", "S = 178K", "S = 1M"]


def test_what_remains_fixed_is_said():
    figure = fit_data.against_inputs(made("state-all"))
    assert [view["note"] for view in views(figure)] == [
        "At T = 8,192 and D = 3.16B.", "At N = 31.6M and D = 3.16B.", "At N = 31.6M and S = 100K.",
        "At S = 100K and T = 8,192.",
    ]  # fmt: skip


def test_the_first_input_is_opened():
    (control,) = fit_data.against_inputs(made("chinchilla"))["controls"]
    assert [option["label"] for option in control["options"]] == ["N, parameters", "D, tokens"]
    assert control["default"] == 0


def test_a_fit_that_failed_shows_its_points_as_they_are():
    for name in ("state", "chinchilla"):
        fit = failed(name)
        for view in views(fit_data.against_inputs(fit)):
            assert dots(view)["y"] == [point["y"] for point in fit.points]
            assert not any(trace["mode"] == "lines" for trace in view["data"])


def test_many_points_are_drawn_small_and_very_many_say_nothing():
    few, many = made("state"), made("state-all")
    assert fit_data.point_marker(few, fit_data.ALONE)["size"] > fit_data.point_marker(many, fit_data.ALONE)["size"]
    assert len(fit_data.texts(many)) == len(many.points)
    assert fit_data.texts(replace(many, points=many.points * 20)) is None
