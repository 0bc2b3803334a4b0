"""State and model size: who gains by state, and the state worth having, planted both ways."""

from __future__ import annotations

import math

import pytest

from isostate.report import seeds
from isostate.report.fits import fit_laws
from isostate.report.note import size
from isostate.report.note.studies import MODEL_SIZE
from tests.report import planted_note, studies

STATES = (1_024, 4_096, 16_384, 65_536)
SMALL, LARGE = (2, 64, 131_072), (4, 128, 1_050_624)


def sized(small: float, large: float, noise: float = planted_note.NOISE) -> list[dict]:
    """Nats that a doubling of state gains in each size; the larger has twice the states."""
    return [
        row
        for shape, factor, gain in ((SMALL, 1, small), (LARGE, 2, large))
        for row in planted_note.rows(
            "window",
            [factor * state for state in STATES],
            lambda s, gain=gain: 4.0 - gain * math.log2(s / 1_024),
            size=shape,
            noise=noise,
        )
    ]


@pytest.mark.parametrize(
    ("small", "large", "noise", "verdict"),
    [(0.01, 0.03, 0.004, "confirmed"), (0.03, 0.01, 0.004, "refuted"), (0.02, 0.021, 0.05, "undecided")],
)
def test_a_large_model_gains_more_by_the_same_state_or_less(small, large, noise, verdict):
    claim = size.larger(planted_note.study(MODEL_SIZE, sized(small, large, noise)))
    assert claim.verdict == verdict
    doublings = math.log2(65_536 / 2_048)  # of the states that both have
    assert claim.parts[0].estimate.value == pytest.approx((large - small) * doublings, abs=2 * noise)
    assert "window from 2,048 to 65,536 elements: 65.5K by" in claim.evidence


def test_sizes_that_share_no_states_are_not_compared():
    rows = planted_note.rows("window", STATES, lambda s: 4.0)
    rows += planted_note.rows("window", [100 * s for s in STATES], lambda s: 4.0, size=LARGE)
    assert size.larger(planted_note.study(MODEL_SIZE, rows)).parts == ()


def bowl(best: float, noise: float = 0.0005, steep: float = 0.05) -> list[dict]:
    """The loss is lowest at a state of `best` parameters' count, all along the curves."""
    rows = []
    n_params = SMALL[2] - 65_536
    for state in [int(n_params * 4.0**power) for power in (-5, -4, -3, -2, -1, 0, 1, 2)]:
        for seed in (0, 1):
            row = planted_note.row("window", state, 4.0, seed, noise)
            off = steep * math.log2(state / (best * n_params)) ** 2
            for point in row["curve"]:
                point["eval"] = dict.fromkeys(point["eval"], 4.0 + off + 10 / point["step"])
            rows.append(row)
    return rows


@pytest.mark.parametrize(("best", "verdict"), [(1.0, "confirmed"), (1 / 256, "refuted")])
def test_the_best_state_at_a_compute_is_of_the_order_of_the_parameters_or_not(best, verdict):
    claim = size.order(planted_note.study(MODEL_SIZE, bowl(best)))
    assert claim.verdict == verdict
    low, high = claim.parts[0].estimate.interval()
    assert low < best < high


def test_a_best_state_at_the_edge_of_the_study_is_a_bound_and_decides_nothing():
    rows = [row for row in bowl(1.0) if row["state"]["elements"] < 2_000]
    claim = size.order(planted_note.study(MODEL_SIZE, rows))
    low, high = claim.parts[0].estimate.interval()
    assert high == math.inf
    assert low < 0.1
    assert claim.verdict == "undecided"
    assert "∞" in claim.evidence
    assert "or more were trained: the largest is 0.016 of them for window" in claim.evidence
    assert "not to be confirmed" not in size.order(planted_note.study(MODEL_SIZE, bowl(1.0))).evidence


def test_a_best_state_is_held_against_an_order_at_a_level_shared_over_the_parts():
    rows = bowl(1.0, noise=0.05, steep=0.01)
    estimate = size.best_over_parameters(rows, seeds.Noise(0.05, 8))
    (low, high), (lower, higher) = estimate.interval(0.8), estimate.interval(0.999)
    assert lower < low <= high < higher


def test_the_noise_of_losses_on_the_way_is_taken():
    claim = size.order(planted_note.study(MODEL_SIZE, bowl(1.0)))
    assert "noise before the decay 0.0000, 8 dof" in claim.evidence


def test_noise_as_large_as_the_bowl_decides_nothing():
    rows = bowl(1.0, steep=1e-5)
    noise = seeds.Noise(0.05, 8)
    assert size.best_over_parameters(rows, noise).interval() == (0.0, math.inf)


REACHING = (1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304)


def joint(alpha: float, beta: float, most: int = REACHING[-1]) -> tuple:
    shapes = ((2, 32, 100_000), (2, 64, 400_000), (4, 128, 1_600_000), (4, 256, 6_400_000))
    rows = [
        planted_note.row(
            "window", s, 2 + 40 * (n - 65_536) ** -alpha + 20 * s**-beta, size=(layers, width, n + i), noise=2e-3
        )
        for layers, width, n in shapes
        for i, s in enumerate(s for s in REACHING if s <= most)
    ]
    laws = fit_laws(rows, {**studies.STUDY, "fit": [{"law": "state-params"}]})
    study = planted_note.study(MODEL_SIZE, rows, laws)[MODEL_SIZE]
    return size.follows(study), size.order_by_law(study)


@pytest.mark.parametrize(("alpha", "beta", "verdict"), [(0.4, 0.4, "confirmed"), (0.25, 0.5, "refuted")])
def test_the_exponent_of_the_state_worth_having_is_held_against_one(alpha, beta, verdict):
    follows, _ = joint(alpha, beta)
    assert follows.parts[0].estimate.value == pytest.approx(alpha / beta, abs=0.1)
    assert follows.verdict == verdict


def test_the_laws_state_is_held_against_the_parameters_at_every_size():
    _, order = joint(0.4, 0.4)
    assert len(order.parts) == 4  # though a size's settings differ a little in parameters
    for part in order.parts:  # alpha A N^-alpha = beta B S^-beta
        assert part.estimate.value == pytest.approx((20 / 40) ** (1 / 0.4), rel=0.5)
    assert order.verdict == "confirmed"


def test_a_state_of_the_law_beyond_those_that_were_trained_decides_nothing():
    _, order = joint(0.4, 0.4, most=65_536)  # S* is .18 N: 6,100, 59,000, 270,000 and 1.1M
    assert [part.verdict() for part in order.parts] == ["confirmed", "confirmed", "undecided", "undecided"]
    assert order.evidence.endswith(f"{size.BEYOND}: window at 1.5M, window at 6.3M")
    assert order.verdict == "undecided"
