"""Objectives by name, against their definitions."""

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import huber

from isostate.laws.objectives import HUBER_DELTA, HUBER_NORMALISER, OBJECTIVES, huber_scale, log_likelihood

R = np.array([[-0.2, -0.003, -0.0004, 0.0, 0.0007, 0.01, 0.5]])
ONE = np.ones_like(R)


def value(name):
    objective = OBJECTIVES[name]
    return objective.evaluate(R, ONE)[0][0] * objective.scale


def test_each_objective_is_its_definition():
    assert value("huber") == pytest.approx(huber(HUBER_DELTA, R).sum())
    assert value("absolute") == pytest.approx(np.abs(R).sum(), abs=1e-6)
    assert value("squares-log") == value("squares") == pytest.approx((R**2).sum())
    assert OBJECTIVES["squares-log"].log
    assert not OBJECTIVES["squares"].log


def test_a_residual_counts_as_its_square_within_the_parabola_and_as_its_size_beyond():
    for name, objective in OBJECTIVES.items():
        edge = objective.parabola
        for r, power in ((0.5, 2), (2.0, 1)):
            if not 0.0 < edge < np.inf:
                continue
            at = np.array([[r, 1.01 * r]]) * edge
            slope = objective.evaluate(at, np.ones_like(at))[1][0]
            assert slope[1] / slope[0] == pytest.approx(1.01 ** (power - 1)), name
    assert OBJECTIVES["likelihood"].parabola < 1e-2 * HUBER_DELTA


def test_the_free_scale_is_the_most_likely_one():
    def negative(log_scale):
        scaled = R[0] / np.exp(log_scale)
        return huber(HUBER_DELTA, scaled).sum() + R.size * (log_scale + np.log(HUBER_NORMALISER))

    best = minimize_scalar(negative, bounds=(-20, 0), method="bounded", options={"xatol": 1e-12})
    assert log_likelihood(R[0]) == pytest.approx(-best.fun, rel=1e-9)
    assert huber_scale(R, ONE)[0] == pytest.approx(np.exp(best.x), rel=1e-4)


def test_the_density_integrates_to_one():
    x = np.concatenate([np.linspace(0, 0.01, 20001), np.geomspace(0.01, 5e4, 200001)[1:]])
    density = np.exp(-huber(HUBER_DELTA, x)) / HUBER_NORMALISER
    assert 2 * np.trapezoid(density, x) == pytest.approx(1.0, abs=1e-4)
