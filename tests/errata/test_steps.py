"""The notes on steps of SGD, against a quadratic loss whose every batch is enumerated: nothing is sampled."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

RNG = np.random.default_rng(0)
SIZE, EXAMPLES = 3, 4
ROOT = RNG.normal(size=(SIZE, SIZE))
HESSIAN = ROOT @ ROOT.T + 0.3 * np.eye(SIZE)
WEIGHTS = RNG.normal(size=SIZE)
SLOPES = RNG.normal(size=(EXAMPLES, SIZE))  # L_i(w) = w H w / 2 + slope_i . w: all examples bend alike
GRADS = WEIGHTS @ HESSIAN + SLOPES
MEAN = GRADS.mean(0)
COVARIANCE = (GRADS - MEAN).T @ (GRADS - MEAN) / EXAMPLES
BENT = MEAN @ HESSIAN @ MEAN
RATE_MAX, NOISE = MEAN @ MEAN / BENT, np.trace(HESSIAN @ COVARIANCE) / BENT


def loss(weights: np.ndarray) -> float:
    return weights @ HESSIAN @ weights / 2 + SLOPES.mean(0) @ weights


def batches(size: int) -> np.ndarray:
    """The gradient of every batch of `size` examples drawn with replacement."""
    return np.array([GRADS[list(drawn)].mean(0) for drawn in product(range(EXAMPLES), repeat=size)])


def expected_fall(rate: float, size: int) -> float:
    return loss(WEIGHTS) - float(np.mean([loss(WEIGHTS - rate * grad) for grad in batches(size)]))


def test_a_steps_second_order_has_the_square_of_the_rate():
    grad = GRADS[0]
    for rate in (0.1, 0.5, 2.0):
        change = loss(WEIGHTS - rate * grad) - loss(WEIGHTS)
        assert change == pytest.approx(-rate * MEAN @ grad + rate**2 / 2 * grad @ HESSIAN @ grad, rel=1e-10)
        assert change != pytest.approx(-rate * MEAN @ grad + grad @ HESSIAN @ grad / 2, rel=0.1)  # eq. 98


@pytest.mark.parametrize("size", [1, 2, 5])
def test_the_best_rate_and_half_of_what_the_notes_gain_from_it_are_found_by_scanning(size):
    rates = RATE_MAX * np.linspace(0.001, 2.0, 2000)
    falls = [expected_fall(rate, size) for rate in rates[:: 40 if size == 5 else 1]]
    best = RATE_MAX / (1 + NOISE / size)
    scanned = rates[:: 40 if size == 5 else 1][int(np.argmax(falls))]
    assert scanned == pytest.approx(best, abs=RATE_MAX * (0.04 if size == 5 else 0.001))
    gain = RATE_MAX * MEAN @ MEAN / (1 + NOISE / size)
    assert expected_fall(best, size) == pytest.approx(gain / 2, rel=1e-10)
    assert max(falls) <= gain / 2 * (1 + 1e-10) < gain  # eq. 101 promises the whole


def test_two_batch_sizes_give_the_noise_scale_without_bias():
    small, big = 1, 4
    squares = {size: float(np.mean((batches(size) ** 2).sum(-1))) for size in (small, big)}
    true_square = (big * squares[big] - small * squares[small]) / (big - small)
    trace = (squares[small] - squares[big]) / (1 / small - 1 / big)
    assert true_square == pytest.approx(MEAN @ MEAN, rel=1e-10)
    assert trace == pytest.approx(np.trace(COVARIANCE), rel=1e-10)
    assert squares[big] > 1.05 * true_square  # one batch's own square is biased
