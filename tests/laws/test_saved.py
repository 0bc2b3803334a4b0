"""A fit as JSON and back: the same answers from both; anything else is refused in one line."""

import json

import numpy as np
import pytest

from isostate.config import UserError
from isostate.laws import LAWS, fit_law, fit_state
from isostate.laws.allocate import allocate
from isostate.laws.planning import next_run
from isostate.laws.saved import read_saved, restored, saved
from tests.laws.planted import PLANTED

CASE = PLANTED["chinchilla"]


@pytest.fixture(scope="module")
def fit():
    law = LAWS["chinchilla"]
    y = law.predict(CASE.values, CASE.inputs) * np.exp(0.005 * np.random.default_rng(0).normal(size=36))
    return fit_law(law, CASE.inputs, y, bootstrap=200)


def through_a_file(fit, path):
    path.write_text(json.dumps(saved(fit), allow_nan=False))
    return read_saved(path)


def test_a_saved_fit_allocates_and_plans_as_the_fit_itself(fit, tmp_path):
    again = through_a_file(fit, tmp_path / "fit.json")
    mine, theirs = allocate(again, 1e22), allocate(fit, 1e22)
    assert mine.loss.value == theirs.loss.value
    for end in ("value", "low", "high"):
        assert getattr(mine.amounts["N"], end) == pytest.approx(getattr(theirs.amounts["N"], end), rel=1e-6)
    candidates = {"N": np.array([1e8, 1e9]), "D": np.array([1e10, 1e11])}
    assert next_run(again, {"N": 1e11, "D": 1e12}, candidates) == next_run(fit, {"N": 1e11, "D": 1e12}, candidates)
    assert again.values == fit.values
    assert again.alarms == fit.alarms


def test_a_fit_of_one_resource_goes_through_too(tmp_path):
    sizes = np.geomspace(1e3, 1e5, 6)
    fit = fit_state(sizes, 1.5 + 20 * sizes**-0.5 + 0.002 * np.array([1, -1, 1, 0, -1, 1]))
    again = through_a_file(fit, tmp_path / "fit.json")
    candidates = {"S": np.array([1e3, 1e6])}
    assert next_run(again, {"S": 1e7}, candidates) == next_run(fit, {"S": 1e7}, candidates)


def test_a_failed_fit_stays_one(tmp_path):
    fit = fit_state([1e3, 1e3], [2.0, 2.1])
    again = through_a_file(fit, tmp_path / "fit.json")
    assert not again.params
    with pytest.raises(UserError, match="too few points"):
        allocate(again, 1e20)


def without(key):
    return lambda values: {name: value for name, value in values.items() if name != key}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda values: [values], "not a fit"),
        (without("law"), "not a fit"),
        (without("points"), "missing key 'points'"),
        (lambda values: {**values, "law": "chinchila"}, 'did you mean "chinchilla"'),
        (lambda values: {**values, "law": "kaplan"}, "those of law 'kaplan' N_c"),
        (lambda values: {**values, "level": "high"}, "level"),
        (lambda values: {**values, "draws": [[1.0, 2.0]]}, "draws of 5 parameters are wanted"),
        (lambda values: {**values, "points": [{"N": 1.0, "y": 2.0}]}, "a point without a positive D, N, y"),
        (lambda values: {**values, "points": [{"N": 1.0, "D": -1.0, "y": 2.0}]}, "a point without a positive"),
        (lambda values: {**values, "params": {}, "alarms": []}, "neither parameters nor the reason"),
    ],
)
def test_what_is_no_fit_is_told(fit, change, message):
    with pytest.raises(UserError, match=message) as error:
        restored(change(saved(fit)), "fit.json")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("content", "message"), [(None, "no file"), (b"{", "not JSON"), (b"\xff", "not JSON")])
def test_a_file_that_is_no_json_is_told(tmp_path, content, message):
    if content is not None:
        (tmp_path / "fit.json").write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_saved(tmp_path / "fit.json")
