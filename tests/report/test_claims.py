"""Verdicts: one rule, at its edges."""

from __future__ import annotations

import pytest

from isostate.report.claims import of_exponent, of_order


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.4, 0.6, "confirmed"),
        (0.25, 0.75, "confirmed"),
        (0.2, 0.6, "undecided"),
        (0.4, 0.9, "undecided"),
        (0.51, 0.6, "refuted"),
        (0.1, 0.49, "refuted"),
    ],
)
def test_an_exponent_is_refuted_by_an_interval_without_it_and_confirmed_by_a_narrow_one_with_it(low, high, verdict):
    assert of_exponent({"value": 0.5, "low": low, "high": high}, 0.5) == verdict


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(5e4, 5e5, "confirmed"), (5e3, 5e5, "undecided"), (2e6, 3e6, "refuted"), (1e2, 9e3, "refuted")],
)
def test_an_order_is_a_factor_of_ten_either_way(low, high, verdict):
    assert of_order({"value": 1e5, "low": low, "high": high}, 1e5) == verdict


def test_without_an_interval_nothing_is_decided():
    assert of_exponent(None, 0.5) == of_order(None, 1.0) == "undecided"
    assert of_exponent({"value": 0.5, "low": None, "high": None}, 0.5) == "undecided"
