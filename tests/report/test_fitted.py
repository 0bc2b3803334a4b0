from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from isostate import laws
from isostate.report import fitted
from tests.report.planted_fits import made


def test_points_of_a_fit_in_one_resource_come_back_under_the_laws_symbol():
    size = np.array([2e3, 8e3, 3e4, 1e5, 4e5])
    fit = laws.fit_state(size, 2.0 + 9.0 * size**-0.3, bootstrap=0)
    table = fitted.columns(fit)
    assert "x" in fit.points[0]
    np.testing.assert_array_equal(table.x["S"], size)
    np.testing.assert_array_equal(table.held, [False] * 4 + [True])


def test_residuals_are_observed_over_predicted_less_one():
    fit = made("chinchilla")
    table = fitted.columns(fit)
    law = 1.8172 + 482.01 * table.x["N"] ** -0.3478 + 2085.43 * table.x["D"] ** -0.3658
    np.testing.assert_allclose(fitted.residuals(fit), table.y / law - 1.0, rtol=1e-12, atol=1e-12)


def test_a_band_is_made_of_the_draws_quantiles():
    fit = made("state")
    size = np.array([1e4, 1e5])
    curve = fitted.curve(fit, {"S": size})
    each = np.array([values[0] + values[1] * size ** -values[2] for values in fit.draws])
    np.testing.assert_allclose(curve.low, np.quantile(each, 0.025, axis=0), rtol=1e-12)
    np.testing.assert_allclose(curve.high, np.quantile(each, 0.975, axis=0), rtol=1e-12)


def test_without_draws_there_is_a_line_and_no_band():
    curve = fitted.curve(replace(made("state"), draws=None), {"S": np.array([1e4, 1e5])})
    assert len(curve.y) == 2
    assert curve.low == curve.high == ()


def test_draws_that_overflow_are_left_out_of_the_band():
    fit = made("state")
    wild = fit.draws.copy()
    wild[:50, 2] = -300.0
    kept = fitted.curve(replace(fit, draws=fit.draws[50:]), {"S": np.array([1e4])})
    assert fitted.curve(replace(fit, draws=wild), {"S": np.array([1e4])}) == kept


def test_few_values_stand_for_themselves_and_many_for_their_quantiles():
    assert fitted.levels(np.array([8.0, 2.0, 2.0, 4.0])) == [2.0, 4.0, 8.0]
    shown = fitted.levels(np.geomspace(1e6, 1e10, 100))
    assert len(shown) == fitted.LINES
    np.testing.assert_allclose(np.diff(np.log10(shown)), 0.9, atol=0.03)  # nine tenths of four decades, in four steps


def test_the_nearest_level_is_so_in_the_logarithm():
    assert fitted.nearest_level(np.array([1.0, 3.0, 3.3, 40.0]), [1.0, 10.0]).tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(
    "symbol, value, text",
    [("S", 8192, "S = 8.19K"), ("T", 8192, "T = 8,192"), ("N", 1.5e9, "N = 1.5B"), ("C", 3e21, "C = 3·10²¹"),
     ("L", 2.5, "L = 2.5"), ("lr", 2e-4, "lr = 2·10⁻⁴")],
)  # fmt: skip
def test_amounts_are_written_as_the_field_does(symbol, value, text):
    assert fitted.amount(symbol, value) == text


def test_an_axis_is_logarithmic_where_its_values_span_much():
    assert fitted.axis("N", np.array([1e6, 1e9]))["type"] == "log"
    assert fitted.axis("S", np.array([2048, 65536]))["ticktext"] == ["3K", "10K", "30K"]
    assert fitted.axis("T", np.array([2048, 16384]))["ticktext"] == ["2,048", "4,096", "8,192", "16,384"]
    assert "type" not in fitted.axis("L", np.array([2.0, 4.0]))
    assert "type" not in fitted.axis("", np.array([-1.0, 400.0]))


def test_a_plain_axis_holds_all_values_with_room():
    low, high = fitted.axis("L", np.array([2.0, 4.0]))["range"]
    assert 1.8 < low < 2.0
    assert 4.0 < high < 4.2
    low, high = fitted.axis("L", np.array([3.0, 3.0]))["range"]
    assert low < 3.0 < high


def test_an_interval_far_wider_than_the_points_runs_out_of_the_axis():
    values = np.array([2.0, 3.0])
    assert fitted.with_room(values, [1.9, 3.2]).tolist() == [2.0, 3.0, 1.9, 3.2]
    assert fitted.with_room(values, [-9.0, 99.0]).tolist() == [2.0, 3.0, 1.5, 3.5]
    assert fitted.with_room(np.array([1.0, 100.0]), [-9.0]).tolist() == [1.0, 100.0, 0.5]  # a log axis stays one


def test_names_of_symbols_cannot_carry_tags():
    assert fitted.title("<b>") == "&lt;b&gt;"
    assert fitted.word("unheard-of") == "unheard-of"
