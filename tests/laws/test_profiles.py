"""Profile likelihood of any parameter: equal to the exact small-sample one, wide where nothing is known."""

import numpy as np
import pytest

from isostate.laws import LAWS, OBJECTIVES, fit_law, fit_power
from isostate.laws.fit import Options, search
from isostate.laws.profiles import profiles
from tests.laws.planted import PLANTED
from tests.laws.public import epoch, needs_tables


def profiled(law, x, y, name):
    objective = OBJECTIVES[name]
    found = search(law, x, y, objective, Options())
    return profiles(law, x, y, found.theta, objective)


def test_for_squares_it_equals_the_variable_projection_profile():
    law, case = LAWS["params"], PLANTED["params"]
    y = law.predict(case.values, case.inputs) + 0.01 * np.array([1, -1, 0.5, 1, -1, 0, 1, -0.5, -1])
    general = profiled(law, case.inputs, y, "squares")["alpha"].interval
    exact = fit_power(law, case.inputs["N"], y, bootstrap=0).params["alpha"]
    assert (general.low, general.high) == (pytest.approx(exact.low, rel=0.01), pytest.approx(exact.high, rel=0.01))


def test_a_parameter_the_points_do_not_show_has_an_open_end():
    law, case = LAWS["precision"], PLANTED["precision"]
    many_bits = {**case.inputs, "P": np.where(case.inputs["P"] > 7, 15.0, 16.0)}  # gamma acts only at few bits
    exact = law.predict(case.values, many_bits)
    y = exact * np.exp(0.01 * np.random.default_rng(0).normal(size=len(exact)))
    found = profiled(law, many_bits, y, "squares-log")
    assert found["gamma"].flat
    assert not found["alpha"].flat


@needs_tables
def test_on_the_epoch_table_equal_noise_is_too_kind_and_the_case_bootstrap_shows_it():
    # a profile takes the noise as equal and independent; the case bootstrap does not, and is wider on these points
    law, x = LAWS["chinchilla"], {"N": epoch()["N"], "D": epoch()["D"]}
    found = profiled(law, x, epoch()["L"], "likelihood")
    boot = fit_law(law, x, epoch()["L"], objective="huber", bootstrap=400, holdout=None)
    for name in ("E", "alpha", "beta"):
        profile, case = found[name].interval, boot.params[name]
        assert case.low < profile.low < case.value < profile.high < case.high
