"""Mamba-2's kernels: its products are those that its cost counts, and more groups copy more."""

from __future__ import annotations

from isostate.costs.kernels import Part
from isostate.costs.mamba2_kernels import mamba2_passes, mamba2_step
from isostate.mixers.mamba2 import Mamba2Config
from isostate.mixers.native import Kernels

SIZES = {"d_model": 16, "n_heads": 8, "d_state": 5, "chunk": 16}


def test_products_of_a_forward_are_its_costs():
    for context in (16, 40, 64):
        config = Mamba2Config(**SIZES)
        parts = [Part(name, one.forward) for name, one in mamba2_passes(config, 2, context, "torch").items()]
        products = sum(part.operator().cost.matmul_flops for part in parts)
        assert products == config.cost(2, context).matmul_flops


def test_a_step_moves_the_state_once_each_way():
    config = Mamba2Config(**SIZES)
    moved = sum(part.state_bytes for part in mamba2_step(config, 3, 7))
    assert moved == 2 * 4 * 3 * config.state_size(8).elements


def test_one_groups_keys_are_never_copied_for_its_heads():
    def copied(n_groups: int, kernels: Kernels) -> int:
        passes = mamba2_passes(Mamba2Config(**SIZES, n_groups=n_groups), 2, 32, kernels)
        return sum(kernel.times for kernel in passes["heads"].forward if kernel.kind == "strided")

    assert [copied(n, "torch") for n in (1, 2, 8)] == [0, 2, 0]
    assert [copied(n, "own") for n in (1, 2, 8)] == [0, 0, 0], "our kernel shares them"
