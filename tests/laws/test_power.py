"""The power law with an offset, on numbers worked by hand."""

import numpy as np
import pytest

from isostate.laws import LAWS


def test_kaplans_law_of_parameters_is_the_power_law_without_an_offset():
    # Kaplan et al. 2020: L(N) = (8.8e13 / N)^.076; 2.41 nats at 8.3e8 parameters
    values = {"L_inf": 0.0, "A": 8.8e13**0.076, "alpha": 0.076}
    assert LAWS["params"].predict(values, {"N": np.array([8.3e8])})[0] == pytest.approx(
        (8.8e13 / 8.3e8) ** 0.076, rel=1e-12
    )


def test_doubling_the_state_shrinks_the_reducible_loss_by_two_to_the_alpha():
    values = {"L_inf": 1.2, "A": 9.0, "alpha": 0.5}
    at, doubled = LAWS["state"].predict(values, {"S": np.array([4096.0, 8192.0])}) - 1.2
    assert doubled / at == pytest.approx(2**-0.5)
