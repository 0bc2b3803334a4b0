"""Seconds of this thread alone, and of many the first quartile."""

from __future__ import annotations

import time

import torch

from isostate.costs.clock import first_quartile, own_clock


def test_one_thread_times_itself_and_not_its_neighbours():
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        began = own_clock()
        time.sleep(0.05)
        assert own_clock() - began < 0.02
        torch.set_num_threads(2)
        began = own_clock()
        time.sleep(0.05)
        assert own_clock() - began > 0.04
    finally:
        torch.set_num_threads(before)


def test_a_few_disturbances_do_not_count():
    assert first_quartile([2.0, 1.0, 3.0, 4.0, 100.0]) == 2.0
