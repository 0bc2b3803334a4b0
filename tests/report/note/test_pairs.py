"""Every two families at equal state: who is better, where that can be told."""

from __future__ import annotations

import math

import pytest

from isostate.report import rows as runs
from isostate.report.note.pairs import pairs
from tests.report import planted_note

STATES = (1_024, 4_096, 16_384, 65_536)


def test_each_pair_is_told_once_with_who_is_better():
    levels = {"linear": 3.1, "power-2": 3.0, "window": 3.0005}
    table = [
        row
        for family, level in levels.items()
        for row in planted_note.rows(family, STATES, lambda s, at=level: at - 0.01 * math.log2(s))
    ]
    table += planted_note.rows("softmax", STATES, lambda s: 2.0)
    found = {(pair["first"], pair["second"]): pair for pair in pairs(runs.drawn(table))}
    assert set(found) == {("linear", "power-2"), ("linear", "window"), ("power-2", "window")}
    apart = found["linear", "power-2"]
    assert apart["better"] == "power-2"
    assert apart["difference"]["low"] < 0.1 < apart["difference"]["high"]
    assert (apart["ahead"], apart["of"], apart["low"], apart["high"]) == (0, 4, 1_024, 65_536)
    assert apart["in_noise"] == pytest.approx(0.1 / planted_note.NOISE, rel=0.6)
    assert found["power-2", "window"]["better"] is None


def test_families_of_other_sizes_or_states_are_no_pair():
    table = planted_note.rows("linear", STATES, lambda s: 3.0)
    table += planted_note.rows("window", [100 * s for s in STATES], lambda s: 3.0)
    table += planted_note.rows("power-2", STATES, lambda s: 3.0, size=(4, 128, 1_050_624))
    assert pairs(runs.drawn(table)) == []
    assert pairs([]) == []
