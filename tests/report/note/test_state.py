"""Claims of question 1 on planted tables: a truth is confirmed, its contrary refuted, what noise hides undecided."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from isostate.report.fits import fit_laws
from isostate.report.note import state
from isostate.report.note.studies import STATE_LAWS
from tests.report import planted_note, studies

STATES = (1_024, 2_048, 4_096, 8_192, 16_384, 32_768)
SIMULATED = 60
BETWEEN = tuple(round(1.3 * state) for state in STATES)


def slope(a_doubling: float, level: float = 4.0):
    return lambda elements: level - a_doubling * math.log2(elements / 1_024)


def judged(claim, *tables) -> str:
    return claim(planted_note.study(STATE_LAWS, [row for table in tables for row in table])).verdict


@pytest.mark.parametrize(
    ("second", "noise", "verdict"),
    [(0.02, 0.004, "confirmed"), (-0.02, 0.004, "refuted"), (0.0001, 0.02, "undecided")],
)
def test_loss_falls_as_state_grows_in_every_family_or_it_does_not(second, noise, verdict):
    falling = planted_note.rows("window", STATES, slope(0.02), noise=noise)
    other = planted_note.rows("linear", STATES, slope(second), noise=noise)
    assert judged(state.falls, falling, other) == verdict


def test_a_large_rise_on_the_way_refutes_a_fall_from_end_to_end():
    falling = planted_note.rows("window", STATES, slope(0.02))
    best_inside = planted_note.rows("linear-gated", STATES, lambda s: slope(0.02)(s) - 0.2 * (s == STATES[2]))
    claim = state.falls(planted_note.study(STATE_LAWS, falling + best_inside))
    assert claim.verdict == "refuted"
    (part,) = (part for part in claim.parts if part.what == "linear-gated")
    assert part.estimate.interval()[0] > 0  # from end to end it falls, which alone would confirm
    assert len(part.against) == 5
    assert "above a smaller state at the largest: linear-gated +0.1" in claim.evidence
    assert "from 4.1K" in claim.evidence
    slight = planted_note.rows("linear-gated", STATES, lambda s: slope(0.02)(s) - 0.062 * (s == STATES[2]))
    claim = state.falls(planted_note.study(STATE_LAWS, falling + slight))
    assert claim.verdict == "confirmed"  # by 0.002 nats, within the noise: not undecided by that alone
    assert "above a smaller state" not in claim.evidence


def test_families_that_the_note_does_not_name_are_told_beside():
    falling = planted_note.rows("power-4", STATES, slope(0.02))
    flat = planted_note.rows("mamba2", STATES, slope(-0.02))
    claim = state.falls(planted_note.study(STATE_LAWS, falling + flat))
    assert claim.verdict == "confirmed"
    assert [part.what for part in claim.parts] == ["power-4"]
    assert "; beside: mamba2 −0.1" in claim.evidence


def simulated(loss, noise: float = 0.02) -> Counter[str]:
    """The verdict on falls of one family, planted again and again."""
    tables = [
        planted_note.rows("window", STATES, loss, seeds=(3 * i, 3 * i + 1, 3 * i + 2), noise=noise)
        for i in range(SIMULATED)
    ]
    return Counter(judged(state.falls, table) for table in tables)


def test_a_truth_is_confirmed_its_contrary_refuted_and_of_nothing_nothing_is_said():
    assert simulated(slope(0.02))["confirmed"] >= SIMULATED - 2
    assert simulated(slope(-0.02))["refuted"] >= SIMULATED - 2
    assert simulated(lambda s: 3.0)["undecided"] >= 0.9 * SIMULATED
    best_inside = lambda s: slope(0.02)(s) - 0.2 * (s == STATES[2])  # noqa: E731
    assert simulated(best_inside)["refuted"] >= SIMULATED - 2
    levels_off = lambda s: max(slope(0.05)(s), 3.9)  # noqa: E731
    assert simulated(levels_off)["confirmed"] >= 0.9 * SIMULATED  # four equal states at the end: rises by chance


def test_falls_are_told_with_the_exponents_of_the_laws():
    table = [studies.run(family, state=s, seed=i) for family in ("power-2", "window") for s in STATES for i in (0, 1)]
    claim = state.falls(planted_note.study(STATE_LAWS, table, fit_laws(table, studies.STUDY)))
    assert claim.verdict == "confirmed"
    want = studies.expected_loss("window", 131_072, STATES[0], 256, 1024) - studies.expected_loss(
        "window", 131_072, STATES[-1], 256, 1024
    )
    (fall,) = (part.estimate for part in claim.parts if part.what == "window")
    assert fall.interval()[0] < want < fall.interval()[1]
    assert "α of 2 laws: " in claim.evidence
    assert "noise 0.00" in claim.evidence


@pytest.mark.parametrize(
    ("rival", "noise", "verdict"), [(0.05, 0.004, "confirmed"), (-0.05, 0.004, "refuted"), (0.004, 0.05, "undecided")]
)
def test_the_power_family_beats_every_gated_rival_or_one_beats_it(rival, noise, verdict):
    ours = planted_note.rows("power-2-gated", STATES, slope(0.03), noise=noise)
    mamba = planted_note.rows("mamba2", BETWEEN, slope(0.03, 4.0 + rival), noise=noise)
    window = planted_note.rows("window", STATES, slope(0.03, 4.2), noise=noise)
    better_but_ungated = planted_note.rows("linear", STATES, slope(0.03, 3.0), noise=noise)
    tables = (ours, mamba, window, better_but_ungated)
    assert judged(lambda s: state.beats(s, state.BEATS, "power-2-gated"), *tables) == verdict


def test_without_gates_the_gated_rivals_are_left_out():
    ours = planted_note.rows("power-2", STATES, slope(0.03))
    better_but_gated = planted_note.rows("mamba2", STATES, slope(0.03, 3.0))
    behind = planted_note.rows("linear", STATES, slope(0.03, 4.1))
    claim = state.beats(planted_note.study(STATE_LAWS, ours + better_but_gated + behind), state.BEATS_BARE, "power-2")
    assert [part.what for part in claim.parts] == ["linear"]
    assert claim.verdict == "confirmed"
    assert "ahead at 6/6 of the states compared" in claim.evidence


def heads(rows: list[dict], width: int = 64) -> list[dict]:
    """Each state one size of heads, in both families."""
    for place, elements in enumerate(sorted({row["state"]["elements"] for row in rows})):
        for row in rows:
            if row["state"]["elements"] == elements:
                row["mixer"] |= {"head_dim": 2**place, "n_heads": width // 2**place}
    return rows


def test_taylor_may_improve_linear_with_keys_of_one_size_and_not_at_equal_state():
    linear = heads(planted_note.rows("linear-gated", STATES, slope(0.03)))
    taylor = heads(planted_note.rows("taylor-2-gated", [8 * s for s in STATES], lambda s: slope(0.03)(s) + 0.02))
    tables = (linear, taylor)
    assert judged(state.taylor, *tables) == "confirmed"
    assert judged(state.taylor_at_equal_state, *tables) == "refuted"
    claim = state.taylor(planted_note.study(STATE_LAWS, linear + taylor))
    assert len(claim.parts) == 6
    assert claim.parts[0].what == "taylor-2-gated, keys of 1 (64 heads, linear 64)"
    assert claim.parts[0].estimate.value == pytest.approx(0.02 - 3 * 0.03, abs=0.01)


def test_single_seeds_lean_on_the_pooled_noise_and_say_so():
    three = planted_note.rows("window", STATES, slope(0.02))
    one = planted_note.rows("linear", STATES, slope(0.02), seeds=(0,))
    claim = state.falls(planted_note.study(STATE_LAWS, three + one))
    widths = {part.what: part.estimate.interval()[1] - part.estimate.interval()[0] for part in claim.parts}
    assert widths["linear"] == pytest.approx(math.sqrt(3) * widths["window"], rel=0.1)
    alone = state.falls(planted_note.study(STATE_LAWS, one))
    assert alone.verdict == "undecided"
    assert "no setting has two seeds, so there is no interval" in alone.evidence
