"""Products forward and backward: those of a matrix, with their weights; sums and maps of a norm by rows."""

from __future__ import annotations

from isostate.costs.kernels import Part
from isostate.costs.passes import linear, rms_norm


def test_a_matrix_is_three_products_of_which_two_read_its_weights():
    one = linear(10, 6, 4)
    forward, backward = (Part("p", kernels).operator() for kernels in one)
    assert forward.cost.matmul_flops == 2 * 10 * 6 * 4
    assert backward.cost.matmul_flops == 2 * forward.cost.matmul_flops
    assert forward.weight_bytes == backward.weight_bytes == 4 * 6 * 4


def test_a_norms_statistics_are_one_a_row():
    forward, backward = (Part("p", kernels) for kernels in rms_norm(10, 6))
    assert [kernel.shape for kernel in forward.kernels][-1] == (10,)
    assert forward.operator().cost.matmul_flops == backward.operator().cost.matmul_flops == 0
    assert backward.operator().cost.other_flops > forward.operator().cost.other_flops
