"""Learning rates: worked values, the notes' wrong cosine told apart, every schedule's ends."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from isostate.train.schedule import SCHEDULES, learning_rate

SHAPE = {"steps": 110, "peak": 2.0, "warmup_steps": 10, "decay_share": 0.2, "min_share": 0.1}


def rates(schedule: str, **shape: float) -> list[float]:
    merged = {**SHAPE, **shape}
    return [learning_rate(schedule, step, **merged) for step in range(merged["steps"])]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_it_warms_up_in_equal_rises_to_the_peak(schedule):
    got = rates(schedule)
    assert got[:11] == pytest.approx([2.0 * (step + 1) / 11 for step in range(11)])
    assert max(got) == 2.0


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_it_never_leaves_its_bounds_nor_rises_after_warm_up(schedule):
    after = rates(schedule)[10:]
    assert all(0.2 <= rate <= 2.0 for rate in after)
    assert all(a >= b for a, b in pairwise(after))


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_without_warm_up_and_with_nothing_but_warm_up_it_is_defined(schedule):
    assert rates(schedule, warmup_steps=0)[0] == 2.0
    assert len(rates(schedule, warmup_steps=110)) == 110


def test_cosine_is_the_formula_and_not_the_notes():
    got = rates("cosine")
    for step in (10, 35, 60, 85, 109):
        s, s_max = step - 10, 100
        assert got[step] == pytest.approx(0.2 + (2.0 - 0.2) * (1 + math.cos(math.pi * s / s_max)) / 2)
    assert got[60] == pytest.approx(1.1)
    notes = 0.2 + (2.0 - 0.2) * math.cos(math.pi * 50 / 200)
    assert abs(got[60] - notes) > 0.3


def test_wsd_stays_at_the_peak_and_falls_straight_at_the_end():
    got = rates("wsd")
    assert got[10:91] == pytest.approx([2.0] * 81)
    assert got[100] == pytest.approx(1.1)
    falls = [a - b for a, b in pairwise(got[90:])]
    assert falls == pytest.approx([0.09] * len(falls))
    assert rates("wsd", decay_share=0.0)[10:] == [2.0] * 100


def test_constant_is_constant():
    assert set(rates("constant")[10:]) == {2.0}
