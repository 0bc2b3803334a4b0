"""Batches of problems: gradients are right, pieces do not show, wild parameters give up quietly."""

import numpy as np
import pytest

from isostate.laws import LAWS, OBJECTIVES
from isostate.laws.problem import Problem
from tests.laws.planted import PLANTED

LAW, CASE = LAWS["chinchilla"], PLANTED["chinchilla"]
STARTS = LAW.internal(np.array([[1.0, 100.0, 100.0, 0.5, 0.5]]))


def problem(objective):
    exact = LAW.predict(CASE.values, CASE.inputs)
    y = exact * np.exp(0.02 * np.random.default_rng(0).normal(size=len(exact)))
    return Problem(LAW, OBJECTIVES[objective], CASE.inputs, y[None], np.ones((1, len(y))))


@pytest.mark.parametrize("objective", [name for name in OBJECTIVES if name != "absolute"])
def test_the_gradient_is_the_derivative_of_the_value(objective):
    p, row = problem(objective), np.arange(1)
    _, gradient = p.gradient(STARTS[:1], row)
    for k in range(5):
        step = np.zeros(5)
        step[k] = 1e-6
        up, down = (p.gradient(STARTS[:1] + sign * step, row)[0][0] for sign in (1, -1))
        assert gradient[0, k] == pytest.approx((up - down) / 2e-6, rel=2e-3, abs=1e-4 * np.abs(gradient).max())


def test_rows_evaluated_in_pieces_are_the_rows_evaluated_alone():
    p, starts = problem("huber"), LAW.start_grid()[:1000]
    assert len(p._pieces(1000)) > 1
    values, gradients = p.gradient(starts, np.arange(1000))
    alone = [p.gradient(starts[i : i + 1], np.arange(1)) for i in (0, 417, 999)]
    for i, (value, gradient) in zip((0, 417, 999), alone, strict=True):
        assert values[i] == pytest.approx(value[0], rel=1e-13)
        np.testing.assert_allclose(gradients[i], gradient[0], rtol=1e-10)


def test_parameters_that_overflow_are_infinitely_bad_and_warn_of_nothing():
    value, gradient = problem("squares").gradient(np.array([[700.0, 700.0, 700.0, -50.0, -50.0]]), np.arange(1))
    assert value[0] == np.inf
    assert not gradient.any()
