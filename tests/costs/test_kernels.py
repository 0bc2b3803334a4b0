"""Kernels: what each kind costs, and how kernels add up to an operator."""

from __future__ import annotations

from typing import get_args

import pytest

from isostate.costs.kernels import Kernel, Kind, Part, calls, cost_of, repeated
from isostate.costs.measured_kernels import MEASURED
from isostate.quantities import Cost
from tests.costs.torch_free import imports_without_torch


def test_they_load_without_torch():
    assert imports_without_torch("kernels")


def test_a_product_multiplies_and_moves_each_matrix_once():
    assert cost_of("matmul", (2, 3, 5)) == Cost(2 * 30, 0, 4 * (6 + 15 + 10))
    assert cost_of("batched matmul", (2, 3, 5)) == cost_of("matmul", (2, 3, 5))


def test_fused_attention_counts_every_pair_and_its_backward_five_products():
    forward, backward = cost_of("attention", (16, 8)), cost_of("attention backward", (16, 8))
    assert forward.matmul_flops == 2 * 2 * 16 * 16 * 8
    assert backward.matmul_flops == 5 * 2 * 16 * 16 * 8
    assert cost_of("masked attention", (4, 16, 8)).matmul_flops == 2 * 2 * 4 * 16 * 8
    assert cost_of("own attention", (16, 8)) == forward
    assert cost_of("own window attention", (64, 16, 8)).matmul_flops == 4 * forward.matmul_flops
    assert cost_of("own window attention", (64, 16, 8)).moved_bytes == 4 * forward.moved_bytes


def test_a_map_reads_two_and_writes_one():
    assert cost_of("map", (100,)) == Cost(0, 100, 1200)
    assert cost_of("copy", (100,)) == Cost(0, 0, 800)
    assert cost_of("strided", (10, 10)) == cost_of("transpose", (10, 10)) == Cost(0, 0, 800)


@pytest.mark.parametrize("kind", get_args(Kind))
def test_every_kind_has_a_cost_and_is_measured(kind):
    assert (kind in MEASURED) == (kind != "call")
    if kind == "call" or not MEASURED[kind].axes:
        assert cost_of(kind, ()) == Cost()
    else:
        assert cost_of(kind, tuple(axis[0] for axis in MEASURED[kind].axes)).moved_bytes > 0


def test_a_part_becomes_an_operator_with_its_weights_and_state():
    weights = Kernel("matmul", (2, 3, 5), weights=True)
    scores = Kernel("batched matmul", (2, 3, 2), times=2, units=4)
    part = Part("mixing", (weights, scores, *calls(3)), times=7, state_bytes=40)
    operator = part.operator()
    assert operator.cost.matmul_flops == 60 + 8 * 24
    assert (operator.times, operator.weight_bytes, operator.state_bytes) == (7, 4 * 15, 40)
    assert operator.total.matmul_flops == 7 * (60 + 8 * 24)
    assert part.n_calls == 7 * (1 + 2 + 3)
    assert repeated([part], 3)[0].n_calls == 3 * part.n_calls
    assert calls(0) == calls(-2) == ()
