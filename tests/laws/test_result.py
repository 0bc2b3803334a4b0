"""A Fit as JSON: plain, whole, and honest when it failed."""

import json

import numpy as np
import pytest

from isostate.laws import LAWS, Fit, HoldOut, Interval


def fit(**values):
    return Fit(LAWS["state"], "least squares", "profile", 0.95, (), **values)


def test_a_failed_fit_is_json_with_alarms_and_without_numbers():
    plain = json.loads(json.dumps(fit(alarms=("too few points",), advice=("train more",)).to_dict(), allow_nan=False))
    assert plain["params"] == {}
    assert plain["holdout"] is None
    assert plain["curve"] == {"x": [], "y": [], "low": [], "high": []}


def test_numpy_and_infinities_become_plain_values():
    plain = fit(params={"A": Interval(np.float64(1.0), 0.5, np.inf)}, diagnostics={"grid": np.arange(2)}).to_dict()
    assert plain["params"]["A"] == {"value": 1.0, "low": 0.5, "high": None}
    assert plain["diagnostics"]["grid"] == [0, 1]


def test_the_hold_outs_error_is_relative_and_coverage_is_the_interval():
    held = HoldOut(x=1.0, observed=2.0, predicted=2.1, low=2.05, high=2.2)
    assert held.error == pytest.approx(0.05)
    assert not held.covered
