"""Farseer: the slope in tokens moves with the parameters, which Chinchilla's cannot."""

import numpy as np

from isostate.laws import LAWS
from tests.laws.planted import PLANTED


def test_the_slope_in_tokens_depends_on_the_parameters():
    law, values = LAWS["farseer"], PLANTED["farseer"].values
    slopes = []
    for N in (2e8, 6e9):
        floor = np.exp(values["s"] * (N / 1e9) ** values["q"] + values["S"])
        loss = law.predict(values, {"N": np.full(2, N), "D": np.array([1e10, 1e11])})
        slopes.append(np.diff(np.log(loss - floor))[0] / np.log(10))
    assert slopes[1] / slopes[0] != 1.0
    np.testing.assert_allclose(
        slopes, [-np.exp(values["A"] * (N / 1e9) ** values["a"] + values["E"]) for N in (2e8, 6e9)], rtol=1e-6
    )
