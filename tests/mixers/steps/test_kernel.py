"""The kernels of a decode step: the same bits on any number of threads, and what they are called on lives on."""

from __future__ import annotations

import gc

import pytest
import torch

from isostate.mixers.feature_maps import taylor_map
from isostate.mixers.steps import kernel, operations
from isostate.mixers.steps.recurrence import Turn

needs_kernels = pytest.mark.skipif(not kernel.serves(torch.zeros(1)), reason="no compiler: torch does the work")


@needs_kernels
def test_results_do_not_depend_on_the_number_of_threads():
    torch.manual_seed(0)
    x_BD, weight_VD = torch.randn(1, 300), torch.randn(200, 300)
    q, k, v = (torch.randn(1, 1, size) for size in (16, 16, 300))
    state = torch.randn(1, 1, 153, 300)
    results = []
    for threads in (1, 2, 3):
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        y_BV, read = torch.empty(1, 200), torch.empty(1, 1, 300)
        matrix = state.clone()
        calls = operations.linear(x_BD, weight_VD, None, y_BV)
        calls += Turn(q, k, v, None, matrix, None, read, taylor_map(2, 16)).by_kernel()
        torch.set_num_threads(before)
        for call in calls:
            call()
        results.append([y_BV, read, matrix])
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@needs_kernels
def test_what_a_call_reads_is_kept_though_a_model_lets_it_go():
    layer = torch.nn.Linear(64, 64).requires_grad_(False)
    x_BD, y_BV = torch.ones(1, 64), torch.empty(1, 64)
    want = layer(x_BD)
    (call,) = operations.project(x_BD, layer, y_BV)
    layer.double()
    gc.collect()
    call()
    assert torch.allclose(y_BV, want, atol=1e-6)


@needs_kernels
def test_torch_does_the_work_where_it_is_told_to(monkeypatch):
    monkeypatch.setenv("ISOSTATE_KERNELS", "torch")
    assert not kernel.serves(torch.zeros(1))
    assert not kernel.serves(torch.zeros(1, dtype=torch.bfloat16))
