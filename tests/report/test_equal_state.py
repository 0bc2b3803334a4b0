"""Families at equal state: planted differences are found where ranges overlap, and intervals cover them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from isostate.report import equal_state, seeds

FIRST = (1_024, 4_096, 16_384, 65_536)
SECOND = (2_000, 8_000, 32_000, 128_000, 512_000)


def two(first, second, noise: float = 0.0, rng: np.random.Generator | None = None) -> tuple[dict, dict, seeds.Means]:
    """Two families whose loss is a function of log2 state, three seeds a setting, and their means."""
    rng = rng or np.random.default_rng(0)
    rows = [
        {"setting": (name, state), "loss": curve(math.log2(state)) + noise * rng.normal()}
        for name, states, curve in (("first", FIRST, first), ("second", SECOND, second))
        for state in states
        for _ in range(3)
    ]
    means = seeds.means(rows, lambda row: row["setting"], lambda row: row["loss"])
    return {s: ("first", s) for s in FIRST}, {s: ("second", s) for s in SECOND}, means


def test_straight_lines_in_log_state_are_compared_exactly_over_the_range_that_both_have():
    found = equal_state.matched(*two(lambda x: 5 - 0.1 * x, lambda x: 5.2 - 0.1 * x))
    assert found.states == (2_000, 4_096, 8_000, 16_384, 32_000, 65_536)
    assert found.difference.value == pytest.approx(-0.2)
    assert found.difference.interval() == (pytest.approx(-0.2), pytest.approx(-0.2))
    assert found.ahead == 6


def test_a_difference_that_turns_is_told_as_wide_as_it_is():
    turning = equal_state.matched(*two(lambda x: 5 - 0.1 * x, lambda x: 5 - 0.1 * 13.5 + 0 * x))
    low, high = turning.difference.interval()
    assert low < 0 < high
    assert 0 < turning.ahead < 6
    assert turning.at_states[0] > 0 > turning.at_states[-1]


def test_a_curve_against_itself_differs_by_little_and_by_less_than_lines_would():
    def curve(x: float) -> float:
        return 2 + 60 * 2 ** (-0.7 * x)

    found = equal_state.matched(*two(curve, curve))
    known, other = np.log2(FIRST), np.log2(SECOND)
    x = np.log2(found.states)
    lines = np.interp(x, known, [curve(v) for v in known]) - np.interp(x, other, [curve(v) for v in other])
    assert max(map(abs, found.at_states)) < np.abs(lines).max() / 3
    assert abs(found.difference.value) < 0.003


def test_states_that_are_as_good_as_equal_are_one_point():
    assert equal_state.shared([1_000, 4_000], [1_010, 4_050]) == [1_010, 4_000]
    assert equal_state.shared([1_000, 2_000], [4_000, 8_000]) == []


def test_ranges_that_do_not_meet_are_not_compared():
    first, second, means = two(lambda x: x, lambda x: x)
    low = {state: setting for state, setting in first.items() if state < 2_000}
    assert equal_state.matched(low, second, means) is None
    high = {state: setting for state, setting in second.items() if state > 100_000}
    assert equal_state.matched(first, high, means) is None


def test_the_interval_covers_the_planted_difference():
    rng, hit, widths, studies = np.random.default_rng(3), 0, [], 200
    for _ in range(studies):
        drawn = two(lambda x: 5 - 0.1 * x, lambda x: 5.03 - 0.1 * x, 0.006, rng)
        low, high = equal_state.matched(*drawn).difference.interval()
        hit += low <= -0.03 <= high
        widths.append(high - low)
    assert hit / studies >= 0.93
    # drawing both seeds and points counts the seeds' noise nearly twice: wide, but not twice as wide as it must be
    assert np.mean(widths) < 2 * 2 * 1.96 * 0.006 * math.sqrt(1 / 3) * math.sqrt(2 / 4)
