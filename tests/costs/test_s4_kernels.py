"""What S4 runs: transforms of every chunk, products between chunks that a mixer's cost counts, powers of every mode."""

from __future__ import annotations

import pytest

from isostate.costs.kernels import cost_of
from isostate.costs.s4_kernels import filtering, step
from isostate.mixers.s4 import S4Config


@pytest.mark.parametrize("context", [10, 64, 200])
def test_its_products_are_those_of_the_mixers_cost(context):
    mixer = S4Config(d_model=12, d_state=6)
    forward, backward = filtering(mixer, 3, context)
    inner = mixer.cost(3, context).matmul_flops - mixer.projection_cost(3 * context).matmul_flops
    assert sum(kernel.cost().matmul_flops for kernel in forward) == inner
    assert sum(kernel.cost().matmul_flops for kernel in backward) == 2 * inner


def test_every_chunk_is_transformed_there_and_back():
    forward, _ = filtering(S4Config(d_model=12, d_state=6, chunk=32), 3, 100)
    assert [kernel.shape for kernel in forward if kernel.kind == "transform"] == [(12 * 3 * 4, 64)] * 2


def test_a_transform_takes_n_log_n():
    short, long = cost_of("transform", (10, 64)), cost_of("transform", (10, 4096))
    assert long.other_flops == 64 * 2 * short.other_flops


def test_a_step_knows_every_state_of_every_sequence():
    sizes = [max(k.shape[0] for k in step(S4Config(d_model=12, d_state=6), batch) if k.shape) for batch in (10, 20)]
    assert sizes == [10 * 12 * 6, 20 * 12 * 6]
