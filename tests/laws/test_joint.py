"""The state laws and what is read off them."""

import numpy as np
import pytest

from isostate.laws import LAWS
from tests.laws.planted import PLANTED


def derived(name, key):
    return LAWS[name].derived[key](PLANTED[name].values)


def test_the_state_that_balances_parameters_has_equal_gains_a_doubling():
    law, values = LAWS["state-params"], PLANTED["state-params"].values
    N = np.array([1e8])
    S = derived("state-params", "state_factor") * N ** derived("state-params", "state_exponent")
    by_N = law.predict(values, {"N": N * 1.001, "S": S}) - law.predict(values, {"N": N, "S": S})
    by_S = law.predict(values, {"N": N, "S": S * 1.001}) - law.predict(values, {"N": N, "S": S})
    assert by_N == pytest.approx(by_S, rel=1e-3)


def test_the_state_for_a_context_keeps_forgetting_level_with_what_the_context_lacks():
    values, exponent = PLANTED["state-context"].values, derived("state-context", "state_exponent")
    T = np.array([512.0, 8192.0])
    S = 1e4 * (T / T[0]) ** exponent
    forgetting = values["B"] * S ** -values["beta"] * T ** values["tau"]
    lacking = values["H"] * T ** -values["chi"]
    assert forgetting[1] / forgetting[0] == pytest.approx(lacking[1] / lacking[0])


def test_kaplans_steps_law_at_published_values():
    # Kaplan et al. 2020 table 3: N_c 6.5e13, S_c 2.1e3, alpha_N .077, alpha_S .76
    values = {"E": 0.0, "A": 6.5e13**0.077, "B": 2.1e3**0.76, "alpha": 0.077, "sigma": 0.76}
    got = LAWS["kaplan-steps"].predict(values, {"N": np.array([1e8]), "steps": np.array([1e5])})
    assert got[0] == pytest.approx((6.5e13 / 1e8) ** 0.077 + (2.1e3 / 1e5) ** 0.76)
