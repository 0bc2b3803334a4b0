"""The article's numbers, against what was planted in made-up records."""

from __future__ import annotations

import pytest

from isostate.report import numbers
from isostate.report.fits import fit_laws
from tests.report import planted_joint, studies


@pytest.fixture(scope="module")
def table():
    """Two families, six states, three seeds; one run diverged."""
    rows = studies.seeded()
    for row in rows:
        row["config"]["train"] = {"threads": 2}
    lost = studies.diverged(family="window", state=999)
    lost["config"]["train"] = {"threads": 1}
    return [*rows, lost]


@pytest.fixture(scope="module")
def told(table):
    return numbers.of_study(table, fit_laws(table, studies.STUDY))


def test_what_ran_what_it_cost_and_what_diverged(table, told):
    assert told["runs"] == {"diverged": 1, "done": 36}
    seconds = sum(row["train_s"] * row["config"]["train"]["threads"] for row in table)
    assert told["core_hours"] == pytest.approx(seconds / 3600)
    assert [run["state"] for run in told["diverged"]] == [999]
    assert told["rates"] == {"power-2": [0.003], "window": [0.003]}
    assert told["parameters"]["2x64"]["spread"] == 0.0
    assert told["parameters"]["2x64"]["tokens_a_parameter"] == 1_000 * 1_024 / 65_536
    assert told["heldout_tokens"] == 65_536


def test_a_law_tells_what_state_can_still_gain_and_how_its_hold_out_stood_to_the_noise(told):
    law = next(
        found
        for found in told["laws"]
        if (found["group"]["family"], found["group"]["eval_context"]) == ("power-2", 1024)
    )
    _, scale, exponent = studies.FAMILIES["power-2"]
    assert law["params"]["alpha"]["low"] < exponent < law["params"]["alpha"]["high"]
    assert law["left_nats"] == pytest.approx(scale * 65_536**-exponent, rel=0.5)
    held = law["holdout"]
    assert held["x"] == 65_536
    assert held["miss_in_noise"] == abs(held["predicted"] - held["observed"]) / told["seed_noise"]["sd"]
    assert held["covered"] == (held["low"] <= held["observed"] <= held["high"])


def test_joint_laws_carry_the_notes_claims_and_their_verdicts():
    rows = planted_joint.params()
    (joint,) = (numbers.joint(entry) for entry in fit_laws(rows, {**studies.STUDY, "fit": [{"law": "state-params"}]}))
    assert joint["claimed_exponent"] == 1.0
    assert joint["verdict"] == "refuted"  # planted: 0.7
    assert len(joint["of_the_order_of_parameters"]) == len(planted_joint.SIZES)


def test_a_hold_out_is_measured_by_the_noise_of_its_own_context(table):
    noisy = [studies.run(state=state, seed=seed) for state in studies.STATES for seed in (0, 1, 2)]
    for row in noisy:
        row["final"]["256"]["loss_nats"] += 10 * (row["seed"] - 1)
        row["config"]["train"] = {"threads": 1}
    assert numbers.seed_noise(noisy, 256)["sd"] > 100 * numbers.seed_noise(noisy)["sd"]


def test_families_are_compared_pair_by_pair(told):
    (pair,) = told["equal_state"]
    assert (pair["first"], pair["second"], pair["better"]) == ("power-2", "window", "power-2")
