"""Settings, their noise and what state gains, against what was planted in made-up records."""

from __future__ import annotations

from statistics import fmean, variance

import pytest
from scipy.stats import t as student

from isostate.report import markdown_settings, setting_numbers
from tests.report import studies


@pytest.fixture(scope="module")
def table():
    """Two families, six states, three seeds; one run diverged."""
    return [*studies.seeded(), studies.diverged(family="window", state=999)]


@pytest.fixture(scope="module")
def told(table):
    finished = [row for row in table if row["status"] == "done"]
    noise = setting_numbers.seed_noise(finished)
    effects, settings = setting_numbers.effects(finished, noise), setting_numbers.settings(finished)
    return {"seed_noise": noise, "effects": effects, "settings": settings}


def test_the_seed_noise_is_the_pooled_deviation_within_settings(table, told):
    groups: dict[tuple, list[float]] = {}
    for row in table:
        if row["status"] == "done":
            place = (row["family"], row["state"]["elements"])
            groups.setdefault(place, []).append(row["final"]["1024"]["loss_nats"])
    pooled = fmean(variance(losses) for losses in groups.values()) ** 0.5  # equal numbers of seeds
    assert told["seed_noise"] == {"sd": pytest.approx(pooled), "dof": 24}
    assert 0.003 < pooled < 0.012  # planted: 0.006
    single = [row for row in table if row["seed"] == 0 and row["status"] == "done"]
    assert setting_numbers.seed_noise(single) == {"sd": None, "dof": 0}


def test_effects_stand_beside_the_noise(told):
    effect = next(effect for effect in told["effects"] if effect["family"] == "power-2")
    planted = [studies.expected_loss("power-2", 131_072, state, 256, 1024) for state in studies.STATES]
    fall = effect["fall"]
    assert fall["value"] == pytest.approx(planted[0] - planted[-1], abs=0.02)
    assert effect["best_state"] == 65_536
    assert effect["rise"]["value"] == 0.0
    assert effect["fall_in_noise"] == pytest.approx(fall["value"] / told["seed_noise"]["sd"])
    half = student.ppf(0.975, 24) * told["seed_noise"]["sd"] * (2 / 3) ** 0.5  # a difference of means of three
    assert fall["high"] - fall["value"] == pytest.approx(half, rel=0.1)
    assert fall["value"] - fall["low"] == pytest.approx(half, rel=0.1)


def test_a_family_that_is_best_in_its_middle_is_seen_to_lose_again():
    """From worst to best it would seem to gain as much as one that falls everywhere."""
    rows = [studies.run(state=state, seed=seed) for state in studies.STATES for seed in (0, 1, 2)]
    for row in rows:
        place = studies.STATES.index(row["state"]["elements"])
        row["final"]["1024"]["loss_nats"] = 3 + 0.1 * abs(place - 2) + 0.001 * row["seed"]
    (effect,) = setting_numbers.effects(rows, setting_numbers.seed_noise(rows))
    assert effect["best_state"] == studies.STATES[2]
    assert effect["fall"]["value"] == pytest.approx(-0.1)
    assert effect["rise"]["value"] == pytest.approx(0.3)
    assert effect["rise"]["low"] > 0.29


def test_without_a_second_seed_an_effect_has_no_interval():
    (effect,) = setting_numbers.effects([studies.run(state=state) for state in studies.STATES], {"sd": None, "dof": 0})
    assert effect["fall"]["low"] is effect["fall_in_noise"] is None
    assert "[" not in markdown_settings.effects({"effects": [effect]})


def test_settings_are_told_with_their_mean_and_spread(table, told):
    assert len(told["settings"]) == 12
    first = told["settings"][0]
    assert (first["family"], first["state"], first["seeds"]) == ("power-2", studies.STATES[0], 3)
    losses = [
        row["final"]["1024"]["loss_nats"]
        for row in table
        if row["status"] == "done" and (row["family"], row["state"]["elements"]) == ("power-2", studies.STATES[0])
    ]
    assert first["mean"] == pytest.approx(fmean(losses))
    assert first["sd"] == pytest.approx(variance(losses) ** 0.5)
    assert (
        setting_numbers.settings([row for row in table if row["seed"] == 0 and row["status"] == "done"])[0]["sd"]
        is None
    )


def test_the_noise_of_a_family_is_its_own():
    """One family's seeds stray ten times as far: pooled, both would seem alike."""
    rows = [studies.run(family, seed=seed) for family in ("power-2", "window") for seed in (0, 1, 2)]
    for row in rows:
        row["final"]["1024"]["loss_nats"] = 3 + (0.1 if row["family"] == "window" else 0.01) * row["seed"]
    rows.append(studies.run("linear"))
    linear, power, window = setting_numbers.noise_by(rows, "family")
    assert (power["sd"], window["sd"]) == (pytest.approx(0.01), pytest.approx(0.1))
    assert power == {**power, "family": "power-2", "settings": 1, "of": 1, "dof": 2}
    assert linear == {"family": "linear", "settings": 0, "of": 1, "dof": 0, "sd": None}
    assert setting_numbers.seed_noise(rows)["sd"] == pytest.approx(((0.01**2 + 0.1**2) / 2) ** 0.5)
    (rate,) = setting_numbers.noise_by(rows, "lr")
    assert (rate["lr"], rate["settings"], rate["of"], rate["dof"]) == (0.003, 2, 3, 4)


def test_the_runs_of_a_tuning_stand_beside_the_drawn_rate():
    rows = [studies.run(seed=seed) for seed in (0, 1)] + [studies.run(lr=0.012, run_id="a" * 16), studies.run("window")]
    rows[2]["final"]["1024"]["loss_nats"] = 2.0  # lucky with its one seed: the rate of most seeds is drawn
    (told,) = setting_numbers.by_rate(rows)
    assert (told["family"], told["state"]) == ("power-2", 8_192)
    assert told["seeds"] == [0]  # the drawn rate's other seed has nothing to be held against
    assert told["rates"] == [
        {"lr": 0.003, "mean": rows[0]["final"]["1024"]["loss_nats"], "drawn": True},
        {"lr": 0.012, "mean": 2.0, "drawn": False},
    ]
