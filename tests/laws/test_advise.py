"""Alarms and refusals: what is wrong is said in words, in the result or in one line."""

import numpy as np
import pytest

from isostate.config import UserError
from isostate.laws import LAWS, fit_power, fit_state
from isostate.laws.advise import checked

STATE_SIZES = np.array([2048.0, 4096, 8192, 16384, 32768])


def planted(sizes):
    return 1.5 + 20.0 * sizes**-0.45


@pytest.mark.parametrize(
    ("losses", "alarm"),
    [
        (planted(STATE_SIZES)[::-1], "does not fall"),
        (np.full(5, 2.0), "does not fall"),
        (np.array([2.0, 2.1, 1.9, 1.8, 1.75]), "not monotone"),
        (4.0 - 0.1 * np.log2(STATE_SIZES / 1024), "on its bound"),
        (300.0 * planted(STATE_SIZES), "cannot be nats"),
        (planted(STATE_SIZES) + 0.05 * np.array([1, -1, 0.5, 1, -1]), "flat profile"),
    ],
)
def test_troubled_data_raise_their_alarm(losses, alarm):
    fit = fit_state(STATE_SIZES, losses)
    assert any(alarm in text for text in fit.alarms), fit.alarms
    assert fit.advice


def test_a_narrow_range_is_an_alarm():
    sizes = np.array([1000.0, 1100, 1200, 1300, 1400])
    assert any("narrow range" in text for text in fit_state(sizes, planted(sizes)).alarms)


@pytest.mark.parametrize("value", [np.nan, -1.0, np.inf, 0.0])
def test_a_loss_that_cannot_be_is_refused_in_one_line(value):
    losses = planted(STATE_SIZES)
    losses[2] = value
    with pytest.raises(UserError, match="row 3") as error:
        fit_state(STATE_SIZES, losses)
    assert "\n" not in str(error.value)


def test_columns_of_unequal_length_and_missing_columns_are_refused():
    with pytest.raises(UserError, match="one value a run"):
        fit_power(LAWS["state"], STATE_SIZES[:4], planted(STATE_SIZES))
    with pytest.raises(UserError, match="needs the column 'S'"):
        checked(LAWS["state"], {"N": STATE_SIZES}, planted(STATE_SIZES))
