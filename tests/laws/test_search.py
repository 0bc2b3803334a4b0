"""Searches from many starts: the same optimum whatever the starts, and the share that reached it."""

import numpy as np
import pytest

from isostate.laws import LAWS, OBJECTIVES, Options
from isostate.laws.search import search, starting_points
from tests.laws.planted import PLANTED

LAW, CASE = LAWS["chinchilla"], PLANTED["chinchilla"]
EXACT = LAW.predict(CASE.values, CASE.inputs)
OBSERVED = EXACT * np.exp(0.01 * np.random.default_rng(0).normal(size=36))


@pytest.mark.parametrize("objective", ["huber", "squares", "absolute"])
def test_the_grid_and_the_projected_starts_find_the_same_optimum(objective):
    every = LAW.natural(LAW.start_grid()[::10])
    grid, projected = (
        search(LAW, CASE.inputs, OBSERVED, OBJECTIVES[objective], Options(starts=starts))
        for starts in (every, "projected")
    )
    assert grid.value == pytest.approx(projected.value, rel=1e-6)
    assert 0 < grid.at_optimum < grid.starts
    assert projected.at_optimum >= 0.25 * projected.starts


def test_projected_starts_solve_for_the_linear_parameters():
    starts = LAW.natural(starting_points(LAW, CASE.inputs, EXACT, "projected"))
    nearest = starts[np.argmin(np.abs(starts[:, 3:] - [CASE.values["alpha"], CASE.values["beta"]]).sum(axis=1))]
    assert np.abs(LAW.predict_batch(nearest[None], CASE.inputs)[0] / EXACT - 1).max() < 0.05
    assert np.all(starts[:, :3] > 0)


def test_starts_that_are_given_are_the_only_ones():
    found = search(
        LAW, CASE.inputs, OBSERVED, OBJECTIVES["huber"], Options(starts=np.array([list(CASE.values.values())]))
    )
    assert (found.starts, found.at_optimum) == (1, 1)
