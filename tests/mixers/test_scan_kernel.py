"""The kernel serves processors alone; where it does not, torch scans to the same results."""

from __future__ import annotations

import torch

from isostate.mixers import native, scan
from isostate.mixers.scan_kernel import serves
from tests.mixers.runs import assert_equal_results
from tests.mixers.test_scan import inputs, run


def test_torch_scans_to_the_same_results(monkeypatch):
    leaves = inputs(70, 5, 3)
    by_kernel = run(scan.chunked, leaves)
    monkeypatch.setattr(native, "library", lambda source, dtype: None)
    assert_equal_results(run(scan.chunked, leaves), by_kernel, "torch")


def test_it_serves_processors_in_single_and_double_precision():
    assert serves(torch.zeros(1))
    assert serves(torch.zeros(1, dtype=torch.float64))
    assert not serves(torch.zeros(1, dtype=torch.bfloat16))
    assert not serves(torch.zeros(1, device="meta"))
