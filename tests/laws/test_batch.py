"""Batch laws at published numbers."""

import numpy as np
import pytest

from isostate.laws import LAWS


def test_steps_and_examples_lie_on_the_hyperbola():
    steps_min, examples_min = 2e3, 4e6
    B = np.array([100.0, 2000.0, 1e5])
    steps = LAWS["critical-batch"].predict({"S_min": steps_min, "E_min": examples_min}, {"B": B})
    assert (steps / steps_min - 1) * (B * steps / examples_min - 1) == pytest.approx(np.ones(3))
    # at B_crit both cost twice their minimum
    assert LAWS["critical-batch"].derived["B_crit"]({"S_min": steps_min, "E_min": examples_min}) == 2000.0
    assert steps[1] == pytest.approx(2 * steps_min)


def test_kaplans_critical_batch_and_step_law_at_published_values():
    critical = LAWS["noise-scale"].predict({"B_star": 2.1e8, "alpha_B": 0.21}, {"L": np.array([3.0])})
    assert critical[0] == pytest.approx(2.1e8 * 3.0 ** (-1 / 0.21))
    lr = LAWS["step-law-lr"].predict(
        {"k": 1.79, "a": -0.713, "b": 0.307}, {"N": np.array([1e9]), "D": np.array([1e11])}
    )
    assert lr[0] == pytest.approx(1.79 * 1e9**-0.713 * 1e11**0.307)
    batch = LAWS["step-law-batch"].predict({"k": 0.58, "b": 0.571}, {"D": np.array([1e11])})
    assert batch[0] == pytest.approx(0.58 * 1e11**0.571)


STEPS_MIN, EXAMPLES_MIN, A_SEQUENCE_S, A_STEP_S = 1e3, 1e5, 0.01, 1.35  # seconds: kappa B + sigma a step


def training_s(batch: np.ndarray, a_step_s: float = A_STEP_S) -> np.ndarray:
    steps = LAWS["critical-batch"].predict({"S_min": STEPS_MIN, "E_min": EXAMPLES_MIN}, {"B": batch})
    return steps * (A_SEQUENCE_S * batch + a_step_s)


def test_the_fastest_batch_balances_a_steps_fixed_time_and_the_notes_minus_is_a_plus():
    # Eq. 104 and 105 of the notes: B = sqrt(sigma E / kappa S), T = (sqrt(kappa E) -+ sqrt(sigma S))^2.
    scanned = np.geomspace(1, 1e5, 100_001)
    times = training_s(scanned)
    computing, fixed = A_SEQUENCE_S * EXAMPLES_MIN, A_STEP_S * STEPS_MIN
    assert scanned[np.argmin(times)] == pytest.approx((A_STEP_S / A_SEQUENCE_S * 100) ** 0.5, rel=1e-3)
    assert times.min() == pytest.approx((computing**0.5 + fixed**0.5) ** 2, rel=1e-6)
    assert times.min() > computing + fixed > (computing**0.5 - fixed**0.5) ** 2  # no batch is as fast as the notes'


@pytest.mark.parametrize("a_step_s", [0.01, 0.5, 1.0, 1.35, 80.0])
def test_the_critical_batch_takes_up_to_twice_the_least_time_and_never_the_notes_3(a_step_s):
    critical = np.array([EXAMPLES_MIN / STEPS_MIN])
    ratio = training_s(critical, a_step_s)[0] / training_s(np.geomspace(1e-2, 1e6, 200_001), a_step_s).min()
    cross, whole = (a_step_s * A_SEQUENCE_S * critical[0]) ** 0.5, A_SEQUENCE_S * critical[0] + a_step_s
    assert ratio == pytest.approx(2 / (1 + 2 * cross / whole), rel=1e-6)
    assert 1 - 1e-9 <= ratio < 2
    assert 2 / (1 - cross / whole) > 2  # theirs, at all times; 4 where the two batches are one
