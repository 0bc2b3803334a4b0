"""Where the noise's variance and its degrees of freedom come from."""

import numpy as np
import pytest

from isostate.laws import noise

SIZES = np.repeat([1.0, 2.0, 3.0, 4.0, 5.0], 3)


def test_without_repeats_the_residuals_are_the_noise():
    got = noise.estimate(np.arange(6.0), np.arange(6.0), rss=0.3, n_params=3)
    assert (got.variance, got.dof, got.seed_sd) == (pytest.approx(0.1), 3, None)


def test_as_many_parameters_as_points_leave_the_noise_unknown():
    assert not noise.estimate(np.arange(3.0), np.arange(3.0), rss=0.0, n_params=3).known


def test_seeds_pool_when_the_law_fits_and_do_not_when_it_strays():
    y = np.tile([-0.1, 0.0, 0.1], 5)
    fits = noise.estimate(SIZES, y, rss=0.11, n_params=3)
    assert fits.dof == 12
    strays = noise.estimate(SIZES, y, rss=1.1, n_params=3)
    assert (strays.dof, strays.variance) == (2, pytest.approx(0.5))
    assert strays.lack_of_fit_p < 0.01
    assert strays.seed_sd == fits.seed_sd == pytest.approx(0.1)


def test_three_sizes_with_seeds_use_the_seeds_alone():
    got = noise.estimate(np.repeat([1.0, 2.0, 3.0], 2), np.array([1, 1.1, 2, 2.1, 3, 3.1]), rss=0.015, n_params=3)
    assert (got.dof, got.variance) == (3, pytest.approx(0.005))
    assert "cannot test the shape" in got.source


def test_a_law_leans_by_the_signs_of_residuals_beyond_the_parabola_and_by_their_mean_within():
    residual = np.array([1.0, 2.0, 3.0, -6.0])
    assert noise.lean(residual, np.inf) == 0.0
    assert noise.lean(residual, 1e-3) == noise.lean(residual, 0.0) == pytest.approx(2 / np.sqrt(4))
    assert noise.lean(-residual, 1e-3) == pytest.approx(-1.0)
    assert noise.lean(np.full(4, 1e-16), 1e-3) == 0.0, "rounding leans nowhere"
