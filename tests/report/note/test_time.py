"""Time budgets: planted optima that lie inside in a short time and move outwards in a long one, and the contrary."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from isostate.report import seeds
from isostate.report.note import Studies, Study, time
from isostate.report.note.studies import TIME_BUDGETS
from tests.report import planted_note

STATES = (1_024, 4_096, 16_384)
CONTEXTS = (64, 256, 1_024)


def table(cost: float, gain: float, noise: float = 0.002, slower: float = 1.3) -> list[dict]:
    """Two seeds of each setting; every fourfold of state or context costs `cost` for short and gains `gain` for long.

    Larger settings are slower: 1.3 times for each fourfold, or as it is asked.
    """
    rows = []
    for x, context in enumerate(CONTEXTS):
        for y, state in enumerate(STATES):
            for seed in (0, 1):
                row = planted_note.row("window", state, 3.0, seed, noise, context=context)
                error = row["final"]["1024"]["loss_nats"] - 3.0
                for point in row["curve"]:
                    share = math.log(point["step"] / 100) / math.log(10)  # 0 at the first evaluation, 1 at the last
                    off = (x + y) * ((1 - share) * cost - share * gain)
                    point["train_s"] = point["step"] * 0.01 * slower ** (x + y)
                    point["eval"] = dict.fromkeys(point["eval"], 4.0 - share + off + error)
                rows.append(row)
    return rows


def verdicts(rows: list[dict]) -> dict[str, str]:
    return {claim.asked.key: claim.verdict for claim in time.of_the_time(planted_note.study(TIME_BUDGETS, rows))}


def test_what_costs_at_first_and_gains_later_is_found_on_both_axes():
    found = verdicts(table(0.05, 0.05, slower=1.01))
    assert found == {
        "hurts-state": "confirmed", "hurts-context": "confirmed",
        "time-state": "confirmed", "time-context": "confirmed",
    }  # fmt: skip


def test_the_contrary_is_refuted():
    found = verdicts(table(-0.3, -0.3))
    assert set(found.values()) == {"refuted"}


def test_more_that_pays_more_decides_nothing_while_the_best_stays_where_it_is():
    studies = planted_note.study(TIME_BUDGETS, table(0.05, 0.05))  # the larger are slower by more than they gain
    claims = [claim for claim in time.of_the_time(studies) if claim.asked.key.startswith("time-")]
    assert [[part.verdict() for part in claim.parts] for claim in claims] == [["confirmed", "undecided"]] * 2
    assert {claim.verdict for claim in claims} == {"undecided"}
    assert "best state times 1" in claims[0].evidence
    assert "64 tokens and 1.02K elements after 10 s, 3.5 times that (the note: 4)" in claims[0].evidence


def test_noise_hides_both():
    assert set(verdicts(table(0.001, 0.001, 0.1)).values()) == {"undecided"}


def test_times_lie_where_every_setting_still_trains():
    (found,) = time.budgets(planted_note.study(TIME_BUDGETS, table(0.05, 0.05)))
    slowest, fastest = 0.01 * 1.3**4, 0.01
    assert found.seconds == (pytest.approx(100 * slowest), pytest.approx(1_000 * fastest))
    assert found.values("state") == list(STATES)
    assert found.told("short") == "64 tokens and 1.02K elements"
    rows = table(0.05, 0.05)
    for row in rows:
        if row["state"]["elements"] == STATES[-1]:
            for point in row["curve"]:
                point["train_s"] *= 10  # their first evaluation comes after the others' end
    assert time.budgets(planted_note.study(TIME_BUDGETS, rows)) == []


def test_what_changes_with_time_needs_two_times_and_what_hurts_in_a_short_one_needs_one():
    found = verdicts(table(0.05, 0.05, slower=1.7))  # 8.4 times slower; evaluated from a tenth of the updates on
    assert found["hurts-state"] == "confirmed"
    assert found["time-state"] == "undecided"


def test_a_state_that_was_not_trained_at_every_context_is_left_out():
    rows = [row for row in table(0.05, 0.05) if (row["train_context"], row["state"]["elements"]) != (1_024, STATES[-1])]
    for row in rows:
        if row["state"]["elements"] == STATES[-1]:  # nor do its times count
            for point in row["curve"]:
                point["train_s"] *= 100
    (found,) = time.budgets(planted_note.study(TIME_BUDGETS, rows))
    assert found.seconds[0] == pytest.approx(0.01 * 100 * 1.3**3)
    assert found.values("state") == list(STATES[:2])
    assert found.values("training context") == list(CONTEXTS)


def test_the_noise_is_said_to_be_another_studys_where_seeds_are_single():
    single = [row for row in table(0.05, 0.05) if row["seed"] == 0]
    other = planted_note.rows("window", STATES, lambda s: 3.0)
    claims = time.of_the_time(Studies([Study(TIME_BUDGETS, single), Study("02_context", other)]))
    assert all("6 dof in 02_context" in claim.evidence for claim in claims)


SIMULATED = 40


def simulated(cost: float, gain: float) -> Counter[tuple[str, str]]:
    """How often each claim had each verdict. On the way a run strays by 0.03 nats, after its decay by 0.004."""
    rows = table(cost, gain, noise=1e-9, slower=1.01)
    found: Counter[tuple[str, str]] = Counter()
    rng = np.random.default_rng(11)
    for _ in range(SIMULATED):
        for row in rows:
            row["final"]["1024"]["loss_nats"] = 3.0 + rng.normal(0.0, 0.004)
        curves = [[{**point, "eval": dict(point["eval"])} for point in row["curve"]] for row in rows]
        for curve in curves:
            for point, error in zip(curve, rng.normal(0.0, 0.03, len(curve)), strict=True):
                point["eval"] = {context: loss + error for context, loss in point["eval"].items()}
        drawn = [{**row, "curve": curve} for row, curve in zip(rows, curves, strict=True)]
        found.update(verdicts(drawn).items())
    return found


def test_a_truth_is_confirmed_its_contrary_refuted_and_of_nothing_nothing_is_said():
    truth, contrary, null = simulated(0.15, 0.15), simulated(-0.15, -0.15), simulated(0.0, 0.0)
    for key in ("hurts-state", "hurts-context", "time-state", "time-context"):
        assert truth[key, "confirmed"] >= SIMULATED - 2, key
        assert contrary[key, "refuted"] >= SIMULATED - 2, key
        assert null[key, "undecided"] >= 0.9 * SIMULATED, key


def test_the_noise_after_the_decay_would_find_something_in_nothing(monkeypatch):
    monkeypatch.setattr(Studies, "noise_before_decay", Studies.noise)
    null = simulated(0.0, 0.0)
    assert null["hurts-state", "undecided"] < 0.6 * SIMULATED


def test_a_best_state_that_moves_down_is_held_against_the_note_and_a_doubtful_move_is_not():
    rows = table(-0.15, -0.15, noise=0.002, slower=1.01)
    (one,) = time.budgets(planted_note.study(TIME_BUDGETS, rows))
    assert one.moved("state").interval() == (1 / 16, 1 / 16)
    (one,) = time.budgets(planted_note.study(TIME_BUDGETS, table(0.0, 0.0, noise=0.002, slower=1.01)))
    low, high = one.moved("state").interval()
    assert low <= 1 <= high
    rows = [{**row, "seed": 0} for row in rows if row["seed"] == 0]
    (alone,) = time.budgets(planted_note.study(TIME_BUDGETS, rows))
    assert alone.moved("state") == seeds.Estimate(1 / 16)  # no noise is known, so it has no interval
