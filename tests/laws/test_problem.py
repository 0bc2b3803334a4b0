"""Batches of problems: gradients are right, pieces do not show, wild parameters give up quietly."""

from dataclasses import replace

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
    _, gradient, _ = p.equations(STARTS[:1], row)
    for k in range(5):
        step = np.zeros(5)
        step[k] = 1e-6
        up, down = (p.value(STARTS[:1] + sign * step, row)[0] for sign in (1, -1))
        assert gradient[0, k] == pytest.approx((up - down) / 2e-6, rel=2e-3, abs=1e-4 * np.abs(gradient).max())


@pytest.mark.parametrize("objective", [name for name in OBJECTIVES if name != "likelihood"])
def test_the_matrix_bounds_the_objective_from_above_along_every_direction_of_the_prediction(objective):
    # f(r + d) <= f(r) + slope d + curvature d^2 / 2 with curvature = slope / r, where r moves with the parameters
    p, theta = problem(objective), STARTS[0]
    value, gradient, matrix = (part[0] for part in p.equations(theta[None], np.arange(1)))
    along_E = np.eye(5)[0]
    # d is the movement of log prediction or prediction itself, here by E alone, in which both are known exactly
    for step in (-0.2, -0.01, 0.01, 0.2):
        moved = LAW.predict_batch(LAW.natural((theta + step * along_E)[None]), CASE.inputs)[0]
        here = LAW.predict_batch(LAW.natural(theta[None]), CASE.inputs)[0]
        d = np.log(moved / here) if p.objective.log else moved - here
        r = np.log(here / p.y_Bn[0]) if p.objective.log else here - p.y_Bn[0]
        _, slope = p.objective.evaluate(r[None], p.w_Bn)
        above = value + slope[0] @ d + 0.5 * (slope[0] / r) @ d**2
        assert p.value((theta + step * along_E)[None], np.arange(1))[0] <= above * (1 + 1e-12)
    # and the matrix is that curvature in the search coordinates
    _, jacobian = LAW.jacobian(theta[None], CASE.inputs)
    J = jacobian[0] / (here if p.objective.log else 1.0)
    np.testing.assert_allclose(matrix, (J * slope[0] / r) @ J.T, rtol=1e-9)
    np.testing.assert_allclose(gradient, J @ slope[0], rtol=1e-9, atol=1e-9 * np.abs(J @ slope[0]).max())


def test_the_information_is_that_of_squares_whatever_the_objective():
    p, theta = problem("huber"), STARTS[0]
    rss, matrix = p.information(theta)
    twice_rss, _, twice = problem("squares-log").equations(theta[None], np.arange(1))
    assert rss == pytest.approx(twice_rss[0])
    np.testing.assert_allclose(2 * matrix, twice[0], rtol=1e-12)


def test_a_held_parameter_has_no_gradient_and_no_curvature():
    p = replace(problem("huber"), free_BK=np.array([[1.0, 0.0, 1.0, 1.0, 1.0]]))
    _, gradient, matrix = p.equations(STARTS, np.arange(1))
    assert gradient[0, 1] == 0.0
    assert not matrix[0, 1].any()
    assert not matrix[0, :, 1].any()
    assert np.all(gradient[0, [0, 2, 3, 4]] != 0.0)


def test_rows_evaluated_in_pieces_are_the_rows_evaluated_alone():
    p, starts = problem("huber"), LAW.start_grid()[:1000]
    assert p._rows_a_piece() < 1000
    whole = p.equations(starts, np.arange(1000))
    for i in (0, 417, 999):
        for many, alone in zip(whole, p.equations(starts[i : i + 1], np.arange(1)), strict=True):
            np.testing.assert_allclose(many[i], alone[0], rtol=1e-10)


def test_parameters_that_overflow_are_infinitely_bad_and_warn_of_nothing():
    wild = np.array([[700.0, 700.0, 700.0, -50.0, -50.0]])
    value, gradient, _ = problem("squares").equations(wild, np.arange(1))
    assert value[0] == np.inf
    assert not gradient.any()
