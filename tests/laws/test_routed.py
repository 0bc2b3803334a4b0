"""Clark's routed law on the published runs, and Krajewski's granularity."""

import numpy as np
import pytest

from isostate.laws import LAWS, fit_law
from tests.laws.public import clark, column, needs_tables

# FORMULAS section 5, Routed models (Clark et al. 2022, table 3)
PUBLISHED = {
    "S-Base": (-0.082, -0.108, 0.009, 1.104),
    "RL-R": (-0.083, -0.126, 0.012, 1.111),
    "Hash": (-0.087, -0.136, 0.012, 1.157),
}


@needs_tables
@pytest.mark.parametrize("router", PUBLISHED)
def test_clarks_table_of_coefficients(router):
    table = clark(router)
    x = {"N": column(table, "dense_parameter_count"), "E": column(table, "num_experts")}
    fit = fit_law(LAWS["routed"], x, column(table, "loss_validation"), bootstrap=0, holdout=None)
    for name, value, tolerance in zip("abcd", PUBLISHED[router], (0.002, 0.012, 0.001, 0.012), strict=True):
        assert fit.values[name] == pytest.approx(value, abs=tolerance)


def test_the_expert_count_saturates_between_its_start_and_its_maximum():
    law, values = LAWS["routed"], {"a": 0.0, "b": -1.0, "c": 0.0, "d": 0.0, "E_s": 2.0, "E_m": 300.0}
    few, many = law.predict(values, {"N": np.ones(2), "E": np.array([1.0, 1e12])})
    assert (1 / few, 1 / many) == (pytest.approx(2.0), pytest.approx(300.0))


def test_finer_grains_help_less_and_less():
    law = LAWS["fine-grained"]
    values = {"c": 0.47, "g": 2.1, "a": 18.1, "b": 30.8, "gamma": 0.58, "alpha": 0.115, "beta": 0.147}
    x = {"N": np.full(3, 1e9), "D": np.full(3, 1e10), "G": np.array([1.0, 2.0, 4.0])}
    gains = -np.diff(law.predict(values, x))
    assert gains[0] > gains[1] > 0
