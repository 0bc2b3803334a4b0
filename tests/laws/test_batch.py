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
