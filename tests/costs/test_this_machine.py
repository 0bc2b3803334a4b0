"""This machine's row: measured rates of a computer, in the table's form."""

from __future__ import annotations

import pytest
import torch

from isostate.config import UserError
from isostate.costs.hardware_table import find_hardware
from isostate.costs.this_machine import TORCH_DTYPES, hardware_named, measure_matmul, this_machine


def test_it_is_a_row_like_the_others():
    here = this_machine()
    assert here.name == "this"
    assert set(here.peak_flops_per_s) == set(TORCH_DTYPES)
    assert 1e9 < here.peak("fp32") < 1e14
    assert here.peak("fp64") < here.peak("fp32")
    assert 1e9 < here.known("bandwidth_bytes_per_s") < 1e13
    assert 2**29 < here.known("memory_bytes") < 2**45
    assert "measured" in here.title
    with pytest.raises(UserError, match="this: the hardware table has no price"):
        here.price()


def test_a_matrix_products_rate_is_that_of_its_flops(monkeypatch):
    monkeypatch.setattr("isostate.costs.this_machine.best_seconds", lambda work, trials: work() is None or 0.5)
    assert measure_matmul(torch.float32, size=8) == 2 * 8**3 / 0.5


def test_this_is_measured_and_any_other_name_looked_up(monkeypatch):
    monkeypatch.setattr("isostate.costs.this_machine.measure_matmul", lambda dtype: 1e9)
    monkeypatch.setattr("isostate.costs.this_machine.measure_bandwidth", lambda: 2e9)
    assert hardware_named("This").peak("bf16") == 1e9
    assert hardware_named("h100") is find_hardware("h100")
    with pytest.raises(UserError, match="no hardware 'thi'"):
        hardware_named("thi")
