"""Hardware: rates come from the best trial, threads are put back, numbers are of a machine and not of a bug."""

from __future__ import annotations

import time

import torch

from isostate.costs.hardware import best_seconds, measure_bandwidth, measure_gemm


def test_rates_are_those_of_a_computer():
    assert 1e8 < measure_gemm(1, size=256, trials=3) < 1e14
    assert 1e8 < measure_bandwidth(1, elements=2**20, trials=3) < 1e14


def test_the_number_of_threads_is_put_back():
    before = torch.get_num_threads()
    measure_gemm(before + 1, size=16, trials=1)
    measure_bandwidth(before + 1, elements=16, trials=1)
    assert torch.get_num_threads() == before


def test_the_best_trial_counts_after_one_that_warms_up():
    seconds = iter([0.05, 0.02, 0.0, 0.02])
    calls = []
    best = best_seconds(lambda: (calls.append(1), time.sleep(next(seconds))), 3)
    assert len(calls) == 4
    assert best < 0.02
