"""Variable projection equals general least squares, and its profile intervals equal textbook ones where both exist."""

import numpy as np
import pytest
from scipy.optimize import nnls

from isostate.laws import LAWS, separable


def test_the_non_negative_solution_equals_scipys_on_random_problems():
    rng = np.random.default_rng(0)
    columns_GnM, y_Bn = rng.normal(size=(4, 7, 3)), rng.normal(size=(5, 7))
    coefficient_BGM, rss_BG = separable.solve(columns_GnM, y_Bn)
    for b in range(5):
        for g in range(4):
            expected, norm = nnls(columns_GnM[g], y_Bn[b])
            np.testing.assert_allclose(coefficient_BGM[b, g], expected, atol=1e-10)
            assert rss_BG[b, g] == pytest.approx(norm**2)


def test_the_profile_interval_at_a_known_exponent_is_the_t_interval():
    sizes = np.geomspace(1e3, 1e5, 6)
    y = 1.5 + 20 * sizes**-0.5 + 0.01 * np.array([1, -1, 1, 0, -1, 0.5])
    profile = separable.profile(LAWS["state"], np.array([[0.5]]), {"S": sizes}, y, np.ones(6))
    design = np.stack([np.ones(6), sizes**-0.5], axis=1)
    solution, rss, *_ = np.linalg.lstsq(design, y, rcond=None)
    variance, t_squared = rss[0] / 4, 7.71
    half = np.sqrt(t_squared * variance * np.linalg.inv(design.T @ design)[0, 0])
    low, high = profile.interval(np.array([[1.0, 0.0]]), rss[0] + t_squared * variance)
    assert (low, high) == (pytest.approx(solution[0] - half), pytest.approx(solution[0] + half))


def test_columns_far_apart_in_size_stay_well_conditioned():
    sizes = np.geomspace(1e6, 1e10, 6)
    y = 2.0 + 3e44 * sizes**-7.0
    profile = separable.profile(LAWS["state"], np.array([[7.0]]), {"S": sizes}, y, np.ones(6))
    np.testing.assert_allclose(profile.linear_GM[0], [2.0, 3e44], rtol=1e-9)
