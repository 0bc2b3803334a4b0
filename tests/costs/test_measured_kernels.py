"""Measured kernels: every one runs at its smallest size, and multiplies what its units say."""

from __future__ import annotations

import pytest

from isostate.costs.counting import matmul_flops
from isostate.costs.measured_kernels import MEASURED, kinds_of, matmul_in_pool
from isostate.costs.pools import CACHED_POOL, MEMORY_POOL


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


def test_a_machine_measures_the_kernels_that_it_runs():
    ours, torchs = (set(kinds_of(kernels)) for kernels in ("own", "torch"))
    assert ours | torchs == set(MEASURED)
    assert all(kind.startswith("own") for kind in ours - torchs)
    assert all("attention" in kind for kind in torchs - ours)
    assert len(torchs - ours) == 4


def test_products_in_a_pool_take_their_weights_in_turn():
    work = matmul_in_pool(MEMORY_POOL)
    assert matmul_flops(work) == 2 * 256 * 768
