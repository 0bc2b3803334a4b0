"""Studies by name, their settings and whose noise they take."""

from __future__ import annotations

import math

import pytest

from isostate.report.note.studies import Studies, Study, by_state, on_noise, places
from tests.report import planted_note, studies

STATES = (1_024, 4_096)


def test_a_study_that_is_not_there_is_empty():
    found = Studies([])
    assert found["01_state_laws"].finished == []
    assert found.means("01_state_laws").values == {}
    assert found.noise("01_state_laws").sd is None


def test_settings_are_found_by_place_and_state():
    table = planted_note.rows("window", STATES, lambda s: 3.0) + planted_note.rows("linear", STATES, lambda s: 2.9)
    means = planted_note.study("a", table).means("a")
    assert [place[0] for place in places(means)] == ["linear", "window"]
    found = by_state(means, places(means)[1])
    assert list(found) == list(STATES)
    assert means.values[found[1_024]] == pytest.approx(3.0, abs=0.01)
    assert set(means.seeds.values()) == {3}


def test_a_study_without_repeated_seeds_takes_the_noise_of_another_and_says_so():
    one = planted_note.rows("window", STATES, lambda s: 3.0, seeds=(0,))
    three = planted_note.rows("window", STATES, lambda s: 3.0)
    both = Studies([Study("04_time", one), Study("02_context", three)])
    noise = both.noise("04_time")
    assert (noise.sd, noise.dof, noise.source) == (both["02_context"].noise().sd, 4, "02_context")
    assert both.noise("02_context").source == ""
    assert on_noise(both.means("04_time").noise) == f"noise {noise.sd:.4f}, 4 dof in 02_context"
    assert on_noise(both.means("02_context").noise) == f"noise {noise.sd:.4f}, 4 dof"
    assert "no interval" in on_noise(Studies([])["04_time"].noise())
    assert both.noise_before_decay("04_time").source == "02_context"


def test_noise_before_the_decay_is_that_of_the_losses_read_there():
    table = planted_note.rows("window", STATES, lambda s: 3.0, noise=0.001)
    schedule = {"schedule": "wsd", "steps": 1_000, "warmup_steps": 100, "decay_share": 0.2}
    for row in table:
        row["config"]["train"] = schedule  # decays from update 820 on
        for place, point in enumerate(row["curve"]):
            strays = (row["seed"] - 1) * (0.02, 0.08)[place % 4 // 2] if point["step"] < 820 else 0.0
            point["eval"] = {"256": 9.0, "1024": 4.0 + strays} if point["eval"] else {}
    study = Study("a", table)
    noise = study.noise_before_decay()  # evaluated at 100, 200, ... 800: by turns 0.02 and 0.08
    assert noise.sd == pytest.approx(math.sqrt((0.02**2 + 0.08**2) / 2))
    assert noise.dof == 4  # two settings of three seeds, however often they were evaluated
    assert study.noise().sd < 0.003
    assert on_noise(noise) == "noise before the decay 0.0583, 4 dof"


def test_sizes_are_named_where_there_are_several():
    one = [studies.run(state=state) for state in STATES]
    assert Study("a", one).size_word((2, 64)) == ""
    assert Study("a", [*one, studies.run(size=studies.SIZES[1])]).size_word((2, 64)) == "65.5K"


def test_noise_is_of_the_context_that_is_asked_for():
    table = [studies.run(state=state, seed=seed) for state in STATES for seed in (0, 1, 2)]
    for row in table:
        row["final"]["256"]["loss_nats"] = 3.0
    study = Study("a", table)
    assert study.noise(256).sd == 0.0
    assert 0.002 < study.noise().sd < 0.02
