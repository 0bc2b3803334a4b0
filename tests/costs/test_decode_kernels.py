"""Kernels of generation: products to the integer, and as many operations as torch dispatches."""

from __future__ import annotations

import pytest

from isostate.costs.counting import matmul_flops
from isostate.costs.decode_kernels import decode_parts, repeated_elements
from isostate.mixers.softmax import SoftmaxConfig
from isostate.mixers.window import WindowConfig
from tests.costs.dispatched import dispatched, generation, model_of
from tests.mixers.cases import CASES, name_of

BATCH = 2
every_case = pytest.mark.parametrize("mixer", CASES, ids=name_of)


@every_case
def test_products_of_a_step_are_those_that_torch_counts(mixer):
    for context in (5, 60):
        config = model_of(mixer, mlp="gelu" if context == 5 else "swiglu", conv_taps=4)
        counted = matmul_flops(generation(config, BATCH, context))
        parts = decode_parts(config, BATCH, context)
        assert sum(part.operator().total.matmul_flops for part in parts) == counted


@every_case
def test_kernels_and_calls_are_as_many_as_torch_dispatches(mixer):
    for extras in ({}, {"mlp": "gelu", "norm": "layer"}, {"conv_taps": 4}):
        few, many = (model_of(mixer, n_layers=n, **extras) for n in (2, 6))
        counted = dispatched(generation(many, BATCH, 60)) - dispatched(generation(few, BATCH, 60))
        mine = [sum(part.n_calls for part in decode_parts(config, BATCH, 60)) for config in (few, many)]
        assert mine[1] - mine[0] == pytest.approx(counted, rel=0.1)


def test_repeated_heads_are_memory_that_a_step_uses_and_only_they():
    grouped, plain = (model_of(SoftmaxConfig(d_model=16, n_heads=4, n_kv_heads=n)) for n in (2, 4))
    assert repeated_elements(grouped, BATCH, 40) == 2 * BATCH * 4 * 4 * 41
    assert repeated_elements(plain, BATCH, 40) == 0
    window = model_of(WindowConfig(d_model=16, n_heads=4, n_kv_heads=1, window=8))
    assert repeated_elements(window, BATCH, 40) == 2 * BATCH * 4 * 4 * 8
    assert repeated_elements(model_of(CASES[-1]), BATCH, 40) == 0


def test_a_step_is_for_one_token_whatever_the_batch():
    config = model_of(CASES[0])
    one, four = (decode_parts(config, batch, 40) for batch in (1, 4))
    assert [part.name for part in one] == [part.name for part in four]
    assert sum(p.n_calls for p in one) == sum(p.n_calls for p in four)
    products = [sum(p.operator().total.matmul_flops for p in parts) for parts in (one, four)]
    assert products[1] == 4 * products[0]
