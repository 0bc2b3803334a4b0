"""Bits: many of them cost nothing, few of them cost parameters."""

import numpy as np
import pytest

from isostate.laws import LAWS

VALUES = {"E": 2.0, "A": 4000.0, "B": 18000.0, "alpha": 0.5, "beta": 0.5, "gamma": 2.67}


def test_full_precision_is_chinchilla_and_few_bits_are_a_smaller_model():
    x = {"N": np.full(2, 1e8), "D": np.full(2, 1e10), "P": np.array([1e3, 4.0])}
    full, few = LAWS["precision"].predict(VALUES, x)
    chinchilla = {name: VALUES[name] for name in LAWS["chinchilla"].names}
    kept = 1 - np.exp(-4.0 / 2.67)
    smaller = LAWS["chinchilla"].predict(chinchilla, {"N": np.array([1e8, 1e8 * kept]), "D": x["D"]})
    assert (full, few) == (pytest.approx(smaller[0]), pytest.approx(smaller[1]))
