"""Kaplan's joint law reduces to its own limits."""

import numpy as np
import pytest

from isostate.laws import LAWS

VALUES = {"N_c": 6.4e13, "D_c": 1.8e13, "a_N": 0.076, "a_D": 0.103}


def test_with_endless_data_it_is_the_law_of_parameters():
    got = LAWS["kaplan"].predict(VALUES, {"N": np.array([1e8]), "D": np.array([1e30])})
    assert got[0] == pytest.approx((6.4e13 / 1e8) ** 0.076, rel=1e-6)


def test_with_endless_parameters_it_is_the_law_of_tokens():
    got = LAWS["kaplan"].predict(VALUES, {"N": np.array([1e40]), "D": np.array([1e9])})
    assert got[0] == pytest.approx((1.8e13 / 1e9) ** 0.103, rel=1e-3)
