"""Measured kernels: every one runs at its smallest size, and pools are used in turn."""

from __future__ import annotations

import pytest
import torch

from isostate.costs.counting import matmul_flops
from isostate.costs.measured_kernels import CACHED_POOL, MEASURED, MEMORY_POOL, _chain, _fresh, _others, matmul_in_pool


@pytest.mark.parametrize("kind", MEASURED)
def test_every_kernel_runs_in_a_small_pool(kind):
    axes, prepare, pooled = MEASURED[kind]
    shape = tuple(axis[min(1, len(axis) - 1)] for axis in axes)
    work, units = prepare(CACHED_POOL, *shape) if pooled else prepare(*shape)
    work()
    work()
    assert units >= 1
    assert list(map(sorted, axes)) == list(map(list, axes)), "axes grow"


@pytest.mark.parametrize("kind", ["matmul", "batched matmul", "attention", "masked attention"])
def test_units_are_what_a_run_multiplies(kind):
    axes, prepare, _ = MEASURED[kind]
    shape = tuple(axis[-2] for axis in axes)
    work, units = prepare(CACHED_POOL, *shape)
    queries, inner, keys = {2: (shape[0], shape[-1], shape[0])}.get(len(shape), shape)
    n_flops = 2 * queries * inner * keys * (2 if "attention" in kind else 1)
    assert matmul_flops(work) == units * n_flops


def test_a_chain_goes_on_from_its_newest_result_and_keeps_the_older():
    seen: list[torch.Tensor] = []

    def make(x: torch.Tensor) -> torch.Tensor:
        seen.append(x)
        return x + 1

    work = _chain(make, 3 * 4 * 8, torch.zeros(8))  # room for 3
    for _ in range(5):
        work()
    assert [float(x[0]) for x in seen] == [0, 1, 2, 3, 4]
    assert len({x.data_ptr() for x in seen[1:4]}) == 3


def test_fresh_results_stay_until_the_pool_is_full():
    made: list[int] = []

    def make() -> torch.Tensor:
        result = torch.empty(1024)
        made.append(result.data_ptr())
        return result

    work = _fresh(make, 4 * 4096, 1024)
    for _ in range(4):
        work()
    assert len(set(made)) == 4


def test_other_tensors_come_in_turn_and_few_of_the_small():
    others = _others(4 * 4096, 1024)
    assert len({next(others).data_ptr() for _ in range(8)}) == 4
    assert len({id(next(others)) for _ in range(8)}) == 4


def test_products_in_a_pool_take_their_weights_in_turn():
    work = matmul_in_pool(MEMORY_POOL)
    assert matmul_flops(work) == 2 * 256 * 768
